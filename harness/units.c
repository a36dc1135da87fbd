/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/units.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/util.h"

#define KIB 1024.0

struct ladder {
	const char *base;
	struct bench_unit step[5]; /* ascending */
};

static const struct ladder ladders[] = {
	{"ns", {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}},
	{"bytes", {{"B", 1}, {"KiB", KIB}, {"MiB", KIB *KIB}, {"GiB", KIB *KIB *KIB}}},
	{"bytes/s",
		{{"B/s", 1}, {"KiB/s", KIB}, {"MiB/s", KIB *KIB}, {"GiB/s", KIB *KIB *KIB}}},
	{"1/s", {{"1/s", 1}, {"k/s", 1e3}, {"M/s", 1e6}}},
	{"requests", {{"req", 1}}},
	{"count", {{"", 1}, {"k", 1e3}, {"M", 1e6}}},
};

static const struct ladder *ladder_of(const char *base)
{
	static const char *const same[][2] = {
		{"B", "bytes"},
		{"byte", "bytes"},
		{"B/s", "bytes/s"},
		{"bytes_per_s", "bytes/s"},
		{"ops/s", "1/s"},
		{"iops", "1/s"},
		{"/s", "1/s"},
	};

	for (size_t i = 0; i < BENCH_ARRAY_SIZE(same); i++)
		if (!strcmp(base, same[i][0]))
			base = same[i][1];
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(ladders); i++)
		if (!strcmp(base, ladders[i].base))
			return &ladders[i];
	return NULL;
}

struct bench_unit bench_unit_pick(const char *base, double smallest, double largest)
{
	const struct ladder *ladder = ladder_of(base);
	struct bench_unit unit = {base, 1};

	if (!ladder)
		return unit;
	unit = ladder->step[0];
	for (size_t i = 1; i < BENCH_ARRAY_SIZE(ladder->step) && ladder->step[i].name; i++)
		if (smallest >= ladder->step[i].scale || largest >= 1e4 * unit.scale)
			unit = ladder->step[i];
	return unit;
}

const char *bench_unit_format(double value, char *text, size_t bytes)
{
	double size = fabs(value);

	if (isnan(value))
		snprintf(text, bytes, "-");
	else if (size == 0)
		snprintf(text, bytes, "0");
	else if (size < 0.00995)
		snprintf(text, bytes, "%.0e", value);
	else if (size < 0.9995)
		snprintf(text, bytes, "%.3f", value);
	else if (size < 9.995)
		snprintf(text, bytes, "%.2f", value);
	else if (size < 99.95)
		snprintf(text, bytes, "%.1f", value);
	else
		snprintf(text, bytes, size < 9999999 ? "%.0f" : "%.1e", value);
	return text;
}

const char *bench_unit_format_ratio(double ratio, char *text, size_t bytes)
{
	if (isnan(ratio))
		snprintf(text, bytes, "-");
	else if (ratio < 0.0995)
		snprintf(text, bytes, ".%03.0f", ratio * 1000);
	else if (ratio < 9.995)
		snprintf(text, bytes, "%.2f", ratio);
	else if (ratio < 99.95)
		snprintf(text, bytes, "%.1f", ratio);
	else
		snprintf(text, bytes, ratio < 9999.5 ? "%.0f" : ">1e4", ratio);
	return text;
}
