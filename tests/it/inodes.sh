#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4 btrfs
# What the daemon keeps of inodes the kernel knows: how much, for how long, and that a number which is
# used again is another file.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
NAMES=5000

make_origin() {
	local d

	for d in {1..10}; do
		mkdir -p "$ORIGIN/$d/sub"
		(cd "$ORIGIN/$d" && seq $((NAMES / 10)) | xargs -n 1000 touch)
		it_random "$ORIGIN/$d/sub/data" $((d * 30000))
	done
}

inodes() {
	it_hsmctl --json status "$CACHE" | jq ".$1"
}

descriptors() {
	find "/proc/$(it_daemon_pids)/fd" -mindepth 1 | wc -l
}

at_most_inodes() {
	[ "$(inodes inodes)" -le "$1" ]
}

# As memory pressure does, once.
forget_all() {
	sync -f "$TREE"
	echo 2 >/proc/sys/vm/drop_caches
	it_wait_until 10 at_most_inodes 20 || it_fail "$(inodes inodes) inodes are still known"
}

# Somebody else may drop the caches at any time: then walk again.
walked_and_known() {
	local held

	timeout 60 find "$TREE" -size +1G
	held=$(descriptors)
	it_hsmctl --json status "$CACHE" |
		jq -e ".inodes >= $NAMES and .inode_bytes <= 150 * .inodes" >/dev/null || return 1
	case $* in
	*fd*) [ "$held" -ge $NAMES ] ;;
	*) [ "$held" -le 300 ] ;;
	esac
}

# The memory for them goes back with them, and a second walk finds what the first found.
come_and_go() {
	local before

	it_start "$@" "$ORIGIN"
	before=$(inodes inode_bytes)
	it_manifest "$TREE" >"$CASE/first"
	it_wait_until 30 walked_and_known "$@" ||
		it_fail "$(inodes inodes) inodes, $(inodes inode_bytes) bytes, $(descriptors) descriptors"
	forget_all
	it_at_most "$(inodes inode_bytes)" $((before + 64 * 4096)) "bytes kept"
	it_manifest "$TREE" >"$CASE/second"
	it_manifest "$ORIGIN" >"$CASE/origin"
	cmp "$CASE/first" "$CASE/origin"
	cmp "$CASE/second" "$CASE/origin"
}

# A few hundred descriptors, and more names than that.
too_many() {
	it_command -f --inodes fd "$ORIGIN"
	: >"$CASE/running"
	prlimit --nofile=800:800 "${IT_CMD[@]}" 2>"$CASE/daemon.err" &
	it_wait_until 10 mountpoint -q "$MNT" || it_fail "not mounted"
	timeout 60 find "$TREE" -type f -exec stat -c %s {} + >"$CASE/out" 2>"$CASE/err" &&
		it_fail "all of them were found"
	grep -q "Too many open files" "$CASE/err" || it_fail "no word of open files"
	it_equal "$(grep -c -- "--inodes handle" "$CASE/daemon.err")" 1 "lines in the log"
	# Others are forgotten, and there is room again, also for open files.
	forget_all
	it_same_file "$TREE/3/sub/data" "$ORIGIN/3/sub/data"
}

make_origin
it_case_on fuse "come and go" come_and_go
it_case_on fuse "come and go, as descriptors" come_and_go --inodes fd
it_case_on fuse "more than descriptors" too_many

# A file and a directory lose their last name while something refers to them without having them
# open: they stay what they were, and nothing new gets their numbers.
removed() {
	it_start "$@" "$ORIGIN"
	mkdir "$TREE/gone"
	timeout 200 python3 - "$TREE/gone" "$FS" <<-'END'
		import os, subprocess, sys

		tree, below = sys.argv[1:]

		def put(name, text):
		    with open(name, "w") as out:
		        out.write(text)

		for how in "unlinked", "replaced":
		    old = f"{tree}/old"
		    put(old, "old")
		    number = os.stat(old).st_ino
		    fd = os.open(old, os.O_PATH)
		    if how == "unlinked":
		        os.unlink(old)
		    else:
		        put(f"{tree}/other", "other")
		        os.rename(f"{tree}/other", old)
		    for n in range(200):
		        put(f"{tree}/new", "new")
		        assert os.stat(f"{tree}/new").st_ino != number, how
		        os.unlink(f"{tree}/new")
		        if n % 50 == 49:
		            subprocess.run(["sync", "-f", below], check=True)
		    st = os.fstat(fd)
		    assert st.st_nlink == 0 and st.st_size == 3 and st.st_ino == number, st
		    with open(f"/proc/self/fd/{fd}") as f:
		        assert f.read() == "old"
		    os.close(fd)
		os.mkdir(f"{tree}/dir")
		os.chdir(f"{tree}/dir")
		os.rmdir(f"{tree}/dir")
		assert os.listdir(".") == []
		os.stat(".")
		os.chdir("/")
	END
}

# What was removed costs nothing once nobody refers to it.
removed_many() {
	it_start "$ORIGIN"
	mkdir "$TREE/many"
	seq -f "$TREE/many/%.0f" 6000 | xargs touch
	rm -r "$TREE/many"
	it_wait_until 10 few_descriptors || it_fail "$(count_descriptors) descriptors"
}

count_descriptors() {
	ls "/proc/$(it_daemon_pids | head -n 1)/fd" | wc -l
}

few_descriptors() {
	[ "$(count_descriptors)" -lt 200 ]
}

it_case_on fuse "removed, and still referred to" removed
it_case_on fuse "removed, as descriptors" removed --inodes fd
it_case_on fuse "removed in numbers" removed_many
it_end
