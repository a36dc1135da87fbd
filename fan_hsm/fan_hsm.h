/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_FAN_HSM_H
#define FAN_HSM_FAN_HSM_H
/* The fanotify front-end's one object; each module below owns a part of it. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hsm/hsm.h"

struct fan_hsm_answers;
struct fan_hsm_readers;

/* How reader threads treat an event. */
enum fan_hsm_phase {
	FAN_HSM_SERVING, /* ask the core, wait for fills */
	FAN_HSM_ENDING, /* the core must not be called: deny EIO what has something to fill */
};

/* Counters for status; relaxed. */
struct fan_hsm_counters {
	_Atomic uint64_t ignore_set; /* evictable ignore marks on files with nothing to fill */
	_Atomic uint64_t dir_set; /* marks on directories without their names */
	_Atomic uint64_t dir_removed;
	_Atomic uint64_t mark_errors;
	_Atomic uint64_t
		fd_errors; /* events without descriptor: the kernel denied them (EPERM) */
	_Atomic uint64_t overflows; /* the kernel allowed events without asking */
	_Atomic uint64_t read_errors;
};

/* What the walk at start found. */
struct fan_hsm_walk {
	uint64_t directories;
	uint64_t marked;
	uint64_t ns;
};

struct fan_hsm {
	struct hsm *h;
	const struct hsm_options *opt;
	uint64_t cache_id; /* whose stubs are ours, also when the core has ended */
	pid_t pid; /* events of this process are never waited for */
	int data_group; /* FAN_PRE_ACCESS on the file system */
	int dir_group; /* FAN_OPEN_PERM|FAN_ONDIR on directories without their names */
	struct fan_hsm_answers *answers;
	struct fan_hsm_readers *readers;
	_Atomic int phase;
	_Atomic unsigned int in_core; /* reader threads that may be inside the core */
	struct fan_hsm_counters count;
	struct fan_hsm_walk walk;
};

#endif
