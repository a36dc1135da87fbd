/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_DIRFD_H
#define FUSE_HSM_DIRFD_H
/*
 * A bounded cache of open directories for lookups, so that ten names in one directory are not
 * ten opens by handle. The descriptor is the inode: a rename does not make it wrong. It is
 * dropped when the kernel forgets the inode, or when the directory is removed.
 */
#include "fuse_hsm/inode.h"

struct fuse_hsm_dirfds;

/* An open directory (O_RDONLY), counted. */
struct fuse_hsm_dirfd {
	_Atomic unsigned int refs;
	int fd;
};

int fuse_hsm_dirfds_new(struct fuse_hsm_inodes *inodes, struct fuse_hsm_dirfds **ret_dirfds);
void fuse_hsm_dirfds_free(struct fuse_hsm_dirfds *d);

/* A reference on an open descriptor of @i; -ESTALE when it is gone, -ENOTDIR. */
int fuse_hsm_dirfd_get(
	struct fuse_hsm_dirfds *d, struct fuse_hsm_inode *i, struct fuse_hsm_dirfd **ret_dirfd);
void fuse_hsm_dirfd_put(struct fuse_hsm_dirfd *dirfd);

/*
 * Takes the reference of the cache, to be put; NULL if it has none. For an inode that is about to
 * go. Lock order: inode shard, then slot.
 */
struct fuse_hsm_dirfd *fuse_hsm_dirfd_take(
	struct fuse_hsm_dirfds *d, const struct fuse_hsm_inode *i);

#endif
