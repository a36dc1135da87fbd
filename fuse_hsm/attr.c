/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Attributes as users are to see them, how long the kernel may keep them, and who asks for them. */
#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "fuse_hsm/backing.h"
#include "fuse_hsm/fs.h"
#include "hsm/state.h"
#include "hsm/util.h"

/*
 * Is @name in @dirfd ("" = @dirfd itself, O_PATH will do) of the HSM? By name, because opening the
 * inode would cost more than all the rest of a lookup.
 */
static bool has_state(int dirfd, const char *name)
{
	char path[sizeof("/proc/self/fd/") + 11 + NAME_MAX + 1];

	if (!*name) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", dirfd);
		return getxattr(path, HSM_XATTR_STATE, NULL, 0) >= 0;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd, name);
	return lgetxattr(path, HSM_XATTR_STATE, NULL, 0) >= 0;
}

/*
 * A stub is sparse, but nobody may take its holes for zeros: tar -S and cp --sparse decide by
 * st_blocks. A file of the origin does not show fewer blocks than its size needs, present or not, so
 * the figure does not change while it fills. The holes of a local file are the user's.
 */
static void show_logical_blocks(
	struct fuse_hsm_inode *i, int dirfd, const char *name, struct stat *attr)
{
	blkcnt_t blocks = HSM_DIV_UP(attr->st_size, 512);

	if (attr->st_blocks < blocks && !fuse_hsm_inode_is(i, FUSE_HSM_I_COMPLETE) &&
		has_state(dirfd, name))
		attr->st_blocks = blocks;
}

static bool is_recent(const struct stat *attr)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return hsm_timespec_to_ns(now) - hsm_timespec_to_ns(attr->st_mtim) < HSM_NSEC;
}

/* Between its writes: the core then holds what it puts the mtime back from. */
static void reread(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int fd, struct stat *attr)
{
	struct hsm_file *object;
	int r = hsm_file_get(fs->hsm, fd, &object);

	if (r > 0)
		hsm_file_lock(object);
	fstat(fd, attr);
	if (r > 0) {
		hsm_file_unlock(object);
		hsm_file_put(object);
	} else if (!r) {
		/* The descriptor keeps it from being evicted meanwhile. */
		fuse_hsm_inode_mark(i, FUSE_HSM_I_COMPLETE);
	}
}

/*
 * The core writes into a stub and then puts its mtime back. Between the two it is the time of the
 * write, and the kernel would keep that for long.
 */
static void settle_mtime(
	struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, uint64_t mark, struct stat *attr)
{
	auto_fd int fd = -1;

	if (hsm_attr_settled(fs->hsm, mark) || !is_recent(attr) ||
		fuse_hsm_inode_is(i, FUSE_HSM_I_COMPLETE))
		return;
	fd = fuse_hsm_inode_open(fs->inodes, i, O_RDONLY);
	if (fd >= 0)
		reread(fs, i, fd, attr);
}

/* @dirfd, @name: as for has_state(). @mark is from before @attr was read. */
static void show(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int dirfd, const char *name,
	uint64_t mark, struct stat *attr)
{
	if (!S_ISREG(attr->st_mode))
		return;
	settle_mtime(fs, i, mark, attr);
	show_logical_blocks(i, dirfd, name, attr);
}

int fuse_hsm_attr_get(
	struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int fd, struct stat *ret_attr)
{
	uint64_t mark = hsm_attr_mark(fs->hsm);

	if (fstatat(fd, "", ret_attr, AT_EMPTY_PATH))
		return -errno;
	show(fs, i, fd, "", mark, ret_attr);
	return 0;
}

bool fuse_hsm_dir_ready(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int dirfd)
{
	if (fuse_hsm_inode_is(i, FUSE_HSM_I_NAMES))
		return true;
	if (hsm_dir_state(fs->hsm, dirfd) == HSM_DIR_UNPOPULATED)
		return false;
	fuse_hsm_inode_mark(i, FUSE_HSM_I_NAMES);
	return true;
}

double fuse_hsm_attr_timeout(const struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i)
{
	if (fuse_hsm_inode_type(i) == S_IFDIR && !fuse_hsm_inode_is(i, FUSE_HSM_I_NAMES))
		return 0;
	if (fs->backings && fuse_hsm_backing_changing(fs->backings, i))
		return 0;
	return fs->attr_timeout_s;
}

/*
 * Links and mtime of a directory change when its names come. Knowing here that they are there
 * costs less than the GETATTR of every path walk through a directory that may not be kept.
 */
