/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_INODE_H
#define FUSE_HSM_INODE_H
/*
 * The inodes the kernel knows of. The FUSE node id is the lower inode number, the generation
 * the lower one, so that a handle an NFS client got names the same file after a forget and after a
 * restart. The root, wherever it is, is FUSE_ROOT_ID with generation 0.
 *
 * An inode either keeps no descriptor and is opened by its file handle, which is made from number and
 * generation (32 bytes plus a hash slot each; file systems whose handles are not known here:
 * 56 bytes, generations are counted, no export), or pins an O_PATH descriptor.
 *
 * The lower file system may give the number of a deleted file to a new one while the kernel still
 * knows the old one under it. Both are one inode here: it turns into the new one at the first
 * lookup that sees it, and .nlookup counts the lookups of both, because a FORGET names the number
 * only; the last one frees. The kernel tells the two apart by the generation (fuse_iget(),
 * Linux 5.14 and later): it unhashes the old one and answers EIO for it.
 *
 * That is rare, because who removes the last name of an inode through the mount leaves a descriptor
 * here until the kernel has forgotten it (fuse_hsm_inode_removed()): it stays what it was for who
 * still refers to it (an open file, a working directory, a path walk that is under way), and its
 * number is not given away. There is a limit to such descriptors; an inode beyond it that is not open
 * answers ESTALE.
 */
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* .flags: what is remembered so that the hot path reads no xattr. */
#define FUSE_HSM_I_NAMES    0x01 /* directory: has its names, or is local */
#define FUSE_HSM_I_COMPLETE 0x02 /* regular file: nothing to fill, ever */
#define FUSE_HSM_I_DIRFD    0x04 /* directory: was put into the descriptor cache */
#define FUSE_HSM_I_LISTED   0x08 /* directory: the kernel may keep its listing */
#define FUSE_HSM_I_REMOVED  0x10 /* it has no name any more, and a descriptor that keeps it */

struct fuse_hsm_inode {
	struct fuse_hsm_inode *next; /* hash chain; shard lock */
	uint64_t nlookup; /* shard lock */
	uint64_t ino; /* lower, never changes */
	_Atomic uint32_t generation;
	_Atomic uint8_t flags;
	_Atomic uint8_t type; /* S_IFMT bits >> 12 */
	_Atomic uint8_t lost_names; /* directory: lookups since it was listed */
	/* Ends in what the table needs to open it; nothing if number and generation do. */
	uint8_t lower[];
};

struct fuse_hsm_inodes;
struct fuse_hsm_dirfds;

/*
 * @root_fd: the root directory, open for reading, becomes FUSE_ROOT_ID. @mount_fd: for
 * open_by_handle_at(2). Both borrowed. @pin_fds: pin descriptors instead of using handles; the
 * limit of open files is raised, and a quarter of it is left for files that are open.
 * -EOVERFLOW: handles of this file system are too long, -EOPNOTSUPP: it has none.
 */
int fuse_hsm_inodes_new(
	int root_fd, int mount_fd, bool pin_fds, struct fuse_hsm_inodes **ret_inodes);

/* All inodes are forgotten. */
void fuse_hsm_inodes_free(struct fuse_hsm_inodes *t);

/* The cache whose descriptors must be dropped with their inode; borrowed. */
void fuse_hsm_inodes_set_dirfds(struct fuse_hsm_inodes *t, struct fuse_hsm_dirfds *d);

/* Does a node id say enough to find the inode after a forget? */
bool fuse_hsm_inodes_can_export(const struct fuse_hsm_inodes *t);

/*
 * The inode called @name in @dirfd ("" = that of @dirfd itself), one more lookup counted, and its
 * attributes; both of one inode even if the name is replaced meanwhile. A symbolic link is not
 * followed. -EXDEV: on another device than the root (a mount point in the cache, a subvolume), or
 * its number is FUSE_ROOT_ID. -EMFILE: no descriptor left to pin it.
 */
int fuse_hsm_inode_lookup(struct fuse_hsm_inodes *t, int dirfd, const char *name,
	struct stat *ret_attr, struct fuse_hsm_inode **ret_inode);

/*
 * Takes back @count lookups; the last one frees the inode. An id that is not known is ignored.
 * Blocks for no disk.
 */
void fuse_hsm_inode_forget(struct fuse_hsm_inodes *t, fuse_ino_t id, uint64_t count);

/*
 * Never NULL: for an id that is not known (the kernel has forgotten it, or never got it from here) there
 * is a stand-in that looks like no file type. Opening it, also through dirfd.h, is -ESTALE: a handler
 * that opens first needs no test; one that does not asks fuse_hsm_inode_is_gone().
 * An inode found by the id of a request stays until the reply is sent.
 */
struct fuse_hsm_inode *fuse_hsm_inode_find(struct fuse_hsm_inodes *t, fuse_ino_t id);
bool fuse_hsm_inode_is_gone(const struct fuse_hsm_inodes *t, const struct fuse_hsm_inode *i);

fuse_ino_t fuse_hsm_inode_id(struct fuse_hsm_inodes *t, const struct fuse_hsm_inode *i);

/* A new descriptor, owned, O_CLOEXEC; -ESTALE when the inode is gone. */
int fuse_hsm_inode_open(struct fuse_hsm_inodes *t, const struct fuse_hsm_inode *i, int flags);

/*
 * An O_PATH descriptor, owned, of whatever inode below the root has the node id @id now, known or not.
 * -ESTALE: none has, or it has no name any more. That a file is below the root cannot be told
 * from its number (a directory is checked): the kernel compares the generation, which
 * nobody can guess, as for any exported directory of a larger file system.
 */
int fuse_hsm_inode_revive(struct fuse_hsm_inodes *t, fuse_ino_t id);

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

/*
 * The inode with the lower number @ino lost its last name. Takes @fd, any descriptor of it, and keeps it
 * until the kernel forgets the inode, if it knows it.
 */
void fuse_hsm_inode_removed(struct fuse_hsm_inodes *t, uint64_t ino, int fd);

/*
 * For threads that serve no request of the inode, so that it may be forgotten at any time: by a
 * descriptor of the lower inode (any kind, borrowed). Known = the kernel has looked it up.
 */
bool fuse_hsm_inode_known(struct fuse_hsm_inodes *t, int fd, fuse_ino_t *ret_id);

/* Clears @flag if the inode is known; true if it was set. */
bool fuse_hsm_inode_unmark_fd(struct fuse_hsm_inodes *t, int fd, uint8_t flag);

/* Inodes known now, without the root, and the bytes kept for them. */
void fuse_hsm_inodes_count(
	struct fuse_hsm_inodes *t, uint64_t *ret_inodes, uint64_t *ret_bytes);

#endif
