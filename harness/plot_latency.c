/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owns the data of the latency figures: for one cache state a small panel per step with
 * histograms, in it a curve per engine over percentiles, all runs merged, and the range over runs.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/err.h"
#include "harness/plot_data.h"
#include "harness/units.h"
#include "harness/util.h"

#define TAIL_SAMPLES 10.0 /* a percentile needs as many beyond it */
#define STEP	     0.05 /* of log10(1 / (1 - p)) */
#define X_FIRST	     0.0458 /* 10%: below it the smallest sample rules */

struct panel {
	const char *workload, *step, *hist;
};

struct panels {
	const char *state;
	struct panel *panel;
	size_t count;
	double smallest, largest; /* ns, of all curves */
	double tail; /* log10(1 / (1 - p)) of the longest curve */
	size_t min_n, max_n;
	bool *drawn; /* per engine: has a curve in some panel */
};

static bool has_panel(
	const struct panels *ps, const struct bench_result_cell *c, const char *hist)
{
	for (size_t i = 0; i < ps->count; i++) {
		const struct panel *p = &ps->panel[i];

		if (!strcmp(p->workload, c->workload) && !strcmp(p->step, c->step) &&
			!strcmp(p->hist, hist))
			return true;
	}
	return false;
}

static void add_panels(struct panels *ps, const struct bench_result_cell *c,
	const struct bench_result_run *run)
{
	json_t *hists = json_object_get(run->line, "hist");
	const char *hist;
	json_t *value;

	json_object_foreach (hists, hist, value) {
		if (!json_array_size(json_object_get(value, "bins")) || has_panel(ps, c, hist))
			continue;
		ps->panel = bench_realloc(ps->panel, (ps->count + 1) * sizeof(*ps->panel));
		ps->panel[ps->count++] = (struct panel){c->workload, c->step, hist};
	}
}

static void collect(const struct bench_resultset *set, struct panels *ps)
{
	for (size_t i = 0; i < set->cell_count; i++) {
		const struct bench_result_cell *c = &set->cell[i];

		for (size_t j = 0; j < c->run_count && !strcmp(c->state, ps->state); j++)
			if (c->run[j].status == BENCH_RESULT_OK)
				add_panels(ps, c, &c->run[j]);
	}
}

/* Smallest and largest percentile of single runs. */
static void range_over_runs(const struct bench_hist *runs, size_t n, double fraction,
	double *ret_low, double *ret_high)
{
	*ret_low = INFINITY;
	*ret_high = 0;
	for (size_t i = 0; i < n; i++) {
		double ns = (double)bench_hist_percentile_ns(&runs[i], fraction);

		*ret_low = fmin(*ret_low, ns);
		*ret_high = fmax(*ret_high, ns);
	}
}

/* True if there were samples enough for a curve. */
static bool write_curve(struct panels *ps, const struct bench_hist *runs, size_t n, FILE *f)
{
	struct bench_hist *all = bench_alloc(sizeof(*all));
	double last;

	for (size_t i = 0; i < n; i++)
		bench_hist_merge(all, &runs[i]);
	last = all->total ? log10((double)all->total / TAIL_SAMPLES) : -1;
	for (double x = X_FIRST; x <= last; x += STEP) {
		double fraction = 1 - pow(10, -x), low, high;
		double ns = (double)bench_hist_percentile_ns(all, fraction);

		range_over_runs(runs, n, fraction, &low, &high);
		fprintf(f, "%.4f %.6f %.9g %.9g %.9g %zu\n", x, 100 * fraction, ns / 1e3,
			low / 1e3, high / 1e3, n);
		ps->smallest = fmin(ps->smallest, fmax(1, low));
		ps->largest = fmax(ps->largest, high);
		ps->tail = fmax(ps->tail, x);
	}
	if (last < X_FIRST)
		fprintf(f, "NaN NaN NaN NaN NaN 0\n");
	else if (!ps->min_n || n < ps->min_n)
		ps->min_n = n;
	ps->max_n = n > ps->max_n ? n : ps->max_n;
	free(all);
	return last >= X_FIRST;
}

