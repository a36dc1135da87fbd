/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_HANG_H
#define FAN_HSM_HANG_H
/* The supervisor's watchdog over the worker: events are queued, and no reader comes for them. */
#include "fan_hsm/shared.h"

/* All zeros when a worker starts. */
struct fan_hsm_hang {
	uint64_t reads[FAN_HSM_GROUPS_MAX], still_since_ns[FAN_HSM_GROUPS_MAX];
};

/* To be called about every second. True (logged): the worker hangs; it then begins anew. */
bool fan_hsm_hang_look(struct fan_hsm_hang *h, const struct fan_hsm_shared *s);

#endif
