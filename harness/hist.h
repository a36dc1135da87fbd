/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H
/*
 * Latency histograms as stored in runs.jsonl: fio's log-linear bins (64 a power of two, 29
 * groups; stat.h of fio), which the daemons use too, so that all of them merge. A bin is known
 * by its middle in nanoseconds and is at most 1/64 of its value wide.
 */
#include <jansson.h>
#include <stdint.h>

#define BENCH_HIST_BITS 6
#define BENCH_HIST_VALS (1u << BENCH_HIST_BITS)
#define BENCH_HIST_BINS (29 * BENCH_HIST_VALS)

struct bench_hist {
	uint64_t total;
	uint64_t count[BENCH_HIST_BINS];
};

/* Bin of a value; values of 2^34 ns and more are in the last one. */
unsigned int bench_hist_index(uint64_t ns);

/* Smallest value of a bin, and its middle as fio prints it. */
uint64_t bench_hist_low_ns(unsigned int index);
uint64_t bench_hist_middle_ns(unsigned int index);

void bench_hist_add(struct bench_hist *h, uint64_t ns, uint64_t count);
void bench_hist_merge(struct bench_hist *to, const struct bench_hist *from);

/* Adds {"bins": [[middle_ns, count], ...]}. -EINVAL, with @h unchanged, if it is not that. */
int bench_hist_read(struct bench_hist *h, const json_t *object);

/* {"unit": "ns", "bins": [...]} of what is not 0, new reference. */
json_t *bench_hist_json(const struct bench_hist *h);

/*
 * Nearest rank: the middle of the first bin at or below which at least @fraction (0..1) of the
 * samples lie, as fio computes its percentiles. 0 for an empty histogram.
 */
uint64_t bench_hist_percentile_ns(const struct bench_hist *h, double fraction);

/* Fraction of the samples in the bin of @ns or a lower one; 0 for an empty histogram. */
double bench_hist_cdf(const struct bench_hist *h, uint64_t ns);

#endif
