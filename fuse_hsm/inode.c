/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inode table: shards picked by the hash of the handle, each with its lock, its chains and
 * its slab. A lookup count is raised and dropped under the lock that frees, so a forget and
 * a lookup of the same inode cannot miss each other.
 */
#include "fuse_hsm/inode.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse_hsm/dirfd.h"
#include "fuse_hsm/slab.h"

#define SHARDS	      32
#define FIRST_BUCKETS 64

struct shard {
	pthread_mutex_t lock; /* everything below, and .next and .nlookup of the inodes */
	struct fuse_hsm_inode **bucket;
	uint64_t buckets; /* power of two */
	uint64_t count;
	struct fuse_hsm_slab slab;
} __attribute__((aligned(64)));

struct fuse_hsm_inodes {
	struct shard shard[SHARDS];
	struct fuse_hsm_inode root; /* in no chain, never freed */
	struct fuse_hsm_dirfds *dirfds;
	int mount_fd;
	_Atomic uint32_t generation;
};

int fuse_hsm_handle_get(int dirfd, const char *name, union fuse_hsm_handle *ret_handle)
{
	int mount_id, flags = *name ? 0 : AT_EMPTY_PATH;

	ret_handle->fh.handle_bytes = FUSE_HSM_HANDLE_MAX;
	if (name_to_handle_at(dirfd, name, &ret_handle->fh, &mount_id, flags))
		return -errno;
	return ret_handle->fh.handle_type & ~0xff ? -EOVERFLOW : 0;
}

/* FNV-1a over words would keep low bits poor; finish with a multiply and fold. */
static uint64_t hash_handle(const uint8_t *bytes, size_t count)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < count; i++)
		h = (h ^ bytes[i]) * 0x100000001b3;
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15;
	return h ^ h >> 29;
}

static struct shard *shard_of(struct fuse_hsm_inodes *t, uint64_t hash)
{
	return &t->shard[hash % SHARDS];
}

/* The low bits picked the shard. */
static struct fuse_hsm_inode **bucket_of(struct shard *s, uint64_t hash)
{
	return &s->bucket[hash / SHARDS & (s->buckets - 1)];
}

static bool same_handle(const struct fuse_hsm_inode *i, const struct file_handle *fh)
{
	return i->handle_bytes == fh->handle_bytes && i->handle_type == fh->handle_type &&
	       !memcmp(i->handle, fh->f_handle, fh->handle_bytes);
}

static void set_handle(struct fuse_hsm_inode *i, const struct file_handle *fh)
{
	i->handle_type = (uint8_t)fh->handle_type;
	i->handle_bytes = (uint8_t)fh->handle_bytes;
	memcpy(i->handle, fh->f_handle, fh->handle_bytes);
}

static int init_shards(struct fuse_hsm_inodes *t)
{
	for (unsigned int n = 0; n < SHARDS; n++) {
		struct shard *s = &t->shard[n];

		pthread_mutex_init(&s->lock, NULL);
		fuse_hsm_slab_init(&s->slab, sizeof(struct fuse_hsm_inode));
		s->bucket = calloc(FIRST_BUCKETS, sizeof(*s->bucket));
		if (!s->bucket)
			return -ENOMEM;
		s->buckets = FIRST_BUCKETS;
	}
	return 0;
}

int fuse_hsm_inodes_new(int root_fd, int mount_fd, struct fuse_hsm_inodes **ret_inodes)
{
	struct fuse_hsm_inodes *t = aligned_alloc(64, sizeof(*t));
	union fuse_hsm_handle handle;
	int r;

	if (!t)
		return -ENOMEM;
	memset(t, 0, sizeof(*t));
	t->mount_fd = mount_fd;
	t->root.nlookup = 1;
	t->root.type = S_IFDIR >> 12;
	r = init_shards(t);
	if (!r)
		r = fuse_hsm_handle_get(root_fd, "", &handle);
	if (r) {
		fuse_hsm_inodes_free(t);
		return r;
	}
	set_handle(&t->root, &handle.fh);
	*ret_inodes = t;
	return 0;
}

static void free_chain(struct shard *s, struct fuse_hsm_inode *i)
{
	while (i) {
		struct fuse_hsm_inode *next = i->next;

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
			free_chain(s, s->bucket[b]);
		fuse_hsm_slab_release(&s->slab);
		free(s->bucket);
		pthread_mutex_destroy(&s->lock);
	}
	free(t);
}

