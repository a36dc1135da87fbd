/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_LOWER_H
#define FUSE_HSM_LOWER_H
/*
 * What an inode is in the lower file system: how it is told from others, and how it is opened again.
 * Three kinds, one in use for all inodes of a mount. What has to be kept of an inode is its number, its
 * generation and fuse_hsm_lower_bytes() bytes, which the inode table stores.
 */
#include <stddef.h>
#include <sys/stat.h>

#include "fuse_hsm/handle.h"

enum fuse_hsm_kind {
	FUSE_HSM_BY_NUMBER, /* the handle is made from number and generation */
	FUSE_HSM_BY_HANDLE, /* the handle is kept, its format is not known; generations are counted */
	FUSE_HSM_BY_FD, /* an O_PATH descriptor is kept, so the number is not given away */
};

struct fuse_hsm_lower {
	enum fuse_hsm_kind kind;
	int root_fd, mount_fd; /* borrowed */
	dev_t dev;
	uint64_t root_ino;
	struct fuse_hsm_format format;
	uint32_t pins_max;
	_Atomic uint32_t pins; /* descriptors kept */
	_Atomic uint32_t generation; /* last one counted */
	_Atomic bool complained; /* about descriptors, once */
};

/* An inode that was found below. */
struct fuse_hsm_found {
	uint64_t ino;
	uint32_t generation; /* by number */
	mode_t mode;
	int fd; /* by fd: owned, -1 once it was stored */
	union fuse_hsm_handle handle; /* by number, by handle */
};

/* As fuse_hsm_inodes_new(). */
int fuse_hsm_lower_init(struct fuse_hsm_lower *l, int root_fd, int mount_fd, bool pin_fds);

/*
 * @name in @dirfd ("" = @dirfd itself, of any kind) and its attributes, of one inode. On success
 * .fd of @ret_found is to be closed if it was not stored. -EXDEV as fuse_hsm_inode_lookup().
 */
int fuse_hsm_lower_find(struct fuse_hsm_lower *l, int dirfd, const char *name,
	struct fuse_hsm_found *ret_found, struct stat *ret_attr);

/* Which inode @fd is, for looking it up in the table only. */
int fuse_hsm_lower_identify(struct fuse_hsm_lower *l, int fd, struct fuse_hsm_found *ret_found);

/*
 * @found has a known number, but another generation: is it the one that exists? Then a descriptor,
 * owned, that keeps it so; else -ESTALE.
 */
int fuse_hsm_lower_prove(struct fuse_hsm_lower *l, struct fuse_hsm_found *found);

/* If @err says that there are no descriptors for inodes: one line in the log, once. Blocks. */
void fuse_hsm_lower_complain(struct fuse_hsm_lower *l, int err);

/* ---- what is kept: @kept has fuse_hsm_lower_bytes() bytes, aligned to nothing ---- */

#define FUSE_HSM_KEPT_MAX (FUSE_HSM_HANDLE_MAX + 2)

size_t fuse_hsm_lower_bytes(const struct fuse_hsm_lower *l);

/* Of two inodes with the same number. */
bool fuse_hsm_lower_same(const struct fuse_hsm_lower *l, uint32_t generation,
	const uint8_t *kept, const struct fuse_hsm_found *found);

/* -EMFILE: too many descriptors are kept. */
int fuse_hsm_lower_keep(struct fuse_hsm_lower *l, struct fuse_hsm_found *found, uint8_t *kept,
	uint32_t *ret_generation);

/* The descriptor that was kept, which the caller closes, or -1. */
int fuse_hsm_lower_unkeep(struct fuse_hsm_lower *l, const uint8_t *kept);

/* A new descriptor, owned, O_CLOEXEC. */
int fuse_hsm_lower_open(struct fuse_hsm_lower *l, uint64_t ino, uint32_t generation,
	const uint8_t *kept, int flags);

/* As fuse_hsm_inode_revive(), by the lower number. */
int fuse_hsm_lower_revive(struct fuse_hsm_lower *l, uint64_t ino);

#endif
