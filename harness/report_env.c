/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/report_env.h"

#include <string.h>

#include "harness/units.h"
#include "harness/util.h"

#define HEAD 9 /* columns of "result   " */

/* One fact: a format with one %s, and where the manifest or else the plan has it. */
struct fact {
	const char *format; /* begins with what separates it from the fact before */
	const char *path;
};

struct line {
	const char *head;
	struct fact fact[8];
};

static const struct line lines[] = {
	{"kernel", {{"%s", "kernel.release"}, {" %s", "kernel.version"},
			   {" %s", "kernel.machine"}}},
	{"cpu", {{"%s x", "cpu.count"}, {" %s", "cpu.model"}, {", governor %s", "cpu.governor"},
			{", in %s", "cpu.virtualization"},
			{", memory %s", "memory.total_bytes"}}},
	{"storage", {{"%s", "storage.fs"}, {" on %s", "storage.device"},
			    {" (%s)", "storage.backing"},
			    {", mounted %s", "storage.mount_options"}}},
	{"software", {{"hsmbench %s", "tool.version"}, {" (%.12s)", "tool.commit"},
			     {" with changes%s", "tool.dirty"},
			     {", libhsm %.12s", "tool.libhsm_sha256"},
			     {", libfuse %s", "versions.libfuse"},
			     {", libcurl %s", "versions.libcurl"}, {", %s", "versions.nginx"},
			     {", %s", "versions.fio"}}},
};

/* The value at @path of the manifest or the plan as text, owned; NULL if there is none. */
static char *value_text(const struct bench_resultset *set, const char *path)
{
	const json_t *value = bench_resultset_at(set->manifest, path);
	char number[32];

	if (!value)
		value = bench_resultset_at(set->plan, path);
	if (json_is_string(value))
		return *json_string_value(value) ? bench_strdup(json_string_value(value))
						 : NULL;
	if (json_is_integer(value) && strstr(path, "_bytes")) {
		double bytes = json_number_value(value);
		struct bench_unit unit = bench_unit_pick("bytes", bytes, bytes);

		return bench_fmt("%s %s",
			bench_unit_format(bytes / unit.scale, number, sizeof(number)),
			unit.name);
	}
	if (json_is_true(value))
		return bench_strdup("");
	if (json_is_integer(value))
		return bench_fmt("%lld", (long long)json_integer_value(value));
	return NULL;
}

/* @format has one %s or %.12s; spelled out here because a format must be a literal. */
static char *fill_format(const char *format, const char *value)
{
	const char *percent = strchr(format, '%'), *s = strchr(percent, 's');
	int digits = percent[1] == '.' ? atoi(percent + 2) : (int)strlen(value);

	return bench_fmt("%.*s%.*s%s", (int)(percent - format), format, digits, value, s + 1);
}

static void print_line(
	const struct bench_resultset *set, const struct line *l, struct bench_page *page)
{
	auto_free char *text = bench_strdup("");

	for (size_t i = 0; i < BENCH_ARRAY_SIZE(l->fact) && l->fact[i].path; i++) {
		auto_free char *value = value_text(set, l->fact[i].path);
		auto_free char *part = value ? fill_format(l->fact[i].format, value) : NULL;
		char *longer;

		if (!part)
			continue;
		longer = bench_fmt("%s%s", text, part + (*text ? 0 : strspn(part, ", ")));
		free(text);
		text = longer;
	}
	if (*text)
		bench_page_fill(page, l->head, HEAD, "%s", text);
}

static char *engine_list(const struct bench_resultset *set)
{
	char *text = bench_strdup("");

	for (size_t i = 0; i < set->engine_count; i++) {
		char *longer = bench_fmt(
			"%s%s%s%s", text, i ? ", " : "", set->engine[i], i ? "" : " (base)");

		free(text);
		text = longer;
	}
	return text;
}

static size_t blocks_of(const struct bench_resultset *set)
{
	size_t most = 0;

	for (size_t i = 0; i < set->cell_count; i++)
		if (set->cell[i].run_count > most)
			most = set->cell[i].run_count;
	return most;
}

static void print_design(const struct bench_resultset *set, struct bench_page *page)
{
	auto_free char *seed = value_text(set, "seed"), *preset = value_text(set, "preset");
	auto_free char *engines = engine_list(set);
	size_t blocks = blocks_of(set);

	bench_page_fill(page, "engines", HEAD, "%s", engines);
	bench_page_fill(page, "design", HEAD,
		"%zu randomised block%s (each runs every engine once, in random order), "
		"seed %s, fresh file system per engine and block%s%s",
		blocks, blocks == 1 ? "" : "s", seed ? seed : "unknown",
		preset ? ", preset " : "", preset ? preset : "");
}

static char *quote(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_-+=:,./@%^*?";

	return word[strspn(word, plain)] || !*word ? bench_fmt("'%s'", word)
						   : bench_strdup(word);
}

/* The command as the manifest has it: one string, or a vector of arguments. */
static char *command_text(const struct bench_resultset *set)
{
	const json_t *command = bench_resultset_at(set->manifest, "command"), *word;
	char *text = bench_strdup(json_is_string(command) ? json_string_value(command) : "");
	size_t i;

	json_array_foreach (command, i, word) {
		auto_free char *quoted =
			quote(json_is_string(word) ? json_string_value(word) : "?");
		char *longer = bench_fmt("%s%s%s", text, i ? " " : "", quoted);

		free(text);
		text = longer;
	}
	return text;
}

static void print_origin_of_result(const struct bench_resultset *set, struct bench_page *page)
{
	auto_free char *command = command_text(set), *seed = value_text(set, "seed");

	bench_page_fill(page, "result", HEAD, "%s", set->id);
	if (!*command)
		return;
	bench_page_fill(page, "repeat", HEAD, "%s", command);
	if (seed && !strstr(command, "--seed"))
		bench_page_fill(
			page, "", HEAD, "(add --seed %s for the same order of runs)", seed);
}

void bench_report_env(const struct bench_resultset *set, struct bench_page *page)
{
	print_origin_of_result(set, page);
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(lines); i++)
		print_line(set, &lines[i], page);
	print_design(set, page);
}