void fuse_hsm_inodes_set_dirfds(struct fuse_hsm_inodes *t, struct fuse_hsm_dirfds *d)
{
	t->dirfds = d;
}

/* Doubles the buckets; without memory the chains just get longer. */
static void grow(struct shard *s)
{
	uint64_t old = s->buckets;
	struct fuse_hsm_inode **bucket = calloc(2 * old, sizeof(*bucket)), **from = s->bucket;

	if (!bucket)
		return;
	s->bucket = bucket;
	s->buckets = 2 * old;
	for (uint64_t b = 0; b < old; b++) {
		struct fuse_hsm_inode *i = from[b];

		while (i) {
			struct fuse_hsm_inode *next = i->next, **to;

			to = bucket_of(s, hash_handle(i->handle, i->handle_bytes));
			i->next = *to;
			*to = i;
			i = next;
		}
	}
	free(from);
}

static struct fuse_hsm_inode *add(struct fuse_hsm_inodes *t, struct shard *s, uint64_t hash,
	const struct file_handle *fh, mode_t mode)
{
	struct fuse_hsm_inode *i = fuse_hsm_slab_alloc(&s->slab), **bucket;

	if (!i)
		return NULL;
	memset(i, 0, sizeof(*i));
	i->generation = ++t->generation;
	i->type = (uint8_t)((mode & S_IFMT) >> 12);
	set_handle(i, fh);
	if (++s->count > s->buckets)
		grow(s);
	bucket = bucket_of(s, hash);
	i->next = *bucket;
	*bucket = i;
	return i;
}

struct fuse_hsm_inode *fuse_hsm_inode_get(
	struct fuse_hsm_inodes *t, const union fuse_hsm_handle *handle, mode_t mode)
{
	uint64_t hash = hash_handle(handle->fh.f_handle, handle->fh.handle_bytes);
	struct shard *s = shard_of(t, hash);
	struct fuse_hsm_inode *i;

	pthread_mutex_lock(&s->lock);
	i = *bucket_of(s, hash);
	while (i && !same_handle(i, &handle->fh))
		i = i->next;
	if (!i)
		i = add(t, s, hash, &handle->fh, mode);
	if (i)
		i->nlookup++;
	pthread_mutex_unlock(&s->lock);
	return i;
}

static void remove_inode(
	struct fuse_hsm_inodes *t, struct shard *s, uint64_t hash, struct fuse_hsm_inode *i)
{
	struct fuse_hsm_inode **at = bucket_of(s, hash);

	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	s->count--;
	if (fuse_hsm_inode_is(i, FUSE_HSM_I_DIRFD))
		fuse_hsm_dirfd_drop(t->dirfds, i);
	fuse_hsm_slab_free(&s->slab, i);
}

void fuse_hsm_inode_forget(struct fuse_hsm_inodes *t, fuse_ino_t id, uint64_t count)
{
	struct fuse_hsm_inode *i = fuse_hsm_inode_find(t, id);
	struct shard *s;
	uint64_t hash;

	if (i == &t->root)
		return;
	hash = hash_handle(i->handle, i->handle_bytes);
	s = shard_of(t, hash);
	pthread_mutex_lock(&s->lock);
	i->nlookup -= count < i->nlookup ? count : i->nlookup;
	if (!i->nlookup)
		remove_inode(t, s, hash, i);
	pthread_mutex_unlock(&s->lock);
}

struct fuse_hsm_inode *fuse_hsm_inode_find(struct fuse_hsm_inodes *t, fuse_ino_t id)
{
	return id == FUSE_ROOT_ID ? &t->root : (struct fuse_hsm_inode *)(uintptr_t)id;
}

fuse_ino_t fuse_hsm_inode_id(struct fuse_hsm_inodes *t, struct fuse_hsm_inode *i)
{
	return i == &t->root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)i;
}

int fuse_hsm_inode_open(struct fuse_hsm_inodes *t, const struct fuse_hsm_inode *i, int flags)
{
	union fuse_hsm_handle handle = {
		.fh = {.handle_bytes = i->handle_bytes, .handle_type = i->handle_type}};
	int fd;

	memcpy(handle.room + sizeof(handle.fh), i->handle, i->handle_bytes);
	fd = open_by_handle_at(t->mount_fd, &handle.fh, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
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
