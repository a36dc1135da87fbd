/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_STATUS_H
#define FAN_HSM_STATUS_H
#include <jansson.h>

#include "fan_hsm/fan_hsm.h"

/*
 * Adds "events", "answers", "pending", "changes", "marks", "trouble", "walk", "supervisor" to
 * @into.
 */
void fan_hsm_status(struct fan_hsm *fan, json_t *into);

/* Adds "supervisor": who lives, what was repaired. @here: the supervisor, if there is one, lives. */
void fan_hsm_status_supervisor(const struct fan_hsm_shared *s, bool here, json_t *into);

#endif
