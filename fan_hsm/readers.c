/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reader threads: they take events in batches and hand them to events.c. */
#include "fan_hsm/readers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fan_hsm/answer.h"
#include "fan_hsm/crowd.h"
#include "fan_hsm/events.h"
#include "fan_hsm/fanotify_compat.h"
#include "fan_hsm/group.h"
#include "fan_hsm/outbox.h"
#include "fan_hsm/recover.h"
#include "hsm/util.h"

/* A file event with its range; a directory event is smaller. */
#define EVENT_BYTES \
	(sizeof(struct fanotify_event_metadata) + sizeof(struct fanotify_event_info_range))

/* Wakes a reader out of its blocking read; does nothing else. */
#define KICK_SIGNAL SIGUSR2
#define KICK_NS	    (10 * 1000 * 1000)

struct reader {
	struct fan_hsm *fan;
	struct fan_hsm_batch *batch;
	pthread_t thread;
	int group;
	_Atomic bool early; /* may be at work on events that it leaves for later */
};

struct fan_hsm_readers {
	_Atomic bool quit;
	unsigned int count;
	struct reader reader[FAN_HSM_READERS_MAX];
};

/* Thread ids, or that of the process: whatever the group reports. */
static bool is_own(pid_t tid)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/task/%d", tid);
	return !access(path, F_OK);
}

static bool leave(struct fan_hsm *fan, const struct fanotify_event_metadata *m)
{
	if (m->fd < 0 || !(m->mask & FAN_HSM_PERMISSION) || is_own(m->pid))
		return false;
	fan_hsm_recover_leave(fan->shared, m->fd);
	return true;
}

/*
 * An event is in its slot before the batch is told that it was taken over, and it is taken over
 * before anything is done with it: see shared.h.
 */
static void handle_batch(struct reader *self, ssize_t bytes, int phase)
{
	struct fan_hsm_batch *b = self->batch;
	const struct fanotify_event_metadata *m = (const void *)b->bytes;
	uint64_t now_ns = hsm_now_ns();
	uint32_t done = 0;

	for (ssize_t left = bytes; FAN_EVENT_OK(m, left); m = FAN_EVENT_NEXT(m, left)) {
		fan_hsm_event_take(self->fan->answers, self->group, m);
		done += m->event_len;
		atomic_store_explicit(&b->done, done, memory_order_release);
		if (phase == FAN_HSM_STARTING && leave(self->fan, m))
			continue;
		fan_hsm_event_handle(
			self->fan, self->group, m, now_ns, phase == FAN_HSM_SERVING);
	}
	memset(b->bytes, 0, (size_t)bytes);
	atomic_store_explicit(&b->done, 0, memory_order_release);
}

/* False: the thread is to end. */
static bool read_again(struct reader *self, int err)
{
	if (err == EINTR)
		return true;
	if (err == EAGAIN)
		return !atomic_load(&self->fan->readers->quit);
	if (fan_hsm_count_and_log(&self->fan->count.read_errors))
		hsm_log(HSM_LOG_ERROR, "reading fanotify events: %s", strerror(err));
	nanosleep(&(struct timespec){.tv_nsec = KICK_NS}, NULL);
	return true;
}

static void *reader_main(void *arg)
{
	struct reader *self = arg;
	struct fan_hsm *fan = self->fan;
	struct fan_hsm_batch *b = self->batch;
	unsigned int events = fan_hsm_answers_batch(fan->answers) / (fan->own->readers + 1);
	size_t bytes = HSM_MIN(HSM_MAX(events, 1u) * EVENT_BYTES, sizeof(b->bytes));
	ssize_t n;
	int phase;

	fan_hsm_outbox_flush();
	do {
		n = read(self->group, b->bytes, bytes);
		if (n <= 0)
			continue;
		atomic_fetch_add_explicit(&b->reads, 1, memory_order_relaxed);
		/* Order with fan_hsm_readers_leave_core(): both sides sequentially consistent. */
		atomic_fetch_add(&fan->in_core, 1);
		fan_hsm_crowd_batch((unsigned int)((size_t)n / EVENT_BYTES));
		atomic_store(&self->early, true);
		phase = atomic_load(&fan->phase);
		if (phase != FAN_HSM_STARTING)
			atomic_store(&self->early, false);
		handle_batch(self, n, phase);
		fan_hsm_outbox_flush();
		atomic_store(&self->early, false);
		atomic_fetch_sub(&fan->in_core, 1);
	} while (n > 0 || read_again(self, errno));
	return NULL;
}

