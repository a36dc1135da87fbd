/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_STATUS_H
#define FAN_HSM_STATUS_H
#include <jansson.h>

#include "fan_hsm/fan_hsm.h"

/* Adds "events", "answers", "pending", "marks", "trouble", "walk" to @into. */
void fan_hsm_status(struct fan_hsm *fan, json_t *into);

#endif
