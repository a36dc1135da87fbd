/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of the HSM that users change: marked for good, cut at once, never overwritten. */
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/unit/core_fixture.h"

static void write_user(struct fixture *x, const char *name, const char *text, off_t offset)
{
	auto_fd int fd = open_in(x, name, O_RDWR);
	size_t length = strlen(text);

	assert_int_equal(fill_fd(x, fd, (uint64_t)offset, length), 0);
	assert_int_equal(hsm_fd_modified(x->h, fd), 0);
	assert_int_equal(pwrite(fd, text, length, offset), length);
}

static void assert_text(struct fixture *x, const char *name, const char *text, off_t offset)
{
	auto_fd int fd = open_in(x, name, O_RDONLY);
	char have[64] = "";

	assert_int_equal(pread(fd, have, strlen(text), offset), strlen(text));
	assert_string_equal(have, text);
}

static void assert_modified(struct fixture *x, const char *name, bool want)
{
	struct hsm_state state;

	load_state(x, name, &state);
	assert_int_equal(!!(state.flags & HSM_S_MODIFIED), want);
}

/* ---- the mark ---- */

static void the_mark_stays(void **state)
{
	struct fixture *x = *state;

	open_hsm(x);
	write_user(x, "big", "mine", 70000);
	assert_modified(x, "big", true);
	assert_int_equal(fill(x, "big", 1 << 20, 10), 0);
	close_hsm(x);
	open_hsm(x);
	assert_modified(x, "big", true);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	close_hsm(x);
	open_hsm(x);
	assert_modified(x, "big", true);
	assert_text(x, "big", "mine", 70000);
	memcpy(x->big + 70000, "mine", 4);
	assert_big_up_to(x, BIG_BYTES);
	assert_modified(x, "small", false);
	assert_int_equal(fill(x, "small", 0, 0), 0);
	write_user(x, "small", "mine", 0);
	assert_modified(x, "small", true);
}

static void kill_after_mark(struct fixture *x)
{
	open_hsm(x);
	fill(x, "big", 0, 1);
	write_user(x, "big", "mine", 5);
	fill(x, "big", 1 << 20, 1);
}

static void the_mark_survives_a_kill(void **state)
{
	struct fixture *x = *state;

	killed(x, kill_after_mark);
	open_hsm(x);
	assert_modified(x, "big", true);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	assert_text(x, "big", "mine", 5);
}

static void *mark_again_and_again(void *arg)
{
	struct fixture *x = arg;

	for (int i = 0; i < 200; i++) {
		auto_fd int fd = open_in(x, "big", O_RDONLY);

		if (hsm_fd_modified(x->h, fd))
			return (void *)"hsm_fd_modified failed";
	}
	return NULL;
}

/* The object comes and goes, fills and stamps while the mark is set. */
static void the_mark_races_with_objects(void **state)
{
	struct fixture *x = *state;
	struct hsm_state disk;
	pthread_t thread[3];
	void *failed;

	open_hsm(x);
	for (int t = 0; t < 3; t++)
		pthread_create(&thread[t], NULL, mark_again_and_again, x);
	for (uint64_t at = 0; at < BIG_BYTES; at += 65536) {
		assert_int_equal(fill(x, "big", at, 1), 0);
		hsm_files_expire(x->h, 0);
	}
	for (int t = 0; t < 3; t++) {
		pthread_join(thread[t], &failed);
		assert_null(failed);
	}
	close_hsm(x);
	open_hsm(x);
	load_state(x, "big", &disk);
	assert_true(disk.flags & HSM_S_MODIFIED && disk.flags & HSM_S_COMPLETE);
	assert_int_equal(disk.epoch, HSM_EPOCH_FOREVER);
	assert_big_up_to(x, BIG_BYTES);
}

static struct fixture *marking;
static sem_t mark_began;

static void begin_mark(void)
{
	sem_post(&mark_began);
	usleep(200000);
}

static void *mark_small(void *arg)
{
	auto_fd int fd = open_in(marking, "small", O_RDONLY);

	(void)arg;
	return hsm_fd_modified(marking->h, fd) ? (void *)"hsm_fd_modified failed" : NULL;
}

