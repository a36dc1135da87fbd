/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owns the data of grouped bars: a panel per cache state, a group per step, a bar per engine. All
 * panels share the steps and the unit, so that bars above each other can be compared.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/err.h"
#include "harness/plot_data.h"
#include "harness/table.h"
#include "harness/units.h"
#include "harness/util.h"

#define LOG_FROM   20.0 /* a panel whose values span more has a logarithmic axis */
#define CHAR_PX	   7 /* of the font in style.gp */
#define BAR_PX	   24
#define MARGINS_PX 130
#define HEAD_PX	   115
#define PANEL_PX   190
#define WIDTH_MIN  760
#define WIDTH_MAX  1600

/* The steps of all panels, in order, without repetition: rows of the table. */
struct groups {
	const struct bench_row **row;
	size_t count;
	bool one_workload;
};

struct panel {
	const char *state;
	double smallest, largest; /* of positive medians and of upper ends */
};

static bool same_step(const struct bench_row *a, const struct bench_row *b)
{
	return !strcmp(a->step, b->step) && !strcmp(a->workload, b->workload);
}

static size_t group_of(const struct groups *g, const struct bench_row *r)
{
	size_t i = 0;

	while (i < g->count && !same_step(g->row[i], r))
		i++;
	return i;
}

static const struct bench_row *find_row(
	const struct bench_table *t, const struct bench_result_cell *c)
{
	for (size_t i = 0; i < t->row_count; i++)
		if (!strcmp(t->row[i].step, c->step) &&
			!strcmp(t->row[i].workload, c->workload))
			return &t->row[i];
	return NULL;
}

/* In the order of the set: the first panel may lack a step that a later one has. */
static void collect_groups(const struct bench_table *t, struct groups *g)
{
	*g = (struct groups){bench_alloc(t->row_count * sizeof(struct bench_row *)), 0, true};
	for (size_t i = 0; i < t->set->cell_count; i++) {
		const struct bench_row *r = find_row(t, &t->set->cell[i]);

		if (!r)
			continue;
		if (strcmp(r->workload, t->row[0].workload))
			g->one_workload = false;
		if (group_of(g, r) == g->count)
			g->row[g->count++] = r;
	}
}

static const char *main_of(const struct bench_resultset *set, const struct bench_row *r)
{
	for (size_t e = 0; e < set->engine_count; e++)
		if (r->entry[e].cell)
			return r->entry[e].cell->main;
	return "";
}

static bool is_empty(const struct bench_resultset *set, const struct bench_row *r)
{
	for (size_t e = 0; e < set->engine_count; e++)
		if (r->entry[e].n && r->entry[e].median > 0)
			return false;
	return true;
}

/* fio measures wall as well, but what its steps are about is throughput. */
static bool is_empty_or_minor(const struct bench_resultset *set, const struct bench_row *r)
{
	return is_empty(set, r) || strcmp(main_of(set, r), "wall");
}

static void measure_panel(const struct bench_table *t, struct panel *p)
{
	p->smallest = INFINITY;
	p->largest = 0;
	for (size_t i = 0; i < t->row_count; i++)
		for (size_t e = 0;
			e < t->set->engine_count && !strcmp(t->row[i].state, p->state); e++) {
			const struct bench_entry *entry = &t->row[i].entry[e];

			if (!(entry->median > 0))
				continue;
			p->smallest = fmin(p->smallest, entry->median);
			p->largest = fmax(p->largest, entry->high);
		}
}

static size_t collect_panels(const struct bench_table *t, struct panel *panels)
{
	size_t count = 0;

	for (size_t i = 0; i < t->row_count; i++) {
		if (i && !strcmp(t->row[i].state, t->row[i - 1].state))
			continue;
		panels[count].state = t->row[i].state;
		measure_panel(t, &panels[count++]);
	}
	return count;
}

/* Workload above step, or a long step in two lines, broken at the '-' nearest to its middle. */
static char *group_label(const struct groups *g, const struct bench_row *r)
{
	auto_free char *workload = bench_plot_quote(r->workload);
	auto_free char *step = bench_plot_quote(r->step);
	size_t n = strlen(step), cut = 0;

	if (!g->one_workload)
		return strcmp(workload, step) ? bench_fmt("%s\\n%s", workload, step)
					      : bench_strdup(step);
	for (size_t i = 1; i < n && n > 10; i++)
		if (step[i] == '-' &&
			fabs((double)i - (double)n / 2) < fabs((double)cut - (double)n / 2))
			cut = i;
	return cut ? bench_fmt("%.*s\\n%s", (int)cut, step, step + cut + 1)
		   : bench_strdup(step);
}

/* Characters of the longest line of a label in which "\n" is two characters. */
static size_t label_columns(const char *label)
{
	const char *cut = strstr(label, "\\n");
	size_t first = cut ? (size_t)(cut - label) : strlen(label);
	size_t second = cut ? strlen(cut + 2) : 0;

	return first > second ? first : second;
}

/* Pixels that all groups need, side by side. */
static size_t groups_px(const struct bench_resultset *set, const struct groups *g)
{
	size_t wide = (set->engine_count + 1) * BAR_PX;

	for (size_t i = 0; i < g->count; i++) {
		auto_free char *label = group_label(g, g->row[i]);
		size_t px = label_columns(label) * CHAR_PX + 10;

		wide = px > wide ? px : wide;
	}
	return wide * g->count;
}

