/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes and holes: truncate, fallocate, lseek, copy_file_range, large offsets. */
#include "tests/tools/posix/posix.h"

#include <linux/falloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/sendfile.h>

static int make_open(const char *path, size_t bytes)
{
	pc_make_bytes(path, bytes);
	return (int)OK(open(path, O_RDWR));
}

TEST(truncate_grows_with_zeros)
{
	int fd = make_open("f", 1000);

	OK(truncate("f", 300000));
	IS(pc_size("f"), 300000);
	IS(pc_fstat(fd).st_size, 300000);
	HOLDS(pc_fd_pattern(fd, 0, 1000));
	HOLDS(pc_fd_zeros(fd, 1000, 299000));
	IS(lseek(fd, 0, SEEK_END), 300000);
}

TEST(truncate_forgets)
{
	int fd = make_open("f", 10000);

	HOLDS(pc_fd_pattern(fd, 0, 10000));
	OK(ftruncate(fd, 5000));
	OK(ftruncate(fd, 10000));
	HOLDS(pc_fd_pattern(fd, 0, 5000));
	HOLDS(pc_fd_zeros(fd, 5000, 5000));
	OK(ftruncate(fd, 0));
	OK(ftruncate(fd, 10000));
	HOLDS(pc_fd_zeros(fd, 0, 10000));
}

/* The rest of the last page must not come back. */
TEST(truncate_then_write_beyond)
{
	int fd = make_open("f", 4000);

	OK(ftruncate(fd, 100));
	IS(pwrite(fd, "x", 1, 3000), 1);
	HOLDS(pc_fd_pattern(fd, 0, 100));
	HOLDS(pc_fd_zeros(fd, 100, 2900));
	IS(pc_size("f"), 3001);
}

TEST(truncate_errors)
{
	int fd = make_open("f", 100);

	OK(mkdir("d", 0755));
	FAILS(EISDIR, truncate("d", 0));
	FAILS(ENOENT, truncate("nothing", 0));
	FAILS(ENOTDIR, truncate("f/x", 0));
	FAILS(EINVAL, truncate("f", -1));
	FAILS(EINVAL, ftruncate(fd, -1));
	FAILS(EINVAL, ftruncate((int)OK(open("f", O_RDONLY)), 0));
	OK(chmod("f", 0444));
	pc_become(ALICE, ALICE);
	FAILS(EACCES, truncate("f", 0));
	OK(ftruncate(fd, 50));
	pc_root();
	IS(pc_size("f"), 50);
}

TEST(truncate_does_not_move_the_offset)
{
	int fd = make_open("f", 100);

	OK(lseek(fd, 80, SEEK_SET));
	OK(ftruncate(fd, 10));
	IS(lseek(fd, 0, SEEK_CUR), 80);
	IS(write(fd, "x", 1), 1);
	IS(pc_size("f"), 81);
	HOLDS(pc_fd_zeros(fd, 10, 70));
}

TEST(file_size_limit)
{
	int fd = make_open("f", 100);
	struct rlimit limit = {1000, 1000};
	char data[2000] = "";

	OK(setrlimit(RLIMIT_FSIZE, &limit));
	IS(pwrite(fd, data, sizeof(data), 0), 1000);
	FAILS(EFBIG, pwrite(fd, data, 10, 1000));
	FAILS(EFBIG, ftruncate(fd, 1001));
	NOTE(fallocate(fd, 0, 0, 2000));
	OK(ftruncate(fd, 500));
	IS(pc_size("f"), 500);
}

