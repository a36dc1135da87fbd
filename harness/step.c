/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One step of a cell in its states, in this order:
 *
 *   cold-origin   the origin's files are brought into its memory, the command runs, then the
 *                 files are read through the engine and compared with the origin
 *   cold-cache    (compared first, if cold-origin did not) caches dropped, found empty, command
 *   warm          command unmeasured, command
 *
 * Everything but the command is outside of the measured time.
 */
#include "harness/step_run.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/err.h"
#include "harness/fio.h"
#include "harness/line.h"
#include "harness/metrics.h"
#include "harness/pagecache.h"
#include "harness/sample.h"
#include "harness/signals.h"
#include "harness/util.h"

#define OUT_KEPT_BYTES 4096 /* of what a measured command prints */
#define ATTEMPTS       3 /* of a run that something else on the machine has disturbed */

static void fail(struct bench_step_run *r, int err)
{
	bench_line_status(
		r->line, err == -EINTR ? "skipped" : "failed", "%s", bench_err_text());
	r->broken = true;
}

static void add_times(struct bench_step_run *r, const struct bench_exec *e)
{
	json_t *metrics = json_object_get(r->line, "metrics");
	double wall_ns = (double)(e->end_ns - e->start_ns), ops = 0;
	auto_free char *text = NULL;

	json_object_set_new(
		r->line, "start_wall_ns", json_integer((json_int_t)e->start_wall_ns));
	json_object_set_new(r->line, "start_ns", json_integer((json_int_t)e->start_ns));
	json_object_set_new(r->line, "end_ns", json_integer((json_int_t)e->end_ns));
	bench_metrics_add(metrics, "wall", wall_ns);
	if (e->first_byte_ns && r->step->kind == BENCH_STEP_COMMAND)
		bench_metrics_add(
			metrics, "first_line", (double)(e->first_byte_ns - e->start_ns));
	bench_metrics_add(metrics, "user", (double)e->user_ns);
	bench_metrics_add(metrics, "sys", (double)e->sys_ns);
	if (r->step->ops && bench_vars_expand(r->cell->vars, r->step->ops, &text) == 0)
		ops = strtod(text, NULL);
	if (ops > 0 && wall_ns > 0)
		bench_metrics_add(metrics, "rate", ops * (double)BENCH_NSEC / wall_ns);
}

static void unlink_if_empty(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size == 0)
		unlink(path);
}

/* @ret unless the daemon has died, which explains whatever failed. */
static int check_alive(struct bench_step_run *r, int ret)
{
	if (ret == -EPIPE || bench_daemon_alive(&r->cell->daemon))
		return ret;
	return bench_err(EPIPE, "the daemon of %s died (%s)", r->cell->plan->engine->name,
		ret < 0 ? bench_err_text() : "the command did not notice");
}

/* The measured command, traced if its cell is. */
static int execute(struct bench_step_run *r, const char *fio_output, struct bench_exec *e)
{
	struct bench_cell *c = r->cell;
	int ret = c->trace ? bench_trace_start(c->trace, bench_vars_get(c->vars, "mnt")) : 0;

	if (ret < 0)
		return ret;
	ret = check_alive(r, bench_step_execute(r, fio_output, e));
	if (c->trace)
		bench_trace_stop(c->trace, r->line);
	return ret;
}

/* The measured command between two samples. */
static int measure(struct bench_step_run *r)
{
	auto_free char *out = bench_fmt("%s.out", r->raw);
	auto_free char *err = bench_fmt("%s.err", r->raw);
	auto_free char *json = bench_fmt("%s.fio.json", r->raw);
	auto_free char *status0 = bench_fmt("%s.status0.json", r->raw);
	auto_free char *status1 = bench_fmt("%s.status1.json", r->raw);
	struct bench_exec e = {
		.out_path = out,
		.out_max_bytes = OUT_KEPT_BYTES,
		.err_path = err,
	};
	struct bench_sample before = {0}, after = {0};
	int ret;

	unlink(out);
	unlink(err);
	ret = bench_sample_take(r->cell, status0, &before);
	/* Again, since looking at the files has brought their inodes back. */
	if (ret == 0)
		ret = r->state == BENCH_COLD_CACHE ? bench_pagecache_drop(r->cell->fs_fd)
						   : bench_pagecache_sync(r->cell->fs_fd);
	if (ret == 0)
		ret = execute(r, json, &e);
	if (e.end_ns)
		add_times(r, &e);
	if (ret == 0 && r->step->kind == BENCH_STEP_FIO)
		ret = bench_fio_parse(json, json_object_get(r->line, "metrics"),
			json_object_get(r->line, "hist"));
	if (ret == 0)
		ret = bench_sample_take(r->cell, status1, &after);
	if (ret == 0)
		bench_sample_compare(r->cell, r->step, r->state, &before, &after, r->line);
	bench_sample_release(&before);
	bench_sample_release(&after);
	unlink_if_empty(out);
	unlink_if_empty(err);
	return ret;
}

