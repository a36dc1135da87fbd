#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The end of a daemon while people wait for it: they get an error soon, none hangs, nothing stays.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin

# 20 readers in one file, 5 listers in a directory, an origin that does not answer.
block_readers() {
	local i

	it_origin "$ORIGIN"
	it_start --namespace lazy "$URL"
	ls "$TREE" >/dev/null
	it_fault "/file stall 60000" "/dir/ stall 60000"
	READERS=
	for i in {1..20}; do
		timeout -k 1 30 dd if="$TREE/file" of="got.$i" bs=64K skip=$((i * 8)) count=1 \
			status=none 2>"err.$i" &
		READERS="$READERS $!"
	done
	for i in {21..25}; do
		timeout -k 1 30 ls "$TREE/dir" >"got.$i" 2>"err.$i" &
		READERS="$READERS $!"
	done
	sleep 1
}

# All ended, none with success, none with a byte that is not true.
readers_ended() {
	local pid rc i

	for pid in $READERS; do
		rc=0
		wait "$pid" || rc=$?
		[ $rc -lt 124 ] || it_fail "a reader hung"
		[ $rc != 0 ] || it_fail "a reader had success without data"
	done
	for i in {1..25}; do
		[ ! -s "got.$i" ] || it_fail "reader $i got $(stat -c %s "got.$i") bytes from nowhere"
	done
}

# ended_by SECONDS COMMAND...
ended_by() {
	local start limit=$1

	shift
	block_readers
	rm -f running
	start=$(date +%s%N)
	"$@"
	it_wait_until 20 it_no_daemon || it_fail "the daemon does not end"
	it_at_most $((($(date +%s%N) - start) / 1000000)) $((limit * 1000)) "milliseconds to the end"
	readers_ended
	it_at_most $((($(date +%s%N) - start) / 1000000)) $((limit * 1000 + 1000)) \
		"milliseconds until the readers ended"
	it_gone
}

send() {
	# shellcheck disable=SC2046
	it_kill_pids "$1" $(it_daemon_pids)
}

stop() {
	it_hsmctl stop "$CACHE"
}

# umount of a FUSE mount by the administrator ends the daemon, too.
unmounted() {
	it_start "$ORIGIN"
	it_same_file "$TREE/file" "$ORIGIN/file"
	rm running
	umount "$MNT"
	it_wait_until 10 it_no_daemon || it_fail "the daemon goes on without its mount"
	it_gone
}

# Somebody stands in the tree, or has a file open: the daemon ends all the same.
in_use() {
	it_start "$ORIGIN"
	it_walk
	exec 7<"$TREE/file"
	cd "$TREE/dir" || exit
	rm "$CASE/running"
	"$@"
	it_wait_until 10 it_no_daemon || it_fail "the daemon does not end"
	exec 7<&-
	cd "$CASE" || exit
	it_gone
}

# In the foreground: the same, exit code 0.
foreground() {
	local rc=0 pid

	it_command -f "$ORIGIN"
	timeout 30 "${IT_CMD[@]}" 2>daemon.err &
	pid=$!
	it_wait_until 10 test -S "$CACHE/meta/control" || it_fail "does not serve"
	it_walk
	it_same_file "$TREE/file" "$ORIGIN/file"
	send TERM
	wait $pid || rc=$?
	it_equal $rc 0 "exit code"
	it_gone
}

# Asked for its statistics by a signal it goes on.
usr1() {
	it_start "$ORIGIN"
	it_walk
	send USR1
	sleep 0.2
	it_same_file "$TREE/file" "$ORIGIN/file"
}

mkdir -p "$ORIGIN/dir"
it_random "$ORIGIN/file" 16777216
echo inside >"$ORIGIN/dir/inside"
it_case "SIGTERM, 25 waiting" ended_by 5 send TERM
it_case "SIGINT, 25 waiting" ended_by 5 send INT
it_case "hsmctl stop, 25 waiting" ended_by 5 stop
it_case_on fuse "umount" unmounted
it_case "SIGTERM, tree in use" in_use send TERM
it_case "hsmctl stop, tree in use" in_use stop
it_case "foreground" foreground
it_case "SIGUSR1" usr1
it_end
