/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Questions about a loaded manifest; declared in workload.h. */
#include <string.h>

#include "harness/util.h"
#include "harness/workload.h"

static void set_params(
	const struct bench_workload *w, const char *preset, struct bench_vars *vars)
{
	for (unsigned int i = 0; i < w->params; i++) {
		const struct bench_param *p = &w->param[i];
		auto_free char *name = bench_fmt("param.%s", p->name);

		if (!strcmp(p->preset, preset))
			bench_vars_set(vars, name, p->value);
	}
}

void bench_workload_params(
	const struct bench_workload *w, const char *preset, struct bench_vars *vars)
{
	if (!strcmp(preset, "publish"))
		set_params(w, "default", vars);
	set_params(w, preset, vars);
}

static const struct bench_override *find(const struct bench_step *s, const char *key)
{
	for (unsigned int i = 0; i < s->overrides; i++)
		if (!strcmp(s->override[i].key, key))
			return &s->override[i];
	return NULL;
}

static const struct bench_override *find_state(
	const struct bench_step *s, const char *engine, enum bench_run_state state)
{
	auto_free char *key = bench_fmt("%s.%s", engine, bench_state_names[state]);

	return find(s, key);
}

bool bench_step_overrides(
	const struct bench_step *s, const char *engine, enum bench_run_state state)
{
	return find_state(s, engine, state) != NULL;
}

const char *bench_step_run(
	const struct bench_step *s, const char *engine, enum bench_run_state state)
{
	const struct bench_override *o = find_state(s, engine, state);
	const char *run;

	if (!o)
		o = find(s, engine);
	run = o ? o->run : s->kind == BENCH_STEP_FIO ? s->job : s->run;
	return run && strcmp(run, "-") ? run : NULL;
}

bool bench_step_accepts(const struct bench_step *s, int code)
{
	char **codes = bench_strv_split(s->accept ? s->accept : "0", " \t\n,");
	auto_free char *text = bench_fmt("%d", code);
	bool yes = bench_strv_has(codes, text);

	bench_strv_free(codes);
	return yes;
}

bool bench_step_names_known(const struct bench_step *s)
{
	if (s->names != BENCH_NAMES_AUTO)
		return s->names == BENCH_NAMES_KNOWN;
	return s->files && !strpbrk(s->files, "*?[");
}
