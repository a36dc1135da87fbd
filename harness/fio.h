/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_FIO_H
#define BENCH_FIO_H
/* fio: a job file with placeholders in, metrics and histograms out. */
#include <jansson.h>

#include "harness/vars.h"

/* Writes @job with its placeholders replaced to @to. -errno + text. */
int bench_fio_expand(const char *job, const struct bench_vars *vars, const char *to);

/*
 * Reads the json+ output of fio at @path. Adds bw, iops, lat_p50, lat_p99 (from 1000
 * operations on), lat_p999 (from 10000) over all jobs and directions to @metrics, and
 * {"read": {"unit": "ns", "bins": [...]}} of completion latencies to @hist. -errno + text.
 */
int bench_fio_parse(const char *path, json_t *metrics, json_t *hist);

#endif
