/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_CORE_FIXTURE_H
#define TESTS_CORE_FIXTURE_H
/* A core over a mirror origin, both in a directory of their own below the working directory. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "hsm/core.h"
#include "hsm/util.h"

#define BIG_BYTES (3u << 20)

struct fixture {
	char dir[64];
	char origin[96], cache[96];
	struct hsm *h;
	struct hsm_options opt;
	struct hsm_frontend fe;
	unsigned char big[BIG_BYTES]; /* content of "big" on the origin */
};

/*
 * The calls that change an inode, in place of libc's: each is a step. Before step .kill_at the
 * process kills itself; before the next fsetxattr .before_xattr is called once.
 */
static struct {
	_Atomic int step, kill_at; /* 0: never */
	void (*_Atomic before_xattr)(void);
} steps;

static inline void take_step(void)
{
	if (steps.kill_at && ++steps.step == steps.kill_at)
		kill(getpid(), SIGKILL);
}

int ftruncate(int fd, off_t size)
{
	take_step();
	return (int)syscall(SYS_ftruncate, fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	take_step();
	return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

int futimens(int fd, const struct timespec times[2])
{
	take_step();
	return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

int fremovexattr(int fd, const char *name)
{
	take_step();
	return (int)syscall(SYS_fremovexattr, fd, name);
}

int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)
{
	void (*hook)(void) = atomic_exchange(&steps.before_xattr, NULL);

	if (hook)
		hook();
	take_step();
	return (int)syscall(SYS_fsetxattr, fd, name, value, size, flags);
}

static inline unsigned char byte_at(unsigned int seed, size_t at)
{
	return (unsigned char)(1 + (seed * 2654435761u + at * 40503u + (at >> 9)) % 255);
}

/* No byte is zero. */
static inline void write_file(
	const char *dir, const char *name, size_t bytes, unsigned int seed)
{
	char path[256];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	out = fopen(path, "w");
	assert_non_null(out);
	for (size_t i = 0; i < bytes; i++)
		fputc(byte_at(seed, i), out);
	fclose(out);
}

static inline void open_hsm(struct fixture *x)
{
	x->fe.name = "test";
	if (hsm_open(x->origin, x->cache, &x->opt, &x->fe, &x->h))
		fail_msg("%s", hsm_err_text());
	assert_int_equal(hsm_start(x->h), 0);
	assert_int_equal(hsm_dir_fill_wait(x->h, hsm_data_fd(x->h)), 0);
}

static inline void close_hsm(struct fixture *x)
{
	hsm_close(x->h);
	x->h = NULL;
}

/* "big" of 3 MiB, "small" of 100 bytes. */
static inline int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	snprintf(x->dir, sizeof(x->dir), "hsm-test-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	snprintf(x->origin, sizeof(x->origin), "%s/origin", x->dir);
	snprintf(x->cache, sizeof(x->cache), "%s/cache", x->dir);
	assert_int_equal(mkdir(x->origin, 0755) | mkdir(x->cache, 0755), 0);
	write_file(x->origin, "big", BIG_BYTES, 1);
	write_file(x->origin, "small", 100, 2);
	for (size_t i = 0; i < BIG_BYTES; i++)
		x->big[i] = byte_at(1, i);
	hsm_options_default(&x->opt);
	*state = x;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *x = *state;
	char command[128];

	if (x->h)
		hsm_close(x->h);
	snprintf(command, sizeof(command), "rm -rf %s", x->dir);
	(void)!system(command);
	free(x);
	return 0;
}

static inline int open_in(struct fixture *x, const char *name, int flags)
{
	int fd = openat(hsm_data_fd(x->h), name, flags | O_CLOEXEC);

	if (fd < 0)
		fail_msg("%s: %s", name, strerror(errno));
	return fd;
}

/* 0, also when nothing is missing, or a negative errno. */
static inline int fill_fd(struct fixture *x, int fd, uint64_t offset, uint64_t length)
{
	struct hsm_file *f;
	int r = hsm_file_get(x->h, fd, &f);

	if (r <= 0)
		return r;
	r = hsm_file_fill_wait(f, offset, length, length ? HSM_FILL_WRITE : HSM_FILL_ALL);
	hsm_file_put(f);
	return r;
}

static inline int fill(struct fixture *x, const char *name, uint64_t offset, uint64_t length)
{
	auto_fd int fd = open_in(x, name, O_RDONLY);

	return fill_fd(x, fd, offset, length);
}

static inline void load_state(struct fixture *x, const char *name, struct hsm_state *ret)
{
	auto_fd int fd = open_in(x, name, O_RDONLY);

	assert_int_equal(hsm_state_load(fd, ret), 0);
}

/* What is stored of @name is the origin's up to @end, and zeros up to its size. */
static inline void assert_big_up_to(struct fixture *x, size_t end)
{
	auto_free unsigned char *have = calloc(1, BIG_BYTES);
	auto_fd int fd = open_in(x, "big", O_RDONLY);
	ssize_t n = pread(fd, have, BIG_BYTES, 0);

	assert_true(n >= 0 && end <= (size_t)n);
	for (size_t i = 0; i < (size_t)n; i++)
		if (have[i] != (i < end ? x->big[i] : 0))
			fail_msg("byte %zu is %u, end %zu", i, have[i], end);
}

/* The closed cache looks as after a reboot before anything was synced: no epoch is believed. */
static inline void lose_epochs(struct fixture *x)
{
	char command[512];

	assert_null(x->h);
	snprintf(command, sizeof(command),
		"sed -i 's/^mount .*/mount another/; s/^durable .*/durable 0/' %s/meta/epochs",
		x->cache);
	assert_int_equal(system(command), 0);
}

/* Runs @child with the fixture in a process that kills itself. */
static inline void killed(struct fixture *x, void (*child)(struct fixture *x))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		child(x);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/*
 * Runs @prepare, then @act in a process that is killed before step @n of @act. False: it came to
 * its end.
 */
static inline bool killed_at(struct fixture *x, int n, void (*prepare)(struct fixture *x),
	void (*act)(struct fixture *x))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		prepare(x);
		steps.kill_at = n;
		act(x);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status) || !WEXITSTATUS(status));
	return WIFSIGNALED(status);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
