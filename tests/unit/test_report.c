/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a result set on disk to the text that is mailed: what it holds, says and looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <unistd.h>

#include "harness/err.h"
#include "harness/page.h"
#include "harness/report.h"
#include "harness/table.h"
#include "harness/units.h"
#include "tests/unit/sample_set.h"

static const char *const six[] = {"native", "fuse-default", "fan-fs", "fuse-pt", "fan-inode",
	"a-very-long-engine-name", NULL};
static const char *const no_native[] = {"fan-fs", "fuse-default", NULL};

static int make_dir(void **state)
{
	*state = bench_strdup("/tmp/hsmbench-test-report.XXXXXX");
	return mkdtemp(*state) ? 0 : -1;
}

static int remove_dir(void **state)
{
	int err = bench_rmtree(*state);

	free(*state);
	return err;
}

static char *report_of(const char *dir, bool all)
{
	const struct bench_report_options options = {.against = "fuse-default", .all = all};
	struct bench_resultset *set = NULL;
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	assert_int_equal(bench_resultset_open(dir, &set), 0);
	bench_report_write(set, &options, f);
	fclose(f);
	bench_resultset_free(set);
	return text;
}

static char *sample_report(const char *dir, const struct sample_options *o, bool all)
{
	sample_write(dir, o);
	return report_of(dir, all);
}

static void assert_mailable(const char *text)
{
	size_t column = 0;

	for (const char *c = text; *c; c++) {
		if (*c == '\n') {
			assert_true(column == 0 || c[-1] != ' ');
			column = 0;
			continue;
		}
		assert_true(*c >= ' ' && *c <= '~');
		assert_true(++column <= BENCH_PAGE_COLUMNS);
	}
	assert_int_equal(column, 0);
}

/* The first line with @a and, later in it, @b; owned, NULL if there is none. */
static char *line_with(const char *text, const char *a, const char *b)
{
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
		char *copy = bench_fmt("%.*s", (int)strcspn(line, "\n"), line);
		const char *at = strstr(copy, a);

		if (at && strstr(at + strlen(a), b))
			return copy;
		free(copy);
	}
	return NULL;
}

static void assert_line(const char *text, const char *a, const char *b)
{
	auto_free char *line = line_with(text, a, b);

	if (!line)
		print_error("no line with '%s' and '%s' in:\n%s", a, b, text);
	assert_non_null(line);
}

/* From the line of a table's title to the power it states; owned. */
static char *cut_table(const char *text, const char *title)
{
	const char *first = strstr(text, title),
		   *last = first ? strstr(first, "\npower:") : NULL;

	assert_non_null(last);
	last += 1 + strcspn(last + 1, "\n");
	return bench_fmt("%.*s\n", (int)(last - first), first);
}

/* Adds a traced run whose time would be noticed in a table. */
static void add_traced(const char *dir, const char *status, const char *reason)
{
	auto_free char *path = bench_fmt("%s/runs.jsonl", dir);
	FILE *f = fopen(path, "ae");

	assert_non_null(f);
	fprintf(f,
		"{\"schema\":1,\"session\":\"s\",\"cell\":\"find/fuse-default/traced\",\"block\":2,"
		"\"position\":1,\"group\":\"find\",\"workload\":\"find\",\"step\":\"find\","
		"\"main\":\"wall\",\"engine\":\"fuse-default\",\"state\":\"warm\","
		"\"status\":\"%s\",\"reason\":\"%s\",\"traced\":true,\"metrics\":[{\"name\":"
		"\"wall\",\"unit\":\"ns\",\"better\":\"less\",\"value\":99e12}],"
		"\"kernel_requests\":{\"RENAME2\":{\"count\":7,\"errors\":0,\"p50_ns\":20096,"
		"\"p99_ns\":20096,\"hist\":{\"unit\":\"ns\",\"bins\":[[20096,7]]}}},"
		"\"daemon_requests\":{\"RENAME\":{\"count\":7,\"errors\":0,\"p50_ns\":5056,"
		"\"p99_ns\":5056,\"hist\":{\"unit\":\"ns\",\"bins\":[[5056,7]]}},\"FORGET\":"
		"{\"count\":3,\"errors\":0,\"p50_ns\":301,\"p99_ns\":301,\"hist\":{\"unit\":"
		"\"ns\",\"bins\":[[301,3]]}}},\"trace\":{\"connection\":5,\"lost\":44,"
		"\"unmatched\":0}}\n",
		status, reason);
	fclose(f);
}

