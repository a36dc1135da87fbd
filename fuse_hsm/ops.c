/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operation table, what is negotiated with the kernel, and the small handlers. Left out on
 * purpose, because "not implemented" makes the kernel answer by itself and right: flush, fsync
 * (nothing to write back), lseek (all data up to the end: holes of a stub are not the
 * user's holes), access (default_permissions), locks (local).
 */
#include <errno.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fuse_hsm/fs.h"
#include "hsm/util.h"

#define MAX_BACKGROUND 256

#define UNWANTED                                                                   \
	(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | \
		FUSE_CAP_SPLICE_MOVE | FUSE_CAP_READDIRPLUS_AUTO)
#define WANTED                                                                 \
	(FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS | \
		FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS)

/*
 * AUTO_INVAL_DATA: only the HSM changes the tree, a new mtime is no reason to drop pages. Splice:
 * dearer than a copy for small requests, and half as fast at 1 MiB (measured on Linux 6.18).
 * READDIRPLUS for all of a directory by default: the kernel's own choice gives up after
 * the first 32 KiB unless names are looked up meanwhile. ls -l does that only when it has all
 * names, and a later walk is served from the kernel's listing: one LOOKUP per name, at ten
 * times the price.
 */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const struct fuse_hsm_fs *fs = userdata;

	conn->want &= ~(unsigned int)UNWANTED;
	conn->want |= conn->capable & WANTED;
	if (fs->readdirplus_auto)
		conn->want |= conn->capable & FUSE_CAP_READDIRPLUS_AUTO;
	conn->max_write = FUSE_HSM_REQUEST_BYTES;
	/* Not what the mount started with: mount.c raises the device's read-ahead. */
	conn->max_readahead = FUSE_HSM_REQUEST_BYTES;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
}

/* ---- forget ---- */

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	fuse_hsm_inode_forget(fs->inodes, ino, nlookup);
	fuse_reply_none(req);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_FORGET, fuse_hsm_received_ns, 0);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	for (size_t n = 0; n < count; n++)
		fuse_hsm_inode_forget(fs->inodes, forgets[n].ino, forgets[n].nlookup);
	fuse_reply_none(req);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_BATCH_FORGET, fuse_hsm_received_ns, 0);
}

/* ---- attributes ---- */

static int dir_attr(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, struct stat *attr)
{
	struct fuse_hsm_dirfd *dirfd;
	int r = fuse_hsm_dirfd_get(fs->dirfds, i, &dirfd);

	if (r)
		return r;
	/* The state first: what it says is complete does not change behind it. */
	fuse_hsm_dir_ready(fs, i, dirfd->fd);
	r = fuse_hsm_attr_get(fs, i, dirfd->fd, attr);
	fuse_hsm_dirfd_put(dirfd);
	return r;
}

static int get_attr(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i,
	const struct fuse_file_info *fi, struct stat *attr)
{
	auto_fd int fd = -1;

	if (fuse_hsm_inode_type(i) == S_IFDIR)
		return dir_attr(fs, i, attr);
	if (fi)
		return fuse_hsm_attr_get(fs, i, fuse_hsm_open_fd(fi), attr);
	fd = fuse_hsm_inode_open(fs->inodes, i, O_PATH | O_NOFOLLOW);
	return fd < 0 ? fd : fuse_hsm_attr_get(fs, i, fd, attr);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	struct fuse_hsm_inode *i = fuse_hsm_inode_find(fs->inodes, ino);
	struct stat attr;
	int r = get_attr(fs, i, fi, &attr);

	if (!r)
		fuse_reply_attr(req, &attr, fuse_hsm_attr_timeout(fs, i));
	fuse_hsm_end(fs, req, FUSE_HSM_OP_GETATTR, fuse_hsm_received_ns, r);
}

static int read_link(struct fuse_hsm_fs *fs, fuse_req_t req, struct fuse_hsm_inode *i)
{
	auto_fd int fd = fuse_hsm_inode_open(fs->inodes, i, O_PATH | O_NOFOLLOW);
	char target[PATH_MAX];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = readlinkat(fd, "", target, sizeof(target));
	if (n < 0)
		return -errno;
	if (n == sizeof(target))
		return -ENAMETOOLONG;
	target[n] = 0;
	fuse_reply_readlink(req, target);
	return 0;
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	fuse_hsm_end(fs, req, FUSE_HSM_OP_READLINK, fuse_hsm_received_ns,
		read_link(fs, req, fuse_hsm_inode_find(fs->inodes, ino)));
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	struct statvfs st;
	int r = fstatvfs(fs->data_fd, &st) ? -errno : 0;

	(void)ino;
	if (!r)
		fuse_reply_statfs(req, &st);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_STATFS, fuse_hsm_received_ns, r);
}

/* ---- what writes ---- */

/* The mount is read-only; these answer after somebody remounted it read-write. */
static void refuse(fuse_req_t req)
{
	fuse_hsm_end(
		fuse_req_userdata(req), req, FUSE_HSM_OP_REFUSED, fuse_hsm_received_ns, -EROFS);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	(void)ino, (void)attr, (void)to_set, (void)fi;
	refuse(req);
}

static void op_mknod(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent, (void)name, (void)mode, (void)rdev;
	refuse(req);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent, (void)name, (void)mode;
	refuse(req);
}

static void op_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent, (void)name;
	refuse(req);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target, (void)parent, (void)name;
	refuse(req);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
	const char *to_name, unsigned int flags)
{
	(void)parent, (void)name, (void)to, (void)to_name, (void)flags;
	refuse(req);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t to, const char *to_name)
{
	(void)ino, (void)to, (void)to_name;
	refuse(req);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	(void)parent, (void)name, (void)mode, (void)fi;
	refuse(req);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
	size_t size, int flags)
{
	(void)ino, (void)name, (void)value, (void)size, (void)flags;
	refuse(req);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino, (void)name;
	refuse(req);
}

const struct fuse_lowlevel_ops fuse_hsm_ops = {
	.init = op_init,
	.lookup = fuse_hsm_op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.open = fuse_hsm_op_open,
	.read = fuse_hsm_op_read,
	.release = fuse_hsm_op_release,
	.opendir = fuse_hsm_op_opendir,
	.readdir = fuse_hsm_op_readdir,
	.readdirplus = fuse_hsm_op_readdirplus,
	.releasedir = fuse_hsm_op_releasedir,
	.statfs = op_statfs,
	.getxattr = fuse_hsm_op_getxattr,
	.listxattr = fuse_hsm_op_listxattr,
	.setattr = op_setattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_remove,
	.rmdir = op_remove,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.create = op_create,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
};
