/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/line.h"

#include <stdarg.h>
#include <string.h>

#include "harness/util.h"

json_t *bench_line_new(const struct bench_cell *cell, const struct bench_step *step,
	enum bench_run_state state)
{
	const struct bench_plan_cell *p = cell->plan;
	json_t *line = json_pack("{s:i, s:s, s:s, s:i, s:i}", "schema", 1, "session",
		cell->session->id, "cell", p->id, "block", (int)p->block, "position",
		(int)p->position);

	json_object_update_new(
		line, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "group",
			      p->workload->group, "workload", p->workload->name, "step",
			      step->name, "title", step->title, "main", step->main, "engine",
			      p->engine->name, "state", bench_state_names[state]));
	json_object_update_new(
		line, json_pack("{s:s, s:s, s:I, s:I, s:I, s:[], s:{}, s:{}, s:[], s:s}",
			      "status", "ok", "reason", "", "start_wall_ns", (json_int_t)0,
			      "start_ns", (json_int_t)0, "end_ns", (json_int_t)0, "metrics",
			      "hist", "counters", "checks", "raw", ""));
	if (p->traced)
		json_object_set_new(line, "traced", json_true());
	return line;
}

bool bench_line_ok(const json_t *line)
{
	return !strcmp(json_string_value(json_object_get(line, "status")), "ok");
}

/*
 * Names of files and output of programs may hold bytes that are not UTF-8, which JSON cannot.
 */
static json_t *text_json(const char *text)
{
	json_t *json = json_string(text);
	auto_free char *ascii = NULL;

	if (json)
		return json;
	ascii = bench_strdup(text);
	for (char *p = ascii; *p; p++)
		if (*p & 0x80)
			*p = '?';
	return json_string(ascii);
}

static char *format(const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	return bench_strdup(text);
}

static void set_status(json_t *line, const char *status, const char *reason)
{
	if (!bench_line_ok(line))
		return;
	json_object_set_new(line, "status", json_string(status));
	json_object_set_new(line, "reason", text_json(reason));
}

void bench_line_status(json_t *line, const char *status, const char *fmt, ...)
{
	auto_free char *reason = NULL;
	va_list ap;

	va_start(ap, fmt);
	reason = format(fmt, ap);
	va_end(ap);
	set_status(line, status, reason);
}

void bench_line_check(json_t *line, const char *name, bool ok, const char *fmt, ...)
{
	auto_free char *detail = NULL;
	auto_free char *reason = NULL;
	va_list ap;

	va_start(ap, fmt);
	detail = format(fmt, ap);
	va_end(ap);
	json_array_append_new(json_object_get(line, "checks"),
		json_pack("{s:s, s:b, s:o}", "name", name, "ok", ok, "detail",
			text_json(detail)));
	if (ok)
		return;
	reason = bench_fmt("check %s: %s", name, detail);
	set_status(line, "failed", reason);
}
