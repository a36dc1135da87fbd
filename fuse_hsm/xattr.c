/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Extended attributes, without those of the HSM: they are neither shown nor can they be set. What an
 * inode may have is for the file system below to say.
 */
#include <errno.h>
#include <linux/xattr.h>
#include <stdio.h>
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

/*
 * An open file, so to speak: regular files and directories are opened, and the path is NULL. The
 * rest cannot be; its descriptor only works through /proc, which does not follow a
 * symbolic link that is the object itself.
 */
struct target {
	int fd;
	char path[32];
};

static int open_target(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, struct target *t)
{
	mode_t type = fuse_hsm_inode_type(i);
	int flags = type == S_IFREG || type == S_IFDIR ? O_RDONLY : O_PATH | O_NOFOLLOW;

	t->fd = fuse_hsm_inode_open(fs->inodes, i, flags);
	if (t->fd < 0)
		return t->fd;
	t->path[0] = 0;
	if (flags != O_RDONLY)
		snprintf(t->path, sizeof(t->path), "/proc/self/fd/%d", t->fd);
	return 0;
}

static bool is_trusted(const char *name)
{
	return !strncmp(name, XATTR_TRUSTED_PREFIX, XATTR_TRUSTED_PREFIX_LEN);
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
	char *buf = fuse_hsm_scratch();
	struct target t;
	ssize_t n;
	int r;

	if (!fs->mode.xattrs)
		return -ENOSYS;
	if (is_hidden(name))
		return -ENODATA;
	r = buf ? open_target(fs, i, &t) : -ENOMEM;
	if (r)
		return r;
	size = HSM_MIN(size, FUSE_HSM_REQUEST_BYTES);
	n = *t.path ? getxattr(t.path, name, buf, size) : fgetxattr(t.fd, name, buf, size);
	r = n < 0 ? -errno : 0;
	close(t.fd);
	if (!r)
		reply_value(req, buf, (size_t)n, size);
	return r;
}

/*
 * Removes from @list in place what is hidden, and from anybody but root what the file system below
 * shows to the daemon only; returns the bytes that are left.
 */
static size_t filter(char *list, size_t bytes, bool root)
{
	size_t kept = 0, len;

	for (size_t at = 0; at < bytes; at += len) {
		len = strnlen(list + at, bytes - at - 1) + 1;
		if (is_hidden(list + at) || (!root && is_trusted(list + at)))
			continue;
		memmove(list + kept, list + at, len);
		kept += len;
	}
	return kept;
}

static int list_names(
	struct fuse_hsm_fs *fs, fuse_req_t req, struct fuse_hsm_inode *i, size_t size)
{
	char *buf = fuse_hsm_scratch();
	struct target t;
	ssize_t n;
	int r;

	if (!fs->mode.xattrs)
		return -ENOSYS;
	r = buf ? open_target(fs, i, &t) : -ENOMEM;
	if (r)
		return r;
	n = *t.path ? listxattr(t.path, buf, FUSE_HSM_REQUEST_BYTES)
		    : flistxattr(t.fd, buf, FUSE_HSM_REQUEST_BYTES);
	r = n < 0 ? -errno : 0;
	close(t.fd);
	if (r)
		return r;
	n = (ssize_t)filter(buf, (size_t)n, !fuse_req_ctx(req)->uid);
	if (size && (size_t)n > size)
		return -ERANGE;
	reply_value(req, buf, (size_t)n, size);
	return 0;
}

/* ---- changes ---- */

static int may_change(const struct fuse_hsm_fs *fs)
{
	if (!fs->mode.xattrs)
		return -ENOSYS;
	return fs->read_only ? -EROFS : 0;
}

/* Is the caller in @group? Root is, in effect: it may give away what it is not in. */
static bool is_member(fuse_req_t req, gid_t group)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	gid_t groups[256];
	int n;

	if (!ctx->uid || ctx->gid == group)
		return true;
	n = fuse_req_getgroups(req, HSM_ARRAY_SIZE(groups), groups);
	for (int i = 0; i < HSM_MIN(n, (int)HSM_ARRAY_SIZE(groups)); i++)
		if (groups[i] == group)
			return true;
	return false;
}

/*
 * An access ACL set by somebody who is not in the file's group takes the set-group-id bit away. The
 * kernel says so in the request, but libfuse (3.18) does not pass it on, and the file
 * system below sees the daemon's capabilities.
 */
static int set_acl(fuse_req_t req, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!(st.st_mode & S_ISGID) || is_member(req, st.st_gid))
		return 0;
	return fchmod(fd, st.st_mode & (07777 & ~S_ISGID)) ? -errno : 0;
}

static int set_value(struct fuse_hsm_fs *fs, fuse_req_t req, struct fuse_hsm_inode *i,
	const char *name, const char *value, size_t size, int flags)
{
	struct target t;
	int r = may_change(fs);

	if (!r && is_hidden(name))
		r = -EPERM;
	if (!r)
		r = open_target(fs, i, &t);
	if (r)
		return r;
	r = *t.path ? setxattr(t.path, name, value, size, flags)
		    : fsetxattr(t.fd, name, value, size, flags);
	r = r ? -errno : 0;
	if (!r && !*t.path && !strcmp(name, XATTR_NAME_POSIX_ACL_ACCESS))
		r = set_acl(req, t.fd);
	close(t.fd);
	return r;
}

static int remove_value(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, const char *name)
{
	struct target t;
	int r = may_change(fs);

	if (!r && is_hidden(name))
		r = -ENODATA;
	if (!r)
		r = open_target(fs, i, &t);
	if (r)
		return r;
	r = *t.path ? removexattr(t.path, name) : fremovexattr(t.fd, name);
	r = r ? -errno : 0;
	close(t.fd);
	return r;
}

/* ---- requests ---- */

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

void fuse_hsm_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
	size_t size, int flags)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	struct fuse_hsm_inode *i = fuse_hsm_inode_find(fs->inodes, ino);
	int r = set_value(fs, req, i, name, value, size, flags);

	if (!r)
		fuse_reply_err(req, 0);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_SETXATTR, fuse_hsm_received_ns, r);
}

void fuse_hsm_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	int r = remove_value(fs, fuse_hsm_inode_find(fs->inodes, ino), name);

	if (!r)
		fuse_reply_err(req, 0);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_REMOVEXATTR, fuse_hsm_received_ns, r);
}
