#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4 btrfs
# File handles of the tree name their file after the kernel forgot it, after a restart, and no more
# once it is deleted: what an NFS server needs.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
HANDLES=$HSM_BUILD/tests/tools/handles

make_origin() {
	local d i

	for d in a a/b a/b/c d; do
		mkdir -p "$ORIGIN/$d"
		for i in {1..40}; do
			it_random "$ORIGIN/$d/f$i" $((i * 1000))
		done
		ln -s "f1" "$ORIGIN/$d/link"
	done
	: >"$ORIGIN/empty"
}

names() {
	(cd "$ORIGIN" && find . -mindepth 1 "$@" | sed 's,^\./,,')
}

# Only of the mount: the cache's own inodes may stay.
forgotten() {
	[ "$HSM_FRONTEND" = fan ] && return 0
	[ "$(it_hsmctl --json status "$CACHE" | jq .inodes)" -le "$1" ]
}

drop() {
	sync -f "$TREE"
	echo 2 >/proc/sys/vm/drop_caches
	it_wait_until 10 forgotten 20 || it_fail "the inodes are not forgotten"
}

take_all() {
	names "$@" | timeout 60 "$HANDLES" take "$TREE" >"$CASE/handles"
}

same_all() {
	timeout 100 "$HANDLES" same "$TREE" "$ORIGIN" <"$CASE/handles"
}

while_known() {
	it_start "$ORIGIN"
	it_walk
	take_all
	same_all
}

after_forget() {
	it_start "$ORIGIN"
	it_walk
	take_all
	drop
	same_all
	# And again with the data there.
	drop
	same_all
	it_manifest "$TREE" >"$CASE/tree"
	it_manifest "$ORIGIN" >"$CASE/origin"
	cmp "$CASE/tree" "$CASE/origin"
}

# The inner ones first: a directory is connected upwards, through those nobody looked up.
only_directories() {
	it_start "$ORIGIN"
	it_walk
	take_all -type d
	drop
	sort -r -o "$CASE/handles" "$CASE/handles"
	same_all
}

after_restart() {
	it_start "$ORIGIN"
	it_walk
	take_all
	it_stop
	it_start "$ORIGIN"
	same_all
}

after_delete() {
	it_start "$ORIGIN"
	it_walk
	take_all -path './d/*' -type f
	rm -r "$TREE/d" || it_skip "the tree is read-only"
	drop
	timeout 60 "$HANDLES" stale "$TREE" <"$CASE/handles"
	# What is made now may get the numbers of the old files.
	mkdir "$TREE/new"
	for i in {1..200}; do
		echo "$i" >"$TREE/new/$i"
	done
	timeout 60 "$HANDLES" stale "$TREE" <"$CASE/handles"
	ls "$TREE/new" | sed 's,^,new/,' | "$HANDLES" take "$TREE" >"$CASE/new.handles"
	drop
	mkdir "$CASE/copy"
	mkdir "$CASE/copy/new"
	for i in {1..200}; do
		echo "$i" >"$CASE/copy/new/$i"
	done
	timeout 60 "$HANDLES" same "$TREE" "$CASE/copy" <"$CASE/new.handles"
}

# What lies beside the data opens nothing, even for one who knows number and generation of a
# directory there.
forged() {
	mkdir -p "$FS/secret/deep"
	it_start "$ORIGIN"
	it_walk
	printf '%s\n' . secret/deep "${CACHE#"$FS/"}/meta" | "$HANDLES" take "$FS" | forge >"$CASE/forged"
	timeout 60 "$HANDLES" stale "$TREE" <"$CASE/forged"
	# The same way to make one works for what is inside.
	names -type d | (cd "$FS" && "$HANDLES" take "$CACHE/data") | forge >"$CASE/handles"
	drop
	same_all
}

# Handles of the lower file system on stdin, those the mount would give for the same inodes on
# stdout: the high and the low word of the number, the generation.
forge() {
	sed -E 's/^1 (.{8})(.{8}) /129 00000000\1\2 /; t
		s/^129 (.{8})(.{8})(.{8}) /129 \2\1\3 /; t
		s/^77 (.{8})(.{8}).{16}(.{8}) /129 \2\1\3 /'
}

make_origin
it_case "while they are known" while_known
it_case "after a forget" after_forget
it_case "directories from below" only_directories
it_case "after a restart" after_restart
it_case "stale after a delete" after_delete
it_case_on fuse "made up from a number" forged
it_end
