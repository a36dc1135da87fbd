/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `hsmbench plot` with the real gnuplot: figures for what there is, a note for what there is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <sys/stat.h>

#include "harness/err.h"
#include "harness/plot.h"
#include "tests/unit/sample_set.h"

static const char *const strangers[] = {"native", "bindfs 2", "httpdirfs", "zzz", NULL};

static int make_dir(void **state)
{
	*state = bench_strdup("/tmp/hsmbench-test-plot.XXXXXX");
	return mkdtemp(*state) ? 0 : -1;
}

static int remove_dir(void **state)
{
	int err = bench_rmtree(*state);

	free(*state);
	return err;
}

static int plot(const char *dir, const char *option)
{
	char *argv[] = {
		(char *)"plot", (char *)"--scripts=plots", (char *)option, (char *)dir, NULL};

	return bench_cmd_plot(4, argv);
}

static bool have_gnuplot(void)
{
	auto_free char *path = bench_which("gnuplot");

	return path != NULL;
}

static size_t count_files(const char *dir, const char *pattern)
{
	auto_free char *path = bench_fmt("%s/plots/%s", dir, pattern);
	glob_t found;
	size_t count;

	if (glob(path, 0, NULL, &found))
		return 0;
	count = found.gl_pathc;
	globfree(&found);
	return count;
}

static void assert_picture(const char *dir, const char *name)
{
	auto_free char *path = bench_fmt("%s/plots/%s", dir, name);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 2000);
}

static bool is_text_in(const char *dir, const char *name, const char *what)
{
	auto_free char *path = bench_fmt("%s/plots/%s", dir, name);
	auto_free char *text = NULL;

	assert_int_equal(bench_file_read(path, &text), 0);
	return strstr(text, what) != NULL;
}

static void test_all_figures(void **state)
{
	static const char *const names[] = {"throughput", "times", "first-line", "fetched",
		"latency-cold-origin", "latency-cold-cache", "latency-warm"};
	const struct sample_options o = {6, sample_three, 0.05, true, true, true};

	if (!have_gnuplot())
		skip();
	sample_write(*state, &o);
	assert_int_equal(plot(*state, "--base=native"), BENCH_EXIT_OK);
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(names); i++) {
		auto_free char *svg = bench_fmt("%s.svg", names[i]);
		auto_free char *png = bench_fmt("%s.png", names[i]);

		assert_picture(*state, svg);
		assert_picture(*state, png);
		assert_true(is_text_in(*state, svg, "20250101T120000Z-sample-0001"));
		assert_true(is_text_in(*state, svg, "n = "));
	}
	assert_int_equal(count_files(*state, "*.svg"), BENCH_ARRAY_SIZE(names));
	assert_int_equal(count_files(*state, "*.log"), 0); /* gnuplot had nothing to say */
}

static void test_engines_nobody_knows(void **state)
{
	const struct sample_options o = {.blocks = 3, .engines = strangers, .fio = true};

	if (!have_gnuplot())
		skip();
	for (size_t i = 0; i < 2; i++) { /* the second time over the first one's files */
		auto_free char *runs = bench_fmt("%s/runs.jsonl", (char *)*state);
		auto_free char *text = NULL;

		sample_write(*state, &o);
		assert_int_equal(bench_file_read(runs, &text), 0);
		for (char *c = text; (c = strstr(c, "bindfs 2"));)
			memcpy(c, "bind f's", 8);
		assert_int_equal(bench_file_write(runs, text), 0);
		assert_int_equal(plot(*state, "--base=zzz"), BENCH_EXIT_OK);
		assert_int_equal(count_files(*state, "*.png"), 7);
		assert_int_equal(count_files(*state, "*.log"), 0);
	}
}

/* Figures of an earlier set in the same place must not stay. */
static void test_missing_data_leaves_the_figure_out(void **state)
{
	struct sample_options o = {.blocks = 3, .engines = sample_three, .fio = true};

	sample_write(*state, &o);
	assert_int_equal(plot(*state, "--no-draw"), BENCH_EXIT_OK);
	assert_int_equal(count_files(*state, "throughput.inc"), 1);
	assert_true(count_files(*state, "latency-*.dat") > 0);
	o.fio = false;
	sample_write(*state, &o);
	assert_int_equal(plot(*state, "--no-draw"), BENCH_EXIT_OK);
	assert_int_equal(count_files(*state, "throughput*.inc"), 0);
	assert_int_equal(count_files(*state, "latency-*.dat"), 0);
	assert_int_equal(count_files(*state, "times.inc"), 1);
	assert_int_equal(count_files(*state, "*.gp"), 8);
}

static void test_nothing_to_plot(void **state)
{
	const struct sample_options none = {.blocks = 0, .engines = sample_three};

	sample_write(*state, &none);
	assert_int_equal(plot(*state, "--no-draw"), BENCH_EXIT_FAILED);
	assert_non_null(strstr(bench_err_text(), "nothing to plot"));
	assert_int_equal(plot("/nonexistent", "--no-draw"), BENCH_EXIT_FAILED);
	assert_int_equal(plot(*state, "--nosuch"), BENCH_EXIT_USAGE);
	assert_int_equal(plot(*state, "--scripts=/nonexistent"), BENCH_EXIT_FAILED);
}

static void test_exported_values(void **state)
{
	const struct sample_options o = {.blocks = 6, .engines = sample_three, .fio = true};

	sample_write(*state, &o);
	assert_int_equal(plot(*state, "--no-draw"), BENCH_EXIT_OK);
	/* group step median low high n: tar list is the second group, 0.8 s / 10 * 1.25 */
	assert_true(is_text_in(*state, "times-cold-cache.dat", "\n1 \"list\" 100 100 100 6\n"));
	assert_true(is_text_in(*state, "times-cold-cache.dat", "# fan-fs: group"));
	assert_true(
		is_text_in(*state, "times.inc", "panels = \"cold-origin cold-cache warm\""));
	assert_true(is_text_in(*state, "times.inc", "unit = \"ms\""));
	assert_true(is_text_in(*state, "times.inc", "95% confidence interval\""));
	assert_true(is_text_in(*state, "fetched.inc", "drawn = \"2 3 \""));
	assert_true(is_text_in(*state, "latency-warm.inc", "panels = 2"));
}

#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DISK(test_all_figures),
		ON_DISK(test_engines_nobody_knows),
		ON_DISK(test_missing_data_leaves_the_figure_out),
		ON_DISK(test_nothing_to_plot),
		ON_DISK(test_exported_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
