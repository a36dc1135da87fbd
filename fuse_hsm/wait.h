/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_WAIT_H
#define FUSE_HSM_WAIT_H
/*
 * A request that waits for the core without holding a thread. When the fill ends, resume() runs on
 * a thread of the reply pool and replies. A caller that is being killed is let go at once.
 */
#include "fuse_hsm/fs.h"

struct fuse_hsm_wait {
	struct hsm_task task;
	struct fuse_hsm_fs *fs;
	fuse_req_t req;
	enum fuse_hsm_op op;
	uint64_t received_ns;
	_Atomic unsigned int refs; /* the core's callback, the reply */
	_Atomic bool ended; /* by the fill or by a signal, whichever is first */
	int err;

	/*
	 * Starts the fill with fuse_hsm_wait_done; returns what the core returned. A signal may
	 * have ended the request already: only .fd and what release() lets go may be used.
	 */
	int (*begin)(struct fuse_hsm_wait *w);
	/* As a handler; only called if the fill succeeded. */
	int (*resume)(struct fuse_hsm_wait *w);
	/* When neither can run any more; may be NULL. */
	void (*release)(struct fuse_hsm_wait *w);

	int fd; /* for begin; borrowed from the caller of fuse_hsm_wait_start() */
	/* For resume and release. */
	fuse_ino_t ino;
	struct fuse_file_info fi;
	void *object;
	off_t offset;
	size_t size;
	char name[];
};

/* A wait for the request being handled by this thread; @name is copied, may be NULL. */
struct fuse_hsm_wait *fuse_hsm_wait_new(
	struct fuse_hsm_fs *fs, fuse_req_t req, enum fuse_hsm_op op, const char *name);

/* Takes @w. Returns FUSE_HSM_PENDING: the request is out of the caller's hands. */
int fuse_hsm_wait_start(struct fuse_hsm_wait *w);

/* The callback to give to the core, with the wait as its argument. */
void fuse_hsm_wait_done(void *arg, int err);

#endif
