/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The status for people: what serves, from where, and every counter that is not zero. */
#include <stdio.h>
#include <string.h>

#include "hsmctl/hsmctl.h"

/* Count and mean of an operation of {"count", "errors", "hist_ns": [[ns, n], ...]}. */
static void print_operation(const char *name, json_t *op)
{
	json_t *bins = json_object_get(op, "hist_ns"), *bin;
	double sum_ns = 0, count = 0;
	size_t i;

	json_array_foreach (bins, i, bin) {
		double n = (double)json_integer_value(json_array_get(bin, 1));

		sum_ns += n * (double)json_integer_value(json_array_get(bin, 0));
		count += n;
	}
	printf("  %-24s %12lld  mean %.1f us", name,
		(long long)json_integer_value(json_object_get(op, "count")),
		count > 0 ? sum_ns / count / 1e3 : 0.0);
	if (json_integer_value(json_object_get(op, "errors")))
		printf("  errors %lld",
			(long long)json_integer_value(json_object_get(op, "errors")));
	putchar('\n');
}

static void print_member(const char *name, json_t *value)
{
	const char *key;
	json_t *member;

	if (json_object_get(value, "hist_ns")) {
		print_operation(name, value);
	} else if (json_is_integer(value)) {
		if (json_integer_value(value))
			printf("  %-24s %12lld\n", name, (long long)json_integer_value(value));
	} else if (json_is_string(value)) {
		printf("  %-24s %s\n", name, json_string_value(value));
	} else if (json_is_object(value)) {
		printf("%s:\n", name);
		json_object_foreach (value, key, member)
			print_member(key, member);
	}
}

void hsmctl_print_status(json_t *status)
{
	static const char *const head[] = {
		"program", "version", "pid", "origin", "cache", "namespace"};
	const char *key;
	json_t *member;

	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++) {
		member = json_object_get(status, head[i]);
		if (json_is_string(member))
			printf("%-10s %s\n", head[i], json_string_value(member));
		else if (json_is_integer(member))
			printf("%-10s %lld\n", head[i], (long long)json_integer_value(member));
	}
	json_object_foreach (status, key, member)
		if (json_is_object(member))
			print_member(key, member);
}
