/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H
/*
 * The requests of one FUSE connection while a command runs, from the kernel's tracepoints
 * fuse:fuse_request_send and fuse:fuse_request_end, in a tracefs instance of our own. Times have
 * the microseconds of the trace's text. Tracing slows what it watches down: runs that are traced
 * are compared with nothing.
 */
#include <jansson.h>

#include "harness/state.h"

struct bench_trace;

/*
 * Mounts a tracefs at @dir/tracing and makes an instance; both are held, also after a failure.
 * -EOPNOTSUPP + text: this kernel has no such tracepoints.
 */
int bench_trace_new(struct bench_state *held, const char *dir, struct bench_trace **ret_t);

/* Closes; bench_release() removes the instance. */
void bench_trace_free(struct bench_trace *t);

/* Starts anew for the connection of the FUSE file system mounted at @mnt. -errno + text. */
int bench_trace_start(struct bench_trace *t, const char *mnt);

/*
 * Stops, after a moment for the requests nobody waits for, and adds to @line:
 * "kernel_requests", see requests.h, and "trace": {"connection", "lost", "unmatched"}. Does
 * nothing if it was not started.
 */
void bench_trace_stop(struct bench_trace *t, json_t *line);

/* Releases the item BENCH_HELD_TRACE @path: removes the instance. -errno + text. */
int bench_trace_remove(const char *path);

#endif
