#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS-FAN: ext4 btrfs
# Readers of every kind, openers and writers that hide what they did, against evictions without a pause.
# No wrong byte, nobody waits for long, nothing a user wrote is given back.
# HSM_STRESS_SECONDS: how long (10; say HSM_LIMIT, too, for more than 200).
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
TIME=${HSM_STRESS_SECONDS:-10}

stress() {
	local kind i pids=() logs=() end files=0 runs=0

	it_need python3
	it_start --chunk 64K "$@" "$ORIGIN"
	it_walk
	for kind in read map direct open write; do
		for i in 1 2; do
			timeout -k 5 $((TIME + 100)) python3 "$IT_SRC/tests/it/evict_stress.py" $kind \
				"$TREE" "$ORIGIN" $i >"$kind.$i" 2>&1 &
			pids+=($!)
			logs+=("$kind.$i")
		done
	done
	end=$((SECONDS + TIME))
	# A machine that is busy elsewhere gets a minute more for something to happen.
	while [ $SECONDS -lt $end ] || { [ $files -lt "$TIME" ] && [ $SECONDS -lt $((end + 60)) ]; }; do
		it_hsmctl --json evict "$CACHE" . >totals
		it_equal "$(jq .errors totals)" 0 errors
		files=$((files + $(jq .files totals)))
		it_hsmctl evict "$CACHE" "r$((runs % 20))" >/dev/null 2>&1 || :
		runs=$((runs + 1))
	done
	: >stop
	for i in "${!pids[@]}"; do
		wait "${pids[$i]}" || it_fail "${logs[$i]}: $(cat "${logs[$i]}")"
	done
	it_say "$runs runs, $files files evicted; uses: $(tail -qn 1 -- *.1 *.2 | tr '\n' ' ')"
	it_at_least "$files" $((TIME)) "files evicted"
	it_hsmctl evict "$CACHE" . >/dev/null
	for i in {0..19}; do
		it_same_file "$TREE/r$i" "$ORIGIN/r$i"
	done
}

mkdir -p "$ORIGIN"
for ((i = 0; i < 20; i++)); do
	it_random "$ORIGIN/r$i" $((65536 + i * 30000))
done
for ((i = 0; i < 300; i++)); do
	it_random "$ORIGIN/w$i" 70000
done
it_case "evictions against everybody" stress
it_case_on fan "evictions against everybody, many readers of events" stress --readers 4
it_end