TEST(large_offsets)
{
	static const off_t offsets[] = {
		2 * GIB - 1, 2 * GIB, 4 * GIB - 1, 4 * GIB, 5 * GIB + 7, 1024 * GIB + 3};
	int fd = make_open("f", 0);
	char c;

	for (size_t n = 0; n < ROWS(offsets); n++) {
		c = (char)('a' + n);
		IS(pwrite(fd, &c, 1, offsets[n]), 1);
		IS(pc_size("f"), offsets[n] + 1);
	}
	for (size_t n = 0; n < ROWS(offsets); n++) {
		IS(pread(fd, &c, 1, offsets[n]), 1);
		IS(c, 'a' + (int)n);
		HOLDS(pc_fd_zeros(fd, offsets[n] - 100, 99));
	}
	IS(lseek(fd, 0, SEEK_END), 1024 * GIB + 4);
	IS(pread(fd, &c, 1, 1024 * GIB + 4), 0);
	OK(ftruncate(fd, 3 * GIB));
	IS(pc_size("f"), 3 * GIB);
	HOLDS(pc_lstat("f").st_blocks < 2048);
}

TEST(largest_offset)
{
	int fd = make_open("f", 0);

	FAILS(EINVAL, pwrite(fd, "x", 1, -1));
	FAILS(EINVAL, lseek(fd, -1, SEEK_SET));
	FAILS(EINVAL, lseek(fd, -1, SEEK_END));
	NOTE(pwrite(fd, "x", 1, INT64_MAX));
	NOTE(ftruncate(fd, INT64_MAX));
	NOTE(lseek(fd, INT64_MAX, SEEK_SET));
}

/* ---- fallocate ---- */

TEST(allocate)
{
	int fd = make_open("f", 1000);

	OK(fallocate(fd, 0, 0, 200000));
	IS(pc_size("f"), 200000);
	HOLDS(pc_fd_pattern(fd, 0, 1000));
	HOLDS(pc_fd_zeros(fd, 1000, 199000));
	HOLDS(pc_lstat("f").st_blocks >= 200000 / 512);
	OK(fallocate(fd, 0, 0, 100));
	IS(pc_size("f"), 200000);
}

TEST(allocate_keeping_the_size)
{
	int fd = make_open("f", 1000);

	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 * MIB));
	IS(pc_size("f"), 1000);
	IS(lseek(fd, 0, SEEK_END), 1000);
	HOLDS(pc_lstat("f").st_blocks >= 2048);
	OK(ftruncate(fd, 5000));
	HOLDS(pc_fd_zeros(fd, 1000, 4000));
}

TEST(punch_hole)
{
	int fd = make_open("f", 200000);

	HOLDS(pc_fd_pattern(fd, 0, 200000));
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 100000));
	IS(pc_size("f"), 200000);
	HOLDS(pc_fd_pattern(fd, 0, 5000));
	HOLDS(pc_fd_zeros(fd, 5000, 100000));
	HOLDS(pc_fd_pattern(fd, 105000, 95000));
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 150000, 1 * MIB));
	IS(pc_size("f"), 200000);
	HOLDS(pc_fd_zeros(fd, 150000, 50000));
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 * MIB, 1 * MIB));
	IS(pc_size("f"), 200000);
}

/* The hole is seen by a mapping made before. */
TEST(punch_hole_under_a_mapping)
{
	int fd = make_open("f", 4 * PAGE);
	unsigned char *map = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	HOLDS(map != MAP_FAILED);
	IS(map[PAGE + 5], pc_pattern(PAGE + 5));
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, 2 * PAGE));
	IS(map[PAGE + 5], 0);
	IS(map[3 * PAGE - 1], 0);
	IS(map[3 * PAGE], pc_pattern(3 * PAGE));
	IS(map[PAGE - 1], pc_pattern(PAGE - 1));
}

TEST(zero_range)
{
	int fd = make_open("f", 100000);

	NOTE(fallocate(fd, FALLOC_FL_ZERO_RANGE, 5000, 50000));
	if (errno == EOPNOTSUPP)
		return;
	HOLDS(pc_fd_pattern(fd, 0, 5000));
	HOLDS(pc_fd_zeros(fd, 5000, 50000));
	HOLDS(pc_fd_pattern(fd, 55000, 45000));
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 90000, 50000));
	IS(pc_size("f"), 100000);
	HOLDS(pc_fd_zeros(fd, 90000, 10000));
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 90000, 50000));
	IS(pc_size("f"), 140000);
	HOLDS(pc_fd_zeros(fd, 90000, 50000));
}

