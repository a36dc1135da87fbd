/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io_uring: whoever does the work, the submitter, the polling thread, a worker. */
#include <liburing.h>

#include <linux/falloc.h>

#include "tests/tools/pathcheck/pathcheck.h"

#define OP_FTRUNCATE 55 /* Linux 6.9; not in the liburing of Debian 12 */

static struct io_uring ring;

static void start(unsigned int flags)
{
	if (io_uring_queue_init(8, &ring, flags) < 0)
		skip("no io_uring");
}

static struct io_uring_sqe *entry(void)
{
	return io_uring_get_sqe(&ring);
}

/* Submits what was prepared; the result of one request. */
static long result(void)
{
	struct io_uring_cqe *cqe;
	long r = io_uring_submit(&ring);

	if (r >= 0)
		r = io_uring_wait_cqe(&ring, &cqe);
	if (r < 0)
		return errno = (int)-r, -1;
	r = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return r < 0 ? errno = (int)-r, -1 : r;
}

static void read_at(off_t offset, size_t length, unsigned int sqe_flags, int open_flags)
{
	int fd = open_or_end(A, O_RDONLY | open_flags);
	char *p = memory(SIZE);
	struct io_uring_sqe *sqe = entry();

	io_uring_prep_read(sqe, fd, p, (unsigned int)length, (uint64_t)offset);
	io_uring_sqe_set_flags(sqe, sqe_flags);
	say_bytes("read", p, result());
}

ROW(uring_read)
{
	start(0);
	read_at(300001, 100000, 0, 0);
	read_at(640 * KIB, 64 * KIB, 0, O_DIRECT);
}

ROW(uring_async)
{
	start(0);
	read_at(300001, 100000, IOSQE_ASYNC, 0);
	read_at(640 * KIB, 64 * KIB, IOSQE_ASYNC, O_DIRECT);
}

ROW(uring_sqpoll)
{
	start(IORING_SETUP_SQPOLL);
	read_at(300001, 100000, 0, 0);
	read_at(640 * KIB, 64 * KIB, 0, O_DIRECT);
}

ROW(uring_fixed)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = memory(SIZE);
	struct iovec v = {p, SIZE};
	struct io_uring_sqe *sqe;

	start(0);
	CALL(io_uring_register_files(&ring, &fd, 1));
	CALL(io_uring_register_buffers(&ring, &v, 1));
	sqe = entry();
	io_uring_prep_read_fixed(sqe, 0, p, 100000, 500001, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	say_bytes("read", p, result());
}

/* Two reads, one after the other. */
ROW(uring_linked)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = memory(SIZE);
	struct io_uring_sqe *sqe;

	start(0);
	sqe = entry();
	io_uring_prep_read(sqe, fd, p, 1000, 100000);
	io_uring_sqe_set_flags(sqe, IOSQE_IO_LINK);
	sqe = entry();
	io_uring_prep_read(sqe, fd, p + 1000, 1000, 900000);
	CALL(result());
	say_bytes("reads", p, CALL(result()) + 1000);
}

ROW(uring_splice)
{
	int fd = open_or_end(A, O_RDONLY), pipe_fd[2];
	char *p = memory(SIZE);

	start(0);
	CALL(pipe(pipe_fd));
	io_uring_prep_splice(entry(), fd, 700000, pipe_fd[1], -1, 50000, 0);
	CALL(result());
	say_bytes("from the pipe", p, read(pipe_fd[0], p, 50000));
}

ROW(uring_write)
{
	int fd = open_or_end(A, O_RDWR);

	start(0);
	io_uring_prep_write(entry(), fd, "0123456789", 10, 333333);
	CALL(result());
	say_fd(fd);
}

static void ftruncate_to(off_t size)
{
	int fd = open_or_end(A, O_RDWR);
	struct io_uring_sqe *sqe = entry();

	io_uring_prep_nop(sqe);
	sqe->opcode = OP_FTRUNCATE;
	sqe->fd = fd;
	sqe->off = (uint64_t)size;
	CALL(result());
	say_fd(fd);
}

ROW(uring_ftruncate)
{
	start(0);
	ftruncate_to(500000);
	ftruncate_to(SIZE + 100000);
	ftruncate_to(128 * KIB);
}

static void fallocate_with(int mode)
{
	int fd = open_or_end(A, O_RDWR);

	start(0);
	io_uring_prep_fallocate(entry(), fd, mode, 256 * KIB, 64 * KIB);
	CALL(result());
	say_fd(fd);
}

ROW(uring_punch)
{
	fallocate_with(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
}

ROW(uring_collapse)
{
	fallocate_with(FALLOC_FL_COLLAPSE_RANGE);
}

ROW(uring_insert)
{
	fallocate_with(FALLOC_FL_INSERT_RANGE);
}
