/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_SUPERVISOR_H
#define FAN_HSM_SUPERVISOR_H
/*
 * The process that holds the groups and replaces a worker that died. Small: one thread, no network,
 * no core. docs/supervisor.md says what each death means.
 */
#include "fan_hsm/fan_hsm.h"

/*
 * Runs until the worker ends in order, or cannot be started at all. @fan: groups and shared memory
 * are open. @takeover: connection to a guard whose duty ends when the worker serves, or -1; owned.
 * Tells hsm_daemon_ready(). Returns the exit code.
 */
int fan_hsm_supervisor_run(
	struct fan_hsm *fan, const char *origin, const char *cache, int takeover);

#endif
