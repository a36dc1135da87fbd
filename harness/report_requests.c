/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Owns one table per traced run: request types as rows, the most frequent first. */
#include "harness/report_requests.h"

#include <string.h>

#include "harness/opcode.h"
#include "harness/util.h"

struct row {
	const char *name; /* borrowed */
	struct bench_hist kernel, daemon; /* empty: not seen there */
};

struct rows {
	struct row *row;
	size_t count;
};

static struct row *row_of(struct rows *rows, const char *name)
{
	name = bench_opcode_family(name);
	for (size_t i = 0; i < rows->count; i++)
		if (!strcmp(rows->row[i].name, name))
			return &rows->row[i];
	rows->row = bench_realloc(rows->row, (rows->count + 1) * sizeof(*rows->row));
	rows->row[rows->count] = (struct row){.name = name};
	return &rows->row[rows->count++];
}

static void add_rows(struct rows *rows, const json_t *types, bool kernel)
{
	const char *name;
	json_t *type;

	json_object_foreach ((json_t *)types, name, type) {
		struct row *r = row_of(rows, name);

		bench_hist_read(
			kernel ? &r->kernel : &r->daemon, json_object_get(type, "hist"));
	}
}

/* As the kernel counts, or else the daemon. */
static uint64_t count_of(const struct row *r)
{
	return r->kernel.total ? r->kernel.total : r->daemon.total;
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	uint64_t m = count_of(x), n = count_of(y);

	return m != n ? (m < n) - (m > n) : strcmp(x->name, y->name);
}

/* Microseconds, "-" where nothing was counted; owned. */
static char *percentile(const struct bench_hist *h, double fraction)
{
	return h->total ? bench_fmt("%.1f", (double)bench_hist_percentile_ns(h, fraction) / 1e3)
			: bench_strdup("-");
}

static void print_row(const struct row *r, struct bench_page *page)
{
	auto_free char *k50 = percentile(&r->kernel, 0.5), *k99 = percentile(&r->kernel, 0.99);
	auto_free char *d50 = percentile(&r->daemon, 0.5), *d99 = percentile(&r->daemon, 0.99);

	bench_page_line(page, "%-15s %10llu  %10s %10s  %10s %10s", r->name,
		(unsigned long long)count_of(r), k50, k99, d50, d99);
}

static void print_notes(const json_t *line, struct bench_page *page)
{
	const json_t *trace = json_object_get(line, "trace");
	long long lost = json_integer_value(json_object_get(trace, "lost"));
	long long unmatched = json_integer_value(json_object_get(trace, "unmatched"));

	if (lost)
		bench_page_fill(page, "note:", 9,
			"%lld events were lost: the kernel's side is incomplete", lost);
	if (unmatched)
		bench_page_fill(page, "note:", 9,
			"%lld events without their other half, of requests under way when tracing "
			"began or ended%s",
			unmatched, lost ? ", or lost" : "");
}

static void print_run(const json_t *line, struct bench_page *page)
{
	const char *workload = bench_resultset_text(line, "workload");
	const char *reason = bench_resultset_text(line, "reason");
	auto_free char *what = bench_fmt("%s/%s (%s), %s", workload,
		bench_resultset_text(line, "step"), bench_resultset_text(line, "state"),
		bench_resultset_text(line, "engine"));
	struct rows rows = {0};

	bench_page_line(page, "%s", "");
	if (*reason) {
		bench_page_fill(
			page, bench_resultset_text(line, "status"), 9, "%s: %s", what, reason);
		return;
	}
	add_rows(&rows, json_object_get(line, "kernel_requests"), true);
	add_rows(&rows, json_object_get(line, "daemon_requests"), false);
	if (rows.count)
		qsort(rows.row, rows.count, sizeof(*rows.row), compare_rows);
	bench_page_line(page, "%s", what);
	bench_page_line(page, "%-15s %10s  %10s %10s  %10s %10s", "", "count", "kernel p50",
		"p99", "daemon p50", "p99");
	for (size_t i = 0; i < rows.count; i++)
		print_row(&rows.row[i], page);
	if (!rows.count)
		bench_page_line(page, "no request");
	print_notes(line, page);
	free(rows.row);
}

void bench_report_requests(const struct bench_resultset *set, struct bench_page *page)
{
	const json_t *line;
	size_t i;

	if (!json_array_size(set->traced))
		return;
	bench_page_line(page, "%s", "");
	bench_page_line(page,
		"------------------------------------------------------------------------");
	bench_page_fill(page, "FUSE requests:", 0,
		"traced runs, whose times are in no other table. Microseconds. Kernel: from "
		"sending to the end of the answer. Daemon: from reading until it is back from "
		"answering, so its figure can be the larger one. FORGET has no answer: only the "
		"daemon counts it.");
	json_array_foreach (set->traced, i, line)
		print_run(line, page);
}
