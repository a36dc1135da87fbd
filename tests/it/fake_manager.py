#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A service manager as systemd is one to a Type=notify service, and no more than that.

fake_manager.py STATE PROGRAM ARG...: starts PROGRAM with NOTIFY_SOCKET and a watchdog, keeps the
descriptors it sends (FDSTORE=1) and hands them to the next one (LISTEN_FDS). What happens is
appended to STATE/log, the main pid is in STATE/pid. SIGUSR1: kill -9 all of the service (its process
group), then start it again. SIGTERM: end it in order, then this.
"""
import os
import signal
import socket
import sys

state, argv = sys.argv[1], sys.argv[2:]
store = {}
wanted = []


def log(text):
    with open(os.path.join(state, "log"), "a", encoding="utf-8") as f:
        f.write(text + "\n")


def start(address):
    names = sorted(store)
    pid = os.fork()
    if pid:
        with open(os.path.join(state, "pid"), "w", encoding="utf-8") as f:
            f.write(str(pid))
        log(f"started {pid} with {','.join(names)}")
        return pid
    os.setpgid(0, 0)
    # First out of the way, then to 3, 4, ...
    high = [os.dup(store[n]) for n in names]
    high = [os.dup2(fd, 100 + i) for i, fd in enumerate(high)]
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i, inheritable=True)
    os.closerange(3 + len(names), 200)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    env = dict(os.environ, NOTIFY_SOCKET=address, WATCHDOG_USEC="3000000")
    env["WATCHDOG_PID"] = str(os.getpid())
    if names:
        env.update(LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))
        env["LISTEN_PID"] = str(os.getpid())
    os.execve(argv[0], argv, env)


def take(message, fds):
    words = dict(w.split("=", 1) for w in message.decode().split("\n") if "=" in w)
    if "FDSTORE" in words and fds:
        name = words.get("FDNAME", "stored")
        if name in store:
            os.close(store[name])
        store[name] = fds[0]
        log(f"stored {name}")
    for word in ("READY", "STOPPING", "WATCHDOG"):
        if word in words:
            log(word)


def main():
    address = os.path.join(state, "notify")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(address)
    sock.settimeout(0.1)
    for sig in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(sig, lambda s, _: wanted.append(s))
    pid = start(address)
    while True:
        try:
            message, fds, _, _ = socket.recv_fds(sock, 4096, 8)
            take(message, fds)
        except TimeoutError:
            pass
        if wanted and wanted[0] == signal.SIGTERM:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
            return
        if wanted:
            wanted.clear()
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            log("killed")
            pid = start(address)


main()
