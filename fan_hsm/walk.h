/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_WALK_H
#define FAN_HSM_WALK_H
/* The walk over CACHE/data at start: marks die with the groups. */
#include "fan_hsm/fan_hsm.h"

/* What is to be done with what it finds; NULL: not looked for. Called by several threads. */
struct fan_hsm_walk_ops {
	/* A directory whose names are missing. Negative errno: the walk ends with it. */
	int (*dir)(struct fan_hsm *fan, int dirfd);
	/*
	 * A file with missing bytes, the @nth one (0, 1, ...) found in its directory. 1: marked, 0: nothing
	 * to mark.
	 */
	int (*file)(struct fan_hsm *fan, int dirfd, const char *name, uint64_t nth);
	/* All files of a directory were looked at; @missing of them have missing bytes. Not for 0. */
	void (*dir_end)(struct fan_hsm *fan, int dirfd, uint64_t missing);
};

/* Counts and time are in fan->walk. 0 or negative errno + text: something stays unmarked. */
int fan_hsm_walk(struct fan_hsm *fan, const struct fan_hsm_walk_ops *ops);

/*
 * Names of regular files in the directory, and how many of them have missing bytes. For a directory
 * that may change meanwhile: who needs more certainty must know what can change. 0 or negative errno.
 */
int fan_hsm_walk_count(
	struct fan_hsm *fan, int dirfd, uint64_t *ret_names, uint64_t *ret_missing);

#endif
