/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registry of unanswered events. Owns event descriptors from fan_hsm_event_begin() until
 * they are closed. Does not know what an event is about.
 *
 * The state of a slot changes PENDING -> FREE by an exchange, so of several threads that want
 * to answer (the core's callback, the end of the daemon) exactly one does. The slot is free before
 * the descriptor is closed, so the number cannot come back while the slot is in use.
 */
#include "fan_hsm/answer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "fan_hsm/fanotify_compat.h"
#include "hsm/err.h"
#include "hsm/stats.h"
#include "hsm/util.h"

/*
 * Shares of the descriptors: events that wait, events of one read(2) that were not looked at
 * yet. The core takes up to a quarter for active files; the rest is its connections.
 */
#define DESCRIPTORS_MAX (1u << 20)
#define ROOM(limit)	((limit) / 8 * 5)
#define BATCH(limit)	((limit) / 16)

enum { SLOT_FREE, SLOT_PENDING };

struct fan_hsm_event {
	struct fan_hsm_answers *answers;
	uint64_t begin_ns;
	int group;
	_Atomic uint8_t state;
	uint8_t op;
};

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
	unsigned int limit; /* slots; descriptors are below */
	_Atomic unsigned int pending;
	_Atomic uint64_t allowed;
	_Atomic uint64_t denied[HSM_ARRAY_SIZE(denials)];
	_Atomic uint64_t refused; /* the kernel took only a plain FAN_DENY */
	_Atomic uint64_t vanished; /* ENOENT: the kernel no longer knew the event */
	_Atomic uint64_t failed; /* not even that: see the log */
	struct hsm_optable *ops;
	struct fan_hsm_event slot[];
};

static void count_one(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* One descriptor per waiting event: take all the hard limit gives. */
static unsigned int descriptor_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim))
		return 1024;
	lim.rlim_cur = HSM_MIN(lim.rlim_max, DESCRIPTORS_MAX);
	if (setrlimit(RLIMIT_NOFILE, &lim) && getrlimit(RLIMIT_NOFILE, &lim))
		return 1024;
	return (unsigned int)HSM_MIN(lim.rlim_cur, DESCRIPTORS_MAX);
}

int fan_hsm_answers_new(struct fan_hsm_answers **ret_answers)
{
	unsigned int limit = descriptor_limit();
	struct fan_hsm_answers *a = calloc(1, sizeof(*a) + limit * sizeof(a->slot[0]));
	int r;

	if (!a)
		return hsm_err(ENOMEM, "no memory for %u events", limit);
	r = hsm_optable_new(op_names, FAN_HSM_OP_COUNT, &a->ops);
	if (r) {
		free(a);
		return hsm_err(-r, "no memory for statistics");
	}
	a->limit = limit;
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

struct fan_hsm_event *fan_hsm_event_begin(
	struct fan_hsm_answers *a, int group, int fd, uint64_t begin_ns)
{
	struct fan_hsm_event *e = &a->slot[fd];

	/* The kernel hands the number out again only after the last owner's close(2). */
	if (atomic_load_explicit(&e->state, memory_order_acquire) != SLOT_FREE)
		hsm_log(HSM_LOG_ERROR, "descriptor %d has two unanswered events", fd);
	e->answers = a;
	e->begin_ns = begin_ns;
	e->group = group;
	e->op = FAN_HSM_OP_FILE_NOWAIT;
	atomic_fetch_add(&a->pending, 1);
	atomic_store_explicit(&e->state, SLOT_PENDING, memory_order_release);
	return e;
}

int fan_hsm_event_fd(const struct fan_hsm_event *e)
{
	return (int)(e - e->answers->slot);
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

static int send_response(int group, int fd, uint32_t response)
{
	struct fanotify_response r = {.fd = fd, .response = response};
	ssize_t n;

	do {
		n = write(group, &r, sizeof(r));
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(r) ? 0 : n < 0 ? -errno : -EIO;
}

/* A refused answer would leave the process blocked for ever. */
static void send_again(struct fan_hsm_answers *a, int group, int fd, uint32_t response, int err)
{
	if (err == -ENOENT) {
		count_one(&a->vanished);
		return;
	}
	hsm_log(HSM_LOG_ERROR, "answer %#x refused (%s), denying", response, strerror(-err));
	err = send_response(group, fd, FAN_DENY);
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
	struct fan_hsm_event copy = {.begin_ns = e->begin_ns, .group = e->group, .op = e->op};
	int fd = fan_hsm_event_fd(e), r;
	uint32_t response;

	if (atomic_exchange(&e->state, SLOT_FREE) != SLOT_PENDING)
		return false;
	response = response_of(a, err);
	r = send_response(copy.group, fd, response);
	if (r)
		send_again(a, copy.group, fd, response, r);
	hsm_optable_record(a->ops, copy.op, hsm_now_ns() - copy.begin_ns, err);
	atomic_fetch_sub(&a->pending, 1);
	return true;
}

void fan_hsm_event_end(int fd)
{
	close(fd);
}

void fan_hsm_event_finish(struct fan_hsm_event *e, int err)
{
	int fd = fan_hsm_event_fd(e);

	if (fan_hsm_event_answer(e, err))
		fan_hsm_event_end(fd);
}

unsigned int fan_hsm_answers_fail_all(struct fan_hsm_answers *a, int err)
{
	unsigned int failed = 0;

	for (unsigned int fd = 0; fd < a->limit && fan_hsm_answers_pending(a); fd++) {
		struct fan_hsm_event *e = &a->slot[fd];

		if (atomic_load(&e->state) == SLOT_PENDING && fan_hsm_event_answer(e, err))
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
	return atomic_load_explicit(&a->pending, memory_order_relaxed) > ROOM(a->limit);
}

unsigned int fan_hsm_answers_batch(const struct fan_hsm_answers *a)
{
	return HSM_MAX(BATCH(a->limit), 1u);
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
	json_object_set_new(into, "pending_max", json_integer(ROOM(a->limit)));
}
