#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4 btrfs
# However many wait for the same bytes, the origin is asked once.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
SIZE=67108864

# Reads the whole file, beginning at megabyte $1 and coming round.
read_from() {
	timeout 60 dd if="$TREE/file" bs=1M skip="$1" status=none |
		cmp - <(tail -c +$(($1 * 1048576 + 1)) "$ORIGIN/file") &&
		timeout 60 dd if="$TREE/file" bs=1M count="$1" iflag=fullblock status=none |
		cmp - <(head -c $(($1 * 1048576)) "$ORIGIN/file")
}

# wait_all PID...
wait_all() {
	local pid

	for pid; do
		wait "$pid" || it_fail "a reader failed or got false bytes"
	done
}

# 16 readers, each starting elsewhere.
concurrent_readers() {
	local i pids=

	it_origin "$ORIGIN"
	it_start "$@" "$URL"
	it_walk
	for i in {0..15}; do
		read_from $((i * 4)) &
		pids="$pids $!"
	done
	# shellcheck disable=SC2086
	wait_all $pids
	it_fetched_once /file $SIZE
	it_equal "$(it_counter bytes_fetched)" $SIZE "bytes fetched"
	it_equal "$(it_counter files_completed)" 1 "files completed"
}

# 16 readers of the same first byte while the origin is slow.
same_byte() {
	local i pids=

	it_origin "$ORIGIN"
	it_start "$URL"
	it_walk
	it_fault "/file stall 500"
	for i in {1..16}; do
		timeout 20 head -c 1 "$TREE/file" >"byte.$i" &
		pids="$pids $!"
	done
	# shellcheck disable=SC2086
	wait_all $pids
	for i in {1..16}; do
		cmp -n 1 "byte.$i" "$ORIGIN/file"
	done
	it_equal "$(it_ranges /file | awk '$1 == 0' | wc -l)" 1 "requests for the first byte"
}

# 16 listers of one cold directory.
same_directory() {
	local i pids=

	it_origin "$ORIGIN"
	it_fault "/many/ stall 500"
	it_start --namespace lazy "$URL"
	ls "$TREE" >/dev/null
	for i in {1..16}; do
		timeout 20 ls "$TREE/many" >"list.$i" &
		pids="$pids $!"
	done
	# shellcheck disable=SC2086
	wait_all $pids
	ls "$ORIGIN/many" >list
	for i in {1..16}; do
		cmp list "list.$i"
	done
	it_equal "$(grep -c '^GET /many/ ' origin.log)" 1 "listings asked for"
}

mkdir -p "$ORIGIN/many"
it_random "$ORIGIN/file" $SIZE
(cd "$ORIGIN/many" && seq -f 'name%g' 1000 | xargs touch)
it_case "16 readers of one file" concurrent_readers
it_case "16 readers, no read-ahead" concurrent_readers --readahead 0
it_case "16 readers of one byte" same_byte
it_case "16 listers of one directory" same_directory
it_end
