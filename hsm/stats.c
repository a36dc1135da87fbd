/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/stats.h"

#include <errno.h>
#include <stdlib.h>

#define SHARDS 8

struct shard {
	_Atomic uint64_t value[HSM_C_COUNT];
} __attribute__((aligned(64)));

struct hsm_stats {
	struct shard shard[SHARDS];
};

static const char *const counter_names[HSM_C_COUNT] = {
	[HSM_C_ORIGIN_LISTS] = "origin_lists",
	[HSM_C_ORIGIN_HEADS] = "origin_heads",
	[HSM_C_ORIGIN_FETCHES] = "origin_fetches",
	[HSM_C_ORIGIN_RETRIES] = "origin_retries",
	[HSM_C_ORIGIN_ERRORS] = "origin_errors",
	[HSM_C_BYTES_FETCHED] = "bytes_fetched",
	[HSM_C_BYTES_REQUESTED] = "bytes_requested",
	[HSM_C_FILL_HITS] = "fill_hits",
	[HSM_C_FILL_WAITS] = "fill_waits",
	[HSM_C_CHUNKS_FILLED] = "chunks_filled",
	[HSM_C_FILES_COMPLETED] = "files_completed",
	[HSM_C_STUBS_CREATED] = "stubs_created",
	[HSM_C_DIRS_POPULATED] = "dirs_populated",
	[HSM_C_NAMES_REFUSED] = "names_refused",
	[HSM_C_FILL_ERRORS] = "fill_errors",
	[HSM_C_FILES_EVICTED] = "files_evicted",
	[HSM_C_BYTES_EVICTED] = "bytes_evicted",
	[HSM_C_REFRESHES] = "refreshes",
	[HSM_C_REFRESH_CHANGES] = "refresh_changes",
	[HSM_C_REFRESH_CONFLICTS] = "refresh_conflicts",
};

/* Threads take shards in turn, so that a few threads never share one. */
static unsigned int my_shard(void)
{
	static _Atomic unsigned int next;
	static __thread unsigned int mine;

	if (!mine)
		mine = atomic_fetch_add(&next, 1) % SHARDS + 1;
	return mine - 1;
}

int hsm_stats_new(struct hsm_stats **ret_stats)
{
	struct hsm_stats *s = aligned_alloc(64, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct hsm_stats){0};
	*ret_stats = s;
	return 0;
}

void hsm_stats_free(struct hsm_stats *s)
{
	free(s);
}

void hsm_stats_add(struct hsm_stats *s, enum hsm_counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&s->shard[my_shard()].value[c], n, memory_order_relaxed);
}

uint64_t hsm_stats_get(struct hsm_stats *s, enum hsm_counter c)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < SHARDS; i++)
		sum += atomic_load_explicit(&s->shard[i].value[c], memory_order_relaxed);
	return sum;
}

json_t *hsm_stats_json(struct hsm_stats *s)
{
	json_t *o = json_object();

	for (unsigned int c = 0; c < HSM_C_COUNT; c++)
		json_object_set_new(
			o, counter_names[c], json_integer((json_int_t)hsm_stats_get(s, c)));
	return o;
}

struct op {
	_Atomic uint64_t errors;
	struct hsm_hist hist;
};

struct hsm_optable {
	const char *const *names;
	unsigned int count;
	struct op *op; /* [shard * count + op]; pages never touched stay unallocated */
};

int hsm_optable_new(const char *const *names, unsigned int count, struct hsm_optable **ret)
{
	struct hsm_optable *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->op = calloc((size_t)SHARDS * count, sizeof(*t->op));
	if (!t->op) {
		free(t);
		return -ENOMEM;
	}
	t->names = names;
	t->count = count;
	*ret = t;
	return 0;
}

void hsm_optable_free(struct hsm_optable *t)
{
	if (!t)
		return;
	free(t->op);
	free(t);
}

void hsm_optable_record(struct hsm_optable *t, unsigned int op, uint64_t ns, int err)
{
	struct op *o = &t->op[my_shard() * t->count + op];

	hsm_hist_add(&o->hist, ns);
	if (err)
		atomic_fetch_add_explicit(&o->errors, 1, memory_order_relaxed);
}

static json_t *hist_json(const struct hsm_hist *h)
{
	json_t *bins = json_array();

	for (unsigned int i = 0; i < HSM_HIST_BINS; i++) {
		uint64_t n = atomic_load_explicit(&h->bin[i], memory_order_relaxed);

		if (n)
			json_array_append_new(
				bins, json_pack("[II]", (json_int_t)hsm_hist_middle_ns(i),
					      (json_int_t)n));
	}
	return bins;
}

static json_t *op_json(struct hsm_optable *t, unsigned int op, struct hsm_hist *sum)
{
	uint64_t errors = 0, count;

	*sum = (struct hsm_hist){0};
	for (unsigned int s = 0; s < SHARDS; s++) {
		struct op *o = &t->op[s * t->count + op];

		hsm_hist_merge(sum, &o->hist);
		errors += atomic_load_explicit(&o->errors, memory_order_relaxed);
	}
	count = hsm_hist_count(sum);
	if (!count)
		return NULL;
	return json_pack("{sI sI so}", "count", (json_int_t)count, "errors", (json_int_t)errors,
		"hist_ns", hist_json(sum));
}

json_t *hsm_optable_json(struct hsm_optable *t)
{
	struct hsm_hist *sum = malloc(sizeof(*sum));
	json_t *all = json_object();

	for (unsigned int op = 0; sum && op < t->count; op++) {
		json_t *o = op_json(t, op, sum);

		if (o)
			json_object_set_new(all, t->names[op], o);
	}
	free(sum);
	return all;
}
