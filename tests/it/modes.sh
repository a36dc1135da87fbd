#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FRONT-END: fuse
# What --mode and --uring promise, proved by the requests the kernel sends and their sizes, and
# by what was agreed on with it; not by an option being set.
. "$(dirname "$0")/lib.sh"
it_init

TRACEFS=$HSM_WORK/tracefs
SWITCH=/sys/module/fuse/parameters/enable_uring
ORIGIN=$HSM_WORK/origin
KIB=1024
MIB=$((1024 * 1024))

feature() {
	"$BIN/fuse_hsm" --features | grep "^$1 " || it_fail "--features does not know $1"
}

need_passthrough() {
	case $(feature passthrough) in *" no "*) it_skip "$(feature passthrough)" ;; esac
}

# ---- the machine's switch for io_uring: one case at a time has it, and puts it back ----

# with_uring COMMAND...
with_uring() {
	[ -w $SWITCH ] || it_skip "the kernel has no FUSE over io_uring"
	exec 9>/tmp/hsm-it.uring.lock
	flock 9
	# shellcheck disable=SC2064
	trap "echo $(cat $SWITCH) >$SWITCH" EXIT
	echo Y >$SWITCH
	probe_uring
	"$@"
}

# A libfuse without custom I/O cannot hand replies to a ring; the daemon says so.
probe_uring() {
	local CACHE=$CACHE.probe

	mkdir "$CACHE"
	it_command --uring "$ORIGIN"
	"${IT_CMD[@]}" 2>uring.err || {
		grep -q "custom I/O" uring.err && it_skip "$(cat uring.err)"
		it_fail "--uring: $(cat uring.err)"
	}
	: >running
	it_stop
}

# ---- what the daemon says ----

# requests NAME...: how many there were since it started.
requests() {
	local name sum=0

	for name; do
		sum=$((sum + $(it_hsmctl --json status "$CACHE" | jq ".requests.$name.count // 0")))
	done
	echo $sum
}

# agreed NAME: a value of what was agreed on with the kernel.
agreed() {
	it_hsmctl --json status "$CACHE" | jq -r ".negotiated.$1"
}

has_flags() {
	local flag

	for flag; do
		it_hsmctl --json status "$CACHE" | jq -e ".negotiated.flags | index(\"$flag\")" \
			>/dev/null || it_fail "the flag $flag was not agreed on"
	done
}

has_not_flags() {
	local flag

	for flag; do
		it_hsmctl --json status "$CACHE" | jq -e ".negotiated.flags | index(\"$flag\")" \
			>/dev/null && it_fail "the flag $flag was agreed on"
	done
	return 0
}

# threads_named NAME: of the daemon.
threads_named() {
	cat "/proc/$(it_daemon_pids | head -n 1)"/task/*/comm | grep -cx "$1" || :
}

# ---- what the kernel says: the tracepoints of one connection ----

# trace_start: in an instance of its own, as far as tracefs can be had.
trace_start() {
	local minor

	TRACE=
	[ -d "$TRACEFS/events/fuse" ] || return 0
	TRACE=$TRACEFS/instances/hsm-it-$$-${CASE##*/}
	mkdir "$TRACE" || it_skip "no instance of the tracer can be made"
	minor=$(awk -v m="$MNT" '$5 == m { split($3, d, ":"); print d[2] }' /proc/self/mountinfo)
	echo 8192 >"$TRACE/buffer_size_kb"
	echo "connection == $minor" >"$TRACE/events/fuse/filter"
	echo 1 >"$TRACE/events/fuse/enable"
}

# The trace to the file "trace", as lines: OPCODE BYTES_SENT BYTES_ANSWERED.
trace_end() {
	[ -n "$TRACE" ] || return 0
	echo 0 >"$TRACE/events/fuse/enable"
	sed -nE 's/.*fuse_request_send: .* req ([0-9]+) .*\(FUSE_([A-Z0-9_]+)\) len ([0-9]+).*/s \1 \2 \3/p
		s/.*fuse_request_end: .* req ([0-9]+) len ([0-9]+) .*/e \1 \2/p' "$TRACE/trace" |
		awk '$1 == "s" { op[$2] = $3; sent[$2] = $4 }
			$1 == "e" && $2 in op { print op[$2], sent[$2], $3 }' >trace
	rmdir "$TRACE"
	it_say "trace: $(sort trace | uniq -c | sort -rn | head -n 8 | tr -s ' \n' ' ;')"
}

