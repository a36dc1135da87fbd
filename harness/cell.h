/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_CELL_H
#define BENCH_CELL_H
/*
 * One workload under one engine in one block: a fresh file system, the engine on it, the
 * steps.
 */
#include "harness/daemon.h"
#include "harness/loopfs.h"
#include "harness/plan.h"
#include "harness/session.h"
#include "harness/trace.h"

struct bench_cell {
	struct bench_session *session;
	const struct bench_plan_cell *plan;
	struct bench_vars *vars; /* of the workload and of the environment */
	char *sums; /* checksum list of the input */
	char *origin_dir; /* the input */
	char *tree, *scratch; /* as expanded */

	/* The environment; valid while up. */
	bool up;
	size_t held_below; /* items of the session's state that are not ours */
	struct bench_loopfs fs;
	int fs_fd; /* root of the fs, opened before the engine can see it */
	struct bench_daemon daemon;
	struct bench_trace *trace; /* of a traced cell, else NULL */
	char **verified; /* `files` values that were read and compared here */
};

/*
 * Runs all steps and writes their lines. @why_not (may be NULL) is a reason to skip the cell.
 * A failure of what is measured is in the lines; -errno + text means that results cannot be
 * written or that the environment cannot be torn down.
 */
int bench_cell_run(
	struct bench_session *s, const struct bench_plan_cell *plan, const char *why_not);

#endif
