#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Random operations on a file against a model of it: on files users made, and on stubs, where what the
# origin has and what was written must come together. FSRANDOM_OPS: operations a case (12000).
. "$(dirname "$0")/lib.sh"
it_init

FSRANDOM=$HSM_BUILD/tests/tools/fsrandom
OPS=${FSRANDOM_OPS:-12000}
ORIGIN=$HSM_WORK/origin

# run OPTION... FILE: the end of what it says is in the log of a case that fails.
run() {
	timeout 120 "$FSRANDOM" "$@" >"$CASE/out" 2>&1 || {
		cat "$CASE/out" >&2
		it_fail "fsrandom $*"
	}
}

make_origin() {
	local n

	mkdir -p "$ORIGIN"
	for n in 1 2 3 4 5 6 7 8; do
		it_random "$ORIGIN/stub$n" $((n * 300000 + n))
	done
}

# Two seeds a mode that are always the same, and one that never was.
local_files() {
	local seed

	it_start_mode "$1" "$ORIGIN"
	for seed in 1 2 $((RANDOM * 32768 + RANDOM)); do
		it_say "seed $seed"
		run -n $((OPS / 3)) -s "$seed" "$TREE/local.$seed"
	done
}

# Short runs on many files: most chunks are missing when something is done to them. Where a file
# system's own seek is asked, it takes what is missing for holes.
stubs() {
	local n seed=$RANDOM leave_out=()

	[ "$HSM_FRONTEND" != fan ] || leave_out=(-x seek)
	it_start_mode "$1" "$ORIGIN"
	for n in 1 2 3 4 5 6 7 8; do
		it_say "file $n, seed $((seed + n))"
		run "${leave_out[@]}" -n $((OPS / 16)) -s $((seed + n)) -l 4000000 \
			-f "$ORIGIN/stub$n" "$TREE/stub$n"
	done
}

# A single wrong byte is seen, and a file that is one byte short.
tool_can_fail() {
	local others=write,append,truncate,mmap_write,kept_map,allocate,punch,zero

	others+=,copy,direct,reopen,rename
	it_start_mode "$1" "$ORIGIN"
	cp "$ORIGIN/stub8" "$CASE/other"
	run -n 20 -x $others -f "$CASE/other" -l 4000000 "$TREE/stub8"
	printf 'X' | dd of="$CASE/other" bs=1 seek=1200000 conv=notrunc status=none
	! "$FSRANDOM" -n 20 -x $others -f "$CASE/other" -l 4000000 \
		"$TREE/stub8" >"$CASE/out" || it_fail "a wrong byte was not seen"
	truncate -s -1 "$CASE/other"
	! "$FSRANDOM" -n 1 -f "$CASE/other" -l 4000000 "$TREE/stub8" >"$CASE/out" ||
		it_fail "a wrong size was not seen"
}

# cases MODE
cases() {
	it_case "local files, $1" local_files "$1"
	it_case "stubs, $1" stubs "$1"
}

make_origin
it_case "the tool can fail" tool_can_fail default
if [ "$HSM_FRONTEND" = fan ]; then
	cases native
else
	for mode in $(it_fuse_modes); do
		cases "$mode"
	done
fi
it_end
