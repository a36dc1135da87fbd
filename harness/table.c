/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owns what a table says: which rows it has, medians, intervals, ratios and verdicts. How it looks
 * is in table_print.c.
 */
#include "harness/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/util.h"

static bool has_metric(const struct bench_result_cell *c, const char *metric)
{
	auto_free double *values = bench_alloc(c->run_count * sizeof(*values));

	return bench_resultset_values(c, metric, values, NULL) > 0;
}

static bool belongs(const struct bench_table *t, const struct bench_result_cell *c)
{
	if (!*c->step || (t->group && strcmp(c->group, t->group)))
		return false;
	return !strcmp(c->main, t->metric) || has_metric(c, t->metric);
}

static struct bench_row *find_row(struct bench_table *t, const struct bench_result_cell *c)
{
	for (size_t i = 0; i < t->row_count; i++) {
		struct bench_row *r = &t->row[i];

		if (!strcmp(r->workload, c->workload) && !strcmp(r->step, c->step) &&
			!strcmp(r->state, c->state))
			return r;
	}
	return NULL;
}

static void add_row(struct bench_table *t, const struct bench_result_cell *c)
{
	if (t->row_count && strcmp(t->row[0].workload, c->workload))
		t->long_labels = true;
	t->row = bench_realloc(t->row, (t->row_count + 1) * sizeof(*t->row));
	t->row[t->row_count++] = (struct bench_row){
		.workload = c->workload,
		.step = c->step,
		.state = c->state,
		.entry = bench_alloc(t->set->engine_count * sizeof(struct bench_entry)),
		.versus = bench_alloc(t->pair_count * sizeof(struct bench_versus)),
	};
}

/* Insertion sort by state keeps the order of the steps, which is that of the set. */
static void sort_rows(struct bench_table *t)
{
	for (size_t i = 1; i < t->row_count; i++) {
		struct bench_row row = t->row[i];
		size_t at = i;

		for (; at &&
			bench_resultset_compare_states(t->row[at - 1].state, row.state) > 0;
			at--)
			t->row[at] = t->row[at - 1];
		t->row[at] = row;
	}
}

static void make_entry(struct bench_table *t, const struct bench_row *r, size_t engine)
{
	struct bench_entry *e = &r->entry[engine];
	struct bench_interval ci;
	struct bench_range range;
	const json_t *metric = NULL;

	e->median = e->low = e->high = NAN;
	e->cell = bench_resultset_cell(
		t->set, r->workload, r->step, r->state, t->set->engine[engine]);
	if (!e->cell)
		return;
	e->values = bench_alloc(e->cell->run_count * sizeof(*e->values));
	e->n = bench_resultset_values(e->cell, t->metric, e->values, &metric);
	if (metric && !t->unit) {
		t->unit = bench_resultset_text(metric, "unit");
		t->better = bench_resultset_text(metric, "better");
	}
	ci = bench_stats_median_interval(e->values, e->n, BENCH_TABLE_LEVEL);
	range = bench_stats_range(e->values, e->n);
	e->median = bench_stats_median(e->values, e->n);
	e->interval = ci.valid;
	e->low = ci.valid ? ci.low : range.min;
	e->high = ci.valid ? ci.high : range.max;
}

static void make_versus(
	const struct bench_entry *a, const struct bench_entry *b, struct bench_versus *v)
{
	struct bench_interval ci;
	struct bench_range range;

	*v = (struct bench_versus){NAN, NAN, NAN, false, NAN, NAN, NAN};
	if (!a->n || !b->n)
		return;
	ci = bench_stats_ratio_interval(a->values, a->n, b->values, b->n, BENCH_TABLE_LEVEL);
	range = bench_stats_ratio_range(a->values, a->n, b->values, b->n);
	v->ratio = b->median > 0 ? a->median / b->median : NAN;
	v->interval = ci.valid && a->interval && b->interval;
	v->low = v->interval ? ci.low : range.min;
	v->high = v->interval ? ci.high : range.max;
	if (v->interval)
		v->p = bench_stats_mann_whitney(a->values, a->n, b->values, b->n);
}

static void add_pair(struct bench_table *t, size_t engine, size_t base)
{
	t->pair = bench_realloc(t->pair, (t->pair_count + 1) * sizeof(*t->pair));
	t->pair[t->pair_count++] = (struct bench_pair){engine, base};
}

