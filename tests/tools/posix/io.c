/* SPDX-License-Identifier: GPL-2.0-or-later */
/* read(2) and write(2) in all their forms, offsets, O_APPEND, O_DIRECT, fsync and its kin. */
#include "tests/tools/posix/posix.h"

#include <signal.h>
#include <sys/uio.h>

#define RECORD	64
#define RECORDS 400

static int make_open(const char *path, size_t bytes)
{
	pc_make_bytes(path, bytes);
	return (int)OK(open(path, O_RDWR));
}

TEST(offsets)
{
	int fd = make_open("f", 1000);
	char data[100];

	IS(read(fd, data, 100), 100);
	IS(data[99], (char)pc_pattern(99));
	IS(pread(fd, data, 100, 900), 100);
	IS(lseek(fd, 0, SEEK_CUR), 100);
	IS(pwrite(fd, "x", 1, 500), 1);
	IS(lseek(fd, 0, SEEK_CUR), 100);
	IS(write(fd, "y", 1), 1);
	IS(lseek(fd, 0, SEEK_CUR), 101);
	IS(pread(fd, data, 100, 950), 50);
	IS(pread(fd, data, 100, 1000), 0);
	IS(pread(fd, data, 100, 5000), 0);
	IS(read(fd, data, 0), 0);
}

TEST(shared_offset)
{
	int fd = make_open("f", 1000), twin = dup(fd);
	char data[100];

	IS(read(fd, data, 100), 100);
	IS(lseek(twin, 0, SEEK_CUR), 100);
	OK(lseek(twin, 0, SEEK_SET));
	IS(read(fd, data, 1), 1);
	IS(data[0], (char)pc_pattern(0));
	OK(close(fd));
	IS(write(twin, "z", 1), 1);
	IS(lseek(twin, 0, SEEK_CUR), 2);
}

static int shared_fd;

static void read_fifty(void)
{
	char data[50];

	IS(read(shared_fd, data, 50), 50);
}

TEST(offset_shared_with_a_child)
{
	shared_fd = make_open("f", 1000);
	pc_join(pc_fork(read_fifty));
	pc_join(pc_fork(read_fifty));
	IS(lseek(shared_fd, 0, SEEK_CUR), 100);
}

TEST(bad_buffers)
{
	int fd = make_open("f", 100);
	void *nowhere = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	FAILS(EFAULT, read(fd, nowhere, 10));
	FAILS(EFAULT, write(fd, nowhere, 10));
	FAILS(EFAULT, pwrite(fd, nowhere, 10, 50));
	IS(pc_size("f"), 100);
	HOLDS(pc_fd_pattern(fd, 0, 100));
	FAILS(EBADF, read(999, &fd, 1));
}

TEST(vectors)
{
	int fd = make_open("f", 0);
	char a[3] = "abc", b[5000], back[5003];
	struct iovec out[] = {{a, 3}, {b, 0}, {b, sizeof(b)}}, in[] = {{back, 5003}};

	memset(b, 'b', sizeof(b));
	IS(writev(fd, out, 3), 5003);
	IS(preadv(fd, in, 1, 0), 5003);
	HOLDS(!memcmp(back, "abcb", 4));
	IS(back[5002], 'b');
	IS(pwritev(fd, out, 1, 5003), 3);
	IS(pc_size("f"), 5006);
}

TEST(thousand_vectors)
{
	struct iovec v[1024];
	static char data[1024][7];
	int fd = make_open("f", 0);

	for (int n = 0; n < 1024; n++) {
		memset(data[n], 'a' + n % 26, 7);
		v[n] = (struct iovec){data[n], 7};
	}
	IS(writev(fd, v, 1024), 7168);
	memset(data, 0, sizeof(data));
	IS(preadv(fd, v, 1024, 0), 7168);
	IS(data[1023][6], 'a' + 1023 % 26);
	IS(data[500][0], 'a' + 500 % 26);
}

TEST(flags_of_one_call)
{
	int fd = make_open("f", 100);
	char data[10] = "0123456789";
	struct iovec v = {data, 10};

	IS(pwritev2(fd, &v, 1, 0, RWF_APPEND), 10);
	IS(pc_size("f"), 110);
	HOLDS(pc_fd_pattern(fd, 0, 100));
	IS(pwritev2(fd, &v, 1, 0, RWF_DSYNC), 10);
	IS(pwritev2(fd, &v, 1, 0, RWF_SYNC), 10);
	NOTE(preadv2(fd, &v, 1, 0, RWF_HIPRI));
	NOTE(preadv2(fd, &v, 1, 0, RWF_NOWAIT));
	FAILS(EOPNOTSUPP, preadv2(fd, &v, 1, 0, 1 << 30));
	pc_note("writing without waiting: %s",
		pwritev2(fd, &v, 1, 0, RWF_NOWAIT) < 0 && errno == EOPNOTSUPP ? "no" : "yes");
}