static void test_traced(void **state)
{
	const struct sample_options o = {6, sample_three, 0.05, false, false, false};
	auto_free char *before = sample_report(*state, &o, true);
	auto_free char *after = NULL;
	const char *table;
	size_t same;

	assert_null(strstr(before, "FUSE requests"));
	add_traced(*state, "ok", "");
	add_traced(*state, "skipped", "requests cannot be traced: no tracefs");
	after = report_of(*state, true);
	assert_mailable(after);
	/* Nothing else changes: no table has the run. */
	table = strstr(after, "FUSE requests:");
	assert_non_null(table);
	same = (size_t)(table - after) - BENCH_PAGE_COLUMNS - 2;
	assert_memory_equal(before, after, same);
	assert_line(table, "find/find (warm), fuse-default", "");
	assert_line(table, "RENAME ", "7        20.1       20.1         5.1        5.1");
	assert_line(table, "FORGET ", "3           -          -         0.3        0.3");
	assert_null(strstr(table, "RENAME2"));
	assert_line(table, "44 events were lost", "");
	assert_line(table, "skipped", "find/find (warm), fuse-default: ");
}

static void test_fits_a_mail(void **state)
{
	for (unsigned int n = 1; n <= 10; n += 3)
		for (int many = 0; many < 2; many++) {
			const struct sample_options o = {
				n, many ? six : sample_three, 0.3, true, true, true};
			auto_free char *text = sample_report(*state, &o, many);

			assert_mailable(text);
		}
}

/* Without noise every ratio is that of the generator: engine i is 1 + i/4 times the first. */
static void test_ratios_are_right(void **state)
{
	const struct sample_options o = {.blocks = 10, .engines = sample_three, .fio = true};
	auto_free char *text = sample_report(*state, &o, false);
	const char *fio = strstr(text, "fio: throughput");

	assert_line(text, "  list", "1.25 1.25-1.25 *  1.50 1.50-1.50 *  1.20 1.20-1.20 *");
	assert_line(text, "  list          -                 -", "1.20 1.20-1.20 *");
	assert_non_null(fio);
	assert_line(fio, "  seqread-128k-1j", "0.80 0.80-0.80 *  0.67 0.67-0.67 *");
	assert_line(text, "  list", "ms    80.0    0      100    0      120    0");
	assert_line(text, "  list          s       -          1.00    0     1.20    0", "");
}

static void test_equal_engines_are_not_called_different(void **state)
{
	static const char *const one[] = {"native", NULL};
	const struct sample_options o = {.blocks = 10, .engines = one, .noise = 0.05};
	auto_free char *runs = bench_fmt("%s/runs.jsonl", (char *)*state);
	auto_free char *text = NULL;
	auto_free char *twice = NULL;
	auto_free char *report = NULL;

	/* A/A: the same values once more under another name, in reversed blocks. */
	sample_write(*state, &o);
	assert_int_equal(bench_file_read(runs, &text), 0);
	twice = bench_fmt("%s%s", text, text);
	for (char *c = twice + strlen(text); (c = strstr(c, "\"engine\":\"native\""));)
		memcpy(c, "\"engine\":\"eviltw\"", 17);
	assert_int_equal(bench_file_write(runs, twice), 0);
	report = report_of(*state, false);
	assert_line(report, "/ native", "");
	assert_line(report, "  list       1.00 0.9", " ~");
	assert_null(line_with(report, "1.00", " *"));
}

static void test_quick_gives_no_verdict(void **state)
{
	const struct sample_options o = {.blocks = 3, .engines = sample_three, .noise = 0.01};
	auto_free char *text = sample_report(*state, &o, false);

	assert_line(text, "verdicts none", "n < 6");
	assert_line(text, "NO VERDICTS", "n = 3");
	assert_null(line_with(text, "  list ", "*"));
	assert_null(line_with(text, "  list ", "~"));
	assert_null(line_with(text, "power:", ""));
	assert_null(line_with(text, "Holm", ""));
}

static void test_too_many_tests_for_n_is_said(void **state)
{
	const struct sample_options o = {.blocks = 6, .engines = six, .noise = 0.01};
	auto_free char *text = sample_report(*state, &o, false);

	auto_free char *table = cut_table(text, "tar: elapsed time");

	assert_line(table, "cannot show any difference", "");
	assert_line(table, "  list ", "?");
	assert_null(line_with(table, "  list ", "~"));
}

