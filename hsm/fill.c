/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Readers that wait for chunks: joining what is under way, being answered once. */
#include <errno.h>
#include <string.h>

#include "hsm/core.h"
#include "hsm/util.h"

static void to_chunks(const struct hsm_file *f, uint64_t offset, uint64_t length,
	uint32_t *ret_first, uint32_t *ret_end)
{
	uint64_t end = length && length < f->size - HSM_MIN(offset, f->size) ? offset + length
									     : f->size;

	if (offset >= f->size) {
		*ret_first = *ret_end = f->count;
		return;
	}
	*ret_first = (uint32_t)(offset >> f->shift);
	*ret_end = hsm_chunkmap_count(end, f->shift);
}

static bool all_present(struct hsm_file *f, uint32_t first, uint32_t end)
{
	return f->complete || hsm_chunkmap_all(f->map, first, end);
}

bool hsm_file_present(struct hsm_file *f, uint64_t offset, uint64_t length)
{
	uint32_t first, end;

	to_chunks(f, offset, length, &first, &end);
	return all_present(f, first, end);
}

uint64_t hsm_file_prefix(struct hsm_file *f, uint64_t *ret_chunk)
{
	uint32_t first = f->complete ? f->count : hsm_chunkmap_find(f->map, 0, f->count, false);

	*ret_chunk = 1ull << f->shift;
	return HSM_MIN((uint64_t)first << f->shift, f->size);
}

struct hsm_waiter *hsm_waiters_take(struct hsm_file *f, uint32_t first, uint32_t end, int err)
{
	struct hsm_waiter *taken = NULL, **last = &taken, **p = &f->waiters;

	while (*p) {
		struct hsm_waiter *w = *p;
		bool touched = w->first < end && w->end > first;

		if (!touched || (!err && !hsm_chunkmap_all(f->map, w->first, w->end))) {
			p = &w->next;
			continue;
		}
		w->err = hsm_chunkmap_all(f->map, w->first, w->end) ? 0 : err;
		if (w->err)
			hsm_stats_add(f->h->stats, HSM_C_FILL_ERRORS, 1);
		*p = w->next;
		w->next = NULL;
		*last = w;
		last = &w->next;
	}
	return taken;
}

void hsm_waiters_call(struct hsm_waiter *list)
{
	while (list) {
		struct hsm_waiter *w = list;

		list = w->next;
		w->done(w->arg, w->err);
		free(w);
	}
}

/* f->lock held. */
static void enqueue(struct hsm_file *f, struct hsm_waiter *w, enum hsm_fill_why why)
{
	struct hsm_waiter **p = &f->waiters;
	uint32_t ahead = w->end;

	while (*p)
		p = &(*p)->next;
	*p = w;
	if (why == HSM_FILL_READ)
		ahead = hsm_stream_miss(f, w->first, w->end);
	hsm_request_range(f, w->first, ahead, f->h->opt.connections);
}

int hsm_file_fill(struct hsm_file *f, uint64_t offset, uint64_t length, enum hsm_fill_why why,
	hsm_done_fn done, void *arg)
{
	struct hsm *h = f->h;
	struct hsm_waiter *w;
	uint32_t first, end;

	to_chunks(f, offset, length, &first, &end);
	hsm_stats_add(h->stats, HSM_C_BYTES_REQUESTED, length);
	if (all_present(f, first, end)) {
		hsm_stats_add(h->stats, HSM_C_FILL_HITS, 1);
		if (why == HSM_FILL_READ)
			hsm_stream_hit(f, first, end);
		return 1;
	}
	w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct hsm_waiter){.first = first, .end = end, .done = done, .arg = arg};
	pthread_mutex_lock(&f->lock);
	if (h->closing || all_present(f, first, end)) {
		pthread_mutex_unlock(&f->lock);
		free(w);
		return all_present(f, first, end) ? 1 : -ECANCELED;
	}
	enqueue(f, w, why);
	pthread_mutex_unlock(&f->lock);
	hsm_stats_add(h->stats, HSM_C_FILL_WAITS, 1);
	return 0;
}

struct sync_wait {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool finished;
	int err;
};

