/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan: complete blocks, drawn from the seed and from nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "harness/plan.h"
#include "harness/util.h"

#define ENGINES	  3
#define WORKLOADS 4
#define BLOCKS	  20

static struct bench_engine engines[ENGINES] = {
	{.name = (char *)"native", .title = (char *)""},
	{.name = (char *)"fuse", .title = (char *)"", .trace = true},
	{.name = (char *)"fan", .title = (char *)""},
};
#define TEXTS .title = (char *)"", .group = (char *)"", .input = (char *)""
static struct bench_workload workloads[WORKLOADS] = {
	{.name = (char *)"tar", TEXTS},
	{.name = (char *)"unzip", TEXTS},
	{.name = (char *)"fio", TEXTS},
	{.name = (char *)"find", TEXTS},
};
static struct bench_engine *engine_list[] = {&engines[0], &engines[1], &engines[2]};
static struct bench_workload *workload_list[] = {
	&workloads[0],
	&workloads[1],
	&workloads[2],
	&workloads[3],
};
static const struct bench_catalog catalog = {
	.engine = engine_list,
	.engines = ENGINES,
	.workload = workload_list,
	.workloads = WORKLOADS,
};

/* All cell ids in order, owned. */
static char *order(unsigned int blocks, uint64_t seed)
{
	struct bench_plan p;
	char *text = bench_strdup("");

	bench_plan_make(&catalog, blocks, seed, &p);
	for (size_t i = 0; i < p.cells; i++) {
		char *longer = bench_fmt("%s%s\n", text, p.cell[i].id);

		free(text);
		text = longer;
	}
	bench_plan_release(&p);
	return text;
}

static void test_seed(void **state)
{
	auto_free char *a = order(3, 42), *b = order(3, 42), *c = order(3, 43);
	auto_free char *longer = order(4, 42);

	(void)state;
	assert_string_equal(a, b);
	assert_string_not_equal(a, c);
	/* More blocks extend a plan and do not change its beginning. */
	assert_memory_equal(a, longer, strlen(a));
}

/* The order of a seed that is in published results must stay what it was. */
static void test_stable(void **state)
{
	static const char stable[] = "fio/native/1\n"
				     "fio/fuse/1\n"
				     "fio/fan/1\n"
				     "tar/native/1\n"
				     "tar/fuse/1\n"
				     "tar/fan/1\n"
				     "find/fuse/1\n"
				     "find/fan/1\n"
				     "find/native/1\n"
				     "unzip/native/1\n"
				     "unzip/fan/1\n"
				     "unzip/fuse/1\n";
	auto_free char *a = order(1, 1);

	(void)state;
	assert_string_equal(a, stable);
}

static void test_complete(void **state)
{
	unsigned int seen[BLOCKS + 1][WORKLOADS][ENGINES] = {0};
	struct bench_plan p;

	(void)state;
	bench_plan_make(&catalog, BLOCKS, 7, &p);
	assert_int_equal(p.cells, BLOCKS * WORKLOADS * ENGINES);
	for (size_t i = 0; i < p.cells; i++) {
		const struct bench_plan_cell *c = &p.cell[i];

		assert_int_equal(c->block, i / (WORKLOADS * ENGINES) + 1);
		assert_int_equal(c->position, i % ENGINES + 1);
		seen[c->block][c->workload - workloads][c->engine - engines]++;
		/* The engines of a workload run one after another. */
		assert_ptr_equal(c->workload, p.cell[i - i % ENGINES].workload);
	}
	for (unsigned int b = 1; b <= BLOCKS; b++)
		for (int w = 0; w < WORKLOADS; w++)
			for (int e = 0; e < ENGINES; e++)
				assert_int_equal(seen[b][w][e], 1);
	bench_plan_release(&p);
}

/* Over many blocks every engine comes first about equally often. */
static void test_balance(void **state)
{
	unsigned int first[ENGINES] = {0}, n = 300;
	struct bench_plan p;

	(void)state;
	bench_plan_make(&catalog, n, 11, &p);
	for (size_t i = 0; i < p.cells; i += ENGINES)
		first[p.cell[i].engine - engines]++;
	for (int e = 0; e < ENGINES; e++)
		assert_in_range(first[e], n * WORKLOADS / ENGINES * 85 / 100,
			n * WORKLOADS / ENGINES * 115 / 100);
	bench_plan_release(&p);
}

/* Tracing adds cells behind those of the plan, and only of engines that can be traced. */
static void test_traced(void **state)
{
	auto_free char *plain = order(2, 5);
	struct bench_plan p;
	json_t *json;

	(void)state;
	bench_plan_make(&catalog, 2, 5, &p);
	bench_plan_add_traced(&p, &catalog);
	assert_int_equal(p.cells, 2 * WORKLOADS * ENGINES + WORKLOADS);
	for (size_t i = 0; i < p.cells; i++) {
		const struct bench_plan_cell *c = &p.cell[i];
		const char *at = plain;

		assert_int_equal(c->traced, i >= 2 * WORKLOADS * ENGINES);
		if (c->traced) {
			assert_int_equal(c->block, 3);
			assert_string_equal(c->engine->name, "fuse");
			continue;
		}
		for (size_t k = 0; k < i; k++)
			at = strchr(at, '\n') + 1;
		assert_memory_equal(at, c->id, strlen(c->id));
	}
	json = bench_plan_json(&p, &catalog);
	assert_true(json_is_true(json_object_get(
		json_array_get(json_object_get(json, "cells"), p.cells - 1), "traced")));
	json_decref(json);
	bench_plan_release(&p);
}

static void test_drawn_seed(void **state)
{
	(void)state;
	assert_true(bench_plan_seed() <= BENCH_SEED_MAX);
	assert_true(bench_plan_seed() != bench_plan_seed());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_stable),
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_balance),
		cmocka_unit_test(test_traced),
		cmocka_unit_test(test_drawn_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