static void test_failures_are_shown_with_reason(void **state)
{
	const struct sample_options o = {10, sample_three, 0.02, true, false, true};
	auto_free char *text = sample_report(*state, &o, false);

	assert_line(text, "  create", "!");
	assert_line(
		text, "failed:  fan-fs, create (cold-origin cold-cache warm), 3 of 30:", "");
	assert_line(text, "Caf??", "");
	assert_line(text, "  test", "skipped");
	assert_line(text,
		"skipped: fan-fs, test (cold-origin cold-cache warm), 30 of 30:", "unzip");
	assert_line(text, "n = 9..10", "");
	assert_line(text, "note:", "cut short");
}

static void test_head_names_result_and_seed(void **state)
{
	const struct sample_options o = {.blocks = 10, .engines = sample_three};
	auto_free char *text = sample_report(*state, &o, false);

	assert_line(text, "result   20250101T120000Z-sample-0001", "");
	assert_line(text, "repeat   hsmbench run --preset default", "");
	assert_line(text, "--seed 7", "");
	assert_line(text, "kernel   6.18.0", "");
	assert_line(text, "memory 8.00 GiB", "");
	assert_line(text, "engines  native (base), fuse-default, fan-fs", "");
}

static void test_fetched_leaves_zeros_out(void **state)
{
	const struct sample_options o = {.blocks = 3, .engines = sample_three};
	auto_free char *text = sample_report(*state, &o, false);
	const char *fetched = strstr(text, "bytes fetched");

	assert_non_null(fetched);
	assert_line(fetched, "  unzip/list", "2.86    0     2.86    0");
	assert_line(fetched, "(12 more rows: nothing fetched)", "");
	assert_null(line_with(fetched, "warm\n", ""));
}

static void append_run(
	const char *dir, const char *engine, int block, const char *status, double wall)
{
	auto_free char *path = bench_fmt("%s/runs.jsonl", dir);
	FILE *f = fopen(path, "ae");

	assert_non_null(f);
	fprintf(f,
		"{\"workload\":\"w\",\"step\":\"s\",\"engine\":\"%s\",\"state\":\"warm\","
		"\"block\":%d,\"status\":\"%s\",\"reason\":\"\",\"group\":\"g\",\"main\":\"wall\","
		"\"metrics\":[{\"name\":\"wall\",\"unit\":\"ns\",\"better\":\"less\","
		"\"value\":%.0f}]}\n",
		engine, block, status, wall);
	fclose(f);
}

static void test_resumed_block_counts_once(void **state)
{
	const struct bench_result_cell *c;
	struct bench_resultset *set = NULL;
	double value[4];

	append_run(*state, "fan-fs", 1, "failed", 5);
	append_run(*state, "fan-fs", 2, "ok", 7);
	append_run(*state, "fan-fs", 1, "ok", 6);
	assert_int_equal(bench_resultset_open(*state, &set), 0);
	c = bench_resultset_cell(set, "w", "s", "warm", "fan-fs");
	assert_non_null(c);
	assert_int_equal(c->run_count, 2);
	assert_int_equal(bench_resultset_count(c, BENCH_RESULT_OK), 2);
	assert_int_equal(bench_resultset_values(c, "wall", value, NULL), 2);
	assert_true(value[0] + value[1] == 13);
	assert_int_equal(bench_resultset_values(c, "absent", value, NULL), 0);
	bench_resultset_free(set);
}

static void test_bad_lines_are_counted(void **state)
{
	auto_free char *path = bench_fmt("%s/runs.jsonl", (char *)*state);
	struct bench_resultset *set = NULL;
	FILE *f;

	append_run(*state, "fan-fs", 1, "ok", 6);
	f = fopen(path, "ae");
	assert_non_null(f);
	fputs("not json\n\n{\"workload\":\"w\"}\n[1]\n", f);
	fclose(f);
	append_run(*state, "fan-fs", 2, "ok", 6);
	assert_int_equal(bench_resultset_open(*state, &set), 0);
	assert_int_equal(set->run_count, 2);
	assert_int_equal(set->dropped_lines, 3);
	assert_false(set->torn);
	bench_resultset_free(set);
}

static void test_base_without_native(void **state)
{
	const struct sample_options o = {.blocks = 10, .engines = no_native, .noise = 0.01};
	struct bench_resultset *set = NULL;

	sample_write(*state, &o);
	assert_int_equal(bench_resultset_open(*state, &set), 0);
	assert_string_equal(set->base, "fuse-default"); /* first in the plan */
	assert_int_equal(bench_resultset_rebase(set, "fan-fs"), 0);
	assert_string_equal(set->base, "fan-fs");
	assert_string_equal(set->engine[1], "fuse-default");
	assert_int_equal(bench_resultset_rebase(set, "nosuch"), -ENOENT);
	bench_resultset_free(set);
}

