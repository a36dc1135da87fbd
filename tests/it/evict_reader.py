# SPDX-License-Identifier: GPL-2.0-or-later
"""evict_reader.py TREE ORIGIN SEED: reads and maps files of TREE until ./stop exists; prints how
often, exit code 1 with a line if a byte differs from ORIGIN."""
import mmap
import os
import random
import sys
import time

tree, origin, seed = sys.argv[1:4]
random.seed(seed)
names = sorted(os.listdir(origin))
want = {n: open(os.path.join(origin, n), "rb").read() for n in names}
reads = 0
while not os.path.exists("stop"):
    name = random.choice(names)
    size = len(want[name])
    at = random.randrange(size)
    length = random.choice((1, 4096, 100000, size))
    fd = os.open(os.path.join(tree, name), os.O_RDONLY)
    if random.random() < 0.2:
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as m:
            os.close(fd)
            have = m[at : at + length]
    else:
        have = os.pread(fd, length, at)
        os.close(fd)
    if have != want[name][at : at + length]:
        sys.exit(f"{name}: {length} bytes at {at} differ")
    reads += 1
    time.sleep(random.random() * 0.02)
print(reads)