/* The histograms of a cell one by one; owned, *ret_n of them. */
static struct bench_hist *read_runs(
	const struct bench_result_cell *c, const char *hist, size_t *ret_n)
{
	size_t count = c ? c->run_count : 0, n = 0;
	struct bench_hist *runs = bench_alloc(count * sizeof(*runs));

	for (size_t i = 0; i < count; i++) {
		const json_t *hists = json_object_get(c->run[i].line, "hist");

		if (c->run[i].status == BENCH_RESULT_OK &&
			!bench_hist_read(&runs[n], json_object_get(hists, hist)) &&
			runs[n].total)
			n++;
	}
	*ret_n = n;
	return runs;
}

static int write_panel(const struct bench_resultset *set, struct panels *ps, size_t at,
	const char *dir, const char *name)
{
	auto_free char *file = bench_fmt("%s-%zu.dat", name, at + 1);
	auto_free char *path = bench_fmt("%s/%s", dir, file);
	const struct panel *p = &ps->panel[at];
	FILE *f = fopen(path, "we");

	if (!f)
		return bench_err(errno, "cannot create %s: %s", path, strerror(errno));
	for (size_t e = 0; e < set->engine_count; e++) {
		const struct bench_result_cell *c = bench_resultset_cell(
			set, p->workload, p->step, ps->state, set->engine[e]);
		size_t n;
		auto_free struct bench_hist *runs = read_runs(c, p->hist, &n);

		fprintf(f, "%s# %s, %s: log10(1/(1-p)) percentile us low high n\n",
			e ? "\n\n" : "", p->step, set->engine[e]);
		ps->drawn[e] |= write_curve(ps, runs, n, f);
	}
	return bench_plot_close(f, dir, file);
}

static void write_titles(const struct panels *ps, FILE *f)
{
	fprintf(f, "panels = %zu\narray titles[%zu]\n", ps->count, ps->count);
	for (size_t i = 0; i < ps->count; i++) {
		const struct panel *p = &ps->panel[i];
		bool read = !strcmp(p->hist, "read");
		auto_free char *text =
			bench_fmt("%s%s%s", p->step, read ? "" : ", ", read ? "" : p->hist);
		auto_free char *title = bench_plot_quote(text);

		fprintf(f, "titles[%zu] = \"%s\"\n", i + 1, title);
	}
}

static int write_inc(const struct bench_resultset *set, const struct panels *ps,
	const char *dir, const char *name)
{
	size_t columns = ps->count < 4 ? ps->count : ps->count % 3 ? 4 : 3;
	size_t rows = (ps->count + columns - 1) / columns;
	FILE *f = bench_plot_open_inc(set, dir, name);

	if (!f)
		return -EIO;
	write_titles(ps, f);
	fprintf(f, "drawn = \"");
	for (size_t e = 0; e < set->engine_count; e++)
		if (ps->drawn[e])
			fprintf(f, "%zu ", e + 1);
	fprintf(f, "\"\nstate = \"%s\"\ncolumns = %zu\nrows = %zu\n", ps->state, columns, rows);
	fprintf(f, "low = %.9g\nhigh = %.9g\ntail = %.3f\n", ps->smallest / 1e3 / 1.3,
		ps->largest / 1e3 * 1.3, fmax(1, ps->tail));
	fprintf(f, "caption = \"all runs merged, n = %zu", ps->min_n);
	if (ps->max_n != ps->min_n)
		fprintf(f, "..%zu", ps->max_n);
	fprintf(f, "; shaded: range over runs; closed loop\"\n");
	return bench_plot_close(f, dir, name);
}

int bench_plot_latency(
	const struct bench_resultset *set, const char *dir, const char *name, const char *state)
{
	struct panels ps = {.state = state, .smallest = INFINITY};
	int err = 0;

	ps.drawn = bench_alloc(set->engine_count * sizeof(*ps.drawn));
	collect(set, &ps);
	for (size_t i = 0; i < ps.count && !err; i++)
		err = write_panel(set, &ps, i, dir, name);
	if (ps.largest <= 0 && !err)
		ps.count = 0; /* too few samples for any percentile */
	if (ps.count && !err)
		err = write_inc(set, &ps, dir, name);
	free(ps.panel);
	free(ps.drawn);
	return err ? err : ps.count > 0;
}