/* An object that is made between reading and writing of the state. */
static void the_mark_is_not_overtaken(void **state)
{
	struct fixture *x = *state;
	pthread_t thread;
	void *failed;

	open_hsm(x);
	marking = x;
	sem_init(&mark_began, 0, 0);
	steps.before_xattr = begin_mark;
	pthread_create(&thread, NULL, mark_small, NULL);
	sem_wait(&mark_began);
	assert_int_equal(fill(x, "small", 0, 0), 0);
	hsm_files_stamp_all(x->h);
	pthread_join(thread, &failed);
	assert_null(failed);
	close_hsm(x);
	open_hsm(x);
	assert_modified(x, "small", true);
	assert_int_equal(fill(x, "small", 0, 0), 0);
	assert_int_equal(hsm_stats_get(hsm_get_stats(x->h), HSM_C_BYTES_FETCHED), 0);
}

static void local_files_need_no_mark(void **state)
{
	struct fixture *x = *state;
	struct hsm_state disk;
	auto_fd int fd = -1;

	open_hsm(x);
	fd = openat(hsm_data_fd(x->h), "local", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(hsm_fd_modified(x->h, fd), 0);
	assert_int_equal(hsm_state_load(fd, &disk), -ENODATA);
	assert_int_equal(hsm_fd_truncate(x->h, fd, 10), 0);
	assert_int_equal(hsm_fd_sync(x->h, fd, true), 0);
}

/* Takes every place in the table of active files. */
static void fill_table(struct fixture *x, struct hsm_file **files)
{
	char name[16];

	for (int i = 0; i < 64; i++) {
		auto_fd int fd = -1;

		snprintf(name, sizeof(name), "f%d", i);
		fd = open_in(x, name, O_RDONLY);
		assert_int_equal(hsm_file_get(x->h, fd, &files[i]), 1);
	}
}

/* The mark and a cut need no place in the table of active files. */
static void a_full_table_does_not_matter(void **state)
{
	const struct rlimit few = {200, 200};
	struct hsm_file *files[64], *f;
	struct fixture *x = *state;
	struct hsm_state disk;
	auto_fd int fd = -1;
	struct rlimit old;
	char name[16];

	for (int i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		write_file(x->origin, name, 10, 7);
	}
	getrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	open_hsm(x);
	fill_table(x, files);
	fd = open_in(x, "big", O_RDWR);
	assert_int_equal(hsm_file_get(x->h, fd, &f), -EAGAIN);
	assert_int_equal(hsm_fd_modified(x->h, fd), 0);
	assert_int_equal(hsm_fd_truncate(x->h, fd, 1000), 0);
	load_state(x, "big", &disk);
	assert_true(disk.flags & HSM_S_MODIFIED);
	assert_int_equal(disk.fill_end, 1000);
	assert_int_equal(hsm_fd_truncate(x->h, fd, 5000), 0);
	for (int i = 0; i < 64; i++)
		hsm_file_put(files[i]);
	hsm_files_expire(x->h, 0);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	assert_big_up_to(x, 1000);
	close_hsm(x);
	setrlimit(RLIMIT_NOFILE, &old);
}

/* ---- the rest still comes, of the same version ---- */

static void a_changed_file_gets_its_rest(void **state)
{
	struct fixture *x = *state;

	open_hsm(x);
	write_user(x, "big", "mine", 0);
	assert_int_equal(fill(x, "big", 2 << 20, 10), 0);
	write_file(x->origin, "big", BIG_BYTES, 77);
	assert_int_equal(fill(x, "big", 1 << 20, 10), -EIO);
	assert_text(x, "big", "mine", 0);
	close_hsm(x);
	open_hsm(x);
	assert_int_equal(fill(x, "big", 1 << 20, 10), -EIO);
	assert_text(x, "big", "mine", 0);
}

/* ---- after a power cut ---- */

static void what_was_synced_stays(void **state)
{
	struct fixture *x = *state;
	auto_fd int fd = -1;

	open_hsm(x);
	assert_int_equal(fill(x, "small", 0, 0), 0);
	write_user(x, "small", "mine", 1);
	write_user(x, "big", "mine", 65536);
	fd = open_in(x, "big", O_RDONLY);
	assert_int_equal(hsm_fd_sync(x->h, fd, false), 0);
	assert_int_equal(fill(x, "big", 1 << 20, 10), 0);
	close_hsm(x);
	lose_epochs(x);
	open_hsm(x);
	assert_int_equal(fill(x, "small", 0, 0), 0);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	assert_text(x, "small", "mine", 1);
	memcpy(x->big + 65536, "mine", 4);
	assert_big_up_to(x, BIG_BYTES);
}

static void kill_after_sync(struct fixture *x)
{
	auto_fd int fd = -1;

	open_hsm(x);
	fd = open_in(x, "big", O_RDWR);
	write_user(x, "big", "mine", 65536);
	assert_int_equal(hsm_fd_sync(x->h, fd, true), 0);
}

/* No orderly end, nothing but what fsync wrote. */
static void a_sync_is_enough(void **state)
{
	struct fixture *x = *state;

	killed(x, kill_after_sync);
	lose_epochs(x);
	open_hsm(x);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	assert_text(x, "big", "mine", 65536);
}

/* "Complete" that is not believed must not come back with the stamp of a part. */
static void a_lost_claim_stays_lost(void **state)
{
	struct fixture *x = *state;
	auto_fd int fd = -1;
	struct hsm_file *f;

	open_hsm(x);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	close_hsm(x);
	lose_epochs(x);
	open_hsm(x);
	assert_int_equal(fill(x, "big", 0, 1), 0);
	close_hsm(x);
	open_hsm(x);
	fd = open_in(x, "big", O_RDONLY);
	assert_int_equal(hsm_file_get(x->h, fd, &f), 1);
	assert_true(hsm_file_present(f, 0, 1));
	assert_false(hsm_file_present(f, 1 << 20, 1));
	hsm_file_put(f);
}

/* ---- cuts ---- */

static struct fixture *fresh(void **state)
{
	teardown(state);
	setup(state);
	return *state;
}

static int truncate_big(struct fixture *x, uint64_t size)
{
	auto_fd int fd = open_in(x, "big", O_RDWR);
	struct hsm_file *f;
	int r = hsm_file_get(x->h, fd, &f);

	if (r <= 0)
		return r ? r : ftruncate(fd, (off_t)size);
	r = hsm_file_truncate(f, size);
	hsm_file_put(f);
	return r;
}

static void what_was_cut_is_zeros(void **state)
{
	struct fixture *x = *state;
	struct hsm_state disk;

	open_hsm(x);
	assert_int_equal(fill(x, "big", 1 << 20, 10), 0);
	assert_int_equal(truncate_big(x, 100000), 0);
	assert_int_equal(truncate_big(x, BIG_BYTES), 0);
	load_state(x, "big", &disk);
	assert_int_equal(disk.fill_end, 100000);
	assert_true(disk.flags & HSM_S_MODIFIED);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	assert_big_up_to(x, 100000);
	close_hsm(x);
	open_hsm(x);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	assert_big_up_to(x, 100000);
}

static void cut_to_nothing_is_complete(void **state)
{
	struct fixture *x = *state;
	struct hsm_state disk;

	open_hsm(x);
	assert_int_equal(fill(x, "big", 1 << 20, 10), 0);
	assert_int_equal(truncate_big(x, 0), 0);
	assert_int_equal(truncate_big(x, 70000), 0);
	close_hsm(x);
	lose_epochs(x);
	open_hsm(x);
	load_state(x, "big", &disk);
	assert_true(disk.flags & HSM_S_COMPLETE);
	assert_int_equal(fill(x, "big", 0, 0), 0);
	assert_int_equal(hsm_stats_get(hsm_get_stats(x->h), HSM_C_BYTES_FETCHED), 0);
	assert_big_up_to(x, 0);
}

static void ignore_done(void *arg, int err)
{
	(void)arg;
	(void)err;
}

/* Starts to fetch all of it, and returns at once. */
static void start_fill(struct fixture *x)
{
	auto_fd int fd = open_in(x, "big", O_RDONLY);
	struct hsm_file *f;

	if (hsm_file_get(x->h, fd, &f) <= 0)
		return;
	hsm_file_fill(f, 0, 0, HSM_FILL_ALL, ignore_done, NULL);
	hsm_file_put(f);
}

static _Atomic bool over;

static void *grow_again_and_again(void *arg)
{
	while (!over)
		truncate_big(arg, BIG_BYTES);
	return NULL;
}

/* Whenever the cut comes, no byte of the fill lands behind it. */
static void cuts_race_with_fills(void **state)
{
	struct fixture *x = *state;

	for (unsigned int i = 0; i < 40; i++) {
		uint64_t size = 100000 + i * 70001 % 900000;
		pthread_t thread;

		x->opt.chunk_bytes = 4096;
		open_hsm(x);
		start_fill(x);
		over = false;
		pthread_create(&thread, NULL, grow_again_and_again, x);
		usleep(i * 100);
		assert_int_equal(truncate_big(x, size), 0);
		assert_int_equal(fill(x, "big", 0, 0), 0);
		over = true;
		pthread_join(thread, NULL);
		assert_int_equal(truncate_big(x, BIG_BYTES), 0);
		assert_big_up_to(x, size);
		x = fresh(state);
	}
}

static void prepare_part(struct fixture *x)
{
	open_hsm(x);
	fill(x, "big", 65536, 131072);
}

static void cut_and_grow(struct fixture *x)
{
	truncate_big(x, 100000);
	truncate_big(x, BIG_BYTES);
}

/* Before the cut, or after it: never full size with a part of it missing. */
static void a_kill_at_any_step_of_a_cut(void **state)
{
	struct fixture *x = *state;
	bool more;
	int n = 0;

	do {
		more = killed_at(x, ++n, prepare_part, cut_and_grow);
		open_hsm(x);
		assert_int_equal(fill(x, "big", 0, 0), 0);
		assert_big_up_to(x, n == 1 ? BIG_BYTES : 100000);
		assert_int_equal(truncate_big(x, BIG_BYTES), 0);
		assert_big_up_to(x, n == 1 ? BIG_BYTES : 100000);
		x = fresh(state);
	} while (more);
	assert_true(n > 3);
}

struct cuts {
	_Atomic uint64_t next, done; /* the cut under way, the last one finished */
};

static struct cuts *cuts;

static void *shrink(void *arg)
{
	struct fixture *x = arg;

	for (uint64_t size = BIG_BYTES; size > 200000; size -= 9973) {
		cuts->next = size;
		truncate_big(x, size);
		cuts->done = size;
		truncate_big(x, BIG_BYTES);
	}
	return NULL;
}

static void kill_in_a_cut(struct fixture *x)
{
	struct timespec pause = {.tv_nsec = 500000 + rand() % 20000000};
	pthread_t thread;

	x->opt.bandwidth = 2 << 20; /* never complete, or cuts would no longer count */
	open_hsm(x);
	pthread_create(&thread, NULL, shrink, x);
	start_fill(x);
	nanosleep(&pause, NULL);
}

/* After kill -9 at any point the file was cut to one of the two sizes, also if it has grown. */
static void a_kill_in_a_cut(void **state)
{
	struct fixture *x = *state;
	struct hsm_state disk;

	cuts = mmap(
		NULL, sizeof(*cuts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 30; i++) {
		*cuts = (struct cuts){BIG_BYTES, BIG_BYTES};
		srand((unsigned int)i);
		killed(x, kill_in_a_cut);
		open_hsm(x);
		truncate_big(x, BIG_BYTES);
		load_state(x, "big", &disk);
		if (disk.fill_end != cuts->next && disk.fill_end != cuts->done)
			fail_msg("fill_end %llu, cuts %llu %llu",
				(unsigned long long)disk.fill_end,
				(unsigned long long)cuts->next, (unsigned long long)cuts->done);
		assert_int_equal(fill(x, "big", 0, 0), 0);
		assert_big_up_to(x, disk.fill_end);
		x = fresh(state);
	}
	munmap(cuts, sizeof(*cuts));
}

/* ---- verify ---- */

static void count_report(void *arg, const char *path, const char *text)
{
	assert_string_equal(path, "big");
	assert_string_equal(text, "changed locally");
	++*(int *)arg;
}

static void verify_says_changed(void **state)
{
	struct hsm_verify_totals totals;
	struct fixture *x = *state;
	int reports = 0;

	open_hsm(x);
	assert_int_equal(fill(x, "small", 0, 0), 0);
	write_user(x, "big", "mine", 0);
	assert_int_equal(hsm_verify(x->h, "", count_report, &reports, &totals), 0);
	assert_int_equal(reports, 1);
	assert_int_equal(totals.changed, 1);
	assert_int_equal(totals.mismatches, 0);
	assert_int_equal(totals.files, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_mark_stays),
		TEST(the_mark_survives_a_kill),
		TEST(the_mark_races_with_objects),
		TEST(the_mark_is_not_overtaken),
		TEST(local_files_need_no_mark),
		TEST(a_full_table_does_not_matter),
		TEST(a_changed_file_gets_its_rest),
		TEST(what_was_synced_stays),
		TEST(a_sync_is_enough),
		TEST(a_lost_claim_stays_lost),
		TEST(what_was_cut_is_zeros),
		TEST(cut_to_nothing_is_complete),
		TEST(cuts_race_with_fills),
		TEST(a_kill_at_any_step_of_a_cut),
		TEST(a_kill_in_a_cut),
		TEST(verify_says_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
