/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Removing and moving names. A removed name of the origin does not come back: its directory has
 * its names, and is not filled twice. What an object is goes with its inode, wherever
 * it is moved.
 */
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <unistd.h>

#include "fuse_hsm/caller.h"
#include "fuse_hsm/names.h"

static int run_remove(struct fuse_hsm_names *n, const int fd[2])
{
	if (unlinkat(fd[0], n->name[0], (int)n->flags))
		return -errno;
	fuse_reply_err(n->req, 0);
	return 0;
}

static void remove_name(
	fuse_req_t req, enum fuse_hsm_op op, fuse_ino_t parent, const char *name, int flags)
{
	struct fuse_hsm_names n = fuse_hsm_names_init(req, op, parent, name);

	n.victim = 0;
	n.flags = (unsigned int)flags;
	n.run = run_remove;
	fuse_hsm_names_start(&n);
}

void fuse_hsm_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, FUSE_HSM_OP_UNLINK, parent, name, 0);
}

void fuse_hsm_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, FUSE_HSM_OP_RMDIR, parent, name, AT_REMOVEDIR);
}

/* A whiteout is made where the name was, and belongs to the caller. */
static int run_rename(struct fuse_hsm_names *n, const int fd[2])
{
	bool makes = n->flags & RENAME_WHITEOUT;
	int r = makes ? fuse_hsm_caller_begin(n->req) : 0;

	if (r)
		return r;
	if (renameat2(fd[0], n->name[0], fd[1], n->name[1], n->flags))
		r = -errno;
	if (makes)
		fuse_hsm_caller_end(n->req);
	if (!r)
		fuse_reply_err(n->req, 0);
	return r;
}

void fuse_hsm_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
	const char *to_name, unsigned int flags)
{
	struct fuse_hsm_names n = fuse_hsm_names_init(req, FUSE_HSM_OP_RENAME, parent, name);

	n.dir[1] = fuse_hsm_inode_find(n.fs->inodes, to);
	n.name[1] = to_name;
	n.flags = flags;
	if (!(flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)))
		n.victim = 1;
	n.run = run_rename;
	fuse_hsm_names_start(&n);
}
