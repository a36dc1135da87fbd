/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Eviction: what goes, what stays, in which order, and what is true at every moment of it. */
#include <stdatomic.h>
#include <sys/mman.h>

#include "tests/unit/core_fixture.h"

static int agree(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return 0;
}

static int busy(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return -EBUSY;
}

static void open_evicting(struct fixture *x)
{
	x->fe.file_evict = agree;
	open_hsm(x);
}

static void count_report(void *arg, const char *path, const char *text)
{
	(void)path;
	(void)text;
	++*(int *)arg;
}

static int reports;

static struct hsm_evict_totals evict(struct fixture *x, const char *path, int want)
{
	struct hsm_evict_totals t = {0};

	reports = 0;
	assert_int_equal(hsm_evict_path(x->h, path, count_report, &reports, &t), want);
	return t;
}

static struct stat stat_of(struct fixture *x, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(hsm_data_fd(x->h), name, &st, 0), 0);
	return st;
}

/* All of it, and no object left that holds it open. */
static void fill_whole(struct fixture *x, const char *name)
{
	struct stat st = stat_of(x, name);

	assert_int_equal(fill(x, name, 0, 0), 0);
	while (hsm_file_is_active(x->h, st.st_ino)) {
		hsm_files_expire(x->h, 0);
		usleep(1000);
	}
}

static uint64_t fetched(struct fixture *x)
{
	return hsm_stats_get(hsm_get_stats(x->h), HSM_C_BYTES_FETCHED);
}

/* ---- what goes ---- */

static void the_bytes_go_and_come_back(void **state)
{
	struct fixture *x = *state;
	struct hsm_evict_totals t;
	struct stat before, after;
	struct hsm_state disk;

	open_evicting(x);
	fill_whole(x, "big");
	fill_whole(x, "small");
	before = stat_of(x, "big");
	t = evict(x, "", 0);
	assert_int_equal(t.files, 2);
	assert_true(t.bytes >= BIG_BYTES && t.bytes < BIG_BYTES + 65536);
	after = stat_of(x, "big");
	assert_int_equal(after.st_size, BIG_BYTES);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_memory_equal(&after.st_mtim, &before.st_mtim, sizeof(after.st_mtim));
	assert_true(after.st_blocks <= 8);
	load_state(x, "big", &disk);
	assert_false(disk.flags & HSM_S_COMPLETE);
	t = evict(x, "", 0);
	assert_int_equal(t.files, 0);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	assert_big_up_to(x, BIG_BYTES);
	assert_int_equal(fetched(x), 2 * BIG_BYTES + 100);
}

/* An idle object with a map of its own is no hindrance, and nothing of it comes back. */
static void a_partial_file_goes(void **state)
{
	struct fixture *x = *state;
	struct hsm_evict_totals t;

	open_evicting(x);
	assert_int_equal(fill(x, "big", 1 << 20, 10), 0);
	usleep(50000); /* until the request has given its reference back */
	t = evict(x, "/big", 0);
	assert_int_equal(t.files, 1);
	close_hsm(x);
	open_evicting(x);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	assert_int_equal(fetched(x), BIG_BYTES);
	assert_big_up_to(x, BIG_BYTES);
}

static void evicted_bytes_are_gone_after_a_power_cut(void **state)
{
	struct fixture *x = *state;

	open_evicting(x);
	fill_whole(x, "big");
	evict(x, "big", 0);
	close_hsm(x);
	lose_epochs(x);
	open_evicting(x);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	assert_big_up_to(x, BIG_BYTES);
}

/* ---- what stays ---- */

