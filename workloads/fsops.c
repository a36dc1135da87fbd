/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What file system operations take, each a loop over one kind of call, printed as a line of JSON.
 * The parts are commands of their own, so that caches can be brought into a known state between
 * them. Made for comparing a mounted file system with another: nothing here knows which it is.
 *
 * A cold read drops the pages of the file that it reads, and so leaves the file system below
 * a FUSE mount as it was.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NSEC	   1000000000ull
#define BLOCK_MAX  (1ul << 20)
#define NAME_SIZE  24
#define WATCH_MS   1
#define CHECKPOINT 10000 /* first of those of lookup; each next one is 1, 2, 5, 10 times */

static char buffer[BLOCK_MAX];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "fsops: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void __attribute__((noreturn)) refuse(const char *what, const char *value)
{
	fprintf(stderr, "fsops: %s '%s'\n", what, value);
	exit(2);
}

static unsigned long number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || value < 1 || value > max)
		refuse("not a number that is possible here:", text);
	return value;
}

static void print_ops(const char *op, unsigned long count, uint64_t ns)
{
	printf("{\"op\": \"%s\", \"count\": %lu, \"ns\": %llu, \"ns_per_op\": %.1f}\n", op,
		count, (unsigned long long)ns, (double)ns / (double)(count ? count : 1));
}

static int open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	return fd;
}

/* ---- many small files in a directory ---- */

static void create_one(int dir, const char *name, unsigned long bytes)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || (bytes && write(fd, buffer, bytes) != (ssize_t)bytes) || close(fd) < 0)
		die(name);
}

static void stat_one(int dir, const char *name, unsigned long bytes)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		(unsigned long)st.st_size != bytes)
		die(name);
}

static void read_one(int dir, const char *name, unsigned long bytes)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, buffer, bytes + 1) != (ssize_t)bytes || close(fd) < 0)
		die(name);
}

static void unlink_one(int dir, const char *name, unsigned long bytes)
{
	(void)bytes;
	if (unlinkat(dir, name, 0) < 0)
		die(name);
}

/* DIR COUNT BYTES: files f000000, ... of BYTES each. */
static void each_file(char **argv, void (*call)(int dir, const char *name, unsigned long bytes),
	const char *op)
{
	unsigned long count = number(argv[1], 1000000), bytes = number(argv[2], BLOCK_MAX - 1);
	int dir = open_dir(argv[0]);
	uint64_t begin = now_ns();

	for (unsigned long i = 0; i < count; i++) {
		char name[NAME_SIZE];

		snprintf(name, sizeof(name), "f%06lu", i);
		call(dir, name, bytes);
	}
	print_ops(op, count, now_ns() - begin);
	close(dir);
}

static void run_create(char **argv)
{
	memset(buffer, 'x', sizeof(buffer));
	each_file(argv, create_one, "create");
}

static void run_stat(char **argv)
{
	each_file(argv, stat_one, "stat");
}

static void run_read(char **argv)
{
	each_file(argv, read_one, "read");
}

static void run_unlink(char **argv)
{
	each_file(argv, unlink_one, "unlink");
}

/* DIR: readdir, and a stat of each name. */
static void run_list(char **argv)
{
	unsigned long count = 0;
	uint64_t begin = now_ns();
	DIR *d = opendir(argv[0]);
	struct dirent *e;
	struct stat st;

	if (!d)
		die(argv[0]);
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			die(e->d_name);
		count++;
	}
	closedir(d);
	print_ops("list", count, now_ns() - begin);
}

/* ---- many inodes ---- */

