/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H
/* What is read before and after a measured command, outside of its time. */
#include "harness/cell.h"

struct bench_sample {
	json_t *status; /* of the daemon, NULL without one */
	uint64_t requests; /* at the origin */
	uint64_t device_bytes; /* read from the device */
	uint64_t daemon_cpu_ns;
};

/* @raw_path (may be NULL): where the status is kept. -errno + text. */
int bench_sample_take(
	struct bench_cell *cell, const char *raw_path, struct bench_sample *ret_s);
void bench_sample_release(struct bench_sample *s);

/*
 * Fills counters, negotiated and the metrics fetched, requests, daemon_cpu and rss of @line, of a
 * traced cell daemon_requests too, then checks that the run was what @state says, see sample.c.
 */
void bench_sample_compare(struct bench_cell *cell, const struct bench_step *step,
	enum bench_run_state state, const struct bench_sample *before,
	const struct bench_sample *after, json_t *line);

#endif
