#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4 btrfs
# FRONT-END: fan
# What each of --marks covers, and what it does not: the table in docs/marks.md. A reader who gets zeros
# here is a hole that is documented there; if one is closed some day, these tests say so.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
HANDLES=$HSM_BUILD/tests/tools/handles

# seen FILE ORIGINAL: true, zeros, error or false.
seen() {
	local rc=0

	timeout -k 2 30 cat "$1" >got 2>err || rc=$?
	if [ $rc -ge 124 ]; then
		echo hung
	elif [ $rc != 0 ]; then
		echo error
	elif cmp -s got "$2"; then
		echo true
	elif cmp -s got "$HSM_WORK/zeros"; then
		echo zeros
	else
		echo false
	fi
}

# sees WANTED FILE NAME WHAT: the file is ORIGIN/NAME.
sees() {
	it_equal "$(seen "$2" "$ORIGIN/$3")" "$1" "$4"
}

mark_counter() {
	it_hsmctl --json status "$CACHE" | jq ".marks.$1"
}

# Marks of its groups on inodes, mounts and file systems, as the kernel has them.
kernel_marks() {
	cat /proc/"$(it_daemon_pids | head -n 1)"/fdinfo/* 2>/dev/null |
		awk -v t="$1" '/^fanotify/ { for (i = 2; i <= NF; i++) if (index($i, t ":") == 1) n++ }
			END { print n + 0 }'
}

# ---- ways to a stub; $1 scheme, $2 what the reader gets ----

by_name() {
	sees "$2" "$TREE/d/f1" d/f1 "by its name"
	sees "$2" "$TREE/top" top "in the root"
}

by_bind_mount() {
	mkdir bind
	mount --bind "$CACHE" bind
	sees "$2" bind/data/d/f1 d/f1 "through a bind mount"
	umount bind
}

by_namespace() {
	# shellcheck disable=SC2016
	unshare -m sh -c 'timeout 30 cat "$1" >other' - "$TREE/d/f1"
	it_equal "$(seen other "$ORIGIN/d/f1")" "$2" "in another mount namespace"
}

by_link() {
	ln "$TREE/d/f1" "$FS/link.$1"
	sees "$2" "$FS/link.$1" d/f1 "by a hard link out of the tree"
}

by_link_inside() {
	mkdir "$TREE/mine"
	ln "$TREE/d/f1" "$TREE/mine/link"
	sees "$2" "$TREE/mine/link" d/f1 "by a hard link in a directory of a user"
}

moved_out() {
	mv "$TREE/d/f1" "$FS/moved.$1"
	sees "$2" "$FS/moved.$1" d/f1 "moved out of the tree"
}

moved_inside() {
	mkdir "$TREE/mine"
	mv "$TREE/d/f1" "$TREE/mine/f1"
	sees "$2" "$TREE/mine/f1" d/f1 "moved into a directory of a user"
}

moved_open() {
	exec 7<"$TREE/d/f1"
	mv "$TREE/d/f1" "$FS/open.$1"
	it_equal "$(seen /dev/fd/7 "$ORIGIN/d/f1")" "$2" "open when it was moved out"
	exec 7<&-
}

directory_moved_out() {
	mv "$TREE/d" "$FS/dir.$1"
	sees "$2" "$FS/dir.$1/f1" d/f1 "in a directory that was moved out"
}

by_handle() {
	echo d/f1 | "$HANDLES" take "$TREE" >taken
	rc=0
	"$HANDLES" same "$TREE" "$ORIGIN" <taken 2>said || rc=$?
	case $2/$rc in
	true/0 | zeros/1) ;;
	*) it_fail "by handle: $rc, $(cat said)" ;;
	esac
}

# The kernel knows no name of the inode any more when it is opened.
by_handle_nameless() {
	echo d/f1 | "$HANDLES" take "$TREE" >taken
	it_hsmctl stop "$CACHE"
	it_wait_until 10 it_no_daemon || it_fail "it does not end"
	"${IT_CMD[@]}"
	mount -o remount "$FS"
	rc=0
	"$HANDLES" same "$TREE" "$ORIGIN" <taken 2>said || rc=$?
	case $2/$rc in
	true/0 | zeros/1) ;;
	*) it_fail "by handle without a name: $rc, $(cat said)" ;;
	esac
}

unlinked() {
	exec 7<"$TREE/d/f1"
	rm "$TREE/d/f1"
	it_equal "$(seen /dev/fd/7 "$ORIGIN/d/f1")" "$2" "removed while open"
	exec 7<&-
}

# way SCHEME WANTED WAY
way() {
	it_start --marks "$1" "$ORIGIN"
	it_walk
	"$3" "$1" "$2"
	# What is not covered is not damaged: the cache's own name, if there is one, still fills.
	[ ! -e "$TREE/d/f2" ] || sees true "$TREE/d/f2" d/f2 "another one"
}

# ---- the life of marks ----

# At the end nothing is marked that need not be.
marks_go() {
	it_start --marks "$1" "$ORIGIN"
	it_walk
	find "$TREE" -type f -exec cat {} + >/dev/null
	case $1 in
	dir)
		it_wait_until 5 no_parents || it_fail "$(mark_counter parents) directories stay marked"
		it_equal "$(mark_counter file_set)" 0 "marks on files"
		;;
	inode)
		it_equal "$(mark_counter file_set)" "$(mark_counter file_removed)" "marks on files"
		# One is how the daemon learns that all changes were told.
		it_equal "$(kernel_marks ino)" 1 "marks on inodes, says the kernel"
		;;
	*) it_at_least "$(mark_counter ignore_set)" 1 "ignore marks" ;;
	esac
	it_equal "$(mark_counter errors)" 0 "errors"
}

no_parents() {
	[ "$(mark_counter parents)" = 0 ] &&
		[ "$(mark_counter parent_set)" = "$(mark_counter parent_removed)" ]
}

# Complete and without its mark: a stub that a refresh adds, or makes new, is covered.
refreshed() {
	local origin=$CASE/o

	cp -a "$ORIGIN" "$origin"
	it_start --marks "$1" "$origin"
	it_walk
	find "$TREE" -type f -exec cat {} + >/dev/null
	[ "$1" != dir ] || it_wait_until 5 no_parents || it_fail "a mark stays"
	it_random "$origin/d/new" 300000
	it_random "$origin/d/f1.tmp" 200000
	mv "$origin/d/f1.tmp" "$origin/d/f1"
	it_hsmctl refresh "$CACHE"
	it_equal "$(seen "$TREE/d/new" "$origin/d/new")" true "a new one"
	it_equal "$(seen "$TREE/d/f1" "$origin/d/f1")" true "one that changed"
	[ "$1" != dir ] || it_wait_until 5 no_parents || it_fail "a mark stays"
}

evicted() {
	it_start --marks "$1" "$ORIGIN"
	it_walk
	find "$TREE" -type f -exec cat {} + >/dev/null
	[ "$1" != dir ] || it_wait_until 5 no_parents || it_fail "a mark stays"
	it_hsmctl evict "$CACHE" d
	[ "$(stat -c %b "$TREE/d/f1")" -lt 16 ] || it_fail "nothing was evicted"
	sees true "$TREE/d/f1" d/f1 "evicted"
	it_hsmctl evict "$CACHE" d/f2
	cat "$TREE/d/f2" >/dev/null
	it_hsmctl evict "$CACHE" d/f2
	it_stop
	it_start --marks "$1" "$ORIGIN"
	sees true "$TREE/d/f2" d/f2 "evicted before a restart"
	it_equal "$(mark_counter errors)" 0 "errors"
}

# What the walk finds: "directories files marked" of the status.
restarted() {
	it_start --marks "$1" "$ORIGIN"
	it_walk
	cat "$TREE/d/f1" >/dev/null
	it_stop
	it_start --marks "$1" "$ORIGIN"
	it_equal "$(it_hsmctl --json status "$CACHE" | jq -c '.walk | [.directories, .files, .marked]')" \
		"$2" "walk: directories, files, marked"
	sees true "$TREE/d/f2" d/f2 "after a restart"
	sees true "$TREE/d/f1" d/f1 "after a restart, complete before"
	it_stop
}

# Users move, remove and link while files fill: no count gets so wrong that a stub is not covered.
counts_go_wrong() {
	local i

	it_start --marks "$1" "$ORIGIN"
	it_walk
	for i in 1 2 3 4 5; do
		mv "$TREE/many/$i" "$TREE/d/"
		rm "$TREE/many/1$i"
		ln "$TREE/many/2$i" "$TREE/d/link.$i"
	done
	for i in 1 2 3 4 5; do
		sees true "$TREE/d/$i" "many/$i" "moved to where there are stubs"
		sees true "$TREE/d/link.$i" "many/2$i" "linked to where there are stubs"
	done
	for i in {26..40} 6 7 8 9 10; do
		sees true "$TREE/many/$i" "many/$i" "the rest"
	done
	for i in 1 2; do
		sees true "$TREE/d/f$i" "d/f$i" "the rest"
	done
	it_equal "$(mark_counter errors)" 0 "errors"
}

mkdir -p "$ORIGIN/d/e" "$ORIGIN/many"
head -c 300000 /dev/zero >"$HSM_WORK/zeros"
it_random "$ORIGIN/top" 300000
for i in f1 f2 e/g; do
	it_random "$ORIGIN/d/$i" 300000
done
for i in {1..40}; do
	it_random "$ORIGIN/many/$i" 300000
done

# shellcheck disable=SC2034 # used by name
# WAY, then what the reader gets under fs, mount, dir, inode.
while read -r what fs mount dir inode; do
	for scheme in fs mount dir inode; do
		it_case "$what, $scheme" way $scheme "${!scheme}" "$what"
	done
done <<END
by_name              true true  true  true
by_bind_mount        true zeros true  true
by_namespace         true zeros true  true
by_link              true true  zeros true
by_link_inside       true true  zeros true
moved_out            true true  zeros true
moved_inside         true true  zeros true
moved_open           true true  zeros true
directory_moved_out  true true  true  true
by_handle            true true  true  true
by_handle_nameless   true true  zeros true
unlinked             true true  true  true
END
for scheme in fs mount dir inode; do
	it_case "marks go, $scheme" marks_go $scheme
	it_case "after a refresh, $scheme" refreshed $scheme
	it_case "after an eviction, $scheme" evicted $scheme
	it_case "counts go wrong, $scheme" counts_go_wrong $scheme
done
it_case "the walk, fs" restarted fs "[4,0,0]"
it_case "the walk, mount" restarted mount "[4,0,0]"
it_case "the walk, dir" restarted dir "[4,44,4]"
it_case "the walk, inode" restarted inode "[4,44,43]"
it_end