/* DIR DIRS FILES: DIRS directories d0000, ... with FILES empty files each. */
static void run_tree(char **argv)
{
	unsigned long dirs = number(argv[1], 9999), files = number(argv[2], 999999);
	int top = open_dir(argv[0]);
	uint64_t begin = now_ns();

	for (unsigned long d = 0; d < dirs; d++) {
		char name[NAME_SIZE];
		int dir;

		snprintf(name, sizeof(name), "d%04lu", d);
		if (mkdirat(top, name, 0755) < 0)
			die(name);
		dir = openat(top, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		for (unsigned long f = 0; dir >= 0 && f < files; f++) {
			snprintf(name, sizeof(name), "f%06lu", f);
			create_one(dir, name, 0);
		}
		if (dir < 0 || close(dir) < 0)
			die(name);
	}
	print_ops("tree", dirs * files, now_ns() - begin);
	close(top);
}

/* 10,000, 20,000, 50,000, 100,000, ... */
static unsigned long next_checkpoint(unsigned long at)
{
	unsigned long first = at;

	while (first >= 10)
		first /= 10;
	return first == 2 ? at / 2 * 5 : at * 2;
}

static void print_lookups(unsigned long done, uint64_t ns)
{
	printf("{\"op\": \"lookup\", \"count\": %lu, \"ns_per_op\": %.1f}\n", done,
		(double)ns / (double)done);
}

/* DIR DIRS FILES: a stat of each file of such a tree by its path; how fast so far, ever more. */
static void run_lookup(char **argv)
{
	unsigned long dirs = number(argv[1], 9999), files = number(argv[2], 999999);
	unsigned long done = 0, printed = 0, checkpoint = CHECKPOINT;
	int top = open_dir(argv[0]);
	uint64_t begin = now_ns();

	for (unsigned long d = 0; d < dirs; d++)
		for (unsigned long f = 0; f < files; f++) {
			char name[2 * NAME_SIZE];

			snprintf(name, sizeof(name), "d%04lu/f%06lu", d, f);
			stat_one(top, name, 0);
			if (++done != checkpoint)
				continue;
			print_lookups(done, now_ns() - begin);
			printed = done;
			checkpoint = next_checkpoint(checkpoint);
		}
	if (done != printed)
		print_lookups(done, now_ns() - begin);
	close(top);
}

/* ---- one large file ---- */

static bool is_cold(const char *text)
{
	if (strcmp(text, "cold") && strcmp(text, "warm"))
		refuse("neither cold nor warm:", text);
	return !strcmp(text, "cold");
}

static void pread_all(int fd, const char *path, unsigned long block, off_t at)
{
	ssize_t n = pread(fd, buffer, block, at);

	if (n < 0)
		die(path);
	if ((unsigned long)n != block)
		refuse("not a multiple of the block:", path);
}

static void read_file(int fd, const char *path, unsigned long block, off_t bytes)
{
	for (off_t at = 0; at < bytes; at += (off_t)block)
		pread_all(fd, path, block, at);
}

/* Opens, and reads it once or drops its pages. */
static int open_read(const char *path, unsigned long block, bool cold, off_t *ret_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	if (!st.st_size)
		refuse("empty:", path);
	if (!cold)
		read_file(fd, path, block, st.st_size);
	else if (posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED))
		die(path);
	*ret_bytes = st.st_size;
	return fd;
}

/* FILE BLOCK cold|warm */
static void run_seqread(char **argv)
{
	unsigned long block = number(argv[1], BLOCK_MAX);
	off_t bytes;
	int fd = open_read(argv[0], block, is_cold(argv[2]), &bytes);
	uint64_t begin = now_ns();

	read_file(fd, argv[0], block, bytes);
	print_ops("seqread", (unsigned long)bytes / block, now_ns() - begin);
	close(fd);
}

/* The same offsets in every run. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* FILE BLOCK COUNT cold|warm */
static void run_randread(char **argv)
{
	unsigned long block = number(argv[1], BLOCK_MAX), count = number(argv[2], 100000000);
	uint64_t state = 88172645463325252ull, begin;
	off_t bytes;
	int fd = open_read(argv[0], block, is_cold(argv[3]), &bytes);

	begin = now_ns();
	for (unsigned long i = 0; i < count; i++)
		pread_all(fd, argv[0], block,
			(off_t)(next_random(&state) % ((uint64_t)bytes / block) * block));
	print_ops("randread", count, now_ns() - begin);
	close(fd);
}

