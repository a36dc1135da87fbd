/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_METRICS_H
#define BENCH_METRICS_H
/* The array "metrics" of a line of runs.jsonl. */
#include <jansson.h>
#include <stdint.h>

/* Appends; unit and direction follow from the name: wall, first_line, user, ... */
void bench_metrics_add(json_t *metrics, const char *name, double value);

/* Moves the metrics named in @order (may be NULL) to the front, in its order. */
void bench_metrics_sort(json_t *metrics, char *const *order);

/* after - before of every number of two objects, new reference. */
json_t *bench_metrics_delta(const json_t *before, const json_t *after);

#endif
