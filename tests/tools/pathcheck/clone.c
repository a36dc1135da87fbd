/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls that share, move or exchange blocks between files, and those of one file system only. */
#include <linux/fs.h>

#include "tests/tools/pathcheck/pathcheck.h"

struct btrfs_range {
	uint64_t start, length, flags;
	uint32_t extent_threshold, compress_type, unused[4];
};
#define BTRFS_DEFRAG	   _IOW(0x94, 2, char[4096])
#define BTRFS_DEFRAG_RANGE _IOW(0x94, 16, struct btrfs_range)

struct btrfs_encoded {
	const struct iovec *iov;
	unsigned long count;
	int64_t offset;
	uint64_t flags, length, unencoded_length, unencoded_offset;
	uint32_t compression, encryption;
	uint8_t reserved[64];
};
#define BTRFS_ENCODED_READ _IOR(0x94, 64, struct btrfs_encoded)

ROW(clone)
{
	int fd = open_or_end(A, O_RDONLY), to = make_local("clone.out", 0);

	CALL(ioctl(to, FICLONE, fd));
	say_fd(to);
}

ROW(clone_range)
{
	int fd = open_or_end(A, O_RDONLY), to = make_local("clone_range.out", 0);
	struct file_clone_range range = {fd, 256 * KIB, 512 * KIB, 64 * KIB};

	CALL(ioctl(to, FICLONERANGE, &range));
	say_fd(to);
}

/* To the end of file: length 0. */
ROW(clone_to_end)
{
	int fd = open_or_end(A, O_RDONLY), to = make_local("clone_to_end.out", 0);
	struct file_clone_range range = {fd, 256 * KIB, 0, 0};

	CALL(ioctl(to, FICLONERANGE, &range));
	say_fd(to);
}

ROW(clone_into)
{
	int from = make_local("clone_into.out", 300 * KIB), fd = open_or_end(A, O_RDWR);

	CALL(ioctl(fd, FICLONE, from));
	say_fd(fd);
}

ROW(clone_range_into)
{
	int from = make_local("clone_range_into.out", 300 * KIB), fd = open_or_end(A, O_RDWR);
	struct file_clone_range range = {from, 64 * KIB, 128 * KIB, 512 * KIB};

	CALL(ioctl(fd, FICLONERANGE, &range));
	say_fd(fd);
}

ROW(clone_stub_into_stub)
{
	int from = open_or_end(B, O_RDONLY), fd = open_or_end(A, O_RDWR);
	struct file_clone_range range = {from, 64 * KIB, 128 * KIB, 512 * KIB};

	CALL(ioctl(fd, FICLONERANGE, &range));
	say_fd(fd);
	say_file(B);
}

static void dedupe(const char *first, const char *second, uint64_t offset, uint64_t length)
{
	struct {
		struct file_dedupe_range range;
		struct file_dedupe_range_info info;
	} d = {.range = {.src_offset = offset, .src_length = length, .dest_count = 1},
		.info = {.dest_fd = open_or_end(second, O_RDWR), .dest_offset = offset}};
	int fd = open_or_end(first, O_RDONLY);

	CALL(ioctl(fd, FIDEDUPERANGE, &d));
	say("status %d, %llu bytes", d.info.status, (unsigned long long)d.info.bytes_deduped);
}

/* A and B have the same bytes in the last half only. */
ROW(dedupe)
{
	dedupe(A, B, 640 * KIB, 64 * KIB);
	dedupe(A, B, 0, 64 * KIB);
	say_file(A);
	say_file(B);
}

ROW(copy_range_into)
{
	int from = make_local("copy_range_into.out", 300 * KIB), fd = open_or_end(A, O_RDWR);
	off_t at = 10, to = 400001;

	CALL(copy_file_range(from, &at, fd, &to, 200000, 0));
	say_fd(fd);
}

ROW(copy_stub_into_stub)
{
	int from = open_or_end(B, O_RDONLY), fd = open_or_end(A, O_RDWR);
	off_t at = 128 * KIB, to = 512 * KIB;

	CALL(copy_file_range(from, &at, fd, &to, 192 * KIB, 0));
	say_fd(fd);
	say_file(B);
}

/* Within one file. */
ROW(copy_range_within)
{
	int fd = open_or_end(A, O_RDWR);
	off_t at = 700 * KIB, to = 100 * KIB;

	CALL(copy_file_range(fd, &at, fd, &to, 192 * KIB, 0));
	say_fd(fd);
}

ROW(exchange_range)
{
	struct exchange_range {
		int32_t fd;
		uint32_t pad;
		uint64_t offset1, offset2, length, flags;
	} x = {.fd = open_or_end(B, O_RDWR),
		.offset1 = 64 * KIB,
		.offset2 = 0,
		.length = 64 * KIB};
	int fd = open_or_end(A, O_RDWR);

	CALL(ioctl(fd, _IOW('X', 129, struct exchange_range), &x));
	say_file(A);
	say_file(B);
}

ROW(btrfs_defrag)
{
	struct btrfs_range all = {.length = UINT64_MAX};
	int fd = open_or_end(A, O_RDWR);

	if (ioctl(fd, BTRFS_DEFRAG, NULL) && errno == ENOTTY)
		skip("not btrfs");
	CALL(ioctl(fd, BTRFS_DEFRAG_RANGE, &all));
	say_fd(fd);
}

ROW(btrfs_encoded_read)
{
	char *p = memory(256 * KIB);
	struct iovec v = {p, 256 * KIB};
	struct btrfs_encoded e = {.iov = &v, .count = 1, .offset = 512 * KIB};
	long n = ioctl(open_or_end(A, O_RDONLY), BTRFS_ENCODED_READ, &e);

	if (n < 0 && errno == ENOTTY)
		skip("not btrfs");
	CALL(n < 0 ? -1 : 0); /* how much comes at once depends on the extent */
	say_bytes("page", p, n < PAGE ? n : PAGE);
}

/* XFS' older ways to ask for space are the same as fallocate, on every file system. */
struct xfs_space {
	int16_t type, whence;
	int64_t start, length;
	int32_t sysid;
	uint32_t pid;
	int32_t pad[4];
};
#define XFS_UNRESERVE _IOW('X', 43, struct xfs_space)

ROW(xfs_unreserve)
{
	struct xfs_space r = {.start = 300000, .length = 100000};
	int fd = open_or_end(A, O_RDWR);

	CALL(ioctl(fd, XFS_UNRESERVE, &r));
	say_fd(fd);
}
