/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registry of unanswered events. Owns event descriptors from fan_hsm_event_begin() until
 * they are closed. Does not know what an event is about.
 *
 * The state of a slot changes PENDING -> ANSWERING by an exchange, so of several threads that
 * want to answer (the core's callback, the end of the daemon) exactly one does. The slot is free
 * before the descriptor is closed, so the number cannot come back while the slot is in use, and
 * after the answer is written, so that a process that dies in between leaves a trace: an answer
 * given twice is refused by the kernel and harms nobody, one not given hangs a reader.
 */
#include "fan_hsm/answer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "fan_hsm/crowd.h"
#include "fan_hsm/fanotify_compat.h"
#include "fan_hsm/recover.h"
#include "hsm/err.h"
#include "hsm/stats.h"
#include "hsm/util.h"

/*
 * Shares of the descriptors: five eighths for events that wait, less what the daemon needs for
 * itself (connections, directories it lists); an eighth for events that were read and not looked at
 * yet, in all threads together; a quarter is the core's, for active files. An event that finds no
 * descriptor is denied by the kernel, and with EPERM.
 */
#define OWN	     64u
#define ROOM(limit)  (HSM_MAX((limit) / 8 * 5, OWN + 1) - OWN)
#define BATCH(limit) ((limit) / 8)

static const struct {
	int err;
	const char *name;
} denials[] = {
	{EIO, "EIO"},
	{EPERM, "EPERM"},
	{EBUSY, "EBUSY"},
	{ETXTBSY, "ETXTBSY"},
	{EAGAIN, "EAGAIN"},
	{ENOSPC, "ENOSPC"},
	{EDQUOT, "EDQUOT"},
};

static const char *const op_names[FAN_HSM_OP_COUNT] = {
	[FAN_HSM_OP_FILE_HIT] = "pre_access_hit",
	[FAN_HSM_OP_FILE_FILL] = "pre_access_fill",
	[FAN_HSM_OP_FILE_WHOLE] = "pre_access_whole",
	[FAN_HSM_OP_FILE_NOWAIT] = "pre_access_nowait",
	[FAN_HSM_OP_DIR_HIT] = "open_dir_hit",
	[FAN_HSM_OP_DIR_FILL] = "open_dir_fill",
	[FAN_HSM_OP_DIR_NOWAIT] = "open_dir_nowait",
};

struct fan_hsm_answers {
	struct fan_hsm_shared *shared;
	_Atomic unsigned int pending;
	_Atomic uint64_t allowed;
	_Atomic uint64_t denied[HSM_ARRAY_SIZE(denials)];
	_Atomic uint64_t refused; /* the kernel took only a plain FAN_DENY */
	_Atomic uint64_t vanished; /* ENOENT: the kernel no longer knew the event */
	_Atomic uint64_t failed; /* not even that: see the log */
	struct hsm_optable *ops;
};

static void count_one(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

int fan_hsm_answers_new(struct fan_hsm_shared *shared, struct fan_hsm_answers **ret_answers)
{
	struct fan_hsm_answers *a = calloc(1, sizeof(*a));
	int r = -ENOMEM;

	if (a)
		r = hsm_optable_new(op_names, FAN_HSM_OP_COUNT, &a->ops);
	if (r) {
		free(a);
		return hsm_err(-r, "no memory for statistics");
	}
	a->shared = shared;
	*ret_answers = a;
	return 0;
}

void fan_hsm_answers_free(struct fan_hsm_answers *a)
{
	if (!a)
		return;
	hsm_optable_free(a->ops);
	free(a);
}

void fan_hsm_event_take(
	struct fan_hsm_answers *a, int group, const struct fanotify_event_metadata *m)
{
	if (m->fd >= 0 && (uint32_t)m->fd < a->shared->limit && (m->mask & FAN_HSM_PERMISSION))
		fan_hsm_slot_take(a->shared, fan_hsm_group_index(a->shared, group), m);
}

struct fan_hsm_event *fan_hsm_event_begin(
	struct fan_hsm_answers *a, int group, int fd, uint64_t begin_ns)
{
	struct fan_hsm_event *e = &a->shared->slot[fd];

	/* The kernel hands the number out again only after the last owner's close(2). */
	if (atomic_load_explicit(&e->state, memory_order_acquire) >= FAN_HSM_SLOT_PENDING)
		hsm_log(HSM_LOG_ERROR, "descriptor %d has two unanswered events", fd);
	e->answers = a;
	e->begin_ns = begin_ns;
	e->group = fan_hsm_group_index(a->shared, group);
	e->op = FAN_HSM_OP_FILE_NOWAIT;
	atomic_fetch_add(&a->pending, 1);
	atomic_store_explicit(&e->state, FAN_HSM_SLOT_PENDING, memory_order_release);
	return e;
}

int fan_hsm_event_fd(const struct fan_hsm_event *e)
{
	return (int)(e - e->answers->shared->slot);
}

unsigned int fan_hsm_event_pending(const struct fan_hsm_event *e)
{
	return fan_hsm_answers_pending(e->answers);
}

void fan_hsm_event_set_op(struct fan_hsm_event *e, enum fan_hsm_op op)
{
	e->op = (uint8_t)op;
}

static uint32_t response_of(struct fan_hsm_answers *a, int err)
{
	unsigned int i;

	if (!err) {
		count_one(&a->allowed);
		return FAN_ALLOW;
	}
	for (i = HSM_ARRAY_SIZE(denials) - 1; i > 0; i--)
		if (denials[i].err == -err)
			break;
	count_one(&a->denied[i]);
	return FAN_DENY_ERRNO(denials[i].err);
}

/* A refused answer would leave the process blocked for ever. */
static void send_again(struct fan_hsm_answers *a, int group, int fd, uint32_t response, int err)
{
	if (err == -ENOENT) {
		count_one(&a->vanished);
		return;
	}
	hsm_log(HSM_LOG_ERROR, "answer %#x refused (%s), denying", response, strerror(-err));
	err = fan_hsm_respond(group, fd, FAN_DENY);
	if (!err) {
		count_one(&a->refused);
		return;
	}
	count_one(&a->failed);
	hsm_log(HSM_LOG_ERROR, "an event could not be answered: %s", strerror(-err));
}

bool fan_hsm_event_answer(struct fan_hsm_event *e, int err)
{
	struct fan_hsm_answers *a = e->answers;
	int fd = fan_hsm_event_fd(e), group = a->shared->group[e->group], op = e->op, r;
	uint64_t begin_ns = e->begin_ns;
	uint8_t pending = FAN_HSM_SLOT_PENDING;
	uint32_t response;

	if (!atomic_compare_exchange_strong(&e->state, &pending, FAN_HSM_SLOT_ANSWERING))
		return false;
	response = response_of(a, err);
	r = fan_hsm_respond(group, fd, response);
	if (r)
		send_again(a, group, fd, response, r);
	atomic_store_explicit(&e->state, FAN_HSM_SLOT_FREE, memory_order_release);
	hsm_optable_record(a->ops, op, hsm_now_ns() - begin_ns, err);
	atomic_fetch_sub(&a->pending, 1);
	return true;
}

/*
 * The kernel takes one answer a write, and writev(2) makes a write of each element; it ends at one
 * that is refused.
 */
static void send_allows(struct fan_hsm_answers *a, int group,
	const struct fanotify_response *response, unsigned int count)
{
	struct iovec iov[FAN_HSM_ALLOW_MAX];
	unsigned int sent = 0;

	for (unsigned int i = 0; i < count; i++)
		iov[i] = (struct iovec){(void *)&response[i], sizeof(response[i])};
	while (sent < count) {
		ssize_t n = writev(group, iov + sent, (int)(count - sent));
		int err = errno;

		if (n > 0) {
			sent += (unsigned int)((size_t)n / sizeof(response[0]));
		} else if (n == 0 || err != EINTR) {
			send_again(a, group, response[sent].fd, FAN_ALLOW, n ? -err : -EIO);
			sent++;
		}
	}
}

void fan_hsm_events_allow(struct fan_hsm_event *const *list, unsigned int count)
{
	struct fanotify_response response[FAN_HSM_ALLOW_MAX];
	struct fan_hsm_answers *a = list[0]->answers;
	int group = a->shared->group[list[0]->group];
	unsigned int n = 0;
	uint64_t now_ns;

	for (unsigned int i = 0; i < count; i++) {
		uint8_t pending = FAN_HSM_SLOT_PENDING;

		if (!atomic_compare_exchange_strong(
			    &list[i]->state, &pending, FAN_HSM_SLOT_ANSWERING))
			continue;
		response[n].fd = fan_hsm_event_fd(list[i]);
		response[n++].response = response_of(a, 0);
	}
	if (!n)
		return;
	send_allows(a, group, response, n);
	now_ns = hsm_now_ns();
	for (unsigned int i = 0; i < n; i++) {
		struct fan_hsm_event *e = &a->shared->slot[response[i].fd];

		hsm_optable_record(a->ops, e->op, now_ns - e->begin_ns, 0);
		atomic_store_explicit(&e->state, FAN_HSM_SLOT_FREE, memory_order_release);
		fan_hsm_event_end(response[i].fd);
	}
	atomic_fetch_sub(&a->pending, n);
}

void fan_hsm_event_end(int fd)
{
	close(fd);
}

void fan_hsm_event_finish(struct fan_hsm_event *e, int err)
{
	int fd = fan_hsm_event_fd(e);

	if (fan_hsm_crowd_defer(e, err, fan_hsm_answers_pending(e->answers)))
		return;
	if (fan_hsm_event_answer(e, err))
		fan_hsm_event_end(fd);
}

unsigned int fan_hsm_answers_fail_all(struct fan_hsm_answers *a, int err)
{
	uint32_t high = fan_hsm_slots_high(a->shared);
	unsigned int failed = 0;

	fan_hsm_crowd_rush();
	for (uint32_t fd = 0; fd < high && fan_hsm_answers_pending(a); fd++) {
		struct fan_hsm_event *e = &a->shared->slot[fd];

		if (atomic_load(&e->state) == FAN_HSM_SLOT_PENDING &&
			fan_hsm_event_answer(e, err))
			failed++;
	}
	return failed;
}

unsigned int fan_hsm_answers_pending(const struct fan_hsm_answers *a)
{
	return atomic_load(&a->pending);
}

bool fan_hsm_answers_full(const struct fan_hsm_answers *a)
{
	return atomic_load_explicit(&a->pending, memory_order_relaxed) > ROOM(a->shared->limit);
}

unsigned int fan_hsm_answers_batch(const struct fan_hsm_answers *a)
{
	return HSM_MAX(BATCH(a->shared->limit), 1u);
}

static json_t *number(const _Atomic uint64_t *counter)
{
	return json_integer((json_int_t)atomic_load_explicit(counter, memory_order_relaxed));
}

void fan_hsm_answers_status(struct fan_hsm_answers *a, json_t *into)
{
	json_t *answers = json_object(), *denied = json_object();

	for (unsigned int i = 0; i < HSM_ARRAY_SIZE(denials); i++)
		if (atomic_load(&a->denied[i]))
			json_object_set_new(denied, denials[i].name, number(&a->denied[i]));
	json_object_set_new(answers, "allowed", number(&a->allowed));
	json_object_set_new(answers, "denied", denied);
	json_object_set_new(answers, "refused", number(&a->refused));
	json_object_set_new(answers, "vanished", number(&a->vanished));
	json_object_set_new(answers, "failed", number(&a->failed));
	json_object_set_new(into, "events", hsm_optable_json(a->ops));
	json_object_set_new(into, "answers", answers);
	json_object_set_new(into, "pending", json_integer(fan_hsm_answers_pending(a)));
	json_object_set_new(into, "pending_max", json_integer(ROOM(a->shared->limit)));
}
