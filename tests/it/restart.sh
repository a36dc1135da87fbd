#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4 btrfs
# A daemon that ends, or is killed, in the middle of a file: what was fetched stays, the rest
# follows, and nobody ever reads zeros or waits for ever.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
SIZE=33554432

# Pieces all over the file, so that the map is not one run.
read_pieces() {
	local i

	for i in 0 3 4 9 17 30 31; do
		timeout 20 dd if="$TREE/file" bs=1M skip=$i count=1 status=none >piece
		dd if="$ORIGIN/file" bs=1M skip=$i count=1 status=none | cmp - piece
	done
}

# No byte of the log's first $1 lines is asked for again.
not_again() {
	awk -v first="$1" '
		$1 != "GET" || $2 != "/file" || $3 != 206 { next }
		NR <= first { for (b = $4; b < $4 + $6; b += 4096) have[b] = 1; next }
		{ for (b = $4; b < $4 + $5; b += 4096) if (b in have) { print "again: " b; bad = 1; exit } }
		END { exit bad }' origin.log || it_fail "what was fetched is fetched again"
}

# ends_with STOP: $1 = it_stop or it_kill9.
half_filled() {
	local lines fetched

	it_origin "$ORIGIN"
	it_start --readahead 0 "$URL"
	it_walk
	read_pieces
	fetched=$(it_counter bytes_fetched)
	"$1"
	lines=$(wc -l <origin.log)
	it_start "$URL"
	read_pieces
	it_equal "$(it_counter bytes_fetched)" 0 "bytes fetched for what is there"
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_equal "$(it_counter bytes_fetched)" $((SIZE - fetched)) "bytes fetched for the rest"
	not_again "$lines"
}

# The names and complete files stay, too: the origin may be away.
complete_stays() {
	it_origin "$ORIGIN"
	it_start "$URL"
	it_walk
	it_same_file "$TREE/file" "$ORIGIN/file"
	"$1"
	it_start "$URL"
	it_fault "* status 500"
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_equal "$(it_counter bytes_fetched)" 0 "bytes fetched again"
}

# The one process of fuse_hsm; of fan_hsm the one that serves, which its supervisor replaces.
kill_server() {
	if [ "$HSM_FRONTEND" = fuse ]; then
		it_kill9
	else
		kill -9 "$(it_hsmctl --json status "$CACHE" | jq .supervisor.pids.worker)"
	fi
}

# Killed while a reader waits for the origin. The reader ends; what it got is true. That of fan_hsm
# gets all.
hung_reader() {
	local rc=0 got

	it_origin "$ORIGIN"
	it_start --readahead 0 "$URL"
	it_walk
	it_fault "/file stall 60000"
	timeout -k 2 30 dd if="$TREE/file" of=got bs=1M skip=20 count=1 iflag=fullblock status=none &
	sleep 0.5
	kill_server
	it_fault
	[ "$HSM_FRONTEND" = fan ] || it_start "$URL"
	wait $! || rc=$?
	[ $rc -lt 124 ] || it_fail "the reader hung"
	[ "$HSM_FRONTEND" = fuse ] || it_equal $rc 0 "the reader's exit code"
	it_walk
	it_same_file "$TREE/file" "$ORIGIN/file"
	got=$(stat -c %s got)
	[ $rc != 0 ] || [ "$got" = 1048576 ] || it_fail "short read without an error"
	cmp -n "$got" got <(tail -c +20971521 "$ORIGIN/file") || it_fail "the reader got false bytes"
}

# Many kills at arbitrary moments while a reader runs through; then all is right.
kill_storm() {
	local i

	it_origin "$ORIGIN"
	for i in 1 2 3 4 5; do
		it_start "$URL"
		it_walk
		timeout 20 cat "$TREE/file" >/dev/null 2>&1 &
		sleep "0.0$((i * 2))"
		it_kill9
		wait $! || :
	done
	it_start "$URL"
	it_walk
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_equal "$(it_hsmctl verify "$CACHE" >verify.out && echo verified)" verified \
		"verify after the kills"
}

# Killed while names are made: all names are there afterwards, none half-made.
killed_listing() {
	local i

	it_origin "$ORIGIN"
	for i in 1 2 3; do
		it_start --namespace lazy "$URL"
		ls "$TREE" >/dev/null
		timeout 20 ls "$TREE/many" >/dev/null 2>&1 &
		sleep "0.0$i"
		it_kill9
		wait $! || :
	done
	it_start "$URL"
	ls "$TREE" >/dev/null
	timeout 20 ls "$TREE/many" | cmp - <(ls "$ORIGIN/many") || it_fail "names differ"
	timeout 20 find "$TREE/many" -type f ! -size 6c | grep . && it_fail "a stub of false size"
	it_equal "$(timeout 20 cat "$TREE/many/name77.0")" name77 "content"
}

mkdir -p "$ORIGIN/many"
it_random "$ORIGIN/file" $SIZE
for i in {10..99}; do
	for j in {0..9}; do
		printf 'name%s' "$i" >"$ORIGIN/many/name$i.$j"
	done
done
it_case "orderly stop, half-filled" half_filled it_stop
it_case "kill -9, half-filled" half_filled it_kill9
it_case "orderly stop, complete" complete_stays it_stop
it_case "kill -9, complete" complete_stays it_kill9
it_case "kill -9 with a waiting reader" hung_reader
it_case "kill -9 again and again" kill_storm
it_case "kill -9 while names are made" killed_listing
it_end
