/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fio's json+ becomes metrics and histograms; deltas of counters; order of metrics. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness/err.h"
#include "harness/fio.h"
#include "harness/metrics.h"
#include "harness/util.h"

static double value(const json_t *metrics, const char *name)
{
	const json_t *metric;
	size_t i;

	json_array_foreach (metrics, i, metric)
		if (!strcmp(json_string_value(json_object_get(metric, "name")), name))
			return json_number_value(json_object_get(metric, "value"));
	return -1;
}

static int parse(const char *text, json_t *metrics, json_t *hist)
{
	char path[] = "/tmp/bench_fio_XXXXXX";
	int fd = mkstemp(path), ret;

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(bench_file_write(path, text), 0);
	ret = bench_fio_parse(path, metrics, hist);
	unlink(path);
	return ret;
}

/* Two jobs: bandwidths add up, bins of one latency merge, keys may come in any order. */
static void test_two_jobs(void **state)
{
	static const char text[] =
		"{\"jobs\": ["
		"{\"jobname\": \"a\", \"error\": 0, \"read\": {\"bw_bytes\": 100, \"iops\": 1.5,"
		" \"clat_ns\": {\"bins\": {\"2000\": 10, \"1000\": 900}}}},"
		"{\"jobname\": \"b\", \"error\": 0, \"read\": {\"bw_bytes\": 11, \"iops\": 0.5,"
		" \"clat_ns\": {\"bins\": {\"1000\": 80, \"9000\": 10}}}}]}";
	json_t *metrics = json_array(), *hist = json_object();
	json_t *bins;

	(void)state;
	assert_int_equal(parse(text, metrics, hist), 0);
	assert_true(value(metrics, "bw") == 111);
	assert_true(value(metrics, "iops") == 2);
	assert_true(value(metrics, "lat_p50") == 1000);
	assert_true(value(metrics, "lat_p99") == 2000);
	assert_true(value(metrics, "lat_p999") == -1); /* 1000 operations are too few */
	bins = json_object_get(json_object_get(hist, "read"), "bins");
	assert_int_equal(json_array_size(bins), 3);
	assert_int_equal(json_integer_value(json_array_get(json_array_get(bins, 0), 1)), 980);
	assert_null(json_object_get(hist, "write"));
	json_decref(metrics);
	json_decref(hist);
}

static void test_bad(void **state)
{
	json_t *metrics = json_array(), *hist = json_object();

	(void)state;
	assert_int_equal(parse("fio: oops\n", metrics, hist), -EINVAL);
	assert_int_equal(parse("{\"jobs\": []}", metrics, hist), -EINVAL);
	assert_int_equal(
		parse("{\"jobs\": [{\"jobname\": \"x\", \"error\": 5}]}", metrics, hist), -EIO);
	assert_non_null(strstr(bench_err_text(), "fio job x"));
	assert_int_equal(json_array_size(metrics), 0);
	json_decref(metrics);
	json_decref(hist);
}

static void test_sort(void **state)
{
	char *order[] = {(char *)"c", (char *)"none", (char *)"b", NULL};
	static const char *const want[] = {"c", "b", "a"};
	json_t *metrics = json_array();

	(void)state;
	bench_metrics_add(metrics, "a", 1);
	bench_metrics_add(metrics, "b", 2);
	bench_metrics_add(metrics, "c", 3);
	bench_metrics_sort(metrics, order);
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(want); i++)
		assert_string_equal(
			json_string_value(json_object_get(json_array_get(metrics, i), "name")),
			want[i]);
	json_decref(metrics);
}

static void test_delta(void **state)
{
	json_t *before = json_pack("{s:i, s:i}", "x", 5, "y", 7);
	json_t *after = json_pack("{s:i, s:i, s:i, s:s}", "x", 9, "y", 7, "new", 3, "t", "no");
	json_t *delta = bench_metrics_delta(before, after);

	(void)state;
	assert_int_equal(json_object_size(delta), 3);
	assert_int_equal(json_integer_value(json_object_get(delta, "x")), 4);
	assert_int_equal(json_integer_value(json_object_get(delta, "y")), 0);
	assert_int_equal(json_integer_value(json_object_get(delta, "new")), 3);
	json_decref(before);
	json_decref(after);
	json_decref(delta);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_jobs),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_delta),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
