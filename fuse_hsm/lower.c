/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lower inodes: their identity, their attributes in as few system calls as it takes, and the ways to
 * open one again. Owns no lock; who keeps what is stored here is the inode table's business.
 */
#include "fuse_hsm/lower.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "hsm/hsm.h"
#include "hsm/util.h"

#define DEPTH_MAX 4096 /* directories above one another */

struct kept_handle {
	uint8_t type, bytes;
	uint8_t data[FUSE_HSM_HANDLE_MAX];
};

/* ---- descriptors ---- */

static uint32_t raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	return (uint32_t)HSM_MIN(limit.rlim_cur, (rlim_t)UINT32_MAX);
}

void fuse_hsm_lower_complain(struct fuse_hsm_lower *l, int err)
{
	if (l->kind != FUSE_HSM_BY_FD || (err != -EMFILE && err != -ENFILE) ||
		atomic_exchange(&l->complained, true))
		return;
	hsm_log(HSM_LOG_ERROR,
		"no descriptor for another inode: %u are held, the limit of open files leaves "
		"room for %u; users get '%s'. --inodes handle needs no descriptors",
		l->pins, l->pins_max, strerror(-err));
}

static int dup_path(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

static int open_link(int fd, int flags)
{
	char path[sizeof("/proc/self/fd/") + 10];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

/* Not a copy of @fd: that would share how it was opened, and be in the way of execve(2). */
static int path_to(int fd)
{
	return open_link(fd, O_PATH);
}

/* A magic link is followed once: a symbolic link it leads to is opened, or refused, as itself. */
static int reopen(int fd, int flags)
{
	int r;

	if (flags & O_PATH)
		return dup_path(fd);
	r = open_link(fd, flags & ~O_NOFOLLOW);
	return r < 0 ? -errno : r;
}

/* ---- finding ---- */

int fuse_hsm_lower_init(struct fuse_hsm_lower *l, int root_fd, int mount_fd, bool pin_fds)
{
	struct stat st;
	int r = 0;

	*l = (struct fuse_hsm_lower){.root_fd = root_fd, .mount_fd = mount_fd};
	if (fstat(root_fd, &st))
		return -errno;
	l->dev = st.st_dev;
	l->root_ino = st.st_ino;
	if (pin_fds) {
		l->kind = FUSE_HSM_BY_FD;
		l->pins_max = raise_limit() / 4 * 3;
		return 0;
	}
	r = fuse_hsm_format_learn(root_fd, &l->format);
	l->kind = l->format.ino_bytes ? FUSE_HSM_BY_NUMBER : FUSE_HSM_BY_HANDLE;
	return r;
}

/* The two calls before may have hit two inodes. */
static bool is_one(
	const struct fuse_hsm_lower *l, struct fuse_hsm_found *found, const struct stat *attr)
{
	uint64_t ino;

	return l->kind == FUSE_HSM_BY_NUMBER &&
	       fuse_hsm_handle_split(&l->format, &found->handle, &ino, &found->generation) &&
	       ino == attr->st_ino;
}

static int find_by_fd(
	struct fuse_hsm_lower *l, int fd, struct fuse_hsm_found *found, struct stat *attr)
{
	int r;

	if (fstatat(fd, "", attr, AT_EMPTY_PATH))
		return -errno;
	if (attr->st_dev != l->dev)
		return -EXDEV;
	if (l->kind == FUSE_HSM_BY_FD)
		return 0;
	r = fuse_hsm_handle_get(fd, "", &found->handle);
	if (!r && l->kind == FUSE_HSM_BY_NUMBER && !is_one(l, found, attr))
		r = -EXDEV;
	return r;
}

static int find_and_pin(struct fuse_hsm_lower *l, int dirfd, const char *name,
	struct fuse_hsm_found *found, struct stat *attr)
{
	auto_fd int fd =
		*name ? openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : path_to(dirfd);
	int r;

	if (fd < 0)
		return -errno;
	r = find_by_fd(l, fd, found, attr);
	if (!r && l->kind == FUSE_HSM_BY_FD)
		found->fd = hsm_take_fd(fd);
	return r;
}

/* Two calls instead of four: what a large readdirplus spends its time with. */
static int find_by_name(struct fuse_hsm_lower *l, int dirfd, const char *name,
	struct fuse_hsm_found *found, struct stat *attr)
{
	int r = fuse_hsm_handle_get(dirfd, name, &found->handle);

	if (r)
		return r;
	if (fstatat(dirfd, name, attr, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (attr->st_dev != l->dev)
		return -EXDEV;
	return is_one(l, found, attr) ? 0 : find_and_pin(l, dirfd, name, found, attr);
}

int fuse_hsm_lower_find(struct fuse_hsm_lower *l, int dirfd, const char *name,
	struct fuse_hsm_found *ret_found, struct stat *ret_attr)
{
	int r;

	ret_found->fd = -1;
	if (*name && l->kind == FUSE_HSM_BY_NUMBER)
		r = find_by_name(l, dirfd, name, ret_found, ret_attr);
	else if (*name || l->kind == FUSE_HSM_BY_FD)
		r = find_and_pin(l, dirfd, name, ret_found, ret_attr);
	else
		r = find_by_fd(l, dirfd, ret_found, ret_attr);
	if (r)
		return r;
	ret_found->ino = ret_attr->st_ino;
	ret_found->mode = ret_attr->st_mode;
	if (ret_attr->st_ino != FUSE_ROOT_ID || l->root_ino == FUSE_ROOT_ID)
		return 0;
	hsm_util_close_fd(&ret_found->fd);
	return -EXDEV;
}

int fuse_hsm_lower_identify(struct fuse_hsm_lower *l, int fd, struct fuse_hsm_found *ret_found)
{
	struct stat attr;
	int r = find_by_fd(l, fd, ret_found, &attr);

	if (r)
		return r;
	ret_found->fd = -1;
	ret_found->ino = attr.st_ino;
	return 0;
}

int fuse_hsm_lower_prove(struct fuse_hsm_lower *l, struct fuse_hsm_found *found)
{
	return fuse_hsm_handle_open(l->mount_fd, &found->handle, O_PATH);
}

/* ---- keeping ---- */

size_t fuse_hsm_lower_bytes(const struct fuse_hsm_lower *l)
{
	static const size_t bytes[] = {
		[FUSE_HSM_BY_NUMBER] = 0,
		[FUSE_HSM_BY_HANDLE] = sizeof(struct kept_handle),
		[FUSE_HSM_BY_FD] = sizeof(int),
	};

	return bytes[l->kind];
}

static struct kept_handle to_keep(const struct fuse_hsm_found *found)
{
	struct kept_handle k = {.type = (uint8_t)found->handle.fh.handle_type,
		.bytes = (uint8_t)found->handle.fh.handle_bytes};

	memcpy(k.data, found->handle.fh.f_handle, k.bytes);
	return k;
}

bool fuse_hsm_lower_same(const struct fuse_hsm_lower *l, uint32_t generation,
	const uint8_t *kept, const struct fuse_hsm_found *found)
{
	struct kept_handle k;

	if (l->kind == FUSE_HSM_BY_FD)
		return true;
	if (l->kind == FUSE_HSM_BY_NUMBER)
		return generation == found->generation;
	k = to_keep(found);
	return !memcmp(kept, &k, sizeof(k));
}

static int keep_fd(struct fuse_hsm_lower *l, struct fuse_hsm_found *found, uint8_t *kept)
{
	if (atomic_fetch_add(&l->pins, 1) >= l->pins_max) {
		l->pins--;
		return -EMFILE;
	}
	memcpy(kept, &found->fd, sizeof(found->fd));
	found->fd = -1;
	return 0;
}

int fuse_hsm_lower_keep(struct fuse_hsm_lower *l, struct fuse_hsm_found *found, uint8_t *kept,
	uint32_t *ret_generation)
{
	struct kept_handle k;

	if (l->kind == FUSE_HSM_BY_NUMBER) {
		*ret_generation = found->generation;
		return 0;
	}
	*ret_generation = ++l->generation;
	if (l->kind == FUSE_HSM_BY_FD)
		return keep_fd(l, found, kept);
	k = to_keep(found);
	memcpy(kept, &k, sizeof(k));
	return 0;
}

static int kept_fd(const uint8_t *kept)
{
	int fd;

	memcpy(&fd, kept, sizeof(fd));
	return fd;
}

int fuse_hsm_lower_unkeep(struct fuse_hsm_lower *l, const uint8_t *kept)
{
	if (l->kind != FUSE_HSM_BY_FD)
		return -1;
	l->pins--;
	return kept_fd(kept);
}

int fuse_hsm_lower_open(struct fuse_hsm_lower *l, uint64_t ino, uint32_t generation,
	const uint8_t *kept, int flags)
{
	union fuse_hsm_handle handle = {0};
	struct kept_handle k;

	if (l->kind == FUSE_HSM_BY_FD)
		return reopen(kept_fd(kept), flags);
	if (l->kind == FUSE_HSM_BY_NUMBER) {
		fuse_hsm_handle_join(&l->format, ino, generation, &handle);
	} else {
		memcpy(&k, kept, sizeof(k));
		handle.fh.handle_type = k.type;
		handle.fh.handle_bytes = k.bytes;
		memcpy(handle.room + sizeof(handle.fh), k.data, k.bytes);
	}
	return fuse_hsm_handle_open(l->mount_fd, &handle, flags);
}

/* ---- reviving ---- */

/* Takes @fd, a directory. */
static bool below_root(const struct fuse_hsm_lower *l, int fd)
{
	struct stat st, above;
	auto_fd int at = fd;

	if (fstat(at, &st))
		return false;
	for (unsigned int n = 0; n < DEPTH_MAX && st.st_dev == l->dev; n++) {
		int up;

		if (st.st_ino == l->root_ino)
			return true;
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (up < 0)
			return false;
		close(at);
		at = up;
		if (fstat(at, &above) || above.st_ino == st.st_ino)
			return false;
		st = above;
	}
	return false;
}

int fuse_hsm_lower_revive(struct fuse_hsm_lower *l, uint64_t ino)
{
	struct stat st;
	auto_fd int fd = -1;

	if (l->kind != FUSE_HSM_BY_NUMBER)
		return -ESTALE;
	fd = fuse_hsm_number_open(&l->format, l->root_fd, l->mount_fd, ino, O_PATH);
	if (fd < 0)
		return fd == -ENOENT || fd == -EINVAL ? -ESTALE : fd;
	if (fstat(fd, &st))
		return -errno;
	if (!st.st_nlink || (S_ISDIR(st.st_mode) && !below_root(l, dup_path(fd))))
		return -ESTALE;
	return hsm_take_fd(fd);
}