TEST(other_allocation_modes)
{
	int fd = make_open("f", 64 * KIB);

	NOTE(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096));
	pc_note("size: %lld", (long long)pc_size("f"));
	NOTE(fallocate(fd, FALLOC_FL_INSERT_RANGE, 4096, 4096));
	pc_note("size: %lld", (long long)pc_size("f"));
	NOTE(fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, 4096));
	NOTE(fallocate(fd, 1 << 20, 0, 4096));
}

TEST(allocate_errors)
{
	int fd = make_open("f", 100), p;

	OK(mkfifo("p", 0644));
	p = (int)OK(open("p", O_RDWR));
	FAILS(EINVAL, fallocate(fd, 0, 0, 0));
	FAILS(EINVAL, fallocate(fd, 0, -1, 10));
	FAILS(EFBIG, fallocate(fd, 0, INT64_MAX - 10, 100));
	FAILS(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
	FAILS(EBADF, fallocate((int)OK(open("f", O_RDONLY)), 0, 0, 10));
	FAILS(ESPIPE, fallocate(p, 0, 0, 10));
	FAILS(EBADF, fallocate((int)OK(open(".", O_RDONLY)), 0, 0, 10));
}

/* ---- lseek ---- */

TEST(seek)
{
	int fd = make_open("f", 100);

	IS(lseek(fd, 10, SEEK_SET), 10);
	IS(lseek(fd, 5, SEEK_CUR), 15);
	IS(lseek(fd, -15, SEEK_CUR), 0);
	FAILS(EINVAL, lseek(fd, -1, SEEK_CUR));
	IS(lseek(fd, -10, SEEK_END), 90);
	IS(lseek(fd, 1000, SEEK_END), 1100);
	FAILS(EINVAL, lseek(fd, 0, 99));
	IS(lseek(fd, 0, SEEK_CUR), 1100);
}

TEST(seek_end_follows_the_size)
{
	int fd = make_open("f", 100), other = (int)OK(open("f", O_WRONLY | O_APPEND));

	IS(lseek(fd, 0, SEEK_END), 100);
	IS(write(other, "0123456789", 10), 10);
	IS(lseek(fd, 0, SEEK_END), 110);
	OK(truncate("f", 20));
	IS(lseek(fd, 0, SEEK_END), 20);
}

TEST(holes_of_a_full_file)
{
	int fd = make_open("f", 100000);

	IS(lseek(fd, 0, SEEK_DATA), 0);
	IS(lseek(fd, 0, SEEK_HOLE), 100000);
	IS(lseek(fd, 99999, SEEK_DATA), 99999);
	FAILS(ENXIO, lseek(fd, 100000, SEEK_DATA));
	FAILS(ENXIO, lseek(fd, 100000, SEEK_HOLE));
	NOTE(lseek(fd, -1, SEEK_DATA));
}

TEST(holes_of_a_sparse_file)
{
	int fd = make_open("f", 0);
	char data[4096] = "data";

	OK(ftruncate(fd, 8 * MIB));
	NOTE(lseek(fd, 0, SEEK_DATA));
	pc_note("first hole: %lld", (long long)lseek(fd, 0, SEEK_HOLE));
	IS(pwrite(fd, data, sizeof(data), 1 * MIB), sizeof(data));
	IS(pwrite(fd, data, sizeof(data), 4 * MIB), sizeof(data));
	pc_note("first data: %lld", (long long)OK(lseek(fd, 0, SEEK_DATA)));
	pc_note("its end: %lld", (long long)OK(lseek(fd, 1 * MIB, SEEK_HOLE)));
	pc_note("next data: %lld", (long long)OK(lseek(fd, 1 * MIB + 64 * KIB, SEEK_DATA)));
	pc_note("last hole: %lld", (long long)OK(lseek(fd, 4 * MIB, SEEK_HOLE)));
	NOTE(lseek(fd, 5 * MIB, SEEK_DATA));
	OK(fsync(fd));
	pc_note("first data: %lld", (long long)OK(lseek(fd, 0, SEEK_DATA)));
	pc_note("its end: %lld", (long long)OK(lseek(fd, 1 * MIB, SEEK_HOLE)));
}

/* ---- copying inside the kernel ---- */

TEST(copy_range)
{
	int in = make_open("a", 300000), out = make_open("b", 0);
	off_t from = 1000, to = 5000;

	IS(copy_file_range(in, NULL, out, NULL, 300000, 0), 300000);
	HOLDS(pc_fd_pattern(out, 0, 300000));
	IS(lseek(in, 0, SEEK_CUR), 300000);
	IS(lseek(out, 0, SEEK_CUR), 300000);
	IS(copy_file_range(in, NULL, out, NULL, 10, 0), 0);
	OK(ftruncate(out, 0));
	IS(copy_file_range(in, &from, out, &to, 100, 0), 100);
	IS(from, 1100);
	IS(to, 5100);
	IS(pc_size("b"), 5100);
	HOLDS(pc_fd_zeros(out, 0, 5000));
	IS(lseek(out, 0, SEEK_CUR), 300000);
}

TEST(copy_range_of_unwritten_pages)
{
	int in = make_open("a", 0), out = make_open("b", 4 * PAGE);
	char *map;
	char c;

	OK(ftruncate(in, 2 * PAGE));
	map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, in, 0);
	HOLDS(map != MAP_FAILED);
	map[PAGE] = 'm';
	IS(copy_file_range(in, NULL, out, NULL, 2 * PAGE, 0), 2 * PAGE);
	IS(pread(out, &c, 1, PAGE), 1);
	IS(c, 'm');
	HOLDS(pc_fd_zeros(out, 0, PAGE));
	HOLDS(pc_fd_pattern(out, 2 * PAGE, 2 * PAGE));
}

