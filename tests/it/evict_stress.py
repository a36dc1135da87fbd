# SPDX-License-Identifier: GPL-2.0-or-later
"""evict_stress.py KIND TREE ORIGIN SEED: uses the files r* of TREE until ./stop exists and compares
with ORIGIN; prints how often. Exit code 1 with a line if a byte differs or a call takes too long.
KIND: read, map, direct; open (opens and closes only, to meet leases); write (changes each file w*
once, puts the mtime back, and looks at all it has changed again and again)."""
import mmap
import os
import random
import sys
import time

LONG = 30.0
kind, tree, origin, seed = sys.argv[1:5]
random.seed(kind + seed)
prefix = "w" if kind == "write" else "r"
names = sorted(n for n in os.listdir(origin) if n.startswith(prefix))
if kind == "write":
    names = [n for i, n in enumerate(names) if i % 2 == int(seed) % 2]
want = {n: bytearray(open(os.path.join(origin, n), "rb").read()) for n in names}
changed = set()


def part(name):
    size = len(want[name])
    at = random.randrange(size)
    return at, min(random.choice((1, 4096, 100000, size)), size - at)


def read(path, name):
    at, length = part(name)
    fd = os.open(path, os.O_RDONLY)
    have = os.pread(fd, length, at)
    os.close(fd)
    return at, have, length


def map_(path, name):
    at, length = part(name)
    fd = os.open(path, os.O_RDONLY)
    with mmap.mmap(fd, len(want[name]), prot=mmap.PROT_READ) as m:
        os.close(fd)
        return at, m[at : at + length], length


def direct(path, name):
    size = len(want[name])
    at = random.randrange(size // 4096) * 4096
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    with mmap.mmap(-1, 65536) as buffer:
        n = os.preadv(fd, [buffer], at)
        os.close(fd)
        return at, buffer[:n], min(65536, size - at)


def open_(path, name):
    flags = random.choice((os.O_RDONLY, os.O_RDONLY, os.O_RDONLY | os.O_NONBLOCK))
    try:
        os.close(os.open(path, flags))
    except BlockingIOError:
        pass
    return 0, b"", 0


def write(path, name):
    if name not in changed:
        changed.add(name)
        st = os.stat(path)
        at = random.randrange(len(want[name]) - 100)
        fd = os.open(path, os.O_RDWR)
        os.pwrite(fd, b"x" * 100, at)
        if random.random() < 0.5:
            os.utime(fd, ns=(st.st_atime_ns, st.st_mtime_ns))
            os.close(fd)
        else:
            os.close(fd)
            os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))
        want[name][at : at + 100] = b"x" * 100
        return 0, b"", 0
    return read(path, name)


use = {"read": read, "map": map_, "direct": direct, "open": open_, "write": write}[kind]
count = 0
while not os.path.exists("stop"):
    name = random.choice(names)
    begin = time.monotonic()
    at, have, length = use(os.path.join(tree, name), name)
    took = time.monotonic() - begin
    if took > LONG:
        sys.exit(f"{kind} {name}: took {took:.1f} s")
    if have != want[name][at : at + length]:
        sys.exit(f"{kind} {name}: {length} bytes at {at} differ")
    count += 1
    time.sleep(random.random() * 0.01)
print(count)
