/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owns the report: which tables it has and in which order, what failed, and how to read it. The
 * arithmetic is in table.c, the machine and the design in report_env.c.
 */
#include "harness/report.h"

#include <string.h>

#include "harness/page.h"
#include "harness/report_env.h"
#include "harness/report_requests.h"
#include "harness/table.h"
#include "harness/util.h"

struct metric {
	const char *name, *title;
	enum {
		TEST,
		SHOW,
		ALL
	} use; /* with ratios and verdicts, medians only, only with --all */
};

static const struct metric metrics[] = {
	{"wall", "elapsed time", ALL}, /* of a fio job it says little */
	{"bw", "throughput", TEST},
	{"rate", "operations a second", ALL},
	{"first_line", "time to the first line of output", TEST},
	{"lat_p50", "median latency", ALL},
	{"lat_p99", "99th percentile of latency", TEST},
	{"lat_p999", "99.9th percentile of latency", ALL},
	{"iops", "I/O operations a second", ALL},
	{"cpu", "CPU time, client and daemon", SHOW},
	{"user", "CPU time of the client in user mode", ALL},
	{"sys", "CPU time of the client in the kernel", ALL},
	{"daemon_cpu", "CPU time of the daemon", ALL},
	{"rss", "resident memory of the daemon", ALL},
	{"requests", "requests at the origin", ALL},
	{"out", "output of the command", ALL},
};

static const char rule[] =
	"------------------------------------------------------------------------";

static const char *better_text(const struct bench_table *t)
{
	return !strcmp(t->better, "more") ? "more is better" : "less is better";
}

static void print_title(const struct bench_table *t, const char *name, const char *title,
	struct bench_page *page)
{
	auto_free char *left = bench_fmt("%s: %s, %s", name, title, better_text(t));
	auto_free char *right = NULL;
	size_t min, max;

	bench_table_runs(t, &min, &max);
	right = min == max ? bench_fmt("n = %zu", max) : bench_fmt("n = %zu..%zu", min, max);
	bench_page_line(page, "%s", "");
	bench_page_line(page, "%-*s%s", (int)(BENCH_PAGE_COLUMNS - strlen(right)), left, right);
}

static void print_table(const struct bench_table *t, const char *name, const char *title,
	bool test, struct bench_page *page)
{
	print_title(t, name, title, page);
	bench_table_print_medians(t, page);
	if (!test)
		return;
	bench_table_print_ratios(t, page);
	bench_table_print_spread(t, page);
}

static bool is_main(const struct bench_resultset *set, const char *group, const char *metric)
{
	for (size_t i = 0; i < set->cell_count; i++)
		if (!strcmp(set->cell[i].group, group) && !strcmp(set->cell[i].main, metric))
			return true;
	return false;
}

/* True if the table was worth printing. */
static bool group_metric(const struct bench_resultset *set, const char *group,
	const struct metric *m, const struct bench_report_options *o, struct bench_page *page)
{
	bool main = is_main(set, group, m->name), printed = false;
	struct bench_table t;

	if (m->use == ALL && !o->all && !main)
		return false;
	bench_table_make(set, group, m->name, o->against, &t);
	if (bench_table_has_values(&t) || (main && t.row_count)) {
		print_table(&t, group, m->title, main || m->use == TEST, page);
		printed = true;
	}
	bench_table_release(&t);
	return printed;
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(metrics); i++)
		if (!strcmp(metrics[i].name, name))
			return true;
	return !strcmp(name, "fetched");
}

/* Main metrics a workload invented get a table as well. */
static void group_other_mains(const struct bench_resultset *set, const char *group,
	const struct bench_report_options *o, struct bench_page *page)
{
	const char *last = "";

	for (size_t i = 0; i < set->cell_count; i++) {
		const struct bench_result_cell *c = &set->cell[i];
		struct metric m = {c->main, c->main, TEST};

		if (strcmp(c->group, group) || !*c->main || is_known(c->main) ||
			!strcmp(c->main, last))
			continue;
		group_metric(set, group, &m, o, page);
		last = c->main;
	}
}

/* "list = list a tarball; create = ..." so that short row names can be understood. */
static void print_steps(
	const struct bench_resultset *set, const char *group, struct bench_page *page)
{
	auto_free char *text = bench_strdup("");
	const struct bench_result_cell *last = NULL;

	for (size_t i = 0; i < set->cell_count; i++) {
		const struct bench_result_cell *c = &set->cell[i];
		char *longer;

		if (strcmp(c->group, group) || !*c->title || !strcmp(c->title, c->step) ||
			(last && !strcmp(last->step, c->step) &&
				!strcmp(last->workload, c->workload)))
			continue;
		last = c;
		longer = bench_fmt("%s%s%s = %s", text, *text ? "; " : "", c->step, c->title);
		free(text);
		text = longer;
	}
	if (*text)
		bench_page_fill(page, group, strlen(group) + 2, "%s", text);
	else
		bench_page_line(page, "%s", group);
}

