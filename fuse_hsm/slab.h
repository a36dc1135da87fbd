/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_SLAB_H
#define FUSE_HSM_SLAB_H
/*
 * Objects of one size in aligned blocks: no header per object, and a block whose last object
 * is freed goes back to the kernel, so that a forget flood really gives memory back. Not
 * thread safe: one slab belongs to one lock.
 */
#include <stddef.h>

struct fuse_hsm_block;

struct fuse_hsm_slab {
	struct fuse_hsm_block *partial; /* blocks with room, most recently used first */
	size_t object_bytes; /* fixed by init: a multiple of 8 */
	size_t blocks;
	size_t touched; /* objects ever handed out, in all blocks */
};

void fuse_hsm_slab_init(struct fuse_hsm_slab *s, size_t object_bytes);

/* Frees nothing that is still allocated; for a slab whose objects have all been freed. */
void fuse_hsm_slab_release(struct fuse_hsm_slab *s);

/* Not zeroed; NULL when out of memory. */
void *fuse_hsm_slab_alloc(struct fuse_hsm_slab *s);
void fuse_hsm_slab_free(struct fuse_hsm_slab *s, void *object);

/* Memory of all blocks that was ever used; the rest of them is address space only. */
size_t fuse_hsm_slab_bytes(const struct fuse_hsm_slab *s);

#endif
