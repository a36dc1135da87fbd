/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_REQUESTS_H
#define BENCH_REQUESTS_H
/*
 * FUSE requests by type, as the kernel sees them: from fuse_request_send to fuse_request_end of
 * the text that a tracefs instance gives, matched by the number of the request. No reading and
 * no switching: trace.c does. FORGET has no answer and does not appear.
 */
#include <jansson.h>
#include <stdint.h>

struct bench_requests;

struct bench_requests *bench_requests_new(void);
void bench_requests_free(struct bench_requests *r);

/* Takes one line of trace_pipe, with or without its newline; lines of anything else count not. */
void bench_requests_line(struct bench_requests *r, const char *line);

/*
 * Events without their other half: requests that were under way when tracing began or ended, or
 * whose other event was lost.
 */
uint64_t bench_requests_unmatched(const struct bench_requests *r);

/*
 * {"READ": {"count", "errors", "p50_ns", "p99_ns", "hist": {"unit", "bins"}}, ...} of the
 * answered requests; types without a name are numbers. New reference.
 */
json_t *bench_requests_json(const struct bench_requests *r);

/*
 * The same of what a daemon counted between two states of its table, {"read": {"count",
 * "errors", "hist_ns": [[ns, n], ...]}, ...}; either may be NULL. New reference.
 */
json_t *bench_requests_delta(const json_t *before, const json_t *after);

/* Events the kernel dropped, from the text of a per_cpu/cpuN/stats file. */
uint64_t bench_requests_lost(const char *stats);

#endif