# sized READ|WRITE BYTES: how many of that many bytes of data. A WRITE carries two headers of 40
# bytes, the answer to a READ one of 16.
sized() {
	case $1 in
	WRITE) awk -v b=$(($2 + 80)) '$1 == "WRITE" && $2 == b' trace ;;
	READ) awk -v b=$(($2 + 16)) '$1 == "READ" && $3 == b' trace ;;
	esac | wc -l
}

# sizes_are READ|WRITE BYTES AT_LEAST: if there was a trace.
sizes_are() {
	[ -z "$TRACE" ] || it_at_least "$(sized "$1" "$2")" "$3" "$1s of $2 bytes"
}

# ---- the load: 64 MiB read in pieces of 4 KiB, 16 MiB written in pieces of 128 KiB ----
#
# Writes are exact. The kernel's read-ahead begins with small requests, and cuts some more of them
# on a busy machine, so there is room above the number of READs that would be needed.

start_mode() {
	it_start "$@" "$ORIGIN"
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_stop
	it_start "$@" "$ORIGIN"
	trace_start
}

read_64m() {
	dd if="$TREE/file" of=/dev/null bs=4K status=none
}

write_16m() {
	dd if=/dev/zero of="$TREE/new" bs=128K count=128 status=none
	sync -f "$TREE/new"
}

# base and opt: what the paper's daemon had, and nothing newer.
as_in_2017() {
	ls -l "$TREE/dir" >/dev/null
	it_equal "$(requests readdirplus)" 0 "READDIRPLUS"
	it_at_least "$(requests readdir)" 1 "READDIR"
	it_at_least "$(requests lookup)" 30 "LOOKUP"
	it_at_least "$(requests flush)" 1 "FLUSH"
	has_not_flags readdirplus parallel_dirops posix_acl cache_symlinks auto_inval_data \
		passthrough over_io_uring
	it_equal "$(agreed max_background)" 12 "max_background"
	it_equal "$(agreed max_readahead)" 131072 "max_readahead"
}

base() {
	start_mode --mode base
	it_equal "$(threads_named fuse-serve)" 1 "threads that serve"
	read_64m
	write_16m
	trace_end
	it_equal "$(requests write)" 4096 "WRITEs of 16 MiB"
	it_at_least "$(requests read)" 512 "READs of 64 MiB"
	it_at_most "$(requests read)" 600 "READs of 64 MiB"
	sizes_are WRITE $((4 * KIB)) 4096
	sizes_are READ $((128 * KIB)) 480
	has_not_flags big_writes writeback_cache splice_read splice_write splice_move
	as_in_2017
}

# The only thread waits for nobody: readers of what is not there leave it to others.
base_waiting() {
	local i pids=

	it_origin "$ORIGIN"
	it_start --mode base --namespace lazy "$URL"
	ls "$TREE" "$TREE/dir" >/dev/null
	it_fault "/file stall 4000"
	for i in {1..8}; do
		dd if="$TREE/file" of="got.$i" bs=4K skip=$((i * 2000)) count=1 status=none &
		pids="$pids $!"
	done
	sleep 0.5
	timeout 3 cmp "$TREE/dir/7" "$ORIGIN/dir/7" || it_fail "one thread is held by readers"
	it_fault
	for i in $pids; do
		wait "$i" || it_fail "a reader failed"
	done
	for i in {1..8}; do
		dd if="$ORIGIN/file" bs=4K skip=$((i * 2000)) count=1 status=none | cmp - "got.$i" ||
			it_fail "reader $i got something else"
	done
}

