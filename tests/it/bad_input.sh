#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What users get wrong: one line that says what to do, the documented exit code, nothing left.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin

# refused CODE ORIGIN [OPTION...]
refused() {
	local code=$1 origin=$2

	shift 2
	it_command "$@" "$origin"
	it_refused "$code" "${IT_CMD[@]}"
}

unreachable() {
	it_origin "$ORIGIN"
	it_fault "* refuse"
	refused 3 "$URL" --retries 0
	grep -q "${URL%/}" err || it_fail "the message does not name the origin"
}

origin_500() {
	it_origin "$ORIGIN"
	it_fault "* status 500"
	refused 3 "$URL" --retries 0
}

unknown_host() {
	refused 3 http://no-such-host.invalid/ --retries 0
}

origin_is_a_file_url() {
	it_origin "$ORIGIN"
	refused 3 "${URL}file"
}

origin_is_a_file() {
	refused 3 "$ORIGIN/file"
}

origin_missing() {
	refused 3 "$CASE/nothing"
}

# Not a scheme we know; a user must not get a mirror of a directory named "ftp:".
wrong_scheme() {
	local scheme

	for scheme in ftp://127.0.0.1/ https//127.0.0.1/ file:///etc "http:/" "http://"; do
		it_command "$scheme"
		timeout 40 "${IT_CMD[@]}" 2>err && it_fail "accepted $scheme"
		it_equal "$(wc -l <err)" 1 "lines on stderr for $scheme"
		it_gone
	done
}

cache_missing() {
	CACHE=$FS/nowhere/cache
	refused 3 "$ORIGIN"
}

cache_is_a_file() {
	rmdir "$CACHE"
	echo x >"$CACHE"
	refused 3 "$ORIGIN"
}

# No pre-content events on tmpfs. FUSE does not need them: it either serves or refuses.
cache_on_tmpfs() {
	mkdir tmpfs
	mount -t tmpfs none tmpfs
	CACHE=$CASE/tmpfs/cache
	mkdir "$CACHE"
	it_command "$ORIGIN"
	if [ "$HSM_FRONTEND" = fuse ] && timeout 40 "${IT_CMD[@]}" 2>err; then
		: >running
		it_same_file "$TREE/file" "$ORIGIN/file"
		it_hsmctl stop "$CACHE"
		rm running
	else
		timeout 40 "${IT_CMD[@]}" 2>err && it_fail "serves from tmpfs"
		it_equal "$(wc -l <err)" 1 "lines on stderr"
		grep -qi "file system\|tmpfs" err || it_fail "not said why: $(cat err)"
		[ -z "$(it_daemon_pids)" ] || it_fail "a process is left"
	fi
	umount tmpfs || it_fail "the file system is still in use"
}

# Another daemon has the cache; it must not notice.
locked() {
	local rc=0

	it_start "$ORIGIN"
	it_walk
	mkdir mnt2
	MNT=$CASE/mnt2
	it_command "$ORIGIN"
	timeout 40 "${IT_CMD[@]}" 2>err || rc=$?
	it_equal $rc 3 "exit code"
	it_equal "$(wc -l <err)" 1 "lines on stderr"
	grep -q "$CACHE" err || it_fail "the message does not name the cache: $(cat err)"
	MNT=$CASE/mnt
	it_command "$ORIGIN"
	it_same_file "$TREE/file" "$ORIGIN/file"
}

# The cache belongs to another origin: its files must not be mixed.
other_origin() {
	cp -r "$ORIGIN" other
	it_start "$ORIGIN"
	it_walk
	it_stop
	refused 3 "$CASE/other"
}

no_mount_point() {
	rmdir "$MNT"
	refused 2 "$ORIGIN"
	[ ! -e "$MNT" ] || it_fail "the mount point was made"
}

mount_point_in_use() {
	echo precious >"$MNT/file"
	refused 2 "$ORIGIN"
	it_equal "$(cat "$MNT/file")" precious "the file there"
}

mount_point_is_a_file() {
	rmdir "$MNT"
	echo precious >"$MNT"
	refused 2 "$ORIGIN"
}

# An ordinary user, and root without its capabilities.
no_privilege() {
	it_command "$ORIGIN"
	chmod 755 "$HSM_WORK" "$CASE"
	chown nobody "$CACHE" "$MNT"
	it_refused 3 setpriv --reuid=65534 --regid=65534 --clear-groups "${IT_CMD[@]}"
	it_refused 3 setpriv --bounding-set=-all --inh-caps=-all "${IT_CMD[@]}"
}

usage() {
	local rc

	for args in "" "$ORIGIN" "$ORIGIN $CACHE $MNT more" "--no-such-option $ORIGIN $CACHE $MNT" \
		"--chunk 3 $ORIGIN $CACHE $MNT" "--chunk" "--namespace never $ORIGIN $CACHE $MNT" \
		"--timeout soon $ORIGIN $CACHE $MNT"; do
		rc=0
		# shellcheck disable=SC2086
		timeout 20 "$BIN/${HSM_FRONTEND}_hsm" $args 2>err >out || rc=$?
		it_equal $rc 2 "exit code of '$args'"
		it_equal "$(wc -l <err)" 1 "lines on stderr of '$args'"
	done
	timeout 20 "$BIN/${HSM_FRONTEND}_hsm" --help 2>err | grep -q -- --chunk || it_fail "--help"
	[ ! -s err ] || it_fail "--help writes to stderr"
	timeout 20 "$BIN/${HSM_FRONTEND}_hsm" --version | grep -q hsm || it_fail "--version"
}

# The cache is full while a file is filled: the reader hears of it, and when there is room
# again the same daemon goes on.
full_disk() {
	it_mkfs "$HSM_FS" 512M "$CASE/small"
	CACHE=$CASE/small/cache
	mkdir "$CACHE"
	it_start "$ORIGIN"
	it_walk
	fallocate -l $(($(stat -f -c '%a * %S' "$CASE/small") - 9000000)) "$CASE/small/ballast"
	: >read.out
	it_read "$TREE/large" && it_fail "read 64 MiB with room for 9"
	grep -q "No space left\|Input/output error" read.err || it_fail "$(cat read.err)"
	cmp -n "$(stat -c %s read.out)" read.out "$ORIGIN/large" || it_fail "false bytes"
	grep -q "No space left" read.err || it_fail "not ENOSPC but $(cat read.err)"
	rm "$CASE/small/ballast"
	sync -f "$CASE/small"
	it_same_file "$TREE/large" "$ORIGIN/large"
	it_hsmctl stop "$CACHE"
	rm running
	it_wait_until 10 it_no_daemon || it_fail "still running"
}

mkdir -p "$ORIGIN"
echo content >"$ORIGIN/file"
it_random "$ORIGIN/large" 67108864
it_case "unreachable origin" unreachable
it_case "origin answers 500" origin_500
it_case "unknown host" unknown_host
it_case "origin URL is a file" origin_is_a_file_url
it_case "origin is a file" origin_is_a_file
it_case "origin does not exist" origin_missing
it_case "wrong scheme" wrong_scheme
it_case "cache directory missing" cache_missing
it_case "cache is a file" cache_is_a_file
it_case "cache on tmpfs" cache_on_tmpfs
it_case "cache locked" locked
it_case "cache of another origin" other_origin
it_case_on fuse "mount point missing" no_mount_point
it_case_on fuse "mount point not empty" mount_point_in_use
it_case_on fuse "mount point is a file" mount_point_is_a_file
it_case "no privilege" no_privilege
it_case "usage" usage
it_case "full disk" full_disk
it_end
