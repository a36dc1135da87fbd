/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extended attributes, without those of the HSM. Symbolic links and special files have none here:
 * user.* is not allowed on them, and what else they could have is the HSM's.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fuse_hsm/fs.h"
#include "hsm/util.h"

#define HIDDEN "trusted.hsm"

static bool is_hidden(const char *name)
{
	return !strncmp(name, HIDDEN, sizeof(HIDDEN) - 1);
}

static bool may_have(const struct fuse_hsm_inode *i)
{
	return fuse_hsm_inode_type(i) == S_IFREG || fuse_hsm_inode_type(i) == S_IFDIR;
}

static void reply_value(fuse_req_t req, const char *value, size_t bytes, size_t asked)
{
	if (!asked)
		fuse_reply_xattr(req, bytes);
	else
		fuse_reply_buf(req, value, bytes);
}

static int get_value(struct fuse_hsm_fs *fs, fuse_req_t req, struct fuse_hsm_inode *i,
	const char *name, size_t size)
{
	auto_fd int fd = -1;
	char *buf = fuse_hsm_scratch();
	ssize_t n;

	if (!may_have(i) || is_hidden(name))
		return -ENODATA;
	if (!buf)
		return -ENOMEM;
	fd = fuse_hsm_inode_open(fs->inodes, i, O_RDONLY);
	if (fd < 0)
		return fd;
	n = fgetxattr(fd, name, buf, HSM_MIN(size, FUSE_HSM_REQUEST_BYTES));
	if (n < 0)
		return -errno;
	reply_value(req, buf, (size_t)n, size);
	return 0;
}

/* Removes the hidden names of @list in place; returns the bytes that are left. */
static size_t filter(char *list, size_t bytes)
{
	size_t kept = 0, len;

	for (size_t at = 0; at < bytes; at += len) {
		len = strnlen(list + at, bytes - at - 1) + 1;
		if (is_hidden(list + at))
			continue;
		memmove(list + kept, list + at, len);
		kept += len;
	}
	return kept;
}

static int list_names(
	struct fuse_hsm_fs *fs, fuse_req_t req, struct fuse_hsm_inode *i, size_t size)
{
	auto_fd int fd = -1;
	char *buf = fuse_hsm_scratch();
	ssize_t n = 0;

	if (!buf)
		return -ENOMEM;
	if (may_have(i)) {
		fd = fuse_hsm_inode_open(fs->inodes, i, O_RDONLY);
		if (fd < 0)
			return fd;
		n = flistxattr(fd, buf, FUSE_HSM_REQUEST_BYTES);
		if (n < 0)
			return -errno;
		n = (ssize_t)filter(buf, (size_t)n);
	}
	if (size && (size_t)n > size)
		return -ERANGE;
	reply_value(req, buf, (size_t)n, size);
	return 0;
}

void fuse_hsm_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	fuse_hsm_end(fs, req, FUSE_HSM_OP_GETXATTR, fuse_hsm_received_ns,
		get_value(fs, req, fuse_hsm_inode_find(fs->inodes, ino), name, size));
}

void fuse_hsm_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	fuse_hsm_end(fs, req, FUSE_HSM_OP_LISTXATTR, fuse_hsm_received_ns,
		list_names(fs, req, fuse_hsm_inode_find(fs->inodes, ino), size));
}
