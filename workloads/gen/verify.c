/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tree against a list of sums: two threads take files off the list in its order. */
#include "workloads/gen/gen.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS	   2
#define STEP_BYTES (1u << 20)
#define SHOWN_MAX  5

struct verify {
	const struct gen_sums *sums;
	const char *wanted; /* a flag per line */
	int tree;
	pthread_mutex_t lock; /* next, mismatches, stderr */
	size_t next;
	size_t mismatches;
};

/* The index of a wanted line nobody has taken, or the count. */
static size_t take_next(struct verify *v)
{
	size_t i;

	pthread_mutex_lock(&v->lock);
	while (v->next < v->sums->count && !v->wanted[v->next])
		v->next++;
	i = v->next;
	if (i < v->sums->count)
		v->next++;
	pthread_mutex_unlock(&v->lock);
	return i;
}

static void report(struct verify *v, const struct gen_sum *sum, const char *what)
{
	pthread_mutex_lock(&v->lock);
	if (v->mismatches++ < SHOWN_MAX)
		fprintf(stderr, "hsmgen: %s: %s\n", sum->path, what);
	pthread_mutex_unlock(&v->lock);
}

/* 0 or -errno of read(2). */
static int hash_file(int fd, char *step, uint64_t *ret_hash, uint64_t *ret_bytes)
{
	XXH64_state_t state;
	uint64_t bytes = 0;
	ssize_t n;

	XXH64_reset(&state, 0);
	while ((n = read(fd, step, STEP_BYTES)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		XXH64_update(&state, step, (size_t)n);
		bytes += (uint64_t)n;
	}
	*ret_hash = XXH64_digest(&state);
	*ret_bytes = bytes;
	return 0;
}

static void check_open(struct verify *v, const struct gen_sum *sum, int fd, char *step)
{
	struct stat st;
	uint64_t hash = 0, bytes = 0;
	char what[160];
	int err = hash_file(fd, step, &hash, &bytes);

	if (!err && fstat(fd, &st))
		err = -errno;
	if (err)
		snprintf(what, sizeof(what), "read error: %s", strerror(-err));
	else if ((uint64_t)st.st_size != sum->size_bytes || bytes != sum->size_bytes)
		snprintf(what, sizeof(what),
			"size: stat %jd, read %" PRIu64 ", expected %" PRIu64 " bytes",
			(intmax_t)st.st_size, bytes, sum->size_bytes);
	else if (hash != sum->hash)
		snprintf(what, sizeof(what),
			"content: xxh64 %016" PRIx64 ", expected %016" PRIx64, hash, sum->hash);
	else
		return;
	report(v, sum, what);
}

/* NULL if @sum's path is a regular file; never opens what could block, such as a fifo. */
static const char *look(const struct verify *v, const struct gen_sum *sum)
{
	struct stat st;

	if (fstatat(v->tree, sum->path, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? "missing" : strerror(errno);
	return S_ISREG(st.st_mode) ? NULL : "not a regular file";
}

static void check(struct verify *v, const struct gen_sum *sum, char *step)
{
	const char *wrong = look(v, sum);
	int fd;

	if (wrong) {
		report(v, sum, wrong);
		return;
	}
	fd = openat(v->tree, sum->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		report(v, sum, strerror(errno));
		return;
	}
	check_open(v, sum, fd, step);
	close(fd);
}

static void *run(void *arg)
{
	struct verify *v = arg;
	char *step = malloc(STEP_BYTES);
	size_t i;

	if (!step)
		return v;
	while ((i = take_next(v)) < v->sums->count)
		check(v, &v->sums->item[i], step);
	free(step);
	return NULL;
}

static int run_threads(struct verify *v)
{
	pthread_t thread[THREADS];
	int started = 0, err = 0;

	while (started < THREADS && !err) {
		err = -pthread_create(&thread[started], NULL, run, v);
		started += !err;
	}
	for (int i = 0; i < started; i++) {
		void *failed;

		pthread_join(thread[i], &failed);
		if (failed)
			err = -ENOMEM;
	}
	return err ? gen_fail(err, "verify") : 0;
}

/* Marks what @glob matches; a pattern without any match would verify nothing, silently. */
static int select_glob(const struct gen_sums *sums, const char *glob, char *wanted)
{
	bool any = false;

	for (size_t i = 0; i < sums->count; i++)
		if (!fnmatch(glob, sums->item[i].path, 0))
			wanted[i] = any = true;
	return any ? 0 : gen_fail(-GEN_USAGE, "no file in the list matches '%s'", glob);
}

static int verify_selected(const struct gen_sums *sums, const char *tree, const char *wanted)
{
	struct verify v = {.sums = sums, .wanted = wanted, .lock = PTHREAD_MUTEX_INITIALIZER};
	int err;

	v.tree = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v.tree < 0)
		return gen_fail(-errno, "open %s", tree);
	err = run_threads(&v);
	close(v.tree);
	if (!err && v.mismatches)
		err = gen_fail(-GEN_DIFFERS, "%zu of the files in %s differ from the origin",
			v.mismatches, tree);
	return err;
}

int gen_verify(const char *sums_file, const char *tree, char *const *globs, int count)
{
	struct gen_sums sums = {0};
	char *wanted = NULL;
	int err = gen_sums_read(&sums, sums_file);

	if (!err) {
		wanted = malloc(sums.count);
		if (wanted)
			memset(wanted, count == 0, sums.count);
		else
			err = gen_fail(-ENOMEM, "verify");
	}
	for (int i = 0; i < count && !err; i++)
		err = select_glob(&sums, globs[i], wanted);
	if (!err)
		err = verify_selected(&sums, tree, wanted);
	free(wanted);
	gen_sums_release(&sums);
	return err;
}
