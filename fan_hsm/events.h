/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_EVENTS_H
#define FAN_HSM_EVENTS_H
/* What is done with one event: to the core or to an immediate answer. */
#include "fan_hsm/fan_hsm.h"
#include "fan_hsm/fanotify_compat.h"

/*
 * Takes over event @m of @group, read at @now_ns, with its descriptor. Never waits for a fill. Not
 * @serving: the core must not be called; what has something to fill is denied EIO.
 */
void fan_hsm_event_handle(struct fan_hsm *fan, int group,
	const struct fanotify_event_metadata *m, uint64_t now_ns, bool serving);

/* Counts; true for the 1st, 2nd, 4th, 8th, ... time: a storm must not drown a thread in logs. */
bool fan_hsm_count_and_log(_Atomic uint64_t *counter);

#endif
