/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_OUTBOX_H
#define FAN_HSM_OUTBOX_H
/*
 * Allowing file events, some at a time where the thread that has the results knows that more may
 * come at once. An event that is put off is no different from one that was not read yet.
 */
#include "fan_hsm/answer.h"

/*
 * Allows all this thread has put off. The first call promises that others follow before each wait
 * of the thread; before it nothing is put off.
 */
void fan_hsm_outbox_flush(void);

/* Allows @e, now or with the next flush of this thread. All of a thread are of one group. */
void fan_hsm_outbox_allow(struct fan_hsm_event *e);

#endif
