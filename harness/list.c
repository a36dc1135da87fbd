/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "harness/catalog.h"
#include "harness/cmd.h"
#include "harness/err.h"
#include "harness/util.h"

static void print_engines(const struct bench_catalog *c, const struct bench_vars *vars)
{
	puts("engines");
	for (size_t i = 0; i < c->engines; i++) {
		const struct bench_engine *e = c->engine[i];
		int ret = bench_engine_check(e, vars);

		printf("  %-14s %s%s\n", e->name, e->title, e->extra ? " (with -e only)" : "");
		if (ret < 0)
			printf("  %-14s skipped: %s\n", "", bench_err_text());
	}
}

static void print_steps(const struct bench_workload *w)
{
	for (unsigned int i = 0; i < w->steps; i++) {
		const struct bench_step *s = &w->step[i];
		auto_free char *missing = bench_catalog_missing(s->needs);

		printf("    %-18s %s (", s->name, s->title);
		for (unsigned int k = 0, n = 0; k < BENCH_STATES; k++)
			if (s->states & 1u << k)
				printf("%s%s", n++ ? " " : "", bench_state_names[k]);
		puts(")");
		if (missing)
			printf("    %-18s skipped: %s\n", "", missing);
	}
}

static void print_workloads(const struct bench_catalog *c)
{
	puts("workloads");
	for (size_t i = 0; i < c->workloads; i++) {
		const struct bench_workload *w = c->workload[i];
		auto_free char *missing = bench_catalog_missing(w->needs);

		printf("  %-14s %s\n", w->name, w->title);
		if (missing)
			printf("  %-14s skipped: %s\n", "", missing);
		else
			print_steps(w);
	}
}

int bench_cmd_list(int argc, char **argv)
{
	auto_free char *home = bench_catalog_home();
	auto_free char *bin = bench_catalog_bin();
	struct bench_vars *vars;
	struct bench_catalog c;

	(void)argv;
	if (argc > 1) {
		puts("usage: hsmbench list");
		return BENCH_EXIT_USAGE;
	}
	if (bench_catalog_load(home, &c) < 0) {
		bench_say("%s", bench_err_text());
		return BENCH_EXIT_REQUIREMENT;
	}
	vars = bench_vars_new(NULL);
	bench_vars_set(vars, "bin", bin);
	print_engines(&c, vars);
	print_workloads(&c);
	bench_vars_free(vars);
	bench_catalog_release(&c);
	return BENCH_EXIT_OK;
}
