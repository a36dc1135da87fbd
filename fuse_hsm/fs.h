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

#include "fuse_hsm/conn.h"
#include "fuse_hsm/dirfd.h"
#include "fuse_hsm/inode.h"
#include "fuse_hsm/list.h"
#include "fuse_hsm/mode.h"
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
	FUSE_HSM_OP_SETXATTR,
	FUSE_HSM_OP_REMOVEXATTR,
	FUSE_HSM_OP_SETATTR,
	FUSE_HSM_OP_STATX,
	FUSE_HSM_OP_MKNOD,
	FUSE_HSM_OP_MKDIR,
	FUSE_HSM_OP_SYMLINK,
	FUSE_HSM_OP_LINK,
	FUSE_HSM_OP_UNLINK,
	FUSE_HSM_OP_RMDIR,
	FUSE_HSM_OP_RENAME,
	FUSE_HSM_OP_CREATE,
	FUSE_HSM_OP_TMPFILE,
	FUSE_HSM_OP_WRITE,
	FUSE_HSM_OP_FLUSH,
	FUSE_HSM_OP_FSYNC,
	FUSE_HSM_OP_FSYNCDIR,
	FUSE_HSM_OP_FALLOCATE,
	FUSE_HSM_OP_LSEEK,
	FUSE_HSM_OP_COPY_FILE_RANGE,
	FUSE_HSM_OP_IOCTL,
	FUSE_HSM_OP_COUNT
};

struct fuse_hsm_backings;

struct fuse_hsm_fs {
	struct hsm *hsm;
	struct fuse_session *session;
	struct fuse_hsm_inodes *inodes;
	struct fuse_hsm_backings *backings; /* NULL: no passthrough */
	struct fuse_hsm_dirfds *dirfds;
	struct hsm_pool *pool; /* replies to requests that waited */
	struct hsm_optable *requests;
	int data_fd; /* borrowed from the core */
	struct fuse_hsm_mode mode; /* the row in use, with what the command line replaced */
	bool uring; /* requests over io_uring */
	struct fuse_hsm_conn conn;
	bool pin_fds; /* each inode holds a descriptor, not a handle; set before init */
	bool export; /* handles of the mount outlive a forget (NFS); set by init */
	bool read_only;
	double entry_timeout_s, attr_timeout_s; /* those of .mode, as libfuse wants them */
	struct fuse_hsm_list files, dirs; /* open ones */
	_Atomic unsigned int held_objects; /* of the core, by open files */
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

/*
 * The core changed what @name means in the directory behind @dirfd: the kernel forgets the name, a
 * negative answer for it, and the directory's listing and attributes. Before Linux 6.16 it waits for
 * requests in that directory: not for a thread that serves any.
 */
void fuse_hsm_fs_name_changed(struct fuse_hsm_fs *fs, int dirfd, const char *name);

/*
 * Adds {"requests": ..., "negotiated": ..., "inodes": n, "inode_bytes": n}, and "passthrough" in that
 * mode.
 */
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
 * Looks @name up in a directory that has its names ("" = the inode that @dirfd is, of any kind), and
 * counts the lookup: after an error of the reply it must be forgotten again.
 */
int fuse_hsm_entry_get(struct fuse_hsm_fs *fs, int dirfd, const char *name,
	struct fuse_entry_param *ret_entry);

/*
 * The same of what was just made: @name in @dirfd, "" = @dirfd itself. @marks: what is known of
 * the new inode, FUSE_HSM_I_*.
 */
int fuse_hsm_entry_new(struct fuse_hsm_fs *fs, int dirfd, const char *name, uint8_t marks,
	struct fuse_entry_param *ret_entry);

/* Attributes of a directory may be kept once filling it can no longer change them. */
double fuse_hsm_attr_timeout(const struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i);

/* Does the directory have its names? Remembered in the inode once it has. */
bool fuse_hsm_dir_ready(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int dirfd);

/* ---- export.c: answers for file handles of the mount; a lookup is counted ---- */

/* The inode with the node id @id, which the table need not know. -ESTALE: there is none. */
int fuse_hsm_export_self(
	struct fuse_hsm_fs *fs, fuse_ino_t id, struct fuse_entry_param *ret_entry);

/* The directory above @id. -ESTALE: @id is gone, or the root. */
int fuse_hsm_export_parent(
	struct fuse_hsm_fs *fs, fuse_ino_t id, struct fuse_entry_param *ret_entry);

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
void fuse_hsm_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fuse_hsm_op_statx(
	fuse_req_t req, fuse_ino_t ino, int flags, int mask, struct fuse_file_info *fi);
void fuse_hsm_op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
	struct fuse_file_info *fi, unsigned int flags, const void *in, size_t in_bytes,
	size_t out_bytes);
void fuse_hsm_op_write(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *from, off_t offset,
	struct fuse_file_info *fi);
void fuse_hsm_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fuse_hsm_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void fuse_hsm_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi);
void fuse_hsm_op_lseek(
	fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
void fuse_hsm_op_copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t offset,
	struct fuse_file_info *fi, fuse_ino_t to_ino, off_t to_offset,
	struct fuse_file_info *to_fi, size_t length, int flags);
void fuse_hsm_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void fuse_hsm_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void fuse_hsm_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
	size_t size, int flags);
void fuse_hsm_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void fuse_hsm_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi);
void fuse_hsm_op_mknod(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void fuse_hsm_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fuse_hsm_op_symlink(
	fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void fuse_hsm_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t to, const char *to_name);
void fuse_hsm_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);
void fuse_hsm_op_tmpfile(
	fuse_req_t req, fuse_ino_t parent, mode_t mode, struct fuse_file_info *fi);
void fuse_hsm_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fuse_hsm_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fuse_hsm_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to,
	const char *to_name, unsigned int flags);

/* Is the inode behind @fd open for writing? */
bool fuse_hsm_files_written(struct fuse_hsm_fs *fs, int fd);

/* The end: open files, also those of reads that wait, give the core's objects back. */
void fuse_hsm_files_detach(struct fuse_hsm_fs *fs);
/* Frees what the kernel never released. */
void fuse_hsm_files_free(struct fuse_hsm_fs *fs);
void fuse_hsm_dirs_free(struct fuse_hsm_fs *fs);

/* ---- open.c ---- */

/* Descriptor of an open file, for the attributes of one that has no name any more. */
int fuse_hsm_open_fd(const struct fuse_file_info *fi);

/*
 * The regular file @i, which CREATE or TMPFILE has just made or found, becomes an open file. @fd:
 * opened O_RDWR on the private mount without O_APPEND and the like, taken in any case. Fills in @fi
 * for fuse_reply_create(). 0 or -errno. When that reply fails, or is not sent after all:
 * fuse_hsm_open_undo(), because no RELEASE will come.
 */
int fuse_hsm_open_created(
	struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int fd, struct fuse_file_info *fi);
void fuse_hsm_open_undo(struct fuse_file_info *fi);

#endif
