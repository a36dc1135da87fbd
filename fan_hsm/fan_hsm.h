/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_FAN_HSM_H
#define FAN_HSM_FAN_HSM_H
/* The fanotify front-end's one object; each module below owns a part of it. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fan_hsm/options.h"
#include "hsm/hsm.h"

struct fan_hsm_answers;
struct fan_hsm_changes;
struct fan_hsm_readers;
struct fan_hsm_scheme;
struct fan_hsm_marked_dirs;
struct fan_hsm_shared;

/* How reader threads treat an event. */
enum fan_hsm_phase {
	FAN_HSM_STARTING, /* the core is not open: only events of this process are answered */
	FAN_HSM_SERVING, /* ask the core, wait for fills */
	FAN_HSM_ENDING, /* the core must not be called: deny EIO what has something to fill */
};

/* What a mark is on, and for; see group.h. */
enum fan_hsm_mark {
	FAN_HSM_MARK_NAMES, /* a directory without its names: asks when it is opened */
	FAN_HSM_MARK_PARENT, /* a directory: asks for the files in it */
	FAN_HSM_MARK_FILE, /* a file: asks */
	FAN_HSM_MARK_IGNORE, /* a file with nothing to fill: asks no more; goes with the inode */
	FAN_HSM_MARK_IGNORE_CHANGES, /* ... and its changes need not be told */
	FAN_HSM_MARK_COUNT
};

/* Counters for status; relaxed. */
struct fan_hsm_counters {
	_Atomic uint64_t set[FAN_HSM_MARK_COUNT];
	_Atomic uint64_t removed[FAN_HSM_MARK_COUNT];
	_Atomic uint64_t mark_errors;
	_Atomic uint64_t
		fd_errors; /* events without descriptor: the kernel denied them (EPERM) */
	_Atomic uint64_t overflows; /* the kernel allowed events without asking */
	_Atomic uint64_t read_errors;
};

/* What the walk at start found. */
struct fan_hsm_walk {
	uint64_t directories;
	uint64_t files; /* whose state was looked at; 0 under schemes that need not know */
	uint64_t
		marked; /* directories without names, and what the scheme marks for missing bytes */
	uint64_t ns;
};

struct fan_hsm {
	struct hsm *h;
	const struct hsm_options *opt;
	const struct fan_hsm_options *own;
	uint64_t cache_id; /* whose stubs are ours, also when the core has ended */
	pid_t pid; /* events of this process are never waited for */
	int data_group; /* FAN_PRE_ACCESS, or FAN_ACCESS_PERM */
	int dir_group; /* FAN_OPEN_PERM|FAN_ONDIR on directories without their names */
	int change_group; /* what users changed */
	bool changes_by_fd; /* told with a descriptor, not a file handle */
	struct fan_hsm_shared *shared; /* outlives this process */
	int shared_fd; /* the memfd it is in */
	struct fan_hsm_answers *answers;
	struct fan_hsm_changes *changes;
	struct fan_hsm_readers *readers;
	_Atomic int phase;
	_Atomic unsigned int in_core; /* reader threads that may be inside the core */
	const struct fan_hsm_scheme *scheme; /* of --marks */
	struct fan_hsm_marked_dirs *marked_dirs; /* --marks dir */
	bool marks_kept; /* the groups have the marks of a worker that died */
	struct fan_hsm_counters count;
	struct fan_hsm_walk walk;
};

#endif