TEST(large_pieces)
{
	size_t bytes = 9 * MIB + 12345;
	int fd = make_open("f", bytes), copy;
	char *data = malloc(bytes);

	HOLDS(data);
	HOLDS(pc_fd_pattern(fd, 0, bytes));
	IS(pread(fd, data, bytes, 0), bytes);
	copy = (int)OK(open("g", O_RDWR | O_CREAT, 0644));
	for (size_t at = 0, n = 1; at < bytes; at += n, n = n * 3 + 7) {
		n = n > bytes - at ? bytes - at : n;
		IS(pwrite(copy, data + at, n, (off_t)at), n);
	}
	HOLDS(pc_fd_pattern(copy, 0, bytes));
	OK(fsync(copy));
	HOLDS(pc_fd_pattern(copy, 0, bytes));
}

/* Backwards and with gaps: each byte where it belongs. */
TEST(scattered_writes)
{
	int fd = make_open("f", 0);
	char c;

	for (int n = 199; n >= 0; n--) {
		c = (char)n;
		IS(pwrite(fd, &c, 1, n * 3001L), 1);
	}
	IS(pc_size("f"), 199 * 3001 + 1);
	for (int n = 0; n < 200; n++) {
		IS(pread(fd, &c, 1, n * 3001L), 1);
		IS(c, (char)n);
	}
	HOLDS(pc_fd_zeros(fd, 3002, 2999));
}

/* ---- O_APPEND ---- */

TEST(append_from_two_descriptors)
{
	int a = make_open("f", 0), b;

	OK(close(a));
	a = (int)OK(open("f", O_WRONLY | O_APPEND));
	b = (int)OK(open("f", O_WRONLY | O_APPEND));
	for (int n = 0; n < 10; n++) {
		IS(write(a, "a", 1), 1);
		IS(write(b, "b", 1), 1);
	}
	HOLDS(pc_holds_text("f", "abababababababababab"));
}

TEST(append_behind_a_plain_write)
{
	int a = make_open("f", 10), b = (int)OK(open("f", O_WRONLY | O_APPEND));
	char c;

	IS(pwrite(a, "x", 1, 10000), 1);
	IS(write(b, "y", 1), 1);
	IS(pc_size("f"), 10002);
	IS(pread(a, &c, 1, 10001), 1);
	IS(c, 'y');
	NOTE(pwrite(b, "z", 1, 0));
	pc_note("pwrite with O_APPEND went to: %s",
		pc_size("f") == 10003 ? "the end" : "its offset");
}

static void append_records(void)
{
	int fd = (int)OK(open("f", O_WRONLY | O_APPEND));
	char record[RECORD];

	for (int n = 0; n < RECORDS; n++) {
		memset(record, '.', sizeof(record));
		snprintf(record, sizeof(record), "%d %d", getpid(), n);
		IS(write(fd, record, RECORD), RECORD);
	}
}

/* No record is lost, cut or mixed, and those of a process are in order. */
TEST(append_from_three_processes)
{
	char record[RECORD];
	int fd = make_open("f", 0), next[3] = {0}, pid, seq;
	pid_t pids[3];

	for (int n = 0; n < 3; n++)
		pids[n] = pc_fork(append_records);
	for (int n = 0; n < 3; n++)
		pc_join(pids[n]);
	IS(pc_size("f"), 3 * RECORDS * RECORD);
	while (OK(read(fd, record, RECORD)) == RECORD) {
		IS(sscanf(record, "%d %d", &pid, &seq), 2);
		for (int n = 0; n < 3; n++)
			if (pids[n] == pid)
				IS(seq, next[n]++);
	}
	IS(next[0] + next[1] + next[2], 3 * RECORDS);
}

/* ---- O_DIRECT ---- */

static char *aligned_buffer(size_t bytes)
{
	char *data = aligned_alloc(PAGE, bytes);

	HOLDS(data);
	return data;
}

