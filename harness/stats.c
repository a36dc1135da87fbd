/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owns the arithmetic of the verdicts: medians, intervals, the rank test and its correction.
 * Knows nothing of result sets, units or printing.
 */
#include "harness/stats.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/util.h"

#define POWER 0.8

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* An ascending copy for the caller to free. */
static double *sorted_copy(const double *values, size_t n)
{
	double *copy = bench_alloc(n * sizeof(*copy));

	memcpy(copy, values, n * sizeof(*copy));
	qsort(copy, n, sizeof(*copy), compare_doubles);
	return copy;
}

double bench_stats_median(const double *values, size_t n)
{
	auto_free double *sorted = sorted_copy(values, n);

	if (!n)
		return NAN;
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

struct bench_range bench_stats_range(const double *values, size_t n)
{
	struct bench_range r = {NAN, NAN};

	for (size_t i = 0; i < n; i++) {
		r.min = fmin(r.min, values[i]);
		r.max = fmax(r.max, values[i]);
	}
	return r;
}

static double mean_of(const double *values, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += values[i];
	return sum / (double)n;
}

static double deviation(const double *values, size_t n)
{
	double mean = mean_of(values, n), sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (values[i] - mean) * (values[i] - mean);
	return n < 2 ? NAN : sqrt(sum / (double)(n - 1));
}

double bench_stats_cv(const double *values, size_t n)
{
	return deviation(values, n) / mean_of(values, n);
}

double bench_stats_log_sd(const double *values, size_t n)
{
	auto_free double *logs = bench_alloc(n * sizeof(*logs));

	for (size_t i = 0; i < n; i++)
		logs[i] = values[i] > 0 ? log(values[i]) : NAN;
	return deviation(logs, n);
}

/* Logarithm of n over k: the factors themselves overflow. */
static double log_choose(size_t n, size_t k)
{
	return lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1);
}

/* The z with P(Z <= z) = p. Bisection: called a few times a table, and has no constants to trust. */
static double normal_quantile(double p)
{
	double low = -40, high = 40;

	for (int i = 0; i < 100; i++) {
		double middle = (low + high) / 2;

		if (erfc(-middle / M_SQRT2) / 2 < p)
			low = middle;
		else
			high = middle;
	}
	return (low + high) / 2;
}

struct bench_interval bench_stats_median_interval(const double *values, size_t n, double level)
{
	struct bench_interval ci = {NAN, NAN, 0, false};
	auto_free double *sorted = sorted_copy(values, n);
	double tail = 0;

	for (size_t k = 0; k < n / 2; k++) {
		tail += exp(log_choose(n, k) - (double)n * M_LN2);
		if (1 - 2 * tail < level)
			break;
		ci = (struct bench_interval){sorted[k], sorted[n - 1 - k], 1 - 2 * tail, true};
	}
	return ci;
}

struct ranked {
	double value;
	bool of_a;
	unsigned int rank2; /* twice the midrank, so that ties stay integers */
};

static int compare_ranked(const void *a, const void *b)
{
	return compare_doubles(
		&((const struct ranked *)a)->value, &((const struct ranked *)b)->value);
}

/* Pools both samples and gives each value its midrank. Caller frees. */
static struct ranked *rank_samples(const double *a, size_t n, const double *b, size_t m)
{
	struct ranked *pool = bench_alloc((n + m) * sizeof(*pool));

	for (size_t i = 0; i < n + m; i++) {
		pool[i].value = i < n ? a[i] : b[i - n];
		pool[i].of_a = i < n;
	}
	qsort(pool, n + m, sizeof(*pool), compare_ranked);
	for (size_t i = 0, j; i < n + m; i = j) {
		for (j = i; j < n + m && pool[j].value == pool[i].value; j++)
			;
		for (size_t k = i; k < j; k++)
			pool[k].rank2 = (unsigned int)(i + 1 + j);
	}
	return pool;
}

/*
 * How many of the subsets of @n ranks have each (doubled) sum: entry s of the returned row, of
 * @size entries. Exact in doubles while the number of subsets is below 2^53. Caller frees.
 */
static double *count_rank_sums(const struct ranked *pool, size_t total, size_t n, size_t size)
{
	auto_free double *counts = bench_alloc((n + 1) * size * sizeof(*counts));
	double *row = bench_alloc(size * sizeof(*row));

	counts[0] = 1;
	for (size_t i = 0; i < total; i++)
		for (size_t taken = n; taken > 0; taken--)
			for (size_t s = pool[i].rank2; s < size; s++)
				counts[taken * size + s] +=
					counts[(taken - 1) * size + s - pool[i].rank2];
	memcpy(row, counts + n * size, size * sizeof(*row));
	return row;
}

static double exact_p(const struct ranked *pool, size_t n, size_t m)
{
	size_t total = n + m, size = total * (total + 1) + 1, observed = 0;
	double mean = (double)n * (double)(total + 1), far = 0, all = 0;
	auto_free double *counts = NULL;

	for (size_t i = 0; i < total; i++)
		observed += pool[i].of_a ? pool[i].rank2 : 0;
	counts = count_rank_sums(pool, total, n, size);
	for (size_t s = 0; s < size; s++) {
		all += counts[s];
		if (fabs((double)s - mean) >= fabs((double)observed - mean))
			far += counts[s];
	}
	return far / all;
}

