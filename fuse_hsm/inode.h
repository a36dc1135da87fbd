/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_INODE_H
#define FUSE_HSM_INODE_H
/*
 * The inodes the kernel knows of, found by file handle; a FUSE node id is the address of one.
 * No descriptor is held: every use opens by handle. An inode is 48 bytes plus one hash slot.
 */
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* xfs 12, ext4 8, btrfs 20 bytes. */
#define FUSE_HSM_HANDLE_MAX 20

/* .flags: what is remembered so that the hot path reads no xattr. */
#define FUSE_HSM_I_NAMES    0x01 /* directory: has its names, or is local */
#define FUSE_HSM_I_COMPLETE 0x02 /* regular file: nothing to fill, ever */
#define FUSE_HSM_I_DIRFD    0x04 /* directory: was put into the descriptor cache */
#define FUSE_HSM_I_LISTED   0x08 /* directory: the kernel may keep its listing */

struct fuse_hsm_inode {
	struct fuse_hsm_inode *next; /* hash chain; shard lock */
	uint64_t nlookup; /* shard lock */
	uint32_t generation; /* differs for each use of this address */
	_Atomic uint8_t flags;
	uint8_t type; /* S_IFMT bits >> 12 */
	uint8_t handle_type;
	uint8_t handle_bytes;
	uint8_t handle[FUSE_HSM_HANDLE_MAX];
	_Atomic uint8_t lost_names; /* directory: lookups since it was listed */
};

struct fuse_hsm_inodes;
struct fuse_hsm_dirfds;

/* A struct file_handle with room for the largest handle kept here. */
union fuse_hsm_handle {
	struct file_handle fh;
	char room[sizeof(struct file_handle) + FUSE_HSM_HANDLE_MAX];
};

/* Handle of @name in @dirfd ("" = of @dirfd itself); a symbolic link is not followed. */
int fuse_hsm_handle_get(int dirfd, const char *name, union fuse_hsm_handle *ret_handle);

/*
 * @root_fd: the root directory, becomes FUSE_ROOT_ID. @mount_fd: for open_by_handle_at(2). Both
 * borrowed. -EOVERFLOW: handles of this file system are too long, -EOPNOTSUPP: it has none.
 */
int fuse_hsm_inodes_new(int root_fd, int mount_fd, struct fuse_hsm_inodes **ret_inodes);

/* All inodes are forgotten. */
void fuse_hsm_inodes_free(struct fuse_hsm_inodes *t);

/* The cache whose descriptors must be dropped with their inode; borrowed. */
void fuse_hsm_inodes_set_dirfds(struct fuse_hsm_inodes *t, struct fuse_hsm_dirfds *d);

/* The inode of a handle with one more lookup counted; NULL when out of memory. */
struct fuse_hsm_inode *fuse_hsm_inode_get(
	struct fuse_hsm_inodes *t, const union fuse_hsm_handle *handle, mode_t mode);

/* Takes back @count lookups; the last one frees the inode. */
void fuse_hsm_inode_forget(struct fuse_hsm_inodes *t, fuse_ino_t id, uint64_t count);

struct fuse_hsm_inode *fuse_hsm_inode_find(struct fuse_hsm_inodes *t, fuse_ino_t id);
fuse_ino_t fuse_hsm_inode_id(struct fuse_hsm_inodes *t, struct fuse_hsm_inode *i);

/* A new descriptor, owned, O_CLOEXEC; -ESTALE when the inode is gone. */
int fuse_hsm_inode_open(struct fuse_hsm_inodes *t, const struct fuse_hsm_inode *i, int flags);

static inline mode_t fuse_hsm_inode_type(const struct fuse_hsm_inode *i)
{
	return (mode_t)i->type << 12;
}

static inline bool fuse_hsm_inode_is(struct fuse_hsm_inode *i, uint8_t flag)
{
	return atomic_load_explicit(&i->flags, memory_order_acquire) & flag;
}

static inline void fuse_hsm_inode_mark(struct fuse_hsm_inode *i, uint8_t flag)
{
	atomic_fetch_or_explicit(&i->flags, flag, memory_order_release);
}

/* True for one caller only. */
static inline bool fuse_hsm_inode_unmark(struct fuse_hsm_inode *i, uint8_t flag)
{
	return atomic_fetch_and_explicit(&i->flags, (uint8_t)~flag, memory_order_acq_rel) &
	       flag;
}

/* Inodes known now, without the root, and the bytes kept for them. */
void fuse_hsm_inodes_count(
	struct fuse_hsm_inodes *t, uint64_t *ret_inodes, uint64_t *ret_bytes);

#endif
