/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/engine.h"

#include <errno.h>
#include <string.h>

#include "harness/err.h"
#include "harness/exec.h"
#include "harness/ini.h"
#include "harness/util.h"

#define PROBE_TIMEOUT_NS (10 * BENCH_NSEC)

static const struct {
	const char *name;
	size_t offset;
} keys[] = {
	{"name", offsetof(struct bench_engine, name)},
	{"title", offsetof(struct bench_engine, title)},
	{"tree", offsetof(struct bench_engine, tree)},
	{"setup", offsetof(struct bench_engine, setup)},
	{"start", offsetof(struct bench_engine, start)},
	{"status", offsetof(struct bench_engine, status)},
	{"stop", offsetof(struct bench_engine, stop)},
	{"probe", offsetof(struct bench_engine, probe)},
	{"needs", offsetof(struct bench_engine, needs)},
	{"set", offsetof(struct bench_engine, set)},
};

static int yes_or_no(const char *name, const char *value, bool *ret)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return bench_err(EINVAL, "%s is 'yes' or 'no', not '%s'", name, value);
	*ret = !strcmp(value, "yes");
	return 0;
}

static int key(void *ctx, const char *section, const char *name, const char *value)
{
	struct bench_engine *e = ctx;

	if (strcmp(section, "engine"))
		return bench_err(EINVAL, "unknown section [%s]", section);
	if (!strcmp(name, "order")) {
		e->order = atoi(value);
		return 0;
	}
	if (!strcmp(name, "extra"))
		return yes_or_no(name, value, &e->extra);
	if (!strcmp(name, "trace"))
		return yes_or_no(name, value, &e->trace);
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(keys); i++) {
		char **field = (char **)((char *)e + keys[i].offset);

		if (strcmp(keys[i].name, name))
			continue;
		free(*field);
		*field = bench_strdup(value);
		return 0;
	}
	return bench_err(EINVAL, "unknown key '%s' in [engine]", name);
}

static int finish(struct bench_engine *e, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;

	if (!e->name)
		e->name = bench_fmt("%.*s", (int)strcspn(base, "."), base);
	if (!e->title)
		e->title = bench_strdup(e->name);
	if (!e->tree)
		return bench_err(EINVAL, "%s: [engine] has no tree", path);
	if (e->start && (!e->status || !e->stop))
		return bench_err(
			EINVAL, "%s: an engine with start needs status and stop", path);
	return 0;
}

int bench_engine_load(const char *path, struct bench_engine **ret_e)
{
	struct bench_engine *e = bench_alloc(sizeof(*e));
	int ret;

	e->order = 1000;
	ret = bench_ini_parse(path, key, e);
	if (ret == 0)
		ret = finish(e, path);
	if (ret < 0) {
		bench_engine_free(e);
		return ret;
	}
	*ret_e = e;
	return 0;
}

void bench_engine_free(struct bench_engine *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(keys); i++)
		free(*(char **)((char *)e + keys[i].offset));
	free(e);
}

static int check_need(const char *text, const struct bench_vars *vars)
{
	auto_free char *program = NULL;
	auto_free char *path = NULL;
	int ret = bench_vars_expand(vars, text, &program);

	if (ret < 0)
		return ret;
	path = bench_which(program);
	return path ? 0 : bench_err(ENOENT, "no program %s", program);
}

static int check_needs(const char *text, const struct bench_vars *vars)
{
	char **needs = bench_strv_split(text, " \t\n,");
	int ret = 0;

	for (size_t i = 0; needs && needs[i] && ret == 0; i++)
		ret = check_need(needs[i], vars);
	bench_strv_free(needs);
	return ret;
}

static int check_probe(const char *command)
{
	auto_free char *out = NULL;
	int code = bench_exec_output(command, PROBE_TIMEOUT_NS, &out);
	char *line;

	if (code == 0)
		return 0;
	if (code < 0)
		return code;
	out[strcspn(out, "\n")] = '\0';
	line = out + strspn(out, " \t");
	return bench_err(EOPNOTSUPP, "%s", *line ? line : "its probe failed");
}

int bench_engine_check(const struct bench_engine *e, const struct bench_vars *vars)
{
	auto_free char *probe = NULL;
	int ret = e->needs ? check_needs(e->needs, vars) : 0;

	if (ret < 0 || !e->probe)
		return ret;
	ret = bench_vars_expand(vars, e->probe, &probe);
	return ret < 0 ? ret : check_probe(probe);
}
