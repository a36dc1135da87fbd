/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_CROWD_H
#define FAN_HSM_CROWD_H
/*
 * Answers while many wait. All processes that wait for answers of a group sleep on one queue in the
 * kernel, and each answer wakes them all, to look and sleep again (Linux 6.18): a thousand
 * waiting readers cost a million wake-ups, ten thousand kept two processors busy for minutes. So
 * when there is a crowd, answers are gathered for some milliseconds and given in one go by a
 * thread that those it wakes cannot interrupt.
 */
#include <stdbool.h>

#include "fan_hsm/answer.h"

/* One read(2) of a group has brought so many events. */
void fan_hsm_crowd_batch(unsigned int events);

/* Is it a crowd when @pending are read and unanswered? */
bool fan_hsm_crowd_is(unsigned int pending);

/* Then takes @e over, to be finished with @err soon. False: the caller finishes it. */
bool fan_hsm_crowd_defer(struct fan_hsm_event *e, int err, unsigned int pending);

/*
 * The calling thread is about to answer many events: from now on those it wakes cannot interrupt it
 * (SCHED_FIFO). Without CAP_SYS_NICE nothing changes.
 */
void fan_hsm_crowd_rush(void);

#endif
