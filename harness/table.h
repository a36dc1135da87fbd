/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H
/* One metric of one workload group: rows are steps by cache state, columns are engines. */
#include <stdbool.h>
#include <stddef.h>

#include "harness/page.h"
#include "harness/resultset.h"
#include "harness/stats.h"

#define BENCH_TABLE_LEVEL 0.95 /* of intervals; tests are at 1 - level */

/* One engine in one row. */
struct bench_entry {
	const struct bench_result_cell *cell; /* NULL: never planned */
	double *values;
	size_t n;
	double median, low, high; /* NAN without values; low and high: interval or range */
	bool interval; /* false: low and high are the smallest and largest value */
};

/* Two engines in one row. */
struct bench_versus {
	double ratio, low, high; /* of medians; NAN if either is missing */
	bool interval; /* false: range over all pairs of runs */
	double p, adjusted; /* NAN: not tested */
	double detectable; /* NAN: not tested */
};

struct bench_row {
	const char *workload, *step, *state;
	struct bench_entry *entry; /* one per engine of the set */
	struct bench_versus *versus; /* one per pair of the table */
};

struct bench_pair {
	size_t engine, base; /* indices into the set's engines */
};

struct bench_table {
	const struct bench_resultset *set;
	const char *group; /* NULL: all */
	const char *metric;
	const char *unit, *better; /* as in the runs */
	struct bench_row *row; /* by state, then step */
	size_t row_count;
	struct bench_pair *pair;
	size_t pair_count;
	size_t tests;
	bool long_labels; /* rows are workload/step */
};

/*
 * Computes the table. Rows: where some engine has the metric, or where runs that have it as their
 * main metric failed. @against: a second engine to compare with besides the base; may be NULL.
 */
void bench_table_make(const struct bench_resultset *set, const char *group, const char *metric,
	const char *against, struct bench_table *ret_table);
void bench_table_release(struct bench_table *table);

/* Drops the rows that @drop says, and returns how many. */
size_t bench_table_drop_rows(struct bench_table *table,
	bool (*drop)(const struct bench_resultset *set, const struct bench_row *row));

bool bench_table_has_values(const struct bench_table *table);

/* Smallest and largest number of runs behind a value; 0 and 0 if there is none. */
void bench_table_runs(const struct bench_table *table, size_t *ret_min, size_t *ret_max);

/* Printing: the block of medians, the block of ratios, and what the spread allows to see. */
void bench_table_print_medians(const struct bench_table *table, struct bench_page *page);
void bench_table_print_ratios(const struct bench_table *table, struct bench_page *page);
void bench_table_print_spread(const struct bench_table *table, struct bench_page *page);

#endif
