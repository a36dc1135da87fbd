#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Two caches, each with its daemon, on one file system: what one watches, the other's stubs are in.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
OTHER=$HSM_WORK/other

make_origins() {
	local i

	mkdir -p "$ORIGIN" "$OTHER"
	for i in {1..40}; do
		it_random "$ORIGIN/file.$i" 200000
		it_random "$HSM_WORK/other.$i" 200000
		mv "$HSM_WORK/other.$i" "$OTHER/file.$i"
	done
}

# Both daemons are of the front-end under test; each fills only its own.
both_at_once() {
	local first_tree second_cache second_mnt second_tree

	it_start "$ORIGIN"
	first_tree=$TREE
	second_cache=$FS/second
	second_mnt=$CASE/second
	mkdir "$second_cache" "$second_mnt"
	if [ "$HSM_FRONTEND" = fuse ]; then
		timeout 30 "$BIN/fuse_hsm" "$OTHER" "$second_cache" "$second_mnt"
		second_tree=$second_mnt
	else
		timeout 30 "$BIN/fan_hsm" "$OTHER" "$second_cache"
		second_tree=$second_cache/data
	fi
	timeout -k 1 60 diff -r "$ORIGIN" "$first_tree" &
	timeout -k 1 60 diff -r "$OTHER" "$second_tree" || it_fail "the second tree is wrong"
	wait $! || it_fail "the first tree is wrong"
	[ "$(it_counter bytes_fetched)" = 8000000 ] || it_fail "the first fetched what is not its own"
	timeout 30 "$BIN/hsmctl" stop "$second_cache"
	it_stop
}

make_origins
it_case "both read at once" both_at_once
it_end
