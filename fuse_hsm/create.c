/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making names. What is made here is local: it has no state of the HSM, so nothing ever fills,
 * refreshes or evicts it. It belongs to the caller (caller.h).
 */
#include <errno.h>
#include <sys/stat.h>

#include "fuse_hsm/caller.h"
#include "fuse_hsm/names.h"
#include "hsm/util.h"

/* @name as fuse_hsm_entry_new(). */
static int reply_entry(struct fuse_hsm_names *n, int dirfd, const char *name, uint8_t marks)
{
	struct fuse_entry_param e;
	int r = fuse_hsm_entry_new(n->fs, dirfd, name, marks, &e);

	if (r)
		return r;
	if (fuse_reply_entry(n->req, &e))
		fuse_hsm_inode_forget(n->fs->inodes, e.ino, 1);
	return 0;
}

/* ---- names without an open file ---- */

static int run_mknod(struct fuse_hsm_names *n, const int fd[2])
{
	int r = fuse_hsm_caller_begin(n->req);

	if (r)
		return r;
	r = mknodat(fd[0], n->name[0], n->mode, n->rdev) ? -errno : 0;
	fuse_hsm_caller_end(n->req);
	return r ? r
		 : reply_entry(
			   n, fd[0], n->name[0], S_ISREG(n->mode) ? FUSE_HSM_I_COMPLETE : 0);
}

void fuse_hsm_op_mknod(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fuse_hsm_names n = fuse_hsm_names_init(req, FUSE_HSM_OP_MKNOD, parent, name);

	n.mode = mode;
	n.rdev = rdev;
	n.run = run_mknod;
	fuse_hsm_names_start(&n);
}

static int run_mkdir(struct fuse_hsm_names *n, const int fd[2])
{
	int r = fuse_hsm_caller_begin(n->req);

	if (r)
		return r;
	r = mkdirat(fd[0], n->name[0], n->mode) ? -errno : 0;
	fuse_hsm_caller_end(n->req);
	return r ? r : reply_entry(n, fd[0], n->name[0], FUSE_HSM_I_NAMES);
}

void fuse_hsm_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fuse_hsm_names n = fuse_hsm_names_init(req, FUSE_HSM_OP_MKDIR, parent, name);

	n.mode = mode;
	n.run = run_mkdir;
	fuse_hsm_names_start(&n);
}

static int run_symlink(struct fuse_hsm_names *n, const int fd[2])
{
	int r = fuse_hsm_caller_begin(n->req);

	if (r)
		return r;
	r = symlinkat(n->name[1], fd[0], n->name[0]) ? -errno : 0;
	fuse_hsm_caller_end(n->req);
	return r ? r : reply_entry(n, fd[0], n->name[0], 0);
}

void fuse_hsm_op_symlink(
	fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct fuse_hsm_names n = fuse_hsm_names_init(req, FUSE_HSM_OP_SYMLINK, parent, name);

	n.name[1] = target;
	n.run = run_symlink;
	fuse_hsm_names_start(&n);
}

/* Also gives a file made by O_TMPFILE its first name. */
static int run_link(struct fuse_hsm_names *n, const int fd[2])
{
	auto_fd int object = fuse_hsm_inode_open(n->fs->inodes, n->object, O_PATH | O_NOFOLLOW);

	if (object < 0)
		return object;
	if (linkat(object, "", fd[0], n->name[0], AT_EMPTY_PATH))
		return -errno;
	return reply_entry(n, object, "", 0);
}

void fuse_hsm_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t to, const char *to_name)
{
	struct fuse_hsm_names n = fuse_hsm_names_init(req, FUSE_HSM_OP_LINK, to, to_name);

	n.object = fuse_hsm_inode_find(n.fs->inodes, ino);
	n.run = run_link;
	fuse_hsm_names_start(&n);
}

/* ---- open files ---- */

/* Takes @fd. */
static int reply_create(struct fuse_hsm_names *n, int fd)
{
	struct fuse_entry_param e;
	int r = fuse_hsm_entry_new(n->fs, fd, "", FUSE_HSM_I_COMPLETE, &e);

	if (r) {
		close(fd);
		return r;
	}
	r = fuse_hsm_open_created(n->fs, fuse_hsm_inode_find(n->fs->inodes, e.ino), fd, &n->fi);
	if (!r && !fuse_reply_create(n->req, &e, &n->fi))
		return 0;
	if (!r)
		fuse_hsm_open_undo(&n->fi);
	fuse_hsm_inode_forget(n->fs->inodes, e.ino, 1);
	return r;
}

/* The kernel asks to create what it knows not to be there. If it errs, it is to look again. */
static int create_error(const struct fuse_hsm_names *n, int err)
{
	return err == EEXIST && !(n->fi.flags & O_EXCL) ? -ESTALE : -err;
}

static int run_create(struct fuse_hsm_names *n, const int fd[2])
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int file, r = fuse_hsm_caller_begin(n->req);

	if (r)
		return r;
	file = openat(fd[0], n->name[0], flags, n->mode & 07777);
	if (file < 0)
		r = create_error(n, errno);
	fuse_hsm_caller_end(n->req);
	return r ? r : reply_create(n, file);
}

void fuse_hsm_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct fuse_hsm_names n = fuse_hsm_names_init(req, FUSE_HSM_OP_CREATE, parent, name);

	n.mode = mode;
	n.fi = *fi;
	n.run = run_create;
	fuse_hsm_names_start(&n);
}

/* Without O_EXCL: whether it may get a name is decided by the kernel's inode above. */
static int run_tmpfile(struct fuse_hsm_names *n, const int fd[2])
{
	int file, r = fuse_hsm_caller_begin(n->req);

	if (r)
		return r;
	file = openat(fd[0], ".", O_TMPFILE | O_RDWR | O_CLOEXEC, n->mode & 07777);
	if (file < 0)
		r = -errno;
	fuse_hsm_caller_end(n->req);
	return r ? r : reply_create(n, file);
}

void fuse_hsm_op_tmpfile(
	fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_hsm_names n = fuse_hsm_names_init(req, FUSE_HSM_OP_TMPFILE, parent, ".");

	n.mode = mode;
	n.fi = *fi;
	n.run = run_tmpfile;
	fuse_hsm_names_start(&n);
}