TEST(direct)
{
	int plain = make_open("f", 64 * KIB), fd = open("f", O_RDWR | O_DIRECT);
	char *data = aligned_buffer(64 * KIB);

	OK(fd);
	IS(pread(fd, data, 64 * KIB, 0), 64 * KIB);
	for (int n = 0; n < 64 * KIB; n++)
		HOLDS(data[n] == (char)pc_pattern(n));
	memset(data, 'd', 8192);
	IS(pwrite(fd, data, 8192, 4096), 8192);
	IS(pread(plain, data, 1, 5000), 1);
	IS(data[0], 'd');
	IS(pwrite(plain, "p", 1, 5000), 1);
	IS(pread(fd, data, 4096, 4096), 4096);
	IS(data[904], 'p');
	IS(pread(fd, data, 4096, 64 * KIB), 0);
	IS(pwrite(fd, data, 4096, 64 * KIB), 4096);
	IS(pc_size("f"), 68 * KIB);
	NOTE(pread(fd, data + 1, 4096, 0));
	NOTE(pread(fd, data, 4096, 1));
	NOTE(pwrite(fd, data, 100, 0));
}

/* A short tail: what dd oflag=direct does with the flag taken off for the rest. */
TEST(direct_switched_off)
{
	int fd = open("f", O_RDWR | O_CREAT | O_DIRECT, 0644);
	char *data = aligned_buffer(8192);

	OK(fd);
	memset(data, 'q', 8192);
	IS(write(fd, data, 8192), 8192);
	OK(fcntl(fd, F_SETFL, 0));
	IS(write(fd, data, 100), 100);
	IS(pc_size("f"), 8292);
	OK(fcntl(fd, F_SETFL, O_DIRECT));
	IS(pread(fd, data, 8192, 4096), 4196);
	IS(data[4195], 'q');
}

TEST(direct_under_a_mapping)
{
	int fd = make_open("f", 8192), direct = open("f", O_RDWR | O_DIRECT);
	char *data = aligned_buffer(4096);
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	OK(direct);
	HOLDS(map != MAP_FAILED);
	map[0] = 'm';
	IS(pread(direct, data, 4096, 0), 4096);
	IS(data[0], 'm');
	memset(data, 'd', 4096);
	IS(pwrite(direct, data, 4096, 0), 4096);
	IS(map[0], 'd');
}

/* ---- to the disk ---- */

TEST(syncing)
{
	int fd = make_open("f", 10000), dir = (int)OK(open(".", O_RDONLY)), p;

	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(fsync((int)OK(open("f", O_RDONLY))));
	OK(fsync(dir));
	OK(fdatasync(dir));
	OK(syncfs(fd));
	OK(sync_file_range(fd, 0, 0,
		SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			SYNC_FILE_RANGE_WAIT_AFTER));
	FAILS(EINVAL, sync_file_range(fd, -1, 0, SYNC_FILE_RANGE_WRITE));
	OK(mkfifo("p", 0644));
	p = (int)OK(open("p", O_RDWR));
	NOTE(fsync(p));
	FAILS(EBADF, fsync((int)OK(open("f", O_PATH))));
}

TEST(sync_flags)
{
	int fd = (int)OK(open("f", O_CREAT | O_RDWR | O_SYNC, 0644));
	int data = (int)OK(open("f", O_RDWR | O_DSYNC));

	IS(write(fd, "abc", 3), 3);
	IS(pwrite(data, "X", 1, 1), 1);
	HOLDS(pc_holds_text("f", "aXc"));
	IS(fcntl(fd, F_GETFL) & O_SYNC, O_SYNC);
}

TEST(advice)
{
	int fd = make_open("f", 100000);

	OK(-posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
	OK(-posix_fadvise(fd, 0, 50000, POSIX_FADV_DONTNEED));
	OK(-posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
	OK(readahead(fd, 0, 100000));
	HOLDS(pc_fd_pattern(fd, 0, 100000));
	OK(-posix_fallocate(fd, 0, 200000));
	IS(pc_size("f"), 200000);
}

static void write_a_lot(void)
{
	int fd = (int)OK(open("f", O_RDWR));
	char data[8192];

	for (char c = 'a'; !pc_told_to_stop(); c = c == 'z' ? 'a' : (char)(c + 1)) {
		memset(data, c, sizeof(data));
		IS(pwrite(fd, data, sizeof(data), 0), sizeof(data));
	}
}

/* Never anything else than what was written, and never a wrong size. */
TEST(reading_while_written)
{
	int fd = make_open("f", 0);
	char data[4096];
	pid_t pid;

	memset(data, 'a', sizeof(data));
	IS(pwrite(fd, data, 4096, 0), 4096);
	IS(pwrite(fd, data, 4096, 4096), 4096);
	pid = pc_fork(write_a_lot);
	for (int n = 0; n < 2000; n++) {
		IS(pread(fd, data, 1, n % 8192), 1);
		HOLDS(data[0] >= 'a' && data[0] <= 'z');
		IS(pc_fstat(fd).st_size, 8192);
	}
	pc_stop(pid);
}
