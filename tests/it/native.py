# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls of tests/it/native.sh that no program makes: native.py NAME DIR. Prints one word."""
import ctypes
import errno
import fcntl
import os
import select
import signal
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
SIZE = 1 << 20


def check(r):
    if r < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return r


def whole(fd):
    return b"".join(os.pread(fd, 65536, at) for at in range(0, SIZE, 65536))


def same(name, fd):
    """Does @fd read as the origin's file?"""
    with open(sys.argv[3] + "/" + name, "rb") as f:
        return "ok" if whole(fd) == f.read() else "differs"


def renameat2(old, new, flags):
    check(libc.renameat2(-100, old.encode(), -100, new.encode(), flags))


def exchange():
    with open("local", "wb") as f:
        f.write(b"local")
    renameat2("f", "local", 2)
    with open("f", "rb") as f:
        assert f.read() == b"local", "the local file is not there"
    return same("f", os.open("local", os.O_RDONLY))


def whiteout():
    renameat2("f", "moved", 4)
    assert os.stat("f").st_rdev == 0 and (os.stat("f").st_mode & 0o170000) == 0o020000
    return same("f", os.open("moved", os.O_RDONLY))


def tmpfile():
    fd = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o644)
    os.write(fd, b"x")
    check(libc.linkat(fd, b"", -100, b"named", 0x1000))
    return same("f", os.open("f", os.O_RDONLY)) if os.stat("named").st_size == 1 else "lost"


EVENTS = {1: "access", 2: "modify", 4: "attrib", 16: "close", 32: "open"}


def inotify():
    """What a watcher sees when somebody reads the file."""
    watch = check(libc.inotify_init1(os.O_NONBLOCK))
    check(libc.inotify_add_watch(watch, b"f", 1 | 2 | 4 | 16 | 32))
    fd = os.open("f", os.O_RDONLY)
    whole(fd)
    os.close(fd)
    seen = set()
    while select.select([watch], [], [], 0.5)[0]:
        data, at = os.read(watch, 65536), 0
        while at < len(data):
            _, mask, _, length = struct.unpack_from("iIII", data, at)
            seen |= {n for bit, n in EVENTS.items() if mask & bit}
            at += 16 + length
    return " ".join(sorted(seen))


def lease(kind, flags):
    """The holder of a lease reads the file: the lease must stop nobody else either."""
    signal.signal(signal.SIGIO, lambda *a: None)
    fd = os.open("f", flags)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, kind)
    begin = time.monotonic()
    if os.fork() == 0:
        try:
            other = os.open("g", os.O_RDONLY)
            os._exit(0 if same("g", other) == "ok" and time.monotonic() - begin < 10 else 1)
        except OSError:
            os._exit(2)
    try:
        word = same("f", fd)
    except OSError as e:
        word = errno.errorcode[e.errno]
    slow = time.monotonic() - begin > 10
    code = os.waitstatus_to_exitcode(os.wait()[1])
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        word += ", lease lost"
    if word != "ok":
        word += ", then " + same("f", fd)
    return word + (", slow" if slow else "") + (f", others {code}" if code else "")


def read_lease():
    return lease(fcntl.F_RDLCK, os.O_RDONLY)


def write_lease():
    return lease(fcntl.F_WRLCK, os.O_RDWR)


def ofd_locks():
    one, two = os.open("f", os.O_RDWR), os.open("f", os.O_RDWR)
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 100, 0)
    fcntl.fcntl(one, 37, lock)
    try:
        fcntl.fcntl(two, 37, lock)
        return "no lock"
    except OSError as e:
        assert e.errno == errno.EAGAIN
    return same("f", two)


def flock():
    one, two = os.open("f", os.O_RDONLY), os.open("f", os.O_RDONLY)
    fcntl.flock(one, fcntl.LOCK_EX)
    try:
        fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return "no lock"
    except OSError as e:
        assert e.errno == errno.EAGAIN
    return same("f", two)


def verity():
    fd = os.open("f", os.O_RDONLY)
    arg = struct.pack("IIIIQIIQ88x", 1, 1, 4096, 0, 0, 0, 0, 0)
    fcntl.ioctl(fd, 0x40806685, arg)
    return same("f", fd)


def statx():
    """What identifies a file, and its times but ctime, stay when it is filled."""

    def look():
        buf = ctypes.create_string_buffer(256)
        check(libc.statx(-100, b"f", 0, 0x1FFF, buf))
        (mask,) = struct.unpack_from("I", buf, 0)
        ino, size = struct.unpack_from("QQ", buf, 32)
        mnt = struct.unpack_from("Q", buf, 144)
        return mask & 0x1800, ino, size, buf.raw[80:96], buf.raw[112:128], mnt

    before = look()
    word = same("f", os.open("f", os.O_RDONLY))
    assert before == look(), f"{before} {look()}"
    return word if before[0] == 0x1800 else f"mask {before[0]:x}"


def main():
    os.chdir(sys.argv[2])
    try:
        return globals()[sys.argv[1]]()
    except OSError as e:
        return errno.errorcode[e.errno]


print(main())
