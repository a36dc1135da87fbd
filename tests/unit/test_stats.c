/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Statistics of the harness against published critical values and enumerated distributions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "harness/stats.h"

#define CLOSE(a, b, eps) assert_true(fabs((double)(a) - (double)(b)) <= (eps))
#define COUNT(x)	 (sizeof(x) / sizeof((x)[0]))

static uint64_t seed;

/* splitmix64 in [0,1): the tests must give the same numbers everywhere. */
static double uniform(void)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static double log_normal(double sd)
{
	return exp(sd * sqrt(-2 * log(1 - uniform())) * cos(2 * M_PI * uniform()));
}

static void test_median(void **state)
{
	const double one[] = {7}, even[] = {4, 1, 3, 2}, odd[] = {9, 1, 5};

	(void)state;
	assert_true(isnan(bench_stats_median(one, 0)));
	CLOSE(bench_stats_median(one, 1), 7, 0);
	CLOSE(bench_stats_median(even, 4), 2.5, 0);
	CLOSE(bench_stats_median(even, 2), 2.5, 0);
	CLOSE(bench_stats_median(odd, 3), 5, 0);
	CLOSE(even[0], 4, 0); /* the input stays in its order */
}

static void test_spread(void **state)
{
	const double v[] = {2, 4, 4, 4, 5, 5, 7, 9}, bad[] = {1, 0};
	const double e[] = {1, M_E};

	(void)state;
	CLOSE(bench_stats_cv(v, 8), sqrt(32.0 / 7) / 5, 1e-12);
	assert_true(isnan(bench_stats_cv(v, 1)));
	CLOSE(bench_stats_range(v, 8).min, 2, 0);
	CLOSE(bench_stats_range(v, 8).max, 9, 0);
	assert_true(isnan(bench_stats_range(v, 0).min));
	CLOSE(bench_stats_log_sd(e, 2), sqrt(0.5), 1e-12);
	assert_true(isnan(bench_stats_log_sd(bad, 2)));
}

/* Ranks and coverage of the 95% interval as in tables of the binomial with p = 1/2. */
static void test_median_interval(void **state)
{
	static const struct {
		size_t n;
		int low, high;
		double coverage;
	} table[] = {
		{6, 1, 6, 0.96875},
		{7, 1, 7, 0.984375},
		{8, 1, 8, 0.9921875},
		{9, 2, 8, 0.9609375},
		{10, 2, 9, 0.978515625},
		{15, 4, 12, 0.9648},
		{20, 6, 15, 0.9586},
		{30, 10, 21, 0.9572},
		{50, 18, 33, 0.9672},
	};
	double v[50];

	(void)state;
	for (int i = 0; i < 50; i++)
		v[i] = i + 1;
	for (size_t n = 0; n < BENCH_STATS_MIN_N; n++)
		assert_false(bench_stats_median_interval(v, n, 0.95).valid);
	for (size_t i = 0; i < COUNT(table); i++) {
		struct bench_interval ci = bench_stats_median_interval(v, table[i].n, 0.95);

		assert_true(ci.valid);
		CLOSE(ci.low, table[i].low, 0);
		CLOSE(ci.high, table[i].high, 0);
		CLOSE(ci.coverage, table[i].coverage, 1e-4);
	}
}

/* Samples of distinct values whose U (pairs with a > b) is @u: 0 means all of a below b. */
static void samples_with_u(size_t n, size_t m, size_t u, double *a, double *b)
{
	for (size_t i = n; i > 0; i--) {
		size_t above = u < m ? u : m;

		a[i - 1] = (double)above + 0.01 * (double)i;
		u -= above;
	}
	for (size_t j = 0; j < m; j++)
		b[j] = (double)j + 0.5;
}

static double p_of_u(size_t n, size_t m, size_t u)
{
	double a[30], b[30];

	samples_with_u(n, m, u, a, b);
	return bench_stats_mann_whitney(a, n, b, m);
}

/* Largest U significant at two-sided 5%: the table of every statistics textbook. */
static void test_mann_whitney_critical_values(void **state)
{
	static const struct {
		size_t n, m, u;
	} table[] = {
		{4, 4, 0},
		{5, 5, 2},
		{6, 6, 5},
		{7, 7, 8},
		{8, 8, 13},
		{9, 9, 17},
		{10, 10, 23},
		{12, 12, 37},
		{15, 15, 64},
		{20, 20, 127},
		{3, 5, 0},
		{6, 8, 8},
		{8, 14, 26},
		{10, 20, 55},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(table); i++) {
		assert_true(p_of_u(table[i].n, table[i].m, table[i].u) <= 0.05);
		assert_true(p_of_u(table[i].n, table[i].m, table[i].u + 1) > 0.05);
		assert_true(p_of_u(table[i].m, table[i].n, table[i].u) <= 0.05);
	}
}

