#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FRONT-END: fan
# FS: ext4 btrfs
# What users change behind fan_hsm, on the file system itself: told or not, with the mtime put back or
# not, it is theirs. The state follows the inode; no fill, refresh, eviction or restart undoes it.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
SIZE=1000000

# begin [OPTION...]: chunks of 64 KiB, no read-ahead, every request logged.
begin() {
	it_origin "$ORIGIN"
	it_start --chunk 64K --readahead 0 "$@" "$URL"
	it_walk
}

again() {
	it_start --chunk 64K --readahead 0 "$@" "$URL"
	it_walk
}

told() {
	it_hsmctl --json status "$CACHE" | jq -e ".changes.$1"
}

told_is() {
	[ "$(told "$1")" -ge "$2" ]
}

# at OFFSET TEXT FILE: overwrites in place.
at() {
	printf '%s' "$2" | timeout 30 dd of="$3" bs=4096 seek="$1" oflag=seek_bytes conv=notrunc \
		status=none
}

# Both the file and a model of it.
F="file"
model() {
	F=$1
	cp "$ORIGIN/$F" "$CASE/model"
}

same() {
	it_same_file "$TREE/$F" "$CASE/model"
	it_equal "$(stat -c %s "$TREE/$F")" "$(stat -c %s "$CASE/model")" "size of $F"
}

# The origin's time to the nanosecond, as rsync -t or cp -p would set it.
put_back() {
	touch -d "@$MTIME" "$TREE/$F"
	it_equal "$(stat -c %.9Y "$TREE/$F")" "$MTIME" "the mtime"
}

cold() {
	model "$1"
	MTIME=$(stat -c %.9Y "$TREE/$F")
}

warm() {
	cold "$1"
	it_same_file "$TREE/$F" "$ORIGIN/$F"
}

# Everything that might give the origin's bytes back.
survives() {
	same
	it_hsmctl evict "$CACHE" . >/dev/null 2>&1 || :
	same
	it_hsmctl refresh "$CACHE" >/dev/null 2>&1 || :
	same
	it_hsmctl populate --data "$CACHE"
	same
	it_stop
	again
	it_hsmctl evict "$CACHE" . >/dev/null 2>&1 || :
	same
	it_kill9
	again
	it_hsmctl evict "$CACHE" . >/dev/null 2>&1 || :
	same
}

# ---- told changes ----

# changed HOW cold|warm: the same on the file and on the model, then the mtime is put back.
changed() {
	local to

	begin
	"$2" file
	for to in "$TREE/$F" "$CASE/model"; do
		"$1" "$to" || it_fail "$1 $to"
	done
	put_back
	survives
}

by_write() {
	at 300001 "a user's words" "$1"
}

by_append() {
	echo "a user's line" >>"$1"
	truncate -s $SIZE "$1"
	echo "another line" >>"$1"
}

by_mapping() {
	timeout 20 python3 -c 'import mmap, os, sys
f = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(f, 0)
os.close(f)
m[500000:500004] = b"mine"
m.close()' "$1"
}

# The last close of a file that is still mapped is that of the mapping, here that of the process.
by_mapping_of_the_dead() {
	timeout 20 python3 -c 'import mmap, os, signal, sys
m = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 0)
m[500000:500004] = b"mine"
os.kill(os.getpid(), signal.SIGKILL)' "$1" || :
}

# The same size again, all of it the user's.
by_trunc() {
	head -c $SIZE /dev/zero | tr '\0' x >"$1"
}

by_cut() {
	truncate -s 400000 "$1"
	truncate -s $SIZE "$1"
}

by_fallocate() {
	fallocate -p -o 131072 -l 65536 "$1"
}

