/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A decorator that makes any origin slower: each request starts a fixed time later, and all
 * bytes of fetches share one bandwidth. A list waits in its caller; fetches wait in a queue (the latency is
 * the same for all, so the first in is the first due) that one thread forwards. The bandwidth
 * is kept in data(): holding a thread of the origin up there slows the origin down as a full
 * link would.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "hsm/err.h"
#include "hsm/origin.h"
#include "hsm/util.h"

#define BURST_NS \
	5000000ULL /* unused bandwidth that is kept: covers the clock and the scheduler being late */
#define SLICE_MIN    4096ULL
#define SLICE_MAX    (1ULL << 20)
#define SLICES_PER_S 1000

struct delayed {
	struct hsm_fetch inner; /* what the inner origin sees */
	struct hsm_fetch *outer;
	struct delay *delay;
	struct delayed *next;
	uint64_t due_ns;
};

struct delay {
	struct hsm_origin origin;
	struct hsm_origin *inner;
	uint64_t latency_ns, bytes_per_s; /* 0 = none */
	pthread_t thread;

	pthread_mutex_t lock; /* the rest; a leaf */
	pthread_cond_t change; /* queue, cancelled or stop changed */
	struct delayed *head, **tail;
	struct hsm_fetch *failed; /* no memory for a struct delayed */
	uint64_t link_free_ns; /* when the bytes let through so far have passed the link */
	bool cancelled, stop;
};

static struct delay *delay_of(struct hsm_origin *o)
{
	return hsm_container_of(o, struct delay, origin);
}

static int cancelled(void)
{
	return hsm_err(ECANCELED, "the origin is closing");
}

/* Sleeps until @due_ns; false if the origin is closing. Lock held. */
static bool sleep_until(struct delay *d, uint64_t due_ns)
{
	struct timespec ts = hsm_ns_to_timespec((int64_t)due_ns);

	while (!d->cancelled && hsm_now_ns() < due_ns)
		pthread_cond_clockwait(&d->change, &d->lock, CLOCK_MONOTONIC, &ts);
	return !d->cancelled;
}

/* ---- bandwidth ---- */

static int pass_link(struct delay *d, size_t bytes)
{
	uint64_t now = hsm_now_ns(), start, due;
	bool open;

	pthread_mutex_lock(&d->lock);
	start = HSM_MAX(d->link_free_ns, now - BURST_NS);
	due = start + (uint64_t)((double)bytes * 1e9 / (double)d->bytes_per_s);
	d->link_free_ns = due;
	open = sleep_until(d, due);
	pthread_mutex_unlock(&d->lock);
	return open ? 0 : cancelled();
}

static int delay_data(struct hsm_fetch *f, uint64_t offset, const void *bytes, size_t length)
{
	struct delayed *q = hsm_container_of(f, struct delayed, inner);
	uint64_t rate = q->delay->bytes_per_s;
	size_t slice =
		rate ? HSM_MIN(HSM_MAX(rate / SLICES_PER_S, SLICE_MIN), SLICE_MAX) : length;
	const char *p = bytes;
	int err = 0;

	while (length && !err) {
		size_t n = HSM_MIN(slice, length);

		if (rate)
			err = pass_link(q->delay, n);
		if (!err)
			err = q->outer->data(q->outer, offset, p, n);
		offset += n;
		p += n;
		length -= n;
	}
	return err;
}

/* ---- latency ---- */

static void delay_done(struct hsm_fetch *f, int err)
{
	struct delayed *q = hsm_container_of(f, struct delayed, inner);
	struct hsm_fetch *outer = q->outer;

	outer->mtime_ns = f->mtime_ns;
	__builtin_memcpy(outer->validator, f->validator, sizeof(outer->validator));
	free(q);
	outer->done(outer, err);
}

static void enqueue(struct delay *d, struct delayed *q)
{
	*d->tail = q;
	d->tail = &q->next;
}

static void delay_fetch(struct hsm_origin *o, struct hsm_fetch *f)
{
	struct delay *d = delay_of(o);
	struct delayed *q = malloc(sizeof(*q));

	if (q) {
		*q = (struct delayed){.inner = *f, .outer = f, .delay = d};
		q->inner.data = delay_data;
		q->inner.done = delay_done;
		q->inner.next = NULL;
		q->inner.priv = NULL;
		q->due_ns = hsm_now_ns() + d->latency_ns;
	}
	pthread_mutex_lock(&d->lock);
	if (q) {
		enqueue(d, q);
	} else {
		f->next = d->failed;
		d->failed = f;
	}
	pthread_cond_broadcast(&d->change);
	pthread_mutex_unlock(&d->lock);
}

