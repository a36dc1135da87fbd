/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reader threads. They take events in batches, find out what range is meant and ask the core.
 * They never fill, never wait for the network or for a fill: whatever needs that is answered
 * later by the core's callback. So an event raised by this very process (a library that maps a
 * certificate file on the watched file system, a mirror origin there) always finds a reader free.
 *
 * A read and an mmap(2) look the same: one event with the range, rounded to pages. Page faults
 * raise none, so what mremap(2) adds to a mapping later is not asked for.
 */
#include "fan_hsm/events.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "fan_hsm/answer.h"
#include "fan_hsm/fanotify_compat.h"
#include "fan_hsm/group.h"
#include "hsm/state.h"
#include "hsm/util.h"

#define READERS_MAX 64

/* A file event with its range; a directory event is smaller. */
#define EVENT_BYTES \
	(sizeof(struct fanotify_event_metadata) + sizeof(struct fanotify_event_info_range))
#define BATCH_EVENTS 340

/* Wakes a reader out of its blocking read; does nothing else. */
#define KICK_SIGNAL SIGUSR2
#define KICK_NS	    (10 * 1000 * 1000)

struct reader {
	struct fan_hsm *fan;
	pthread_t thread;
	int group;
};

struct fan_hsm_readers {
	_Atomic bool quit;
	unsigned int count;
	struct reader reader[READERS_MAX];
};

struct range {
	uint64_t offset;
	uint64_t length; /* 0: to the end of file */
};

/* Which record comes first depends on the group's flags and the kernel: look at all. */
static struct range event_range(const struct fanotify_event_metadata *m)
{
	const char *end = (const char *)m + m->event_len;
	const char *p = (const char *)m + m->metadata_len;

	while (end - p >= (ptrdiff_t)sizeof(struct fanotify_event_info_header)) {
		const struct fanotify_event_info_range *info = (const void *)p;

		if (info->hdr.len < sizeof(info->hdr) || info->hdr.len > end - p)
			break;
		if (info->hdr.info_type == FAN_EVENT_INFO_TYPE_RANGE &&
			info->hdr.len >= sizeof(*info))
			return (struct range){info->offset, info->count};
		p += info->hdr.len;
	}
	return (struct range){0, 0};
}

/* Without the core: does the inode itself say that bytes or names are missing? */
static int deny_if_stub(const struct fan_hsm *fan, int fd)
{
	struct hsm_state state;
	int r = hsm_state_load(fd, &state);

	if (r == -ENODATA || (!r && state.cache_id != fan->cache_id))
		return 0;
	if (r)
		return -EIO;
	if (state.kind == HSM_KIND_DIR)
		return state.flags & HSM_S_NAMES ? 0 : -EIO;
	return state.flags & HSM_S_COMPLETE ? 0 : -EIO;
}

/* With the core but without waiting: 0 if the range is there, else @err. */
static int deny_if_missing(struct fan_hsm *fan, int fd, struct range range, int err)
{
	uint64_t length = range.length ? range.length : INT64_MAX - range.offset;
	struct hsm_file *file;
	int r = hsm_file_get(fan->h, fd, &file);

	if (r == 0)
		return 0;
	if (r < 0)
		return err;
	r = hsm_file_present(file, range.offset, length) ? 0 : err;
	hsm_file_put(file);
	return r;
}

static void file_done(void *arg, int err)
{
	fan_hsm_event_finish(arg, err);
}

/*
 * A file without state stays without: the core gives a stub its state before anybody can see it. The
 * state is read once more when the mark is there, so that not even a mistake in that makes zeros.
 */
static void ignore_from_now(struct fan_hsm *fan, int fd)
{
	fan_hsm_mark_ignore(fan, fd);
	if (deny_if_stub(fan, fd))
		fan_hsm_unmark_ignore(fan, fd);
}

/* Answer first: the process waits for that, not for the mark. */
static void answer_whole(struct fan_hsm *fan, struct fan_hsm_event *e)
{
	int fd = fan_hsm_event_fd(e);

	fan_hsm_event_set_op(e, FAN_HSM_OP_FILE_WHOLE);
	if (!fan_hsm_event_answer(e, 0))
		return;
	ignore_from_now(fan, fd);
	fan_hsm_event_end(fd);
}

static void fill_file(struct fan_hsm *fan, struct fan_hsm_event *e, int fd, struct range range)
{
	int r;

	fan_hsm_event_set_op(e, FAN_HSM_OP_FILE_FILL);
	r = hsm_fd_fill(fan->h, fd, range.offset, range.length, HSM_FILL_READ, file_done, e);
	if (r == 0)
		return;
	if (r == 2) {
		answer_whole(fan, e);
		return;
	}
	if (r == 1)
		fan_hsm_event_set_op(e, FAN_HSM_OP_FILE_HIT);
	fan_hsm_event_finish(e, r < 0 ? r : 0);
}

static void handle_file(struct fan_hsm *fan, const struct fanotify_event_metadata *m,
	struct fan_hsm_event *e, bool serving)
{
	struct range range = event_range(m);

	if (!serving)
		fan_hsm_event_finish(e, deny_if_stub(fan, m->fd));
	else if (m->pid == fan->pid)
		fan_hsm_event_finish(e, deny_if_missing(fan, m->fd, range, -EIO));
	else if (fan_hsm_answers_full(fan->answers))
		fan_hsm_event_finish(e, deny_if_missing(fan, m->fd, range, -EBUSY));
	else
		fill_file(fan, e, m->fd, range);
}

