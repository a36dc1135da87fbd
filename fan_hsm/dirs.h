/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_DIRS_H
#define FAN_HSM_DIRS_H
#include "fan_hsm/fan_hsm.h"

/*
 * Marks die with the daemon: walks CACHE/data and marks every directory whose names (in namespace
 * mode ahead: or those one level below) are missing. Result in fan->walk. 0 or negative
 * errno + text; a directory that could not be marked is an error, since it would look empty.
 */
int fan_hsm_dirs_mark(struct fan_hsm *fan);

#endif
