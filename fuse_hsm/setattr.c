/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing attributes. Mode, owner and times are the user's from then on, a fill keeps them, but
 * they are no change of content. A new size is one: bytes cut off never come back from the origin.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuse_hsm/wait.h"
#include "hsm/util.h"

#define OWNER (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)
#define TIMES                                                                  \
	(FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | \
		FUSE_SET_ATTR_MTIME_NOW)

/* On the wire the bit means both, for a caller without CAP_FSETID. */
#define KILL_SUIDGID FUSE_SET_ATTR_KILL_SUID

struct change {
	struct fuse_hsm_fs *fs;
	struct fuse_hsm_inode *inode;
	const struct stat *attr;
	int to_set;
	int fd; /* borrowed */
};

static int set_mode(int fd, mode_t mode)
{
	char path[32];

	/* fchmod(2) refuses O_PATH. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode & 07777) ? -errno : 0;
}

static int kill_suidgid(int fd)
{
	struct stat st;
	mode_t mode;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH))
		return -errno;
	mode = st.st_mode & ~(mode_t)S_ISUID;
	/* Without group execution the bit once meant mandatory locking. */
	if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		mode &= ~(mode_t)S_ISGID;
	return mode == st.st_mode ? 0 : set_mode(fd, mode);
}

static int set_owner(const struct change *c)
{
	uid_t uid = c->to_set & FUSE_SET_ATTR_UID ? c->attr->st_uid : (uid_t)-1;
	gid_t gid = c->to_set & FUSE_SET_ATTR_GID ? c->attr->st_gid : (gid_t)-1;

	return fchownat(c->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int set_size(const struct change *c)
{
	int r = hsm_fd_truncate(c->fs->hsm, c->fd, (uint64_t)c->attr->st_size);

	if (!r && c->to_set & KILL_SUIDGID)
		r = kill_suidgid(c->fd);
	return r;
}

/* ---- times ---- */

/* NULL: nobody is filling the file. */
static struct hsm_file *get_object(const struct change *c)
{
	struct hsm_file *object;

	if (fuse_hsm_inode_type(c->inode) != S_IFREG ||
		fuse_hsm_inode_is(c->inode, FUSE_HSM_I_COMPLETE))
		return NULL;
	return hsm_file_get(c->fs->hsm, c->fd, &object) > 0 ? object : NULL;
}

static struct timespec new_time(int to_set, int set, int now, struct timespec value)
{
	if (to_set & now)
		return (struct timespec){.tv_nsec = UTIME_NOW};
	return to_set & set ? value : (struct timespec){.tv_nsec = UTIME_OMIT};
}

/* The core puts back after each write into the file what it found before. */
static int set_times(const struct change *c)
{
	struct hsm_file *object = get_object(c);
	struct timespec times[2] = {
		new_time(c->to_set, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW,
			c->attr->st_atim),
		new_time(c->to_set, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW,
			c->attr->st_mtim),
	};
	int r;

	if (object)
		hsm_file_lock(object);
	r = utimensat(c->fd, "", times, AT_EMPTY_PATH) ? -errno : 0;
	if (object) {
		hsm_file_unlock(object);
		hsm_file_put(object);
	}
	return r;
}

/* ---- the request ---- */

static bool must_have_names(const struct change *c)
{
	return c->to_set & TIMES && fuse_hsm_inode_type(c->inode) == S_IFDIR &&
	       !fuse_hsm_dir_ready(c->fs, c->inode, c->fd);
}

static int apply(const struct change *c)
{
	int r = 0;

	/* chown(2) to nobody else comes with nothing to set, and is a change all the same. */
	if (c->to_set & OWNER || !(c->to_set & ~KILL_SUIDGID))
		r = set_owner(c);
	/* After the owner: changing that clears bits of the mode. */
	if (!r && c->to_set & FUSE_SET_ATTR_MODE)
		r = set_mode(c->fd, c->attr->st_mode);
	if (!r && c->to_set & FUSE_SET_ATTR_SIZE)
		r = set_size(c);
	if (!r && c->to_set & TIMES)
		r = set_times(c);
	return r;
}

/* A descriptor good for what is to be set; special files are not opened. */
static int open_for(const struct change *c)
{
	mode_t type = fuse_hsm_inode_type(c->inode);
	int flags = O_PATH | O_NOFOLLOW;

	if (type == S_IFREG && c->to_set & FUSE_SET_ATTR_SIZE)
		flags = O_RDWR;
	else if ((type == S_IFREG || type == S_IFDIR) && c->to_set & TIMES)
		flags = O_RDONLY;
	return fuse_hsm_inode_open(c->fs->inodes, c->inode, flags);
}

static int reply_changed(const struct change *c, fuse_req_t req)
{
	struct stat attr;
	int r = apply(c);

	if (!r)
		r = fuse_hsm_attr_get(c->fs, c->inode, c->fd, &attr);
	if (!r)
		fuse_reply_attr(req, &attr, fuse_hsm_attr_timeout(c->fs, c->inode));
	return r;
}

/* ---- waiting ---- */

struct waiting {
	struct change change; /* .fd is owned */
	struct stat attr;
};

static int begin_names(struct fuse_hsm_wait *w)
{
	return hsm_dir_fill(w->fs->hsm, w->fd, fuse_hsm_wait_done, w);
}

static int resume(struct fuse_hsm_wait *w)
{
	const struct waiting *own = w->object;

	return reply_changed(&own->change, w->req);
}

static void free_waiting(struct waiting *own)
{
	close(own->change.fd);
	free(own);
}

static void release(struct fuse_hsm_wait *w)
{
	free_waiting(w->object);
}

static struct waiting *copy(const struct change *c)
{
	struct waiting *own = malloc(sizeof(*own));

	if (!own)
		return NULL;
	own->change = *c;
	own->attr = *c->attr;
	own->change.attr = &own->attr;
	own->change.fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
	if (own->change.fd < 0) {
		free(own);
		return NULL;
	}
	return own;
}

/* Making its names gives a directory the origin's mtime, so they come first. */
static int wait_for_names(const struct change *c, fuse_req_t req)
{
	struct waiting *own = copy(c);
	struct fuse_hsm_wait *w;

	if (!own)
		return -ENOMEM;
	w = fuse_hsm_wait_new(c->fs, req, FUSE_HSM_OP_SETATTR, NULL);
	if (!w) {
		free_waiting(own);
		return -ENOMEM;
	}
	w->object = own;
	w->fd = own->change.fd;
	w->begin = begin_names;
	w->resume = resume;
	w->release = release;
	return fuse_hsm_wait_start(w);
}

static int change_attr(struct change *c, fuse_req_t req, const struct fuse_file_info *fi)
{
	auto_fd int fd = -1;

	if (c->fs->read_only)
		return -EROFS;
	if (!fi) {
		fd = open_for(c);
		if (fd < 0)
			return fd;
	}
	c->fd = fi ? fuse_hsm_open_fd(fi) : fd;
	return must_have_names(c) ? wait_for_names(c, req) : reply_changed(c, req);
}

void fuse_hsm_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	uint64_t received_ns = fuse_hsm_received_ns;
	struct change c = {
		.fs = fs,
		.inode = fuse_hsm_inode_find(fs->inodes, ino),
		.attr = attr,
		.to_set = to_set,
	};

	fuse_hsm_end(fs, req, FUSE_HSM_OP_SETATTR, received_ns, change_attr(&c, req, fi));
}
