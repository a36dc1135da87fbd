/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lookups of "." and "..", which only come for file handles of the mount (NFS, open_by_handle_at(2)):
 * "." for a node id the kernel has forgotten, or never knew since this daemon started; ".." to
 * connect a directory with its parents. fs/fuse/inode.c, fuse_get_dentry() and fuse_get_parent(),
 * Linux 6.18. The kernel compares the generation of the answer with that of the handle.
 */
#include <errno.h>

#include "fuse_hsm/fs.h"
#include "hsm/util.h"

/* The inode is not in the table, or may leave it at any time: go by the number alone. */
int fuse_hsm_export_self(
	struct fuse_hsm_fs *fs, fuse_ino_t id, struct fuse_entry_param *ret_entry)
{
	auto_fd int fd = fuse_hsm_inode_revive(fs->inodes, id);

	return fd < 0 ? fd : fuse_hsm_entry_get(fs, fd, "", ret_entry);
}

int fuse_hsm_export_parent(
	struct fuse_hsm_fs *fs, fuse_ino_t id, struct fuse_entry_param *ret_entry)
{
	struct fuse_hsm_inode *i = fuse_hsm_inode_find(fs->inodes, id);
	auto_fd int fd = -1, up = -1;

	if (id == FUSE_ROOT_ID)
		return -ESTALE;
	fd = fuse_hsm_inode_open(fs->inodes, i, O_PATH | O_DIRECTORY);
	if (fd < 0)
		return fd;
	up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return up < 0 ? -errno : fuse_hsm_entry_get(fs, up, "", ret_entry);
}
