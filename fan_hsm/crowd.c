/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/crowd.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "hsm/util.h"

/*
 * Fewer than CROWD are answered at once. A round wakes all who wait, for about 2 us of processor
 * time each: as long as it takes is left to others between two rounds.
 */
#define CROWD	      128
#define PAUSE_NS      4000ull /* for each that waits */
#define PAUSE_MOST_NS (50 * 1000 * 1000ull)

struct deferred {
	struct fan_hsm_event *event;
	int err;
	bool ours;
};

struct list {
	struct deferred *item;
	size_t count, room;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* all of these */
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static struct list gathered;
static unsigned int waiting; /* as of the last event that came */
static bool running;

/* Events of the last read: those still in the kernel's queue wait with the others. */
static _Atomic unsigned int batch;

/* All answers first: whoever they wake finds nothing more to wait for behind them. */
static void release(struct list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		struct deferred *d = &l->item[i];
		int fd = fan_hsm_event_fd(d->event);

		d->ours = fan_hsm_event_answer(d->event, d->err);
		d->err = fd;
	}
	for (size_t i = 0; i < l->count; i++)
		if (l->item[i].ours)
			fan_hsm_event_end(l->item[i].err);
	l->count = 0;
}

static void pause_for(unsigned int others)
{
	uint64_t ns = HSM_MIN(others * PAUSE_NS, PAUSE_MOST_NS);

	nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

void fan_hsm_crowd_rush(void)
{
	struct sched_param realtime = {.sched_priority = 1};

	pthread_setschedparam(pthread_self(), SCHED_FIFO, &realtime);
}

static void *crowd_main(void *arg)
{
	struct list now = {0}, swap;
	unsigned int others;

	(void)arg;
	fan_hsm_crowd_rush();
	for (;;) {
		pthread_mutex_lock(&lock);
		while (!gathered.count)
			pthread_cond_wait(&filled, &lock);
		others = waiting;
		pthread_mutex_unlock(&lock);
		pause_for(others);
		pthread_mutex_lock(&lock);
		swap = gathered;
		gathered = now;
		now = swap;
		pthread_mutex_unlock(&lock);
		release(&now);
	}
	return NULL;
}

/* Never joined: it has nothing in hand when nobody waits. */
static bool run(void)
{
	pthread_t thread;

	if (!running && !pthread_create(&thread, NULL, crowd_main, NULL)) {
		pthread_detach(thread);
		running = true;
	}
	return running;
}

static bool add(struct list *l, struct fan_hsm_event *e, int err)
{
	if (l->count == l->room) {
		size_t room = HSM_MAX(l->room * 2, (size_t)CROWD);
		struct deferred *item = reallocarray(l->item, room, sizeof(*item));

		if (!item)
			return false;
		l->item = item;
		l->room = room;
	}
	l->item[l->count++] = (struct deferred){e, err, false};
	return true;
}

void fan_hsm_crowd_batch(unsigned int events)
{
	if (events >= CROWD / 2 || atomic_load_explicit(&batch, memory_order_relaxed))
		atomic_store_explicit(
			&batch, events < CROWD / 2 ? 0 : events, memory_order_relaxed);
}

bool fan_hsm_crowd_is(unsigned int pending)
{
	return pending + atomic_load_explicit(&batch, memory_order_relaxed) >= CROWD;
}

bool fan_hsm_crowd_defer(struct fan_hsm_event *e, int err, unsigned int pending)
{
	bool deferred;

	if (!fan_hsm_crowd_is(pending))
		return false;
	pthread_mutex_lock(&lock);
	deferred = run() && add(&gathered, e, err);
	waiting = pending;
	if (deferred && gathered.count == 1)
		pthread_cond_signal(&filled);
	pthread_mutex_unlock(&lock);
	return deferred;
}