TEST(copy_range_inside_a_file)
{
	int fd = make_open("f", 100000);
	off_t from = 0, to = 50000;

	IS(copy_file_range(fd, &from, fd, &to, 50000, 0), 50000);
	HOLDS(pc_fd_pattern(fd, 0, 50000));
	from = 0;
	to = 10;
	FAILS(EINVAL, copy_file_range(fd, &from, fd, &to, 100, 0));
}

TEST(copy_range_errors)
{
	int in = make_open("a", 100), out = make_open("b", 100);
	int dir = (int)OK(open(".", O_RDONLY));

	FAILS(EBADF, copy_file_range(in, NULL, (int)OK(open("b", O_RDONLY)), NULL, 1, 0));
	FAILS(EBADF, copy_file_range((int)OK(open("a", O_WRONLY)), NULL, out, NULL, 1, 0));
	FAILS(EBADF,
		copy_file_range(in, NULL, (int)OK(open("b", O_WRONLY | O_APPEND)), NULL, 1, 0));
	FAILS(EISDIR, copy_file_range(dir, NULL, out, NULL, 1, 0));
	FAILS(EINVAL, copy_file_range(in, NULL, out, NULL, 1, 1));
	IS(copy_file_range(in, NULL, out, NULL, 0, 0), 0);
	NOTE(copy_file_range(in, NULL, out, NULL, 5 * GIB, 0));
	IS(pc_size("b"), 100);
}

TEST(sendfile_and_splice)
{
	int in = make_open("a", 50000), out = make_open("b", 0), ends[2];
	off_t from = 100;

	IS(sendfile(out, in, &from, 1000), 1000);
	IS(from, 1100);
	IS(pc_size("b"), 1000);
	OK(pipe(ends));
	IS(splice(in, NULL, ends[1], NULL, 3000, 0), 3000);
	OK(lseek(out, 0, SEEK_SET));
	IS(splice(ends[0], NULL, out, NULL, 3000, 0), 3000);
	HOLDS(pc_fd_pattern(out, 0, 3000));
	IS(pc_size("b"), 3000);
}
