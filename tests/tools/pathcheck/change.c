/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Changes: what they leave must be what they leave of a file that had all its bytes. */
#include <linux/falloc.h>
#include <sys/sendfile.h>

#include "tests/tools/pathcheck/pathcheck.h"

#ifndef FALLOC_FL_UNSHARE_RANGE
#define FALLOC_FL_UNSHARE_RANGE 0x40
#endif

ROW(write)
{
	int fd = open_or_end(A, O_RDWR);

	CALL(pwrite(fd, "0123456789", 10, 333333));
	say_fd(fd);
}

ROW(write_direct)
{
	int fd = open_or_end(A, O_RDWR | O_DIRECT);
	char *p = memory(64 * KIB);

	memset(p, 'd', 64 * KIB);
	CALL(pwrite(fd, p, 64 * KIB, 300 * KIB));
	say_file(A);
}

ROW(write_at_end)
{
	int fd = open_or_end(A, O_RDWR);

	CALL(pwrite(fd, "0123456789", 10, SIZE - 3));
	CALL(pwrite(fd, "0123456789", 10, SIZE + 5000));
	say_fd(fd);
}

ROW(append)
{
	int fd = open_or_end(A, O_RDWR | O_APPEND);

	CALL(write(fd, "0123456789", 10));
	CALL(write(fd, "abcdefghij", 10));
	say_fd(fd);
}

/* So much that the event, which names the position 0, covers all of the file. */
ROW(append_much)
{
	int fd = open_or_end(A, O_RDWR | O_APPEND);
	char *p = memory(2 * SIZE);

	memset(p, 'a', 2 * SIZE);
	CALL(write(fd, p, 2 * SIZE));
	say_fd(fd);
}

ROW(append_call)
{
	int fd = open_or_end(A, O_RDWR);
	struct iovec v = {"0123456789", 10};

	CALL(pwritev2(fd, &v, 1, 0, RWF_APPEND));
	say_fd(fd);
}

/* Never read before: the only event comes from a write. */
ROW(append_unread)
{
	int fd = open_or_end(A, O_WRONLY | O_APPEND);

	CALL(write(fd, "0123456789", 10));
}

ROW(o_trunc)
{
	int fd = open_or_end(A, O_RDWR | O_TRUNC);

	say_fd(fd);
	CALL(pwrite(fd, "0123456789", 10, 300000));
	say_fd(fd);
}

/* No event tells of it; the next one comes when the file is as long as before. */
ROW(o_trunc_rewritten)
{
	int fd = open_or_end(A, O_RDWR | O_TRUNC);

	CALL(pwrite(fd, "0123456789", 10, SIZE - 10));
	say_fd(fd);
}

static void cut_and_grow(int fd, off_t size)
{
	CALL(ftruncate(fd, size));
	say_fd(fd);
	CALL(ftruncate(fd, SIZE + 70000));
	say_fd(fd);
}

ROW(truncate_down)
{
	CALL(truncate(A, 500000));
	say_file(A);
}

ROW(truncate_up)
{
	CALL(truncate(A, SIZE + 500000));
	say_file(A);
}

ROW(truncate_twice)
{
	CALL(truncate(A, 500000));
	CALL(truncate(A, SIZE));
	say_file(A);
}

ROW(truncate_to_nothing)
{
	CALL(truncate(A, 0));
	CALL(truncate(A, SIZE));
	say_file(A);
}

ROW(ftruncate_unaligned)
{
	cut_and_grow(open_or_end(A, O_RDWR), 500001);
}

ROW(ftruncate_page)
{
	cut_and_grow(open_or_end(A, O_RDWR), 123 * PAGE);
}

ROW(ftruncate_chunk)
{
	cut_and_grow(open_or_end(A, O_RDWR), 512 * KIB);
}

ROW(ftruncate_same)
{
	int fd = open_or_end(A, O_RDWR);

	CALL(ftruncate(fd, SIZE));
	say_fd(fd);
}

