/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_PROC_H
#define BENCH_PROC_H
/*
 * Facts about processes. Every process a session starts carries its id in the environment
 * variable BENCH_PROC_TAG, so that daemons which left the process group are found again, also
 * by a later `hsmbench clean`.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BENCH_PROC_TAG "HSMBENCH_SESSION"

/* Tags everything started from now on; also makes the caller the parent of orphaned daemons. */
void bench_proc_tag(const char *session);

/* CPU time of all threads, also ended ones, in ns; 0 if there is no such process. */
uint64_t bench_proc_cpu_ns(pid_t pid);

uint64_t bench_proc_rss_bytes(pid_t pid);

/*
 * Start time in clock ticks since boot, which tells a process from a later one of the same
 * pid; 0 = none.
 */
uint64_t bench_proc_start(pid_t pid);

/* A zombie is not alive; one that is our child is reaped. */
bool bench_proc_alive(pid_t pid);

/*
 * Ends one process: SIGTERM, after @grace_ns SIGKILL. 0 = gone; -ETIMEDOUT + text.
 */
int bench_proc_end(pid_t pid, uint64_t grace_ns);

/* Ends every process of @session but the caller. 0 = none is left; -ETIMEDOUT + text. */
int bench_proc_end_tagged(const char *session, uint64_t grace_ns);

/*
 * Writes command line, wait channel and kernel stack of every task of the tagged session to
 * @path.
 */
void bench_proc_stacks(const char *path);

#endif
