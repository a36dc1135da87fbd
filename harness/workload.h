/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H
/*
 * A workload manifest, workloads/NAME.ini. Values are kept as written; placeholders are
 * expanded when a cell runs.
 *
 *   [workload]
 *   name = tar                  default: the file's name
 *   title = tar archives
 *   group = archive             reports have one table per group
 *   input = tar                 data set of the generator; the origin serves this directory
 *   tags = archive real
 *   device_bytes = 8GiB         size of the (sparse) file system
 *   needs = tar gzip            programs
 *
 *   [preset quick]              also default, publish (which falls back to default)
 *   files = 2000                becomes ${param.files}
 *
 *   [step list]                 steps run in this order on one file system and cache
 *   title = list a tarball
 *   kind = command | fio
 *   run = tar tzf ${tree}/a.tar.gz      sh -c, in ${scratch}
 *   run.native.cold-origin = ...        instead, for this ENGINE or ENGINE.STATE;
 *                                       '-' = not applicable
 *   job = fio/seqread.fio       kind fio: relative to the manifest; placeholders are expanded
 *   states = cold-origin cold-cache warm
 *   names = cold | known        known: the directories above the step's files were listed
 *                               before cold-origin, as a user would have; default: known
 *                               if every entry of files is a plain path
 *   files = a.tar.gz            what the step reads: patterns of fnmatch(3), where '*' also
 *                               matches '/', on paths below ${tree}; compared with the
 *                               origin after cold-origin
 *   metrics = wall first_line fetched   order of importance
 *   main = wall
 *   ops = ${param.files}        operations done by one run; adds the metric rate
 *   accept = 0 1                exit codes that are no failure
 *   timeout = 300               seconds
 *   restart = yes               fresh file system and cache before this step
 *   prepare = ...               not measured, before each run
 *   cleanup = ...               not measured, after each run; ${scratch} is emptied anyway
 *   reads = yes | no            must a cold-cache run read the device? default yes
 *   needs = unzip
 *
 * Placeholders: ${tree} ${scratch} (a directory on the same file system, outside the tree)
 * ${origin_dir} (the input) ${data} (the same) ${url} (of the input) ${bin} ${param.X}.
 */
#include <stdbool.h>
#include <stdint.h>

#include "harness/vars.h"

enum bench_run_state {
	BENCH_COLD_ORIGIN, /* no content of the step's files is local */
	BENCH_COLD_CACHE, /* everything is local, nothing is in memory */
	BENCH_WARM, /* a run just before has touched the same */
	BENCH_STATES,
};

extern const char *const bench_state_names[BENCH_STATES];

enum bench_step_kind { BENCH_STEP_COMMAND, BENCH_STEP_FIO };

struct bench_override {
	char *key; /* "ENGINE" or "ENGINE.STATE" */
	char *run;
};

struct bench_step {
	char *name, *title, *run, *job, *main, *ops, *prepare, *cleanup, *files, *accept;
	enum bench_step_kind kind;
	unsigned int states; /* bit per bench_run_state */
	char **metrics, **needs;
	enum { BENCH_NAMES_AUTO, BENCH_NAMES_COLD, BENCH_NAMES_KNOWN } names;
	bool restart, no_reads;
	uint64_t timeout_ns;
	struct bench_override *override;
	unsigned int overrides;
};

struct bench_param {
	char *preset, *name, *value;
};

struct bench_workload {
	char *name, *title, *group, *input, *dir; /* dir: of the manifest */
	char **tags, **needs;
	uint64_t device_bytes;
	struct bench_step *step;
	unsigned int steps;
	struct bench_param *param;
	unsigned int params;
};

/* *ret_w is owned. -errno + text naming file and line. */
int bench_workload_load(const char *path, struct bench_workload **ret_w);
void bench_workload_free(struct bench_workload *w);

/* Sets param.X of @preset; publish falls back to default, name by name. */
void bench_workload_params(
	const struct bench_workload *w, const char *preset, struct bench_vars *vars);

/*
 * What the step runs for this engine and state, most specific first: run.ENGINE.STATE,
 * run.ENGINE, run. NULL = not applicable ('-', or a step that has neither run nor job).
 * Borrowed.
 */
const char *bench_step_run(
	const struct bench_step *s, const char *engine, enum bench_run_state state);

/* Does the step override @state for @engine explicitly? */
bool bench_step_overrides(
	const struct bench_step *s, const char *engine, enum bench_run_state state);

/* Is @code (exit code of the command) no failure? */
bool bench_step_accepts(const struct bench_step *s, int code);

/* Should the directories above the files be listed before cold-origin? */
bool bench_step_names_known(const struct bench_step *s);

#endif