static void write_file(int fd, const char *path, unsigned long block, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += block)
		if (pwrite(fd, buffer, block, (off_t)at) != (ssize_t)block)
			die(path);
}

/* FILE BLOCK MIB: a new file, to the end of its fsync. */
static void run_write(char **argv)
{
	unsigned long block = number(argv[1], BLOCK_MAX);
	uint64_t bytes = (uint64_t)number(argv[2], 1ul << 20) << 20, begin = now_ns();
	int fd = open(argv[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		die(argv[0]);
	write_file(fd, argv[0], block, bytes);
	if (fsync(fd) < 0 || close(fd) < 0)
		die(argv[0]);
	print_ops("write", bytes / block, now_ns() - begin);
}

/* FILE BLOCK: over what is there, twice; the second time counts, without a sync. */
static void run_rewrite(char **argv)
{
	unsigned long block = number(argv[1], BLOCK_MAX);
	int fd = open(argv[0], O_WRONLY | O_CLOEXEC);
	struct stat st;
	uint64_t begin;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(argv[0]);
	write_file(fd, argv[0], block, (uint64_t)st.st_size);
	if (fdatasync(fd) < 0)
		die(argv[0]);
	begin = now_ns();
	write_file(fd, argv[0], block, (uint64_t)st.st_size);
	print_ops("rewrite", (unsigned long)st.st_size / block, now_ns() - begin);
	if (close(fd) < 0)
		die(argv[0]);
}

/* ---- others meanwhile ---- */

/* A stat that the file system has to answer, and a name that it has not. */
static void ask(int dir, unsigned long turn)
{
	struct statx stx;
	struct stat st;
	char name[40];

	if (statx(dir, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &stx) < 0)
		die("statx");
	snprintf(name, sizeof(name), "no-such-file-%lu", turn);
	if (fstatat(dir, name, &st, 0) == 0 || errno != ENOENT)
		die(name);
}

/* DIR: asks it something each millisecond until standard input ends; the longest answer. */
static void run_watch(char **argv)
{
	struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};
	int dir = open_dir(argv[0]);
	uint64_t longest_ns = 0, sum_ns = 0;
	unsigned long turn = 0;

	while (poll(&end, 1, WATCH_MS) == 0) {
		uint64_t begin = now_ns(), took;

		ask(dir, turn++);
		took = now_ns() - begin;
		sum_ns += took;
		longest_ns = took > longest_ns ? took : longest_ns;
	}
	printf("{\"op\": \"watch\", \"count\": %lu, \"ns_per_op\": %.1f, \"longest_ns\": %llu}\n",
		turn, (double)sum_ns / (double)(turn ? turn : 1),
		(unsigned long long)longest_ns);
	close(dir);
}

static const struct command {
	const char *name, *arguments;
	int count;
	void (*run)(char **argv);
} commands[] = {
	{"create", "DIR COUNT BYTES", 3, run_create},
	{"stat", "DIR COUNT BYTES", 3, run_stat},
	{"read", "DIR COUNT BYTES", 3, run_read},
	{"unlink", "DIR COUNT BYTES", 3, run_unlink},
	{"list", "DIR", 1, run_list},
	{"tree", "DIR DIRS FILES", 3, run_tree},
	{"lookup", "DIR DIRS FILES", 3, run_lookup},
	{"seqread", "FILE BLOCK cold|warm", 3, run_seqread},
	{"randread", "FILE BLOCK COUNT cold|warm", 4, run_randread},
	{"write", "FILE BLOCK MIB", 3, run_write},
	{"rewrite", "FILE BLOCK", 2, run_rewrite},
	{"watch", "DIR", 1, run_watch},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int usage(void)
{
	fprintf(stderr, "usage: fsops OPERATION ARGUMENTS\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(stderr, "  %-9s %s\n", commands[i].name, commands[i].arguments);
	return 2;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < COMMANDS; i++) {
		if (strcmp(commands[i].name, argv[1]))
			continue;
		if (argc - 2 != commands[i].count)
			break;
		commands[i].run(argv + 2);
		return 0;
	}
	return usage();
}
