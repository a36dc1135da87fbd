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
it_end
