#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS-FAN: ext4 btrfs
# What happens at the limits: descriptors, readers that wait, groups, space. docs/limits.md.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
FILES=64
PER_FILE=320 # chunks of 4 KiB
READERS=$HSM_BUILD/tests/tools/manyreaders

# Kilobytes the daemon has in memory, all its processes.
memory() {
	local pid kib=0

	for pid in $(it_daemon_pids); do
		kib=$((kib + $(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")))
	done
	echo $kib
}

descriptors() {
	local pid n=0

	for pid in $(it_daemon_pids); do
		n=$((n + $(ls "/proc/$pid/fd" | wc -l)))
	done
	echo $n
}

status() {
	it_hsmctl --json status "$CACHE" | jq "$1"
}

pending() {
	status '.pending'
}

pending_is() {
	[ "$(pending)" = "$1" ]
}

pending_is_at_least() {
	[ "$(pending)" -ge "$1" ]
}

origin_stops() {
	# shellcheck disable=SC2046
	it_kill_pids STOP $(it_pids_named originsrv)
}

origin_comes_back() {
	# shellcheck disable=SC2046
	it_kill_pids CONT $(it_pids_named originsrv)
}

# got WORD: how many of the last run of readers.
got() {
	awk -v w="$1" '$2 == w { n = $1 } END { print n + 0 }' readers.out
}

ready_or_gone() {
	grep -q ready readers.out || it_is_over $READERS_PID
}

readers() {
	"$READERS" "$TREE" "$ORIGIN" "$FILES" "$1" >readers.out &
	READERS_PID=$!
	it_wait_until 60 ready_or_gone || it_fail "the readers do not run"
	! it_is_over $READERS_PID || grep -q ready readers.out ||
		it_skip "no room for $1 threads now (kernel.pid_max)"
}

readers_end() {
	it_wait_until 120 it_is_over $READERS_PID || it_fail "$(pending) readers still wait"
	cat readers.out
}

begin() {
	it_origin "$ORIGIN"
	it_start --timeout 300 --chunk 4K "$URL"
	it_walk
}

# Blocks N readers on an origin that does not answer; WAIT of them wait, the others get an answer.
storm() {
	local before during

	before=$(memory)
	origin_stops
	readers "$1"
	it_wait_until 60 pending_is "$2" || it_fail "$(pending) wait, expected $2"
	during=$(memory)
	it_say "memory KiB: $before before, $during with $1 readers, $(descriptors) descriptors"
	it_at_most $((during - before)) $((8192 + $1 * 2)) "KiB for $1 readers"
}

calm() {
	local after

	origin_comes_back
	readers_end
	after=$(memory)
	it_say "memory KiB: $after after; descriptors: $(descriptors)"
	it_equal "$(got zeros) $(got differs) $(got short)" "0 0 0" "false content"
	it_equal "$(pending)" 0 "events that still wait"
}

ten_thousand() {
	begin
	storm 10000 10000
	calm
	it_equal "$(got ok)" 10000 "readers with their bytes"
	it_say "memory KiB: $(memory); descriptors: $(descriptors)"
}

# The end while all wait: soon, an error for each, zeros for none.
ends() {
	local begin_s=$SECONDS

	begin
	storm 10000 10000
	begin_s=$SECONDS
	it_stop
	it_say "ended after $((SECONDS - begin_s)) s"
	origin_comes_back
	readers_end
	it_equal "$(got EIO)" 10000 "readers with EIO"
	it_at_most $((SECONDS - begin_s)) 30 "seconds"
}

# Beyond what descriptors allow: an error at once, and what needs no fill goes on.
too_many() {
	local room

	begin
	it_same_file "$TREE/small" "$ORIGIN/small"
	timeout 10 dd if="$TREE/partial" of=/dev/null bs=4096 count=1 status=none
	sleep 1
	room=$(status .pending_max)
	origin_stops
	readers $((room + 2000))
	it_wait_until 60 pending_is_at_least "$room" || it_fail "$(pending) wait"
	sleep 2
	timeout 10 dd if="$TREE/partial" bs=4096 count=1 status=none | cmp - <(head -c 4096 "$ORIGIN/partial") ||
		it_fail "a range that is there"
	it_same_file "$TREE/small" "$ORIGIN/small"
	echo local >"$TREE/new" && it_equal "$(cat "$TREE/new")" local
	timeout 10 cat "$TREE/cold" >out 2>err && it_fail "one more could wait"
	grep -q "resource busy" err || it_fail "$(cat err)"
	calm
	it_at_least "$(got ok)" "$room" "readers with their bytes"
	it_equal $(($(got ok) + $(got EBUSY))) $((room + 2000)) "readers with bytes or EBUSY"
	it_equal "$(status .trouble.fd_errors)" 0 "events without descriptor"
	it_same_file "$TREE/cold" "$ORIGIN/cold"
}

# A daemon with few descriptors: the same, no event without one.
few_descriptors() {
	it_origin "$ORIGIN"
	TREE=$CACHE/data
	(ulimit -n 256 && it_start --timeout 300 --chunk 4K "$URL")
	it_walk
	it_wait_until 5 test -S "$CACHE/meta/control"
	it_equal "$(awk '/open files/ { print $5 }' "/proc/$(it_daemon_pids | head -n 1)/limits")" 256
	origin_stops
	readers 1000
	sleep 3
	it_say "descriptors: $(descriptors), pending $(pending)"
	calm
	it_equal $(($(got ok) + $(got EBUSY))) 1000 "readers with bytes or EBUSY"
	it_at_least "$(got ok)" "$(status .pending_max)" "readers with their bytes"
	it_equal "$(status .trouble.fd_errors)" 0 "events without descriptor"
	it_same_file "$TREE/cold" "$ORIGIN/cold"
}

# More events than fs.fanotify.max_queued_events wait in the kernel, where a bounded queue would
# let the readers go, with zeros.
long_queue() {
	local queued=$(($(cat /proc/sys/fs/fanotify/max_queued_events) + 1000))

	[ $queued -le 19000 ] || it_skip "the queue of this machine is longer than its descriptors"
	begin
	# shellcheck disable=SC2046
	it_kill_pids STOP $(it_daemon_pids)
	readers $queued
	sleep 3
	kill -0 $READERS_PID || it_fail "readers went on without an answer"
	it_equal "$(wc -l <readers.out)" 1 "lines of the readers"
	# shellcheck disable=SC2046
	it_kill_pids CONT $(it_daemon_pids)
	calm
	it_equal $(($(got ok) + $(got EBUSY))) $queued "readers with bytes or EBUSY"
	it_equal "$(status .trouble.overflows)" 0 "overflows"
}

# Fewer than it needs: refused, in one line.
no_descriptors() {
	(ulimit -n 200 && it_refused 3 "$BIN/fan_hsm" "$ORIGIN" "$CACHE")
	grep -q "ulimit -n" err || it_fail "the error does not say what to do"
}

# The user, not root, so that nobody else here is short of groups.
no_groups() {
	local caps=+sys_admin,+dac_override,+dac_read_search,+sys_ptrace
	local as=(setpriv --reuid 54321 --clear-groups --inh-caps "$caps" --ambient-caps "$caps")

	it_need setpriv /usr/bin/python3
	cat >take.py <<-'END'
		import ctypes, time
		libc = ctypes.CDLL(None)
		groups = 0
		while libc.fanotify_init(0x200, 0) >= 0:
		    groups += 1
		print(groups, flush=True)
		time.sleep(60)
	END
	setpriv --reuid 54321 --clear-groups /usr/bin/python3 - <take.py >groups.out &
	it_wait_until 10 test -s groups.out || it_fail "no groups"
	it_say "$(cat groups.out) groups are taken"
	"${as[@]}" "$BIN/fan_hsm" "$ORIGIN" "$CACHE" 2>err && it_fail "it started"
	cat err
	grep -q max_user_groups err || it_fail "the error does not say what to do"
	it_equal "$(wc -l <err)" 1 "lines on stderr"
}

# A disk that is full: an honest error, then the bytes. $1: what is left when the readers come.
full_disk() {
	local f

	it_origin "$ORIGIN"
	it_start "$URL"
	it_walk
	fallocate -l "$(df --output=avail -B1 "$FS" | tail -n 1)" "$FS/ballast" 2>/dev/null ||
		dd if=/dev/zero of="$FS/ballast" bs=1M status=none 2>/dev/null || :
	dd if=/dev/zero of="$FS/ballast2" bs=4K status=none 2>/dev/null || :
	sync -f "$FS"
	for f in big.1 big.2 big.3; do
		! it_read "$TREE/$f" || continue
		grep -q "No space left" "$CASE/read.err" || it_fail "$(cat "$CASE/read.err")"
		cmp -n "$(stat -c %s "$CASE/read.out")" "$CASE/read.out" "$ORIGIN/$f" ||
			it_fail "false content"
		f=full
		break
	done
	it_equal "$f" full "the disk"
	it_hsmctl status "$CACHE" >/dev/null || it_fail "no status on a full disk"
	rm "$FS/ballast" "$FS/ballast2"
	sync -f "$FS"
	it_wait_until 60 cmp -s "$TREE/big.1" "$ORIGIN/big.1" || it_fail "no bytes after there is space"
	for f in big.2 big.3; do
		it_same_file "$TREE/$f" "$ORIGIN/$f"
	done
}

mkdir -p "$ORIGIN"
for ((i = 0; i < FILES; i++)); do
	it_random "$ORIGIN/f.$i" $((PER_FILE * 4096))
done
for i in small cold partial; do
	it_random "$ORIGIN/$i" 300000
done
for i in 1 2 3; do
	it_random "$ORIGIN/big.$i" 20000000
done
# Descriptors and queues are the same on every file system; space is not.
if [ "$HSM_FS" = xfs ]; then
	it_case_on fan "10,000 readers wait" ten_thousand
	it_case_on fan "the end while 10,000 wait" ends
	it_case_on fan "more readers than descriptors" too_many
	it_case_on fan "a daemon with 256 descriptors" few_descriptors
	it_case_on fan "too few descriptors" no_descriptors
	it_case_on fan "a long queue" long_queue
	it_case_on fan "no fanotify group left" no_groups
fi
it_case "a full disk" full_disk
it_end
