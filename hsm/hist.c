/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/hist.h"

unsigned int hsm_hist_index(uint64_t ns)
{
	unsigned int msb, shift, index;

	if (ns < HSM_HIST_VALS)
		return (unsigned int)ns;
	msb = 63 - (unsigned int)__builtin_clzll(ns);
	shift = msb - HSM_HIST_BITS;
	index = ((shift + 1) << HSM_HIST_BITS) +
		(unsigned int)((ns >> shift) & (HSM_HIST_VALS - 1));
	return index < HSM_HIST_BINS ? index : HSM_HIST_BINS - 1;
}

uint64_t hsm_hist_middle_ns(unsigned int index)
{
	unsigned int group = index >> HSM_HIST_BITS;
	uint64_t low;

	if (group <= 1)
		return index;
	low = (uint64_t)(HSM_HIST_VALS + (index & (HSM_HIST_VALS - 1))) << (group - 1);
	return low + (1ull << (group - 2));
}

void hsm_hist_merge(struct hsm_hist *to, const struct hsm_hist *from)
{
	for (unsigned int i = 0; i < HSM_HIST_BINS; i++) {
		uint64_t n = atomic_load_explicit(&from->bin[i], memory_order_relaxed);

		if (n)
			atomic_fetch_add_explicit(&to->bin[i], n, memory_order_relaxed);
	}
}

uint64_t hsm_hist_count(const struct hsm_hist *h)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < HSM_HIST_BINS; i++)
		sum += atomic_load_explicit(&h->bin[i], memory_order_relaxed);
	return sum;
}

uint64_t hsm_hist_percentile_ns(const struct hsm_hist *h, double fraction)
{
	uint64_t total = hsm_hist_count(h), seen = 0;
	/* The first bin that reaches the fraction; the last factor forgives the product's rounding. */
	double want = fraction * (double)total * (1 - 1e-12);

	if (!total)
		return 0;
	for (unsigned int i = 0; i < HSM_HIST_BINS; i++) {
		seen += atomic_load_explicit(&h->bin[i], memory_order_relaxed);
		if (seen && (double)seen >= want)
			return hsm_hist_middle_ns(i);
	}
	return hsm_hist_middle_ns(HSM_HIST_BINS - 1);
}
