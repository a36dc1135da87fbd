/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_HANDLE_H
#define FUSE_HSM_HANDLE_H
/*
 * File handles of the lower file system taken apart: those of xfs, ext4 and btrfs are an inode number
 * and a generation between bytes that are the same for all inodes, so that no inode needs
 * to keep one.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

/* xfs 12, ext4 8, btrfs 20 bytes. */
#define FUSE_HSM_HANDLE_MAX 20

/* A struct file_handle with room for the largest handle kept here. */
union fuse_hsm_handle {
	struct file_handle fh;
	char room[sizeof(struct file_handle) + FUSE_HSM_HANDLE_MAX];
};

/* How the handles of one file system look, learned from one of its inodes. */
struct fuse_hsm_format {
	union fuse_hsm_handle model; /* what number and generation are put into */
	uint8_t ino_bytes; /* at the start of a handle, lowest first; 0 = format not known */
	uint8_t generation_at; /* offset of its 4 bytes */
	bool any_generation; /* 0 opens whatever has the number now; else it is an xfs */
};

/* The handle of @name in @dirfd ("" = of @dirfd itself). -EOVERFLOW: too long to be kept. */
int fuse_hsm_handle_get(int dirfd, const char *name, union fuse_hsm_handle *ret_handle);

/* A format that is not known is no error. -EOVERFLOW, -EOPNOTSUPP: no handles to be had. */
int fuse_hsm_format_learn(int fd, struct fuse_hsm_format *ret_format);

/* False if @handle is not of this known format. */
bool fuse_hsm_handle_split(const struct fuse_hsm_format *f, const union fuse_hsm_handle *handle,
	uint64_t *ret_ino, uint32_t *ret_generation);
void fuse_hsm_handle_join(const struct fuse_hsm_format *f, uint64_t ino, uint32_t generation,
	union fuse_hsm_handle *ret_handle);

/* A new descriptor, owned, O_CLOEXEC; -ESTALE when the inode is gone. */
int fuse_hsm_handle_open(int mount_fd, union fuse_hsm_handle *handle, int flags);

/*
 * Opens whatever inode has the number @ino now. @dir_fd: any directory of the file system, open for
 * reading. -ESTALE: none has; -EOPNOTSUPP: the format is not known.
 */
int fuse_hsm_number_open(
	const struct fuse_hsm_format *f, int dir_fd, int mount_fd, uint64_t ino, int flags);

#endif
