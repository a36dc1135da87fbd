/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operation table, and the small handlers. Left out on purpose, because "not implemented" makes the
 * kernel answer by itself and right: access (default_permissions), locks (local).
 */
#include <errno.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fuse_hsm/fs.h"
#include "hsm/util.h"

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

/* ---- small ones ---- */

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

static int sync_dir(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int datasync)
{
	struct fuse_hsm_dirfd *dirfd;
	int r = fuse_hsm_dirfd_get(fs->dirfds, i, &dirfd);

	if (r)
		return r;
	r = (datasync ? fdatasync(dirfd->fd) : fsync(dirfd->fd)) ? -errno : 0;
	fuse_hsm_dirfd_put(dirfd);
	return r;
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	int r = sync_dir(fs, fuse_hsm_inode_find(fs->inodes, ino), datasync);

	(void)fi;
	if (!r)
		fuse_reply_err(req, 0);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_FSYNCDIR, fuse_hsm_received_ns, r);
}

const struct fuse_lowlevel_ops fuse_hsm_ops = {
	.init = fuse_hsm_conn_init,
	.lookup = fuse_hsm_op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = fuse_hsm_op_getattr,
#if FUSE_VERSION >= 318
	.statx = fuse_hsm_op_statx,
#endif
	.readlink = op_readlink,
	.open = fuse_hsm_op_open,
	.read = fuse_hsm_op_read,
	.write_buf = fuse_hsm_op_write,
	.flush = fuse_hsm_op_flush,
	.fsync = fuse_hsm_op_fsync,
	.fallocate = fuse_hsm_op_fallocate,
	.lseek = fuse_hsm_op_lseek,
	.copy_file_range = fuse_hsm_op_copy_file_range,
	.release = fuse_hsm_op_release,
	.opendir = fuse_hsm_op_opendir,
	.readdir = fuse_hsm_op_readdir,
	.readdirplus = fuse_hsm_op_readdirplus,
	.releasedir = fuse_hsm_op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.getxattr = fuse_hsm_op_getxattr,
	.listxattr = fuse_hsm_op_listxattr,
	.setattr = fuse_hsm_op_setattr,
	.mknod = fuse_hsm_op_mknod,
	.mkdir = fuse_hsm_op_mkdir,
	.unlink = fuse_hsm_op_unlink,
	.rmdir = fuse_hsm_op_rmdir,
	.symlink = fuse_hsm_op_symlink,
	.rename = fuse_hsm_op_rename,
	.link = fuse_hsm_op_link,
	.create = fuse_hsm_op_create,
#if FUSE_VERSION >= 317
	.tmpfile = fuse_hsm_op_tmpfile,
#endif
	.setxattr = fuse_hsm_op_setxattr,
	.removexattr = fuse_hsm_op_removexattr,
	.ioctl = fuse_hsm_op_ioctl,
};
