/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_POOL_H
#define HSM_POOL_H
/* A fixed number of worker threads and a queue of tasks. Tasks may submit tasks. */
#include <stdbool.h>

struct hsm_pool;

/* Embedded in the caller's structure; borrowed until run() is called, which may free it. */
struct hsm_task {
	void (*run)(struct hsm_task *task);
	struct hsm_task *next;
};

int hsm_pool_new(unsigned int threads, struct hsm_pool **ret_pool);

/* Runs what is queued, then ends the threads. */
void hsm_pool_free(struct hsm_pool *pool);

/* Never blocks. @first: before everything queued. */
void hsm_pool_submit(struct hsm_pool *pool, struct hsm_task *task, bool first);

#endif
