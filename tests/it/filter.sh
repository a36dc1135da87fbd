#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# --subtree, --include, --exclude: what is left out never becomes an object, also not by a refresh.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin

names() {
	(cd "$TREE" && find . -mindepth 1 | sed 's,^\./,,' | sort | tr '\n' ' ')
}

# expect NAMES OPTION...: the tree with these options.
expect() {
	local want=$1

	shift
	it_start "$@" "$ORIGIN"
	it_equal "$(names)" "$want" "names"
	it_walk
	it_equal "$(it_counter names_refused)" 0 "names refused"
}

patterns() {
	expect "a a/keep a/old a/old/x b.c tmp " --exclude '*.iso' --exclude 'old/y' --exclude /a/tmp \
		--exclude 'a/old/y'
}

directories_only() {
	expect "a a/keep a/tmp b.c big.iso tmp " --exclude 'old/' --exclude 'tmp/'
}

first_match() {
	expect "a a/old b.c " --include '*/' --include '*.c' --exclude '*'
}

one_subtree() {
	expect "a a/old a/old/x a/old/y " --subtree a/old
}

subtree_and_patterns() {
	expect "a a/old a/old/y " --subtree /a/old/ --exclude x
}

no_such_subtree() {
	expect "" --subtree nothing
}

# The size of what is left out is not asked for.
no_heads() {
	it_origin "$ORIGIN" -i apache
	it_start --exclude '*' --exclude 'never' "$URL"
	it_equal "$(names)" "" "names"
	it_equal "$(it_counter origin_heads)" 0 "HEAD requests"
}

# A local file of a name that is left out is the user's.
local_file() {
	it_start --exclude '*.iso' "$ORIGIN"
	it_walk
	touch "$TREE/big.iso" 2>/dev/null || it_skip "the tree is read-only"
	printf 'mine' >"$TREE/big.iso"
	it_hsmctl --json refresh "$CACHE" >totals.json
	it_equal "$(jq -c '[.conflicts, .added, .errors]' totals.json)" "[0,0,0]" "totals"
	it_equal "$(cat "$TREE/big.iso")" mine "content"
	it_stop
	it_start "$ORIGIN"
	it_hsmctl --json refresh "$CACHE" >totals.json
	it_equal "$(jq .conflicts totals.json)" 1 "conflicts without the filter"
	it_equal "$(cat "$TREE/big.iso")" mine "content"
}

# Other options: what is there changes with the next refresh.
changed() {
	it_start "$ORIGIN"
	it_walk
	it_stop
	it_start --exclude 'old/' "$ORIGIN"
	[ -e "$TREE/a/old/x" ] || it_fail "gone before a refresh"
	it_hsmctl refresh "$CACHE"
	it_equal "$(names)" "a a/keep a/tmp b.c big.iso tmp " "names"
	it_stop
	it_start "$ORIGIN"
	it_hsmctl refresh "$CACHE"
	it_equal "$(names)" "a a/keep a/old a/old/x a/old/y a/tmp b.c big.iso tmp " "names"
}

# Under a filesystem mark all files raise events, also those that are no objects: they are answered at once,
# and once. What is left out and made by users in its place is theirs.
outside() {
	it_origin "$ORIGIN"
	it_start --marks "$1" --exclude '*.iso' --subtree a "$URL"
	it_walk
	it_random "$FS/outside.$1" 500000
	cp "$FS/outside.$1" "$CASE/copy"
	mkdir "$TREE/mine"
	cp "$CASE/copy" "$TREE/mine/big.iso"
	cp "$CASE/copy" "$TREE/a/big.iso"
	printf 'not the one of the origin' >"$TREE/b.c"
	cp -a "$TREE/a/big.iso" "$TREE/a/tmp.iso"
	for file in "$FS/outside.$1" "$TREE/mine/big.iso" "$TREE/a/big.iso" "$TREE/a/tmp.iso"; do
		it_same_file "$file" "$CASE/copy"
		it_same_file "$file" "$CASE/copy"
		! getfattr -n trusted.hsm "$file" 2>/dev/null || it_fail "$file became an object"
	done
	it_equal "$(cat "$TREE/b.c")" "not the one of the origin" "a name outside the subtree"
	it_equal "$(it_counter bytes_fetched)" 0 "bytes fetched"
	it_equal "$(it_counter fill_waits)" 0 "fills"
	it_equal "$(cat "$TREE/a/keep")" a/keep "what is inside"
	it_hsmctl --json refresh "$CACHE" >totals.json
	it_equal "$(jq -c '[.conflicts, .removed, .errors]' totals.json)" "[0,0,0]" "totals"
	it_hsmctl evict "$CACHE" . &>/dev/null
	it_same_file "$TREE/a/big.iso" "$CASE/copy"
	it_equal "$(cat "$TREE/a/keep")" a/keep "what is inside, again"
}

# A file outside is asked about once; from then on reading it raises no event.
asked_once() {
	it_start --marks "$1" --subtree a "$ORIGIN"
	it_random "$FS/once.$1" 1000000
	cat "$FS/once.$1" >/dev/null
	it_hsmctl --json status "$CACHE" | jq '[.events[].count] | add' >before
	for _ in 1 2 3 4 5; do
		dd if="$FS/once.$1" of=/dev/null bs=4096 status=none
	done
	it_hsmctl --json status "$CACHE" | jq '[.events[].count] | add' >after
	it_at_most $(($(cat after) - $(cat before))) 20 "events of 1000 reads of others' files"
}

bad_rules() {
	local rule

	for rule in '' / 'a//b' '**/x'; do
		it_command --exclude "$rule" "$ORIGIN"
		it_refused 2 "${IT_CMD[@]}"
	done
	for rule in '' / .. a/../b; do
		it_command --subtree "$rule" "$ORIGIN"
		it_refused 2 "${IT_CMD[@]}"
	done
}

mkdir -p "$ORIGIN/a/old"
for file in a/keep a/tmp a/old/x a/old/y b.c big.iso tmp; do
	printf '%s' "$file" >"$ORIGIN/$file"
done
it_case "patterns" patterns
it_case "directories only" directories_only
it_case "the first match decides" first_match
it_case "a subtree" one_subtree
it_case "a subtree and patterns" subtree_and_patterns
it_case "a subtree that is not there" no_such_subtree
it_case "no sizes of what is left out" no_heads
it_case "a local file of an excluded name" local_file
it_case "other options later" changed
it_case "bad rules" bad_rules
for marks in fs mount dir inode; do
	it_case_on fan "what is outside is left alone, $marks" outside $marks
	it_case_on fan "what is outside is asked about once, $marks" asked_once $marks
done
it_end