static void open_and_mapped_files_stay(void **state)
{
	struct fixture *x = *state;
	struct hsm_evict_totals t;
	struct hsm_file *f;
	void *map;
	int fd;

	open_evicting(x);
	fill_whole(x, "big");
	fd = open_in(x, "big", O_RDONLY);
	t = evict(x, ".", 0);
	assert_int_equal(t.skipped_open, 1);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	t = evict(x, "big", -EBUSY);
	assert_int_equal(t.skipped_open, 1);
	assert_int_equal(reports, 1);
	munmap(map, 4096);
	fd = open_in(x, "big", O_PATH);
	t = evict(x, "big", 0);
	assert_int_equal(t.files, 1);
	close(fd);
	fd = open_in(x, "big", O_RDONLY);
	assert_int_equal(hsm_file_get(x->h, fd, &f), 1);
	close(fd);
	assert_int_equal(hsm_file_fill_wait(f, 0, 0, HSM_FILL_ALL), 0);
	t = evict(x, "big", -EBUSY);
	assert_int_equal(t.skipped_open, 1);
	hsm_file_put(f);
	assert_big_up_to(x, BIG_BYTES);
}

static void changed_and_local_files_stay(void **state)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 12345}};
	struct fixture *x = *state;
	struct hsm_evict_totals t;
	int fd;

	open_evicting(x);
	fill_whole(x, "big");
	fill_whole(x, "small");
	fd = open_in(x, "big", O_RDWR);
	assert_int_equal(hsm_fd_modified(x->h, fd), 0);
	close(fd);
	/* Not told to the core. */
	assert_int_equal(utimensat(hsm_data_fd(x->h), "small", times, 0), 0);
	write_file(x->cache, "data/local", 5000, 9);
	t = evict(x, "", 0);
	assert_int_equal(t.files, 0);
	assert_int_equal(t.skipped_modified, 2);
	assert_int_equal(t.skipped_local, 1);
	assert_int_equal(evict(x, "local", -EBUSY).skipped_local, 1);
	assert_big_up_to(x, BIG_BYTES);
}

static void cut_files_stay(void **state)
{
	struct fixture *x = *state;
	struct hsm_evict_totals t;
	auto_fd int fd = -1;

	open_evicting(x);
	fill_whole(x, "big");
	fd = open_in(x, "big", O_RDWR);
	assert_int_equal(ftruncate(fd, 70000), 0);
	hsm_util_close_fd(&fd);
	fd = -1;
	t = evict(x, "", 0);
	assert_int_equal(t.skipped_modified, 1);
	assert_big_up_to(x, 70000);
}

static void the_front_end_has_a_say(void **state)
{
	struct fixture *x = *state;
	struct hsm_evict_totals t;

	open_hsm(x);
	assert_int_equal(hsm_evict_path(x->h, "", count_report, &reports, &t), -EOPNOTSUPP);
	assert_non_null(strstr(hsm_err_text(), "cannot evict yet"));
	close_hsm(x);
	x->opt.evict_high.value = 1;
	assert_int_equal(hsm_open(x->origin, x->cache, &x->opt, &x->fe, &x->h), 0);
	assert_int_equal(hsm_start(x->h), -EOPNOTSUPP);
	close_hsm(x);
	x->opt.evict_high.value = 0;
	x->fe.file_evict = busy;
	open_hsm(x);
	fill_whole(x, "big");
	t = evict(x, "", 0);
	assert_int_equal(t.skipped_open, 1);
	assert_big_up_to(x, BIG_BYTES);
}

/* ---- killed at every step ---- */

static int kill_me(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return kill(getpid(), SIGKILL);
}

static void kill_in_callback(struct fixture *x)
{
	x->fe.file_evict = kill_me;
	open_hsm(x);
	fill_whole(x, "big");
	evict(x, "", 0);
}

static void *evict_and_refill(void *arg)
{
	struct fixture *x = arg;
	struct hsm_evict_totals t;
	int n = 0;

	for (;;) {
		hsm_evict_path(x->h, "", count_report, &n, &t);
		fill(x, "big", 0, 0);
	}
	return NULL;
}

static void kill_while_evicting(struct fixture *x)
{
	struct timespec pause = {.tv_nsec = 1000000 + rand() % 30000000};
	pthread_t thread;

	open_evicting(x);
	fill_whole(x, "big");
	pthread_create(&thread, NULL, evict_and_refill, x);
	nanosleep(&pause, NULL);
}

