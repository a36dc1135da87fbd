/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mmap(2) of files: one content for mappings, read and write. */
#include "tests/tools/posix/posix.h"

#include <setjmp.h>
#include <signal.h>

#define RW (PROT_READ | PROT_WRITE)

static int make_open(const char *path, size_t bytes)
{
	pc_make_bytes(path, bytes);
	return (int)OK(open(path, O_RDWR));
}

static char *map_fd(int fd, size_t bytes, int prot, int flags)
{
	char *map = mmap(NULL, bytes, prot, flags, fd, 0);

	if (map == MAP_FAILED)
		pc_fail(__FILE__, __LINE__, "mmap: %s", strerrorname_np(errno));
	return map;
}

TEST(shared_writes_are_read)
{
	int fd = make_open("f", 3 * PAGE), other = (int)OK(open("f", O_RDONLY));
	char *map = map_fd(fd, 3 * PAGE, RW, MAP_SHARED);
	char c;

	map[PAGE + 1] = 'm';
	IS(pread(fd, &c, 1, PAGE + 1), 1);
	IS(c, 'm');
	IS(pread(other, &c, 1, PAGE + 1), 1);
	IS(c, 'm');
	IS(pc_fstat(fd).st_size, 3 * PAGE);
}

TEST(writes_are_seen_in_mappings)
{
	int fd = make_open("f", 3 * PAGE);
	char *shared = map_fd(fd, 3 * PAGE, PROT_READ, MAP_SHARED);
	char *private = map_fd(fd, 3 * PAGE, PROT_READ, MAP_PRIVATE);

	IS(shared[5000], (char)pc_pattern(5000));
	IS(private[5000], (char)pc_pattern(5000));
	IS(pwrite(fd, "w", 1, 5000), 1);
	IS(shared[5000], 'w');
	IS(private[5000], 'w');
	IS(shared[4999], (char)pc_pattern(4999));
}

TEST(private_writes_stay_private)
{
	int fd = make_open("f", PAGE);
	char *map = map_fd(fd, PAGE, RW, MAP_PRIVATE);
	char c;

	map[0] = 'p';
	IS(pread(fd, &c, 1, 0), 1);
	IS(c, (char)pc_pattern(0));
	OK(munmap(map, PAGE));
	HOLDS(pc_fd_pattern(fd, 0, PAGE));
}

TEST(mapping_survives_close)
{
	int fd = make_open("f", PAGE);
	char *map = map_fd(fd, PAGE, RW, MAP_SHARED);
	char c;

	OK(close(fd));
	map[7] = 'c';
	OK(munmap(map, PAGE));
	fd = (int)OK(open("f", O_RDONLY));
	IS(pread(fd, &c, 1, 7), 1);
	IS(c, 'c');
}

TEST(sync)
{
	int fd = make_open("f", 2 * PAGE);
	char *map = map_fd(fd, 2 * PAGE, RW, MAP_SHARED);

	map[0] = 'x';
	OK(msync(map, PAGE, MS_ASYNC));
	OK(msync(map, 2 * PAGE, MS_SYNC));
	OK(msync(map, PAGE, MS_SYNC | MS_INVALIDATE));
	FAILS(EINVAL, msync(map + 1, PAGE, MS_SYNC));
	OK(munmap(map, 2 * PAGE));
	FAILS(ENOMEM, msync(map, PAGE, MS_SYNC));
}

TEST(permissions)
{
	int r, w;

	pc_make_bytes("f", PAGE);
	r = (int)OK(open("f", O_RDONLY));
	w = (int)OK(open("f", O_WRONLY));
	HOLDS(mmap(NULL, PAGE, RW, MAP_SHARED, r, 0) == MAP_FAILED);
	IS(errno, EACCES);
	HOLDS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, w, 0) == MAP_FAILED);
	IS(errno, EACCES);
	HOLDS(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, w, 0) == MAP_FAILED);
	map_fd(r, PAGE, RW, MAP_PRIVATE);
	FAILS(EACCES, mprotect(map_fd(r, PAGE, PROT_READ, MAP_SHARED), PAGE, RW));
	HOLDS(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, (int)OK(open(".", O_RDONLY)), 0) ==
		MAP_FAILED);
	IS(errno, ENODEV);
}

TEST(tail_of_the_last_page)
{
	int fd = make_open("f", 100);
	char *map = map_fd(fd, PAGE, RW, MAP_SHARED);

	IS(map[100], 0);
	IS(map[PAGE - 1], 0);
	map[99] = 'e';
	OK(msync(map, PAGE, MS_SYNC));
	IS(pc_size("f"), 100);
	OK(ftruncate(fd, PAGE));
	IS(map[99], 'e');
	HOLDS(pc_fd_zeros(fd, 100, PAGE - 100));
}

/* ---- beyond the end ---- */

static sigjmp_buf fault;

static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

/* The signal that touching it gives, 0 = none. */
static int touch(volatile char *at, bool write)
{
	int sig = sigsetjmp(fault, 1);

	if (sig)
		return sig;
	if (write)
		*at = 'x';
	else
		(void)*at;
	return 0;
}

