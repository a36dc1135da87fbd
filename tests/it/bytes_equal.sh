#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4 btrfs
# What users read is what the origin has: every byte, every name, from every kind of origin.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin

make_names() {
	local n

	mkdir -p "$ORIGIN/names"
	for n in 'with space' ' leading' 'trailing ' $'new\nline' $'tab\there' '100%' '%41' 'a#b' \
		'a?b=c&d' "quote'd" '"double"' 'back\slash' '-n' '--help' '*' '[x]' '$HOME' '`id`' \
		'<a href="x">' '&amp;' 'a;b' 'a+b' 'a:b' '~' $'\x01\x7f' 'ünï' '日本語' \
		$'e\u0301' "$(printf '%0255d' 7)" "$(printf 'ä%.0s' {1..127})"; do
		printf 'content of %s' "$n" >"$ORIGIN/names/$n"
		mkdir -p "$ORIGIN/dirs/$n"
		printf 'below %s' "$n" >"$ORIGIN/dirs/$n/file"
	done
}

make_sizes() {
	local n

	mkdir -p "$ORIGIN/sizes"
	for n in 0 1 2 4095 4096 4097 65535 65536 65537 131071 131072 131073 1000000 1048576 \
		4194303 4194305; do
		it_random "$ORIGIN/sizes/s$n" $n
	done
	it_random "$ORIGIN/sizes/big" 33554433
	truncate -s 10M "$ORIGIN/sizes/hole"
	truncate -s 3M "$ORIGIN/sizes/islands"
	printf island | dd of="$ORIGIN/sizes/islands" bs=1 seek=1500000 conv=notrunc status=none
}

make_deep() {
	local d=$ORIGIN i

	for i in {1..40}; do
		d=$d/level$i
		mkdir "$d"
		echo "level $i" >"$d/file"
	done
	mkdir "$ORIGIN/empty"
}

# nginx does not list names with a leading dot.
make_dots() {
	local n

	for n in ... .hidden ..double; do
		echo "content of $n" >"$ORIGIN/names/$n"
		mkdir "$ORIGIN/dirs/$n"
		echo "below $n" >"$ORIGIN/dirs/$n/file"
	done
}

make_links() {
	ln -s sizes/s1 "$ORIGIN/link"
	ln -s nowhere "$ORIGIN/dangling"
	ln -s ../names "$ORIGIN/empty/up"
	ln -s /etc/hostname "$ORIGIN/absolute"
	ln -s "$(printf 'x%.0s' {1..1000})" "$ORIGIN/long"
}

check_tree() {
	it_manifest "$ORIGIN" >origin.manifest
	it_manifest "$TREE" >tree.manifest
	diff origin.manifest tree.manifest || it_fail "the tree differs from the origin"
	it_manifest "$TREE" >warm.manifest
	cmp tree.manifest warm.manifest || it_fail "the second look differs from the first"
	it_equal "$(it_counter fill_errors)" 0 "fill errors"
}

# Modification times to the nanosecond, and the permissions.
check_attributes() {
	(cd "$ORIGIN" && find . -mindepth 1 ! -type l -printf '%T@ %m %P\0' | sort -z) >origin.attr
	(cd "$TREE" && find . -mindepth 1 ! -type l -printf '%T@ %m %P\0' | sort -z) >tree.attr
	cmp origin.attr tree.attr || {
		diff <(tr '\0' '\n' <origin.attr) <(tr '\0' '\n' <tree.attr) | head
		it_fail "times or modes differ"
	}
}

mirror() {
	it_start "$ORIGIN"
	check_tree
	check_attributes
}

nginx_json() {
	it_nginx "$ORIGIN" json
	it_start "$URL"
	check_tree
	it_equal "$(it_counter origin_heads)" 0 "HEAD requests"
}

nginx_html() {
	it_nginx "$ORIGIN" html
	it_start "$URL"
	check_tree
	it_equal "$(it_counter origin_heads)" 0 "HEAD requests"
}

# Apache rounds sizes: one HEAD a file makes them exact.
apache_html() {
	it_origin "$ORIGIN" -i apache
	it_start "$URL"
	check_tree
}

# An invalid UTF-8 name next to valid ones: they at least are served.
latin1_name() {
	mkdir -p tree
	echo good >tree/good
	echo bad >tree/$'caf\xe9'
	it_nginx "$CASE/tree" "$1"
	it_start "$URL"
	it_walk
	it_equal "$(cat "$TREE/good")" good "the file next to it"
}

# Samples of a 5 GiB file with some data at 4 GiB and at its end.
huge_file() {
	local at

	mkdir -p tree
	truncate -s 5G tree/huge
	for at in 0 4294967290 5368709115; do
		printf data. | dd of=tree/huge bs=1 seek=$at conv=notrunc status=none
	done
	it_start "$CASE/tree"
	it_walk
	it_equal "$(stat -c %s "$TREE/huge")" 5368709120 "size"
	for at in 0 2147483648 4294967290 4294967296 5368709115 3000000001; do
		it_equal "$(timeout 30 tail -c +$((at + 1)) "$TREE/huge" | head -c 5 | od -c)" \
			"$(tail -c +$((at + 1)) tree/huge | head -c 5 | od -c)" "bytes at $at"
	done
	it_at_most "$(it_counter bytes_fetched)" 1073741824 "bytes fetched for six samples"
}

# Chunk sizes and windows must not change what is read.
options() {
	local opt

	for opt in "--chunk 4K" "--chunk 1M" "--readahead 0" "--connections 1" \
		"--chunk 4K --readahead 64K --workers 1"; do
		CACHE=$FS/cache.options.${opt//[^a-z0-9]/_}
		mkdir "$CACHE"
		# shellcheck disable=SC2086
		it_start $opt "$ORIGIN"
		it_walk
		it_same_file "$TREE/sizes/big" "$ORIGIN/sizes/big"
		it_same_file "$TREE/sizes/s65537" "$ORIGIN/sizes/s65537"
		it_stop
	done
}

# Filled through one front-end, served by the other.
shared_format() {
	it_start "$ORIGIN"
	it_walk
	it_same_file "$TREE/sizes/s4194305" "$ORIGIN/sizes/s4194305"
	it_stop
	[ "$HSM_FRONTEND" = fuse ] && HSM_FRONTEND=fan || HSM_FRONTEND=fuse
	it_start "$ORIGIN"
	it_same_file "$TREE/sizes/s4194305" "$ORIGIN/sizes/s4194305"
	it_equal "$(it_counter bytes_fetched)" 0 "bytes fetched again"
	check_tree
}

make_names
make_sizes
make_deep
it_case "nginx json index" nginx_json
it_case "nginx html index" nginx_html
it_case "latin-1 name, json index" latin1_name json
it_case "latin-1 name, html index" latin1_name html
make_dots
it_case "apache index" apache_html
make_links
it_case "mirror" mirror
it_case "cache of the other front-end" shared_format
if [ "$HSM_FS" = xfs ]; then
	it_case "options" options
fi
it_case "5 GiB sparse file" huge_file
it_end
