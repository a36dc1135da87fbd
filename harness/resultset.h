/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_RESULTSET_H
#define BENCH_RESULTSET_H
/*
 * A result set read back: manifest.json, plan.json and runs.jsonl of a directory, its runs sorted
 * into cells by workload, step, cache state and engine. All strings belong to the set.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "harness/hist.h"

enum bench_result_status { BENCH_RESULT_OK, BENCH_RESULT_FAILED, BENCH_RESULT_SKIPPED };

/* One line of runs.jsonl. */
struct bench_result_run {
	enum bench_result_status status;
	const char *reason; /* "" when ok */
	long long block;
	json_t *line;
};

struct bench_result_cell {
	const char *group, *workload, *step, *state, *engine;
	const char *title, *main; /* "" when no run says */
	size_t order; /* of first appearance, for steps within a workload */
	struct bench_result_run *run;
	size_t run_count;
};

struct bench_resultset {
	const char *dir;
	const char *id;
	json_t *manifest, *plan; /* an empty object when the file is missing */
	json_t *lines; /* what the cells are made of */
	json_t *traced; /* lines of traced runs, which are in no cell */
	struct bench_result_cell *cell; /* by group, workload, step as run, state, engine */
	size_t cell_count;
	const char **engine; /* base first, then as planned, then by name */
	size_t engine_count;
	const char *base; /* engine the others are compared with: "native" if present */
	size_t run_count, dropped_lines;
	bool torn; /* the last line was cut short: the session was killed while writing */
};

/*
 * Reads @dir. A missing runs.jsonl, or a manifest.json that is not JSON, is an error; lines that
 * cannot be read are counted and left out. -errno + text. Caller frees.
 */
int bench_resultset_open(const char *dir, struct bench_resultset **ret_set);
void bench_resultset_free(struct bench_resultset *set);

/* The cell, or NULL. */
const struct bench_result_cell *bench_resultset_cell(const struct bench_resultset *set,
	const char *workload, const char *step, const char *state, const char *engine);

/* Makes @engine the base and puts it first. -ENOENT + text if no run has it. */
int bench_resultset_rebase(struct bench_resultset *set, const char *engine);

/*
 * Was the cell skipped because it makes no sense, not because something is missing? So is native in
 * cold-origin, where it has nothing to wait for, and what says "not applicable".
 */
bool bench_resultset_inapplicable(const struct bench_result_cell *cell);

size_t bench_resultset_count(
	const struct bench_result_cell *cell, enum bench_result_status status);

/*
 * Values of @metric in the ok runs that have it, at most run_count of them. "cpu" is the sum of
 * user, sys and daemon_cpu. Returns how many. *ret_metric: a metric object of them, for unit and
 * better, borrowed; untouched if there is none; may be NULL.
 */
size_t bench_resultset_values(const struct bench_result_cell *cell, const char *metric,
	double *ret_values, const json_t **ret_metric);

/* Adds the histogram @name of the ok runs to @h. Returns how many runs had it. */
size_t bench_resultset_hist(
	const struct bench_result_cell *cell, const char *name, struct bench_hist *h);

/* Sorts states the way a file meets them: cold-origin, cold-cache, warm, then by name. */
int bench_resultset_compare_states(const char *a, const char *b);

/* A string at a dotted path such as "kernel.release", or "" if there is none. */
const char *bench_resultset_text(const json_t *object, const char *path);
const json_t *bench_resultset_at(const json_t *object, const char *path);

#endif
