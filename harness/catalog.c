/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/catalog.h"

#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <limits.h>
#include <string.h>

#include "harness/err.h"
#include "harness/util.h"

char *bench_catalog_bin(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	return bench_fmt("%.*s", slash ? (int)(slash - path) : 0, path);
}

char *bench_catalog_home(void)
{
	const char *env = getenv("HSMBENCH_HOME");
	auto_free char *bin = bench_catalog_bin();
	static const char *const candidates[] = {"../..", "../share/hsmbench"};

	if (env && *env)
		return bench_strdup(env);
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(candidates); i++) {
		auto_free char *dir = bench_fmt("%s/%s", bin, candidates[i]);
		auto_free char *engines = bench_fmt("%s/harness/engines", dir);
		char *real = bench_exists(engines) ? realpath(dir, NULL) : NULL;

		if (real)
			return real;
	}
	return bench_strdup(".");
}

static int load_engines(struct bench_catalog *c, const glob_t *g)
{
	int ret = 0;

	c->engine = bench_alloc(g->gl_pathc * sizeof(struct bench_engine *));
	for (size_t i = 0; i < g->gl_pathc && ret == 0; i++) {
		ret = bench_engine_load(g->gl_pathv[i], &c->engine[c->engines]);
		if (ret == 0)
			c->engines++;
	}
	return ret;
}

static int load_workloads(struct bench_catalog *c, const glob_t *g)
{
	int ret = 0;

	c->workload = bench_alloc(g->gl_pathc * sizeof(struct bench_workload *));
	for (size_t i = 0; i < g->gl_pathc && ret == 0; i++) {
		ret = bench_workload_load(g->gl_pathv[i], &c->workload[c->workloads]);
		if (ret == 0)
			c->workloads++;
	}
	return ret;
}

static int compare_engines(const void *a, const void *b)
{
	const struct bench_engine *x = *(struct bench_engine *const *)a;
	const struct bench_engine *y = *(struct bench_engine *const *)b;

	return x->order != y->order ? (x->order > y->order) - (x->order < y->order)
				    : strcmp(x->name, y->name);
}

/* Runs @load over the files of HOME/SUBDIR/ that end in .ini. */
static int load_dir(struct bench_catalog *c, const char *home, const char *subdir,
	int (*load)(struct bench_catalog *c, const glob_t *g))
{
	auto_free char *pattern = bench_fmt("%s/%s/*.ini", home, subdir);
	glob_t g;
	int ret;

	if (glob(pattern, 0, NULL, &g))
		return bench_err(ENOENT, "no manifest %s; set HSMBENCH_HOME", pattern);
	ret = load(c, &g);
	globfree(&g);
	return ret;
}

int bench_catalog_load(const char *home, struct bench_catalog *ret_c)
{
	struct bench_catalog c = {0};
	int ret = load_dir(&c, home, "harness/engines", load_engines);

	if (ret == 0)
		ret = load_dir(&c, home, "workloads", load_workloads);
	if (ret < 0) {
		bench_catalog_release(&c);
		return ret;
	}
	qsort(c.engine, c.engines, sizeof(*c.engine), compare_engines);
	*ret_c = c;
	return 0;
}

void bench_catalog_release(struct bench_catalog *c)
{
	for (size_t i = 0; i < c->engines; i++)
		bench_engine_free(c->engine[i]);
	for (size_t i = 0; i < c->workloads; i++)
		bench_workload_free(c->workload[i]);
	free(c->engine);
	free(c->workload);
	*c = (struct bench_catalog){0};
}

static bool match_engine(const struct bench_engine *e, const char *pattern)
{
	return fnmatch(pattern, e->name, 0) == 0;
}

static bool match_workload(const struct bench_workload *w, const char *pattern)
{
	bool yes = fnmatch(pattern, w->name, 0) == 0;

	for (size_t i = 0; w->tags && w->tags[i]; i++)
		yes |= fnmatch(pattern, w->tags[i], 0) == 0;
	return yes;
}

static int select_engines(struct bench_catalog *c, char *const *patterns)
{
	size_t n = c->engines, hits[n + 1];

	memset(hits, 0, sizeof(hits));
	for (size_t p = 0; patterns[p]; p++) {
		size_t found = 0;

		for (size_t i = 0; i < n; i++)
			if (match_engine(c->engine[i], patterns[p]))
				found += ++hits[i] > 0;
		if (!found)
			return bench_err(
				ENOENT, "no engine '%s'; see `hsmbench list`", patterns[p]);
	}
	c->engines = 0;
	for (size_t i = 0; i < n; i++) {
		if (hits[i])
			c->engine[c->engines++] = c->engine[i];
		else
			bench_engine_free(c->engine[i]);
	}
	return 0;
}

static void keep_default_engines(struct bench_catalog *c)
{
	size_t n = c->engines;

	c->engines = 0;
	for (size_t i = 0; i < n; i++) {
		if (c->engine[i]->extra)
			bench_engine_free(c->engine[i]);
		else
			c->engine[c->engines++] = c->engine[i];
	}
}

static int select_workloads(struct bench_catalog *c, char *const *patterns)
{
	size_t n = c->workloads, hits[n + 1];

	memset(hits, 0, sizeof(hits));
	for (size_t p = 0; patterns[p]; p++) {
		size_t found = 0;

		for (size_t i = 0; i < n; i++)
			if (match_workload(c->workload[i], patterns[p]))
				found += ++hits[i] > 0;
		if (!found)
			return bench_err(
				ENOENT, "no workload '%s'; see `hsmbench list`", patterns[p]);
	}
	c->workloads = 0;
	for (size_t i = 0; i < n; i++) {
		if (hits[i])
			c->workload[c->workloads++] = c->workload[i];
		else
			bench_workload_free(c->workload[i]);
	}
	return 0;
}

int bench_catalog_select(struct bench_catalog *c, const char *workloads, const char *engines)
{
	char **w = workloads ? bench_strv_split(workloads, ", ") : NULL;
	char **e = engines ? bench_strv_split(engines, ", ") : NULL;
	int ret = 0;

	if (w)
		ret = select_workloads(c, w);
	if (ret == 0 && e)
		ret = select_engines(c, e);
	else if (ret == 0)
		keep_default_engines(c);
	bench_strv_free(w);
	bench_strv_free(e);
	return ret;
}

char *bench_catalog_missing(char *const *needs)
{
	for (size_t i = 0; needs && needs[i]; i++) {
		auto_free char *path = bench_which(needs[i]);

		if (!path)
			return bench_fmt("no program %s", needs[i]);
	}
	return NULL;
}