/* Lock held; given up while done() is called. */
static void end_failed(struct delay *d)
{
	while (d->failed) {
		struct hsm_fetch *f = d->failed;

		d->failed = f->next;
		pthread_mutex_unlock(&d->lock);
		f->done(f, hsm_err(ENOMEM, "out of memory"));
		pthread_mutex_lock(&d->lock);
	}
}

/* Forwards the first fetch once it is due. Lock held; given up meanwhile. */
static void forward(struct delay *d)
{
	struct delayed *q = d->head;
	bool open = sleep_until(d, q->due_ns);

	d->head = q->next;
	if (!d->head)
		d->tail = &d->head;
	pthread_mutex_unlock(&d->lock);
	if (open)
		d->inner->ops->fetch(d->inner, &q->inner);
	else
		delay_done(&q->inner, cancelled());
	pthread_mutex_lock(&d->lock);
}

static void *delay_run(void *arg)
{
	struct delay *d = arg;

	/* The default slack of 50 us would be a third of a fast origin's latency. */
	prctl(PR_SET_TIMERSLACK, 1);
	pthread_mutex_lock(&d->lock);
	for (;;) {
		end_failed(d);
		if (d->head)
			forward(d);
		else if (d->stop)
			break;
		else if (!d->failed)
			pthread_cond_wait(&d->change, &d->lock);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

static int delay_call(struct delay *d)
{
	bool open;

	pthread_mutex_lock(&d->lock);
	open = sleep_until(d, hsm_now_ns() + d->latency_ns);
	pthread_mutex_unlock(&d->lock);
	return open ? 0 : cancelled();
}

static int delay_list(struct hsm_origin *o, const char *path, struct hsm_listing *ret)
{
	struct delay *d = delay_of(o);
	int err = delay_call(d);

	return err ? err : d->inner->ops->list(d->inner, path, ret);
}

static int delay_ask(struct hsm_origin *o, const char *path, struct hsm_listing *l)
{
	struct delay *d = delay_of(o);
	int err = delay_call(d);

	return err ? err : d->inner->ops->ask(d->inner, path, l);
}

static int delay_probe(struct hsm_origin *o)
{
	struct delay *d = delay_of(o);
	int err = delay_call(d);

	return err ? err : d->inner->ops->probe(d->inner);
}

/* ---- life ---- */

static void raise_flags(struct delay *d, bool stop)
{
	pthread_mutex_lock(&d->lock);
	d->cancelled = true;
	d->stop = stop;
	pthread_cond_broadcast(&d->change);
	pthread_mutex_unlock(&d->lock);
}

static void delay_cancel(struct hsm_origin *o)
{
	struct delay *d = delay_of(o);

	raise_flags(d, false);
	d->inner->ops->cancel(d->inner);
}

static void delay_close(struct hsm_origin *o)
{
	struct delay *d = delay_of(o);

	raise_flags(d, true);
	pthread_join(d->thread, NULL);
	d->inner->ops->close(d->inner);
	pthread_mutex_destroy(&d->lock);
	pthread_cond_destroy(&d->change);
	free(d);
}

static const struct hsm_origin_ops delay_ops = {
	.scheme = "delay",
	.probe = delay_probe,
	.list = delay_list,
	.ask = delay_ask,
	.fetch = delay_fetch,
	.cancel = delay_cancel,
	.close = delay_close,
};

int hsm_origin_delay_new(struct hsm_origin *inner, uint64_t latency_ns, uint64_t bytes_per_s,
	struct hsm_origin **ret_origin)
{
	struct delay *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->origin = (struct hsm_origin){.ops = &delay_ops, .stats = inner->stats};
	d->inner = inner;
	d->latency_ns = latency_ns;
	d->bytes_per_s = bytes_per_s;
	d->tail = &d->head;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->change, NULL);
	err = -pthread_create(&d->thread, NULL, delay_run, d);
	if (err) {
		pthread_mutex_destroy(&d->lock);
		pthread_cond_destroy(&d->change);
		free(d);
		return err;
	}
	*ret_origin = &d->origin;
	return 0;
}
