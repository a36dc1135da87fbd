#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FRONT-END: fuse
# FS: ext4 btrfs
# What users write is theirs, byte for byte, whatever was there before: a stub, half of a file, all of
# it, nothing. What they did not touch is the origin's. The origin never learns of it.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
MODELS=$FS/models
MODELOPS=$HSM_BUILD/tests/tools/modelops
CHUNK=65536

# ---- tools ----

# begin [OPTION...]: the origin over HTTP, every request logged; no read-ahead, small chunks.
begin() {
	it_origin "$ORIGIN"
	it_start "$@" "$URL"
	it_walk
}

fetched() {
	it_counter bytes_fetched
}

# at OFFSET TEXT FILE: overwrites in place.
at() {
	printf '%s' "$2" | timeout 30 dd of="$3" bs=1 seek="$1" conv=notrunc status=none
}

# both COMMAND...: the command, once with the file and once with its model for each "@".
both() {
	local arg file

	for file in "$TREE/$F" "$MODELS/$F"; do
		set -- "$@"
		local words=()
		for arg; do
			words+=("${arg//@/$file}")
		done
		timeout 60 "${words[@]}" || it_fail "${words[*]}"
	done
}

# model NAME: a copy of the origin's file; $F is its name from now on.
model() {
	F=$1
	mkdir -p "$MODELS"
	cp "$ORIGIN/$F" "$MODELS/$F"
}

same() {
	it_equal "$(stat -c %s "$TREE/$F")" "$(stat -c %s "$MODELS/$F")" "size of $F"
	it_same_file "$TREE/$F" "$MODELS/$F"
}

# ---- the same operations on a file and on its model ----

