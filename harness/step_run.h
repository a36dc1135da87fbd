/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_STEP_RUN_H
#define BENCH_STEP_RUN_H
/* One run of a step in one state, shared by the files that make it up: step*.c. */
#include "harness/exec.h"
#include "harness/step.h"

struct bench_step_run {
	struct bench_cell *cell;
	const struct bench_step *step;
	enum bench_run_state state;
	const char *text; /* command or job as in the manifest */
	char *raw; /* stem of the paths in raw/ */
	json_t *line;
	bool broken; /* the environment cannot be trusted any more */
};

/*
 * Runs the step's command or job once, in the scratch directory. @e: paths in, results out.
 * 0; -EINTR, -ETIMEDOUT, -EIO (exit code) + text.
 */
int bench_step_execute(struct bench_step_run *r, const char *fio_output, struct bench_exec *e);

/* Runs it once for its effect on caches, cleans up and prepares again. -errno + text. */
int bench_step_rehearse(struct bench_step_run *r);

/* Runs the manifest's prepare, if any. -errno + text. */
int bench_step_prepare(struct bench_step_run *r);

/* Runs the manifest's cleanup, if any, and empties the scratch directory. -errno + text. */
int bench_step_clean(struct bench_step_run *r);

/*
 * Reads the files through the engine and compares them with the origin, once per
 * environment; adds the check "content". -EILSEQ + text: they differ.
 */
int bench_step_verify(struct bench_step_run *r);

/* Brings the machine into the state of the run. -errno + text. */
int bench_step_enter(struct bench_step_run *r);

#endif
