#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4 btrfs
# FRONT-END: fan
# Every process of fan_hsm is killed, one by one and together, while people wait. Who waits gets true
# bytes or an error, never zeros; see docs/supervisor.md for what each death means.
#
# HSM_KILLS: how often the worker is killed under load (10).
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
KILLS=${HSM_KILLS:-10}

# ---- the processes ----

# pid_of supervisor|worker|guard, or "null".
pid_of() {
	it_hsmctl --json status "$CACHE" | jq -r ".supervisor.pids.$1"
}

told() {
	it_hsmctl --json status "$CACHE" | jq ".supervisor.$1"
}

worker_is_new() {
	local now

	now=$(pid_of worker 2>/dev/null) && [ "$now" != null ] && [ "$now" != "$1" ]
}

# Kills the worker and waits for the next.
kill_worker() {
	local worker

	worker=$(pid_of worker)
	kill -9 "$worker"
	it_wait_until 20 worker_is_new "$worker" || it_fail "no new worker"
}

is_dead() {
	[ "$(it_is_over "$1" && echo over)" = over ]
}

kill_and_wait() {
	kill -9 "$@"
	local pid

	for pid; do
		it_wait_until 5 is_dead "$pid" || it_fail "$pid survived kill -9"
	done
}

# ---- readers ----

# reader NUMBER: one MiB of /file at the NUMBERth, into got.NUMBER.
reader() {
	timeout -k 1 60 dd if="$TREE/file" of="got.$1" bs=1M skip="$1" count=1 iflag=fullblock \
		status=none 2>"err.$1" || return
}

start_readers() {
	local i

	READERS=
	for i in "$@"; do
		reader "$i" &
		READERS="$READERS $i:$!"
	done
	sleep 0.5
}

readers_wait() {
	local i

	for i in $READERS; do
		kill -0 "${i#*:}" 2>/dev/null || it_fail "reader $i did not wait"
	done
}

readers_got_all() {
	local i rc

	for i in $READERS; do
		rc=0
		wait "${i#*:}" || rc=$?
		it_equal $rc 0 "exit code of reader $i ($(cat "err.${i%:*}"))"
		dd if="$ORIGIN/file" bs=1M skip="${i%:*}" count=1 status=none |
			cmp - "got.${i%:*}" || it_fail "reader $i got false bytes"
	done
}

readers_got_eio() {
	local i rc

	for i in $READERS; do
		rc=0
		wait "${i#*:}" || rc=$?
		[ $rc = 1 ] && grep -q "Input/output error" "err.${i%:*}" ||
			it_fail "reader $i: exit code $rc, $(cat "err.${i%:*}")"
		[ ! -s "got.${i%:*}" ] || it_fail "reader $i got bytes from nowhere"
	done
}

stub_is_denied() {
	it_read_fails "$TREE/other" "$ORIGIN/other"
}

complete_is_read() {
	it_same_file "$TREE/whole" "$ORIGIN/whole"
}

begin() {
	it_origin "$ORIGIN"
	it_start --readahead 0 "$@" "$URL"
	it_walk
	it_same_file "$TREE/whole" "$ORIGIN/whole"
}

# ---- the worker dies ----

# The events were read: they are known from the shared memory.
waiting() {
	begin
	it_fault "/file stall 60000"
	start_readers 0 3 5 7 11 13
	it_equal "$(it_hsmctl --json status "$CACHE" | jq .pending)" 6 "events pending"
	kill_worker
	readers_wait
	kill_worker
	it_fault
	kill_worker
	readers_got_all
	it_at_least "$(told redone)" 18 "events redone"
	it_equal "$(told restarts)" 3 "restarts"
	it_equal "$(it_hsmctl --json status "$CACHE" | jq .pending)" 0 "events pending at the end"
}

# The events were not read: they stay in the kernel's queue.
unread() {
	local worker

	begin
	worker=$(pid_of worker)
	kill -STOP "$worker"
	start_readers 0 1 2 3 4 5 6 7 8 9 10 11
	readers_wait
	kill -9 "$worker"
	readers_got_all
}

