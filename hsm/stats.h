/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_STATS_H
#define HSM_STATS_H
/*
 * Counters of the core and operation tables of a front-end. Updates are relaxed atomics on
 * shards picked by thread, never a lock; a snapshot adds the shards up.
 */
#include <jansson.h>
#include <stdatomic.h>
#include <stdint.h>

#include "hsm/hist.h"

/* What the core counts. Names in JSON are those of hsm_counter_names[], in this order. */
enum hsm_counter {
	HSM_C_ORIGIN_LISTS, /* directory listings asked of the origin */
	HSM_C_ORIGIN_HEADS, /* size requests (one per file, where an index rounds) */
	HSM_C_ORIGIN_FETCHES, /* range requests started */
	HSM_C_ORIGIN_RETRIES, /* requests repeated after a passing fault */
	HSM_C_ORIGIN_ERRORS, /* requests given up */
	HSM_C_BYTES_FETCHED, /* payload bytes received from the origin */
	HSM_C_BYTES_REQUESTED, /* bytes front-ends asked to have present */
	HSM_C_FILL_HITS, /* ranges found present */
	HSM_C_FILL_WAITS, /* ranges that had to wait for the origin */
	HSM_C_CHUNKS_FILLED, /* chunks that became present */
	HSM_C_FILES_COMPLETED, /* files whose last chunk became present */
	HSM_C_STUBS_CREATED, /* regular files published as stubs */
	HSM_C_DIRS_POPULATED, /* directories whose names were created */
	HSM_C_NAMES_REFUSED, /* names of the origin that cannot be or must not be created */
	HSM_C_FILL_ERRORS, /* fills that ended in an error given to the reader */
	HSM_C_FILES_EVICTED, /* files whose bytes were given back */
	HSM_C_BYTES_EVICTED, /* bytes given back, as the file system counts them */
	HSM_C_REFRESHES, /* comparisons with the origin that came to their end */
	HSM_C_REFRESH_CHANGES, /* names they made, replaced or removed */
	HSM_C_REFRESH_CONFLICTS, /* names they left alone for what users did there */
	HSM_C_COUNT
};

struct hsm_stats;

int hsm_stats_new(struct hsm_stats **ret_stats);
void hsm_stats_free(struct hsm_stats *s);
void hsm_stats_add(struct hsm_stats *s, enum hsm_counter c, uint64_t n);
uint64_t hsm_stats_get(struct hsm_stats *s, enum hsm_counter c);

/* All counters as {"name": number, ...}. Returns a new reference. */
json_t *hsm_stats_json(struct hsm_stats *s);

/* A table of named operations, each with count, errors and a latency histogram. */
struct hsm_optable;

/* @names: @count static strings, borrowed. */
int hsm_optable_new(const char *const *names, unsigned int count, struct hsm_optable **ret);
void hsm_optable_free(struct hsm_optable *t);

/* One finished operation: @ns it took, @err 0 or negative errno. No allocation, no lock. */
void hsm_optable_record(struct hsm_optable *t, unsigned int op, uint64_t ns, int err);

/* {"name": {"count": n, "errors": n, "hist_ns": [[middle, n], ...]}}; unused operations left out. */
json_t *hsm_optable_json(struct hsm_optable *t);

#endif