by_copy_range() {
	timeout 20 python3 -c 'import os, sys
a = os.open("/usr/bin/env", os.O_RDONLY)
b = os.open(sys.argv[1], os.O_RDWR)
tmp = open(sys.argv[1] + ".tmp", "w+b")
tmp.write(os.read(a, 8192))
tmp.flush()
os.copy_file_range(tmp.fileno(), b, 8192, 0, 200000)
os.unlink(sys.argv[1] + ".tmp")' "$1"
}

# A write that is told is marked soon, and the inode is silent from then on.
marked_once() {
	local n

	begin
	warm file
	at 5 one "$TREE/file"
	it_wait_until 5 told_is marked 1 || it_fail "not told"
	it_hsmctl verify "$CACHE" >out 2>&1 || :
	grep -q "file.*changed locally" out || it_fail "not marked: $(cat out)"
	sleep 0.3
	n=$(told events)
	for _ in 1 2 3 4 5 6 7 8; do
		at 9 more "$TREE/file"
	done
	sleep 0.3
	it_equal "$(told events)" "$n" "events of a file that is known to be changed"
}

# What the core itself does is no change: names, fills, evictions, refreshes.
own_writes() {
	begin
	it_hsmctl populate --data "$CACHE"
	it_hsmctl evict "$CACHE" .
	it_same_file "$TREE/file" "$ORIGIN/file"
	cp "$ORIGIN/other" "$ORIGIN/file2"
	it_hsmctl refresh "$CACHE"
	it_same_file "$TREE/file2" "$ORIGIN/other"
	rm "$ORIGIN/file2"
	sleep 0.3
	it_equal "$(told events)" 0 "changes told of what the core did"
	echo x >>"$TREE/file"
	it_wait_until 5 told_is events 1 || it_fail "the count does not count"
}

# Reading, and opening a cold stub for writing without writing, is no change.
no_change() {
	begin
	cat "$TREE/file" >/dev/null
	python3 -c 'import os, sys; os.open(sys.argv[1], os.O_RDWR)' "$TREE/other"
	chmod 640 "$TREE/other"
	it_hsmctl evict "$CACHE" .
	it_hsmctl --json verify "$CACHE" >out
	! grep -q "changed locally" out || it_fail "$(cat out)"
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_same_file "$TREE/other" "$ORIGIN/other"
}

# An event with a descriptor would make the kernel open the FIFO and wait for a writer.
fifos() {
	begin
	mkfifo "$TREE/fifo" "$FS/fifo.${it_count:?}"
	for f in "$TREE/fifo" "$FS/fifo.${it_count:?}"; do
		# shellcheck disable=SC2016
		timeout 5 bash -c 'exec 9<>"$0"; echo x >&9' "$f"
	done
	it_same_file "$TREE/file" "$ORIGIN/file"
	at 5 one "$TREE/file"
	it_wait_until 5 told_is marked 1 || it_fail "a FIFO stopped the thread"
}