/* All against the base, then all others against the second one; the base is engine 0. */
static void make_pairs(struct bench_table *t, const char *against)
{
	size_t second = 0;

	for (size_t i = 1; i < t->set->engine_count; i++) {
		add_pair(t, i, 0);
		if (against && !strcmp(t->set->engine[i], against))
			second = i;
	}
	for (size_t i = 1; second && i < t->set->engine_count; i++)
		if (i != second)
			add_pair(t, i, second);
}

static double pooled_log_sd(const struct bench_entry *a, const struct bench_entry *b)
{
	double sa = bench_stats_log_sd(a->values, a->n),
	       sb = bench_stats_log_sd(b->values, b->n);

	return sqrt((sa * sa + sb * sb) / 2);
}

/* One Holm family a table: whoever reads a table looks at all of its verdicts at once. */
static void adjust(struct bench_table *t)
{
	size_t count = t->row_count * t->pair_count;
	auto_free double *p = bench_alloc(count * sizeof(*p));

	for (size_t i = 0; i < count; i++) {
		p[i] = t->row[i / t->pair_count].versus[i % t->pair_count].p;
		t->tests += !isnan(p[i]);
	}
	bench_stats_holm(p, count, p);
	for (size_t i = 0; i < count; i++) {
		struct bench_row *r = &t->row[i / t->pair_count];
		struct bench_versus *v = &r->versus[i % t->pair_count];
		const struct bench_pair *pair = &t->pair[i % t->pair_count];
		const struct bench_entry *a = &r->entry[pair->engine],
					 *b = &r->entry[pair->base];

		v->adjusted = p[i];
		if (!isnan(v->p))
			v->detectable = bench_stats_detectable(pooled_log_sd(a, b), a->n, b->n,
				(1 - BENCH_TABLE_LEVEL) / (double)t->tests);
	}
}

void bench_table_make(const struct bench_resultset *set, const char *group, const char *metric,
	const char *against, struct bench_table *ret_table)
{
	struct bench_table *t = ret_table;

	*t = (struct bench_table){.set = set, .group = group, .metric = metric};
	make_pairs(t, against);
	for (size_t i = 0; i < set->cell_count; i++)
		if (belongs(t, &set->cell[i]) && !find_row(t, &set->cell[i]))
			add_row(t, &set->cell[i]);
	sort_rows(t);
	for (size_t i = 0; i < t->row_count; i++) {
		struct bench_row *r = &t->row[i];

		for (size_t e = 0; e < set->engine_count; e++)
			make_entry(t, r, e);
		for (size_t j = 0; j < t->pair_count; j++)
			make_versus(&r->entry[t->pair[j].engine], &r->entry[t->pair[j].base],
				&r->versus[j]);
	}
	if (!t->unit)
		t->unit = t->better = "";
	adjust(t);
}

static void release_row(const struct bench_table *t, struct bench_row *r)
{
	for (size_t e = 0; e < t->set->engine_count; e++)
		free(r->entry[e].values);
	free(r->entry);
	free(r->versus);
}

void bench_table_release(struct bench_table *table)
{
	for (size_t i = 0; i < table->row_count; i++)
		release_row(table, &table->row[i]);
	free(table->row);
	free(table->pair);
	*table = (struct bench_table){0};
}

size_t bench_table_drop_rows(struct bench_table *table,
	bool (*drop)(const struct bench_resultset *set, const struct bench_row *row))
{
	size_t kept = 0, all = table->row_count;

	for (size_t i = 0; i < all; i++) {
		if (drop(table->set, &table->row[i]))
			release_row(table, &table->row[i]);
		else
			table->row[kept++] = table->row[i];
	}
	table->row_count = kept;
	return all - kept;
}

bool bench_table_has_values(const struct bench_table *table)
{
	size_t min, max;

	bench_table_runs(table, &min, &max);
	return max > 0;
}

void bench_table_runs(const struct bench_table *table, size_t *ret_min, size_t *ret_max)
{
	*ret_min = *ret_max = 0;
	for (size_t i = 0; i < table->row_count; i++)
		for (size_t e = 0; e < table->set->engine_count; e++) {
			size_t n = table->row[i].entry[e].n;

			if (n && (!*ret_min || n < *ret_min))
				*ret_min = n;
			if (n > *ret_max)
				*ret_max = n;
		}
}
