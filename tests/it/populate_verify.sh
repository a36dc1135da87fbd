#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4 btrfs
# hsmctl: populate names or data, verify against the origin, status; with and without a daemon.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
CHUNK=65536

names() {
	it_start --namespace lazy "$ORIGIN"
	it_hsmctl populate "$CACHE" dir
	it_equal "$(it_counter bytes_fetched)" 0 "bytes fetched for names"
	[ -e "$TREE/dir/sub/three" ] || it_fail "populate dir did not make dir/sub/three"
}

data() {
	it_start --namespace lazy "$ORIGIN"
	it_hsmctl populate --data "$CACHE" dir
	it_equal "$(it_counter bytes_fetched)" 300003 "bytes fetched for dir"
	it_same_file "$TREE/dir/sub/three" "$ORIGIN/dir/sub/three"
	it_equal "$(it_counter bytes_fetched)" 300003 "bytes fetched after a read"
	it_hsmctl populate --data "$CACHE"
	it_equal "$(it_counter files_completed)" 3 "files completed"
	it_hsmctl verify "$CACHE"
}

one_file() {
	it_start --namespace lazy "$ORIGIN"
	it_hsmctl populate --data "$CACHE" dir/sub/three
	it_same_file "$TREE/dir/sub/three" "$ORIGIN/dir/sub/three"
}

no_such_path() {
	local rc=0

	it_start --namespace lazy "$ORIGIN"
	it_hsmctl populate "$CACHE" dir/nothing 2>err || rc=$?
	it_equal $rc 1 "exit code"
	it_equal "$(wc -l <err)" 1 "lines on stderr"
	grep -q nothing err || it_fail "the message does not name the path: $(cat err)"
}

# Cold, half-filled and complete files all verify.
verify_good() {
	it_start --readahead 0 "$ORIGIN"
	it_hsmctl verify "$CACHE"
	it_walk
	timeout 20 head -c 10000 "$TREE/one" >/dev/null
	it_same_file "$TREE/dir/sub/three" "$ORIGIN/dir/sub/three"
	it_hsmctl verify "$CACHE"
}

# One byte changed below the daemon: $1 = running | stopped. fan_hsm is told what is written while it
# runs, and takes it for a user's; so it is not running just then.
verify_corrupt() {
	local rc=0 file chunk=$((200000 / CHUNK))

	it_start --chunk $CHUNK "$ORIGIN"
	it_walk
	it_same_file "$TREE/dir/sub/three" "$ORIGIN/dir/sub/three"
	[ "$1/$HSM_FRONTEND" = running/fuse ] || it_stop
	file=$CACHE/data/dir/sub/three
	flip_byte "$file" 200000
	[ "$1/$HSM_FRONTEND" != running/fan ] || it_start --chunk $CHUNK "$ORIGIN"
	it_hsmctl verify "$CACHE" >out 2>err || rc=$?
	it_equal $rc 5 "exit code of verify"
	grep -q "dir/sub/three" out err || it_fail "verify does not name the file"
	cat out err | grep dir/sub/three | grep -qE "\\b($chunk|$((chunk * CHUNK)))\\b" ||
		it_fail "verify does not name chunk $chunk (offset $((chunk * CHUNK)))"
	cat out err | grep -q "one" && it_fail "verify names a file that is right"
	return 0
}

# Size and mtime stay, as with a bad disk.
flip_byte() {
	touch -r "$1" stamp
	printf '\377' | cmp -s - <(tail -c +$(($2 + 1)) "$1" | head -c 1) && it_fail "no change"
	printf '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
	sync -f "$1"
	touch -r stamp "$1"
}

# Without a daemon hsmctl opens the cache itself.
idle() {
	it_start --namespace lazy "$ORIGIN"
	it_stop
	it_hsmctl populate --data "$CACHE"
	it_hsmctl verify "$CACHE"
	it_hsmctl --json status "$CACHE" | jq -e . >/dev/null || it_fail "status is not JSON"
	it_start "$ORIGIN"
	it_walk
	it_same_file "$TREE/one" "$ORIGIN/one"
	it_equal "$(it_counter bytes_fetched)" 0 "bytes fetched again"
}

status() {
	it_start "$ORIGIN"
	it_hsmctl status "$CACHE" | grep -q . || it_fail "status for people is empty"
	it_hsmctl --json status "$CACHE" >status.json
	jq -e '.counters | (.bytes_fetched, .origin_fetches, .chunks_filled, .fill_errors) |
		numbers' status.json >/dev/null || it_fail "counters are missing"
	jq -e --arg name "${HSM_FRONTEND}_hsm" '.. | strings | select(. == $name)' \
		status.json >/dev/null || it_fail "the front-end does not say its name"
}

no_daemon() {
	local rc=0

	it_hsmctl stop "$CACHE" 2>err || rc=$?
	[ $rc != 0 ] || it_fail "stopped a daemon that does not run"
	it_equal "$(wc -l <err)" 1 "lines on stderr"
}

mkdir -p "$ORIGIN/dir/sub"
it_random "$ORIGIN/one" 1000001
it_random "$ORIGIN/dir/two" 2
it_random "$ORIGIN/dir/sub/three" 300001
it_case "populate names" names
it_case "populate data" data
it_case "populate one file" one_file
it_case "populate what is not there" no_such_path
it_case "verify, all right" verify_good
it_case "verify, a corrupt byte, daemon running" verify_corrupt running
it_case "verify, a corrupt byte, no daemon" verify_corrupt stopped
it_case "on an idle cache" idle
it_case "status" status
it_case "stop without a daemon" no_daemon
it_end