opt() {
	start_mode --mode opt
	it_equal "$(threads_named fuse-serve)" 44 "threads that serve"
	read_64m
	write_16m
	trace_end
	it_equal "$(requests write)" 128 "WRITEs of 16 MiB"
	it_at_least "$(requests read)" 512 "READs of 64 MiB"
	it_at_most "$(requests read)" 600 "READs of 64 MiB"
	sizes_are WRITE $((128 * KIB)) 128
	sizes_are READ $((128 * KIB)) 480
	has_flags writeback_cache splice_read splice_write splice_move
	as_in_2017
}

# Splice is used, not only wanted: the data of READ and WRITE is in no read, write, pread, pwrite.
opt_splices() {
	it_need strace
	it_start --mode opt "$ORIGIN"
	it_same_file "$TREE/file" "$ORIGIN/file"
	strace -f -q -c -o calls -p "$(it_daemon_pids | head -n 1)" -e trace=splice,vmsplice \
		2>strace.err &
	it_wait_until 5 grep -qs TracerPid:.*[1-9] "/proc/$(it_daemon_pids | head -n 1)/status" ||
		it_skip "strace cannot attach"
	echo 1 >"$TREE/other"
	dd if="$TREE/second" of=/dev/null bs=128K status=none
	write_16m
	kill -INT %1
	wait %1 || :
	cat calls >&2
	# Each READ: file to pipe, pipe to kernel. Each WRITE: kernel to pipe, pipe to file.
	it_at_least "$(awk '$NF == "splice" { print $4 }' calls)" $((2 * 128 + 2 * 8)) "splices"
}

# A write is as large as the application made it, up to 1 MiB; one reply for all of a directory.
today() {
	start_mode "$@"
	dd if=/dev/zero of="$TREE/new" bs=1M count=16 status=none
	ls -l "$TREE/dir" >/dev/null
	it_at_least "$(requests readdirplus)" 1 "READDIRPLUS"
	it_at_most "$(requests lookup)" 3 "LOOKUPs"
	it_equal "$(requests flush)" 0 "FLUSH"
	has_flags big_writes async_read async_dio dont_mask readdirplus parallel_dirops \
		cache_symlinks direct_io_allow_mmap
	has_not_flags auto_inval_data writeback_cache splice_read splice_write splice_move
	it_equal "$(agreed max_write)" $MIB "max_write"
	it_equal "$(agreed max_readahead)" $MIB "max_readahead"
}

default() {
	today "$@"
	read_64m
	trace_end
	it_equal "$(requests write)" 16 "WRITEs of 16 MiB"
	it_at_least "$(requests read)" 64 "READs of 64 MiB"
	it_at_most "$(requests read)" 100 "READs of 64 MiB"
	sizes_are WRITE $MIB 16
	sizes_are READ $MIB 52
	has_not_flags passthrough
}

passthrough() {
	need_passthrough
	today --mode passthrough "$@"
	read_64m
	trace_end
	it_equal "$(requests read write)" 0 "READs and WRITEs of complete files"
	has_flags passthrough
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_equal "$(requests read)" 0 "READs"
}

over_devfuse() {
	default --mode default
	it_equal "$(agreed transport)" /dev/fuse "transport"
	it_equal "$(threads_named fuse-serve)" 8 "threads that serve"
	it_equal "$(threads_named fuse-ring)" 0 "threads of rings"
}

possible_cpus() {
	tr , '\n' </sys/devices/system/cpu/possible |
		awk -F- '{ sum += (NF > 1 ? $2 : $1) - $1 + 1 } END { print sum }'
}

on_rings() {
	has_flags over_io_uring
	it_equal "$(agreed transport)" io_uring "transport"
	it_equal "$(agreed uring_queues)" "$(possible_cpus)" "queues"
	it_equal "$(threads_named fuse-ring)" "$(possible_cpus)" "threads of rings"
}

uring() {
	default --uring
	on_rings
}

uring_passthrough() {
	need_passthrough
	passthrough --uring
	on_rings
}

# ---- rings under load ----

