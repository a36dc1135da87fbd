/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few ioctls that mean the same through FUSE: inode flags, the XFS-born attributes, the
 * generation. The kernel has checked who may set what.
 */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fuse_hsm/fs.h"
#include "hsm/util.h"

/* Also room for what some file systems write as a long. */
union argument {
	unsigned int flags;
	struct fsxattr attr;
	long room;
};

/* The numbers promise a long, but what is passed is an int. */
static size_t argument_bytes(unsigned int cmd)
{
	switch (cmd) {
	case FS_IOC_GETFLAGS:
	case FS_IOC_SETFLAGS:
	case FS_IOC_GETVERSION:
		return sizeof(unsigned int);
	case FS_IOC_FSGETXATTR:
	case FS_IOC_FSSETXATTR:
		return sizeof(struct fsxattr);
	default:
		return 0;
	}
}

static bool sets(unsigned int cmd)
{
	return cmd == FS_IOC_SETFLAGS || cmd == FS_IOC_FSSETXATTR;
}

static bool pins(unsigned int cmd, const union argument *a)
{
	if (cmd == FS_IOC_SETFLAGS)
		return a->flags & (FS_IMMUTABLE_FL | FS_APPEND_FL);
	return a->attr.fsx_xflags & (FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND);
}

/* 1: the origin still has something that belongs into it. */
static int is_incomplete(struct fuse_hsm_fs *fs, const struct fuse_hsm_inode *i, int fd)
{
	struct hsm_file *object;
	int r;

	if (fuse_hsm_inode_type(i) == S_IFDIR)
		return hsm_dir_state(fs->hsm, fd) == HSM_DIR_UNPOPULATED;
	r = hsm_file_get(fs->hsm, fd, &object);
	if (r > 0)
		hsm_file_put(object);
	return r;
}

/* What cannot be written to could not be filled either, so nobody could ever read it. */
static int may_set(struct fuse_hsm_fs *fs, const struct fuse_hsm_inode *i, int fd,
	unsigned int cmd, const union argument *a)
{
	int r;

	if (fs->read_only)
		return -EROFS;
	if (!pins(cmd, a))
		return 0;
	r = is_incomplete(fs, i, fd);
	return r > 0 ? -EPERM : r;
}

static int call(struct fuse_hsm_fs *fs, const struct fuse_hsm_inode *i, unsigned int cmd,
	union argument *a)
{
	auto_fd int fd = fuse_hsm_inode_open(fs->inodes, i, O_RDONLY);
	int r = fd < 0 ? fd : 0;

	if (!r && sets(cmd))
		r = may_set(fs, i, fd, cmd, a);
	if (!r && ioctl(fd, cmd, a))
		r = -errno;
	return r;
}

static int handle(struct fuse_hsm_fs *fs, fuse_req_t req, fuse_ino_t ino, unsigned int cmd,
	const void *in, size_t in_bytes, size_t out_bytes)
{
	const struct fuse_hsm_inode *i = fuse_hsm_inode_find(fs->inodes, ino);
	mode_t type = fuse_hsm_inode_type(i);
	size_t bytes = argument_bytes(cmd);
	union argument a = {0};
	int r;

	if (!bytes || (type != S_IFREG && type != S_IFDIR))
		return -ENOTTY;
	if (sets(cmd) ? in_bytes < bytes : out_bytes < bytes)
		return -EINVAL;
	if (sets(cmd))
		memcpy(&a, in, bytes);
	r = call(fs, i, cmd, &a);
	if (!r)
		fuse_reply_ioctl(req, 0, &a, sets(cmd) ? 0 : bytes);
	return r;
}

void fuse_hsm_op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
	struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_bytes,
	size_t out_bytes)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	(void)arg, (void)fi, (void)flags;
	fuse_hsm_end(fs, req, FUSE_HSM_OP_IOCTL, fuse_hsm_received_ns,
		handle(fs, req, ino, cmd, in, in_bytes, out_bytes));
}
