/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_GUARD_H
#define FAN_HSM_GUARD_H
/*
 * A third process that holds the groups, too, and does nothing until supervisor and worker are both
 * gone. Then it denies what is not complete, until a new fan_hsm takes over or hsmctl stop.
 */
#include "fan_hsm/fan_hsm.h"

/* Supervisor: forks it; its pid goes to the shared memory. A failure is logged. */
void fan_hsm_guard_start(struct fan_hsm *fan, const char *cache);

/* Supervisor: has its child ended? Reaps it. */
bool fan_hsm_guard_is_dead(struct fan_hsm_shared *s);

#endif
