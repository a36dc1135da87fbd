/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading: every system call that copies bytes out of a file. */
#include <linux/aio_abi.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#include "tests/tools/pathcheck/pathcheck.h"

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

ROW(read)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = memory(SIZE);
	ssize_t n;

	for (int i = 0; (n = read(fd, p, 100000)) > 0; i++)
		say_bytes("read", p, n);
	CALL(n);
}

ROW(pread)
{
	int fd = open_or_end(A, O_RDONLY);

	say_range(fd, SIZE / 2, 3);
	say_range(fd, PAGE - 1, 2);
	say_range(fd, SIZE - 10, 100);
	say_range(fd, SIZE + 5, 100);
	say_range(fd, 0, SIZE);
}

/* The first byte alone: who waits for it must not get the rest as zeros. */
ROW(pread_nothing)
{
	int fd = open_or_end(A, O_RDONLY);
	char byte;

	CALL(pread(fd, &byte, 0, 8192));
	say_fd(fd);
}

ROW(readv)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = memory(SIZE);
	struct iovec v[3] = {{p, 5}, {p + 5, 200000}, {p + 200005, 300000}};

	lseek(fd, 70000, SEEK_SET);
	say_bytes("readv", p, readv(fd, v, 3));
	say_bytes("preadv", p, preadv(fd, v, 3, 500001));
	say_bytes("preadv2", p, preadv2(fd, v, 3, -1, 0));
}

/* Blocks, or says EAGAIN; never zeros. */
ROW(nowait)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = memory(SIZE);
	struct iovec v = {p, 300000};
	ssize_t n = preadv2(fd, &v, 1, 400000, RWF_NOWAIT);

	if (n < 0 && errno == EAGAIN) /* not in the page cache yet */
		n = preadv2(fd, &v, 1, 400000, 0);
	else if (n >= 0 && n < 300000)
		n += pread(fd, p + n, (size_t)(300000 - n), 400000 + n);
	say_bytes("RWF_NOWAIT", p, n);
}

ROW(dontcache)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = memory(SIZE);
	struct iovec v = {p, 300000};
	ssize_t n = preadv2(fd, &v, 1, 400000, RWF_DONTCACHE);

	if (n < 0 && errno == EOPNOTSUPP)
		skip("no RWF_DONTCACHE");
	say_bytes("RWF_DONTCACHE", p, n);
}

ROW(direct)
{
	int fd = open_or_end(A, O_RDONLY | O_DIRECT);
	char *p = memory(SIZE + PAGE);

	say_bytes("direct", p, pread(fd, p, 64 * KIB, 512 * KIB));
	say_bytes("direct to the end", p, pread(fd, p, 128 * KIB, 1024 * KIB - 64 * KIB));
	say_bytes("direct, all", p, pread(fd, p, 1028 * KIB, 0));
}

/* O_DIRECT by fcntl on a descriptor that was opened without. */
ROW(direct_later)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = memory(SIZE);

	CALL(fcntl(fd, F_SETFL, O_DIRECT));
	say_bytes("direct", p, pread(fd, p, 64 * KIB, 256 * KIB));
}

static void aio(int open_flags, size_t length, off_t offset)
{
	int fd = open_or_end(A, O_RDONLY | open_flags);
	char *p = memory(SIZE);
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uint64_t)(uintptr_t)p,
		.aio_nbytes = length,
		.aio_offset = offset};
	struct iocb *list[1] = {&cb};
	struct io_event event = {0};
	aio_context_t ctx = 0;

	if (syscall(SYS_io_setup, 4, &ctx))
		skip("no aio");
	CALL(syscall(SYS_io_submit, ctx, 1, list));
	CALL(syscall(SYS_io_getevents, ctx, 1, 1, &event, NULL));
	say_bytes("aio", p, event.res);
}

ROW(aio)
{
	aio(0, 100000, 300001);
	aio(O_DIRECT, 64 * KIB, 640 * KIB);
}

ROW(sendfile)
{
	int fd = open_or_end(A, O_RDONLY), to = make_local("sendfile.out", 0);
	off_t offset = 100001;

	CALL(sendfile(to, fd, &offset, 600000));
	say("offset %lld", (long long)offset);
	CALL(sendfile(to, fd, NULL, SIZE));
	say_fd(to);
}

static void drain(int pipe_fd, size_t most)
{
	char *p = memory(SIZE);

	say_bytes("from the pipe", p, read(pipe_fd, p, most));
	munmap(p, SIZE);
}

ROW(splice)
{
	int fd = open_or_end(A, O_RDONLY), p[2];
	off_t offset = 300000;

	CALL(pipe(p));
	CALL(splice(fd, &offset, p[1], NULL, 50000, 0));
	drain(p[0], 50000);
	CALL(splice(fd, NULL, p[1], NULL, 50000, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
	drain(p[0], 50000);
}

ROW(tee)
{
	int fd = open_or_end(A, O_RDONLY), p[2], q[2];
	off_t offset = 700000;

	CALL(pipe(p));
	CALL(pipe(q));
	CALL(splice(fd, &offset, p[1], NULL, 40000, 0));
	CALL(tee(p[0], q[1], 40000, 0));
	drain(q[0], 40000);
	drain(p[0], 40000);
}

/* Pages of a mapping go into the pipe as they are. */
ROW(vmsplice)
{
	int fd = open_or_end(A, O_RDONLY), p[2];
	char *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	struct iovec v = {map + 400 * KIB, 40000};

	CALL(pipe(p));
	CALL(map == MAP_FAILED ? -1 : vmsplice(p[1], &v, 1, 0));
	drain(p[0], 40000);
}

ROW(copy_file_range)
{
	int fd = open_or_end(A, O_RDONLY), to = make_local("copy_file_range.out", 0);
	off_t offset = 65537, at = 0;

	while (offset < SIZE && copy_file_range(fd, &offset, to, &at, SIZE, 0) > 0)
		;
	say("offset %lld", (long long)offset);
	say_fd(to);
}

ROW(copy_file_range_elsewhere)
{
	int fd = open_or_end(A, O_RDONLY), to;
	char *path;

	if (asprintf(&path, "%s/pathcheck.out", elsewhere) < 0)
		skip("no memory");
	to = make_local(path, 0);
	unlink(path);
	while (copy_file_range(fd, NULL, to, NULL, SIZE, 0) > 0)
		;
	say_fd(to);
}

/* Hints raise no event; what they put into the page cache must not stay there as zeros. */
ROW(readahead)
{
	int fd = open_or_end(A, O_RDONLY);

	CALL(readahead(fd, 0, SIZE));
	CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	usleep(20000);
	say_fd(fd);
}
