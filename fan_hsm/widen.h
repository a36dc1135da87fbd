/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_WIDEN_H
#define FAN_HSM_WIDEN_H
/* What must be present before a caller goes on, which is not always what its event says. */
#include "fan_hsm/fan_hsm.h"

struct fan_hsm_range {
	uint64_t offset;
	uint64_t length; /* 0: to the end of file */
};

/*
 * @r, of an event of thread @tid on @file with something missing in it, becomes what is to be filled,
 * and why. False: nothing is. @file NULL: nothing is known of it.
 */
bool fan_hsm_widen(const struct fan_hsm *fan, struct hsm_file *file, pid_t tid,
	struct fan_hsm_range *r, enum hsm_fill_why *ret_why);

/* The same for an event whose range is present, of which only --mmap strict wants to know more. */
bool fan_hsm_widen_hit(const struct fan_hsm *fan, struct hsm_file *file, pid_t tid,
	struct fan_hsm_range *r, enum hsm_fill_why *ret_why);

#endif
