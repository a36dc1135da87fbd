/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/handle.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* struct file_handle ends in a flexible array; this is one with room. */
union handle_buffer {
	struct file_handle fh;
	char room[sizeof(struct file_handle) + HSM_HANDLE_MAX];
};

int hsm_handle_of(int fd, struct hsm_handle *ret_handle)
{
	union handle_buffer b = {.fh.handle_bytes = HSM_HANDLE_MAX};
	int mount_id;

	if (name_to_handle_at(fd, "", &b.fh, &mount_id, AT_EMPTY_PATH))
		return -errno;
	ret_handle->bytes = b.fh.handle_bytes;
	ret_handle->type = b.fh.handle_type;
	memcpy(ret_handle->data, b.fh.f_handle, b.fh.handle_bytes);
	return 0;
}

int hsm_handle_open(int mount_fd, const struct hsm_handle *handle, int flags)
{
	union handle_buffer b = {
		.fh = {.handle_bytes = handle->bytes, .handle_type = handle->type}};
	int fd;

	if (handle->bytes > HSM_HANDLE_MAX)
		return -EINVAL;
	memcpy(b.room + offsetof(struct file_handle, f_handle), handle->data, handle->bytes);
	fd = open_by_handle_at(mount_fd, &b.fh, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
