/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_FS_H
#define FUSE_HSM_FS_H
/*
 * The mounted file system: what every request handler needs. A handler either replies itself and
 * returns 0, returns a negative errno for the wrapper to reply, or returns FUSE_HSM_PENDING after it
 * handed the request to wait.h. Each request is replied to, and recorded, exactly once.
 */
#include <fuse_lowlevel.h>
#include <pthread.h>

#include "fuse_hsm/dirfd.h"
#include "fuse_hsm/inode.h"
#include "fuse_hsm/list.h"
#include "hsm/hsm.h"
#include "hsm/pool.h"

/* Largest read or readdir reply; the kernel's limit too (fs.fuse.max_pages_limit, 256 pages). */
#define FUSE_HSM_REQUEST_BYTES ((size_t)1 << 20)

#define FUSE_HSM_PENDING 1

/* Rows of the request table, named in request.c. */
enum fuse_hsm_op {
	FUSE_HSM_OP_LOOKUP,
	FUSE_HSM_OP_FORGET,
	FUSE_HSM_OP_BATCH_FORGET,
	FUSE_HSM_OP_GETATTR,
	FUSE_HSM_OP_READLINK,
	FUSE_HSM_OP_OPEN,
	FUSE_HSM_OP_READ,
	FUSE_HSM_OP_RELEASE,
	FUSE_HSM_OP_OPENDIR,
	FUSE_HSM_OP_READDIR,
	FUSE_HSM_OP_READDIRPLUS,
	FUSE_HSM_OP_RELEASEDIR,
	FUSE_HSM_OP_STATFS,
	FUSE_HSM_OP_GETXATTR,
	FUSE_HSM_OP_LISTXATTR,
	FUSE_HSM_OP_REFUSED,
	FUSE_HSM_OP_COUNT
};

struct fuse_hsm_fs {
	struct hsm *hsm;
	struct fuse_session *session;
	struct fuse_hsm_inodes *inodes;
	struct fuse_hsm_dirfds *dirfds;
	struct hsm_pool *pool; /* replies to requests that waited */
	struct hsm_optable *requests;
	int data_fd; /* borrowed from the core */
	bool ino_in_handle; /* the first four bytes of a handle are the inode number's */
	double entry_timeout_s, attr_timeout_s;
	bool readdirplus_auto; /* the kernel chooses; else always */
	struct fuse_hsm_list files, dirs; /* open ones */
	pthread_rwlock_t core_lock; /* read: a reply may call the core; write: .closing */
	bool closing; /* core_lock: replies are errors from now on */
};

/* Everything but .hsm, .session and the settings, which the caller has set. 0 or -errno + text. */
int fuse_hsm_fs_init(struct fuse_hsm_fs *fs);

/*
 * Before hsm_close(), when no thread takes requests any more: afterwards nothing here calls the
 * core. Waiting requests are answered when the core ends their fills.
 */
void fuse_hsm_fs_leave_core(struct fuse_hsm_fs *fs);

/* After hsm_close(). */
void fuse_hsm_fs_release(struct fuse_hsm_fs *fs);

/* Adds {"requests": ..., "inodes": n, "inode_bytes": n}. */
void fuse_hsm_fs_status(struct fuse_hsm_fs *fs, json_t *into);

/* The request handlers. init takes the file system as user data. */
extern const struct fuse_lowlevel_ops fuse_hsm_ops;

/* ---- request.c ---- */

/* Set by the thread that received a request, before it is processed. */
extern __thread uint64_t fuse_hsm_received_ns;

/* Replies with @result if it is an error, and records the request unless it is pending. */
void fuse_hsm_end(struct fuse_hsm_fs *fs, fuse_req_t req, enum fuse_hsm_op op,
	uint64_t received_ns, int result);

/* This thread's buffer of FUSE_HSM_REQUEST_BYTES; NULL when out of memory. */
char *fuse_hsm_scratch(void);

/* ---- attr.c ---- */

/* Attributes of @i, open as @fd (O_PATH will do), as users are to see them. */
int fuse_hsm_attr_get(
	struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int fd, struct stat *ret_attr);

/*
 * Looks @name up in a directory that has its names, and counts the lookup: after an error of
 * the reply it must be forgotten again.
 */
int fuse_hsm_entry_get(struct fuse_hsm_fs *fs, int dirfd, const char *name,
	struct fuse_entry_param *ret_entry);

/* Attributes of a directory may be kept once filling it can no longer change them. */
double fuse_hsm_attr_timeout(const struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i);

/* Does the directory have its names? Remembered in the inode once it has. */
bool fuse_hsm_dir_ready(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int dirfd);

/* ---- handlers in files of their own ---- */

void fuse_hsm_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fuse_hsm_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fuse_hsm_op_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void fuse_hsm_op_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void fuse_hsm_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fuse_hsm_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fuse_hsm_op_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void fuse_hsm_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fuse_hsm_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void fuse_hsm_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

/* The end: open files, also those of reads that wait, give the core's objects back. */
void fuse_hsm_files_detach(struct fuse_hsm_fs *fs);
/* Frees what the kernel never released. */
void fuse_hsm_files_free(struct fuse_hsm_fs *fs);
void fuse_hsm_dirs_free(struct fuse_hsm_fs *fs);

/* Descriptor of an open file, for the attributes of one that has no name any more. */
int fuse_hsm_open_fd(const struct fuse_file_info *fi);

#endif
