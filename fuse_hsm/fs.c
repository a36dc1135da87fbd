/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/fs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fuse_hsm/backing.h"
#include "fuse_hsm/caller.h"
#include "fuse_hsm/fuse_compat.h"
#include "hsm/util.h"

/* Threads that answer requests which waited; they read files and write to /dev/fuse. */
#define REPLY_THREADS 4

static const char *const op_names[FUSE_HSM_OP_COUNT] = {
	[FUSE_HSM_OP_LOOKUP] = "lookup",
	[FUSE_HSM_OP_FORGET] = "forget",
	[FUSE_HSM_OP_BATCH_FORGET] = "batch_forget",
	[FUSE_HSM_OP_GETATTR] = "getattr",
	[FUSE_HSM_OP_READLINK] = "readlink",
	[FUSE_HSM_OP_OPEN] = "open",
	[FUSE_HSM_OP_READ] = "read",
	[FUSE_HSM_OP_RELEASE] = "release",
	[FUSE_HSM_OP_OPENDIR] = "opendir",
	[FUSE_HSM_OP_READDIR] = "readdir",
	[FUSE_HSM_OP_READDIRPLUS] = "readdirplus",
	[FUSE_HSM_OP_RELEASEDIR] = "releasedir",
	[FUSE_HSM_OP_STATFS] = "statfs",
	[FUSE_HSM_OP_GETXATTR] = "getxattr",
	[FUSE_HSM_OP_LISTXATTR] = "listxattr",
	[FUSE_HSM_OP_SETXATTR] = "setxattr",
	[FUSE_HSM_OP_REMOVEXATTR] = "removexattr",
	[FUSE_HSM_OP_SETATTR] = "setattr",
	[FUSE_HSM_OP_STATX] = "statx",
	[FUSE_HSM_OP_MKNOD] = "mknod",
	[FUSE_HSM_OP_MKDIR] = "mkdir",
	[FUSE_HSM_OP_SYMLINK] = "symlink",
	[FUSE_HSM_OP_LINK] = "link",
	[FUSE_HSM_OP_UNLINK] = "unlink",
	[FUSE_HSM_OP_RMDIR] = "rmdir",
	[FUSE_HSM_OP_RENAME] = "rename",
	[FUSE_HSM_OP_CREATE] = "create",
	[FUSE_HSM_OP_TMPFILE] = "tmpfile",
	[FUSE_HSM_OP_WRITE] = "write",
	[FUSE_HSM_OP_FLUSH] = "flush",
	[FUSE_HSM_OP_FSYNC] = "fsync",
	[FUSE_HSM_OP_FSYNCDIR] = "fsyncdir",
	[FUSE_HSM_OP_FALLOCATE] = "fallocate",
	[FUSE_HSM_OP_LSEEK] = "lseek",
	[FUSE_HSM_OP_COPY_FILE_RANGE] = "copy_file_range",
	[FUSE_HSM_OP_IOCTL] = "ioctl",
};

int fuse_hsm_fs_init(struct fuse_hsm_fs *fs)
{
	int r;

	pthread_mutex_init(&fs->files.lock, NULL);
	pthread_mutex_init(&fs->dirs.lock, NULL);
	pthread_rwlock_init(&fs->core_lock, NULL);
	fs->data_fd = hsm_data_fd(fs->hsm);
	r = fuse_hsm_caller_init();
	if (!r)
		r = hsm_optable_new(op_names, FUSE_HSM_OP_COUNT, &fs->requests);
	if (!r)
		r = fuse_hsm_inodes_new(
			fs->data_fd, hsm_mount_fd(fs->hsm), fs->pin_fds, &fs->inodes);
	if (!r)
		fs->export = fuse_hsm_inodes_can_export(fs->inodes);
	if (!r)
		r = fuse_hsm_dirfds_new(fs->inodes, &fs->dirfds);
	if (!r && fs->mode.passthrough) {
		fs->backings = fuse_hsm_backings_new(fs->session);
		r = fs->backings ? 0 : -ENOMEM;
	}
	if (!r)
		r = hsm_pool_new(REPLY_THREADS, &fs->pool);
	if (r)
		return hsm_err(-r, "the file system cannot be set up: %s", strerror(-r));
	return 0;
}

void fuse_hsm_fs_leave_core(struct fuse_hsm_fs *fs)
{
	pthread_rwlock_wrlock(&fs->core_lock);
	fs->closing = true;
	pthread_rwlock_unlock(&fs->core_lock);
	fuse_hsm_files_detach(fs);
}

void fuse_hsm_fs_release(struct fuse_hsm_fs *fs)
{
	hsm_pool_free(fs->pool);
	fuse_hsm_files_free(fs);
	fuse_hsm_backings_free(fs->backings);
	fuse_hsm_dirs_free(fs);
	fuse_hsm_dirfds_free(fs->dirfds);
	fuse_hsm_inodes_free(fs->inodes);
	hsm_optable_free(fs->requests);
	pthread_mutex_destroy(&fs->files.lock);
	pthread_mutex_destroy(&fs->dirs.lock);
	pthread_rwlock_destroy(&fs->core_lock);
}

/*
 * Every name the kernel has is looked up again before it is used again. Dear, but it takes no lock: to
 * forget one name the kernel takes the lock of its directory, uninterruptibly, in our thread. If
 * the daemon is killed while a user holds that lock and waits for us, the thread cannot
 * end, the connection stays open, and everybody hangs instead of getting ENOTCONN.
 */
static int expire_names(const struct fuse_hsm_fs *fs)
{
	const struct fuse_out_header header = {
		.len = sizeof(header),
		.error = FUSE_HSM_NOTIFY_INC_EPOCH,
	};

	if (fs->conn.protocol_minor < FUSE_HSM_EPOCH_MINOR)
		return -ENOSYS;
	return write(fuse_session_fd(fs->session), &header, sizeof(header)) < 0 ? -errno : 0;
}

void fuse_hsm_fs_name_changed(struct fuse_hsm_fs *fs, int dirfd, const char *name)
{
	fuse_ino_t dir;

	if (!fuse_hsm_inode_known(fs->inodes, dirfd, &dir))
		return;
	if (expire_names(fs))
		fuse_lowlevel_notify_inval_entry(fs->session, dir, name, strlen(name));
	fuse_lowlevel_notify_inval_inode(fs->session, dir, 0, 0);
}

void fuse_hsm_fs_status(struct fuse_hsm_fs *fs, json_t *into)
{
	uint64_t inodes, bytes;

	fuse_hsm_inodes_count(fs->inodes, &inodes, &bytes);
	json_object_set_new(into, "requests", hsm_optable_json(fs->requests));
	json_object_set_new(into, "negotiated", fuse_hsm_conn_json(fs));
	json_object_set_new(into, "inodes", json_integer((json_int_t)inodes));
	json_object_set_new(into, "inode_bytes", json_integer((json_int_t)bytes));
	if (fs->backings)
		json_object_set_new(into, "passthrough", fuse_hsm_backings_json(fs->backings));
}
