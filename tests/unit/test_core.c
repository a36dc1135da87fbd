/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The core over a mirror origin on the file system of the working directory (needs root). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "hsm/hsm.h"
#include "hsm/state.h"
#include "hsm/util.h"

#define BIG_BYTES (3u << 20)

struct fixture {
	char dir[64];
	char origin[96], cache[96];
	struct hsm *h;
	_Atomic int files_complete, dirs_complete;
};

static void file_complete(void *ctx, int fd)
{
	(void)fd;
	((struct fixture *)ctx)->files_complete++;
}

static void dir_complete(void *ctx, int fd)
{
	(void)fd;
	((struct fixture *)ctx)->dirs_complete++;
}

static void open_hsm(struct fixture *x, enum hsm_namespace names)
{
	struct hsm_frontend fe = {.name = "test",
		.ctx = x,
		.file_complete = file_complete,
		.dir_complete = dir_complete};
	struct hsm_options opt;

	hsm_options_default(&opt);
	opt.names = names;
	if (hsm_open(x->origin, x->cache, &opt, &fe, &x->h))
		fail_msg("%s", hsm_err_text());
	assert_int_equal(hsm_start(x->h), 0);
}

static void write_file(const char *dir, const char *name, size_t bytes, unsigned int seed)
{
	char path[256];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	out = fopen(path, "w");
	assert_non_null(out);
	for (size_t i = 0; i < bytes; i++) {
		seed = seed * 1103515245 + 12345;
		fputc((int)(seed >> 16) & 0xff, out);
	}
	fclose(out);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	char path[128];

	snprintf(x->dir, sizeof(x->dir), "hsm-test-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	snprintf(x->origin, sizeof(x->origin), "%s/origin", x->dir);
	snprintf(x->cache, sizeof(x->cache), "%s/cache", x->dir);
	assert_int_equal(mkdir(x->origin, 0755) | mkdir(x->cache, 0755), 0);
	snprintf(path, sizeof(path), "%s/sub", x->origin);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/sub/deep", x->origin);
	mkdir(path, 0755);
	write_file(x->origin, "big", BIG_BYTES, 1);
	write_file(x->origin, "small", 100, 2);
	write_file(x->origin, "empty", 0, 3);
	write_file(path, "leaf", 5000, 4);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", x->dir);
	(void)!system(command);
	free(x);
	return 0;
}

static int open_in(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		fail_msg("%s: %s", name, strerror(errno));
	return fd;
}

static void assert_same(struct fixture *x, const char *name, uint64_t offset, size_t length)
{
	auto_free char *want = malloc(length), *have = malloc(length);
	auto_fd int data = open_in(hsm_data_fd(x->h), name), origin = open(x->origin, O_RDONLY);
	auto_fd int remote = open_in(origin, name);

	assert_int_equal(pread(data, have, length, (off_t)offset),
		pread(remote, want, length, (off_t)offset));
	assert_memory_equal(have, want, length);
}

static int fill(struct fixture *x, const char *name, uint64_t offset, uint64_t length,
	enum hsm_fill_why why)
{
	auto_fd int fd = open_in(hsm_data_fd(x->h), name);
	struct hsm_file *f;
	int r = hsm_file_get(x->h, fd, &f);

	if (r <= 0)
		return r;
	r = hsm_file_fill_wait(f, offset, length, why);
	hsm_file_put(f);
	return r;
}

static void stubs_have_size_and_mtime(void **state)
{
	struct fixture *x = *state;
	struct stat want, have;
	char path[128];

	open_hsm(x, HSM_NS_LAZY);
	assert_int_equal(fstatat(hsm_data_fd(x->h), "big", &have, 0), -1);
	assert_int_equal(hsm_dir_state(x->h, hsm_data_fd(x->h)), HSM_DIR_UNPOPULATED);
	assert_int_equal(hsm_dir_fill_wait(x->h, hsm_data_fd(x->h)), 0);
	assert_int_equal(hsm_dir_state(x->h, hsm_data_fd(x->h)), HSM_DIR_COMPLETE);
	snprintf(path, sizeof(path), "%s/big", x->origin);
	assert_int_equal(stat(path, &want) | fstatat(hsm_data_fd(x->h), "big", &have, 0), 0);
	assert_int_equal(have.st_size, BIG_BYTES);
	assert_int_equal(have.st_blocks, 0);
	assert_int_equal(have.st_mtim.tv_nsec, want.st_mtim.tv_nsec);
	assert_int_equal(have.st_mode, want.st_mode);
	hsm_close(x->h);
}

static void a_range_fills_only_its_chunks(void **state)
{
	struct fixture *x = *state;
	struct hsm_stats *s;
	struct stat before, after;

	open_hsm(x, HSM_NS_LAZY);
	s = hsm_get_stats(x->h);
	assert_int_equal(hsm_dir_fill_wait(x->h, hsm_data_fd(x->h)), 0);
	fstatat(hsm_data_fd(x->h), "big", &before, 0);
	assert_int_equal(fill(x, "big", 1 << 20, 10, HSM_FILL_READ), 0);
	assert_int_equal(hsm_stats_get(s, HSM_C_BYTES_FETCHED), 65536);
	assert_same(x, "big", 1 << 20, 65536);
	fstatat(hsm_data_fd(x->h), "big", &after, 0);
	assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	assert_int_equal(fill(x, "big", 1 << 20, 10, HSM_FILL_READ), 0);
	assert_int_equal(hsm_stats_get(s, HSM_C_BYTES_FETCHED), 65536);
	assert_int_equal(fill(x, "big", 0, 0, HSM_FILL_ALL), 0);
	assert_int_equal(hsm_stats_get(s, HSM_C_BYTES_FETCHED), BIG_BYTES);
	assert_same(x, "big", 0, BIG_BYTES);
	hsm_close(x->h);
	assert_int_equal(x->files_complete, 1);
}

static void progress_survives_stop_and_start(void **state)
{
	struct fixture *x = *state;

	open_hsm(x, HSM_NS_LAZY);
	assert_int_equal(hsm_dir_fill_wait(x->h, hsm_data_fd(x->h)), 0);
	assert_int_equal(fill(x, "big", BIG_BYTES - 1, 1, HSM_FILL_READ), 0);
	assert_int_equal(fill(x, "small", 0, 0, HSM_FILL_READ), 0);
	hsm_close(x->h);
	open_hsm(x, HSM_NS_LAZY);
	assert_int_equal(fill(x, "small", 0, 0, HSM_FILL_READ), 0);
	assert_int_equal(fill(x, "big", BIG_BYTES - 1, 1, HSM_FILL_READ), 0);
	assert_int_equal(hsm_stats_get(hsm_get_stats(x->h), HSM_C_BYTES_FETCHED), 0);
	hsm_close(x->h);
}

static void progress_survives_a_kill(void **state)
{
	struct fixture *x = *state;
	pid_t child = fork();
	int status;

	if (!child) {
		open_hsm(x, HSM_NS_LAZY);
		hsm_dir_fill_wait(x->h, hsm_data_fd(x->h));
		fill(x, "big", 0, 1 << 20, HSM_FILL_ALL);
		fill(x, "small", 0, 0, HSM_FILL_READ);
		kill(getpid(), SIGKILL);
	}
	waitpid(child, &status, 0);
	assert_true(WIFSIGNALED(status));
	open_hsm(x, HSM_NS_LAZY);
	assert_int_equal(fill(x, "small", 0, 0, HSM_FILL_READ), 0);
	assert_int_equal(fill(x, "big", 0, 1 << 20, HSM_FILL_ALL), 0);
	assert_int_equal(hsm_stats_get(hsm_get_stats(x->h), HSM_C_BYTES_FETCHED), 0);
	assert_same(x, "big", 0, 1 << 20);
	hsm_close(x->h);
}

static void local_files_are_never_filled(void **state)
{
	struct fixture *x = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/data", x->cache);
	mkdir(path, 0755);
	write_file(path, "small", 7, 9);
	open_hsm(x, HSM_NS_LAZY);
	assert_int_equal(hsm_dir_fill_wait(x->h, hsm_data_fd(x->h)), 0);
	assert_int_equal(fill(x, "small", 0, 0, HSM_FILL_READ), 0);
	assert_int_equal(hsm_stats_get(hsm_get_stats(x->h), HSM_C_BYTES_FETCHED), 0);
	hsm_close(x->h);
}

static void ahead_names_one_level_more(void **state)
{
	struct fixture *x = *state;
	struct stat st;
	int data, sub;

	open_hsm(x, HSM_NS_AHEAD);
	data = hsm_data_fd(x->h);
	assert_int_equal(hsm_dir_fill_wait(x->h, data), 0);
	assert_int_equal(fstatat(data, "sub/deep", &st, 0), 0);
	assert_int_equal(fstatat(data, "sub/deep/leaf", &st, 0), -1);
	sub = open_in(data, "sub");
	assert_int_equal(hsm_dir_state(x->h, sub), HSM_DIR_NAMES);
	assert_int_equal(hsm_dir_fill_wait(x->h, sub), 0);
	assert_int_equal(hsm_dir_state(x->h, sub), HSM_DIR_COMPLETE);
	assert_int_equal(fstatat(data, "sub/deep/leaf", &st, 0), 0);
	close(sub);
	hsm_close(x->h);
	assert_int_equal(x->dirs_complete, 3);
}

static void eager_names_everything(void **state)
{
	struct fixture *x = *state;
	struct stat st;

	open_hsm(x, HSM_NS_EAGER);
	assert_int_equal(fstatat(hsm_data_fd(x->h), "sub/deep/leaf", &st, 0), 0);
	hsm_close(x->h);
}

static void a_second_daemon_is_refused(void **state)
{
	struct fixture *x = *state;
	struct hsm_frontend fe = {.name = "second"};
	struct hsm_options opt;
	struct hsm *other;

	open_hsm(x, HSM_NS_LAZY);
	hsm_options_default(&opt);
	assert_int_equal(hsm_open(x->origin, x->cache, &opt, &fe, &other), -EBUSY);
	assert_non_null(strstr(hsm_err_text(), "in use by process"));
	hsm_close(x->h);
	assert_int_equal(hsm_open(x->dir, x->cache, &opt, &fe, &other), -EXDEV);
}

static void a_changed_object_is_an_error(void **state)
{
	struct fixture *x = *state;

	open_hsm(x, HSM_NS_LAZY);
	assert_int_equal(hsm_dir_fill_wait(x->h, hsm_data_fd(x->h)), 0);
	assert_int_equal(fill(x, "big", 0, 1, HSM_FILL_WRITE), 0);
	write_file(x->origin, "big", BIG_BYTES, 77);
	assert_int_equal(fill(x, "big", 2 << 20, 1, HSM_FILL_READ), -EIO);
	hsm_close(x->h);
}

static void damaged_state_is_an_error_not_zeros(void **state)
{
	struct fixture *x = *state;
	auto_fd int fd = -1;

	open_hsm(x, HSM_NS_LAZY);
	assert_int_equal(hsm_dir_fill_wait(x->h, hsm_data_fd(x->h)), 0);
	fd = open_in(hsm_data_fd(x->h), "big");
	assert_int_equal(fsetxattr(fd, HSM_XATTR_STATE, "junk", 4, 0), 0);
	assert_int_equal(fill(x, "big", 0, 1, HSM_FILL_READ), -EIO);
	hsm_close(x->h);
}

/* What a user cut off stays off: neither the hole nor what is written there is ever filled. */
static void a_cut_file_does_not_grow_back(void **state)
{
	struct fixture *x = *state;
	char have[3000], zeros[2000] = {0};
	auto_fd int fd = -1;

	open_hsm(x, HSM_NS_LAZY);
	assert_int_equal(hsm_dir_fill_wait(x->h, hsm_data_fd(x->h)), 0);
	fd = openat(hsm_data_fd(x->h), "big", O_RDWR | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 1000), 0);
	assert_int_equal(fill(x, "big", 0, 1, HSM_FILL_WRITE), 0);
	assert_int_equal(ftruncate(fd, BIG_BYTES), 0);
	hsm_close(x->h);
	open_hsm(x, HSM_NS_LAZY);
	assert_int_equal(fill(x, "big", 0, 0, HSM_FILL_ALL), 0);
	assert_same(x, "big", 0, 1000);
	assert_int_equal(pread(fd, have, sizeof(have), 0), sizeof(have));
	assert_memory_equal(have + 1000, zeros, sizeof(zeros));
	assert_int_equal(pread(fd, have, 2000, BIG_BYTES - 2000), 2000);
	assert_memory_equal(have, zeros, sizeof(zeros));
	hsm_close(x->h);
}

