/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_ORIGIN_GET_H
#define TESTS_ORIGIN_GET_H
/* Fetches of an origin for tests: waits for done(), checks the order data() promises. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hsm/err.h"
#include "hsm/origin.h"
#include "hsm/util.h"

struct get {
	struct hsm_fetch f;
	char *bytes;
	uint64_t have; /* bytes delivered */
	int fail_with; /* what data() returns */
	unsigned int done; /* calls of done() */
	bool out_of_order;
	int err;
	char text[512];
	pthread_mutex_t lock;
	pthread_cond_t ended;
};

static inline int get_data(
	struct hsm_fetch *f, uint64_t offset, const void *bytes, size_t length)
{
	struct get *g = hsm_container_of(f, struct get, f);

	if (g->fail_with)
		return hsm_err(-g->fail_with, "data() failed");
	if (offset != f->offset + g->have || g->have + length > f->length || g->done) {
		g->out_of_order = true;
		return 0;
	}
	memcpy(g->bytes + g->have, bytes, length);
	g->have += length;
	return 0;
}

static inline void get_done(struct hsm_fetch *f, int err)
{
	struct get *g = hsm_container_of(f, struct get, f);

	pthread_mutex_lock(&g->lock);
	g->err = err;
	g->done++;
	snprintf(g->text, sizeof(g->text), "%s", err ? hsm_err_text() : "");
	pthread_cond_signal(&g->ended);
	pthread_mutex_unlock(&g->lock);
}

static inline void get_start(struct hsm_origin *o, struct get *g, const char *path,
	uint64_t offset, uint64_t length, uint64_t size)
{
	g->f.path = path;
	g->f.offset = offset;
	g->f.length = length;
	g->f.size = size;
	if (!g->f.mtime_ns)
		g->f.mtime_ns = HSM_MTIME_UNKNOWN;
	if (!g->f.data) /* a test may have its own */
		g->f.data = get_data;
	g->f.done = get_done;
	g->bytes = malloc(length);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->ended, NULL);
	o->ops->fetch(o, &g->f);
}

static inline int get_wait(struct get *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->done)
		pthread_cond_wait(&g->ended, &g->lock);
	pthread_mutex_unlock(&g->lock);
	return g->err;
}

static inline void get_release(struct get *g)
{
	free(g->bytes);
	pthread_mutex_destroy(&g->lock);
	pthread_cond_destroy(&g->ended);
}

#endif
