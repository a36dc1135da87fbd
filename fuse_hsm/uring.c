/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All rings, and which reply belongs to which of them. The kernel (Linux 6.18,
 * fs/fuse/dev_uring.c) has one queue per possible CPU; a request goes to the queue of the CPU its
 * caller runs on, into one of the entries registered there, and waits in the kernel while all of
 * them are taken. An entry is taken until its request is answered, so the depth of a queue is how
 * many requests of one CPU may wait for the network. INIT, FORGET, INTERRUPT and what the
 * daemon tells the kernel stay on /dev/fuse.
 */
#include "fuse_hsm/uring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuse_hsm/fs.h"
#include "fuse_hsm/ring.h"
#include "hsm/util.h"

#define POSSIBLE_CPUS "/sys/devices/system/cpu/possible"
#define SHARDS	      64

/* Entries with a request that is not answered, by its unique number. */
struct shard {
	pthread_mutex_t lock;
	struct fuse_hsm_entry *first;
};

struct fuse_hsm_uring {
	struct fuse_hsm_rings shared;
	struct shard shards[SHARDS];
	unsigned int rings; /* whose threads run */
	struct fuse_hsm_ring *ring;
};

/* ---- requests that are not answered ---- */

static struct shard *shard_of(struct fuse_hsm_uring *u, uint64_t unique)
{
	/* The kernel counts in steps of two. */
	return &u->shards[(unique >> 1) % SHARDS];
}

static void note_request(struct fuse_hsm_rings *shared, struct fuse_hsm_entry *e)
{
	struct fuse_hsm_uring *u = hsm_container_of(shared, struct fuse_hsm_uring, shared);
	struct shard *s = shard_of(u, e->unique);

	pthread_mutex_lock(&s->lock);
	e->next = s->first;
	s->first = e;
	pthread_mutex_unlock(&s->lock);
}

/* The entry whose request this is; the caller is the only one who gets it. */
static struct fuse_hsm_entry *take_request(struct fuse_hsm_uring *u, uint64_t unique)
{
	struct shard *s = shard_of(u, unique);
	struct fuse_hsm_entry **at, *e;

	pthread_mutex_lock(&s->lock);
	for (at = &s->first; *at && (*at)->unique != unique; at = &(*at)->next)
		;
	e = *at;
	if (e)
		*at = e->next;
	pthread_mutex_unlock(&s->lock);
	return e;
}

bool fuse_hsm_uring_reply(struct fuse_hsm_uring *u, const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	/* 0: not a reply but a message of ours. */
	struct fuse_hsm_entry *e = out->unique ? take_request(u, out->unique) : NULL;

	if (!e)
		return false;
	fuse_hsm_ring_reply(e, iov, count);
	return true;
}

/* ---- starting ---- */

/* "0-3,8": how many that is. */
static unsigned int count_cpus(void)
{
	FILE *in = fopen(POSSIBLE_CPUS, "re");
	unsigned int first, last, count = 0;
	int got;

	if (!in)
		return 0;
	do {
		got = fscanf(in, "%u-%u", &first, &last);
		if (got >= 1)
			count += (got == 2 ? last : first) - first + 1;
	} while (got >= 1 && fgetc(in) == ',');
	fclose(in);
	return count;
}

/* The kernel uses the rings once it has all of them. */
static int start_rings(struct fuse_hsm_uring *u, unsigned int count)
{
	int r = 0;

	while (!r && u->rings < count) {
		r = fuse_hsm_ring_start(&u->ring[u->rings], &u->shared, u->rings);
		u->rings += !r;
	}
	for (unsigned int n = 0; n < u->rings; n++)
		while (sem_wait(&u->shared.told))
			;
	for (unsigned int n = 0; !r && n < u->rings; n++)
		r = u->ring[n].error;
	return r;
}

int fuse_hsm_uring_new(struct fuse_hsm_fs *fs, struct fuse_hsm_uring **ret_uring)
{
	struct fuse_hsm_uring *u = calloc(1, sizeof(*u));
	unsigned int count = count_cpus();
	int r = -ENOMEM;

	if (!u)
		return hsm_err(ENOMEM, "%s", strerror(ENOMEM));
	u->shared.fs = fs;
	u->shared.note = note_request;
	u->shared.depth = fs->mode.uring_depth;
	sem_init(&u->shared.told, 0, 0);
	for (size_t n = 0; n < SHARDS; n++)
		pthread_mutex_init(&u->shards[n].lock, NULL);
	u->ring = count ? calloc(count, sizeof(*u->ring)) : NULL;
	/* Before the rings run: the first request is answered through it. */
	*ret_uring = u;
	if (u->ring)
		r = start_rings(u, count);
	if (r) {
		fuse_hsm_uring_free(u);
		*ret_uring = NULL;
		return hsm_err(-r, "--uring: the rings of %u CPUs cannot be set up: %s", count,
			strerror(-r));
	}
	return 0;
}

/* ---- ending ---- */

static void wake_all(struct fuse_hsm_uring *u)
{
	for (unsigned int n = 0; n < u->rings; n++)
		fuse_hsm_ring_wake(&u->ring[n]);
}

void fuse_hsm_uring_stop(struct fuse_hsm_uring *u)
{
	if (!u || atomic_exchange(&u->shared.stopping, true))
		return;
	wake_all(u);
	for (unsigned int n = 0; n < u->rings; n++)
		while (sem_wait(&u->shared.told))
			;
}

void fuse_hsm_uring_free(struct fuse_hsm_uring *u)
{
	if (!u)
		return;
	u->shared.stopping = true;
	u->shared.ending = true;
	wake_all(u);
	for (unsigned int n = 0; n < u->rings; n++)
		fuse_hsm_ring_free(&u->ring[n]);
	for (size_t n = 0; n < SHARDS; n++)
		pthread_mutex_destroy(&u->shards[n].lock);
	sem_destroy(&u->shared.told);
	free(u->ring);
	free(u);
}

unsigned int fuse_hsm_uring_queues(const struct fuse_hsm_uring *u)
{
	return u->rings;
}
