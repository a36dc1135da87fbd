/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_STEP_H
#define BENCH_STEP_H
#include "harness/cell.h"

/*
 * Runs @step in each of its states and writes one line each. *ret_fresh: something went wrong
 * that the next step must not inherit. -errno + text: results cannot be written.
 */
int bench_step_measure(struct bench_cell *cell, const struct bench_step *step, bool *ret_fresh);

/* Writes a line for each state of @step: "skipped" or "failed" for @reason. */
int bench_step_record(struct bench_cell *cell, const struct bench_step *step,
	const char *status, const char *reason);

#endif
