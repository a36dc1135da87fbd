/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H
/*
 * "cell 3/36  tar  fan-fs  ETA 4:05" on stderr: one line that changes on a terminal, else one
 * per cell.
 */
#include "harness/plan.h"

struct bench_progress {
	const struct bench_plan *plan;
	uint64_t *took_ns; /* per cell of the plan, 0 = not run */
	size_t at;
	uint64_t start_ns;
	bool tty;
};

void bench_progress_init(struct bench_progress *p, const struct bench_plan *plan);
void bench_progress_release(struct bench_progress *p);

/* Cell @at begins. */
void bench_progress_begin(struct bench_progress *p, size_t at);
void bench_progress_end(struct bench_progress *p);

/*
 * Expected time of the cells from @at on: what the same workload and engine took, else what
 * any cell took; 0 = unknown.
 */
uint64_t bench_progress_left_ns(const struct bench_progress *p);

/* Ends the changing line. */
void bench_progress_clear(const struct bench_progress *p);

#endif
