/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_ORIGIN_H
#define BENCH_ORIGIN_H
/*
 * The origin: one nginx per session on a free loopback port, with its own configuration and
 * files.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "harness/state.h"

struct bench_origin {
	pid_t pid;
	unsigned int port;
	uint64_t own_requests; /* of bench_origin_requests() */
};

/*
 * Serves the directories in @root as http://127.0.0.1:PORT/NAME/ with JSON listings; files of
 * nginx go to @dir (created). Returns once it answers. @keep: it outlives this process.
 * -errno + text.
 */
int bench_origin_start(struct bench_state *held, const char *dir, const char *root, bool keep,
	struct bench_origin *ret_o);

/*
 * Requests served so far, counted by nginx itself, this question left out; 0 if it does not
 * answer.
 */
uint64_t bench_origin_requests(struct bench_origin *o);

bool bench_origin_alive(const struct bench_origin *o);

#endif
