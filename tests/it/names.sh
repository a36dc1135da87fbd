#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: btrfs
# When names appear: lazy, ahead, eager; and hsmctl populate.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin

lists() {
	it_counter origin_lists
}

# Only what is opened is listed.
lazy() {
	it_start --namespace lazy "$ORIGIN"
	it_at_most "$(lists)" 1 "listings before anybody looked"
	it_equal "$(ls "$TREE")" $'a\nb\ntop' "the root"
	it_at_most "$(lists)" 1 "listings after the root"
	it_equal "$(ls "$TREE/a")" $'file\nsub' "a"
	it_at_most "$(lists)" 2 "listings after a"
	it_equal "$(ls "$TREE/a/sub")" $'deep\nfile' "a/sub"
	it_equal "$(ls "$TREE/a/sub/deep")" bottom "a/sub/deep"
	it_equal "$(lists)" 4 "listings after four directories"
	it_equal "$(cat "$TREE/a/sub/deep/bottom")" bottom "content"
}

# One level more than opened is there: fan_hsm sees no lookup, so a stat of a child's child
# must find it.
ahead() {
	it_start --namespace ahead "$ORIGIN"
	it_equal "$(ls "$TREE")" $'a\nb\ntop' "the root"
	it_equal "$(stat -c %s "$TREE/a/file")" 5 "size of a never listed name"
	it_at_most "$(lists)" 3 "listings: the root and the two directories in it"
	it_equal "$(cat "$TREE/b/file")" b-one "content"
	it_walk
	it_equal "$(lists)" 5 "listings of the whole tree"
}

eager() {
	it_start --namespace eager "$ORIGIN"
	it_equal "$(lists)" 5 "listings at the start"
	it_equal "$(cat "$TREE/a/sub/deep/bottom")" bottom "a path nobody listed"
	it_walk
	it_equal "$(lists)" 5 "listings after a walk"
}

# A path nobody listed: FUSE sees the lookup, the file system's own lookup does not ask.
never_listed() {
	it_start --namespace lazy "$ORIGIN"
	if [ "$HSM_FRONTEND" = fuse ]; then
		it_equal "$(cat "$TREE/a/sub/deep/bottom")" bottom "content"
		it_at_most "$(lists)" 4 "listings on the way"
	else
		[ ! -e "$TREE/a/sub/deep/bottom" ] || it_fail "a name without a reason"
		it_hsmctl populate "$CACHE" a/sub/deep
		it_equal "$(cat "$TREE/a/sub/deep/bottom")" bottom "content"
	fi
}

missing_name() {
	it_start --namespace lazy "$ORIGIN"
	ls "$TREE" >/dev/null
	ls "$TREE/a" >/dev/null
	cat "$TREE/a/nothing" 2>err && it_fail "read a file that is not there"
	grep -q "No such file" err || it_fail "$(cat err)"
	cat "$TREE/top/below" 2>err && it_fail "read below a file"
	grep -q "Not a directory" err || it_fail "$(cat err)"
}

populate_all() {
	it_start --namespace lazy "$ORIGIN"
	it_hsmctl populate "$CACHE"
	it_equal "$(lists)" 5 "listings"
	it_equal "$(it_counter bytes_fetched)" 0 "bytes fetched"
	it_equal "$(cat "$TREE/a/sub/deep/bottom")" bottom "content"
}

# No file is read for its names, sizes and times.
metadata_only() {
	it_start "$ORIGIN"
	timeout 60 ls -lR "$TREE" >/dev/null
	timeout 60 du -a --apparent-size "$TREE" >/dev/null
	it_equal "$(it_counter bytes_fetched)" 0 "bytes fetched"
	it_equal "$(it_counter stubs_created)" 5 "stubs"
}

# The same names again after a restart, without asking.
kept() {
	it_start "$ORIGIN"
	it_walk
	it_stop
	it_start "$ORIGIN"
	it_walk
	it_equal "$(lists)" 0 "listings after a restart"
}

# A directory larger than any one getdents(2) buffer, each name once.
large_directory() {
	mkdir -p large/dir
	(cd large/dir && seq -f 'name-%05g' 20000 | xargs touch)
	it_nginx "$CASE/large" json
	it_start "$URL"
	ls "$TREE" >/dev/null
	timeout 60 ls -U "$TREE/dir" | sort >list
	cmp list <(ls large/dir) || it_fail "names differ ($(wc -l <list) of 20000)"
	it_at_most "$(lists)" 3 "listings: the probe, the root, the directory"
	it_equal "$(it_counter origin_heads)" 0 "HEAD requests"
}

# rewinddir, seekdir and a listing in small pieces see each name once.
small_pieces() {
	it_need python3
	mkdir -p many
	(cd many && seq -f 'n%g' 3000 | xargs touch)
	it_start "$CASE/many"
	timeout 60 python3 - "$TREE" <<-'END' || it_fail "names differ"
		import os, sys
		for turn in range(2):
		    with os.scandir(sys.argv[1]) as d:
		        seen = [next(d).name for _ in range(100)]
		        seen += [e.name for e in d]
		    assert len(seen) == len(set(seen)) == 3000, (len(seen), len(set(seen)))
	END
}

mkdir -p "$ORIGIN/a/sub/deep" "$ORIGIN/b"
printf 'top' >"$ORIGIN/top"
printf 'a-one' >"$ORIGIN/a/file"
printf 'b-one' >"$ORIGIN/b/file"
printf 'sub' >"$ORIGIN/a/sub/file"
printf 'bottom' >"$ORIGIN/a/sub/deep/bottom"
it_case "lazy" lazy
it_case "ahead" ahead
it_case "eager" eager
it_case "a path never listed" never_listed
it_case "a name that is not there" missing_name
it_case "populate" populate_all
it_case "sizes without data" metadata_only
it_case "names survive a restart" kept
it_case "20,000 names" large_directory
it_case "listing in small pieces" small_pieces
it_end
