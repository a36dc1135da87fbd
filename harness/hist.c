/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/hist.h"

#include <errno.h>
#include <math.h>

unsigned int bench_hist_index(uint64_t ns)
{
	unsigned int shift, index;

	if (ns < BENCH_HIST_VALS)
		return (unsigned int)ns;
	shift = 63 - (unsigned int)__builtin_clzll(ns) - BENCH_HIST_BITS;
	index = (shift + 1) * BENCH_HIST_VALS + ((unsigned int)(ns >> shift) % BENCH_HIST_VALS);
	return index < BENCH_HIST_BINS ? index : BENCH_HIST_BINS - 1;
}

/* Bins double in width with every group but the second, whose bins are still one wide. */
static unsigned int width_bits(unsigned int index)
{
	unsigned int group = index / BENCH_HIST_VALS;

	return group ? group - 1 : 0;
}

uint64_t bench_hist_low_ns(unsigned int index)
{
	if (index < BENCH_HIST_VALS)
		return index;
	return (uint64_t)(BENCH_HIST_VALS + index % BENCH_HIST_VALS) << width_bits(index);
}

uint64_t bench_hist_middle_ns(unsigned int index)
{
	return bench_hist_low_ns(index) + (1ull << width_bits(index)) / 2;
}

void bench_hist_add(struct bench_hist *h, uint64_t ns, uint64_t count)
{
	h->count[bench_hist_index(ns)] += count;
	h->total += count;
}

void bench_hist_merge(struct bench_hist *to, const struct bench_hist *from)
{
	for (unsigned int i = 0; i < BENCH_HIST_BINS; i++)
		to->count[i] += from->count[i];
	to->total += from->total;
}

static int check_bin(const json_t *bin)
{
	const json_t *ns = json_array_get(bin, 0), *count = json_array_get(bin, 1);

	if (json_array_size(bin) != 2 || !json_is_integer(ns) || !json_is_integer(count))
		return -EINVAL;
	return json_integer_value(ns) < 0 || json_integer_value(count) < 0 ? -EINVAL : 0;
}

int bench_hist_read(struct bench_hist *h, const json_t *object)
{
	const json_t *bins = json_object_get(object, "bins");
	const json_t *bin;
	size_t i;

	if (!json_is_array(bins))
		return -EINVAL;
	json_array_foreach (bins, i, bin)
		if (check_bin(bin))
			return -EINVAL;
	json_array_foreach (bins, i, bin)
		bench_hist_add(h, (uint64_t)json_integer_value(json_array_get(bin, 0)),
			(uint64_t)json_integer_value(json_array_get(bin, 1)));
	return 0;
}

json_t *bench_hist_json(const struct bench_hist *h)
{
	json_t *bins = json_array();

	for (unsigned int i = 0; i < BENCH_HIST_BINS; i++)
		if (h->count[i])
			json_array_append_new(
				bins, json_pack("[I, I]", (json_int_t)bench_hist_middle_ns(i),
					      (json_int_t)h->count[i]));
	return json_pack("{s:s, s:o}", "unit", "ns", "bins", bins);
}

uint64_t bench_hist_percentile_ns(const struct bench_hist *h, double fraction)
{
	/* 0.07 * 100 is a hair over 7 in binary, and must not ask for the eighth sample. */
	double want = fraction * (double)h->total * (1 - 1e-12);
	uint64_t seen = 0;

	for (unsigned int i = 0; i < BENCH_HIST_BINS; i++) {
		seen += h->count[i];
		if (seen && (double)seen >= want)
			return bench_hist_middle_ns(i);
	}
	return 0;
}

double bench_hist_cdf(const struct bench_hist *h, uint64_t ns)
{
	unsigned int last = bench_hist_index(ns);
	uint64_t seen = 0;

	for (unsigned int i = 0; i <= last; i++)
		seen += h->count[i];
	return h->total ? (double)seen / (double)h->total : 0;
}
