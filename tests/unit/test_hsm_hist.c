/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Histogram of the core: the layout it shares with fio and the harness, and adding from threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

#include "harness/hist.h"
#include "hsm/hist.h"

#define SAMPLE	"tests/data/fio-clat.json"
#define THREADS 4
#define ADDS	50000

static int create(void **state)
{
	*state = calloc(1, sizeof(struct hsm_hist));
	return *state ? 0 : -1;
}

static int destroy(void **state)
{
	free(*state);
	return 0;
}

/* Two implementations on purpose, since the harness never links the core: they must agree. */
static void test_layout_is_that_of_the_harness(void **state)
{
	(void)state;
	assert_int_equal(HSM_HIST_BINS, BENCH_HIST_BINS);
	for (unsigned int i = 0; i < HSM_HIST_BINS; i++)
		assert_int_equal(hsm_hist_middle_ns(i), bench_hist_middle_ns(i));
	for (uint64_t ns = 0; ns < 1ull << 36; ns = ns * 33 / 32 + 1)
		assert_int_equal(hsm_hist_index(ns), bench_hist_index(ns));
	assert_int_equal(hsm_hist_index(UINT64_MAX), HSM_HIST_BINS - 1);
}

static void test_error_is_at_most_one_128th(void **state)
{
	(void)state;
	for (uint64_t ns = 1; ns < 1ull << 34; ns = ns * 9 / 8 + 1) {
		double middle = (double)hsm_hist_middle_ns(hsm_hist_index(ns));

		assert_true(middle <= (double)ns * (1 + 1.0 / 128));
		assert_true(middle >= (double)ns * (1 - 1.0 / 128));
	}
}

static void test_empty(void **state)
{
	assert_int_equal(hsm_hist_count(*state), 0);
	assert_int_equal(hsm_hist_percentile_ns(*state, 0.5), 0);
	assert_int_equal(hsm_hist_percentile_ns(*state, 1), 0);
}

static void test_merge(void **state)
{
	struct hsm_hist *h = *state, *from = calloc(1, sizeof(*from));

	assert_non_null(from);
	hsm_hist_add(h, 100);
	hsm_hist_add(from, 100);
	hsm_hist_add(from, 1ull << 40);
	hsm_hist_merge(h, from);
	assert_int_equal(hsm_hist_count(h), 3);
	assert_int_equal(hsm_hist_count(from), 2);
	assert_int_equal(h->bin[hsm_hist_index(100)], 2);
	assert_int_equal(h->bin[HSM_HIST_BINS - 1], 1);
	free(from);
}

static void *add_many(void *h)
{
	for (uint64_t i = 0; i < ADDS; i++)
		hsm_hist_add(h, i % 3 ? 100 : 1000000);
	return NULL;
}

static void test_nothing_is_lost_between_threads(void **state)
{
	struct hsm_hist *h = *state;
	pthread_t thread[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, add_many, h), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(hsm_hist_count(h), THREADS * ADDS);
	assert_int_equal(h->bin[hsm_hist_index(1000000)], THREADS * ((ADDS + 2) / 3));
}

/* At least the fraction asked for lies at or below a percentile, also among few samples. */
static void test_percentile_is_nearest_rank(void **state)
{
	struct hsm_hist *h = *state;

	for (uint64_t ns = 10; ns <= 30; ns += 10)
		hsm_hist_add(h, ns);
	assert_int_equal(hsm_hist_percentile_ns(h, 0.33), 10);
	assert_int_equal(hsm_hist_percentile_ns(h, 0.5), 20);
	assert_int_equal(hsm_hist_percentile_ns(h, 0.99), 30);
	assert_int_equal(hsm_hist_percentile_ns(h, 1), 30);
}

static void test_percentiles_are_those_of_fio(void **state)
{
	json_t *fio = json_load_file(SAMPLE, 0, NULL), *value;
	struct hsm_hist *h = *state;
	const char *key;

	assert_non_null(fio);
	json_object_foreach (json_object_get(fio, "bins"), key, value)
		for (json_int_t i = 0; i < json_integer_value(value); i++)
			hsm_hist_add(h, strtoull(key, NULL, 10));
	json_object_foreach (json_object_get(fio, "percentile"), key, value)
		assert_int_equal(hsm_hist_percentile_ns(h, strtod(key, NULL) / 100),
			json_integer_value(value));
	json_decref(fio);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout_is_that_of_the_harness),
		cmocka_unit_test(test_error_is_at_most_one_128th),
		cmocka_unit_test_setup_teardown(test_empty, create, destroy),
		cmocka_unit_test_setup_teardown(test_merge, create, destroy),
		cmocka_unit_test_setup_teardown(
			test_nothing_is_lost_between_threads, create, destroy),
		cmocka_unit_test_setup_teardown(
			test_percentile_is_nearest_rank, create, destroy),
		cmocka_unit_test_setup_teardown(
			test_percentiles_are_those_of_fio, create, destroy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
