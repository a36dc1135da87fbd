#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What users change is theirs: the origin's bytes and names never come back over it. A FUSE mount
# that is asked to be read-only is.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin

begin() {
	it_start "$@" "$ORIGIN"
	it_walk
}

# refuses COMMAND...
refuses() {
	timeout 20 "$@" 2>err && it_fail "worked: $*"
	grep -q "Read-only file system" err || it_fail "$*: $(cat err)"
}

fuse_refuses() {
	begin -o ro
	refuses touch "$TREE/new"
	refuses touch "$TREE/cold"
	refuses mkdir "$TREE/newdir"
	refuses rm "$TREE/cold"
	refuses rmdir "$TREE/dir"
	refuses mv "$TREE/cold" "$TREE/moved"
	refuses ln "$TREE/cold" "$TREE/link"
	refuses ln -s cold "$TREE/symlink"
	refuses chmod 600 "$TREE/cold"
	refuses truncate -s 5 "$TREE/cold"
	refuses dd if=/dev/null of="$TREE/cold" conv=notrunc
	refuses setfattr -n user.a -v b "$TREE/cold"
	refuses mkfifo "$TREE/fifo"
	# The mount flag is the kernel's, the promise is the daemon's.
	mount -i -o remount,rw "$TREE"
	refuses touch "$TREE/new"
	refuses rm "$TREE/cold"
	refuses chmod 600 "$TREE/cold"
	it_same_file "$TREE/cold" "$ORIGIN/cold"
}

# The HSM's own state is not shown and cannot be forged.
hidden_state() {
	begin
	it_same_file "$TREE/cold" "$ORIGIN/cold"
	getfattr -d -m - "$TREE/cold" "$TREE/dir" "$TREE" >attrs 2>&1
	grep -q hsm attrs && it_fail "state is shown: $(grep hsm attrs)"
	setfattr -n trusted.hsm -v x "$TREE/cold" 2>err && it_fail "state can be forged"
	return 0
}

# survives PATH CONTENT: now, after reads, after populate, after a restart.
survives() {
	it_equal "$(timeout 20 cat "$1")" "$2" "right away"
	it_hsmctl populate --data "$CACHE" || :
	it_equal "$(timeout 20 cat "$1")" "$2" "after populate --data"
	it_stop
	it_start "$ORIGIN"
	it_walk
	it_equal "$(timeout 20 cat "$1")" "$2" "after a restart"
}

local_file() {
	begin
	echo mine >"$TREE/dir/mine"
	truncate -s 1M "$TREE/dir/hole"
	survives "$TREE/dir/mine" mine
	cmp -n 1048576 "$TREE/dir/hole" /dev/zero || it_fail "a local hole was filled"
}

# A name of the origin, taken by a local file before the directory was ever listed.
local_before_listing() {
	it_start --namespace lazy "$ORIGIN"
	ls "$TREE" >/dev/null
	echo mine >"$TREE/dir/inside"
	survives "$TREE/dir/inside" mine
}

sed_in_place() {
	begin
	timeout 20 sed -i s/remote/local/ "$TREE/text"
	survives "$TREE/text" "local content"
}

rename_over() {
	begin
	echo mine >"$TREE/mine"
	mv "$TREE/mine" "$TREE/cold"
	survives "$TREE/cold" mine
}

# A stub moved elsewhere still is what it was.
moved_stub() {
	begin
	mv "$TREE/cold" "$TREE/dir/moved"
	it_same_file "$TREE/dir/moved" "$ORIGIN/cold"
	ln "$TREE/other" "$TREE/dir/hardlink"
	it_same_file "$TREE/dir/hardlink" "$ORIGIN/other"
}

# A write into a stub: the rest of the chunk is the origin's, the written bytes the user's.
write_into_stub() {
	begin
	cp "$ORIGIN/cold" expected
	for f in expected "$TREE/cold"; do
		printf LOCAL | dd of="$f" bs=1 seek=70000 conv=notrunc status=none
	done
	it_same_file "$TREE/cold" expected
	it_hsmctl populate --data "$CACHE" || :
	it_stop
	it_start "$ORIGIN"
	it_same_file "$TREE/cold" expected
}

append_to_stub() {
	begin
	cp "$ORIGIN/cold" expected
	echo appended >>expected
	echo appended >>"$TREE/cold"
	it_same_file "$TREE/cold" expected
}

truncate_stub() {
	begin
	truncate -s 100000 "$TREE/cold"
	cmp "$TREE/cold" <(head -c 100000 "$ORIGIN/cold") || it_fail "the part before the cut"
	: >"$TREE/other"
	truncate -s 50000 "$TREE/other"
	cmp "$TREE/other" <(head -c 50000 /dev/zero) || it_fail "bytes of the origin came back"
}

# A name the user removed does not come back by itself.
removed() {
	begin
	rm "$TREE/cold"
	it_walk
	[ ! -e "$TREE/cold" ] || it_fail "a removed file came back"
	it_stop
	it_start "$ORIGIN"
	it_walk
	[ ! -e "$TREE/cold" ] || it_fail "a removed file came back after a restart"
}

mkdir -p "$ORIGIN/dir"
it_random "$ORIGIN/cold" 1000000
it_random "$ORIGIN/other" 1000000
echo "remote content" >"$ORIGIN/text"
echo inside >"$ORIGIN/dir/inside"
it_case_on fuse "a read-only mount refuses writes" fuse_refuses
it_case_on fuse "state is hidden" hidden_state
it_case "a local file" local_file
it_case "a local file where a stub would be" local_before_listing
it_case "sed -i on a stub" sed_in_place
it_case "rename over a stub" rename_over
it_case "a moved and a linked stub" moved_stub
it_case "a write into a stub" write_into_stub
it_case "an append to a stub" append_to_stub
it_case "a truncated stub" truncate_stub
it_case "a removed stub" removed
it_end