/* One file system, two caches: the stubs of one are local files to the other. */
static void another_cache_is_left_alone(void **state)
{
	struct hsm_frontend fe = {.name = "other"};
	struct fixture *x = *state;
	struct hsm_options opt;
	auto_fd int fd = -1;
	struct hsm_file *f;
	struct hsm *other;
	char cache[96];

	open_hsm(x, HSM_NS_LAZY);
	assert_int_equal(hsm_dir_fill_wait(x->h, hsm_data_fd(x->h)), 0);
	fd = open_in(hsm_data_fd(x->h), "big");
	snprintf(cache, sizeof(cache), "%s/cache2", x->dir);
	mkdir(cache, 0755);
	hsm_options_default(&opt);
	assert_int_equal(hsm_open(x->origin, cache, &opt, &fe, &other), 0);
	assert_int_equal(hsm_file_get(other, fd, &f), 0);
	assert_int_equal(hsm_dir_state(other, hsm_data_fd(x->h)), HSM_DIR_LOCAL);
	hsm_close(other);
	hsm_close(x->h);
}

static void count_cancelled(void *arg, int err)
{
	if (err == -ECANCELED)
		++*(_Atomic int *)arg;
}

/* More waiters than connections: also those whose request was never started are told. */
static void closing_tells_every_waiter(void **state)
{
	struct hsm_frontend fe = {.name = "test"};
	struct fixture *x = *state;
	_Atomic int cancelled = 0;
	struct hsm_options opt;
	auto_fd int fd = -1;

	hsm_options_default(&opt);
	opt.latency_ns = 5 * HSM_NSEC;
	opt.connections = 2;
	opt.readahead_bytes = 0;
	open_hsm(x, HSM_NS_LAZY);
	assert_int_equal(hsm_dir_fill_wait(x->h, hsm_data_fd(x->h)), 0);
	hsm_close(x->h);
	assert_int_equal(hsm_open(x->origin, x->cache, &opt, &fe, &x->h), 0);
	fd = open_in(hsm_data_fd(x->h), "big");
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(hsm_fd_fill(x->h, fd, 3 * i << 16, 1, HSM_FILL_READ,
					 count_cancelled, &cancelled),
			0);
	hsm_close(x->h);
	assert_int_equal(cancelled, 10);
}

/* A start that fails leaves nothing in the cache directory. */
static void a_failed_start_leaves_nothing(void **state)
{
	struct hsm_frontend fe = {.name = "failing"};
	struct fixture *x = *state;
	struct hsm_options opt;
	struct hsm *h;

	hsm_options_default(&opt);
	assert_true(hsm_open("http://127.0.0.1:1/", x->cache, &opt, &fe, &h) < 0);
	assert_int_equal(rmdir(x->cache), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stubs_have_size_and_mtime),
		TEST(a_range_fills_only_its_chunks),
		TEST(progress_survives_stop_and_start),
		TEST(progress_survives_a_kill),
		TEST(local_files_are_never_filled),
		TEST(ahead_names_one_level_more),
		TEST(eager_names_everything),
		TEST(a_second_daemon_is_refused),
		TEST(a_changed_object_is_an_error),
		TEST(damaged_state_is_an_error_not_zeros),
		TEST(a_cut_file_does_not_grow_back),
		TEST(another_cache_is_left_alone),
		TEST(closing_tells_every_waiter),
		TEST(a_failed_start_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
