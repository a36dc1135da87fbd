/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inode table: shards picked by the hash of the inode number, each with its lock, its chains
 * and its slab. A lookup count is raised and dropped under the lock that frees, so a forget and
 * a lookup of the same inode cannot miss each other. Nothing under a lock blocks: no system call
 * on the lower file system is made, and descriptors are closed after it.
 */
#include "fuse_hsm/inode.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fuse_hsm/dirfd.h"
#include "fuse_hsm/lower.h"
#include "fuse_hsm/slab.h"
#include "hsm/util.h"

/* With 1,000,000 inodes the longest hold of a lock moves 16,384 of them to other buckets. */
#define SHARD_BITS    6
#define SHARDS	      (1u << SHARD_BITS)
#define FIRST_BUCKETS 64

/* A name can be given to a new file again and again between two calls; not for ever. */
#define LOOKUP_TRIES 8

/* Descriptors of removed inodes. The kernel forgets those that nobody uses at once. */
#define REMOVED_MAX 4096

/* An inode without a name that the kernel still knows. */
struct removed {
	struct removed *next;
	uint64_t ino;
	int fd;
};

struct shard {
	pthread_mutex_t lock; /* everything below, and what the inodes say is the lock's */
	struct fuse_hsm_inode **bucket;
	uint64_t buckets; /* power of two */
	uint64_t count;
	struct fuse_hsm_slab slab;
	struct removed *removed; /* newest first */
} __attribute__((aligned(64)));

struct fuse_hsm_inodes {
	struct shard shard[SHARDS];
	_Atomic unsigned int removed;
	struct fuse_hsm_lower lower;
	struct fuse_hsm_dirfds *dirfds;
	/* In no chain, never freed. */
	struct fuse_hsm_inode *root;
	struct fuse_hsm_inode *gone; /* stands in for what is not known */
};

/* What has to be let go when the lock is free. */
struct leftover {
	struct fuse_hsm_dirfd *dirfd;
	int fd;
};

static void let_go(struct leftover *l)
{
	fuse_hsm_dirfd_put(l->dirfd);
	hsm_util_close_fd(&l->fd);
}

/* Numbers of one directory follow each other: multiply, and take the mixed bits. */
static uint64_t hash_ino(uint64_t ino)
{
	uint64_t h = ino * 0x9e3779b97f4a7c15;

	return h ^ h >> 32;
}

static struct shard *shard_of(struct fuse_hsm_inodes *t, uint64_t ino)
{
	return &t->shard[hash_ino(ino) & (SHARDS - 1)];
}

static struct fuse_hsm_inode **bucket_of(struct shard *s, uint64_t ino)
{
	return &s->bucket[hash_ino(ino) >> SHARD_BITS & (s->buckets - 1)];
}

static struct fuse_hsm_inode *in_chain(struct shard *s, uint64_t ino)
{
	struct fuse_hsm_inode *i = *bucket_of(s, ino);

	while (i && i->ino != ino)
		i = i->next;
	return i;
}

static bool is_same(struct fuse_hsm_inodes *t, const struct fuse_hsm_inode *i,
	const struct fuse_hsm_found *found)
{
	return i == t->root || fuse_hsm_lower_same(&t->lower, i->generation, i->lower, found);
}

/* ---- the whole table ---- */

static size_t inode_bytes(const struct fuse_hsm_inodes *t)
{
	return HSM_MAX(sizeof(struct fuse_hsm_inode),
		offsetof(struct fuse_hsm_inode, lower) + fuse_hsm_lower_bytes(&t->lower));
}

static int init_shards(struct fuse_hsm_inodes *t)
{
	for (unsigned int n = 0; n < SHARDS; n++) {
		struct shard *s = &t->shard[n];

		fuse_hsm_slab_init(&s->slab, inode_bytes(t));
		s->bucket = calloc(FIRST_BUCKETS, sizeof(*s->bucket));
		if (!s->bucket)
			return -ENOMEM;
		s->buckets = FIRST_BUCKETS;
	}
	return 0;
}

static int init_table(struct fuse_hsm_inodes *t)
{
	t->root = calloc(1, sizeof(*t->root));
	t->gone = calloc(1, sizeof(*t->gone));
	if (!t->root || !t->gone)
		return -ENOMEM;
	t->root->ino = t->lower.root_ino;
	t->root->type = S_IFDIR >> 12;
	return init_shards(t);
}

