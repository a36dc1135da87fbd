/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/metrics.h"

#include <math.h>
#include <string.h>

#include "harness/util.h"

static const struct {
	const char *name, *unit, *better;
} kinds[] = {
	{"bw", "bytes/s", "more"},
	{"iops", "1/s", "more"},
	{"rate", "1/s", "more"},
	{"fetched", "bytes", "less"},
	{"rss", "bytes", "less"},
	{"out", "bytes", "less"},
	{"requests", "requests", "less"},
};

void bench_metrics_add(json_t *metrics, const char *name, double value)
{
	const char *unit = "ns", *better = "less";
	json_t *number;

	for (size_t i = 0; i < BENCH_ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, name)) {
			unit = kinds[i].unit;
			better = kinds[i].better;
		}
	/* Rates keep their fraction, everything that is counted is an integer. */
	number = strcmp(unit, "1/s") ? json_integer(llround(value)) : json_real(value);
	json_array_append_new(metrics, json_pack("{s:s, s:s, s:s, s:o}", "name", name, "unit",
					       unit, "better", better, "value", number));
}

static size_t find(const json_t *metrics, const char *name)
{
	const json_t *metric;
	size_t i;

	json_array_foreach (metrics, i, metric)
		if (!strcmp(json_string_value(json_object_get(metric, "name")), name))
			break;
	return i;
}

void bench_metrics_sort(json_t *metrics, char *const *order)
{
	size_t to = 0;

	for (size_t i = 0; order && order[i]; i++) {
		size_t from = find(metrics, order[i]);
		json_t *metric = json_array_get(metrics, from);

		if (!metric || from < to)
			continue;
		json_incref(metric);
		json_array_remove(metrics, from);
		json_array_insert_new(metrics, to++, metric);
	}
}

json_t *bench_metrics_delta(const json_t *before, const json_t *after)
{
	json_t *delta = json_object(), *value;
	const char *key;

	json_object_foreach ((json_t *)after, key, value)
		if (json_is_integer(value))
			json_object_set_new(delta, key,
				json_integer(json_integer_value(value) -
					     json_integer_value(json_object_get(before, key))));
	return delta;
}
