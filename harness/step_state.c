/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The three states a step can meet, and how they are made. */
#include <errno.h>

#include "harness/err.h"
#include "harness/line.h"
#include "harness/look.h"
#include "harness/pagecache.h"
#include "harness/step_run.h"
#include "harness/util.h"

#define DROPS 3 /* a page under writeback or read-ahead survives a drop */

int bench_step_verify(struct bench_step_run *r)
{
	struct bench_cell *c = r->cell;
	int ret;

	if (!r->step->files || bench_strv_has(c->verified, r->step->files))
		return 0;
	ret = bench_look(c, r->step, "verify", c->tree, r->raw, NULL);
	if (ret == -EINTR)
		return ret;
	bench_line_check(r->line, "content", ret == 0, "%s",
		ret < 0 ? bench_err_text() : "same as the origin");
	if (ret == 0)
		bench_strv_add(&c->verified, r->step->files);
	return ret;
}

static int enter_cold_origin(struct bench_step_run *r)
{
	struct bench_cell *c = r->cell;
	int ret = bench_look(c, r->step, "warm", c->origin_dir, r->raw, NULL);

	if (ret == 0 && bench_step_names_known(r->step))
		ret = bench_look(c, r->step, "list", c->tree, r->raw, NULL);
	return ret;
}

/*
 * Drops the caches until a sample of the files has no page in memory. What is left in
 * *ret_pages, -1 if the kernel cannot tell. -errno + text.
 */
static int drop_until_empty(struct bench_step_run *r, long long *ret_pages)
{
	struct bench_cell *c = r->cell;
	long long pages = 1;
	int ret = 0;

	for (int i = 0; i < DROPS && pages > 0 && ret == 0; i++) {
		auto_free char *text = NULL;

		ret = bench_pagecache_drop(c->fs_fd);
		if (ret == 0)
			ret = bench_look(c, r->step, "resident", c->tree, r->raw, &text);
		pages = text && *text ? strtoll(text, NULL, 10) : -1;
	}
	*ret_pages = pages;
	return ret;
}

static int enter_cold_cache(struct bench_step_run *r)
{
	struct bench_cell *c = r->cell;
	long long pages = -1;
	int ret = bench_step_verify(r);

	/* A run brings the names that the comparison did not need. */
	if (ret == 0 && c->daemon.pid && !(r->step->states & 1u << BENCH_COLD_ORIGIN))
		ret = bench_step_rehearse(r);
	if (ret == 0)
		ret = drop_until_empty(r, &pages);
	if (ret == 0 && pages >= 0)
		bench_line_check(r->line, "cold", pages == 0,
			"%lld pages of a sample of the files in memory", pages);
	return ret;
}

static int enter_warm(struct bench_step_run *r)
{
	int ret = bench_step_verify(r);

	return ret < 0 ? ret : bench_step_rehearse(r);
}

int bench_step_enter(struct bench_step_run *r)
{
	static int (*const enters[BENCH_STATES])(struct bench_step_run * r) = {
		enter_cold_origin,
		enter_cold_cache,
		enter_warm,
	};
	int ret = bench_step_prepare(r);

	return ret < 0 ? ret : enters[r->state](r);
}
