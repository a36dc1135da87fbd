/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_UNITS_H
#define BENCH_UNITS_H
/* From base units (ns, bytes, ...) to what a reader wants to see. */
#include <stddef.h>

struct bench_unit {
	const char *name; /* "ms", "MiB/s"; the base unit itself if it is not known */
	double scale; /* base units in one of it */
};

/* The largest unit of which @smallest is at least one, or one lower if that leaves 5 digits. */
struct bench_unit bench_unit_pick(const char *base, double smallest, double largest);

/* At most 7 characters, 3 significant digits or all before the point; "-" for NAN. */
const char *bench_unit_format(double value, char *text, size_t bytes);

/* A ratio in at most 4 characters while it is below 9999.5: "1.03", "12.3", ".052". */
const char *bench_unit_format_ratio(double ratio, char *text, size_t bytes);

#endif