/* Grown by a write, not by a call that says so. */
ROW(truncate_then_write)
{
	int fd = open_or_end(A, O_RDWR);

	CALL(ftruncate(fd, 300000));
	CALL(pwrite(fd, "0123456789", 10, SIZE));
	say_fd(fd);
}

ROW(truncate_then_append)
{
	int fd = open_or_end(A, O_RDWR | O_APPEND);
	char *p = memory(SIZE);

	memset(p, 'a', SIZE);
	CALL(ftruncate(fd, 300000));
	CALL(write(fd, p, SIZE));
	say_fd(fd);
}

static void allocate(int mode, off_t offset, off_t length)
{
	int fd = open_or_end(A, O_RDWR);

	CALL(fallocate(fd, mode, offset, length));
	say_fd(fd);
}

ROW(allocate)
{
	allocate(0, 300000, 100000);
}

ROW(allocate_beyond)
{
	allocate(0, SIZE - 1000, 300000);
}

ROW(allocate_keep_size)
{
	allocate(FALLOC_FL_KEEP_SIZE, SIZE - 1000, 300000);
}

ROW(punch)
{
	allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 300000, 100000);
}

ROW(punch_all)
{
	allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * SIZE);
}

ROW(zero)
{
	allocate(FALLOC_FL_ZERO_RANGE, 300000, 100000);
}

ROW(zero_beyond)
{
	allocate(FALLOC_FL_ZERO_RANGE, SIZE - 1000, 100000);
}

ROW(collapse)
{
	allocate(FALLOC_FL_COLLAPSE_RANGE, 256 * KIB, 64 * KIB);
}

ROW(collapse_page)
{
	allocate(FALLOC_FL_COLLAPSE_RANGE, 0, PAGE);
}

ROW(insert)
{
	allocate(FALLOC_FL_INSERT_RANGE, 256 * KIB, 64 * KIB);
}

ROW(insert_page)
{
	allocate(FALLOC_FL_INSERT_RANGE, 0, PAGE);
}

ROW(unshare)
{
	allocate(FALLOC_FL_UNSHARE_RANGE, 0, 256 * KIB);
}

#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES 0x80
#endif

ROW(write_zeroes)
{
	allocate(FALLOC_FL_WRITE_ZEROES, 256 * KIB, 64 * KIB);
}

/* Punch, then read what is left, then write into the hole. */
ROW(punch_then_write)
{
	int fd = open_or_end(A, O_RDWR);

	CALL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 256 * KIB, 256 * KIB));
	CALL(pwrite(fd, "0123456789", 10, 300000));
	say_fd(fd);
}

ROW(splice_into)
{
	int fd = open_or_end(A, O_RDWR), p[2];
	off_t offset = 333333;
	char text[5000];

	memset(text, 's', sizeof(text));
	CALL(pipe(p));
	CALL(write(p[1], text, sizeof(text)));
	CALL(splice(p[0], NULL, fd, &offset, sizeof(text), 0));
	say_fd(fd);
}

ROW(sendfile_into)
{
	int from = make_local("sendfile_into.out", 300 * KIB), fd = open_or_end(A, O_RDWR);

	lseek(fd, 444444, SEEK_SET);
	CALL(sendfile(fd, from, NULL, 200000));
	say_fd(fd);
}

/* Times set by a user are his, whatever is fetched later. */
ROW(times)
{
	struct timespec t[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1100000000}};
	int fd = open_or_end(A, O_RDWR);
	struct stat st;

	CALL(futimens(fd, t));
	say_fd(fd);
	fstat(fd, &st);
	say("mtime %lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

/* Two processes write into one missing chunk. */
static int both;

static void write_second(void)
{
	CALL(pwrite(both, "second", 6, 300100));
}

ROW(write_two)
{
	both = open_or_end(A, O_RDWR);
	in_child(write_second);
	CALL(pwrite(both, "first", 5, 300000));
	say_fd(both);
}