static void run_state(struct bench_step_run *r)
{
	int ret = bench_step_enter(r);

	if (ret == 0)
		ret = measure(r);
	ret = check_alive(r, ret);
	if (ret == 0 && r->state == BENCH_COLD_ORIGIN)
		ret = bench_step_verify(r);
	if (ret == 0)
		ret = bench_step_clean(r);
	if (ret < 0)
		fail(r, ret);
	bench_metrics_sort(json_object_get(r->line, "metrics"), r->step->metrics);
}

/* Why the step does not run in this state, NULL if it does. */
static const char *not_applicable(const struct bench_step_run *r)
{
	const struct bench_engine *e = r->cell->plan->engine;

	if (!r->text)
		return "not applicable to this engine";
	if (r->state == BENCH_COLD_ORIGIN && !e->start &&
		!bench_step_overrides(r->step, e->name, r->state))
		return "nothing between the files and their origin";
	return NULL;
}

static void new_line(struct bench_step_run *r)
{
	r->line = bench_line_new(r->cell, r->step, r->state);
	json_object_set_new(
		r->line, "raw", json_string(r->raw + strlen(r->cell->session->results) + 1));
}

static void init_run(struct bench_step_run *r, struct bench_cell *cell,
	const struct bench_step *step, enum bench_run_state state)
{
	const struct bench_plan_cell *p = cell->plan;
	auto_free char *name = bench_fmt("%u-%s-%s-%s-%s", p->block, p->workload->name,
		p->engine->name, step->name, bench_state_names[state]);

	*r = (struct bench_step_run){
		.cell = cell,
		.step = step,
		.state = state,
		.text = bench_step_run(step, p->engine->name, state),
		.raw = bench_session_raw(cell->session, name),
	};
	new_line(r);
}

/*
 * Failed only because memory was not what the state says: somebody else filled or dropped it.
 */
static bool is_disturbed(const struct bench_step_run *r)
{
	const json_t *checks = json_object_get(r->line, "checks"), *check;
	size_t i, memory = 0;

	json_array_foreach (checks, i, check) {
		const char *name = json_string_value(json_object_get(check, "name"));

		if (json_is_true(json_object_get(check, "ok")))
			continue;
		if (strcmp(name, "cold") && strcmp(name, "device"))
			return false;
		memory++;
	}
	return memory && !r->broken && !bench_signals_count();
}

/* Starts the line again; the reason of the attempt that is thrown away stays in it. */
static void restart_line(struct bench_step_run *r, json_t *discarded)
{
	json_t *content = json_incref(json_array_get(json_object_get(r->line, "checks"), 0));

	json_array_append(discarded, json_object_get(r->line, "reason"));
	json_decref(r->line);
	new_line(r);
	json_object_set(r->line, "discarded", discarded);
	/* Not repeated, since it stays true. */
	if (!strcmp(json_string_value(json_object_get(content, "name")), "content"))
		json_array_append(json_object_get(r->line, "checks"), content);
	json_decref(content);
}

static void run_attempts(struct bench_step_run *r)
{
	json_t *discarded = json_array();

	run_state(r);
	for (int i = 1; i < ATTEMPTS && is_disturbed(r); i++) {
		restart_line(r, discarded);
		run_state(r);
	}
	json_decref(discarded);
}

static int end_run(struct bench_step_run *r)
{
	int ret = bench_session_append(r->cell->session, r->line);

	json_decref(r->line);
	free(r->raw);
	return ret;
}

int bench_step_measure(struct bench_cell *cell, const struct bench_step *step, bool *ret_fresh)
{
	const char *broken = NULL;
	int ret = 0;

	for (unsigned int i = 0; i < BENCH_STATES && ret == 0; i++) {
		struct bench_step_run r;
		const char *why;

		if (!(step->states & 1u << i))
			continue;
		init_run(&r, cell, step, i);
		why = broken ? broken : not_applicable(&r);
		if (why)
			bench_line_status(r.line, "skipped", "%s", why);
		else
			run_attempts(&r);
		if (r.broken)
			broken = bench_signals_count() ? "interrupted"
						       : "an earlier state failed";
		ret = end_run(&r);
	}
	*ret_fresh = broken != NULL;
	return ret;
}

int bench_step_record(struct bench_cell *cell, const struct bench_step *step,
	const char *status, const char *reason)
{
	int ret = 0;

	for (unsigned int i = 0; i < BENCH_STATES && ret == 0; i++) {
		struct bench_step_run r;

		if (!(step->states & 1u << i))
			continue;
		init_run(&r, cell, step, i);
		bench_line_status(r.line, status, "%s", reason);
		json_object_set_new(r.line, "raw", json_string(""));
		ret = end_run(&r);
	}
	return ret;
}
