/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_HIST_H
#define HSM_HIST_H
/*
 * Log-linear latency histogram with fio's bin layout (stat.h of fio: 64 bins per power of two,
 * 29 groups), so that our bins and those of fio's json+ merge. The relative error of a bin is
 * at most 1/128. Values are nanoseconds; anything above 2^34 ns (17 s) lands in the last bin.
 */
#include <stdatomic.h>
#include <stdint.h>

#define HSM_HIST_BITS	6
#define HSM_HIST_VALS	(1u << HSM_HIST_BITS)
#define HSM_HIST_GROUPS 29
#define HSM_HIST_BINS	(HSM_HIST_GROUPS * HSM_HIST_VALS)

struct hsm_hist {
	_Atomic uint64_t bin[HSM_HIST_BINS];
};

/* Bin of a value, and the middle of a bin, both in nanoseconds. */
unsigned int hsm_hist_index(uint64_t ns);
uint64_t hsm_hist_middle_ns(unsigned int index);

/* Adds one value; safe from any thread (relaxed atomics). */
static inline void hsm_hist_add(struct hsm_hist *h, uint64_t ns)
{
	atomic_fetch_add_explicit(&h->bin[hsm_hist_index(ns)], 1, memory_order_relaxed);
}

/* Adds all bins of @from to @to. */
void hsm_hist_merge(struct hsm_hist *to, const struct hsm_hist *from);

uint64_t hsm_hist_count(const struct hsm_hist *h);

/* Value below which @fraction (0..1) of the samples lie; 0 for an empty histogram. */
uint64_t hsm_hist_percentile_ns(const struct hsm_hist *h, double fraction);

#endif
