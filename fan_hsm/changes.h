/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_CHANGES_H
#define FAN_HSM_CHANGES_H
/*
 * What users write, told after it happened: from the kernel's queue to hsm_fd_written(). One thread
 * of its own, which may wait for the disk; nobody waits for it but who asks to settle.
 */
#include <jansson.h>

#include "fan_hsm/fan_hsm.h"

/* After hsm_open(); marks may exist already. @cache: the path users see. 0 or negative errno + text. */
int fan_hsm_changes_start(struct fan_hsm *fan, const char *cache);

/* Tells the core all that is queued, then ends the thread. Before hsm_close(). */
void fan_hsm_changes_stop(struct fan_hsm *fan);
/* After hsm_close(): the core may ask until then, and is told -EBUSY. */
void fan_hsm_changes_free(struct fan_hsm *fan);

/*
 * Returns when the core has been told every change made before the call. @fd: the file it is
 * asked for; if there is a lease on it that somebody breaks meanwhile, perhaps the thread
 * itself that has such a change to tell, or if it takes too long: -EBUSY.
 */
int fan_hsm_changes_settle(struct fan_hsm *fan, int fd);

/* Adds "changes". */
void fan_hsm_changes_status(struct fan_hsm *fan, json_t *into);

#endif
