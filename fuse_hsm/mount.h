/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_MOUNT_H
#define FUSE_HSM_MOUNT_H
/* The mount point, the session on it, and getting rid of both. Never walks into the mount. */
#include "fuse_hsm/fs.h"

/*
 * Finds a usable mount point: an empty directory, outside @cache. A dead FUSE mount on it is
 * removed first. *ret_path: absolute, owned. -EINVAL + text.
 */
int fuse_hsm_mount_check(const char *mountpoint, const char *cache, char **ret_path);

/*
 * A session with the mount options of @extra (comma list, may be NULL) added to ours. -EINVAL +
 * text when libfuse does not know one of them.
 */
int fuse_hsm_session_new(struct fuse_hsm_fs *fs, const char *fsname, const char *extra,
	struct fuse_session **ret_session);

/* Mounts fs->session with the read-ahead of fs->mode. *ret_dev: the mount's device number. */
int fuse_hsm_mount(struct fuse_hsm_fs *fs, const char *path, dev_t *ret_dev);

/*
 * Unmounts, unless somebody else did already; while the mount is busy tries for @patience_ns,
 * then detaches it, which hides it from everybody who has no file open in it.
 */
int fuse_hsm_unmount(const char *path, dev_t dev, uint64_t patience_ns);

/* Closes the connection, which ends every request still in the kernel, and frees the session. */
void fuse_hsm_session_free(struct fuse_session *session);

#endif