TEST(beyond_the_end)
{
	int fd = make_open("f", PAGE + 1);
	char *map = map_fd(fd, 3 * PAGE, RW, MAP_SHARED);

	signal(SIGBUS, on_fault);
	IS(touch(map + PAGE + 100, true), 0);
	IS(touch(map + 2 * PAGE, false), SIGBUS);
	IS(touch(map + 2 * PAGE, true), SIGBUS);
	OK(ftruncate(fd, 3 * PAGE));
	IS(touch(map + 2 * PAGE, true), 0);
	OK(ftruncate(fd, PAGE));
	IS(touch(map + PAGE, false), SIGBUS);
	IS(touch(map + PAGE - 1, false), 0);
	IS(pc_size("f"), PAGE);
}

TEST(extended_by_write)
{
	int fd = make_open("f", 10);
	char *map = map_fd(fd, 2 * PAGE, RW, MAP_SHARED);

	signal(SIGBUS, on_fault);
	IS(touch(map + PAGE, false), SIGBUS);
	IS(pwrite(fd, "end", 3, 2 * PAGE - 3), 3);
	IS(map[2 * PAGE - 1], 'd');
	IS(map[10], 0);
	IS(map[9], (char)pc_pattern(9));
}

/* ---- more ---- */

static char *child_map;

static void child_writes(void)
{
	child_map[1] = 'c';
}

TEST(shared_with_a_child)
{
	int fd = make_open("f", PAGE);
	char c;

	child_map = map_fd(fd, PAGE, RW, MAP_SHARED);
	pc_join(pc_fork(child_writes));
	IS(child_map[1], 'c');
	IS(pread(fd, &c, 1, 1), 1);
	IS(c, 'c');
}

static void other_process(void)
{
	int fd = (int)OK(open("f", O_RDWR));
	char *map = map_fd(fd, PAGE, RW, MAP_SHARED);

	for (int n = 0; n < 1000; n++)
		__atomic_add_fetch((int *)(void *)map, 1, __ATOMIC_SEQ_CST);
}

/* The same physical page for all that map it. */
TEST(atomics_between_processes)
{
	int fd = (int)OK(open("f", O_RDWR | O_CREAT, 0644)), sum;
	pid_t a, b;

	OK(ftruncate(fd, PAGE));
	a = pc_fork(other_process);
	b = pc_fork(other_process);
	pc_join(a);
	pc_join(b);
	IS(pread(fd, &sum, sizeof(sum), 0), sizeof(sum));
	IS(sum, 2000);
}

TEST(growing_a_mapping)
{
	int fd = make_open("f", 8 * PAGE);
	char *map = map_fd(fd, PAGE, RW, MAP_SHARED);

	map = mremap(map, PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	HOLDS(map != MAP_FAILED);
	for (int n = 0; n < 8 * PAGE; n += 333)
		IS(map[n], (char)pc_pattern(n));
	map[7 * PAGE] = 'g';
	OK(msync(map, 8 * PAGE, MS_SYNC));
	IS(pread(fd, map, 1, 7 * PAGE), 1);
	IS(map[0], 'g');
}

TEST(sparse_file)
{
	int fd = make_open("f", 0);
	char *map;

	OK(ftruncate(fd, 4 * MIB));
	map = map_fd(fd, 4 * MIB, RW, MAP_SHARED);
	IS(map[3 * MIB], 0);
	map[2 * MIB] = 'h';
	OK(msync(map, 4 * MIB, MS_SYNC));
	HOLDS(pc_fd_zeros(fd, 2 * MIB - 100, 100));
	HOLDS(pc_fd_zeros(fd, 2 * MIB + 1, 100));
	HOLDS(pc_lstat("f").st_blocks < 4096);
}

TEST(advice)
{
	int fd = make_open("f", 16 * PAGE);
	char *map = map_fd(fd, 16 * PAGE, RW, MAP_SHARED);

	map[5 * PAGE] = 'a';
	OK(madvise(map, 16 * PAGE, MADV_DONTNEED));
	IS(map[5 * PAGE], 'a');
	OK(madvise(map, 16 * PAGE, MADV_WILLNEED));
	OK(madvise(map, 16 * PAGE, MADV_RANDOM));
	NOTE(madvise(map, 4 * PAGE, MADV_REMOVE));
	OK(madvise(map + 8 * PAGE, PAGE, MADV_POPULATE_WRITE));
	IS(map[5 * PAGE], 'a');
	OK(mlock(map, 16 * PAGE));
	OK(munlock(map, 16 * PAGE));
}

/* A write whose source is a mapping of the same file, and a read into one. */
TEST(buffers_in_mappings)
{
	int fd = make_open("f", 4 * PAGE);
	char *map = map_fd(fd, 4 * PAGE, RW, MAP_SHARED);

	IS(pwrite(fd, map + 100, PAGE, 2 * PAGE), PAGE);
	for (int n = 0; n < PAGE; n++)
		IS(map[2 * PAGE + n], (char)pc_pattern(100 + n));
	IS(pread(fd, map + 3 * PAGE, PAGE, 0), PAGE);
	for (int n = 0; n < PAGE; n++)
		IS(map[3 * PAGE + n], (char)pc_pattern(n));
	IS(pwrite(fd, map, PAGE, 0), PAGE);
}