# A directory that somebody waits for.
listing() {
	it_origin "$ORIGIN"
	it_start --namespace lazy "$URL"
	ls "$TREE" >/dev/null
	it_fault "/many/ stall 60000"
	timeout 60 ls "$TREE/many" >names &
	sleep 0.5
	kill_worker
	it_fault
	kill_worker
	wait $! || it_fail "ls failed"
	cmp names <(ls "$ORIGIN/many") || it_fail "names differ"
}

# Marks in the groups: on inodes, without ignore marks; on mounts.
inode_marks() {
	grep -h "^fanotify ino.* mask:[1-9a-f]" "/proc/$(pid_of supervisor)/fdinfo"/* | wc -l
}

mount_marks() {
	grep -h "^fanotify mnt_id" "/proc/$(pid_of supervisor)/fdinfo"/* | wc -l
}

killer() {
	local i

	for ((i = 0; i < KILLS; i++)); do
		sleep "0.$((RANDOM % 4 + 2))"
		[ -e stop.killing ] && break
		kill_worker
		echo "$i" >kills
	done
}

# The worker may be killed in it.
make_cold() {
	local i

	for i in {1..50}; do
		it_hsmctl evict "$CACHE" . >evicted 2>&1 && return
		sleep 0.1
	done
	it_fail "eviction: $(tail -n 1 evicted)"
}

# tar and md5sum run over a cold tree while the worker is killed again and again.
storm() {
	local rounds=0 bad=0

	it_origin "$ORIGIN"
	it_start --readahead 0 --latency 20ms "$URL"
	it_walk
	sums "$ORIGIN" want
	killer &
	KILLER=$!
	while kill -0 $KILLER 2>/dev/null || [ $rounds = 0 ]; do
		rounds=$((rounds + 1))
		one_round || bad=$((bad + 1))
		[ $bad = 0 ] || break
		kill -0 $KILLER 2>/dev/null || break
		make_cold
	done
	: >stop.killing
	wait $KILLER || it_fail "the killer failed"
	it_equal $bad 0 "rounds with false bytes or a hanging process"
	it_say "killed $(($(cat kills) + 1)) times in $rounds rounds, $(told redone) events redone," \
		"$(grep -c "^GET .* 206 " origin.log) ranges fetched"
	it_at_least "$(told redone)" $((KILLS / 2)) "events redone"
	it_equal "$(told abandoned)" 0 "events abandoned"
	it_equal "$(mount_marks)" 6 "mount marks (one a group: of the living worker, of the lock)"
	it_equal "$(inode_marks)" 1 "inode marks on a tree with all its names: one, for settling changes"
	it_hsmctl verify "$CACHE" >verify.out || it_fail "verify: $(tail -n 3 verify.out)"
}

# sums DIRECTORY OUT
sums() {
	(cd "$1" && find . -type f -print0 | sort -z | timeout -k 1 240 xargs -0 -P 12 -n 5 md5sum) \
		>"$2.any" 2>"$2.err" || return 1
	sort -k2 "$2.any" >"$2"
}

# tar's exit code is 1 for a file whose ctime moves while it is read: filling does that.
archive() {
	rm -rf copy
	mkdir copy
	(cd "$TREE" && timeout -k 1 240 tar cf - . 2>"$CASE/tar.err") | tar xf - -C copy &&
		[ "${PIPESTATUS[0]}" -le 1 ]
}

one_round() {
	local rc=0 tar

	archive &
	tar=$!
	sums "$TREE" got || rc=1
	wait $tar || rc=2
	sums copy copied || rc=3
	[ $rc = 0 ] && cmp want got && cmp want copied || {
		it_say "exit code $rc: $(head -n 3 got.err copied.err tar.err)"
		return 1
	}
}

# ---- others die ----

# The worker goes on alone.
supervisor_dies() {
	begin
	it_fault "/file stall 60000"
	start_readers 1 2
	kill_and_wait "$(pid_of supervisor)"
	readers_wait
	it_fault
	it_equal "$(pid_of supervisor)" null "the supervisor's pid"
	it_same_file "$TREE/other" "$ORIGIN/other"
	kill_worker_for_good
}

kill_worker_for_good() {
	rm -f running
	it_stop
	for i in $READERS; do
		wait "${i#*:}" || :
	done
}

# Without a guard: the kernel allows. A new one says so, and all is well again.
both_die() {
	begin
	rm running
	kill_and_wait "$(pid_of supervisor)" "$(pid_of worker)"
	it_start "$URL"
	it_same_file "$TREE/file" "$ORIGIN/file"
}

# The origin must not be kept busy for longer: it would not refuse then.
guarded() {
	begin --guard
	it_fault "/file stall 8000"
	start_readers 2 4 6
	kill_and_wait "$(pid_of supervisor)" "$(pid_of worker)"
	readers_got_eio
	stub_is_denied
	complete_is_read
	it_equal "$(pid_of worker)" null "the worker's pid"
	it_fault
}

# A new fan_hsm takes the groups from the guard: no moment without.
guard_hands_over() {
	local guard

	guarded
	guard=$(pid_of guard)
	start_readers 1
	readers_got_eio
	it_start --guard "$URL"
	it_wait_until 5 is_dead "$guard" || it_fail "the old guard is still there"
	it_same_file "$TREE/other" "$ORIGIN/other"
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_equal "$(told abandoned)" 3 "events abandoned"
	kill_and_wait "$(pid_of supervisor)" "$(pid_of worker)"
	complete_is_read
	it_start --guard "$URL"
}

# Who takes over cannot start: the guard goes on.
guard_keeps() {
	guarded
	sleep 8
	it_fault "* refuse"
	! timeout 60 "${IT_CMD[@]}" 2>err || it_fail "fan_hsm started without its origin"
	cat err
	stub_is_denied
	complete_is_read
	it_fault
	it_start "$URL"
	it_same_file "$TREE/other" "$ORIGIN/other"
}

guard_stops() {
	guarded
	rm running
	it_hsmctl stop "$CACHE" || it_fail "hsmctl stop"
	it_gone
}

guard_dies() {
	local guard

	begin --guard
	guard=$(pid_of guard)
	kill_and_wait "$guard"
	it_wait_until 10 guard_is_new "$guard" || it_fail "no new guard"
	kill_and_wait "$(pid_of supervisor)" "$(pid_of worker)"
	stub_is_denied
}

guard_is_new() {
	[ "$(pid_of guard)" != "$1" ] && [ "$(pid_of guard)" != null ]
}

# ---- a worker that cannot be started, or hangs ----

origin_is_gone() {
	local worker

	begin
	worker=$(pid_of worker)
	it_fault "* refuse"
	kill -9 "$worker"
	it_wait_until 30 denying || it_fail "not denied"
	complete_is_read
	it_fault
	it_wait_until 60 worker_is_new "$worker" || it_fail "no worker when the origin is back"
	it_same_file "$TREE/other" "$ORIGIN/other"
}

denying() {
	timeout 60 dd if="$TREE/other" of=/dev/null bs=4k count=1 status=none 2>denied
	grep -q "Input/output error" denied
}

stop_denying() {
	begin
	it_fault "* refuse"
	kill -9 "$(pid_of worker)"
	it_wait_until 30 denying || it_fail "not denied"
	rm running
	it_wait_until 30 it_hsmctl stop "$CACHE" || it_fail "hsmctl stop"
	it_gone
}

hung() {
	local worker

	begin
	worker=$(pid_of worker)
	kill -STOP "$worker"
	start_readers 0 1
	readers_got_all
	[ "$(pid_of worker)" != "$worker" ] || it_fail "the hung worker was not replaced"
}

# ---- who had a stub open before anybody watched ----

exposed() {
	begin
	it_stop
	exec 7<"$TREE/file" 8<"$TREE/other"
	python3 -c 'import mmap, sys, time
f = open(sys.argv[1], "rb")
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
f.close()
open("mapped", "w").close()
while True:
	time.sleep(0.05)
	try:
		open("go").close()
	except OSError:
		continue
	open("mapped.got", "wb").write(m[:])
	break' "$TREE/mapped" &
	it_wait_until 10 test -e mapped
	it_start "$URL"
	dd bs=1M iflag=fullblock status=none <&7 | cmp - "$ORIGIN/file" || it_fail "an old descriptor"
	dd bs=1M iflag=fullblock status=none <&8 | cmp - "$ORIGIN/other" || it_fail "an old descriptor"
	: >go
	wait $!
	cmp mapped.got "$ORIGIN/mapped" || it_fail "an old mapping"
	exec 7<&- 8<&-
}

exposed_for_good() {
	begin
	it_stop
	exec 7<"$TREE/other"
	it_fault "/other status 404"
	it_refused 3 "${IT_CMD[@]}"
	grep -q "process $BASHPID has .*/other open" err || it_fail "process and path are not named"
	exec 7<&-
	it_start "$URL"
	it_fault
}

