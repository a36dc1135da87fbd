/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/plan.h"

#include <string.h>
#include <sys/random.h>

#include "harness/util.h"

/* splitmix64: one 64-bit state, the same on every machine, unlike rand(3). */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* 0 .. n-1, each equally likely: draws above the last whole multiple of n are thrown away. */
static size_t draw(uint64_t *state, size_t n)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % n, value;

	do
		value = next_random(state);
	while (value >= limit);
	return value % n;
}

static void shuffle(uint64_t *state, size_t *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		size_t k = draw(state, i), swap = order[i - 1];

		order[i - 1] = order[k];
		order[k] = swap;
	}
}

uint64_t bench_plan_seed(void)
{
	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = bench_wall_ns();
	return seed & BENCH_SEED_MAX;
}

static void add_cell(struct bench_plan *p, const struct bench_workload *w,
	const struct bench_engine *e, unsigned int block, size_t position)
{
	p->cell[p->cells++] = (struct bench_plan_cell){
		.workload = w,
		.engine = e,
		.block = block,
		.position = (unsigned int)position + 1,
		.id = bench_fmt("%s/%s/%u", w->name, e->name, block),
	};
}

static void add_block(struct bench_plan *p, const struct bench_catalog *c, unsigned int block,
	uint64_t *state)
{
	size_t *workloads = bench_alloc(c->workloads * sizeof(*workloads));
	size_t *engines = bench_alloc(c->engines * sizeof(*engines));

	shuffle(state, workloads, c->workloads);
	for (size_t i = 0; i < c->workloads; i++) {
		shuffle(state, engines, c->engines);
		for (size_t k = 0; k < c->engines; k++)
			add_cell(p, c->workload[workloads[i]], c->engine[engines[k]], block, k);
	}
	free(workloads);
	free(engines);
}

void bench_plan_make(const struct bench_catalog *c, unsigned int blocks, uint64_t seed,
	struct bench_plan *ret_plan)
{
	uint64_t state = seed;

	*ret_plan = (struct bench_plan){
		.seed = seed,
		.blocks = blocks,
		.cell = bench_alloc(
			blocks * c->engines * c->workloads * sizeof(*ret_plan->cell)),
	};
	for (unsigned int b = 1; b <= blocks; b++)
		add_block(ret_plan, c, b, &state);
}

static void add_traced_cells(struct bench_plan *p, const struct bench_workload *w,
	const struct bench_catalog *c, const size_t *order)
{
	size_t position = 0;

	for (size_t k = 0; k < c->engines; k++) {
		const struct bench_engine *e = c->engine[order[k]];
		struct bench_plan_cell *cell = &p->cell[p->cells];

		if (!e->trace)
			continue;
		add_cell(p, w, e, p->blocks + 1, position++);
		free(cell->id);
		cell->id = bench_fmt("%s/%s/traced", w->name, e->name);
		cell->traced = true;
	}
}

void bench_plan_add_traced(struct bench_plan *p, const struct bench_catalog *c)
{
	size_t *order = bench_alloc(c->engines * sizeof(*order));
	uint64_t state = ~p->seed;

	p->cell = bench_realloc(
		p->cell, (p->cells + c->engines * c->workloads) * sizeof(*p->cell));
	for (size_t i = 0; i < c->workloads; i++) {
		shuffle(&state, order, c->engines);
		add_traced_cells(p, c->workload[i], c, order);
	}
	free(order);
}

void bench_plan_release(struct bench_plan *p)
{
	for (size_t i = 0; i < p->cells; i++)
		free(p->cell[i].id);
	free(p->cell);
	*p = (struct bench_plan){0};
}

static json_t *strings_json(char *const *v)
{
	json_t *list = json_array();

	for (size_t i = 0; v && v[i]; i++)
		json_array_append_new(list, json_string(v[i]));
	return list;
}

static json_t *states_json(unsigned int states)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < BENCH_STATES; i++)
		if (states & 1u << i)
			json_array_append_new(list, json_string(bench_state_names[i]));
	return list;
}

static json_t *workload_json(const struct bench_workload *w)
{
	json_t *steps = json_array();

	for (unsigned int i = 0; i < w->steps; i++) {
		const struct bench_step *s = &w->step[i];

		json_array_append_new(steps,
			json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", s->name, "title",
				s->title, "main", s->main, "states", states_json(s->states),
				"metrics", strings_json(s->metrics)));
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o}", "name", w->name, "title", w->title,
		"group", w->group, "input", w->input, "device_bytes",
		(json_int_t)w->device_bytes, "steps", steps);
}

json_t *bench_plan_json(const struct bench_plan *p, const struct bench_catalog *c)
{
	json_t *engines = json_array(), *workloads = json_array(), *cells = json_array();

	for (size_t i = 0; i < c->engines; i++)
		json_array_append_new(
			engines, json_pack("{s:s, s:s}", "name", c->engine[i]->name, "title",
					 c->engine[i]->title));
	for (size_t i = 0; i < c->workloads; i++)
		json_array_append_new(workloads, workload_json(c->workload[i]));
	for (size_t i = 0; i < p->cells; i++) {
		const struct bench_plan_cell *cell = &p->cell[i];

		json_array_append_new(cells,
			json_pack("{s:s, s:s, s:s, s:i, s:i, s:b}", "cell", cell->id,
				"workload", cell->workload->name, "engine", cell->engine->name,
				"block", (int)cell->block, "position", (int)cell->position,
				"traced", cell->traced));
	}
	return json_pack("{s:i, s:I, s:i, s:o, s:o, s:o}", "schema", 1, "seed",
		(json_int_t)p->seed, "blocks", (int)p->blocks, "engines", engines, "workloads",
		workloads, "cells", cells);
}