int fuse_hsm_inodes_new(
	int root_fd, int mount_fd, bool pin_fds, struct fuse_hsm_inodes **ret_inodes)
{
	struct fuse_hsm_inodes *t = aligned_alloc(64, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	for (unsigned int n = 0; n < SHARDS; n++)
		pthread_mutex_init(&t->shard[n].lock, NULL);
	r = fuse_hsm_lower_init(&t->lower, root_fd, mount_fd, pin_fds);
	if (!r)
		r = init_table(t);
	if (r) {
		fuse_hsm_inodes_free(t);
		return r;
	}
	*ret_inodes = t;
	return 0;
}

/* The descriptor that kept a removed inode; -1 if it has none. */
static int take_removed(
	struct fuse_hsm_inodes *t, struct shard *s, const struct fuse_hsm_inode *i)
{
	struct removed **at = &s->removed, *r;
	int fd;

	if (!(i->flags & FUSE_HSM_I_REMOVED))
		return -1;
	while ((*at)->ino != i->ino)
		at = &(*at)->next;
	r = *at;
	*at = r->next;
	fd = r->fd;
	free(r);
	t->removed--;
	return fd;
}

static void free_chain(struct fuse_hsm_inodes *t, struct shard *s, struct fuse_hsm_inode *i)
{
	while (i) {
		struct fuse_hsm_inode *next = i->next;
		int fd = i->flags & FUSE_HSM_I_REMOVED
				 ? take_removed(t, s, i)
				 : fuse_hsm_lower_unkeep(&t->lower, i->lower);

		hsm_util_close_fd(&fd);
		fuse_hsm_slab_free(&s->slab, i);
		i = next;
	}
}

void fuse_hsm_inodes_free(struct fuse_hsm_inodes *t)
{
	if (!t)
		return;
	for (unsigned int n = 0; n < SHARDS; n++) {
		struct shard *s = &t->shard[n];

		for (uint64_t b = 0; b < s->buckets; b++)
			free_chain(t, s, s->bucket[b]);
		fuse_hsm_slab_release(&s->slab);
		free(s->bucket);
		pthread_mutex_destroy(&s->lock);
	}
	free(t->root);
	free(t->gone);
	free(t);
}

void fuse_hsm_inodes_set_dirfds(struct fuse_hsm_inodes *t, struct fuse_hsm_dirfds *d)
{
	t->dirfds = d;
}

bool fuse_hsm_inodes_can_export(const struct fuse_hsm_inodes *t)
{
	return t->lower.kind == FUSE_HSM_BY_NUMBER;
}

void fuse_hsm_inodes_count(struct fuse_hsm_inodes *t, uint64_t *ret_inodes, uint64_t *ret_bytes)
{
	uint64_t inodes = 0, bytes = 0;

	for (unsigned int n = 0; n < SHARDS; n++) {
		struct shard *s = &t->shard[n];

		pthread_mutex_lock(&s->lock);
		inodes += s->count;
		bytes += fuse_hsm_slab_bytes(&s->slab) + s->buckets * sizeof(*s->bucket);
		pthread_mutex_unlock(&s->lock);
	}
	*ret_inodes = inodes;
	*ret_bytes = bytes;
}

/* ---- one shard, locked ---- */

/* Without memory the chains just get longer. */
static void resize(struct shard *s, uint64_t buckets)
{
	uint64_t old = s->buckets;
	struct fuse_hsm_inode **bucket = calloc(buckets, sizeof(*bucket)), **from = s->bucket;

	if (!bucket)
		return;
	s->bucket = bucket;
	s->buckets = buckets;
	for (uint64_t b = 0; b < old; b++) {
		struct fuse_hsm_inode *i = from[b];

		while (i) {
			struct fuse_hsm_inode *next = i->next, **to = bucket_of(s, i->ino);

			i->next = *to;
			*to = i;
			i = next;
		}
	}
	free(from);
}

/* Becomes what was found: a new inode, or the next one with this number. */
static int become(struct fuse_hsm_inodes *t, struct shard *s, struct fuse_hsm_inode *i,
	struct fuse_hsm_found *found, struct leftover *left)
{
	uint32_t generation;
	int r = fuse_hsm_lower_keep(&t->lower, found, i->lower, &generation);

	if (r)
		return r;
	if (fuse_hsm_inode_is(i, FUSE_HSM_I_DIRFD))
		left->dirfd = fuse_hsm_dirfd_take(t->dirfds, i);
	left->fd = take_removed(t, s, i);
	i->generation = generation;
	i->type = (uint8_t)((found->mode & S_IFMT) >> 12);
	i->flags = 0;
	i->lost_names = 0;
	return 0;
}

static int add(struct fuse_hsm_inodes *t, struct shard *s, struct fuse_hsm_found *found,
	struct leftover *left, struct fuse_hsm_inode **ret_inode)
{
	struct fuse_hsm_inode *i = fuse_hsm_slab_alloc(&s->slab), **bucket;
	int r;

	if (!i)
		return -ENOMEM;
	memset(i, 0, sizeof(*i));
	i->ino = found->ino;
	r = become(t, s, i, found, left);
	if (r) {
		fuse_hsm_slab_free(&s->slab, i);
		return r;
	}
	if (++s->count > s->buckets)
		resize(s, 2 * s->buckets);
	bucket = bucket_of(s, i->ino);
	i->next = *bucket;
	*bucket = i;
	*ret_inode = i;
	return 0;
}

static void remove_inode(struct fuse_hsm_inodes *t, struct shard *s, struct fuse_hsm_inode *i,
	struct leftover *left)
{
	struct fuse_hsm_inode **at = bucket_of(s, i->ino);

	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	if (fuse_hsm_inode_is(i, FUSE_HSM_I_DIRFD))
		left->dirfd = fuse_hsm_dirfd_take(t->dirfds, i);
	left->fd = fuse_hsm_inode_is(i, FUSE_HSM_I_REMOVED)
			   ? take_removed(t, s, i)
			   : fuse_hsm_lower_unkeep(&t->lower, i->lower);
	fuse_hsm_slab_free(&s->slab, i);
	if (--s->count < s->buckets / 8 && s->buckets > FIRST_BUCKETS)
		resize(s, s->buckets / 4);
}

/* ---- lookup, forget ---- */

/*
 * Locks the shard and finds the inode with the number of @found, if it is known. If that was another
 * file, one of the two is deleted; which one is asked of the file system, and the descriptor got
 * for it keeps the answer true.
 */
static int lock_found(struct fuse_hsm_inodes *t, struct shard *s, struct fuse_hsm_found *found,
	int *proof_fd, struct fuse_hsm_inode **ret_inode)
{
	struct fuse_hsm_inode *i;

	for (;;) {
		pthread_mutex_lock(&s->lock);
		i = found->ino == t->root->ino ? t->root : in_chain(s, found->ino);
		if (!i || *proof_fd >= 0 || is_same(t, i, found))
			break;
		pthread_mutex_unlock(&s->lock);
		*proof_fd = fuse_hsm_lower_prove(&t->lower, found);
		if (*proof_fd < 0)
			return *proof_fd;
	}
	*ret_inode = i;
	return 0;
}

static int get_inode(struct fuse_hsm_inodes *t, struct fuse_hsm_found *found,
	struct fuse_hsm_inode **ret_inode)
{
	struct shard *s = shard_of(t, found->ino);
	struct leftover left = {.fd = -1};
	struct fuse_hsm_inode *i;
	auto_fd int proof_fd = -1;
	int r = lock_found(t, s, found, &proof_fd, &i);

	if (r)
		return r;
	if (!i)
		r = add(t, s, found, &left, &i);
	else if (!is_same(t, i, found))
		r = become(t, s, i, found, &left);
	if (!r) {
		i->nlookup++;
		*ret_inode = i;
	}
	pthread_mutex_unlock(&s->lock);
	let_go(&left);
	return r;
}

int fuse_hsm_inode_lookup(struct fuse_hsm_inodes *t, int dirfd, const char *name,
	struct stat *ret_attr, struct fuse_hsm_inode **ret_inode)
{
	struct fuse_hsm_found found;
	struct stat attr;
	int r = -ESTALE;

	for (unsigned int n = 0; n < LOOKUP_TRIES && r == -ESTALE; n++) {
		r = fuse_hsm_lower_find(&t->lower, dirfd, name, &found, &attr);
		if (r)
			break;
		r = get_inode(t, &found, ret_inode);
		hsm_util_close_fd(&found.fd);
	}
	if (!r)
		*ret_attr = attr;
	fuse_hsm_lower_complain(&t->lower, r);
	return r;
}

void fuse_hsm_inode_forget(struct fuse_hsm_inodes *t, fuse_ino_t id, uint64_t count)
{
	struct shard *s = shard_of(t, id);
	struct leftover left = {.fd = -1};
	struct fuse_hsm_inode *i;

	pthread_mutex_lock(&s->lock);
	i = in_chain(s, id);
	if (i) {
		i->nlookup -= HSM_MIN(count, i->nlookup);
		if (!i->nlookup)
			remove_inode(t, s, i, &left);
	}
	pthread_mutex_unlock(&s->lock);
	let_go(&left);
}

/* ---- of a request ---- */

struct fuse_hsm_inode *fuse_hsm_inode_find(struct fuse_hsm_inodes *t, fuse_ino_t id)
{
	struct shard *s = shard_of(t, id);
	struct fuse_hsm_inode *i;

	if (id == FUSE_ROOT_ID)
		return t->root;
	pthread_mutex_lock(&s->lock);
	i = in_chain(s, id);
	pthread_mutex_unlock(&s->lock);
	return i ? i : t->gone;
}

bool fuse_hsm_inode_is_gone(const struct fuse_hsm_inodes *t, const struct fuse_hsm_inode *i)
{
	return i == t->gone;
}

fuse_ino_t fuse_hsm_inode_id(struct fuse_hsm_inodes *t, const struct fuse_hsm_inode *i)
{
	return i == t->root ? FUSE_ROOT_ID : i->ino;
}

static int open_root(struct fuse_hsm_inodes *t, int flags)
{
	int fd = openat(t->lower.root_fd, ".", flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A handle that is kept is replaced if the inode becomes another; all else is read at once. */
static int open_kept(struct fuse_hsm_inodes *t, const struct fuse_hsm_inode *i, int flags)
{
	struct shard *s = shard_of(t, i->ino);
	uint8_t kept[FUSE_HSM_KEPT_MAX];

	pthread_mutex_lock(&s->lock);
	memcpy(kept, i->lower, fuse_hsm_lower_bytes(&t->lower));
	pthread_mutex_unlock(&s->lock);
	return fuse_hsm_lower_open(&t->lower, i->ino, i->generation, kept, flags);
}

int fuse_hsm_inode_open(struct fuse_hsm_inodes *t, const struct fuse_hsm_inode *i, int flags)
{
	if (i == t->gone)
		return -ESTALE;
	if (i == t->root)
		return open_root(t, flags);
	if (t->lower.kind == FUSE_HSM_BY_HANDLE)
		return open_kept(t, i, flags);
	return fuse_hsm_lower_open(&t->lower, i->ino, i->generation, i->lower, flags);
}

int fuse_hsm_inode_revive(struct fuse_hsm_inodes *t, fuse_ino_t id)
{
	return id == t->root->ino ? -ESTALE : fuse_hsm_lower_revive(&t->lower, id);
}

/* ---- by descriptor ---- */

/* NULL: not known, and nothing is locked. */
static struct fuse_hsm_inode *lock_by_fd(
	struct fuse_hsm_inodes *t, int fd, struct shard **ret_shard)
{
	struct fuse_hsm_found found;
	struct fuse_hsm_inode *i;
	struct shard *s;

	if (fuse_hsm_lower_identify(&t->lower, fd, &found))
		return NULL;
	s = shard_of(t, found.ino);
	pthread_mutex_lock(&s->lock);
	i = found.ino == t->root->ino ? t->root : in_chain(s, found.ino);
	if (i && is_same(t, i, &found)) {
		*ret_shard = s;
		return i;
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Takes over *fd if it is needed: pinned inodes have one anyway. */
static void keep_removed(
	struct fuse_hsm_inodes *t, struct shard *s, struct fuse_hsm_inode *i, int *fd)
{
	struct removed *r;

	if (t->lower.kind == FUSE_HSM_BY_FD || fuse_hsm_inode_is(i, FUSE_HSM_I_REMOVED) ||
		t->removed >= REMOVED_MAX)
		return;
	r = malloc(sizeof(*r));
	if (!r)
		return;
	*r = (struct removed){.next = s->removed, .ino = i->ino, .fd = hsm_take_fd(*fd)};
	s->removed = r;
	t->removed++;
	fuse_hsm_inode_mark(i, FUSE_HSM_I_REMOVED);
}

/* The descriptor keeps the number, so there is no other inode with it. */
void fuse_hsm_inode_removed(struct fuse_hsm_inodes *t, uint64_t ino, int fd)
{
	struct shard *s = shard_of(t, ino);
	struct leftover left = {.fd = fd};
	struct fuse_hsm_inode *i;

	pthread_mutex_lock(&s->lock);
	i = in_chain(s, ino);
	if (i) {
		if (fuse_hsm_inode_unmark(i, FUSE_HSM_I_DIRFD))
			left.dirfd = fuse_hsm_dirfd_take(t->dirfds, i);
		keep_removed(t, s, i, &left.fd);
	}
	pthread_mutex_unlock(&s->lock);
	let_go(&left);
}

bool fuse_hsm_inode_known(struct fuse_hsm_inodes *t, int fd, fuse_ino_t *ret_id)
{
	struct shard *s;
	struct fuse_hsm_inode *i = lock_by_fd(t, fd, &s);

	if (!i)
		return false;
	*ret_id = fuse_hsm_inode_id(t, i);
	pthread_mutex_unlock(&s->lock);
	return true;
}

bool fuse_hsm_inode_unmark_fd(struct fuse_hsm_inodes *t, int fd, uint8_t flag)
{
	struct shard *s;
	struct fuse_hsm_inode *i = lock_by_fd(t, fd, &s);
	bool was_set;

	if (!i)
		return false;
	was_set = fuse_hsm_inode_unmark(i, flag);
	pthread_mutex_unlock(&s->lock);
	return was_set;
}