# ---- a service manager ----

manager_said() {
	[ "$(grep -c "^$1" state/log)" -ge "$2" ]
}

service() {
	local manager

	it_need python3
	it_origin "$ORIGIN"
	it_command -f --readahead 0 "$URL"
	mkdir -p state
	python3 "$IT_SRC/tests/it/fake_manager.py" "$PWD/state" "${IT_CMD[@]}" 2>>daemon.err &
	manager=$!
	it_wait_until 20 manager_said READY 1 || it_fail "not ready"
	it_equal "$(grep -c ^stored state/log)" 4 "descriptors in the store"
	it_walk
	it_same_file "$TREE/whole" "$ORIGIN/whole"
	it_fault "/file stall 60000"
	start_readers 0 2
	it_fault
	kill -USR1 $manager
	it_wait_until 20 manager_said READY 2 || it_fail "not ready again"
	readers_got_eio
	it_same_file "$TREE/other" "$ORIGIN/other"
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_equal "$(told abandoned)" 2 "events abandoned"
	it_wait_until 10 manager_said WATCHDOG 3 || it_fail "the watchdog is not fed"
	kill -TERM $manager
	wait $manager || it_fail "the service did not end in order"
	it_gone
}

# Nothing of it: one process, as before there was a supervisor.
alone() {
	it_origin "$ORIGIN"
	it_start --no-supervisor "$URL"
	it_equal "$(it_daemon_pids | wc -l)" 1 "processes"
	it_walk
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_equal "$(told pids)" null "supervisor in the status"
}

