/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_PLAN_H
#define BENCH_PLAN_H
/*
 * Randomised complete blocks: every block runs every workload once under every engine; the
 * order of workloads, and of engines within a workload, is drawn anew in each block from the
 * seed.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "harness/catalog.h"

#define BENCH_SEED_MAX ((1ULL << 53) - 1) /* exact in every JSON reader */

struct bench_plan_cell {
	const struct bench_workload *workload;
	const struct bench_engine *engine;
	unsigned int block, position; /* from 1; position: among the engines of the workload */
	char *id; /* "tar/fan-fs/2", "tar/fuse-default/traced" */
	bool traced; /* not for comparing */
};

struct bench_plan {
	uint64_t seed;
	unsigned int blocks;
	struct bench_plan_cell *cell; /* in the order in which they run */
	size_t cells;
};

/* A seed nobody chose. */
uint64_t bench_plan_seed(void);

/*
 * @c is borrowed for the life of the plan. The same catalog, blocks and seed give the same
 * plan.
 */
void bench_plan_make(const struct bench_catalog *c, unsigned int blocks, uint64_t seed,
	struct bench_plan *ret_plan);

/*
 * Adds a block of traced cells: every workload under every engine that can be traced. The cells
 * before it stay what they are.
 */
void bench_plan_add_traced(struct bench_plan *p, const struct bench_catalog *c);

void bench_plan_release(struct bench_plan *p);

/* plan.json: seed, blocks, engines, workloads with their steps, cells. New reference. */
json_t *bench_plan_json(const struct bench_plan *p, const struct bench_catalog *c);

#endif
