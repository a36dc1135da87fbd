#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An origin that means harm: names are dropped or the listing is an error; nothing is written
# outside the tree, memory stays bounded, the daemon lives.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
QUICK="--retries 0 --timeout 3s"

begin() {
	it_origin "$ORIGIN" "$@"
	# shellcheck disable=SC2086
	it_start --namespace lazy $QUICK "$URL"
	ls "$TREE" >/dev/null
}

# The daemon lives, other names work, and nothing appeared outside of the tree.
still_well() {
	it_fault
	it_equal "$(timeout 20 cat "$TREE/file")" content "another file"
	[ ! -e "$CACHE/evil" ] && [ ! -e "$CACHE/meta/evil" ] && [ ! -e "$FS/evil" ] &&
		[ ! -e "$TREE/evil" ] && [ ! -e /tmp/evil ] || it_fail "a name got out of its directory"
}

entry() {
	printf '{"name":"%s","type":"%s","mtime":"Mon, 03 Jan 2022 10:00:00 GMT","size":%s}' "$@"
}

listing() {
	printf '[%s' "$1"
	shift
	[ $# = 0 ] || printf ',%s' "$@"
	printf ']'
}

# Good names next to evil ones: the good ones are there, and nothing else.
evil_names() {
	begin
	listing "$(entry good file 4)" "$(entry ../evil file 4)" "$(entry /tmp/evil file 4)" \
		"$(entry sub/../../evil file 4)" "$(entry .. directory 0)" "$(entry . directory 0)" \
		"$(entry '' file 4)" "$(entry 'nul\u0000evil' file 4)" \
		"$(entry "$(printf 'x%.0s' {1..256})" file 4)" \
		"$(entry "$(printf 'y%.0s' {1..5000})" directory 0)" \
		"$(entry good file 99)" "$(entry good directory 0)" >list.json
	it_fault "/dir/ listing-file $CASE/list.json"
	it_equal "$(timeout 20 ls -a "$TREE/dir")" $'.\n..\ngood' "names"
	it_at_least "$(it_counter names_refused)" 7 "names refused"
	still_well
}

evil_links() {
	begin -i html
	cat >list.html <<-'END'
		<html><head><title>Index of /dir/</title></head><body>
		<h1>Index of /dir/</h1><hr><pre><a href="../">../</a>
		<a href="good">good</a> 03-Jan-2022 10:00 4
		<a href="../evil">e</a> 03-Jan-2022 10:00 4
		<a href="%2e%2e%2fevil">e</a> 03-Jan-2022 10:00 4
		<a href="/tmp/evil">e</a> 03-Jan-2022 10:00 4
		<a href="http://example.invalid/evil">e</a> 03-Jan-2022 10:00 4
		<a href="//example.invalid/evil">e</a> 03-Jan-2022 10:00 4
		<a href="javascript:evil">e</a> 03-Jan-2022 10:00 4
		<a href="nul%00evil">e</a> 03-Jan-2022 10:00 4
		<a href="%2e%2e">e</a> 03-Jan-2022 10:00 4
		<a href="a%2Fevil">e</a> 03-Jan-2022 10:00 4
		<a href="?C=M;O=A">sort</a>
		<a href="#top">top</a>
		<a>no href</a><a href="">empty</a>
		</pre><hr></body></html>
	END
	it_fault "/dir/ listing-file $CASE/list.html"
	it_equal "$(timeout 20 ls -a "$TREE/dir")" $'.\n..\ngood' "names"
	still_well
}

# A size nobody can have: no name or an error at reading, never a wrong size that wraps.
evil_sizes() {
	begin
	listing "$(entry good file 4)" "$(entry minus file -1)" \
		"$(entry huge file 99999999999999999999)" "$(entry text file '"12"')" \
		"$(entry edge file 9223372036854775807)" "$(entry half file 1.5)" >list.json
	it_fault "/dir/ listing-file $CASE/list.json"
	timeout 20 ls -l "$TREE/dir" >list || :
	still_well
}

garbage() {
	local n=0

	begin
	for text in '' '[' '{"a":1}' '[1,2,3]' 'null' '[{"name":1}]' '<html>' $'\xff\xfe\xfd' \
		'[[[[[[[[[[[[' '[{"name":"x","type":"file","size":1}'; do
		n=$((n + 1))
		printf '%s' "$text" >garbage.$n
		it_fault "/dir/ listing-file $CASE/garbage.$n"
		timeout 20 ls "$TREE/dir" >list 2>err && [ -s list ] && it_fail "names from '$text'"
		it_hsmctl status "$CACHE" >/dev/null || it_fail "the daemon died of '$text'"
	done
	still_well
}

# What was garbage once must not stay an empty directory.
garbage_then_well() {
	begin
	printf '[{"name":"inside","type' >garbage
	it_fault "/dir/ listing-file $CASE/garbage"
	timeout 20 ls "$TREE/dir" >list 2>err && it_fail "listed from half an answer: $(cat list)"
	it_fault
	it_equal "$(timeout 20 ls "$TREE/dir")" inside "names afterwards"
	still_well
}

deep_nesting() {
	begin
	head -c 3000000 /dev/zero | tr '\0' '[' >nested
	it_fault "/dir/ listing-file $CASE/nested"
	timeout 30 ls "$TREE/dir" >list 2>err && [ -s list ] && it_fail "names from brackets"
	head -c 3000000 /dev/zero | tr '\0' '<' >nested
	it_fault "/dir/ listing-file $CASE/nested"
	timeout 30 ls "$TREE/dir" >list 2>err && [ -s list ] && it_fail "names from brackets"
	still_well
}

# An index without an end costs the reader an error, not the machine its memory.
endless() {
	local rc=0 pid most=0 rss

	begin "$@"
	it_fault "/dir/ listing-endless"
	timeout 60 ls "$TREE/dir" >list 2>err &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		rss=$(ps -o rss= -p "$(it_daemon_pids | tr '\n' ',' | sed 's/,$//')" | sort -n | tail -n 1)
		[ "${rss:-0}" -le $most ] || most=$rss
		[ "$most" -lt 1048576 ] || it_fail "the daemon has grown to $most KiB"
		sleep 0.2
	done
	wait $pid || rc=$?
	it_say "largest resident size: $most KiB, exit code of ls: $rc"
	[ $rc != 0 ] && [ $rc != 124 ] || it_fail "ls ended with $rc"
	still_well
}

mkdir -p "$ORIGIN/dir"
echo content >"$ORIGIN/file"
echo inside >"$ORIGIN/dir/inside"
it_case "names that climb, json" evil_names
it_case "names that climb, html" evil_links
it_case "impossible sizes" evil_sizes
it_case "garbage instead of an index" garbage
it_case "half an index, then a whole one" garbage_then_well
it_case "deep nesting" deep_nesting
it_case "endless json index" endless
it_case "endless html index" endless -i html
it_end
