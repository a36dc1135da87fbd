/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/cell.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "harness/err.h"
#include "harness/knob.h"
#include "harness/release.h"
#include "harness/signals.h"
#include "harness/step.h"
#include "harness/util.h"

#define GRACE_NS (3 * BENCH_NSEC)

static int set_expanded(struct bench_vars *vars, const char *name, const char *text, char **ret)
{
	int r = bench_vars_expand(vars, text, ret);

	if (r == 0)
		bench_vars_set(vars, name, *ret);
	return r;
}

static void set_origin_vars(struct bench_cell *c)
{
	struct bench_session *s = c->session;
	const char *input = c->plan->workload->input;
	auto_free char *url = bench_fmt("http://127.0.0.1:%u/%s", s->origin.port, input);

	c->origin_dir = bench_fmt("%s/%s", s->data, input);
	c->sums = bench_fmt("%s.sums", c->origin_dir);
	bench_vars_set(c->vars, "url", url);
	bench_vars_set(c->vars, "origin", url);
	bench_vars_set(c->vars, "origin_dir", c->origin_dir);
	bench_vars_set(c->vars, "data", c->origin_dir);
}

/* Directories and placeholders of the environment below @dir. */
static int set_env_vars(struct bench_cell *c, const char *dir)
{
	auto_free char *mnt = bench_fmt("%s/mnt", dir);
	auto_free char *cache = bench_fmt("%s/cache", c->fs.path);
	int ret;

	free(c->scratch);
	free(c->tree);
	c->tree = NULL;
	c->scratch = bench_fmt("%s/scratch", c->fs.path);
	bench_vars_set(c->vars, "mnt", mnt);
	bench_vars_set(c->vars, "cache", cache);
	bench_vars_set(c->vars, "scratch", c->scratch);
	ret = bench_mkdirs(mnt);
	if (ret == 0)
		ret = bench_mkdirs(cache);
	if (ret == 0)
		ret = bench_mkdirs(c->scratch);
	/* A daemon mounts there; recorded before it can. */
	if (ret == 0)
		ret = bench_state_push(c->session->held, BENCH_HELD_MOUNT, mnt);
	return ret < 0 ? ret : set_expanded(c->vars, "tree", c->plan->engine->tree, &c->tree);
}

static int start_engine(struct bench_cell *c)
{
	auto_free char *name = bench_fmt(
		"%u-%s-%s.log", c->plan->block, c->plan->workload->name, c->plan->engine->name);
	auto_free char *log = bench_session_raw(c->session, name);
	int ret = 0;

	bench_vars_set(c->vars, "log", log);
	c->daemon = (struct bench_daemon){.engine = c->plan->engine, .vars = c->vars};
	if (c->plan->engine->set)
		ret = bench_knob_set_all(c->session->held, c->plan->engine->set);
	return ret < 0 ? ret : bench_daemon_start(&c->daemon, c->session->held, log);
}

static int env_up(struct bench_cell *c)
{
	struct bench_session *s = c->session;
	auto_free char *dir = bench_fmt("%s/cell", s->work);
	int ret;

	c->held_below = bench_state_count(s->held);
	c->up = true;
	ret = bench_state_push(s->held, BENCH_HELD_DIR, dir);
	if (ret == 0)
		ret = bench_mkdirs(dir);
	if (ret == 0)
		ret = bench_loopfs_make(
			s->held, dir, s->opt.fs, c->plan->workload->device_bytes, &c->fs);
	if (ret < 0)
		return ret;
	c->fs_fd = open(c->fs.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->fs_fd < 0)
		return bench_err(errno, "cannot open %s: %s", c->fs.path, strerror(errno));
	ret = set_env_vars(c, dir);
	if (ret == 0 && c->plan->traced)
		ret = bench_trace_new(s->held, dir, &c->trace);
	return ret < 0 ? ret : start_engine(c);
}

/* A daemon that does not stop when asked is killed and reported; its cell is over anyway. */
static int env_down(struct bench_cell *c)
{
	int ret;

	if (!c->up)
		return 0;
	if (bench_signals_count() < 2 && bench_daemon_stop(&c->daemon) < 0)
		bench_say("%s: %s; killing it", c->plan->id, bench_err_text());
	if (c->fs_fd >= 0)
		close(c->fs_fd);
	c->fs_fd = -1;
	bench_trace_free(c->trace);
	c->trace = NULL;
	ret = bench_release(c->session->held, c->held_below, GRACE_NS);
	bench_loopfs_free(&c->fs);
	bench_strv_free(c->verified);
	c->verified = NULL;
	c->up = false;
	return ret;
}

static int run_step(struct bench_cell *c, const struct bench_step *step, bool *fresh)
{
	auto_free char *missing = bench_catalog_missing(step->needs);
	auto_free char *why = NULL;
	int ret = 0;

	if (missing)
		return bench_step_record(c, step, "skipped", missing);
	if (bench_signals_count())
		return bench_step_record(c, step, "skipped", "interrupted");
	if (*fresh || step->restart)
		ret = env_down(c);
	if (ret < 0)
		return ret;
	*fresh = false;
	ret = c->up ? 0 : env_up(c);
	if (ret == 0)
		return bench_step_measure(c, step, fresh);
	why = bench_strdup(bench_err_text());
	*fresh = true;
	return bench_step_record(c, step,
		bench_signals_count() || ret == -EOPNOTSUPP ? "skipped" : "failed", why);
}

static int run_steps(struct bench_cell *c, const char *why_not)
{
	const struct bench_workload *w = c->plan->workload;
	bool fresh = false;
	int ret = 0;

	for (unsigned int i = 0; i < w->steps && ret == 0; i++)
		ret = why_not ? bench_step_record(c, &w->step[i], "skipped", why_not)
			      : run_step(c, &w->step[i], &fresh);
	return ret;
}

static void free_cell(struct bench_cell *c)
{
	bench_vars_free(c->vars);
	free(c->sums);
	free(c->origin_dir);
	free(c->tree);
	free(c->scratch);
}

int bench_cell_run(
	struct bench_session *s, const struct bench_plan_cell *plan, const char *why_not)
{
	struct bench_cell c = {
		.session = s,
		.plan = plan,
		.vars = bench_vars_new(s->vars),
		.fs_fd = -1,
	};
	auto_free char *missing = bench_catalog_missing(plan->workload->needs);
	unsigned int failed = s->failed;
	int ret, down = 0;

	set_origin_vars(&c);
	bench_workload_params(plan->workload, s->opt.preset, c.vars);
	ret = run_steps(&c, why_not ? why_not : missing);
	if (!s->opt.keep || (ret == 0 && s->failed == failed))
		down = env_down(&c);
	free_cell(&c);
	return ret < 0 ? ret : down;
}
