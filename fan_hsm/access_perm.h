/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_ACCESS_PERM_H
#define FAN_HSM_ACCESS_PERM_H
/* --events access-perm: what is filled for an event that does not say what is read. */
#include "fan_hsm/widen.h"

/*
 * Thread @tid waits to read @file, of which something is missing. 1: what it reads is there; 0: when
 * *ret_range is filled it is; -EIO: it must not go on.
 */
int fan_hsm_access_perm(struct hsm_file *file, pid_t tid, struct fan_hsm_range *ret_range);

#endif
