#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Random readers get only what they touch, sequential ones get ahead of themselves.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
GIB=1073741824

# Offsets that no pattern detector takes for a sequence; the same in every run.
offsets() {
	awk 'BEGIN { srand(42); for (i = 0; i < 20; i++) print int(rand() * 262144) }'
}

random_reads() {
	local page

	it_origin "$ORIGIN"
	it_start "$URL"
	it_walk
	for page in $(offsets); do
		timeout 20 dd if="$TREE/gib" bs=4K skip="$page" count=1 status=none >got
		dd if="$ORIGIN/gib" bs=4K skip="$page" count=1 status=none | cmp - got ||
			it_fail "page $page is false"
	done
	it_at_least "$(it_counter bytes_fetched)" $((20 * 4096)) "bytes fetched"
	it_at_most "$(it_counter bytes_fetched)" $((20 * 256 * 1024)) "bytes fetched"
	it_at_most "$(it_ranges /gib | awk '{ s += $2 } END { print s }')" $((20 * 256 * 1024)) \
		"bytes asked of the origin"
}

# The end of a file, as `unzip -l` reads it, costs little.
tail_read() {
	it_origin "$ORIGIN"
	it_start "$URL"
	it_walk
	it_equal "$(timeout 20 tail -c 65536 "$TREE/gib" | sha256sum)" \
		"$(tail -c 65536 "$ORIGIN/gib" | sha256sum)" "the last 64 KiB"
	it_at_most "$(it_counter bytes_fetched)" $((2 * 1024 * 1024)) "bytes fetched"
}

# 32 MiB in sequence: far fewer requests than chunks, and nothing far behind the reader.
sequential_read() {
	it_origin "$ORIGIN"
	it_start "$URL"
	it_walk
	timeout 60 dd if="$TREE/gib" bs=128K count=256 status=none |
		cmp -n 33554432 - "$ORIGIN/gib" || it_fail "false bytes"
	it_at_most "$(it_ranges /gib | wc -l)" 128 "requests for 32 MiB"
	sleep 1
	it_at_most "$(it_counter bytes_fetched)" $((64 * 1024 * 1024)) "bytes fetched"
}

# The waiting reader gets its byte before the rest of the window has arrived: the origin
# stops in the middle of the second MiB.
first_byte_early() {
	local start ms

	it_origin "$ORIGIN"
	it_start "$URL"
	it_walk
	it_fault "/gib stall-body 1500000 8000"
	start=$(date +%s%N)
	timeout 20 dd if="$TREE/gib" bs=4K count=1 status=none | cmp -n 4096 - "$ORIGIN/gib"
	ms=$((($(date +%s%N) - start) / 1000000))
	it_at_most $ms 3000 "milliseconds to the first page"
}

mkdir -p "$ORIGIN"
it_random "$ORIGIN/gib" $GIB
it_case "20 random pages of 1 GiB" random_reads
it_case "the tail of 1 GiB" tail_read
it_case "32 MiB in sequence" sequential_read
it_case "first byte before the window" first_byte_early
it_end