# One write into a file that is being filled elsewhere: its time must not be the origin's at the end.
met_a_fill() {
	local i

	mkdir "$ORIGIN/many"
	for i in {1..60}; do
		it_random "$ORIGIN/many/$i" 3000000
	done
	touch -d "2020-02-02 02:02:02" "$ORIGIN"/many/*
	begin
	timeout 100 python3 - "$TREE/many" <<-'END' || it_fail "the time of a write was lost"
		import os, random, sys, threading, time

		def read(path):
		    with open(path, "rb") as f:
		        while f.read(1 << 17):
		            pass

		lost, paths = 0, [os.path.join(sys.argv[1], n) for n in os.listdir(sys.argv[1])]
		for path in paths:
		    fd = os.open(path, os.O_RDWR)
		    os.pread(fd, 1, 0)
		    t = threading.Thread(target=read, args=(path,))
		    t.start()
		    time.sleep(random.random() * 0.03)
		    os.pwrite(fd, b"x", 0)
		    t.join()
		    os.close(fd)
		time.sleep(1)
		sys.exit(sum(os.stat(p).st_mtime < time.time() - 1000 for p in paths))
	END
	rm -r "$ORIGIN/many"
}

# ---- changes nobody told ----

# Through CACHE/data while nothing runs, into stubs and into half of a file.
while_away() {
	begin
	cold file
	dd if="$TREE/file" of=/dev/null bs=64K skip=3 count=2 status=none
	it_stop
	for to in "$TREE/file" "$CASE/model"; do
		at 8192 "$(head -c 4096 /dev/zero | tr '\0' y)" "$to"
		at 700416 "$(head -c 8192 /dev/zero | tr '\0' z)" "$to"
	done
	again
	same
	it_hsmctl verify "$CACHE" >out 2>&1 || :
	grep -q "file.*changed locally" out || it_fail "verify does not say so: $(cat out)"
	it_same_file "$TREE/other" "$ORIGIN/other"
	survives
}

# Zeros are data, too.
zeros_while_away() {
	begin
	cold file
	it_stop
	for to in "$TREE/file" "$CASE/model"; do
		dd if=/dev/zero of="$to" bs=4096 seek=100 count=3 conv=notrunc status=none
	done
	again
	survives
}

# Opened before the marks: never any event of this descriptor.
old_descriptor() {
	begin
	cold file
	it_stop
	exec 7<>"$TREE/file"
	again
	head -c 4096 /dev/zero | tr '\0' q >q.bytes
	for to in /proc/self/fd/7 "$CASE/model"; do
		[ "$to" = "$CASE/model" ] && exec 7<>"$CASE/model"
		python3 -c 'import os
os.pwrite(7, open("q.bytes", "rb").read(), 81920)'
	done
	exec 7<&-
	survives
}

# No flag HSM_S_MODIFIED. (touch opens the file for writing, which counts as a change when it has data.)
unmarked() {
	local flags

	flags=$(getfattr --absolute-names -n trusted.hsm -e hex "$TREE/file" | sed -n 's/.*=0x....//p')
	[ $((0x${flags:0:2} & 0x10)) = 0 ] || it_fail "the file counts as written to"
}

# A time alone, whole and in the middle of a fill that fails, must not make holes of the origin's bytes.
touched() {
	local cut

	begin
	touch -c "$TREE/file" "$TREE/other"
	it_same_file "$TREE/other" "$ORIGIN/other"
	for cut in 5000 70001 99999 131071; do
		it_fault "/file short $cut"
		timeout 20 cat "$TREE/file" >/dev/null 2>&1 || :
	done
	it_fault
	it_same_file "$TREE/file" "$ORIGIN/file"
	unmarked
}

# Killed in the middle of chunks, in turn with new times.
settime() {
	python3 -c 'import os, sys; os.utime(sys.argv[1])' "$1"
}

touched_and_killed() {
	local i pid

	begin --chunk 1M --bandwidth 400K
	for i in 1 2 3 4 5; do
		settime "$TREE/file"
		timeout 20 cat "$TREE/file" >/dev/null 2>&1 &
		pid=$!
		sleep 0.$((i * 2))
		it_kill9
		settime "$TREE/file"
		wait $pid || :
		again --chunk 1M --bandwidth 400K
	done
	it_stop
	again
	it_same_file "$TREE/file" "$ORIGIN/file"
	unmarked
}

# ---- names ----

# The inode that has the name now is the user's, the other one keeps its bytes wherever it is.
names() {
	begin
	sed -i '1s/^/a line of a user\n/' "$TREE/text"
	(echo "a line of a user" && cat "$ORIGIN/text") | cmp - "$TREE/text" || it_fail "sed -i"
	mkdir "$FS/out.${it_count:?}"
	ln "$TREE/file" "$FS/out.${it_count:?}/link"
	echo new >new
	cp new "$TREE/new"
	mv "$TREE/new" "$TREE/other"
	mv "$TREE/dir/inner" "$FS/out.${it_count:?}/moved"
	it_hsmctl refresh "$CACHE" >/dev/null || :
	it_hsmctl populate --data "$CACHE"
	it_hsmctl evict "$CACHE" . || :
	for _ in 1 2; do
		it_same_file "$FS/out.${it_count:?}/link" "$ORIGIN/file"
		it_same_file "$FS/out.${it_count:?}/moved" "$ORIGIN/dir/inner"
		it_same_file "$TREE/other" new
		head -n 1 "$TREE/text" | grep -q user || it_fail "sed -i was undone"
		it_stop
		again
	done
	at 70000 mine "$FS/out.${it_count:?}/link"
	it_equal "$(dd if="$TREE/file" bs=1 skip=70000 count=4 status=none)" mine "the other link"
}

# Made by a user, filled by nobody, told by nobody after the first write.
local_files() {
	local n

	begin
	mkdir "$TREE/mine" "$FS/beside.${it_count:?}"
	cp "$ORIGIN/file" "$TREE/mine/a"
	cp "$ORIGIN/other" "$FS/beside.${it_count:?}/b"
	sleep 0.2
	n=$(told events)
	for f in "$TREE/mine/a" "$FS/beside.${it_count:?}/b"; do
		echo more >>"$f"
		at 10 text "$f"
	done
	sleep 0.2
	it_equal "$(told events)" "$n" "events of local files"
	it_hsmctl refresh "$CACHE" >/dev/null || :
	it_hsmctl evict "$CACHE" . || :
	it_equal "$(tail -c 5 "$TREE/mine/a")" more "the end"
	it_equal "$(dd if="$TREE/mine/a" bs=1 skip=10 count=4 status=none)" text "the middle"
}

# A refresh that finds a write which was not looked at yet, with every attribute as it was.
refreshed() {
	local i

	for i in {1..40}; do
		cp -p "$ORIGIN/other" "$ORIGIN/r$i"
	done
	begin
	for i in {1..40}; do
		cat "$TREE/r$i" >/dev/null
		head -c 70000 /dev/zero | tr '\0' n >"$ORIGIN/r$i"
	done
	for i in {1..40}; do
		F=r$i MTIME=$(stat -c %.9Y "$TREE/r$i")
		at 4096 "a user was here" "$TREE/r$i"
		put_back
		[ $((i % 8)) != 1 ] || it_hsmctl refresh "$CACHE" >/dev/null || :
	done
	it_hsmctl refresh "$CACHE" >/dev/null || :
	for i in {1..40}; do
		rm "$ORIGIN/r$i"
		! cmp -s "$TREE/r$i" <(head -c 70000 /dev/zero | tr '\0' n) || continue
		it_equal "$(dd if="$TREE/r$i" bs=1 skip=4096 count=15 status=none)" \
			"a user was here" "r$i"
	done
}

mkdir -p "$ORIGIN/dir"
it_random "$ORIGIN/file" $SIZE
it_random "$ORIGIN/other" 200000
it_random "$ORIGIN/dir/inner" 150000
seq 1 20000 >"$ORIGIN/text"
touch -d "2020-02-02 02:02:02" "$ORIGIN"/* "$ORIGIN"/dir/*

for how in by_write by_mapping by_mapping_of_the_dead by_trunc by_cut by_append by_fallocate \
	by_copy_range; do
	it_case "$how, cold" changed $how cold
	it_case "$how, warm" changed $how warm
done
it_case "told once" marked_once
it_case "the core's own writes" own_writes
it_case "what is no change" no_change
it_case "FIFOs" fifos
it_case "the time of a write that meets a fill" met_a_fill
it_case "written while no daemon ran" while_away
it_case "zeros written while no daemon ran" zeros_while_away
it_case "written through an old descriptor" old_descriptor
it_case "touched" touched
it_case "touched and killed" touched_and_killed
it_case "names and links" names
it_case "local files" local_files
it_case "refresh and a write just made" refreshed
it_end
