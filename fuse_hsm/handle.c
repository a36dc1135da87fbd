/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/handle.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "hsm/util.h"

/*
 * Linux 5.1 to 6.18. xfs: xfs_fs_encode_fh(), with 64 bit numbers unless the file system is too
 * small for any; it takes generation 0 for a generation like others. ext4, and xfs with
 * small numbers: the kernel's generic format. btrfs: struct btrfs_fid, with the subvolume's
 * number in the middle, which is the same for all inodes of one device number.
 */
static const struct {
	int type;
	uint8_t bytes, ino_bytes, generation_at;
} known[] = {
	{0x81, 12, 8, 8}, /* xfs */
	{0x01, 8, 4, 4}, /* ext4, generic */
	{0x4d, 20, 8, 16}, /* btrfs */
};

int fuse_hsm_handle_get(int dirfd, const char *name, union fuse_hsm_handle *ret_handle)
{
	int mount_id, flags = *name ? 0 : AT_EMPTY_PATH;

	ret_handle->fh.handle_bytes = FUSE_HSM_HANDLE_MAX;
	if (name_to_handle_at(dirfd, name, &ret_handle->fh, &mount_id, flags))
		return -errno;
	return ret_handle->fh.handle_type & ~0xff ? -EOVERFLOW : 0;
}

/* ---- what only xfs needs: the generation by the number, ioctl_xfs_bulkstat(2) ---- */

struct bulkstat_one {
	uint64_t ino;
	uint32_t flags, want, got, group;
	uint64_t reserved[5];
	/* The record that comes back. */
	uint64_t found_ino;
	uint64_t sizes_and_times[7];
	uint32_t generation;
	uint32_t owners_and_counts[14];
	uint64_t rest[8];
};
_Static_assert(sizeof(struct bulkstat_one) == 64 + 192, "struct xfs_bulkstat_req with one");

/* The size in the number is that of the request's head alone. */
#define BULKSTAT _IOC(_IOC_READ, 'X', 127, 64)

static int xfs_generation(int dir_fd, uint64_t ino, uint32_t *ret_generation)
{
	struct bulkstat_one one = {.ino = ino, .want = 1};

	if (ioctl(dir_fd, BULKSTAT, &one))
		return errno == EINVAL || errno == ENOENT ? -ESTALE : -errno;
	if (!one.got || one.found_ino != ino)
		return -ESTALE;
	*ret_generation = one.generation;
	return 0;
}

/* ---- taking apart, putting together ---- */

static bool is_xfs(int fd)
{
	struct bulkstat_one one = {.want = 1};

	return !ioctl(fd, BULKSTAT, &one);
}

static void set_known(struct fuse_hsm_format *f, unsigned int n, int fd)
{
	f->ino_bytes = known[n].ino_bytes;
	f->generation_at = known[n].generation_at;
	f->any_generation = !is_xfs(fd);
}

int fuse_hsm_format_learn(int fd, struct fuse_hsm_format *ret_format)
{
	struct fuse_hsm_format f = {0};
	uint32_t generation;
	struct stat st;
	uint64_t ino;
	int r = fuse_hsm_handle_get(fd, "", &f.model);

	if (r || fstat(fd, &st))
		return r ? r : -errno;
	for (unsigned int n = 0; n < HSM_ARRAY_SIZE(known); n++)
		if (f.model.fh.handle_type == known[n].type &&
			f.model.fh.handle_bytes == known[n].bytes)
			set_known(&f, n, fd);
	if (!fuse_hsm_handle_split(&f, &f.model, &ino, &generation) || ino != st.st_ino)
		f.ino_bytes = 0;
	*ret_format = f;
	return 0;
}

/* Between number and generation: the same in all handles. */
static bool fits(const struct fuse_hsm_format *f, const struct file_handle *fh)
{
	return f->ino_bytes && fh->handle_type == f->model.fh.handle_type &&
	       fh->handle_bytes == f->model.fh.handle_bytes &&
	       !memcmp(fh->f_handle + f->ino_bytes, f->model.fh.f_handle + f->ino_bytes,
		       f->generation_at - f->ino_bytes);
}

bool fuse_hsm_handle_split(const struct fuse_hsm_format *f, const union fuse_hsm_handle *handle,
	uint64_t *ret_ino, uint32_t *ret_generation)
{
	uint64_t ino = 0;

	if (!fits(f, &handle->fh))
		return false;
	for (unsigned int n = 0; n < f->ino_bytes; n++)
		ino |= (uint64_t)handle->fh.f_handle[n] << 8 * n;
	memcpy(ret_generation, handle->fh.f_handle + f->generation_at, sizeof(*ret_generation));
	*ret_ino = ino;
	return true;
}

void fuse_hsm_handle_join(const struct fuse_hsm_format *f, uint64_t ino, uint32_t generation,
	union fuse_hsm_handle *ret_handle)
{
	unsigned char *data = (unsigned char *)ret_handle->room + sizeof(ret_handle->fh);

	*ret_handle = f->model;
	for (unsigned int n = 0; n < f->ino_bytes; n++)
		data[n] = (unsigned char)(ino >> 8 * n);
	memcpy(data + f->generation_at, &generation, sizeof(generation));
}

int fuse_hsm_handle_open(int mount_fd, union fuse_hsm_handle *handle, int flags)
{
	int fd = open_by_handle_at(mount_fd, &handle->fh, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int fuse_hsm_number_open(
	const struct fuse_hsm_format *f, int dir_fd, int mount_fd, uint64_t ino, int flags)
{
	union fuse_hsm_handle handle;
	uint32_t generation = 0;
	int r;

	if (!f->ino_bytes)
		return -EOPNOTSUPP;
	if (f->ino_bytes < sizeof(ino) && ino >> 8 * f->ino_bytes)
		return -ESTALE;
	if (!f->any_generation) {
		r = xfs_generation(dir_fd, ino, &generation);
		if (r)
			return r;
	}
	fuse_hsm_handle_join(f, ino, generation, &handle);
	return fuse_hsm_handle_open(mount_fd, &handle, flags);
}
