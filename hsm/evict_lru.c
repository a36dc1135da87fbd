/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which files are given back first, and when by itself. A walk over the tree keeps those used least
 * recently, as many as the wanted bytes need and a fixed number at most; when they did not
 * suffice (in use by now), another walk starts behind them.
 *
 * "Used" is the later of atime and ctime; a file with an active object is used now. The atime is what
 * the mount of the cache keeps: with relatime one change a day after the first read, with noatime
 * none, so that the order is that of filling.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "hsm/evict.h"
#include "hsm/util.h"

#define CANDIDATES_MAX (1u << 17)
#define TICK_NS	       HSM_NSEC
/* After a run that could not reach the low mark. */
#define PAUSE_NS (10 * HSM_NSEC)

struct candidate {
	int64_t used_ns;
	uint64_t ino; /* tells apart what was used at the same time */
	uint64_t bytes;
	struct hsm_handle handle;
};

struct lru {
	struct hsm_evict run;
	struct candidate *heap; /* the one used last on top */
	uint32_t count, room;
	uint64_t bytes; /* of those in .heap */
	uint64_t wanted; /* bytes, of this walk */
	uint64_t held; /* bytes of all that could go, as this walk found them */
	struct candidate after; /* only those used later than this one */
	bool again; /* a further walk: what cannot go was counted */
};

/* ---- the heap ---- */

static bool is_later(const struct candidate *a, const struct candidate *b)
{
	return a->used_ns != b->used_ns ? a->used_ns > b->used_ns : a->ino > b->ino;
}

static void swap(struct candidate *a, struct candidate *b)
{
	struct candidate c = *a;

	*a = *b;
	*b = c;
}

static void sift_down(struct candidate *heap, uint32_t count)
{
	uint32_t at = 0;

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= count)
			return;
		if (child + 1 < count && is_later(&heap[child + 1], &heap[child]))
			child++;
		if (!is_later(&heap[child], &heap[at]))
			return;
		swap(&heap[child], &heap[at]);
		at = child;
	}
}

static void pop(struct lru *l)
{
	l->bytes -= l->heap[0].bytes;
	l->heap[0] = l->heap[--l->count];
	sift_down(l->heap, l->count);
}

static int grow(struct lru *l)
{
	uint32_t room = l->room ? 2 * l->room : 1024;
	struct candidate *heap = realloc(l->heap, room * sizeof(*heap));

	if (!heap)
		return -ENOMEM;
	l->heap = heap;
	l->room = room;
	return 0;
}

static int push(struct lru *l, const struct candidate *c)
{
	uint32_t at = l->count;

	if (at == l->room && grow(l))
		return -ENOMEM;
	l->heap[at] = *c;
	l->count++;
	l->bytes += c->bytes;
	for (; at && is_later(&l->heap[at], &l->heap[(at - 1) / 2]); at = (at - 1) / 2)
		swap(&l->heap[at], &l->heap[(at - 1) / 2]);
	while (l->count > CANDIDATES_MAX || l->bytes - l->heap[0].bytes >= l->wanted)
		pop(l);
	return 0;
}

/* ---- the walk ---- */

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return hsm_timespec_to_ns(now);
}

/* The atime of a stub is the origin's mtime, which may be of a clock that is ahead. */
static int64_t used_ns(struct hsm *h, const struct stat *st)
{
	int64_t atime_ns = hsm_timespec_to_ns(st->st_atim), now = now_ns();

	if (hsm_file_is_active(h, st->st_ino))
		return now;
	return HSM_MAX(hsm_timespec_to_ns(st->st_ctim), atime_ns > now ? 0 : atime_ns);
}

static void count_kept(struct lru *l, int verdict)
{
	if (l->again)
		return;
	l->run.totals.skipped_modified += verdict == HSM_EVICT_MODIFIED;
	l->run.totals.skipped_local += verdict == HSM_EVICT_LOCAL;
}