static void dir_done(void *arg, int err)
{
	fan_hsm_event_finish(arg, err);
}

static void fill_dir(struct fan_hsm *fan, struct fan_hsm_event *e, int fd)
{
	int r;

	fan_hsm_event_set_op(e, FAN_HSM_OP_DIR_FILL);
	r = hsm_dir_fill(fan->h, fd, dir_done, e);
	if (r == 0)
		return;
	if (r < 0) {
		fan_hsm_event_finish(e, r);
		return;
	}
	fan_hsm_event_set_op(e, FAN_HSM_OP_DIR_HIT);
	if (!fan_hsm_event_answer(e, 0))
		return;
	fan_hsm_unmark_dir(fan, fd);
	fan_hsm_event_end(fd);
}

static void handle_dir(struct fan_hsm *fan, const struct fanotify_event_metadata *m,
	struct fan_hsm_event *e, bool serving)
{
	fan_hsm_event_set_op(e, FAN_HSM_OP_DIR_NOWAIT);
	if (!serving || m->pid == fan->pid)
		fan_hsm_event_finish(e, deny_if_stub(fan, m->fd));
	else if (fan_hsm_answers_full(fan->answers))
		fan_hsm_event_finish(e, deny_if_stub(fan, m->fd) ? -EBUSY : 0);
	else
		fill_dir(fan, e, m->fd);
}

/* Counts; true for the 1st, 2nd, 4th, 8th, ... time: a storm must not drown the reader in logs. */
static bool count_and_log(_Atomic uint64_t *counter)
{
	uint64_t n = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) + 1;

	return !(n & (n - 1));
}

/* The kernel has answered these itself: without a descriptor there is nothing to answer with. */
static void handle_trouble(struct fan_hsm *fan, const struct fanotify_event_metadata *m)
{
	if (m->mask & FAN_Q_OVERFLOW) {
		if (count_and_log(&fan->count.overflows))
			hsm_log(HSM_LOG_ERROR,
				"event queue overflow: readers may have seen holes");
	} else if (count_and_log(&fan->count.fd_errors)) {
		hsm_log(HSM_LOG_ERROR,
			"an event without descriptor was denied by the kernel: %s",
			strerror(-m->fd));
	}
}

static void handle_batch(struct reader *self, const char *batch, ssize_t bytes, bool serving)
{
	const struct fanotify_event_metadata *m = (const void *)batch;
	struct fan_hsm *fan = self->fan;
	uint64_t now_ns = hsm_now_ns();

	for (; FAN_EVENT_OK(m, bytes); m = FAN_EVENT_NEXT(m, bytes)) {
		struct fan_hsm_event *e;

		if (m->fd < 0) {
			handle_trouble(fan, m);
			continue;
		}
		e = fan_hsm_event_begin(fan->answers, self->group, m->fd, now_ns);
		if (self->group == fan->data_group)
			handle_file(fan, m, e, serving);
		else
			handle_dir(fan, m, e, serving);
	}
}

/* False: the thread is to end. */
static bool read_again(struct reader *self, int err)
{
	if (err == EINTR)
		return true;
	if (err == EAGAIN)
		return !atomic_load(&self->fan->readers->quit);
	if (count_and_log(&self->fan->count.read_errors))
		hsm_log(HSM_LOG_ERROR, "reading fanotify events: %s", strerror(err));
	nanosleep(&(struct timespec){.tv_nsec = KICK_NS}, NULL);
	return true;
}

static void *reader_main(void *arg)
{
	struct reader *self = arg;
	struct fan_hsm *fan = self->fan;
	char batch[BATCH_EVENTS * EVENT_BYTES] __attribute__((aligned(8)));
	size_t bytes =
		HSM_MIN(fan_hsm_answers_batch(fan->answers) * EVENT_BYTES, sizeof(batch));
	ssize_t n;

	do {
		n = read(self->group, batch, bytes);
		if (n <= 0)
			continue;
		/* Order with fan_hsm_readers_leave_core(): both sides sequentially consistent. */
		atomic_fetch_add(&fan->in_core, 1);
		handle_batch(self, batch, n, atomic_load(&fan->phase) == FAN_HSM_SERVING);
		atomic_fetch_sub(&fan->in_core, 1);
	} while (n > 0 || read_again(self, errno));
	return NULL;
}

static void kicked(int sig)
{
	(void)sig;
}

static int start_one(struct fan_hsm *fan, int group)
{
	struct fan_hsm_readers *rs = fan->readers;
	struct reader *self = &rs->reader[rs->count];
	int r;

	*self = (struct reader){.fan = fan, .group = group};
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
	for (unsigned int i = 0; !r && i < HSM_MIN(per_group, READERS_MAX - 1u); i++)
		r = start_one(fan, fan->data_group);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

void fan_hsm_readers_leave_core(struct fan_hsm *fan)
{
	atomic_store(&fan->phase, FAN_HSM_ENDING);
	while (atomic_load(&fan->in_core))
		nanosleep(&(struct timespec){.tv_nsec = KICK_NS / 10}, NULL);
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