static void kicked(int sig)
{
	(void)sig;
}

/*
 * The pages are there and stay: a page fault in the kernel's copy could fail for a thread that is
 * being killed, and the kernel would deny the event.
 */
static void prepare_batch(struct fan_hsm *fan, struct reader *self)
{
	struct fan_hsm_batch *b = self->batch;

	b->group = (uint32_t)fan_hsm_group_index(fan->shared, self->group);
	memset(b->bytes, 0, sizeof(b->bytes));
	atomic_store(&b->done, 0);
	if (mlock(b, sizeof(*b)))
		hsm_log(HSM_LOG_DEBUG, "mlock of an event buffer: %s", strerror(errno));
}

static int start_one(struct fan_hsm *fan, int group)
{
	struct fan_hsm_readers *rs = fan->readers;
	struct reader *self = &rs->reader[rs->count];
	int r;

	*self = (struct reader){
		.fan = fan, .group = group, .batch = &fan->shared->batch[rs->count]};
	prepare_batch(fan, self);
	r = pthread_create(&self->thread, NULL, reader_main, self);
	if (r)
		return hsm_err(r, "cannot start a reader thread: %s", strerror(r));
	rs->count++;
	return 0;
}

int fan_hsm_readers_start(struct fan_hsm *fan, unsigned int per_group)
{
	struct sigaction kick = {.sa_handler = kicked};
	sigset_t set, old;
	int r;

	fan->readers = calloc(1, sizeof(*fan->readers));
	if (!fan->readers)
		return hsm_err(ENOMEM, "no memory for reader threads");
	sigaction(KICK_SIGNAL, &kick, NULL);
	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, &old);
	r = start_one(fan, fan->dir_group);
	for (unsigned int i = 0; !r && i < HSM_MIN(per_group, FAN_HSM_READERS_MAX - 1u); i++)
		r = start_one(fan, fan->data_group);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	atomic_store(&fan->shared->reading, !r);
	return r;
}

void fan_hsm_readers_serve(struct fan_hsm *fan)
{
	struct fan_hsm_readers *rs = fan->readers;
	unsigned int redone;

	atomic_store(&fan->phase, FAN_HSM_SERVING);
	for (unsigned int i = 0; i < rs->count; i++)
		while (atomic_load(&rs->reader[i].early))
			nanosleep(&(struct timespec){.tv_nsec = KICK_NS / 10}, NULL);
	redone = fan_hsm_recover_redo(fan, true);
	if (redone)
		hsm_log(HSM_LOG_INFO, "%u events that were waiting are begun with again",
			redone);
}

void fan_hsm_readers_leave_core(struct fan_hsm *fan)
{
	atomic_store(&fan->phase, FAN_HSM_ENDING);
	while (atomic_load(&fan->in_core))
		nanosleep(&(struct timespec){.tv_nsec = KICK_NS / 10}, NULL);
	fan_hsm_recover_redo(fan, false);
}

/* A signal sent just before the thread enters read() is lost, hence again and again. */
static void kick_and_join(pthread_t thread)
{
	while (pthread_tryjoin_np(thread, NULL) == EBUSY) {
		pthread_kill(thread, KICK_SIGNAL);
		nanosleep(&(struct timespec){.tv_nsec = KICK_NS}, NULL);
	}
}

void fan_hsm_readers_stop(struct fan_hsm *fan)
{
	struct fan_hsm_readers *rs = fan->readers;

	if (!rs)
		return;
	fan_hsm_groups_nonblock(fan);
	atomic_store(&rs->quit, true);
	for (unsigned int i = 0; i < rs->count; i++)
		kick_and_join(rs->reader[i].thread);
	fan->readers = NULL;
	free(rs);
}
