#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS-FAN: ext4 btrfs
# Giving cached bytes back: what goes, what stays, in which order, under readers and under kill -9.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
FILES=40

# Totals of an eviction in $CASE/totals; the exit code is checked. evict CODE ARG...
evict() {
	local want=$1 rc=0

	shift
	it_hsmctl --json evict "$@" >totals 2>evict.err || rc=$?
	cat evict.err >&2
	it_equal $rc "$want" "exit code of evict $*"
}

total() {
	jq -e ".$1" totals || it_fail "no $1 in the totals"
}

# Kilobytes of data below the tree; a block may hold a long xattr.
cached_kb() {
	find "$CACHE/data" -type f -size +8k -printf '%b %s\n' |
		awk '{ n = $2 / 512; s += $1 <= 8 ? 0 : $1 < n ? $1 : n } END { print int(s / 2) }'
}

is_cached() {
	[ "$(stat -c %b "$CACHE/data/$1")" -ge 64 ]
}

# RELEASE is not waited for by close: a file that was just read may still be open for a moment.
all_closed() {
	[ -z "$(find "/proc/$1/fd" -lname '*/f[0-9]*' -o -lname '*/big')" ]
}

settle() {
	it_wait_until 10 all_closed "$(it_daemon_pids)" || it_fail "the daemon keeps files open"
}

read_all() {
	it_walk
	timeout 60 cat "$TREE"/f* >/dev/null
	settle
}

same_all() {
	local i

	for ((i = 0; i < FILES; i++)); do
		it_same_file "$TREE/f$i" "$ORIGIN/f$i"
	done
}

tree() {
	local before

	it_start "$ORIGIN"
	read_all
	before=$(find "$TREE" -printf '%P %s %m %T@\n' | sort)
	it_at_least "$(cached_kb)" $((FILES * 64)) "kilobytes cached"
	evict 0 "$CACHE" .
	it_equal "$(total files)" $FILES files
	it_at_least "$(total bytes)" $((FILES * 65536)) bytes
	it_equal "$(total errors)" 0 errors
	it_equal "$(cached_kb)" 0 "kilobytes left"
	it_equal "$(find "$TREE" -printf '%P %s %m %T@\n' | sort)" "$before" "names, sizes, times"
	same_all
	it_at_least "$(it_counter files_evicted)" $FILES "files_evicted"
	it_hsmctl verify "$CACHE"
}

# The kernel may keep pages: what it shows is what it had.
one_file() {
	it_start "$ORIGIN"
	read_all
	evict 0 "$CACHE" f3
	it_equal "$(total files)" 1 files
	is_cached f3 && it_fail "f3 has its bytes"
	is_cached f4 || it_fail "f4 lost its bytes"
	same_all
	evict 1 "$CACHE" nothing
	grep -q nothing evict.err || it_fail "the message does not name the path"
	evict 2 "$CACHE"
}

idle() {
	it_start "$ORIGIN"
	read_all
	it_stop
	evict 0 "$CACHE" .
	it_equal "$(total files)" $FILES files
	it_start "$ORIGIN"
	it_walk
	same_all
}

kept() {
	it_need python3
	it_start "$ORIGIN"
	read_all
	exec 7<"$TREE/f1"
	head -c 10 <&7 >/dev/null
	python3 -c '
import mmap, os, sys, time
f = os.open(sys.argv[1], os.O_RDONLY)
m = mmap.mmap(f, 65536, prot=mmap.PROT_READ)
os.close(f)
open("mapped", "w").write("x")
while not os.path.exists("unmap"): time.sleep(0.01)
sys.stdout.buffer.write(m[:])' "$TREE/f2" >map.out &
	it_wait_until 5 test -s mapped
	evict 0 "$CACHE" .
	it_equal "$(total skipped_open)" 2 skipped_open
	it_equal "$(total files)" $((FILES - 2)) files
	is_cached f1 || it_fail "an open file lost its bytes"
	is_cached f2 || it_fail "a mapped file lost its bytes"
	: >unmap
	wait $!
	cmp map.out <(head -c 65536 "$ORIGIN/f2") || it_fail "false bytes through the mapping"
	cmp <(cat <&7) <(tail -c +11 "$ORIGIN/f1") || it_fail "false bytes in the open file"
	exec 7<&-
}

# Written through the tree if it can be written to; else as fan's users and a bad admin do.
modified() {
	it_start "$ORIGIN"
	read_all
	if ! printf mine 2>/dev/null | dd of="$TREE/f5" conv=notrunc status=none 2>/dev/null; then
		printf mine | dd of="$CACHE/data/f5" conv=notrunc status=none
	fi
	printf local 2>/dev/null >"$TREE/mine" || printf local >"$CACHE/data/mine"
	settle
	evict 0 "$CACHE" .
	it_equal "$(total skipped_modified)" 1 skipped_modified
	it_equal "$(total skipped_local)" 1 skipped_local
	it_equal "$(total files)" $((FILES - 1)) files
	it_equal "$(head -c 4 "$CACHE/data/f5")" mine "the change"
	it_equal "$(cat "$CACHE/data/mine")" local "the local file"
}

