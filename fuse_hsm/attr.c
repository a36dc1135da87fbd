/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fuse_hsm/fs.h"
#include "hsm/util.h"

#define SETTLE_TRIES	1000
#define SETTLE_PAUSE_NS (50 * 1000)

/*
 * A stub is sparse, but nobody may take its holes for zeros: tar -S and cp --sparse decide by
 * st_blocks. A regular file never shows fewer blocks than its size needs, present or not, so
 * the figure does not change while it fills.
 */
static void show_logical_blocks(struct stat *attr)
{
	blkcnt_t blocks = HSM_DIV_UP(attr->st_size, 512);

	if (attr->st_blocks < blocks)
		attr->st_blocks = blocks;
}

static bool is_recent(const struct stat *attr)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return hsm_timespec_to_ns(now) - hsm_timespec_to_ns(attr->st_mtim) < HSM_NSEC;
}

static int64_t birth_ns(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) || !(stx.stx_mask & STATX_BTIME))
		return 0;
	return stx.stx_btime.tv_sec * HSM_NSEC + stx.stx_btime.tv_nsec;
}

/* Reads the attributes of a file again; true if it is being filled right now. */
static bool reread_filling(struct fuse_hsm_fs *fs, int fd, struct stat *attr)
{
	struct hsm_file *f;

	if (hsm_file_get(fs->hsm, fd, &f) <= 0) {
		fstat(fd, attr);
		return false;
	}
	hsm_file_put(f);
	fstat(fd, attr);
	return is_recent(attr) && hsm_timespec_to_ns(attr->st_mtim) >= birth_ns(fd);
}

/*
 * The core writes into a stub and then puts its mtime back. Between the two it is the time of the
 * write, and the kernel would keep that for long, so wait it out. The origin's
 * mtime is older than the stub, or than a moment.
 */
static void settle_mtime(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, struct stat *attr)
{
	struct timespec pause = {.tv_nsec = SETTLE_PAUSE_NS};
	auto_fd int fd = -1;

	if (!is_recent(attr) || fuse_hsm_inode_is(i, FUSE_HSM_I_COMPLETE))
		return;
	fd = fuse_hsm_inode_open(fs->inodes, i, O_RDONLY);
	if (fd < 0 || hsm_timespec_to_ns(attr->st_mtim) < birth_ns(fd))
		return;
	for (unsigned int n = 0; n < SETTLE_TRIES && reread_filling(fs, fd, attr); n++)
		nanosleep(&pause, NULL);
}

static void show(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, struct stat *attr)
{
	if (!S_ISREG(attr->st_mode))
		return;
	settle_mtime(fs, i, attr);
	show_logical_blocks(attr);
}

int fuse_hsm_attr_get(
	struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int fd, struct stat *ret_attr)
{
	if (fstatat(fd, "", ret_attr, AT_EMPTY_PATH))
		return -errno;
	show(fs, i, ret_attr);
	return 0;
}

/* Handle and attributes of one inode even if the name is replaced meanwhile. */
static int stat_by_fd(
	int dirfd, const char *name, union fuse_hsm_handle *handle, struct stat *attr)
{
	auto_fd int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstatat(fd, "", attr, AT_EMPTY_PATH))
		return -errno;
	return fuse_hsm_handle_get(fd, "", handle);
}

/*
 * The same in two calls instead of four, which is what a large readdirplus spends its time
 * with. They can hit two inodes; the inode number in the handle tells.
 */
static int stat_by_name(struct fuse_hsm_fs *fs, int dirfd, const char *name,
	union fuse_hsm_handle *handle, struct stat *attr)
{
	uint32_t low;
	int r = fuse_hsm_handle_get(dirfd, name, handle);

	if (r)
		return r;
	if (fstatat(dirfd, name, attr, AT_SYMLINK_NOFOLLOW))
		return -errno;
	memcpy(&low, handle->fh.f_handle, sizeof(low));
	if (!fs->ino_in_handle || low != (uint32_t)attr->st_ino)
		return stat_by_fd(dirfd, name, handle, attr);
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
	return fs->attr_timeout_s;
}

/*
 * Links and mtime of a directory change when its names come. Knowing here that they are there
 * costs less than the GETATTR of every path walk through a directory that may not be kept.
 */
static int look_into(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int dirfd,
	const char *name, struct stat *attr)
{
	auto_fd int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || !fuse_hsm_dir_ready(fs, i, fd))
		return 0;
	/* The names may have come after the attributes were read. */
	return fuse_hsm_attr_get(fs, i, fd, attr);
}

int fuse_hsm_entry_get(
	struct fuse_hsm_fs *fs, int dirfd, const char *name, struct fuse_entry_param *ret_entry)
{
	struct fuse_entry_param e = {.entry_timeout = fs->entry_timeout_s};
	union fuse_hsm_handle handle;
	struct fuse_hsm_inode *i;
	int r = stat_by_name(fs, dirfd, name, &handle, &e.attr);

	if (r)
		return r;
	i = fuse_hsm_inode_get(fs->inodes, &handle, e.attr.st_mode);
	if (!i)
		return -ENOMEM;
	e.ino = fuse_hsm_inode_id(fs->inodes, i);
	e.generation = i->generation;
	show(fs, i, &e.attr);
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
