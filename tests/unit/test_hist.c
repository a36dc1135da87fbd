/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Histogram of the harness: bins, percentiles and merging as a real fio reports them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "harness/hist.h"

#define SAMPLE "tests/data/fio-clat.json" /* clat_ns of fio 3.33, json+, 1,500 reads of 4 KiB */

static struct bench_hist hist, other;

static int clear(void **state)
{
	(void)state;
	memset(&hist, 0, sizeof(hist));
	memset(&other, 0, sizeof(other));
	return 0;
}

static void test_small_values_are_exact(void **state)
{
	(void)state;
	for (uint64_t ns = 0; ns < 2 * BENCH_HIST_VALS; ns++) {
		assert_int_equal(bench_hist_index(ns), ns);
		assert_int_equal(bench_hist_low_ns((unsigned int)ns), ns);
		assert_int_equal(bench_hist_middle_ns((unsigned int)ns), ns);
	}
}

static void test_bins_join_without_gap(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < BENCH_HIST_BINS; i++) {
		uint64_t low = bench_hist_low_ns(i);

		assert_int_equal(bench_hist_index(low), i);
		assert_int_equal(bench_hist_index(low - 1), i - 1);
		assert_int_equal(bench_hist_index(bench_hist_middle_ns(i)), i);
	}
}

static void test_error_is_bounded(void **state)
{
	(void)state;
	for (uint64_t ns = 1; ns < 1ull << 34; ns = ns * 5 / 4 + 1) {
		double middle = (double)bench_hist_middle_ns(bench_hist_index(ns));

		assert_true(middle <= (double)ns * (1 + 1.0 / 128));
		assert_true(middle >= (double)ns * (1 - 1.0 / 128));
	}
}

static void test_top_is_clamped(void **state)
{
	(void)state;
	assert_int_equal(bench_hist_index((1ull << 34) - 1), BENCH_HIST_BINS - 1);
	assert_int_equal(bench_hist_index(1ull << 34), BENCH_HIST_BINS - 1);
	assert_int_equal(bench_hist_index(UINT64_MAX), BENCH_HIST_BINS - 1);
}

static void test_percentile_is_nearest_rank(void **state)
{
	(void)state;
	assert_int_equal(bench_hist_percentile_ns(&hist, 0.5), 0);
	bench_hist_add(&hist, 10, 1);
	assert_int_equal(bench_hist_percentile_ns(&hist, 0), 10);
	assert_int_equal(bench_hist_percentile_ns(&hist, 1), 10);
	bench_hist_add(&hist, 20, 1);
	assert_int_equal(bench_hist_percentile_ns(&hist, 0.5), 10);
	assert_int_equal(bench_hist_percentile_ns(&hist, 0.51), 20);
	bench_hist_add(&hist, 30, 1);
	assert_int_equal(bench_hist_percentile_ns(&hist, 0.5), 20);
	assert_int_equal(bench_hist_percentile_ns(&hist, 1), 30);
}

/* 0.07 * 100 is more than 7 in binary; every percent of 1..100 must still be itself. */
static void test_percentile_survives_rounding(void **state)
{
	(void)state;
	for (uint64_t ns = 1; ns <= 100; ns++)
		bench_hist_add(&hist, ns, 1);
	for (int p = 1; p <= 100; p++)
		assert_int_equal(bench_hist_percentile_ns(&hist, p / 100.0), p);
}

static void test_cdf(void **state)
{
	(void)state;
	assert_true(bench_hist_cdf(&hist, 5) == 0);
	bench_hist_add(&hist, 10, 3);
	bench_hist_add(&hist, 1000000, 1);
	assert_true(bench_hist_cdf(&hist, 9) == 0);
	assert_true(bench_hist_cdf(&hist, 10) == 0.75);
	assert_true(bench_hist_cdf(&hist, 999000) == 0.75);
	assert_true(bench_hist_cdf(&hist, 1000000) == 1);
}

static void test_merge_is_adding(void **state)
{
	(void)state;
	bench_hist_add(&hist, 100, 2);
	bench_hist_add(&other, 100, 3);
	bench_hist_add(&other, 5000, 5);
	bench_hist_merge(&hist, &other);
	assert_int_equal(hist.total, 10);
	assert_int_equal(hist.count[bench_hist_index(100)], 5);
	assert_int_equal(bench_hist_percentile_ns(&hist, 0.5), 100);
	assert_int_equal(bench_hist_index(bench_hist_percentile_ns(&hist, 0.51)),
		bench_hist_index(5000));
}

static int read_text(const char *text)
{
	json_t *object = json_loads(text, 0, NULL);
	int err = bench_hist_read(&hist, object);

	json_decref(object);
	return err;
}

static void test_read(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"bins\":{}}",
		"{\"bins\":[[1]]}",
		"{\"bins\":[[1,2,3]]}",
		"{\"bins\":[[5,1],[1,-2]]}",
		"{\"bins\":[[-1,2]]}",
		"{\"bins\":[[1.5,2]]}",
		"{\"bins\":[[\"1\",2]]}",
		"{\"bins\":[1,2]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(read_text(bad[i]), -EINVAL);
	assert_int_equal(bench_hist_read(&hist, NULL), -EINVAL);
	assert_int_equal(hist.total, 0); /* the good first bin of a bad list is not counted */
	assert_int_equal(read_text("{\"unit\":\"ns\",\"bins\":[]}"), 0);
	assert_int_equal(read_text("{\"unit\":\"ns\",\"bins\":[[63232,4],[48384,1]]}"), 0);
	assert_int_equal(hist.total, 5);
	assert_int_equal(bench_hist_percentile_ns(&hist, 0.2), 48384);
}

/* Every bin fio printed is the middle of one of ours, and all of its percentiles come out. */
static void test_real_fio(void **state)
{
	json_t *fio = json_load_file(SAMPLE, 0, NULL), *value;
	const char *key;

	(void)state;
	assert_non_null(fio);
	json_object_foreach (json_object_get(fio, "bins"), key, value) {
		uint64_t ns = strtoull(key, NULL, 10);

		assert_int_equal(bench_hist_middle_ns(bench_hist_index(ns)), ns);
		bench_hist_add(&hist, ns, (uint64_t)json_integer_value(value));
	}
	assert_int_equal(hist.total, json_integer_value(json_object_get(fio, "N")));
	assert_true(json_object_size(json_object_get(fio, "percentile")) >= 17);
	json_object_foreach (json_object_get(fio, "percentile"), key, value)
		assert_int_equal(bench_hist_percentile_ns(&hist, strtod(key, NULL) / 100),
			json_integer_value(value));
	json_decref(fio);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_small_values_are_exact, clear),
		cmocka_unit_test_setup(test_bins_join_without_gap, clear),
		cmocka_unit_test_setup(test_error_is_bounded, clear),
		cmocka_unit_test_setup(test_top_is_clamped, clear),
		cmocka_unit_test_setup(test_percentile_is_nearest_rank, clear),
		cmocka_unit_test_setup(test_percentile_survives_rounding, clear),
		cmocka_unit_test_setup(test_cdf, clear),
		cmocka_unit_test_setup(test_merge_is_adding, clear),
		cmocka_unit_test_setup(test_read, clear),
		cmocka_unit_test_setup(test_real_fio, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
