/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H
/* One call of `hsmbench run`: where it works, what it serves, where its results go. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "harness/origin.h"
#include "harness/state.h"
#include "harness/vars.h"

struct bench_session_options {
	const char *workloads, *engines, *fs, *preset, *out, *work, *data;
	unsigned int blocks; /* 0 = the preset's */
	uint64_t seed;
	bool keep;
	bool trace; /* one more block, in which FUSE requests are traced */
};

struct bench_session {
	struct bench_session_options opt;
	char *id; /* UTC time and a random part */
	char *home; /* see bench_catalog_home() */
	char *bin; /* directory of the programs */
	char *data; /* of the generator */
	char *work; /* private directory, held */
	char *results; /* of the result set */
	int runs_fd; /* runs.jsonl */
	struct bench_vars *vars; /* bin, home */
	struct bench_state *held;
	struct bench_origin origin;
	unsigned int failed, skipped, done; /* lines written */
	bool mismatch;
};

/* Path of @name in raw/, owned. */
char *bench_session_raw(const struct bench_session *s, const char *name);

/* Writes a JSON file of the result set and makes it durable. -errno + text. */
int bench_session_write_json(
	const struct bench_session *s, const char *name, const json_t *json);

/* Appends one line to runs.jsonl, makes it durable, counts its status. -errno + text. */
int bench_session_append(struct bench_session *s, const json_t *line);

/*
 * Releases dead sessions, makes id, work directory and result set, starts the origin. @opt is
 * copied, its strings borrowed. -errno + text. End with bench_session_close(), also after a
 * failure.
 */
int bench_session_open(struct bench_session *s, const struct bench_session_options *opt);

/* Gives back all that is held unless opt.keep. -errno + text. */
int bench_session_close(struct bench_session *s);

#endif