static int command(const char *dir, const char *option)
{
	char *argv[] = {(char *)"report", (char *)option, (char *)dir, NULL};
	char *short_argv[] = {(char *)"report", (char *)dir, NULL};

	return option ? bench_cmd_report(3, argv) : bench_cmd_report(dir ? 2 : 1, short_argv);
}

static void test_command(void **state)
{
	const struct sample_options o = {.blocks = 3, .engines = sample_three};
	auto_free char *path = bench_fmt("%s/report.txt", (char *)*state);
	auto_free char *manifest = bench_fmt("%s/manifest.json", (char *)*state);
	auto_free char *saved = NULL;
	auto_free char *text = sample_report(*state, &o, false);

	assert_int_equal(command(*state, NULL), BENCH_EXIT_OK);
	assert_int_equal(bench_file_read(path, &saved), 0);
	assert_string_equal(saved, text);
	assert_int_equal(command(*state, "--base=fan-fs"), BENCH_EXIT_OK);
	assert_int_equal(command(*state, "--base=nosuch"), BENCH_EXIT_FAILED);
	assert_int_equal(command(*state, "--nosuch"), BENCH_EXIT_USAGE);
	assert_int_equal(command(NULL, NULL), BENCH_EXIT_USAGE);
	assert_int_equal(command("/nonexistent", NULL), BENCH_EXIT_FAILED);
	assert_int_equal(bench_file_write(manifest, "{"), 0);
	assert_int_equal(command(*state, NULL), BENCH_EXIT_FAILED);
}

static void assert_unit(const char *base, double small, double large, const char *name)
{
	assert_string_equal(bench_unit_pick(base, small, large).name, name);
}

static void test_units(void **state)
{
	char text[32];

	(void)state;
	assert_unit("ns", 900, 950, "ns");
	assert_unit("ns", 1500, 9000, "us");
	assert_unit("ns", 2e6, 9e7, "ms");
	assert_unit("ns", 2e8, 3e10, "s");
	assert_unit("bytes", 100, 200, "B");
	assert_unit("bytes/s", 3e8, 4e8, "MiB/s");
	assert_unit("furlong", 3e8, 4e8, "furlong");
	assert_string_equal(bench_unit_format(1.234, text, 32), "1.23");
	assert_string_equal(bench_unit_format(9.996, text, 32), "10.0");
	assert_string_equal(bench_unit_format(99.96, text, 32), "100");
	assert_string_equal(bench_unit_format(12345.6, text, 32), "12346");
	assert_string_equal(bench_unit_format(0, text, 32), "0");
	assert_string_equal(bench_unit_format(0.0456, text, 32), "0.046");
	assert_string_equal(bench_unit_format(NAN, text, 32), "-");
	assert_string_equal(bench_unit_format_ratio(0.052, text, 32), ".052");
	assert_string_equal(bench_unit_format_ratio(0.0996, text, 32), "0.10");
	assert_string_equal(bench_unit_format_ratio(9.996, text, 32), "10.0");
	assert_string_equal(bench_unit_format_ratio(123.4, text, 32), "123");
	assert_string_equal(bench_unit_format_ratio(1e6, text, 32), ">1e4");
}

static void test_page_breaks_long_words(void **state)
{
	struct bench_page page;
	auto_free char *text = NULL;
	char word[301];
	size_t bytes;

	(void)state;
	memset(word, 'x', 300);
	word[300] = '\0';
	page.out = open_memstream(&text, &bytes);
	bench_page_fill(&page, "head:", 8, "%s short %s\t\x1b[31m", word, "words");
	bench_page_line(&page, "%s", word);
	bench_page_fill(&page, "", 2, "%s", "");
	fclose(page.out);
	assert_mailable(text);
	assert_non_null(strstr(text, "short words"));
	assert_null(strchr(text, 0x1b));
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DISK(test_fits_a_mail),
		ON_DISK(test_traced),
		ON_DISK(test_ratios_are_right),
		ON_DISK(test_equal_engines_are_not_called_different),
		ON_DISK(test_quick_gives_no_verdict),
		ON_DISK(test_too_many_tests_for_n_is_said),
		ON_DISK(test_failures_are_shown_with_reason),
		ON_DISK(test_head_names_result_and_seed),
		ON_DISK(test_fetched_leaves_zeros_out),
		ON_DISK(test_resumed_block_counts_once),
		ON_DISK(test_bad_lines_are_counted),
		ON_DISK(test_base_without_native),
		ON_DISK(test_command),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_page_breaks_long_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
