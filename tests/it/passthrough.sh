#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FRONT-END: fuse
# FS: ext4 btrfs
# --mode passthrough: the kernel reads and writes complete files by itself, the daemon serves the others;
# a file never changes from one to the other while it is open, and no open ever fails for it.
. "$(dirname "$0")/lib.sh"
it_init
"$BIN/fuse_hsm" --features | grep -q '^passthrough yes' ||
	it_skip_all "no passthrough here: $("$BIN/fuse_hsm" --features | grep ^passthrough)"

ORIGIN=$HSM_WORK/origin
MIB=1048576

begin() {
	it_origin "$ORIGIN"
	it_start --mode passthrough "$@" "$URL"
	it_walk
}

status() {
	it_hsmctl --json status "$CACHE" | jq "$1"
}

# opens PASSED CACHED: so many opens of either kind up to now.
opens() {
	it_equal "$(status '"\(.passthrough.opens) \(.passthrough.cached_opens)"')" "\"$1 $2\"" \
		"opens passed through and cached"
}

reads() {
	status '.requests.read.count // 0'
}

released() {
	[ "$(status '.requests.release.count')" -ge "$1" ]
}

# A RELEASE comes some time after close(2).
wait_released() {
	it_wait_until 10 released "$1" || it_fail "no RELEASE came"
}

# map.py: map(fd, length, writable) and unmap(). The mmap module of Python would keep a copy of the
# descriptor, and with it the file open.
make_map() {
	cat >map.py <<-'END'
		import ctypes

		libc = ctypes.CDLL(None, use_errno=True)
		libc.mmap.restype = ctypes.c_void_p
		libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
		libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

		def map(fd, length, writable=False):
		    at = libc.mmap(None, length, 3 if writable else 1, 1, fd, 0)
		    assert at not in (None, ctypes.c_void_p(-1).value), ctypes.get_errno()
		    return (ctypes.c_char * length).from_address(at)

		def unmap(m):
		    assert not libc.munmap(ctypes.addressof(m), len(m))
	END
	export PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1
}

# ---- the switch ----

small_at_once() {
	begin
	it_same_file "$TREE/small" "$ORIGIN/small"
	opens 1 0
	it_equal "$(status .passthrough.filled_in_open)" 1 "filled in open"
	it_equal "$(reads)" 0 "reads through the daemon"
	it_same_file "$TREE/empty" "$ORIGIN/empty"
	opens 2 0
}

large_later() {
	local before

	begin
	exec 5<"$TREE/large"
	cat <&5 >first
	it_same_file first "$ORIGIN/large"
	opens 0 1
	# Complete now, but somebody has it open the other way.
	it_same_file "$TREE/large" "$ORIGIN/large"
	opens 0 2
	exec 5<&-
	wait_released 2
	before=$(reads)
	it_same_file "$TREE/large" "$ORIGIN/large"
	it_same_file "$TREE/large" "$ORIGIN/large"
	opens 2 2
	it_equal "$(reads)" "$before" "reads through the daemon of a complete file"
}

# A mapping keeps the file it was made from: no RELEASE, so the opens after it are cached, too.
mapped() {
	begin
	make_map
	timeout 60 python3 - "$TREE/large" "$ORIGIN/large" <<-'END' || it_fail "a mapped file"
		import os, sys
		from map import map, unmap

		path, origin = sys.argv[1:]
		want = open(origin, "rb").read()
		fd = os.open(path, os.O_RDONLY)
		m = map(fd, len(want))
		os.close(fd)
		assert m[:] == want
		for _ in range(10):
		    fd = os.open(path, os.O_RDWR)
		    assert os.pread(fd, 100, 4000000) == want[4000000:4000100]
		    os.close(fd)
		unmap(m)
	END
	opens 0 11
	wait_released 11
	it_same_file "$TREE/large" "$ORIGIN/large"
	opens 1 11
}

