/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owns the look of a table: a block per question as on the kernel lists, rows under a heading for
 * their cache state, as many engines side by side as 72 columns hold, and then the next block.
 */
#include "harness/table.h"

#include <math.h>
#include <string.h>

#include "harness/units.h"
#include "harness/util.h"

#define UNIT_COLUMNS   6
#define VALUE_COLUMNS  14 /* median and its half width */
#define VERSUS_COLUMNS 18 /* ratio, interval, mark */
#define LABEL_MAX      30

typedef char *(*cell_fn)(const struct bench_table *t, const struct bench_row *r, size_t column);

struct block {
	size_t columns; /* engines or pairs */
	size_t wide, prefix; /* characters of one of them, and of the unit before the first */
	cell_fn cell; /* one line of one of them; owned by the caller */
};

static char *row_label(const struct bench_table *t, const struct bench_row *r)
{
	return t->long_labels ? bench_fmt("  %s/%s", r->workload, r->step)
			      : bench_fmt("  %s", r->step);
}

static size_t label_columns(const struct bench_table *t)
{
	size_t wide = strlen("cold-origin");

	for (size_t i = 0; i < t->row_count; i++) {
		auto_free char *label = row_label(t, &t->row[i]);

		if (strlen(label) > wide)
			wide = strlen(label);
	}
	return wide < LABEL_MAX ? wide : LABEL_MAX;
}

/* One unit a row, so that the engines in it can be compared at a glance. */
static struct bench_unit row_unit(const struct bench_table *t, const struct bench_row *r)
{
	double smallest = NAN, largest = NAN;

	for (size_t e = 0; e < t->set->engine_count; e++) {
		double median = r->entry[e].median;

		largest = fmax(largest, median);
		if (median > 0)
			smallest = fmin(smallest, median);
	}
	return isnan(largest) ? (struct bench_unit){"", 1}
			      : bench_unit_pick(t->unit, smallest, largest);
}

/* '!': some runs of the cell failed; 'r': a range where other cells of the table have an interval. */
static char entry_flag(const struct bench_table *t, const struct bench_entry *e)
{
	size_t min, max;

	if (bench_resultset_count(e->cell, BENCH_RESULT_FAILED))
		return '!';
	bench_table_runs(t, &min, &max);
	return !e->interval && max >= BENCH_STATS_MIN_N ? 'r' : ' ';
}

static const char *missing(const struct bench_entry *e)
{
	if (e->cell && bench_resultset_count(e->cell, BENCH_RESULT_FAILED))
		return "failed";
	if (e->cell && bench_resultset_count(e->cell, BENCH_RESULT_SKIPPED) &&
		!bench_resultset_inapplicable(e->cell))
		return "skipped";
	return "-";
}

static char *value_cell(const struct bench_table *t, const struct bench_row *r, size_t column)
{
	const struct bench_entry *e = &r->entry[column];
	struct bench_unit unit = row_unit(t, r);
	char value[32], percent[32] = "0"; /* of values that are all the same */

	if (!e->n)
		return bench_fmt("%8s%6s", missing(e), "");
	bench_unit_format(e->median / unit.scale, value, sizeof(value));
	if (e->n < 2)
		snprintf(percent, sizeof(percent), "-");
	else if (e->high > e->low)
		snprintf(percent, sizeof(percent), "%.*f", e->high - e->low < e->median ? 1 : 0,
			50 * (e->high - e->low) / e->median);
	return bench_fmt("%8s%5s%c", value, percent, entry_flag(t, e));
}

static char mark(const struct bench_versus *v)
{
	if (isnan(v->adjusted))
		return ' ';
	if (isinf(v->detectable))
		return '?';
	return v->adjusted < 1 - BENCH_TABLE_LEVEL ? '*' : '~';
}

static char *versus_cell(const struct bench_table *t, const struct bench_row *r, size_t column)
{
	const struct bench_versus *v = &r->versus[column];
	char ratio[16], low[16], high[16];

	(void)t;
	if (isnan(v->ratio))
		return bench_fmt("%6s", "-");
	bench_unit_format_ratio(v->ratio, ratio, sizeof(ratio));
	if (!(v->low < v->high) && !v->interval)
		return bench_fmt("  %4s", ratio); /* one run each has no range */
	bench_unit_format_ratio(v->low, low, sizeof(low));
	bench_unit_format_ratio(v->high, high, sizeof(high));
	return bench_fmt("  %4s %4s-%-4s %c", ratio, low, high, mark(v));
}

static void print_rows(const struct bench_table *t, struct bench_page *page,
	const struct block *b, size_t first, size_t last)
{
	int label_wide = (int)label_columns(t);

	for (size_t i = 0; i < t->row_count; i++) {
		const struct bench_row *r = &t->row[i];
		auto_free char *label = row_label(t, r);
		auto_free char *line =
			bench_fmt("%-*.*s%*.*s", label_wide, label_wide, label, (int)b->prefix,
				(int)b->prefix - 1, b->prefix ? row_unit(t, r).name : "");

		if (!i || strcmp(r->state, t->row[i - 1].state))
			bench_page_line(page, "%s", r->state);
		for (size_t c = first; c < last; c++) {
			auto_free char *cell = b->cell(t, r, c);
			char *longer = bench_fmt("%s%-*s", line, (int)b->wide, cell);

			free(line);
			line = longer;
		}
		bench_page_line(page, "%s", line);
	}
}

static size_t columns_that_fit(const struct bench_table *t, const struct block *b)
{
	size_t room = BENCH_PAGE_COLUMNS - label_columns(t) - b->prefix;

	return room < b->wide ? 1 : room / b->wide;
}

