/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_WORKER_H
#define FAN_HSM_WORKER_H
/* The process that serves: core, readers, marks. With a supervisor or alone. */
#include "fan_hsm/fan_hsm.h"

/* The signals it takes in a thread of its own, blocked before any thread exists. */
void fan_hsm_worker_block_signals(void);

/*
 * Serves until it is asked to end. @fan: groups, shared memory and options are set. The result of the
 * start goes to the supervisor, or with hsm_daemon_ready() if there is none. Returns the exit code.
 */
int fan_hsm_worker_run(struct fan_hsm *fan, const char *origin, const char *cache);

/* Is there a supervisor, and has it died? */
bool fan_hsm_worker_is_orphan(const struct fan_hsm *fan);

#endif
