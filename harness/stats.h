/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H
/*
 * Order statistics and rank tests for small samples. Nothing here assumes a normal distribution
 * of run times: they are skewed and have outliers. Functions that return a double return NAN
 * when the answer does not exist, never a guess.
 */
#include <stdbool.h>
#include <stddef.h>

/* Below this a 95% order-statistic interval of the median does not exist: 1 - 2^(1-5) = 93.75%. */
#define BENCH_STATS_MIN_N 6

/* The largest n + m for which the rank test is exact; its counts then fit a double exactly. */
#define BENCH_STATS_EXACT_MAX 50

struct bench_interval {
	double low, high;
	double coverage; /* probability really covered, at least the level asked for */
	bool valid; /* false: no such interval at this sample size */
};

struct bench_range {
	double min, max;
};

double bench_stats_median(const double *values, size_t n);
struct bench_range bench_stats_range(const double *values, size_t n);

/* Standard deviation over mean; NAN for n < 2. */
double bench_stats_cv(const double *values, size_t n);

/* Standard deviation of log(value); NAN for n < 2 or a value that is not positive. */
double bench_stats_log_sd(const double *values, size_t n);

/*
 * Distribution-free interval of the median between two order statistics, the narrowest
 * symmetric pair that covers at least @level (Hahn and Meeker, Statistical Intervals, 5.2).
 */
struct bench_interval bench_stats_median_interval(const double *values, size_t n, double level);

/*
 * Two-sided Mann-Whitney test: the probability, if @a and @b came from one distribution, of a
 * rank sum at least this far from its mean. Exact given the ties (midranks, permutation
 * distribution) up to BENCH_STATS_EXACT_MAX values, else normal with tie correction.
 */
double bench_stats_mann_whitney(const double *a, size_t n, const double *b, size_t m);

/* Smallest p-value that test can give for these sample sizes: 2 / (n + m choose n). */
double bench_stats_smallest_p(size_t n, size_t m);

/* Adjusts @n p-values for being tested together (Holm 1979), NANs apart. May alias. */
void bench_stats_holm(const double *p, size_t n, double *ret_adjusted);

/*
 * Hodges-Lehmann interval of the factor between a value of @a and one of @b: order statistics
 * of all ratios a_i/b_j. All values must be positive, else it is not valid.
 */
struct bench_interval bench_stats_ratio_interval(
	const double *a, size_t n, const double *b, size_t m, double level);

/* Smallest and largest of all ratios a_i/b_j: what to show where no interval exists. */
struct bench_range bench_stats_ratio_range(
	const double *a, size_t n, const double *b, size_t m);

/*
 * The effect, as a fraction (0.05 is 5%), that the rank test at @alpha would find in 8 of 10
 * sessions when log(value) has standard deviation @log_sd. INFINITY: none at these sizes.
 */
double bench_stats_detectable(double log_sd, size_t n, size_t m, double alpha);

#endif