/* Appends @text right-aligned (or left, from the second column) in the block's column width. */
static void add_head(char **line, const struct block *b, const char *text, bool right)
{
	int wide = (int)b->wide - 1;
	char *longer = right ? bench_fmt("%s%*.*s ", *line, wide, wide, text)
			     : bench_fmt("%s  %-*.*s", *line, wide - 1, wide - 1, text);

	free(*line);
	*line = longer;
}

static void head_medians(const struct bench_table *t, struct bench_page *page,
	const struct block *b, size_t first, size_t last)
{
	auto_free char *names = bench_fmt("%*s", (int)(label_columns(t) + b->prefix), "");
	auto_free char *what =
		bench_fmt("%*s%*s", (int)label_columns(t), "", (int)b->prefix, "unit");

	for (size_t c = first; c < last; c++) {
		add_head(&names, b, t->set->engine[c], true);
		add_head(&what, b, "median +/-%", true);
	}
	bench_page_line(page, "%s", names);
	bench_page_line(page, "%s", what);
}

static void head_ratios(const struct bench_table *t, struct bench_page *page,
	const struct block *b, size_t first, size_t last)
{
	auto_free char *names =
		bench_fmt("%-*s", (int)label_columns(t), first ? "" : "ratio of");
	auto_free char *bases =
		bench_fmt("%-*s", (int)label_columns(t), first ? "" : "medians");

	for (size_t c = first; c < last; c++) {
		auto_free char *base = bench_fmt("/ %s", t->set->engine[t->pair[c].base]);

		add_head(&names, b, t->set->engine[t->pair[c].engine], false);
		add_head(&bases, b, base, false);
	}
	bench_page_line(page, "%s", names);
	bench_page_line(page, "%s", bases);
}

void bench_table_print_medians(const struct bench_table *table, struct bench_page *page)
{
	struct block b = {table->set->engine_count, VALUE_COLUMNS, UNIT_COLUMNS, value_cell};
	size_t fit = columns_that_fit(table, &b);

	for (size_t first = 0; first < b.columns; first += fit) {
		size_t last = first + fit < b.columns ? first + fit : b.columns;

		if (first)
			bench_page_line(page, "%s", "");
		head_medians(table, page, &b, first, last);
		print_rows(table, page, &b, first, last);
	}
}

static bool pair_has_ratio(const struct bench_table *t, size_t pair)
{
	for (size_t i = 0; i < t->row_count; i++)
		if (!isnan(t->row[i].versus[pair].ratio))
			return true;
	return false;
}

void bench_table_print_ratios(const struct bench_table *table, struct bench_page *page)
{
	struct block b = {table->pair_count, VERSUS_COLUMNS, 0, versus_cell};
	size_t fit = columns_that_fit(table, &b), pairs = 0;

	for (size_t i = 0; i < table->pair_count; i++)
		pairs += pair_has_ratio(table, i);
	if (!pairs)
		return;
	for (size_t first = 0; first < b.columns; first += fit) {
		size_t last = first + fit < b.columns ? first + fit : b.columns;

		bench_page_line(page, "%s", "");
		head_ratios(table, page, &b, first, last);
		print_rows(table, page, &b, first, last);
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The coefficients of variation, ascending; *ret_worst names the noisiest entry. */
static double *spreads(const struct bench_table *t, size_t *ret_count, char **ret_worst)
{
	size_t engines = t->set->engine_count, count = 0;
	double *cv = bench_alloc(t->row_count * engines * sizeof(*cv)), worst = -1;

	*ret_worst = NULL;
	for (size_t i = 0; i < t->row_count * engines; i++) {
		const struct bench_row *r = &t->row[i / engines];
		const struct bench_entry *e = &r->entry[i % engines];
		double one = e->n > 1 ? bench_stats_cv(e->values, e->n) : NAN;

		if (isnan(one))
			continue;
		if (one > worst) {
			worst = one;
			free(*ret_worst);
			*ret_worst = bench_fmt(
				"%s, %s, %s", t->set->engine[i % engines], r->step, r->state);
		}
		cv[count++] = one;
	}
	qsort(cv, count, sizeof(*cv), compare_doubles);
	*ret_count = count;
	return cv;
}

static void print_detectable(const struct bench_table *t, struct bench_page *page)
{
	auto_free double *d = bench_alloc(t->row_count * t->pair_count * sizeof(*d));
	size_t count = 0, worst;

	for (size_t i = 0; i < t->row_count * t->pair_count; i++) {
		double one = t->row[i / t->pair_count].versus[i % t->pair_count].detectable;

		if (!isnan(one))
			d[count++] = one;
	}
	if (!count)
		return;
	qsort(d, count, sizeof(*d), compare_doubles);
	worst = count - 1;
	while (worst && isinf(d[worst]))
		worst--;
	if (isinf(d[count / 2]))
		bench_page_fill(page, "power:", 8,
			"after Holm over %zu tests this n cannot show any difference",
			t->tests);
	else
		bench_page_fill(page, "power:", 8,
			"a true difference of %.1f%% (typical row) would be found in 8 of 10 "
			"sessions; %.0f%% in the noisiest",
			100 * d[count / 2], 100 * d[worst]);
}

void bench_table_print_spread(const struct bench_table *table, struct bench_page *page)
{
	auto_free char *worst = NULL;
	size_t count;
	auto_free double *cv = spreads(table, &count, &worst);

	if (count)
		bench_page_fill(page, "spread:", 8,
			"standard deviation %.1f%% of the mean (typical), %.1f%% (worst: %s)",
			100 * bench_stats_median(cv, count), 100 * cv[count - 1], worst);
	print_detectable(table, page);
}
