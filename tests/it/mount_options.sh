#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FRONT-END: fuse
# The mount of fuse_hsm as users of mount(8) and fstab(5) know mounts: options, a dead daemon, a
# stale mount, unmounting with data that is not written yet.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
mkdir -p "$ORIGIN/dir"
it_random "$ORIGIN/file" 300000
echo text >"$ORIGIN/dir/text"

# Field N of the mount's line in mountinfo, counted from the end when negative.
mount_line() {
	awk -v m="$MNT" '$5 == m' /proc/self/mountinfo
}

# mounts OPTIONS: by mount(8), in its form.
mounts() {
	it_say "+ mount -o $1"
	timeout 60 mount -t fuse "$BIN/fuse_hsm#$ORIGIN" "$MNT" -o "$1" || it_fail "mount failed"
	: >"$CASE/running"
	it_daemon_pids >/dev/null
}

by_mount() {
	mounts "cache=$CACHE,fsname=disk7,noatime,nosuid,nofail,_netdev,x-systemd.automount,chunk=128K"
	it_same_file "$MNT/file" "$ORIGIN/file"
	case $(mount_line) in
	*nosuid*noatime*"fuse.fuse_hsm disk7"*) ;;
	*) it_fail "$(mount_line)" ;;
	esac
	umount "$MNT"
	rm -f "$CASE/running"
	it_gone
}

by_fstab() {
	printf '%s#%s %s fuse cache=%s,ro,defaults,noauto 0 0\n' "$BIN/fuse_hsm" "$ORIGIN" "$MNT" \
		"$CACHE" >fstab
	timeout 60 mount -T fstab "$MNT"
	: >"$CASE/running"
	it_same_file "$MNT/file" "$ORIGIN/file"
	touch "$MNT/new" 2>err && it_fail "not read-only"
	grep -q "Read-only file system" err || it_fail "$(cat err)"
}

# bad OPTIONS: refused with exit code 2, a reason, and nothing mounted.
bad() {
	local rc=0

	timeout 60 "$BIN/fuse_hsm" "$ORIGIN" "$MNT" -o "$1" 2>err || rc=$?
	it_equal $rc 2 "$1"
	[ -s err ] || it_fail "no reason for $1"
	[ -z "$(mount_line)" ] || it_fail "mounted with $1"
}

bad_options() {
	bad "cache=$CACHE,no_such_option"
	bad "cache=$CACHE,mode=fast"
	bad "cache=$CACHE,threads=none"
	bad "cache=$CACHE,mode=base,uring"
	bad "cache=$CACHE,uring=3"
	bad "mode=default"
}

# A limit of who starts the daemon does not end it, or limit what others write.
file_size_limit() {
	(
		ulimit -S -f 100
		it_start "$ORIGIN"
	)
	it_same_file "$MNT/file" "$ORIGIN/file"
	head -c 500000 "$BIN/fuse_hsm" >"$MNT/dir/large"
	cmp -n 500000 "$BIN/fuse_hsm" "$MNT/dir/large" || it_fail "another content"
}

# The kernel must answer ENOTCONN at once to everybody, also to who was waiting.
dead_daemon() {
	it_origin "$ORIGIN"
	it_start "$URL"
	ls "$MNT" >/dev/null
	it_fault "/file stall 60000"
	timeout 60 cat "$MNT/file" >/dev/null 2>err &
	reader=$!
	sleep 1
	# shellcheck disable=SC2046
	it_kill_pids KILL $(it_daemon_pids)
	rm -f "$CASE/running"
	wait $reader && it_fail "the reader got an answer"
	timeout 10 stat "$MNT/file" 2>err && it_fail "still there"
	grep -q "Transport endpoint is not connected" err || it_fail "$(cat err)"
	it_fault
	it_start "$URL"
	it_same_file "$MNT/file" "$ORIGIN/file"
	it_equal "$(mount_line | wc -l)" 1 "mounts on the mount point"
}

# Data the kernel has collected reaches the cache before the mount is gone.
dirty_unmount() {
	it_start --mode opt "$ORIGIN"
	it_random data 30000000
	cat data >"$MNT/dir/new"
	dd if=data of="$MNT/file" bs=1000 count=100 seek=33 conv=notrunc status=none
	cp "$ORIGIN/file" expected
	dd if=data of=expected bs=1000 count=100 seek=33 conv=notrunc status=none
	"$1"
	it_wait_until 20 it_no_daemon || it_fail "the daemon did not end"
	it_start "$ORIGIN"
	it_same_file "$MNT/dir/new" data
	it_same_file "$MNT/file" expected
}

by_umount() {
	rm -f "$CASE/running"
	umount "$MNT"
}

by_sigterm() {
	rm -f "$CASE/running"
	# shellcheck disable=SC2046
	it_kill_pids TERM $(it_daemon_pids)
}

# A mapping written to, and its process killed, without msync: what umount finds is written.
dirty_mapping() {
	it_start "$ORIGIN"
	cp "$ORIGIN/file" expected
	for f in expected "$MNT/file"; do
		python3 - "$f" <<-'END'
			import mmap, os, sys
			fd = os.open(sys.argv[1], os.O_RDWR)
			m = mmap.mmap(fd, 0)
			m[4000:9000] = b"x" * 5000
			os._exit(0)
		END
	done
	it_same_file "$MNT/file" expected
	it_stop
	it_start "$ORIGIN"
	it_same_file "$MNT/file" expected
}

it_case "mount(8)" by_mount
it_case "fstab(5)" by_fstab
it_case "bad options" bad_options
it_case "a small limit of file sizes" file_size_limit
it_case "a dead daemon" dead_daemon
it_case "umount with data not written yet" dirty_unmount by_umount
it_case "SIGTERM with data not written yet" dirty_unmount by_sigterm
it_case "a mapping written to" dirty_mapping
it_end