static void write_groups(const struct bench_resultset *set, const struct groups *g, FILE *f)
{
	size_t px = groups_px(set, g) + MARGINS_PX;

	fprintf(f, "groups = %zu\nwidth = %zu\n", g->count,
		px < WIDTH_MIN	 ? (size_t)WIDTH_MIN
		: px > WIDTH_MAX ? (size_t)WIDTH_MAX
				 : px);
	/* A string for eval: only the lowest panel shows them. */
	fprintf(f, "step_labels = 'set xtics scale 0%s (",
		px > WIDTH_MAX ? " rotate by -25" : "");
	for (size_t i = 0; i < g->count; i++) {
		auto_free char *label = group_label(g, g->row[i]);

		fprintf(f, "%s\"%s\" %zu", i ? ", " : "", label, i);
	}
	fprintf(f, ")'\n");
}

/* Limits with room for the error bars; a logarithmic axis starts at a power of ten. */
static void write_panels(const struct panel *panels, size_t count, double scale, FILE *f)
{
	fprintf(f, "panels = \"");
	for (size_t i = 0; i < count; i++)
		fprintf(f, "%s%s", i ? " " : "", panels[i].state);
	fprintf(f, "\"\nheight = %zu\n", HEAD_PX + count * PANEL_PX);
	fprintf(f, "array is_log[%zu]\narray low[%zu]\narray high[%zu]\n", count, count, count);
	for (size_t i = 0; i < count; i++) {
		const struct panel *p = &panels[i];
		bool log_axis = p->largest > LOG_FROM * p->smallest;
		double floor_value = pow(10, floor(log10(p->smallest / scale / 1.5)));

		fprintf(f, "is_log[%zu] = %d\nlow[%zu] = %.9g\nhigh[%zu] = %.9g\n", i + 1,
			log_axis, i + 1, log_axis ? floor_value : 0, i + 1,
			p->largest / scale * (log_axis ? 1.6 : 1.08));
	}
}

/* Numbers, from 1, of the engines with a bar in some panel: the legend has these. */
static void write_drawn(const struct bench_table *t, FILE *f)
{
	fprintf(f, "drawn = \"");
	for (size_t e = 0; e < t->set->engine_count; e++) {
		bool drawn = false;

		for (size_t i = 0; i < t->row_count; i++)
			drawn |= t->row[i].entry[e].n > 0;
		if (drawn)
			fprintf(f, "%zu ", e + 1);
	}
	fprintf(f, "\"\n");
}

static void write_caption(const struct bench_table *t, FILE *f)
{
	size_t min, max;

	bench_table_runs(t, &min, &max);
	fprintf(f, "caption = \"median of n = %zu", min);
	if (max != min)
		fprintf(f, "..%zu", max);
	fprintf(f, ", error bars: %s\"\n",
		min >= BENCH_STATS_MIN_N   ? "95% confidence interval"
		: max >= BENCH_STATS_MIN_N ? "95% confidence interval, or range where n < 6"
					   : "smallest to largest");
}

static int write_panel(const struct bench_table *t, const struct groups *g,
	const struct panel *p, const char *dir, const char *name, double scale)
{
	auto_free char *file = bench_fmt("%s-%s.dat", name, p->state);
	auto_free char *path = bench_fmt("%s/%s", dir, file);
	FILE *f = fopen(path, "we");

	if (!f)
		return bench_err(errno, "cannot create %s: %s", path, strerror(errno));
	for (size_t e = 0; e < t->set->engine_count; e++) {
		fprintf(f, "%s# %s: group step median low high n\n", e ? "\n\n" : "",
			t->set->engine[e]);
		for (size_t i = 0; i < t->row_count; i++) {
			const struct bench_row *r = &t->row[i];
			const struct bench_entry *entry = &r->entry[e];
			auto_free char *step = bench_plot_quote(r->step);

			if (strcmp(r->state, p->state))
				continue;
			fprintf(f, "%zu \"%s\" %.9g %.9g %.9g %zu\n", group_of(g, r), step,
				entry->median / scale, entry->low / scale, entry->high / scale,
				entry->n);
		}
	}
	return bench_plot_close(f, dir, file);
}

static int write_figure(
	const struct bench_table *t, const struct groups *g, const char *dir, const char *name)
{
	struct panel *panels = bench_alloc(t->row_count * sizeof(*panels));
	size_t count = collect_panels(t, panels);
	double smallest = INFINITY, largest = 0;
	FILE *f = bench_plot_open_inc(t->set, dir, name);
	struct bench_unit unit;
	int err = f ? 0 : -EIO;

	for (size_t i = 0; i < count; i++) {
		smallest = fmin(smallest, panels[i].smallest);
		largest = fmax(largest, panels[i].largest);
	}
	unit = bench_unit_pick(t->unit, smallest, largest);
	if (f) {
		write_groups(t->set, g, f);
		write_panels(panels, count, unit.scale, f);
		write_drawn(t, f);
		write_caption(t, f);
		fprintf(f, "unit = \"%s\"\n", unit.name);
		err = bench_plot_close(f, dir, name);
	}
	for (size_t i = 0; i < count && !err; i++)
		err = write_panel(t, g, &panels[i], dir, name, unit.scale);
	free(panels);
	return err;
}

int bench_plot_bars(const struct bench_resultset *set, const char *dir, const char *name,
	const char *metric, bool main_only)
{
	struct bench_table t;
	struct groups g;
	int err = 0;

	bench_table_make(set, NULL, metric, NULL, &t);
	bench_table_drop_rows(&t, main_only ? is_empty_or_minor : is_empty);
	collect_groups(&t, &g);
	if (g.count)
		err = write_figure(&t, &g, dir, name);
	free(g.row);
	bench_table_release(&t);
	return err ? err : g.count > 0;
}