static void assert_whole_after_restart(struct fixture *x, const struct stat *want)
{
	struct stat st;

	open_evicting(x);
	st = stat_of(x, "big");
	assert_memory_equal(&st.st_mtim, &want->st_mtim, sizeof(st.st_mtim));
	assert_int_equal(fill(x, "big", 0, 0), 0);
	assert_big_up_to(x, BIG_BYTES);
	close_hsm(x);
}

static void prepare_whole(struct fixture *x)
{
	open_evicting(x);
	fill_whole(x, "big");
}

static void evict_big(struct fixture *x)
{
	struct hsm_evict_totals t;
	int n = 0;

	hsm_evict_path(x->h, "big", count_report, &n, &t);
}

/* An idle object with a map, and an old map of before it was stamped last. */
static void prepare_part(struct fixture *x)
{
	open_evicting(x);
	evict_big(x);
	fill(x, "big", 0, 1 << 20);
	usleep(50000);
	hsm_files_stamp_all(x->h);
}

static void a_kill_at_any_step(void **state)
{
	void (*const prepare[])(struct fixture *) = {prepare_whole, prepare_part};
	struct fixture *x = *state;
	struct stat want;
	int n;

	open_evicting(x);
	want = stat_of(x, "big");
	close_hsm(x);
	for (int i = 0; i < 2; i++) {
		for (n = 1; killed_at(x, n, prepare[i], evict_big); n++)
			assert_whole_after_restart(x, &want);
		assert_whole_after_restart(x, &want);
		assert_true(n > 3);
	}
}

static void a_kill_leaves_no_zeros(void **state)
{
	struct fixture *x = *state;
	struct stat want;

	open_evicting(x);
	want = stat_of(x, "big");
	close_hsm(x);
	killed(x, kill_in_callback);
	assert_whole_after_restart(x, &want);
	for (int i = 0; i < 40; i++) {
		srand((unsigned int)i);
		killed(x, kill_while_evicting);
		assert_whole_after_restart(x, &want);
	}
}

/* ---- readers at the same time ---- */

static _Atomic bool over;

/* As a front-end does: open, ask the core, read. */
static void *read_again_and_again(void *arg)
{
	struct fixture *x = arg;
	char *have = malloc(65536);
	unsigned int seed = (unsigned int)(uintptr_t)&have;
	const char *failed = NULL;

	/* The pause, without the file open, leaves evictions a chance. */
	for (; !over && !failed; usleep((unsigned int)rand_r(&seed) % 4000)) {
		auto_fd int fd = openat(hsm_data_fd(x->h), "big", O_RDONLY | O_CLOEXEC);
		size_t offset = (size_t)rand_r(&seed) % (BIG_BYTES - 65536);

		if (fd < 0 || fill_fd(x, fd, offset, 65536) ||
			pread(fd, have, 65536, (off_t)offset) != 65536)
			failed = "error";
		else if (memcmp(have, x->big + offset, 65536))
			failed = "false bytes";
	}
	free(have);
	return (void *)failed;
}

static void readers_see_the_right_bytes(void **state)
{
	struct fixture *x = *state;
	uint64_t end_ns = hsm_now_ns() + 3 * HSM_NSEC;
	struct hsm_evict_totals t, sum = {0};
	pthread_t thread[4];
	int n = 0;

	open_evicting(x);
	over = false;
	for (int i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, read_again_and_again, x);
	while (hsm_now_ns() < end_ns) {
		hsm_evict_path(x->h, "", count_report, &n, &t);
		sum.files += t.files;
		sum.skipped_open += t.skipped_open;
		sum.errors += t.errors;
	}
	over = true;
	for (int i = 0; i < 4; i++) {
		void *failed;

		pthread_join(thread[i], &failed);
		if (failed)
			fail_msg("%s after %llu evictions", (char *)failed,
				(unsigned long long)sum.files);
	}
	assert_int_equal(sum.errors, 0);
	assert_true(sum.files > 10);
}

