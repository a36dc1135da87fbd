/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_OPEN_H
#define FUSE_HSM_OPEN_H
/*
 * Open files, for the handlers that move bytes (read.c, write.c, space.c). A file with bytes
 * missing holds the core's object while it is open; a complete one is a descriptor and nothing else.
 */
#include "fuse_hsm/fs.h"
#include "fuse_hsm/wait.h"

struct fuse_hsm_open {
	struct fuse_hsm_link link; /* in fs->files */
	struct fuse_hsm_fs *fs;
	struct fuse_hsm_inode *inode; /* the kernel keeps it until it was told of the RELEASE */
	_Atomic unsigned int refs; /* the kernel's file, each request that waits */
	_Atomic bool published; /* to threads that get it from the kernel */
	_Atomic bool mtime_told; /* the kernel has the mtime the first fetch may have brought */
	_Atomic bool modified; /* the core knows that a user changes it */
	bool writable; /* .fd is open for writing, too */
	bool needs_daemon; /* its writes must be seen, if possible */
	bool counted; /* in backing.c, until the RELEASE */
	int backing_id; /* > 0: the kernel reads and writes the file below by itself */
	int64_t mtime_ns; /* at open; only known of files with an object, and .by_fd */
	uint64_t size; /* likewise */
	int fd;
	struct hsm_file *object; /* NULL: nothing to fill, or .by_fd */
	bool by_fd; /* too many active objects: ask for each range */
};

static inline struct fuse_hsm_open *fuse_hsm_open_of(const struct fuse_file_info *fi)
{
	struct fuse_hsm_open *o = (struct fuse_hsm_open *)(uintptr_t)fi->fh;

	(void)atomic_load_explicit(&o->published, memory_order_acquire);
	return o;
}

/* Once true it stays: what is open is not evicted. */
static inline bool fuse_hsm_open_complete(const struct fuse_hsm_open *o)
{
	return !o->by_fd && (!o->object || hsm_file_is_complete(o->object));
}

/*
 * The same a moment earlier: readers are answered before the core has written down that nothing
 * is missing. From here on it writes no byte into the file.
 */
static inline bool fuse_hsm_open_filled(const struct fuse_hsm_open *o)
{
	return fuse_hsm_open_complete(o) || (!o->by_fd && hsm_file_present(o->object, 0, 0));
}

/* One more, or one less, request that uses the open file beyond its handler. */
void fuse_hsm_open_get(struct fuse_hsm_open *o);
void fuse_hsm_open_put(struct fuse_hsm_open *o);

/* The object's attributes as the first fetch left them may differ from what the kernel keeps. */
void fuse_hsm_open_tell_mtime(struct fuse_hsm_open *o, fuse_ino_t ino);

/* ---- changes ---- */

/* Before a change through the open file: the first time, the core is told. 0 or -errno. */
int fuse_hsm_open_modify(struct fuse_hsm_open *o);

/*
 * Around a change of bytes: the core does not write into the file meanwhile, and so does not put back
 * an mtime from before the change. Returns what must be given to _unlock().
 */
struct hsm_file *fuse_hsm_open_lock(struct fuse_hsm_open *o);
void fuse_hsm_open_unlock(struct fuse_hsm_open *o, struct hsm_file *locked);

/*
 * Takes the set-user-ID bit, and the set-group-ID bit of a file its group may execute, off a file
 * that somebody without CAP_FSETID changes. The daemon's own privileges keep the file system
 * below from doing it.
 */
void fuse_hsm_open_kill_suid(struct fuse_hsm_open *o, fuse_ino_t ino);

/* Does this OPEN or WRITE ask for it? Only where the kernel and libfuse leave that to us. */
static inline bool fuse_hsm_open_kills_suid(const struct fuse_file_info *fi)
{
#ifdef HSM_HAVE_KILL_SUIDGID
	return fi->kill_suidgid;
#else
	(void)fi;
	return false;
#endif
}

/* ---- ranges that must be there first ---- */

/* What to do once a range of a file is there; first member of what the request needs for it. */
struct fuse_hsm_range {
	struct fuse_hsm_open *file;
	uint64_t offset, length; /* length > 0 */
	enum hsm_fill_why why;
	bool optional; /* run() also when it could not be had */
	/* Replies and returns 0, or -errno, or FUSE_HSM_PENDING, as a handler. */
	int (*run)(struct fuse_hsm_range *r, fuse_req_t req);
	void (*release)(struct fuse_hsm_range *r); /* before it is freed; may be NULL */
	fuse_ino_t ino; /* set by fuse_hsm_range_wait() */
	uint64_t received_ns; /* likewise */
};

/* As hsm_file_fill(), by whichever way @o has to the core. */
int fuse_hsm_open_fill(struct fuse_hsm_open *o, uint64_t offset, uint64_t length,
	enum hsm_fill_why why, hsm_done_fn done, void *arg);

/* Is it there, so that nothing has to wait? */
bool fuse_hsm_range_present(struct fuse_hsm_open *o, uint64_t offset, uint64_t length);

/*
 * Waits without a thread, then runs it. Takes @r, from malloc(3), and a reference of its file.
 * @received_ns: of the request. Returns FUSE_HSM_PENDING or -errno.
 */
int fuse_hsm_range_wait(struct fuse_hsm_range *r, fuse_req_t req, enum fuse_hsm_op op,
	fuse_ino_t ino, uint64_t received_ns);

#endif
