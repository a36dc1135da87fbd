/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_ANSWER_H
#define FAN_HSM_ANSWER_H
/*
 * Every event is answered exactly once. The registry is one array indexed by the event's
 * descriptor, which is unique in the process until it is closed: no allocation, no lock.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct fan_hsm_answers;
struct fan_hsm_event;

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

/* Room for every descriptor the process may open (raises the soft limit to the hard one). */
int fan_hsm_answers_new(struct fan_hsm_answers **ret_answers);
void fan_hsm_answers_free(struct fan_hsm_answers *a);

/*
 * Registers the event with descriptor @fd (now owned by the registry) of @group, read at
 * @begin_ns.
 */
struct fan_hsm_event *fan_hsm_event_begin(
	struct fan_hsm_answers *a, int group, int fd, uint64_t begin_ns);
int fan_hsm_event_fd(const struct fan_hsm_event *e);
void fan_hsm_event_set_op(struct fan_hsm_event *e, enum fan_hsm_op op);

/*
 * Lets the waiting process go on: @err 0 allows, negative errno denies. The descriptor stays
 * open for marks until fan_hsm_event_end(). False: somebody else has answered; @e is not
 * the caller's any more.
 */
bool fan_hsm_event_answer(struct fan_hsm_event *e, int err);
void fan_hsm_event_end(int fd);

/* Both. */
void fan_hsm_event_finish(struct fan_hsm_event *e, int err);

/*
 * Denies whatever is still waiting; returns how many that were. Only for the end of the
 * process: descriptors stay open, since the core may still use them; its callbacks find
 * the events answered.
 */
unsigned int fan_hsm_answers_fail_all(struct fan_hsm_answers *a, int err);

unsigned int fan_hsm_answers_pending(const struct fan_hsm_answers *a);

/* So many events wait that a new one must not: descriptors would run out. */
bool fan_hsm_answers_full(const struct fan_hsm_answers *a);

/* Events to take with one read: each gets its descriptor there, wanted or not. */
unsigned int fan_hsm_answers_batch(const struct fan_hsm_answers *a);

/* Adds "events", "answers" and "pending". */
void fan_hsm_answers_status(struct fan_hsm_answers *a, json_t *into);

#endif
