/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_EXPOSED_H
#define FAN_HSM_EXPOSED_H
#include "fan_hsm/fan_hsm.h"

/*
 * The kernel decides at open(2) whether a descriptor ever raises events: one from before the marks
 * never does, and reads zeros where bytes are missing. Finds such descriptors and mappings in
 * /proc and makes what they are open on complete; each is logged with its process. To be called when
 * the marks exist, before users are told that all is well. Cannot see descriptors in flight (in a
 * socket's queue, registered with io_uring). 0, or negative errno + text naming process and path if
 * something could not be filled.
 */
int fan_hsm_exposed_repair(struct fan_hsm *fan);

#endif
