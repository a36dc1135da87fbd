/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_NOTIFY_H
#define FAN_HSM_NOTIFY_H
/*
 * The service manager (systemd): readiness, watchdog, and its store of descriptors, which outlives
 * all our processes. Without one all of this does nothing.
 */
#include "fan_hsm/fan_hsm.h"

/*
 * Takes back what the last fan_hsm of the service left in the store: 1 = @fan has groups and
 * memory, 0 = nothing there, negative errno + text. Before any fork.
 */
int fan_hsm_notify_take(struct fan_hsm *fan);

/* Puts groups and memory into the store. */
void fan_hsm_notify_store(const struct fan_hsm_shared *s, int memory);

void fan_hsm_notify_ready(void);
void fan_hsm_notify_stopping(void);

/* To be called so often, in milliseconds, @most at most: feeds the watchdog. */
void fan_hsm_notify_alive(void);
int fan_hsm_notify_tick_ms(int most);

#endif
