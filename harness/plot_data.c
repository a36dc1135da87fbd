/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Owns which figures there are, and what their files have in common. */
#include "harness/plot_data.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/err.h"
#include "harness/util.h"

struct bar_figure {
	const char *name, *metric, *what;
	bool main_only; /* only steps whose main metric is wall */
};

static const struct bar_figure bar_figures[] = {
	{"throughput", "bw", "throughput: no run has a metric bw", false},
	{"times", "wall", "workload times: no run has wall as its main metric", true},
	{"first-line", "first_line", "time to first line: no run has a metric first_line",
		false},
	{"fetched", "fetched", "bytes fetched: no run fetched anything", false},
};

char *bench_plot_quote(const char *text)
{
	char *copy = bench_strdup(text);

	for (char *c = copy; *c; c++)
		if (*c < ' ' || *c > '~' || strchr("\"'\\`", *c))
			*c = '?';
	return copy;
}

FILE *bench_plot_open_inc(const struct bench_resultset *set, const char *dir, const char *name)
{
	auto_free char *path = bench_fmt("%s/%s.inc", dir, name);
	auto_free char *id = bench_plot_quote(set->id);
	FILE *f = fopen(path, "we");

	if (!f) {
		bench_err(errno, "cannot create %s: %s", path, strerror(errno));
		return NULL;
	}
	fprintf(f, "figure = \"%s\"\nid = \"%s\"\nengines = \"", name, id);
	for (size_t i = 0; i < set->engine_count; i++) {
		auto_free char *engine = bench_plot_quote(set->engine[i]);

		for (char *c = engine; *c; c++)
			if (*c == ' ')
				*c = '_'; /* gnuplot's word() splits there */
		fprintf(f, "%s%s", i ? " " : "", engine);
	}
	fprintf(f, "\"\n");
	return f;
}

int bench_plot_close(FILE *f, const char *dir, const char *name)
{
	bool bad = ferror(f);

	if (fclose(f) || bad)
		return bench_err(EIO, "cannot write %s/%s: %s", dir, name, strerror(errno));
	return 0;
}

static void add_figure(
	struct bench_figure **figures, size_t *count, const char *script, const char *name)
{
	*figures = bench_realloc(*figures, (*count + 1) * sizeof(**figures));
	(*figures)[(*count)++] = (struct bench_figure){script, bench_strdup(name)};
}

static int export_bars(const struct bench_resultset *set, const char *dir,
	struct bench_figure **figures, size_t *count)
{
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(bar_figures); i++) {
		const struct bar_figure *b = &bar_figures[i];
		int written = bench_plot_bars(set, dir, b->name, b->metric, b->main_only);

		if (written < 0)
			return written;
		if (written)
			add_figure(figures, count, b->name, b->name);
		else
			bench_say("no figure of %s", b->what);
	}
	return 0;
}

static bool is_new_state(const struct bench_resultset *set, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (!strcmp(set->cell[i].state, set->cell[at].state))
			return false;
	return true;
}

static int export_latency(const struct bench_resultset *set, const char *dir,
	struct bench_figure **figures, size_t *count)
{
	size_t before = *count;

	for (size_t i = 0; i < set->cell_count; i++) {
		const char *state = set->cell[i].state;
		auto_free char *name = bench_fmt("latency-%s", state);
		int written;

		if (!is_new_state(set, i) || strchr(state, '/'))
			continue;
		written = bench_plot_latency(set, dir, name, state);
		if (written < 0)
			return written;
		if (written)
			add_figure(figures, count, "latency", name);
	}
	if (*count == before)
		bench_say("no figure of latency: no run has a histogram");
	return 0;
}

int bench_plot_export(const struct bench_resultset *set, const char *dir,
	struct bench_figure **ret_figures, size_t *ret_count)
{
	struct bench_figure *figures = NULL;
	size_t count = 0;
	int err = export_bars(set, dir, &figures, &count);

	if (!err)
		err = export_latency(set, dir, &figures, &count);
	if (err) {
		bench_plot_figures_free(figures, count);
		return err;
	}
	*ret_figures = figures;
	*ret_count = count;
	return 0;
}

void bench_plot_figures_free(struct bench_figure *figures, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(figures[i].name);
	free(figures);
}
