/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What figures_fan.sh puts on a tree, each command printing a line of JSON. All know the same tree:
 * directories d0000, ... with files f000000, ... of the same size. What a file holds follows from
 * its place, so that who reads it knows whether it is right.
 *
 * Readers are processes, as readers usually are; they take files one at a time from a common count.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define NSEC	    1000000000ull
#define BYTES_MAX   (1ul << 20)
#define READERS_MAX 256
#define NAME_SIZE   48
#define XATTR_NAME  "trusted.fanload"
#define XATTR_BYTES 64 /* about that of a stub with a short path */

/* Common to all readers. */
struct common {
	_Atomic unsigned long next, ready;
	_Atomic int go, stop;
	_Atomic uint64_t ops;
};

static char buffer[BYTES_MAX + 1];
static struct common *common;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec;
}

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "fanload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned long number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || value < 1 || value > max) {
		fprintf(stderr, "fanload: '%s' is not a number from 1 to %lu\n", text, max);
		exit(2);
	}
	return value;
}

/* DIR DIRS FILES BYTES */
struct tree {
	int top;
	unsigned long dirs, files, bytes;
};

static struct tree tree_of(char **argv)
{
	struct tree t = {open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		number(argv[1], 9999), number(argv[2], 999999), number(argv[3], BYTES_MAX)};

	if (t.top < 0)
		die(argv[0]);
	return t;
}

static void print_ops(const char *op, unsigned long count, uint64_t ns)
{
	printf("{\"op\": \"%s\", \"count\": %lu, \"ns\": %llu, \"ns_per_op\": %.1f}\n", op,
		count, (unsigned long long)ns, (double)ns / (double)(count ? count : 1));
}

/* ---- one process that makes a tree ---- */

/* Eight bytes over and over: a hole, or another file's content, does not pass for it. */
static void set_content(unsigned long d, unsigned long f, unsigned long bytes)
{
	for (unsigned long i = 0; i < bytes; i += 8) {
		uint64_t word = (d + 1) << 40 | (f + 1) << 16 | 0xa5a5;

		memcpy(buffer + i, &word, sizeof(word));
	}
}

static void write_file(int fd, unsigned long d, unsigned long f, unsigned long bytes)
{
	set_content(d, f, bytes);
	if (write(fd, buffer, bytes) != (ssize_t)bytes)
		die("write");
}

/* The least that makes a stub. */
static void make_stub(int fd, unsigned long d, unsigned long f, unsigned long bytes)
{
	static const char value[XATTR_BYTES] = "x";

	(void)d;
	(void)f;
	if (ftruncate(fd, (off_t)bytes) || fsetxattr(fd, XATTR_NAME, value, sizeof(value), 0))
		die("stub");
}

