/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "harness/util.h"

void bench_progress_init(struct bench_progress *p, const struct bench_plan *plan)
{
	*p = (struct bench_progress){
		.plan = plan,
		.took_ns = bench_alloc(plan->cells * sizeof(*p->took_ns)),
		.tty = isatty(STDERR_FILENO),
	};
}

void bench_progress_release(struct bench_progress *p)
{
	free(p->took_ns);
	p->took_ns = NULL;
}

/* How alike two cells are: 2 = same workload and engine, 1 = same workload, 0 = not. */
static int likeness(const struct bench_plan_cell *a, const struct bench_plan_cell *b)
{
	if (a->workload != b->workload)
		return 0;
	return a->engine == b->engine ? 2 : 1;
}

/* Mean over the most alike cells that have run. */
static uint64_t expect_ns(const struct bench_progress *p, size_t cell)
{
	uint64_t sum[3] = {0}, n[3] = {0};

	for (size_t i = 0; i < p->plan->cells; i++) {
		int like = likeness(&p->plan->cell[cell], &p->plan->cell[i]);

		if (!p->took_ns[i])
			continue;
		sum[like] += p->took_ns[i];
		n[like]++;
	}
	for (int like = 2; like >= 0; like--)
		if (n[like])
			return sum[like] / n[like];
	return 0;
}

uint64_t bench_progress_left_ns(const struct bench_progress *p)
{
	uint64_t left = 0;

	for (size_t i = p->at; i < p->plan->cells; i++)
		left += expect_ns(p, i);
	return left;
}

void bench_progress_begin(struct bench_progress *p, size_t at)
{
	const struct bench_plan_cell *c = &p->plan->cell[at];
	uint64_t left;

	p->at = at;
	p->start_ns = bench_now_ns();
	left = (bench_progress_left_ns(p) + BENCH_NSEC - 1) / BENCH_NSEC;
	fprintf(stderr, "%scell %zu/%zu  %-10s %-14s", p->tty ? "\r\033[K" : "", at + 1,
		p->plan->cells, c->workload->name, c->engine->name);
	if (left)
		fprintf(stderr, "  ETA %llu:%02llu", (unsigned long long)left / 60,
			(unsigned long long)left % 60);
	if (!p->tty)
		fputc('\n', stderr);
	fflush(stderr);
}

void bench_progress_end(struct bench_progress *p)
{
	uint64_t took = bench_now_ns() - p->start_ns;

	p->took_ns[p->at] = took ? took : 1;
}

void bench_progress_clear(const struct bench_progress *p)
{
	if (p->tty)
		fputs("\r\033[K", stderr);
}
