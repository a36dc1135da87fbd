/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_RING_H
#define FUSE_HSM_RING_H
/* One ring and its thread; for uring.c only. */
#include <liburing.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "fuse_hsm/fuse_compat.h"

/* Requests up to this are copied, so that the reply may overwrite what came with the request. */
#define FUSE_HSM_RING_COPY ((size_t)8192)
#define FUSE_HSM_RING_FLAT \
	(sizeof(struct fuse_in_header) + FUSE_URING_OP_IN_OUT_SZ + FUSE_HSM_RING_COPY)

struct fuse_hsm_fs;
struct fuse_hsm_ring;

/* A place for one request, from the kernel's side to the end of its reply. */
struct fuse_hsm_entry {
	struct fuse_hsm_entry
		*next; /* in one of: unanswered requests, ring.ready, ring.replies */
	struct fuse_hsm_ring *ring;
	uint64_t unique; /* of the request it has, 0 = none; the kernel's name for the reply */
	struct fuse_uring_req_header *header;
	char *payload;
	struct iovec iov[2];
};

/* What all rings share. */
struct fuse_hsm_rings {
	struct fuse_hsm_fs *fs;
	unsigned int depth;
	_Atomic bool stopping, ending;
	sem_t told; /* a ring has started or failed to, or has stopped */
	/* Called by a ring's thread for a request before it is handled. */
	void (*note)(struct fuse_hsm_rings *rings, struct fuse_hsm_entry *e);
};

/* Everything but .replies belongs to the ring's thread once that runs. */
struct fuse_hsm_ring {
	struct fuse_hsm_rings *rings;
	struct io_uring io;
	pthread_t thread;
	unsigned int cpu; /* also the number of the queue */
	int event; /* eventfd: something for the thread to look at */
	uint64_t event_count; /* where reading it goes */
	uint64_t unsent_since_ns; /* oldest reply not yet submitted, 0 = none */
	int error; /* of the start, 0 or -errno */
	bool stopped;
	struct fuse_hsm_entry *ready, **ready_end; /* requests to handle, oldest first */
	pthread_mutex_t lock;
	struct fuse_hsm_entry *replies; /* lock: from other threads, to be sent */
	char *memory;
	struct fuse_hsm_entry *entry;
	char flat[FUSE_HSM_RING_FLAT] __attribute__((aligned(8)));
};

/*
 * Starts the thread of a zeroed ring, which posts .told with .error set when the kernel has its
 * entries. 0 or -errno; only after 0 there is something to free.
 */
int fuse_hsm_ring_start(
	struct fuse_hsm_ring *r, struct fuse_hsm_rings *rings, unsigned int cpu);

/* The thread looks at .stopping and .ending. */
void fuse_hsm_ring_wake(struct fuse_hsm_ring *r);

/* With .ending set and the thread woken: waits for its end. */
void fuse_hsm_ring_free(struct fuse_hsm_ring *r);

/* Replies to the request in @e, which is noted no more; from any thread. */
void fuse_hsm_ring_reply(struct fuse_hsm_entry *e, const struct iovec *iov, int count);

#endif