static void make_tree(char **argv, const char *op,
	void (*make)(int fd, unsigned long d, unsigned long f, unsigned long bytes))
{
	struct tree t = tree_of(argv);
	uint64_t begin = now_ns();

	for (unsigned long d = 0; d < t.dirs; d++) {
		char name[NAME_SIZE];
		int dir, fd;

		snprintf(name, sizeof(name), "d%04lu", d);
		if (mkdirat(t.top, name, 0755))
			die(name);
		dir = openat(t.top, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		for (unsigned long f = 0; dir >= 0 && f < t.files; f++) {
			snprintf(name, sizeof(name), "f%06lu", f);
			fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
			if (fd < 0)
				die(name);
			make(fd, d, f, t.bytes);
			close(fd);
		}
		if (dir < 0 || close(dir))
			die(name);
	}
	print_ops(op, t.dirs * t.files, now_ns() - begin);
}

static void run_tree(char **argv)
{
	make_tree(argv, "tree", write_file);
}

static void run_stubs(char **argv)
{
	make_tree(argv, "stubs", make_stub);
}

/* ---- readers ---- */

static void fork_readers(unsigned long n, void (*run)(unsigned long self, void *arg), void *arg)
{
	common = mmap(NULL, sizeof(*common), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	if (common == MAP_FAILED)
		die("mmap");
	fflush(stdout);
	for (unsigned long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid)
			continue;
		common->ready++;
		while (!common->go)
			usleep(1000);
		run(i, arg);
		_exit(0);
	}
	while (common->ready < n)
		usleep(1000);
	common->go = 1;
}

static void wait_readers(void)
{
	int status, failed = 0;

	while (wait(&status) > 0)
		failed |= status;
	if (failed)
		exit(1);
}

static void list_dirs(unsigned long self, void *arg)
{
	const struct tree *t = arg;
	unsigned long d;

	(void)self;
	while ((d = common->next++) < t->dirs) {
		char name[NAME_SIZE];
		unsigned long names = 0;
		DIR *dir;
		int fd;

		snprintf(name, sizeof(name), "d%04lu", d);
		fd = openat(t->top, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		dir = fd < 0 ? NULL : fdopendir(fd);
		while (dir && readdir(dir))
			names++;
		if (!dir || closedir(dir) || names < t->files)
			die(name);
	}
}

static void read_files(unsigned long self, void *arg)
{
	static char got[BYTES_MAX + 1];
	const struct tree *t = arg;
	unsigned long n;

	(void)self;
	while ((n = common->next++) < t->dirs * t->files) {
		char name[NAME_SIZE];
		ssize_t r;
		int fd;

		snprintf(name, sizeof(name), "d%04lu/f%06lu", n / t->files, n % t->files);
		fd = openat(t->top, name, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? -1 : read(fd, got, t->bytes + 1);
		set_content(n / t->files, n % t->files, t->bytes);
		if (r != (ssize_t)t->bytes || memcmp(got, buffer, t->bytes)) {
			fprintf(stderr, "fanload: %s: %zd bytes, or wrong ones\n", name, r);
			_exit(1);
		}
		close(fd);
	}
}

/* READERS DIR DIRS FILES BYTES: the names of all directories, then the bytes of all files. */
static void run_read(char **argv)
{
	unsigned long readers = number(argv[0], READERS_MAX);
	struct tree t = tree_of(argv + 1);
	uint64_t begin = now_ns();
	DIR *top = fdopendir(dup(t.top));

	while (top && readdir(top))
		;
	fork_readers(readers, list_dirs, &t);
	wait_readers();
	print_ops("list", t.dirs * t.files, now_ns() - begin);
	begin = now_ns();
	fork_readers(readers, read_files, &t);
	wait_readers();
	print_ops("read", t.dirs * t.files, now_ns() - begin);
}

struct present {
	char **path;
	unsigned long paths;
};

static void read_present(unsigned long self, void *arg)
{
	const struct present *p = arg;
	const char *path = p->path[self % p->paths];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t ops = 0;

	if (fd < 0)
		die(path);
	for (; !common->stop; ops++)
		if (pread(fd, buffer, 4096, 0) != 4096)
			die(path);
	common->ops += ops;
}

/* READERS MILLISECONDS FILE...: the first 4 KiB, over and over; reader i takes file i. */
static void run_present(char **argv)
{
	unsigned long readers = number(argv[0], READERS_MAX), ms = number(argv[1], 600000);
	struct present p = {.path = argv + 2};
	uint64_t begin;

	while (p.path[p.paths])
		p.paths++;
	if (!p.paths) {
		fprintf(stderr, "fanload: no file\n");
		exit(2);
	}
	fork_readers(readers, read_present, &p);
	begin = now_ns();
	usleep((useconds_t)ms * 1000);
	common->stop = 1;
	begin = now_ns() - begin;
	wait_readers();
	print_ops("present", common->ops, begin);
}

static const struct command {
	const char *name, *arguments;
	int least;
	void (*run)(char **argv);
} commands[] = {
	{"tree", "DIR DIRS FILES BYTES", 4, run_tree},
	{"stubs", "DIR DIRS FILES BYTES", 4, run_stubs},
	{"read", "READERS DIR DIRS FILES BYTES", 5, run_read},
	{"present", "READERS MILLISECONDS FILE...", 3, run_present},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < COMMANDS; i++) {
		if (strcmp(commands[i].name, argv[1]) || argc - 2 < commands[i].least)
			continue;
		commands[i].run(argv + 2);
		return 0;
	}
	fprintf(stderr, "usage: fanload OPERATION ARGUMENTS\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(stderr, "  %-8s %s\n", commands[i].name, commands[i].arguments);
	return 2;
}