mkdir -p "$ORIGIN/many"
it_random "$ORIGIN/file" 16777216
it_random "$ORIGIN/other" 3000000
it_random "$ORIGIN/mapped" 2000000
it_random "$ORIGIN/whole" 300000
for i in {0..199}; do
	it_random "$ORIGIN/many/name$i" $((i * 700))
done
it_case_on fan "worker killed, events read" waiting
it_case_on fan "worker killed, events unread" unread
it_case_on fan "worker killed, names awaited" listing
it_case_on fan "worker killed again and again" storm
it_case_on fan "supervisor killed" supervisor_dies
it_case_on fan "both killed" both_die
it_case_on fan "both killed, guard" guarded
it_case_on fan "guard hands over" guard_hands_over
it_case_on fan "guard, the next cannot start" guard_keeps
it_case_on fan "guard is stopped" guard_stops
it_case_on fan "guard killed" guard_dies
it_case_on fan "no worker can start" origin_is_gone
it_case_on fan "stopped without a worker" stop_denying
[ "$HSM_FS" != xfs ] || it_case_on fan "hung worker" hung # half a minute, the same everywhere
it_case_on fan "opened before the marks" exposed
it_case_on fan "opened before the marks, cannot be filled" exposed_for_good
it_case_on fan "service manager" service
it_case_on fan "--no-supervisor" alone
it_end
