/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_ANSWER_H
#define FAN_HSM_ANSWER_H
/*
 * Every event is answered exactly once. The registry is one array indexed by the event's
 * descriptor, which is unique in the process until it is closed: no allocation, no lock. It lies in
 * memory that outlives the process, see shared.h.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/fanotify.h>

#include "fan_hsm/shared.h"

/* How an event was dealt with; names in status are those of fan_hsm_op_names[] in answer.c. */
enum fan_hsm_op {
	FAN_HSM_OP_FILE_HIT, /* the range was present */
	FAN_HSM_OP_FILE_FILL, /* waited for the origin */
	FAN_HSM_OP_FILE_WHOLE, /* nothing to fill, ever: the inode is ignored from now on */
	FAN_HSM_OP_FILE_NOWAIT, /* answered without waiting: own access, no room, or ending */
	FAN_HSM_OP_DIR_HIT,
	FAN_HSM_OP_DIR_FILL,
	FAN_HSM_OP_DIR_NOWAIT,
	FAN_HSM_OP_COUNT
};

/* Over the slots of @shared (borrowed); what is in them stays as it is. */
int fan_hsm_answers_new(struct fan_hsm_shared *shared, struct fan_hsm_answers **ret_answers);
void fan_hsm_answers_free(struct fan_hsm_answers *a);

/*
 * Notes what is needed to begin again with event @m of @group, should this process die. Before
 * anything else is done with it. Events that need no answer are not noted.
 */
void fan_hsm_event_take(
	struct fan_hsm_answers *a, int group, const struct fanotify_event_metadata *m);

/*
 * Registers the event with descriptor @fd (now owned by the registry) of @group, read at
 * @begin_ns.
 */
struct fan_hsm_event *fan_hsm_event_begin(
	struct fan_hsm_answers *a, int group, int fd, uint64_t begin_ns);
int fan_hsm_event_fd(const struct fan_hsm_event *e);
/* How many wait with it. */
unsigned int fan_hsm_event_pending(const struct fan_hsm_event *e);
void fan_hsm_event_set_op(struct fan_hsm_event *e, enum fan_hsm_op op);

/*
 * Lets the waiting process go on: @err 0 allows, negative errno denies. The descriptor stays
 * open for marks until fan_hsm_event_end(). False: somebody else has answered; @e is not
 * the caller's any more.
 */
bool fan_hsm_event_answer(struct fan_hsm_event *e, int err);
void fan_hsm_event_end(int fd);

/* Both; a little later when many wait (crowd.h). */
void fan_hsm_event_finish(struct fan_hsm_event *e, int err);

/*
 * Allows up to FAN_HSM_ALLOW_MAX events of one group with one system call, and ends them. Why: all
 * who wait for a group wait in one queue, and an answer wakes everybody in it. The first of
 * some answers in a row finds them there; who is woken for nothing is not back in time for the
 * others.
 */
#define FAN_HSM_ALLOW_MAX 64
void fan_hsm_events_allow(struct fan_hsm_event *const *list, unsigned int count);

/*
 * Denies whatever is still waiting; returns how many that were. Only for the end of the
 * process: descriptors stay open, since the core may still use them; its callbacks find
 * the events answered.
 */
unsigned int fan_hsm_answers_fail_all(struct fan_hsm_answers *a, int err);

unsigned int fan_hsm_answers_pending(const struct fan_hsm_answers *a);

/* So many events wait that a new one must not: descriptors would run out. */
bool fan_hsm_answers_full(const struct fan_hsm_answers *a);

/*
 * Events to take with one read, of all threads that read together: each gets its descriptor there,
 * wanted or not.
 */
unsigned int fan_hsm_answers_batch(const struct fan_hsm_answers *a);

/* Adds "events", "answers" and "pending". */
void fan_hsm_answers_status(struct fan_hsm_answers *a, json_t *into);

#endif
