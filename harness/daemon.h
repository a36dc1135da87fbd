/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_DAEMON_H
#define BENCH_DAEMON_H
/*
 * An engine at work: what its manifest says, executed. An engine without `start` has no
 * daemon.
 */
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "harness/engine.h"
#include "harness/state.h"

struct bench_daemon {
	const struct bench_engine *engine;
	const struct bench_vars *vars;
	pid_t pid; /* 0 = none */
};

/*
 * Runs setup and start; output goes to @log. Members are set first and borrowed. On success
 * the daemon serves and its pid is held. -errno + text with the last line of the log.
 */
int bench_daemon_start(struct bench_daemon *d, struct bench_state *held, const char *log);

/*
 * What `status` prints, kept at @raw_path (may be NULL). *ret_status is a new reference, NULL
 * without a daemon. -errno + text.
 */
int bench_daemon_status(
	const struct bench_daemon *d, const char *raw_path, json_t **ret_status);

/* Asks it to end and waits. -errno + text: it has to be killed, see bench_release(). */
int bench_daemon_stop(struct bench_daemon *d);

/* True without a daemon. */
bool bench_daemon_alive(const struct bench_daemon *d);

#endif
