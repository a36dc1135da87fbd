/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/slab.h"

#include <stdint.h>
#include <sys/mman.h>

#include "hsm/util.h"

#define BLOCK_BYTES ((size_t)64 << 10)

/* An empty block that is kept keeps no more memory than that of so many objects. */
#define IDLE_OBJECTS 128

struct free_object {
	struct free_object *next;
};

/* Head of a block; objects follow. The address of an object, rounded down, is its block. */
struct fuse_hsm_block {
	struct fuse_hsm_block *next, *prev; /* in .partial, while there is room */
	struct free_object *free;
	uint32_t live;
	uint32_t touched; /* objects ever handed out: pages behind them were never used */
} __attribute__((aligned(64)));

void fuse_hsm_slab_init(struct fuse_hsm_slab *s, size_t object_bytes)
{
	*s = (struct fuse_hsm_slab){.object_bytes = HSM_ALIGN_UP(object_bytes, 8)};
}

static uint32_t capacity(const struct fuse_hsm_slab *s)
{
	return (uint32_t)((BLOCK_BYTES - sizeof(struct fuse_hsm_block)) / s->object_bytes);
}

static void link_block(struct fuse_hsm_slab *s, struct fuse_hsm_block *b)
{
	b->prev = NULL;
	b->next = s->partial;
	if (b->next)
		b->next->prev = b;
	s->partial = b;
}

static void unlink_block(struct fuse_hsm_slab *s, struct fuse_hsm_block *b)
{
	if (b->prev)
		b->prev->next = b->next;
	else
		s->partial = b->next;
	if (b->next)
		b->next->prev = b->prev;
}

/* mmap(2) aligns to pages only: map twice the size and give back what sticks out. */
static struct fuse_hsm_block *map_block(void)
{
	char *p = mmap(NULL, 2 * BLOCK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (p == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)p & (BLOCK_BYTES - 1);
	if (before)
		munmap(p, before);
	munmap(p + before + BLOCK_BYTES, BLOCK_BYTES - before);
	return (struct fuse_hsm_block *)(p + before);
}

static void unmap_block(struct fuse_hsm_slab *s, struct fuse_hsm_block *b)
{
	unlink_block(s, b);
	s->blocks--;
	s->touched -= b->touched;
	munmap(b, BLOCK_BYTES);
}

/* All of it is free: as new, at the same place. */
static void give_pages_back(struct fuse_hsm_slab *s, struct fuse_hsm_block *b)
{
	uint32_t touched = b->touched;

	/* Zeroes are the head of a block alone in its list, with nothing touched. */
	if (!madvise(b, BLOCK_BYTES, MADV_DONTNEED))
		s->touched -= touched;
}

static uint32_t touch(struct fuse_hsm_slab *s, struct fuse_hsm_block *b)
{
	s->touched++;
	return b->touched++;
}

void *fuse_hsm_slab_alloc(struct fuse_hsm_slab *s)
{
	struct fuse_hsm_block *b = s->partial;
	void *object;

	if (!b) {
		b = map_block();
		if (!b)
			return NULL;
		s->blocks++;
		link_block(s, b);
	}
	object = b->free;
	if (object)
		b->free = b->free->next;
	else
		object = (char *)(b + 1) + touch(s, b) * s->object_bytes;
	if (++b->live == capacity(s))
		unlink_block(s, b);
	return object;
}

void fuse_hsm_slab_free(struct fuse_hsm_slab *s, void *object)
{
	struct fuse_hsm_block *b = (void *)((uintptr_t)object & ~(BLOCK_BYTES - 1));
	struct free_object *f = object;

	if (b->live == capacity(s))
		link_block(s, b);
	f->next = b->free;
	b->free = f;
	if (--b->live)
		return;
	/* The last block stays: one inode coming and going must not map and unmap. */
	if (b->next || b->prev)
		unmap_block(s, b);
	else if (b->touched > IDLE_OBJECTS)
		give_pages_back(s, b);
}

void fuse_hsm_slab_release(struct fuse_hsm_slab *s)
{
	while (s->partial)
		unmap_block(s, s->partial);
}

size_t fuse_hsm_slab_bytes(const struct fuse_hsm_slab *s)
{
	return s->blocks * sizeof(struct fuse_hsm_block) + s->touched * s->object_bytes;
}
