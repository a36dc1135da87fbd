/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_OPTIONS_H
#define FAN_HSM_OPTIONS_H
/* The options of fan_hsm itself; those of the core are in hsm/options.h. */
#include <stdbool.h>

#include "hsm/options.h"

/* What is watched. Coverage and cost of each: docs/marks.md. */
enum fan_hsm_marks {
	FAN_HSM_MARKS_FS,
	FAN_HSM_MARKS_MOUNT,
	FAN_HSM_MARKS_DIR,
	FAN_HSM_MARKS_INODE
};

enum fan_hsm_events { FAN_HSM_PRE_ACCESS, FAN_HSM_ACCESS_PERM };

/* What is filled when a file with missing bytes is mapped; growth of a mapping raises no event. */
enum fan_hsm_mmap {
	FAN_HSM_MMAP_RANGE, /* what was mapped */
	FAN_HSM_MMAP_WHOLE, /* all of the file, if something of the mapping is missing */
	FAN_HSM_MMAP_STRICT, /* all of the file, whatever is there: costs a look at each caller */
};

struct fan_hsm_options {
	unsigned int readers; /* threads on the data group */
	enum fan_hsm_marks marks;
	enum fan_hsm_events events;
	enum fan_hsm_mmap mmap;
	bool supervise; /* a process that holds the groups and replaces a worker that died */
	bool guard; /* a second one, that denies stubs when the supervisor is dead, too */
};

extern const struct hsm_option fan_hsm_option_rows[]; /* target: struct fan_hsm_options */
extern const char *const fan_hsm_marks_names[], *const fan_hsm_events_names[];

void fan_hsm_options_default(struct fan_hsm_options *opt);

#endif