# The other way round the mapping is one of the file below; the kernel has told the RELEASE already.
mapped_below() {
	begin
	make_map
	timeout 60 python3 - "$TREE/small" "$ORIGIN/small" <<-'END' || it_fail "a mapped file"
		import os, sys, time
		from map import map, unmap

		path, origin = sys.argv[1:]
		want = open(origin, "rb").read()
		fd = os.open(path, os.O_RDWR)
		m = map(fd, len(want), True)
		os.close(fd)
		for n in range(10):
		    time.sleep(0.01)
		    fd = os.open(path, os.O_RDONLY)
		    assert os.read(fd, 100000) == want
		    os.close(fd)
		    m[n] = b"x"
		    want = want[:n] + b"x" + want[n + 1 :]
		unmap(m)
		assert open(path, "rb").read() == want
	END
	it_equal "$(status .passthrough.cached_opens)" 0 "cached opens"
}

truncated_open() {
	begin
	echo mine >"$TREE/large"
	opens 1 0
	it_equal "$(it_counter bytes_fetched)" 0 "bytes fetched"
	it_equal "$(cat "$TREE/large")" mine "content"
	cp "$ORIGIN/small" "$TREE/new"
	it_same_file "$TREE/new" "$ORIGIN/small"
	opens 4 0
	it_equal "$(status '.requests.write.count // 0')" 0 "writes through the daemon"
	it_equal "$(reads)" 0 "reads through the daemon"
}

# ---- attributes, which the kernel keeps for a day ----

attributes() {
	begin
	timeout 60 python3 - "$TREE" "$CACHE/data" <<-'END' || it_fail "attributes"
		import mmap, os, sys, time

		tree, below = sys.argv[1:]

		def same(what):
		    for name in ("small", "made"):
		        if not os.path.exists(below + "/" + name):
		            continue
		        a, b = os.stat(tree + "/" + name), os.stat(below + "/" + name)
		        one = (a.st_size, a.st_mtime_ns, a.st_ctime_ns, a.st_mode)
		        two = (b.st_size, b.st_mtime_ns, b.st_ctime_ns, b.st_mode)
		        assert one == two, (what, name, one, two)
		        assert a.st_blocks >= b.st_blocks, (what, name, a.st_blocks, b.st_blocks)

		same("at first")
		for name, flags in (("small", os.O_RDWR), ("made", os.O_RDWR | os.O_CREAT)):
		    fd = os.open(tree + "/" + name, flags)
		    same("open")
		    time.sleep(0.02)
		    os.pwrite(fd, b"x" * 10000, 100000)
		    same("written")
		    time.sleep(0.02)
		    os.write(os.open(tree + "/" + name, os.O_WRONLY | os.O_APPEND), b"more")
		    same("appended")
		    os.ftruncate(fd, 50000)
		    same("cut")
		    time.sleep(0.02)
		    m = mmap.mmap(fd, 50000)
		    m[5] = 1
		    same("stored")
		    time.sleep(0.02)
		    m.flush()
		    m[20000] = 1
		    same("stored again")
		    m.close()
		    os.posix_fallocate(fd, 0, 200000)
		    same("allocated")
		    os.utime(fd, (1, 2))
		    same("timed")
		    time.sleep(0.02)
		    os.pwrite(fd, b"y", 0)
		    same("last")
		    os.close(fd)
		    same("closed")
	END
	it_equal "$(status '.requests.write.count // 0')" 0 "writes through the daemon"
}

# What was written past the daemon is still known to be the user's.
changed() {
	begin
	printf changed | dd of="$TREE/small" bs=1 conv=notrunc status=none
	cp "$TREE/small" kept
	it_stop
	it_start --mode passthrough "$URL"
	it_same_file "$TREE/small" kept
	it_hsmctl verify "$CACHE" >out 2>&1 || :
	grep -q "small.*changed locally" out || it_fail "verify does not say so: $(cat out)"
}