/* Blocks of long xattrs do not go with the data. */
static uint64_t data_bytes(const struct stat *st)
{
	uint64_t blocks = (uint64_t)st->st_blocks * 512;

	return HSM_MIN(blocks, HSM_ALIGN_UP((uint64_t)st->st_size, (uint64_t)st->st_blksize));
}

static int visit(void *arg, int fd, const char *path)
{
	struct lru *l = arg;
	struct hsm *h = l->run.h;
	struct candidate c;
	struct hsm_state state;
	struct stat st;
	int r = hsm_evict_check(h, fd, &st, &state);

	(void)path;
	if (h->closing)
		return -ECANCELED;
	count_kept(l, r);
	if (r || hsm_handle_of(fd, &c.handle))
		return 0;
	c.used_ns = used_ns(h, &st);
	c.ino = st.st_ino;
	c.bytes = data_bytes(&st);
	l->held += c.bytes;
	return l->wanted && is_later(&c, &l->after) ? push(l, &c) : 0;
}

static int walk(struct lru *l)
{
	int fd = openat(l->run.h->cache.data_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	l->count = 0;
	l->bytes = l->held = 0;
	return fd < 0 ? -errno : hsm_walk_files(fd, "", visit, l);
}

static int by_use(const void *a, const void *b)
{
	return is_later(a, b) ? 1 : -1;
}

/* Evicts what the walk has found, oldest first, until @bytes are free in all. */
static void evict_found(struct lru *l, uint64_t bytes)
{
	char name[32];

	qsort(l->heap, l->count, sizeof(*l->heap), by_use);
	for (uint32_t i = 0; i < l->count; i++) {
		if (l->run.totals.bytes >= bytes || l->run.h->closing)
			return;
		snprintf(name, sizeof(name), "inode %llu", (unsigned long long)l->heap[i].ino);
		hsm_evict_inode(&l->run, &l->heap[i].handle, name);
	}
}

static int free_bytes(struct lru *l, uint64_t bytes)
{
	int r = 0;

	l->after = (struct candidate){.used_ns = INT64_MIN};
	while (!r && l->run.totals.bytes < bytes) {
		l->wanted = bytes - l->run.totals.bytes;
		r = walk(l);
		if (r || !l->count)
			break;
		evict_found(l, bytes);
		l->after = l->heap[l->count - 1];
		l->again = true;
	}
	return r;
}

int hsm_evict_to_free(struct hsm *h, uint64_t bytes, hsm_report_fn report, void *arg,
	struct hsm_evict_totals *ret_totals)
{
	struct lru l = {0};
	int r = hsm_evict_begin(h, report, arg, &l.run);

	if (r)
		return r;
	r = free_bytes(&l, bytes);
	hsm_evict_end(&l.run);
	free(l.heap);
	*ret_totals = l.run.totals;
	if (!r && l.run.totals.bytes < bytes)
		r = hsm_err(ENOSPC, "only %llu of %llu bytes could be given back",
			(unsigned long long)l.run.totals.bytes, (unsigned long long)bytes);
	return r;
}

/* ---- watermarks ---- */

struct hsm_evictor {
	struct hsm *h;
	pthread_t thread;
	pthread_mutex_t lock; /* .runs */
	pthread_cond_t cond;
	bool runs;
	/* Of the thread: what the last walk has found, and the counters at that time. */
	uint64_t held, fetched, evicted;
};

static void log_report(void *arg, const char *path, const char *text)
{
	(void)arg;
	hsm_log(HSM_LOG_WARN, "eviction: %s: %s", path, text);
}

static void measure(struct hsm_evictor *e)
{
	struct lru l = {.run = {.h = e->h, .report = log_report}};

	e->fetched = hsm_stats_get(e->h->stats, HSM_C_BYTES_FETCHED);
	e->evicted = hsm_stats_get(e->h->stats, HSM_C_BYTES_EVICTED);
	if (!walk(&l))
		e->held = l.held;
}

/* More than there is: what users delete or cut is only seen by the next walk. */
static uint64_t estimate(const struct hsm_evictor *e)
{
	uint64_t more = hsm_stats_get(e->h->stats, HSM_C_BYTES_FETCHED) - e->fetched;
	uint64_t less = hsm_stats_get(e->h->stats, HSM_C_BYTES_EVICTED) - e->evicted;

	return e->held + more - HSM_MIN(less, e->held + more);
}

static uint64_t above_size(struct hsm_evictor *e)
{
	const struct hsm_options *opt = &e->h->opt;

	if (estimate(e) <= opt->evict_high.value)
		return 0;
	measure(e);
	return e->held > opt->evict_high.value ? e->held - opt->evict_low.value : 0;
}

/* As df(1) counts: what only root could use is neither used nor free. */
static uint64_t above_percent(struct hsm_evictor *e)
{
	const struct hsm_options *opt = &e->h->opt;
	struct statvfs st;
	double used, all;

	if (fstatvfs(e->h->cache.data_fd, &st))
		return 0;
	used = (double)(st.f_blocks - st.f_bfree);
	all = used + (double)st.f_bavail;
	if (used * 10000 <= all * (double)opt->evict_high.value)
		return 0;
	return (uint64_t)((used - all * (double)opt->evict_low.value / 10000) *
			  (double)st.f_frsize) +
	       1;
}

/* Waits; false: the thread is to end. */
static bool evictor_tick(struct hsm_evictor *e, uint64_t ns)
{
	struct timespec until;
	bool runs;

	clock_gettime(CLOCK_REALTIME, &until);
	until = hsm_ns_to_timespec(hsm_timespec_to_ns(until) + (int64_t)ns);
	pthread_mutex_lock(&e->lock);
	if (e->runs)
		pthread_cond_timedwait(&e->cond, &e->lock, &until);
	runs = e->runs;
	pthread_mutex_unlock(&e->lock);
	return runs;
}

/* Returns how long to wait now. */
static uint64_t evict_above(struct hsm_evictor *e)
{
	uint64_t began_ns = hsm_now_ns(), above;
	struct hsm_evict_totals t = {0};
	int r;

	above = e->h->opt.evict_high.percent ? above_percent(e) : above_size(e);
	if (!above)
		return TICK_NS;
	r = hsm_evict_to_free(e->h, above, log_report, NULL, &t);
	hsm_log(HSM_LOG_INFO, "eviction: %llu files, %llu bytes", (unsigned long long)t.files,
		(unsigned long long)t.bytes);
	if (!r || e->h->closing)
		return TICK_NS;
	hsm_log(HSM_LOG_WARN, "eviction: the low mark is not reached: %s", hsm_err_text());
	return HSM_MAX(PAUSE_NS, 10 * (hsm_now_ns() - began_ns));
}

static void *evictor(void *arg)
{
	struct hsm_evictor *e = arg;
	uint64_t wait_ns = 0;

	if (!e->h->opt.evict_high.percent)
		measure(e);
	while (evictor_tick(e, wait_ns))
		wait_ns = evict_above(e);
	return NULL;
}

int hsm_evictor_start(struct hsm *h)
{
	struct hsm_evictor *e;
	int r;

	if (!h->opt.evict_high.value)
		return 0;
	if (!h->fe.file_evict)
		return hsm_err(EOPNOTSUPP,
			"%s: this front-end cannot evict yet; leave out --evict-high",
			h->fe.name);
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->h = h;
	e->runs = true;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->cond, NULL);
	r = pthread_create(&e->thread, NULL, evictor, e);
	if (r) {
		free(e);
		return hsm_err(r, "starting threads: %s", strerror(r));
	}
	h->evictor = e;
	return 0;
}

void hsm_evictor_stop(struct hsm *h)
{
	struct hsm_evictor *e = h->evictor;

	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->runs = false;
	pthread_cond_signal(&e->cond);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	pthread_mutex_destroy(&e->lock);
	pthread_cond_destroy(&e->cond);
	free(e);
	h->evictor = NULL;
}
