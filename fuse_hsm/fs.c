/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/fs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

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
	[FUSE_HSM_OP_REFUSED] = "refused",
};

/* xfs, ext4 and btrfs start their handles with the inode number, little end first. */
static bool handle_has_ino(int fd)
{
	union fuse_hsm_handle handle;
	struct stat st;
	uint32_t low;

	if (fuse_hsm_handle_get(fd, "", &handle) || fstat(fd, &st))
		return false;
	memcpy(&low, handle.fh.f_handle, sizeof(low));
	return handle.fh.handle_bytes >= sizeof(low) && low == (uint32_t)st.st_ino;
}

int fuse_hsm_fs_init(struct fuse_hsm_fs *fs)
{
	int r;

	pthread_mutex_init(&fs->files.lock, NULL);
	pthread_mutex_init(&fs->dirs.lock, NULL);
	pthread_rwlock_init(&fs->core_lock, NULL);
	fs->data_fd = hsm_data_fd(fs->hsm);
	fs->ino_in_handle = handle_has_ino(fs->data_fd);
	r = hsm_optable_new(op_names, FUSE_HSM_OP_COUNT, &fs->requests);
	if (!r)
		r = fuse_hsm_inodes_new(fs->data_fd, hsm_mount_fd(fs->hsm), &fs->inodes);
	if (!r)
		r = fuse_hsm_dirfds_new(fs->inodes, &fs->dirfds);
	if (!r)
		r = hsm_pool_new(REPLY_THREADS, &fs->pool);
	if (r)
		return hsm_err(-r, "the inode table cannot be set up: %s", strerror(-r));
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
	fuse_hsm_dirs_free(fs);
	fuse_hsm_dirfds_free(fs->dirfds);
	fuse_hsm_inodes_free(fs->inodes);
	hsm_optable_free(fs->requests);
	pthread_mutex_destroy(&fs->files.lock);
	pthread_mutex_destroy(&fs->dirs.lock);
	pthread_rwlock_destroy(&fs->core_lock);
}

void fuse_hsm_fs_status(struct fuse_hsm_fs *fs, json_t *into)
{
	uint64_t inodes, bytes;

	fuse_hsm_inodes_count(fs->inodes, &inodes, &bytes);
	json_object_set_new(into, "requests", hsm_optable_json(fs->requests));
	json_object_set_new(into, "inodes", json_integer((json_int_t)inodes));
	json_object_set_new(into, "inode_bytes", json_integer((json_int_t)bytes));
}