static int look_into(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int dirfd,
	const char *name, struct stat *attr)
{
	auto_fd int fd = openat(
		dirfd, *name ? name : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || !fuse_hsm_dir_ready(fs, i, fd))
		return 0;
	/* The names may have come after the attributes were read. */
	return fuse_hsm_attr_get(fs, i, fd, attr);
}

int fuse_hsm_entry_new(struct fuse_hsm_fs *fs, int dirfd, const char *name, uint8_t marks,
	struct fuse_entry_param *ret_entry)
{
	struct fuse_entry_param e = {.entry_timeout = fs->entry_timeout_s};
	uint64_t mark = hsm_attr_mark(fs->hsm);
	struct fuse_hsm_inode *i;
	int r = fuse_hsm_inode_lookup(fs->inodes, dirfd, name, &e.attr, &i);

	if (r)
		return r;
	if (marks)
		fuse_hsm_inode_mark(i, marks);
	e.ino = fuse_hsm_inode_id(fs->inodes, i);
	e.generation = i->generation;
	show(fs, i, dirfd, name, mark, &e.attr);
	if (S_ISDIR(e.attr.st_mode) && !fuse_hsm_inode_is(i, FUSE_HSM_I_NAMES)) {
		r = look_into(fs, i, dirfd, name, &e.attr);
		if (r) {
			fuse_hsm_inode_forget(fs->inodes, e.ino, 1);
			return r;
		}
	}
	e.attr_timeout = fuse_hsm_attr_timeout(fs, i);
	*ret_entry = e;
	return 0;
}

int fuse_hsm_entry_get(
	struct fuse_hsm_fs *fs, int dirfd, const char *name, struct fuse_entry_param *ret_entry)
{
	return fuse_hsm_entry_new(fs, dirfd, name, 0, ret_entry);
}

/* ---- requests ---- */

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

void fuse_hsm_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	struct fuse_hsm_inode *i = fuse_hsm_inode_find(fs->inodes, ino);
	struct stat attr;
	int r = get_attr(fs, i, fi, &attr);

	if (!r)
		fuse_reply_attr(req, &attr, fuse_hsm_attr_timeout(fs, i));
	fuse_hsm_end(fs, req, FUSE_HSM_OP_GETATTR, fuse_hsm_received_ns, r);
}

#if FUSE_VERSION >= 318
static struct statx_timestamp to_timestamp(struct timespec ts)
{
	return (struct statx_timestamp){.tv_sec = ts.tv_sec, .tv_nsec = (uint32_t)ts.tv_nsec};
}

/* All of GETATTR's, so that the kernel may keep them, too. */
static void to_statx(const struct stat *attr, struct statx *stx)
{
	stx->stx_mask |= STATX_BASIC_STATS;
	stx->stx_blksize = (uint32_t)attr->st_blksize;
	stx->stx_nlink = (uint32_t)attr->st_nlink;
	stx->stx_uid = attr->st_uid;
	stx->stx_gid = attr->st_gid;
	stx->stx_mode = (uint16_t)attr->st_mode;
	stx->stx_ino = attr->st_ino;
	stx->stx_size = (uint64_t)attr->st_size;
	stx->stx_blocks = (uint64_t)attr->st_blocks;
	stx->stx_atime = to_timestamp(attr->st_atim);
	stx->stx_ctime = to_timestamp(attr->st_ctim);
	stx->stx_mtime = to_timestamp(attr->st_mtim);
	stx->stx_rdev_major = major(attr->st_rdev);
	stx->stx_rdev_minor = minor(attr->st_rdev);
}

/* The time of birth is that of the inode in the cache. */
static int get_birth(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, struct statx *stx)
{
	auto_fd int fd = fuse_hsm_inode_open(fs->inodes, i, O_PATH | O_NOFOLLOW);
	struct statx all;

	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &all))
		return -errno;
	stx->stx_mask = all.stx_mask & STATX_BTIME;
	stx->stx_btime = all.stx_btime;
	return 0;
}

void fuse_hsm_op_statx(
	fuse_req_t req, fuse_ino_t ino, int flags, int mask, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	struct fuse_hsm_inode *i = fuse_hsm_inode_find(fs->inodes, ino);
	struct statx stx = {0};
	struct stat attr;
	int r = get_birth(fs, i, &stx);

	(void)flags, (void)mask;
	if (!r)
		r = get_attr(fs, i, fi, &attr);
	if (!r) {
		to_statx(&attr, &stx);
		fuse_reply_statx(req, 0, &stx, fuse_hsm_attr_timeout(fs, i));
	}
	fuse_hsm_end(fs, req, FUSE_HSM_OP_STATX, fuse_hsm_received_ns, r);
}
#endif
