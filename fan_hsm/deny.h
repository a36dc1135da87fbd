/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_DENY_H
#define FAN_HSM_DENY_H
/* Answers without a worker: what has bytes or names missing is denied EIO, the rest allowed. */
#include "fan_hsm/shared.h"

/*
 * Does the inode itself say that bytes or names are missing? -EIO, or 0: complete, local, or of
 * another cache than @cache_id. @fd: any but O_PATH. Asks no network and waits for nobody.
 */
int fan_hsm_deny_if_stub(uint64_t cache_id, int fd);

/*
 * Reads what is queued in the groups of @s and answers it. Only when no worker lives and nothing is
 * LEFT; one read(2) a group, which does not block.
 */
void fan_hsm_deny_queued(struct fan_hsm_shared *s);

#endif