random_operations() {
	local file

	begin "$@" --latency 3ms
	for file in small middle large empty; do
		model $file
		timeout 120 "$MODELOPS" -n 600 -s ${#file} -m 3000000 "$TREE/$file" \
			"$MODELS/$file" || it_fail "$file differs from its model"
	done
	it_equal "$(it_counter fill_errors)" 0 "fill errors"
}

warm_and_local() {
	begin "$@"
	it_hsmctl populate --data "$CACHE"
	model middle
	timeout 120 "$MODELOPS" -n 1000 -s 3 -m 3000000 "$TREE/$F" "$MODELS/$F" ||
		it_fail "$F differs from its model"
	F=local
	both cp "$ORIGIN/middle" @
	timeout 120 "$MODELOPS" -n 1000 -s 4 -m 3000000 "$TREE/$F" "$MODELS/$F" ||
		it_fail "$F differs from its model"
}

# ---- what a change fetches ----

cold_writes() {
	begin --chunk 64K --readahead 0 "$@"
	model large
	at 1000000 hello "$TREE/$F"
	at 1000000 hello "$MODELS/$F"
	it_at_most "$(fetched)" $CHUNK "bytes fetched for one chunk touched"
	both truncate -s +10000000 @
	both dd if=/dev/urandom of=@ bs=1 count=0 conv=notrunc status=none
	at 20000000 "far behind the end" "$TREE/$F"
	at 20000000 "far behind the end" "$MODELS/$F"
	echo appended >>"$TREE/$F"
	echo appended >>"$MODELS/$F"
	it_at_most "$(fetched)" $CHUNK "bytes fetched for what is behind the end"
	both fallocate -p -o 200000 -l 100000 @
	it_at_most "$(fetched)" $((4 * CHUNK)) "bytes fetched for a hole of two chunks"
	same
}

truncated_open() {
	begin "$@"
	echo mine >"$TREE/large"
	: >"$TREE/middle"
	truncate -s 100 "$TREE/middle"
	it_equal "$(fetched)" 0 "bytes fetched"
	it_equal "$(cat "$TREE/large")" mine "content"
	cmp -n 100 "$TREE/middle" /dev/zero || it_fail "what was cut came back"
	it_hsmctl populate --data "$CACHE"
	it_equal "$(cat "$TREE/large")" mine "content after populate"
	cmp -n 100 "$TREE/middle" /dev/zero || it_fail "what was cut came back with populate"
}

# The holes of a stub are not the user's.
holes() {
	begin "$@"
	model large
	timeout 30 cp --sparse=auto "$TREE/$F" copy
	it_same_file copy "$ORIGIN/$F"
	model middle
	it_equal "$(timeout 20 python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size
print(os.lseek(fd, 5, os.SEEK_DATA) == 5, os.lseek(fd, 5, os.SEEK_HOLE) == size)
try:
    os.lseek(fd, size, os.SEEK_DATA)
except OSError as e:
    print(e.errno)' "$TREE/$F" | tr '\n' ' ')" "True True 6 " "seeking in a stub"
}

copies() {
	begin --chunk 64K --readahead 0 --latency 5ms "$@"
	model large
	timeout 60 python3 - "$TREE" "$MODELS" "$ORIGIN" <<-'END' || it_fail "copies differ"
		import os, sys

		def copy(tree, source, to, start, at, length):
		    a = os.open(tree + source, os.O_RDONLY)
		    b = os.open(tree + to, os.O_RDWR | os.O_CREAT)
		    done = 0
		    while done < length:
		        n = os.copy_file_range(a, b, length - done, start + done, at + done)
		        if not n:
		            break
		        done += n
		    os.close(a)
		    os.close(b)
		    return done

		tree, models, origin = [p + "/" for p in sys.argv[1:]]
		with open(origin + "middle", "rb") as a, open(models + "middle", "wb") as b:
		    b.write(a.read())
		for source, to, start, at, length in [
		    ("large", "middle", 300001, 100001, 200003),
		    ("middle", "large", 0, 5000000, 700000),
		    ("large", "large", 0, 7000000, 500000),
		    ("large", "new", 12345, 0, 3000000),
		]:
		    n = [copy(t, source, to, start, at, length) for t in (tree, models)]
		    assert n[0] == n[1], (source, to, n)
		for name in ("large", "middle", "new"):
		    with open(tree + name, "rb") as a, open(models + name, "rb") as b:
		        assert a.read() == b.read(), name
	END
}

# More than 4 GiB in one call, and into a range that ends behind 4 GiB.
huge_copy() {
	begin "$@"
	truncate -s 5G "$TREE/sparse"
	printf end | dd of="$TREE/sparse" bs=1 seek=5368709117 conv=notrunc status=none
	timeout 60 python3 -c 'import os, sys
a = os.open(sys.argv[1] + "/sparse", os.O_RDONLY)
b = os.open(sys.argv[1] + "/to", os.O_RDWR | os.O_CREAT)
left = 5 << 30
while left:
    n = os.copy_file_range(a, b, left)
    assert n > 0
    left -= n' "$TREE" || it_fail "copy_file_range"
	it_equal "$(stat -c %s "$TREE/to")" 5368709120 "size"
	it_equal "$(tail -c 3 "$TREE/to")" end "last bytes"
}

# ---- many at once ----

# Blocks of the file are overwritten while others read it cold; each block read is old or new, whole.
concurrent() {
	begin --latency 10ms "$@"
	model large
	timeout 100 python3 - "$TREE/large" "$MODELS/large" <<-'END' || it_fail "wrong bytes"
		import os, random, sys, threading

		path, model = sys.argv[1:]
		old = open(model, "rb").read()
		block = 40000
		blocks = len(old) // block
		new = {n: os.urandom(block) for n in range(0, blocks, 3)}
		wrong = []

		def write(seed):
		    fd = os.open(path, os.O_WRONLY)
		    mine = [n for i, n in enumerate(new) if i % 4 == seed]
		    random.Random(seed).shuffle(mine)
		    for n in mine:
		        if os.pwrite(fd, new[n], n * block) != block:
		            wrong.append("short write")
		    os.close(fd)

		def read(seed):
		    fd = os.open(path, os.O_RDONLY)
		    r = random.Random(seed)
		    for _ in range(150):
		        n = r.randrange(blocks)
		        got = os.pread(fd, block, n * block)
		        pages = range(0, block, 4096)
		        for p in pages:
		            part = got[p : p + 4096]
		            was = old[n * block + p : n * block + p + 4096][: len(part)]
		            will = new.get(n, b"")[p : p + 4096]
		            if part != was and part != will and not mixed(part, was, will):
		                wrong.append((n, p))
		    os.close(fd)

		# A page may show the part of a block that has arrived so far.
		def mixed(part, was, will):
		    return all(c in (a, b) for c, a, b in zip(part, was, will)) and len(will)

		def guard(run, seed):
		    try:
		        run(seed)
		    except OSError as e:
		        wrong.append(e)

		threads = [threading.Thread(target=guard, args=(write, i)) for i in range(4)]
		threads += [threading.Thread(target=guard, args=(read, i)) for i in range(4)]
		[t.start() for t in threads]
		[t.join() for t in threads]
		want = bytearray(old)
		for n, b in new.items():
		    want[n * block : (n + 1) * block] = b
		if open(path, "rb").read() != want:
		    wrong.append("at the end")
		with open(model, "wb") as f:
		    f.write(want)
		sys.exit(str(wrong[:5]) if wrong else 0)
	END
	same
	it_stop
	it_start "$@" "$URL"
	same
}

# Several processes append to one file: no line is lost, none is torn.
appenders() {
	local n pids=()

	begin "$@"
	for n in {1..6}; do
		timeout 60 bash -c "for i in {1..200}; do echo $n line \$i of $n >>'$TREE/log'; done" &
		pids+=($!)
	done
	wait "${pids[@]}"
	it_equal "$(wc -l <"$TREE/log")" 1200 "lines"
	it_equal "$(sort -u "$TREE/log" | grep -c '^\([1-6]\) line [0-9]* of \1$')" 1200 "whole lines"
}

# ---- life without a name ----

unlinked() {
	begin --latency 5ms "$@"
	timeout 60 python3 - "$TREE" "$ORIGIN" <<-'END' || it_fail "an unlinked file"
		import fcntl, os, sys

		tree, origin = sys.argv[1:]
		for name in ("large", "small", "made"):
		    path = tree + "/" + name
		    if name == "made":
		        open(path, "wb").write(open(origin + "/small", "rb").read())
		        name = "small"
		    want = bytearray(open(origin + "/" + name, "rb").read())
		    fd = os.open(path, os.O_RDWR)
		    os.unlink(path)
		    assert os.fstat(fd).st_nlink == 0
		    os.pwrite(fd, b"hello", 1000)
		    want[1000:1005] = b"hello"
		    again = os.open("/proc/self/fd/%d" % fd, os.O_RDWR)
		    assert os.pread(again, len(want), 0) == bytes(want)
		    os.ftruncate(fd, 70000)
		    os.truncate("/proc/self/fd/%d" % fd, 60000)
		    os.fchmod(fd, 0o640)
		    os.chmod("/proc/self/fd/%d" % fd, 0o600)
		    os.utime(fd, (5, 6))
		    os.fsync(fd)
		    os.posix_fallocate(fd, 0, 80000)
		    st = os.stat("/proc/self/fd/%d" % fd)
		    assert (st.st_size, st.st_mode & 0o777) == (80000, 0o600), st
		    assert os.pread(fd, 100000, 0) == bytes(want[:60000]) + bytes(20000)
		    os.close(fd)
		    assert os.pread(again, 60000, 0) == bytes(want[:60000])
		    os.close(again)
	END
	[ ! -e "$TREE/large" ] || it_fail "the name came back"
}

# ---- refusals ----

# The file goes when the kernel has forgotten it, and with btrfs when that is on the disk.
has_space() {
	sync -f "$1"
	[ "$(stat -f -c '%a * %S / 1048576' "$1" | xargs expr)" -gt 100 ]
}

full() {
	local small=$HSM_WORK/full.${CASE##*.}

	CACHE=$small/cache
	it_mkfs "$HSM_FS" 330M "$small"
	mkdir "$CACHE"
	begin "$@"
	cp "$ORIGIN/small" "$TREE/kept"
	timeout 100 dd if=/dev/zero of="$TREE/zeros" bs=1M count=400 conv=fsync 2>err &&
		it_fail "more was written than fits"
	grep -q "No space left" err || it_fail "$(cat err)"
	it_same_file "$TREE/kept" "$ORIGIN/small"
	rm "$TREE/zeros"
	it_wait_until 20 has_space "$small" || it_fail "the space did not come back"
	echo again >>"$TREE/kept"
	it_equal "$(tail -c 6 "$TREE/kept")" again "after space was made"
}

too_large() {
	begin "$@"
	(
		ulimit -f 2000
		trap '' XFSZ
		timeout 30 dd if=/dev/zero of="$TREE/limited" bs=100K count=50 2>err
	) && it_fail "more was written than ulimit -f allows"
	grep -q "File too large" err || it_fail "$(cat err)"
	it_equal "$(stat -c %s "$TREE/limited")" $((2000 * 1024)) "size"
}

# Who may not keep the set-user-ID bit loses it with the first byte, through whatever call.
suid() {
	local how

	chmod 711 "$HSM_WORK" "$CASE"
	begin "$@"
	chmod 777 "$TREE"
	for how in 'echo x >>F' 'printf x | dd of=F conv=notrunc status=none' ': >F' \
		'truncate -s 5 F' 'fallocate -l 100000 F' 'fallocate -p -l 4096 F'; do
		cp "$ORIGIN/small" "$TREE/suid"
		chmod 6777 "$TREE/suid"
		echo root >>"$TREE/suid"
		it_equal "$(stat -c %a "$TREE/suid")" 6777 "mode after root wrote"
		setpriv --reuid 12345 --regid 12345 --clear-groups \
			sh -c "cd / && ${how//F/$TREE/suid}" || it_fail "$how"
		it_equal "$(stat -c %a "$TREE/suid")" 777 "mode after: $how"
		rm "$TREE/suid"
	done
}

# ---- afterwards ----

restart() {
	begin "$@"
	model large
	at 3000000 changed "$TREE/$F"
	at 3000000 changed "$MODELS/$F"
	echo new >"$TREE/new"
	it_stop
	it_start "$@" "$URL"
	it_equal "$(cat "$TREE/new")" new "new file"
	same
	it_hsmctl verify "$CACHE" >out 2>&1 || :
	grep -q "large.*changed locally" out || it_fail "verify does not say so: $(cat out)"
	it_same_file "$TREE/middle" "$ORIGIN/middle"
}

# Nothing but GET and HEAD ever reached it, and it has what it had.
origin_untouched() {
	(cd "$ORIGIN" && find . -type f -printf '%p %s %T@ %m\n' -exec sha256sum {} + | sort) >before
	begin "$@"
	echo x >>"$TREE/large"
	rm "$TREE/small"
	mv "$TREE/middle" "$TREE/moved"
	: >"$TREE/empty"
	it_stop
	(cd "$ORIGIN" && find . -type f -printf '%p %s %T@ %m\n' -exec sha256sum {} + | sort) >after
	cmp before after || it_fail "the origin was changed"
	awk '{ print $1 }' origin.log | sort -u >methods
	! grep -vx -e GET -e HEAD methods || it_fail "other requests reached the origin"
}

# The daemon dies while a file that is not all there is written to. What write(2) had taken is
# there (with write-back: what fsync(2) had); everything else is the origin's, or the write that was
# under way.
killed() {
	local mode=$1 round

	shift
	for round in 1 2; do
		CACHE=$FS/killed.$mode.$round
		mkdir "$CACHE"
		rm -f "$CASE/done"
		it_origin "$ORIGIN"
		it_start --mode "$mode" --latency 4ms "$URL"
		it_walk
		python3 - write "$TREE/large" "$CASE/done" $round <<<"$KILLED" &
		it_wait_until 20 test -s "$CASE/done" || it_fail "nothing was written"
		sleep 0.$((2 * round))
		it_kill9
		wait $! || :
		it_start --mode "$mode" "$URL"
		it_walk
		timeout 60 python3 - check "$TREE/large" "$CASE/done" $round "$ORIGIN/large" \
			"$mode" <<<"$KILLED" || it_fail "round $round: false content"
		it_stop
	done
}

KILLED='
import os, random, sys

what, path, log, seed = sys.argv[1:5]
block = 5000
size = 8388609
order = list(range(size // block))
random.Random(int(seed)).shuffle(order)

def pattern(n):
    return random.Random(n).randbytes(block)

if what == "write":
    fd = os.open(path, os.O_RDWR)
    out = open(log, "w", 1)
    try:
        for i, n in enumerate(order):
            if os.pwrite(fd, pattern(n), n * block) == block:
                print("write", n, file=out)
            if i % 16 == 15:
                os.fsync(fd)
                print("fsync", file=out)
    except OSError:
        pass
    sys.exit(0)

lines = open(log).read().split("\n")[:-1]
if sys.argv[6] == "opt":
    last = max([i for i, l in enumerate(lines) if l == "fsync"], default=-1)
    sure = lines[: last + 1]
else:
    sure = lines
sure = {int(l.split()[1]) for l in sure if l.startswith("write")}
tried = order[: sum(l.startswith("write") for l in lines) + 1]
old = open(sys.argv[5], "rb").read()
got = open(path, "rb").read()
assert len(got) == size, len(got)
for n in order:
    mine = got[n * block : (n + 1) * block]
    was = old[n * block : (n + 1) * block]
    if n in sure:
        assert mine == pattern(n), "lost: block %d" % n
    elif n in tried:
        assert all(c in (a, b) for c, a, b in zip(mine, was, pattern(n))), "false: block %d" % n
    else:
        assert mine == was, "false: block %d" % n
assert got[len(order) * block :] == old[len(order) * block :]
print(len(sure), "blocks were sure")
assert len(sure) > 0, "nothing was written before the kill"
'

mkdir -p "$ORIGIN"
it_random "$ORIGIN/small" 65537
it_random "$ORIGIN/middle" 1000000
it_random "$ORIGIN/large" 8388609
: >"$ORIGIN/empty"

modes="default passthrough base opt"
[ "$HSM_FS" = xfs ] || modes="default passthrough"
for mode in $modes; do
	it_case "random operations on stubs, $mode" random_operations --mode "$mode"
	it_case "random operations on full and local files, $mode" warm_and_local --mode "$mode"
	it_case "cold writes fetch what they touch, $mode" cold_writes --mode "$mode"
	it_case "copies between stubs, $mode" copies --mode "$mode"
	it_case "unlinked files, $mode" unlinked --mode "$mode"
	it_case "set-user-ID, $mode" suid --mode "$mode"
	it_case "readers and writers of a filling file, $mode" concurrent --mode "$mode"
	[ "$mode" = base ] || it_case "kill -9 while writing, $mode" killed "$mode"
done
it_case "O_TRUNC fetches nothing" truncated_open
it_case "holes of stubs" holes
# Where a copy is a reference; elsewhere it would write 5 GiB.
[ "$HSM_FS" = ext4 ] || it_case "copy of 5 GiB" huge_copy
it_case "appenders" appenders
it_case "appenders, opt" appenders --mode opt
it_case "file system full" full
it_case "file system full, opt" full --mode opt
it_case "file size limit" too_large
it_case "restart" restart
it_case "the origin is not written" origin_untouched
it_end