present() {
	getfattr -n trusted.hsm.map "$CACHE/data/$1" >/dev/null 2>&1 && return 1
	[ "$(($(stat -c '%b * 512' "$CACHE/data/$1")))" -ge "$(stat -c %s "$CACHE/data/$1")" ]
}

# Eviction leaves alone what is passed through, also where only a mapping is left of it.
evicted() {
	local said

	begin
	it_same_file "$TREE/small" "$ORIGIN/small"
	make_map
	coproc HOLD { exec timeout 60 python3 -u -c 'import os, sys
from map import map, unmap
want = open(sys.argv[2], "rb").read()
fd = os.open(sys.argv[1], os.O_RDONLY)
print("open")
sys.stdin.readline()
m = map(fd, len(want))
os.close(fd)
print("mapped")
sys.stdin.readline()
print(m[:] == want)
unmap(m)
print("gone")
sys.stdin.readline()' "$TREE/small" "$ORIGIN/small"; }
	read -r said <&"${HOLD[0]}"
	it_hsmctl evict "$CACHE" small || :
	present small || it_fail "evicted while it is open"
	echo >&"${HOLD[1]}"
	read -r said <&"${HOLD[0]}"
	wait_released 2
	it_hsmctl evict "$CACHE" small || :
	present small || it_fail "evicted while it is mapped"
	echo >&"${HOLD[1]}"
	read -r said <&"${HOLD[0]}"
	it_equal "$said" True "bytes through the mapping"
	read -r said <&"${HOLD[0]}"
	it_hsmctl evict "$CACHE" small
	! present small || it_fail "not evicted"
	it_same_file "$TREE/small" "$ORIGIN/small"
	it_same_file "$TREE/small" "$ORIGIN/small"
	it_equal "$(status .passthrough.cached_opens)" 0 "cached opens"
	it_equal "$(status .passthrough.filled_in_open)" 2 "filled in open"
	echo >&"${HOLD[1]}"
}

# ---- faults ----

is_back() {
	cmp -s - "$ORIGIN/small" <&5
}

# Opening works as on a disk; reading is what fails, and works again with the origin.
origin_gone() {
	begin --retries 0
	it_fault "/small refuse"
	exec 5<"$TREE/small"
	cat <&5 2>err && it_fail "read from an origin that refuses"
	grep -q "Input/output error" err || it_fail "$(cat err)"
	opens 0 1
	it_fault
	it_wait_until 10 is_back || it_fail "no bytes when it is back"
	exec 5<&-
	wait_released 1
	it_same_file "$TREE/small" "$ORIGIN/small"
	opens 1 1
}

direct() {
	local name

	begin
	for name in large small; do
		for _ in 1 2; do
			timeout 30 dd if="$TREE/$name" of=copy bs=64K iflag=direct status=none
			it_same_file copy "$ORIGIN/$name"
		done
	done
}

# Everybody opens the same file at once while it becomes complete.
same_moment() {
	local n pids=()

	begin --latency 20ms
	for n in large.{1..6}; do
		for _ in {1..12}; do
			timeout 60 cmp "$TREE/$n" "$ORIGIN/$n" || echo "$n" >>failed &
			pids+=($!)
			[ $((RANDOM % 3)) != 0 ] || sleep 0.0$((RANDOM % 10))
		done
	done
	wait "${pids[@]}"
	[ ! -e failed ] || it_fail "opens or reads failed: $(sort failed | uniq -c | tr '\n' ' ')"
}

# More files than any table of ids or descriptors has been tried with; all go away again.
many_open() {
	begin
	mkdir "$TREE/many"
	timeout 100 python3 - "$TREE/many" <<-'END' || it_fail "many open files"
		import os, resource, sys

		resource.setrlimit(resource.RLIMIT_NOFILE, (6000, 6000))
		fds = []
		for n in range(5000):
		    fd = os.open(sys.argv[1] + "/%d" % n, os.O_RDWR | os.O_CREAT)
		    os.write(fd, b"%d" % n)
		    fds.append(fd)
		for n, fd in enumerate(fds):
		    assert os.pread(fd, 10, 0) == b"%d" % n
		    os.close(fd)
	END
	wait_released 5000
	it_at_most "$(find "/proc/$(it_daemon_pids)/fd" -mindepth 1 | wc -l)" 150 \
		"descriptors of the daemon"
	opens 5000 0
}

# Processes open, read, map, write and close files that fill meanwhile, in any order.
everybody() {
	begin --latency 5ms --chunk 64K --readahead 256K
	timeout 100 python3 - "$TREE" "$ORIGIN" 20 <<-'END' || it_fail "wrong bytes or errors"
		import mmap, os, random, sys, time

		tree, origin, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
		names = ["large.%d" % n for n in range(1, 7)]
		names += ["few.%d" % n for n in range(1, 40)]
		files = {n: open(origin + "/" + n, "rb").read() for n in names}

		def once(r):
		    name = r.choice(names)
		    want = files[name]
		    # Writing what is there anyway changes how it is opened, not its bytes.
		    flags = os.O_RDWR if r.random() < 0.2 else os.O_RDONLY
		    fd = os.open(tree + "/" + name, flags)
		    maps = []
		    for _ in range(r.randrange(6)):
		        at = r.randrange(len(want))
		        n = r.randrange(1, 70000)
		        what = r.random()
		        if what < 0.5:
		            assert os.pread(fd, n, at) == want[at : at + n], (name, at, n)
		        elif what < 0.7:
		            m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
		            assert m[at : at + n] == want[at : at + n], (name, at, n)
		            maps.append(m)
		        elif flags == os.O_RDWR:
		            os.pwrite(fd, want[at : at + n], at)
		    if r.random() < 0.5:
		        os.close(fd)
		        fd = -1
		    for m in maps:
		        at = r.randrange(len(want))
		        assert m[at : at + 5000] == want[at : at + 5000], (name, at)
		        m.close()
		    if fd >= 0:
		        os.close(fd)

		def run(seed):
		    r = random.Random(seed)
		    end = time.monotonic() + seconds
		    rounds = 0
		    while time.monotonic() < end:
		        once(r)
		        rounds += 1
		    print(rounds, "rounds")

		children = []
		for seed in range(12):
		    pid = os.fork()
		    if not pid:
		        try:
		            run(seed)
		            code = 0
		        except BaseException as e:
		            print("process", seed, repr(e), file=sys.stderr)
		            code = 1
		        sys.stdout.flush()
		        os._exit(code)
		    children.append(pid)
		sys.exit(any([os.waitpid(p, 0)[1] for p in children]))
	END
	status .passthrough
	it_at_least "$(status .passthrough.opens)" 100 "opens passed through"
	it_at_least "$(status .passthrough.cached_opens)" 5 "cached opens"
	it_equal "$(status .passthrough.refused)" 0 "refused by the kernel"
}

mkdir -p "$ORIGIN"
it_random "$ORIGIN/small" 100000
it_random "$ORIGIN/large" $((8 * MIB + 5))
: >"$ORIGIN/empty"
for n in {1..6}; do
	it_random "$ORIGIN/large.$n" $((5 * MIB + n))
done
for n in {1..39}; do
	it_random "$ORIGIN/few.$n" $((n * 70000))
done

it_case "a small file passes through at once" small_at_once
it_case "a large one after the last cached close" large_later
it_case "a mapping keeps a file cached" mapped
it_case "a mapping below" mapped_below
it_case "O_TRUNC and new files" truncated_open
it_case "attributes" attributes
it_case "changes are known" changed
it_case "eviction" evicted
it_case "origin gone" origin_gone
it_case "O_DIRECT" direct
it_case "opens while a file becomes complete" same_moment
it_case "many open files" many_open
it_case "everybody at random" everybody
it_end
