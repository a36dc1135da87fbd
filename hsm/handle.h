/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_HANDLE_H
#define HSM_HANDLE_H
/* A file handle of name_to_handle_at(2), with its size bounded: no descriptor held per inode. */
#include <fcntl.h>
#include <stdint.h>

#define HSM_HANDLE_MAX 40 /* xfs 12, ext4 8, btrfs 20 (or 40 with parent) bytes */

struct hsm_handle {
	uint32_t bytes;
	int32_t type;
	uint8_t data[HSM_HANDLE_MAX];
};

/* Handle of the inode behind @fd. -EOPNOTSUPP, -EOVERFLOW. */
int hsm_handle_of(int fd, struct hsm_handle *ret_handle);

/* Opens it below @mount_fd; a descriptor or -ESTALE when the inode is gone. O_CLOEXEC is implied. */
int hsm_handle_open(int mount_fd, const struct hsm_handle *handle, int flags);

#endif