static double normal_p(const struct ranked *pool, size_t n, size_t m)
{
	double total = (double)(n + m), sum = 0, ties = 0, variance, distance;

	for (size_t i = 0, j; i < n + m; i = j) {
		for (j = i; j < n + m && pool[j].rank2 == pool[i].rank2; j++)
			sum += pool[j].of_a ? pool[j].rank2 / 2.0 : 0;
		ties += pow((double)(j - i), 3) - (double)(j - i);
	}
	variance = (double)n * (double)m / 12 * (total + 1 - ties / (total * (total - 1)));
	distance = fabs(sum - (double)n * (total + 1) / 2) - 0.5;
	if (variance <= 0 || distance <= 0)
		return 1;
	return erfc(distance / sqrt(variance) / M_SQRT2);
}

double bench_stats_mann_whitney(const double *a, size_t n, const double *b, size_t m)
{
	auto_free struct ranked *pool = rank_samples(a, n, b, m);

	if (!n || !m)
		return NAN;
	return n + m <= BENCH_STATS_EXACT_MAX ? exact_p(pool, n, m) : normal_p(pool, n, m);
}

double bench_stats_smallest_p(size_t n, size_t m)
{
	return fmin(1, 2 * exp(-log_choose(n + m, n)));
}

void bench_stats_holm(const double *p, size_t n, double *ret_adjusted)
{
	auto_free size_t *order = bench_alloc(n * sizeof(*order));
	size_t tests = 0;
	double floor_p = 0;

	for (size_t i = 0; i < n; i++) {
		size_t at = tests;

		if (isnan(p[i]))
			continue;
		for (; at > 0 && p[order[at - 1]] > p[i]; at--)
			order[at] = order[at - 1];
		order[at] = i;
		tests++;
	}
	for (size_t i = 0; i < tests; i++) {
		floor_p = fmax(floor_p, fmin(1, p[order[i]] * (double)(tests - i)));
		ret_adjusted[order[i]] = floor_p;
	}
	for (size_t i = 0; i < n; i++)
		if (isnan(p[i]))
			ret_adjusted[i] = NAN;
}

/* Ascending ratios a_i/b_j, n*m of them; NULL if a value is not positive. Caller frees. */
static double *all_ratios(const double *a, size_t n, const double *b, size_t m)
{
	double *ratios = n && m ? bench_alloc(n * m * sizeof(*ratios)) : NULL;

	for (size_t i = 0; i < n * m; i++) {
		ratios[i] = a[i / m] / b[i % m];
		if (!(a[i / m] > 0) || !(b[i % m] > 0)) {
			free(ratios);
			return NULL;
		}
	}
	if (ratios)
		qsort(ratios, n * m, sizeof(*ratios), compare_doubles);
	return ratios;
}

/* How many of the extreme ratios at each end lie outside the interval; large n: normal. */
static size_t cut_normal(size_t n, size_t m, double level, double *ret_coverage)
{
	double nm = (double)n * (double)m, z = normal_quantile((1 + level) / 2);
	double cut = nm / 2 - z * sqrt(nm * (double)(n + m + 1) / 12);

	*ret_coverage = level;
	return cut < 0 ? 0 : (size_t)cut;
}

/* The same from the exact distribution of U without ties; *ret_coverage 0 if none is enough. */
static size_t cut_exact(size_t n, size_t m, double level, double *ret_coverage)
{
	struct ranked pool[BENCH_STATS_EXACT_MAX];
	size_t total = n + m, size = total * (total + 1) + 1, cut = 0;
	auto_free double *counts = NULL;
	double tail = 0, all = exp(log_choose(total, n));

	for (size_t i = 0; i < total; i++)
		pool[i] = (struct ranked){.rank2 = (unsigned int)(2 * (i + 1))};
	*ret_coverage = 0;
	counts = count_rank_sums(pool, total, n, size);
	for (size_t u = 0; u < n * m / 2 + 1; u++) {
		tail += counts[n * (n + 1) + 2 * u] / all;
		if (1 - 2 * tail < level)
			break;
		*ret_coverage = 1 - 2 * tail;
		cut = u;
	}
	return cut;
}

struct bench_interval bench_stats_ratio_interval(
	const double *a, size_t n, const double *b, size_t m, double level)
{
	struct bench_interval ci = {NAN, NAN, 0, false};
	auto_free double *ratios = all_ratios(a, n, b, m);
	double coverage;
	size_t cut;

	if (!ratios)
		return ci;
	cut = n + m <= BENCH_STATS_EXACT_MAX ? cut_exact(n, m, level, &coverage)
					     : cut_normal(n, m, level, &coverage);
	if (coverage >= level)
		ci = (struct bench_interval){
			ratios[cut], ratios[n * m - 1 - cut], coverage, true};
	return ci;
}

struct bench_range bench_stats_ratio_range(const double *a, size_t n, const double *b, size_t m)
{
	auto_free double *ratios = all_ratios(a, n, b, m);

	return ratios ? (struct bench_range){ratios[0], ratios[n * m - 1]}
		      : (struct bench_range){NAN, NAN};
}

double bench_stats_detectable(double log_sd, size_t n, size_t m, double alpha)
{
	double z_alpha = normal_quantile(1 - alpha / 2), per_arm, variance;

	if (!n || !m || bench_stats_smallest_p(n, m) > alpha)
		return INFINITY;
	/* pi/3: the rank test needs that many more values than Student's on normal data. */
	per_arm = (1 / (double)n + 1 / (double)m) * M_PI / 3;
	/* The test estimates the spread as well, which costs z^2/4 values an arm (Guenther 1981). */
	variance = per_arm / (1 - z_alpha * z_alpha / 8 * per_arm);
	if (variance <= 0)
		return INFINITY;
	return exp((z_alpha + normal_quantile(POWER)) * log_sd * sqrt(variance)) - 1;
}