static void sync_done(void *arg, int err)
{
	struct sync_wait *s = arg;

	pthread_mutex_lock(&s->lock);
	s->finished = true;
	s->err = err;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

static int sync_wait_for(struct sync_wait *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->finished)
		pthread_cond_wait(&s->cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return s->err;
}

int hsm_file_fill_wait(
	struct hsm_file *f, uint64_t offset, uint64_t length, enum hsm_fill_why why)
{
	struct sync_wait s = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
	int r = hsm_file_fill(f, offset, length, why, sync_done, &s);

	return r ? HSM_MIN(r, 0) : sync_wait_for(&s);
}

int hsm_dir_names_wait(struct hsm *h, int dirfd)
{
	struct sync_wait s = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
	int r = hsm_dir_join(h, dirfd, true, sync_done, &s);

	return r ? HSM_MIN(r, 0) : sync_wait_for(&s);
}

int hsm_dir_fill_wait(struct hsm *h, int dirfd)
{
	struct sync_wait s = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
	int r = hsm_dir_fill(h, dirfd, sync_done, &s);

	return r ? HSM_MIN(r, 0) : sync_wait_for(&s);
}

/* One hsm_fd_fill() under way: keeps the file active until the range is there. */
struct fd_fill {
	struct hsm_file *file;
	hsm_done_fn done;
	void *arg;
};

static void fd_fill_done(void *arg, int err)
{
	struct fd_fill fill = *(struct fd_fill *)arg;

	free(arg);
	fill.done(fill.arg, err);
	hsm_file_put(fill.file);
}

static int fill_active(struct hsm_file *f, uint64_t offset, uint64_t length,
	enum hsm_fill_why why, hsm_done_fn done, void *arg)
{
	struct fd_fill *fill;
	int r;

	if (f->complete) {
		hsm_file_put(f);
		return 2;
	}
	if (hsm_file_present(f, offset, length)) {
		r = hsm_file_fill(f, offset, length, why, NULL, NULL);
		hsm_file_put(f);
		return r;
	}
	fill = malloc(sizeof(*fill));
	if (!fill) {
		hsm_file_put(f);
		return -ENOMEM;
	}
	*fill = (struct fd_fill){f, done, arg};
	r = hsm_file_fill(f, offset, length, why, fd_fill_done, fill);
	if (r) {
		free(fill);
		hsm_file_put(f);
	}
	return r;
}

static int pend(struct hsm *h, const struct hsm_pending *request)
{
	struct hsm_pending *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	*p = *request;
	pthread_mutex_lock(&h->pending_lock);
	if (h->closing) {
		pthread_mutex_unlock(&h->pending_lock);
		free(p);
		return -ECANCELED;
	}
	*h->pending_tail = p;
	h->pending_tail = &p->next;
	pthread_mutex_unlock(&h->pending_lock);
	return 0;
}

static int fd_fill_once(struct hsm *h, const struct hsm_pending *q)
{
	struct hsm_file *f;
	int r = hsm_file_get(h, q->fd, &f);

	if (r <= 0)
		return r ? r : 2;
	return fill_active(f, q->offset, q->length, q->why, q->done, q->arg);
}

int hsm_fd_fill(struct hsm *h, int fd, uint64_t offset, uint64_t length, enum hsm_fill_why why,
	hsm_done_fn done, void *arg)
{
	struct hsm_pending q = {NULL, fd, offset, length, why, done, arg};
	int r = fd_fill_once(h, &q);

	return r == -EAGAIN ? pend(h, &q) : r;
}

static struct hsm_pending *pop_pending(struct hsm *h)
{
	struct hsm_pending *p;

	pthread_mutex_lock(&h->pending_lock);
	p = h->pending_head;
	if (p) {
		h->pending_head = p->next;
		if (!h->pending_head)
			h->pending_tail = &h->pending_head;
	}
	pthread_mutex_unlock(&h->pending_lock);
	return p;
}

static void push_back(struct hsm *h, struct hsm_pending *p)
{
	pthread_mutex_lock(&h->pending_lock);
	p->next = h->pending_head;
	if (!h->pending_head)
		h->pending_tail = &p->next;
	h->pending_head = p;
	pthread_mutex_unlock(&h->pending_lock);
}

void hsm_pending_retry(struct hsm *h)
{
	struct hsm_pending *p;
	int r;

	/* Unlocked peek: the common case is that nobody waits. */
	if (!__atomic_load_n(&h->pending_head, __ATOMIC_RELAXED))
		return;
	p = pop_pending(h);
	if (!p)
		return;
	r = fd_fill_once(h, p);
	if (r == -EAGAIN) {
		push_back(h, p);
		return;
	}
	if (r)
		p->done(p->arg, HSM_MIN(r, 0));
	free(p);
}

void hsm_pending_cancel(struct hsm *h)
{
	struct hsm_pending *p;

	while ((p = pop_pending(h))) {
		p->done(p->arg, -ECANCELED);
		free(p);
	}
}
