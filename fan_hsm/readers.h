/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_READERS_H
#define FAN_HSM_READERS_H
/* Reader threads: from the kernel's queue to fan_hsm_event_handle(). */
#include "fan_hsm/fan_hsm.h"

/* Starts @per_group threads on the data group and one on the directory group. Until
 * fan_hsm_readers_serve() they only answer this very process, which may touch the watched file
 * system while it starts. */
int fan_hsm_readers_start(struct fan_hsm *fan, unsigned int per_group);

/* The core is open: begins with what was left until now. */
void fan_hsm_readers_serve(struct fan_hsm *fan);

/*
 * From now on no reader calls the core; what has something to fill is denied EIO. Returns when
 * none is inside the core any more.
 */
void fan_hsm_readers_leave_core(struct fan_hsm *fan);

/* Answers all that is queued, then ends the threads. After fan_hsm_readers_leave_core(). */
void fan_hsm_readers_stop(struct fan_hsm *fan);

#endif