/* ---- least recently used first ---- */

#define FILES	   20
#define FILE_BYTES 65536

static void make_files(struct fixture *x)
{
	char name[16];

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		write_file(x->origin, name, FILE_BYTES, (unsigned int)i);
	}
	open_evicting(x);
	/* An order that is neither that of names nor of inodes. */
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i * 7 % FILES);
		fill_whole(x, name);
		usleep(5000);
	}
}

static bool has_bytes(struct fixture *x, int i)
{
	char name[16];

	snprintf(name, sizeof(name), "f%d", i * 7 % FILES);
	return stat_of(x, name).st_blocks * 512 >= FILE_BYTES;
}

static void the_oldest_go_first(void **state)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
	struct fixture *x = *state;
	struct hsm_evict_totals t = {0};
	int n = 0;

	make_files(x);
	/* Used again: the first one is now the youngest. */
	assert_int_equal(utimensat(hsm_data_fd(x->h), "f0", times, 0), 0);
	assert_int_equal(
		hsm_evict_to_free(x->h, 5 * FILE_BYTES - 100, count_report, &n, &t), 0);
	assert_int_equal(t.files, 5);
	assert_true(t.bytes >= 5 * FILE_BYTES - 100);
	for (int i = 0; i < FILES; i++)
		assert_int_equal(has_bytes(x, i), i == 0 || i > 5);
}

/* What is in use is passed over, and more of the younger ones go. */
static void it_frees_as_much_as_can_go(void **state)
{
	struct fixture *x = *state;
	struct hsm_evict_totals t = {0};
	int fd[3], n = 0;

	make_files(x);
	fd[0] = open_in(x, "f0", O_RDONLY);
	fd[1] = open_in(x, "f7", O_RDONLY);
	fd[2] = open_in(x, "f14", O_RDONLY);
	assert_int_equal(hsm_evict_to_free(x->h, 4 * FILE_BYTES, count_report, &n, &t), 0);
	assert_int_equal(t.files, 4);
	assert_int_equal(t.skipped_open, 3);
	for (int i = 0; i < FILES; i++)
		assert_int_equal(has_bytes(x, i), i < 3 || i > 6);
	assert_int_equal(hsm_evict_to_free(x->h, 1ull << 40, count_report, &n, &t), -ENOSPC);
	assert_int_equal(t.files, FILES - 7);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

/* ---- watermarks ---- */

static uint64_t held(struct fixture *x)
{
	uint64_t bytes = 0;

	for (int i = 0; i < FILES; i++)
		bytes += has_bytes(x, i) ? FILE_BYTES : 0;
	return bytes;
}

static void the_low_mark_is_reached(void **state)
{
	struct fixture *x = *state;

	x->opt.evict_high = (struct hsm_watermark){10 * FILE_BYTES, false};
	x->opt.evict_low = (struct hsm_watermark){5 * FILE_BYTES, false};
	make_files(x);
	for (int ms = 0; held(x) > 5 * FILE_BYTES && ms < 10000; ms += 10)
		usleep(10000);
	assert_int_equal(held(x), 5 * FILE_BYTES);
	for (int i = 0; i < FILES; i++)
		assert_int_equal(has_bytes(x, i), i >= FILES - 5);
	assert_int_equal(fill(x, "f0", 0, 0), 0);
	usleep(1500000);
	assert_int_equal(held(x), 6 * FILE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_bytes_go_and_come_back),
		TEST(a_partial_file_goes),
		TEST(evicted_bytes_are_gone_after_a_power_cut),
		TEST(open_and_mapped_files_stay),
		TEST(changed_and_local_files_stay),
		TEST(cut_files_stay),
		TEST(the_front_end_has_a_say),
		TEST(a_kill_at_any_step),
		TEST(a_kill_leaves_no_zeros),
		TEST(readers_see_the_right_bytes),
		TEST(the_oldest_go_first),
		TEST(it_frees_as_much_as_can_go),
		TEST(the_low_mark_is_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