static void test_mann_whitney_exact_values(void **state)
{
	/* Permeability of membranes: Hollander and Wolfe 1973, p. 69; W = 35. */
	const double x[] = {0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
	const double y[] = {1.15, 0.88, 0.90, 0.74, 1.21};

	(void)state;
	CLOSE(bench_stats_mann_whitney(x, 10, y, 5), 0.2544, 1e-4);
	CLOSE(bench_stats_mann_whitney(y, 5, x, 10), 0.2544, 1e-4);
	CLOSE(p_of_u(3, 3, 0), 2.0 / 20, 1e-12);
	CLOSE(p_of_u(5, 5, 0), 2.0 / 252, 1e-12);
	CLOSE(p_of_u(10, 10, 0), 2.0 / 184756, 1e-15);
	CLOSE(p_of_u(10, 10, 50), 1, 1e-12);
	CLOSE(bench_stats_smallest_p(10, 10), 2.0 / 184756, 1e-12);
	CLOSE(bench_stats_smallest_p(1, 1), 1, 1e-12);
}

static void test_mann_whitney_edges(void **state)
{
	const double a[] = {1, 2}, b[] = {2, 3}, same[] = {5, 5, 5, 5};

	(void)state;
	assert_true(isnan(bench_stats_mann_whitney(a, 0, b, 2)));
	CLOSE(bench_stats_mann_whitney(a, 1, b, 1), 1, 1e-12);
	/* Midranks 1 2.5 2.5 4: four of the six pairs are as far from 5 as 1 + 2.5 is. */
	CLOSE(bench_stats_mann_whitney(a, 2, b, 2), 4.0 / 6, 1e-12);
	CLOSE(bench_stats_mann_whitney(same, 2, same + 2, 2), 1, 1e-12);
	CLOSE(bench_stats_mann_whitney(same, 4, same, 4), 1, 1e-12);
}

static double midrank_sum(const double *pool, unsigned int total, unsigned int subset)
{
	double sum = 0;

	for (unsigned int i = 0; i < total; i++)
		for (unsigned int j = 0; j < total && (subset >> i & 1); j++)
			sum += pool[j] < pool[i] ? 1 : pool[j] == pool[i] ? 0.5 : 0;
	return sum;
}

/* The same probability by walking over every way to split the pool. */
static double enumerated_p(const double *pool, unsigned int total, unsigned int n)
{
	unsigned int all = 0, far = 0, first = (1u << n) - 1;
	double mean = n * total / 2.0, observed = fabs(midrank_sum(pool, total, first) - mean);

	for (unsigned int subset = 0; subset < 1u << total; subset++) {
		if (__builtin_popcount(subset) != (int)n)
			continue;
		all++;
		far += fabs(midrank_sum(pool, total, subset) - mean) >= observed - 1e-9;
	}
	return (double)far / all;
}

static void test_mann_whitney_ties_against_enumeration(void **state)
{
	double pool[11];

	(void)state;
	seed = 1;
	for (int trial = 0; trial < 60; trial++) {
		unsigned int n = 1 + (unsigned int)(uniform() * 9), total = 11;

		for (unsigned int i = 0; i < total; i++)
			pool[i] = floor(uniform() * (2 + trial % 5));
		CLOSE(bench_stats_mann_whitney(pool, n, pool + n, total - n),
			enumerated_p(pool, total, n), 1e-12);
	}
}

/* Past the exact limit the normal form must carry on where the exact one stopped. */
static void test_mann_whitney_large(void **state)
{
	double exact = p_of_u(25, 25, 200), normal = p_of_u(26, 26, 220);

	(void)state;
	CLOSE(exact, 0.0285, 0.0005); /* normal approximation: z = 2.173, with continuity */
	CLOSE(normal, erfc((118 - 0.5) / sqrt(26 * 26 * 53 / 12.0) / M_SQRT2), 1e-12);
}

static void test_holm(void **state)
{
	const double p[] = {0.01, 0.04, NAN, 0.03, 0.005}, big[] = {0.6, 0.9};
	double adjusted[5];

	(void)state;
	bench_stats_holm(p, 5, adjusted);
	CLOSE(adjusted[0], 0.03, 1e-12);
	CLOSE(adjusted[1], 0.06, 1e-12);
	assert_true(isnan(adjusted[2]));
	CLOSE(adjusted[3], 0.06, 1e-12);
	CLOSE(adjusted[4], 0.02, 1e-12);
	bench_stats_holm(big, 2, adjusted);
	CLOSE(adjusted[0], 1, 0);
	CLOSE(adjusted[1], 1, 0);
	bench_stats_holm(p, 0, adjusted);
}

/* Every ratio comes five times; the interval of 5 and 5 drops the two outermost at each end. */
static void test_ratio_interval(void **state)
{
	const double a[] = {10, 20, 30, 40, 50}, b[] = {1, 1, 1, 1, 1},
		     zero[] = {1, 0, 1, 1, 1};
	struct bench_interval ci = bench_stats_ratio_interval(a, 5, b, 5, 0.95);

	(void)state;
	assert_true(ci.valid);
	CLOSE(ci.coverage, 1 - 2 * 4.0 / 252, 1e-9); /* P(U <= 2) = (1 + 1 + 2) / 252 */
	CLOSE(ci.low, 10, 0);
	CLOSE(ci.high, 50, 0);
	assert_false(bench_stats_ratio_interval(a, 3, b, 3, 0.95).valid);
	assert_false(bench_stats_ratio_interval(a, 0, b, 3, 0.95).valid);
	assert_false(bench_stats_ratio_interval(a, 5, zero, 5, 0.95).valid);
	CLOSE(bench_stats_ratio_range(a, 3, b, 1).min, 10, 0);
	CLOSE(bench_stats_ratio_range(a, 3, b, 1).max, 30, 0);
}

/* Order statistics 24 and 77 of the 100 ratios: U critical is 23 for 10 and 10. */
static void test_ratio_interval_rank(void **state)
{
	double a[10], b[10], ratios[100];
	struct bench_interval ci;
	size_t below = 0, above = 0;

	(void)state;
	seed = 2;
	for (int i = 0; i < 10; i++) {
		a[i] = log_normal(0.2);
		b[i] = log_normal(0.2);
	}
	ci = bench_stats_ratio_interval(a, 10, b, 10, 0.95);
	for (int i = 0; i < 100; i++) {
		ratios[i] = a[i / 10] / b[i % 10];
		below += ratios[i] < ci.low;
		above += ratios[i] > ci.high;
	}
	assert_int_equal(below, 23);
	assert_int_equal(above, 23);
}

/* The stated coverage must be what a simulation finds. */
static void test_ratio_interval_covers(void **state)
{
	int hit = 0, trials = 2000;
	double a[8], b[8], coverage = 0;

	(void)state;
	seed = 3;
	for (int t = 0; t < trials; t++) {
		struct bench_interval ci;

		for (int i = 0; i < 8; i++) {
			a[i] = 1.5 * log_normal(0.1);
			b[i] = log_normal(0.1);
		}
		ci = bench_stats_ratio_interval(a, 8, b, 8, 0.95);
		hit += ci.low <= 1.5 && 1.5 <= ci.high;
		coverage = ci.coverage;
	}
	CLOSE((double)hit / trials, coverage, 0.02);
}

/* Share of sessions in which the test finds the effect that is called detectable. */
static double power_at(size_t n, double alpha)
{
	double effect = bench_stats_detectable(0.05, n, n, alpha), a[20], b[20];
	int found = 0, trials = 1000;

	for (int t = 0; t < trials; t++) {
		for (size_t i = 0; i < n; i++) {
			a[i] = (1 + effect) * log_normal(0.05);
			b[i] = log_normal(0.05);
		}
		found += bench_stats_mann_whitney(a, n, b, n) <= alpha;
	}
	return (double)found / trials;
}

static void test_detectable_effect_has_the_power_it_states(void **state)
{
	(void)state;
	seed = 4;
	CLOSE(power_at(8, 0.05), 0.8, 0.07);
	CLOSE(power_at(10, 0.05), 0.8, 0.07);
	CLOSE(power_at(20, 0.05), 0.8, 0.05);
	CLOSE(power_at(10, 0.05 / 20), 0.8, 0.1);
	assert_true(isinf(bench_stats_detectable(0.05, 3, 3, 0.05)));
	assert_true(isinf(bench_stats_detectable(0.05, 6, 6, 0.05 / 40)));
	assert_true(isinf(bench_stats_detectable(0.05, 0, 3, 0.05)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_median),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_median_interval),
		cmocka_unit_test(test_mann_whitney_critical_values),
		cmocka_unit_test(test_mann_whitney_exact_values),
		cmocka_unit_test(test_mann_whitney_edges),
		cmocka_unit_test(test_mann_whitney_ties_against_enumeration),
		cmocka_unit_test(test_mann_whitney_large),
		cmocka_unit_test(test_holm),
		cmocka_unit_test(test_ratio_interval),
		cmocka_unit_test(test_ratio_interval_rank),
		cmocka_unit_test(test_ratio_interval_covers),
		cmocka_unit_test(test_detectable_effect_has_the_power_it_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