static bool same_story(const struct bench_result_run *a, const struct bench_result_run *b)
{
	return a->status == b->status && !strcmp(a->reason, b->reason);
}

/* Runs of @c that ended as @run did. */
static size_t count_story(const struct bench_result_cell *c, const struct bench_result_run *run)
{
	size_t count = 0;

	for (size_t i = 0; i < c->run_count; i++)
		count += same_story(&c->run[i], run);
	return count;
}

static bool same_step(const struct bench_result_cell *a, const struct bench_result_cell *b)
{
	return !strcmp(a->engine, b->engine) && !strcmp(a->step, b->step) &&
	       !strcmp(a->workload, b->workload);
}

/* Was it told for an earlier run of the cell, or for another cache state of the step? */
static bool is_told(const struct bench_resultset *set, const struct bench_result_cell *c,
	const struct bench_result_run *run)
{
	for (const struct bench_result_run *r = c->run; r < run; r++)
		if (same_story(r, run))
			return true;
	for (const struct bench_result_cell *other = set->cell; other < c; other++)
		if (same_step(other, c) && count_story(other, run))
			return true;
	return false;
}

static bool is_worth_telling(
	const struct bench_result_cell *c, const struct bench_result_run *run)
{
	return run->status != BENCH_RESULT_OK && !bench_resultset_inapplicable(c);
}

static void print_story(const struct bench_resultset *set, const struct bench_result_cell *c,
	const struct bench_result_run *run, struct bench_page *page)
{
	bool failed = run->status == BENCH_RESULT_FAILED;
	auto_free char *states = bench_strdup("");
	size_t count = 0, all = 0;

	for (size_t i = 0; i < set->cell_count; i++) {
		const struct bench_result_cell *other = &set->cell[i];
		size_t here = same_step(other, c) ? count_story(other, run) : 0;
		char *longer;

		if (!here)
			continue;
		longer = bench_fmt("%s%s%s", states, *states ? " " : "", other->state);
		free(states);
		states = longer;
		count += here;
		all += other->run_count;
	}
	bench_page_fill(page, failed ? "failed:" : "skipped:", 9, "%s, %s (%s), %zu of %zu: %s",
		c->engine, *c->step ? c->step : c->workload, states, count, all, run->reason);
}

static void print_reasons(
	const struct bench_resultset *set, const char *group, struct bench_page *page)
{
	bool first = true;

	for (size_t i = 0; i < set->cell_count; i++) {
		const struct bench_result_cell *c = &set->cell[i];

		for (size_t j = 0; j < c->run_count && !strcmp(c->group, group); j++) {
			if (!is_worth_telling(c, &c->run[j]) || is_told(set, c, &c->run[j]))
				continue;
			if (first)
				bench_page_line(page, "%s", "");
			first = false;
			print_story(set, c, &c->run[j], page);
		}
	}
}

static void print_group(const struct bench_resultset *set, const char *group,
	const struct bench_report_options *o, struct bench_page *page)
{
	bench_page_line(page, "%s", "");
	bench_page_line(page, "%s", rule);
	print_steps(set, group, page);
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(metrics); i++)
		group_metric(set, group, &metrics[i], o, page);
	group_other_mains(set, group, o, page);
	print_reasons(set, group, page);
}

static bool is_zero_row(const struct bench_resultset *set, const struct bench_row *r)
{
	for (size_t e = 0; e < set->engine_count; e++)
		if (r->entry[e].n && r->entry[e].high > 0)
			return false;
	return true;
}

/* Once everything is local nothing should be fetched: one line says so instead of many zeros. */
static void print_fetched(const struct bench_resultset *set, struct bench_page *page)
{
	struct bench_table t;
	size_t zeros;

	bench_table_make(set, NULL, "fetched", NULL, &t);
	zeros = bench_table_drop_rows(&t, is_zero_row);
	if (bench_table_has_values(&t)) {
		bench_page_line(page, "%s", "");
		bench_page_line(page, "%s", rule);
		print_table(&t, "all groups", "bytes fetched from the origin", false, page);
		if (zeros)
			bench_page_line(page, "(%zu more rows: nothing fetched)", zeros);
	}
	bench_table_release(&t);
}