# Many small requests at once from all CPUs; each answer belongs to its request.
uring_storm() {
	local i

	it_start --uring "$ORIGIN"
	cp -r "$TREE" copy
	diff -r "$ORIGIN" copy || it_fail "the copy differs"
	for i in {1..8}; do
		(
			for _ in {1..20}; do
				stat "$TREE"/dir/* >/dev/null
				sha256sum "$TREE"/dir/* >"sums.$i"
				mkdir "$TREE/made.$i"
				echo "$i" >"$TREE/made.$i/name"
				it_equal "$(cat "$TREE/made.$i/name")" "$i" "what was written"
				rm -r "$TREE/made.$i"
			done
		) &
	done
	for i in {1..8}; do
		wait -n || it_fail "a worker failed"
	done
	for i in {2..8}; do
		cmp sums.1 "sums.$i" || it_fail "sums differ"
	done
}

# More readers that wait than entries: those beyond wait in the kernel, none is lost.
uring_full() {
	local i pids=

	it_origin "$ORIGIN"
	it_start --uring --uring-depth 2 --namespace lazy "$URL"
	ls "$TREE" >/dev/null
	it_fault "/file stall 3000"
	for i in {1..24}; do
		dd if="$TREE/file" of="got.$i" bs=64K skip=$((i * 40)) count=1 status=none &
		pids="$pids $!"
	done
	sleep 1
	it_fault
	for i in $pids; do
		wait "$i" || it_fail "a reader failed"
	done
	for i in {1..24}; do
		dd if="$ORIGIN/file" bs=64K skip=$((i * 40)) count=1 status=none | cmp - "got.$i" ||
			it_fail "reader $i got something else"
	done
}

# An INTERRUPT comes from /dev/fuse, for a request that came from a ring.
uring_killed() {
	local i pids=

	it_origin "$ORIGIN"
	it_start --uring --namespace lazy "$URL"
	ls "$TREE" >/dev/null
	it_fault "/file stall 60000"
	for i in {1..8}; do
		dd if="$TREE/file" of=/dev/null bs=4K skip=$((i * 2000)) count=1 status=none &
		pids="$pids $!"
	done
	sleep 1
	# shellcheck disable=SC2086
	kill -KILL $pids
	for i in $pids; do
		it_wait_until 5 it_is_over "$i" || it_fail "a killed reader goes on waiting"
	done
	timeout 5 stat "$TREE/second" >/dev/null || it_fail "nothing else is answered"
}

# ---- what is refused ----

refused_together() {
	it_command --mode "$1" --uring "$ORIGIN"
	it_refused 2 "${IT_CMD[@]}"
	grep -q "uring" err || it_fail "the text does not say why"
}

switched_off() {
	echo N >$SWITCH
	it_command --uring "$ORIGIN"
	it_refused 3 "${IT_CMD[@]}"
	grep -q "echo Y > $SWITCH" err || it_fail "the text does not say what to do"
	it_equal "$(cat $SWITCH)" N "the switch, which the daemon leaves alone"
}

# No instance of the tracer is left.
end_traces() {
	rmdir "$TRACEFS"/instances/hsm-it-$$-* 2>/dev/null
	it_cleanup
}

trap end_traces EXIT
mkdir -p "$TRACEFS" "$ORIGIN/dir"
mount -t tracefs none "$TRACEFS" 2>/dev/null || it_say "no tracefs: sizes are not looked at"
it_random "$ORIGIN/file" $((64 * MIB))
it_random "$ORIGIN/second" $MIB
for i in {1..30}; do
	it_random "$ORIGIN/dir/$i" $((i * 700))
done

it_case "base" base
it_case "base, readers that wait" base_waiting
it_case "opt" opt
it_case "opt, splice" opt_splices
it_case "default" over_devfuse
it_case "passthrough" passthrough
it_case "uring" with_uring uring
it_case "uring and passthrough" with_uring uring_passthrough
it_case "uring, many at once" with_uring uring_storm
it_case "uring, more readers than entries" with_uring uring_full
it_case "uring, killed readers" with_uring uring_killed
it_case "uring with base" refused_together base
it_case "uring with opt" refused_together opt
it_case "uring, switched off" with_uring switched_off
it_end
