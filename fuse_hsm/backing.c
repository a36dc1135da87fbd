/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/backing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fuse_hsm/fuse_compat.h"
#include "hsm/util.h"

#define SHARDS	16
#define BUCKETS 64

/* What an open inode has in the kernel. */
struct use {
	struct use *next;
	const struct fuse_hsm_inode *inode; /* only compared */
	unsigned int cached, passthrough; /* opens */
	unsigned int writers; /* of .passthrough */
	int id; /* > 0 while .passthrough; all opens of an inode must use the same */
};

struct shard {
	pthread_mutex_t lock; /* all below */
	struct use *bucket[BUCKETS];
} __attribute__((aligned(64)));

struct fuse_hsm_backings {
	struct shard shard[SHARDS];
	struct fuse_session *session;
	_Atomic uint64_t opens, cached_opens, filled_in_open, refused;
};

/* ---- the kernel's table of backing files ---- */

/* The id, or -errno: EPERM (not negotiated), ELOOP (a stacked file system below), ... */
static int register_file(struct fuse_hsm_backings *b, int fd)
{
	struct fuse_backing_map map = {.fd = fd};
	int id = ioctl(fuse_session_fd(b->session), FUSE_DEV_IOC_BACKING_OPEN, &map);

	if (id > 0)
		return id;
	if (!b->refused++)
		hsm_log(HSM_LOG_WARN,
			"the kernel refuses passthrough: %s; files are read through the daemon",
			strerror(errno));
	return -errno;
}

static void unregister_file(struct fuse_hsm_backings *b, int id)
{
	uint32_t which = (uint32_t)id;

	if (ioctl(fuse_session_fd(b->session), FUSE_DEV_IOC_BACKING_CLOSE, &which))
		hsm_log(HSM_LOG_DEBUG, "backing file %d: %s", id, strerror(errno));
}

/* ---- the table ---- */

struct fuse_hsm_backings *fuse_hsm_backings_new(struct fuse_session *session)
{
	struct fuse_hsm_backings *b = aligned_alloc(64, sizeof(*b));

	if (!b)
		return NULL;
	memset(b, 0, sizeof(*b));
	b->session = session;
	for (unsigned int n = 0; n < SHARDS; n++)
		pthread_mutex_init(&b->shard[n].lock, NULL);
	return b;
}

static void free_chain(struct use *u)
{
	while (u) {
		struct use *next = u->next;

		free(u);
		u = next;
	}
}

/* The ids are gone with the connection. */
void fuse_hsm_backings_free(struct fuse_hsm_backings *b)
{
	if (!b)
		return;
	for (unsigned int n = 0; n < SHARDS; n++) {
		for (unsigned int k = 0; k < BUCKETS; k++)
			free_chain(b->shard[n].bucket[k]);
		pthread_mutex_destroy(&b->shard[n].lock);
	}
	free(b);
}

/* The address of an inode, whose low bits are all alike. */
static uint64_t hash_inode(const struct fuse_hsm_inode *i)
{
	return ((uint64_t)(uintptr_t)i * 0x9e3779b97f4a7c15) >> 32;
}

static struct shard *shard_of(struct fuse_hsm_backings *b, const struct fuse_hsm_inode *i)
{
	return &b->shard[hash_inode(i) % SHARDS];
}

/* Shard lock held. Where the inode's object is, or would be. */
static struct use **find(struct shard *s, const struct fuse_hsm_inode *i)
{
	struct use **at = &s->bucket[hash_inode(i) / SHARDS % BUCKETS];

	while (*at && (*at)->inode != i)
		at = &(*at)->next;
	return at;
}

static struct use *find_or_add(struct shard *s, const struct fuse_hsm_inode *i)
{
	struct use **at = find(s, i);

	if (!*at) {
		*at = calloc(1, sizeof(**at));
		if (*at)
			(*at)->inode = i;
	}
	return *at;
}

static void remove_unused(struct shard *s, const struct fuse_hsm_inode *i)
{
	struct use **at = find(s, i), *u = *at;

	if (u->cached || u->passthrough)
		return;
	*at = u->next;
	free(u);
}

/* ---- the policy ---- */

/*
 * Shard lock held. Opens that pass through exist only of complete files, and a complete file
 * that is open stays so: no caller here needs cached mode while there are some.
 */
static bool may_pass(struct fuse_hsm_backings *b, struct use *u, const struct fuse_hsm_open *o)
{
	if (u->passthrough)
		return true;
	if (u->cached || o->needs_daemon || !fuse_hsm_open_filled(o))
		return false;
	u->id = register_file(b, o->fd);
	return u->id > 0;
}

static void count_open(struct fuse_hsm_backings *b, struct use *u, struct fuse_hsm_open *o)
{
	if (may_pass(b, u, o)) {
		u->passthrough++;
		u->writers += o->writable;
		o->backing_id = u->id;
		b->opens++;
	} else {
		u->cached++;
		b->cached_opens++;
	}
	o->counted = true;
}

int fuse_hsm_backing_open(struct fuse_hsm_backings *b, struct fuse_hsm_open *o)
{
	struct shard *s = shard_of(b, o->inode);
	struct use *u;

	pthread_mutex_lock(&s->lock);
	u = find_or_add(s, o->inode);
	if (u)
		count_open(b, u, o);
	pthread_mutex_unlock(&s->lock);
	return u ? 0 : -ENOMEM;
}

static void uncount_open(struct fuse_hsm_backings *b, struct use *u, struct fuse_hsm_open *o)
{
	if (!o->backing_id) {
		u->cached--;
		return;
	}
	u->writers -= o->writable;
	if (!--u->passthrough)
		unregister_file(b, u->id);
}

void fuse_hsm_backing_close(struct fuse_hsm_backings *b, struct fuse_hsm_open *o)
{
	struct shard *s = shard_of(b, o->inode);

	if (!o->counted)
		return;
	pthread_mutex_lock(&s->lock);
	uncount_open(b, *find(s, o->inode), o);
	remove_unused(s, o->inode);
	pthread_mutex_unlock(&s->lock);
	o->counted = false;
}

bool fuse_hsm_backing_changing(struct fuse_hsm_backings *b, const struct fuse_hsm_inode *i)
{
	struct shard *s = shard_of(b, i);
	const struct use *u;
	bool changing;

	pthread_mutex_lock(&s->lock);
	u = *find(s, i);
	changing = u && u->writers;
	pthread_mutex_unlock(&s->lock);
	return changing;
}

void fuse_hsm_backing_count_filled(struct fuse_hsm_backings *b)
{
	b->filled_in_open++;
}

json_t *fuse_hsm_backings_json(struct fuse_hsm_backings *b)
{
	return json_pack("{sI sI sI sI}", "opens", (json_int_t)b->opens, "cached_opens",
		(json_int_t)b->cached_opens, "filled_in_open", (json_int_t)b->filled_in_open,
		"refused", (json_int_t)b->refused);
}