# At least as much, the oldest first.
to_free() {
	local i

	it_start "$ORIGIN"
	it_walk
	for i in 9 3 7 1 8; do
		it_same_file "$TREE/f$i" "$ORIGIN/f$i"
		sleep 0.05
	done
	settle
	evict 0 --to-free 150K "$CACHE"
	it_equal "$(total files)" 3 files
	it_at_least "$(total bytes)" 153600 bytes
	for i in 9 3 7; do
		is_cached f$i && it_fail "f$i is younger than what stayed"
	done
	for i in 1 8; do
		is_cached f$i || it_fail "f$i is younger than what went"
	done
	evict 1 --to-free 1T "$CACHE"
	grep -q "could be given back" evict.err || it_fail "not told that it did not suffice"
	evict 2 --to-free 1T "$CACHE" .
	evict 2 --to-free some "$CACHE"
}

below_low() {
	[ "$(cached_kb)" -le 1100 ]
}

below_high() {
	[ "$(cached_kb)" -le 2100 ]
}

watermarks() {
	it_start --evict-high 2M --evict-low 1M "$ORIGIN"
	read_all
	it_wait_until 20 below_low || it_fail "$(cached_kb) KB are still cached"
	it_at_least "$(cached_kb)" 900 "kilobytes left"
	# What is read again may stay between the marks.
	same_all
	it_wait_until 20 below_high || it_fail "$(cached_kb) KB are still cached"
}

percent() {
	local used

	used=$(df --output=pcent "$FS" | tail -n 1 | tr -dc 0-9)
	dd if=/dev/zero of="$FS/ballast" bs=1M count=100 status=none
	sync -f "$FS"
	it_start --evict-high "$((used < 1 ? 1 : used))%" --evict-low 0.5% "$ORIGIN"
	read_all
	it_wait_until 20 evicted_some || it_fail "nothing was evicted"
	same_all
	rm "$FS/ballast"
}

evicted_some() {
	[ "$(it_counter files_evicted)" -ge 1 ]
}

bad_options() {
	it_command --evict-low 1M "$ORIGIN"
	it_refused 2 "${IT_CMD[@]}"
	it_command --evict-high 1M --evict-low 2M "$ORIGIN"
	it_refused 2 "${IT_CMD[@]}"
	it_command --evict-high 1M --evict-low 50% "$ORIGIN"
	it_refused 2 "${IT_CMD[@]}"
	it_command --evict-high much "$ORIGIN"
	it_refused 2 "${IT_CMD[@]}"
}

# Many readers of whole files, ranges and maps, compared byte by byte.
# hammered [OPTION...]
hammered() {
	local i pids=() end files=0

	it_need python3
	it_start "$@" "$ORIGIN"
	it_walk
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		python3 "$IT_SRC/tests/it/evict_reader.py" "$TREE" "$ORIGIN" "$i" >"reader.$i" 2>&1 &
		pids+=($!)
	done
	end=$((SECONDS + 20))
	while [ $SECONDS -lt $end ]; do
		it_hsmctl --json evict "$CACHE" . >totals
		files=$((files + $(total files)))
		it_equal "$(total errors)" 0 errors
	done
	: >stop
	for i in "${!pids[@]}"; do
		wait "${pids[$i]}" || it_fail "reader $((i + 1)): $(cat "reader.$((i + 1))")"
	done
	it_say "$files evictions, $(cat reader.* | awk '{ s += $1 } END { print s }') reads"
	it_at_least "$files" 50 "evictions"
	same_all
}

# No page cache of FUSE in between: the kernel reads the file below.
hammered_passthrough() {
	"$BIN/fuse_hsm" --features | grep -q '^passthrough *yes' || it_skip "no passthrough here"
	hammered --mode passthrough
}

killed() {
	local i mtimes

	it_start "$ORIGIN"
	read_all
	mtimes=$(find "$CACHE/data" -type f -printf '%P %T@\n' | sort)
	for i in 1 2 3 4 5 6 7 8; do
		it_hsmctl evict "$CACHE" . >/dev/null 2>&1 &
		sleep "0.0$i"
		it_kill9
		wait $! || :
		it_start "$ORIGIN"
		it_walk
		same_all
		it_equal "$(find "$CACHE/data" -type f -printf '%P %T@\n' | sort)" "$mtimes" "mtimes"
		read_all
	done
	it_hsmctl verify "$CACHE"
}

mkdir -p "$ORIGIN"
for ((i = 0; i < FILES; i++)); do
	it_random "$ORIGIN/f$i" 65536
done
it_random "$ORIGIN/big" 16777216
it_case "a tree" tree
it_case "one file" one_file
it_case "on an idle cache" idle
it_case "open and mapped files stay" kept
it_case "changed and local files stay" modified
it_case "so many bytes, the oldest first" to_free
it_case "between watermarks" watermarks
it_case "between watermarks of the file system" percent
it_case "watermarks that make no sense" bad_options
it_case "readers at the same time" hammered
it_case_on fuse "readers at the same time, passthrough" hammered_passthrough
it_case "kill -9 in an eviction" killed
it_end