/* A check that failed in a run whose numbers were kept: the reader has to know. */
static void print_checks(const struct bench_resultset *set, struct bench_page *page)
{
	const json_t *line, *check;
	size_t i, j, bad = 0;

	json_array_foreach (set->lines, i, line)
		json_array_foreach (json_object_get(line, "checks"), j, check) {
			if (!json_is_false(json_object_get(check, "ok")) ||
				strcmp(bench_resultset_text(line, "status"), "ok") || ++bad > 5)
				continue;
			bench_page_fill(page, "check:", 9, "%s, %s, %s, block %lld: %s: %s",
				bench_resultset_text(line, "engine"),
				bench_resultset_text(line, "step"),
				bench_resultset_text(line, "state"),
				(long long)json_integer_value(json_object_get(line, "block")),
				bench_resultset_text(check, "name"),
				bench_resultset_text(check, "detail"));
		}
	if (bad > 5)
		bench_page_fill(page, "check:", 9, "and %zu more, see runs.jsonl", bad - 5);
}

static void print_incomplete(const struct bench_resultset *set, struct bench_page *page)
{
	if (set->torn)
		bench_page_fill(page, "note:", 9,
			"the last line of runs.jsonl is cut short: the session was killed");
	if (set->dropped_lines)
		bench_page_fill(page, "note:", 9, "%zu line%s of runs.jsonl could not be read",
			set->dropped_lines, set->dropped_lines == 1 ? "" : "s");
	print_checks(set, page);
}

static size_t most_runs(const struct bench_resultset *set)
{
	size_t most = 0;

	for (size_t i = 0; i < set->cell_count; i++) {
		size_t n = bench_resultset_count(&set->cell[i], BENCH_RESULT_OK);

		most = n > most ? n : most;
	}
	return most;
}

static void print_reading_verdicts(struct bench_page *page)
{
	bench_page_fill(page, "", 0,
		"How to read: every figure is a median over blocks. +/-%% is half of its 95%% "
		"confidence interval (exact, from order statistics, no normality assumed), in "
		"percent of the median; 'r' marks half of the range instead, where fewer than %d "
		"runs succeeded, and '!' a cell some of whose runs failed.",
		BENCH_STATS_MIN_N);
	bench_page_fill(page, "", 0,
		"A ratio is that of two medians; beside it is the 95%% Hodges-Lehmann interval of "
		"the factor between the two, which on lopsided samples need not be centred on it. "
		"* the two differ (Mann-Whitney, exact, two-sided, 5%% after Holm over all tests of "
		"the table); ~ no difference found, which is not the same as none: see 'power'; "
		"? not testable, as no p-value of this n survives that many tests. An interval "
		"without 1.00 beside a ~ did not survive the correction.");
}

static void print_reading_quick(size_t n, struct bench_page *page)
{
	bench_page_fill(page, "", 0,
		"NO VERDICTS: with n = %zu no rank test can tell two engines apart and no 95%% "
		"interval of a median exists (both need %d). Use these figures to see that "
		"everything works and where to look, not to claim a difference.",
		n, BENCH_STATS_MIN_N);
	bench_page_fill(page, "", 0,
		"How to read: every figure is a median over blocks. +/-%% is half of (largest - "
		"smallest) in percent of the median, a spread and not a confidence interval. A "
		"ratio is that of two medians; beside it the smallest and largest ratio of any two "
		"runs. '!' marks a cell some of whose runs failed.");
}

static void print_reading(const struct bench_resultset *set, struct bench_page *page)
{
	size_t n = most_runs(set);

	bench_page_line(page, "%s", "");
	bench_page_line(page, "%s", rule);
	if (n >= BENCH_STATS_MIN_N)
		print_reading_verdicts(page);
	else
		print_reading_quick(n, page);
	bench_page_fill(page, "", 0,
		"States: cold-origin = nothing local; cold-cache = all content local, page and "
		"inode caches dropped; warm = right after a first run. '-': there is no such "
		"cell, as an engine without an origin has no cold-origin.");
}

void bench_report_write(const struct bench_resultset *set,
	const struct bench_report_options *options, FILE *out)
{
	struct bench_page page = {out};

	bench_report_env(set, &page);
	if (most_runs(set) < BENCH_STATS_MIN_N)
		bench_page_fill(
			&page, "verdicts", 9, "none: n < %d, see the end", BENCH_STATS_MIN_N);
	print_incomplete(set, &page);
	for (size_t i = 0; i < set->cell_count; i++)
		if (!i || strcmp(set->cell[i].group, set->cell[i - 1].group))
			print_group(set, set->cell[i].group, options, &page);
	print_fetched(set, &page);
	bench_report_requests(set, &page);
	print_reading(set, &page);
}
