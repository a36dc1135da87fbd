/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_URING_H
#define FUSE_HSM_URING_H
/* Requests over io_uring (Linux 6.14) instead of read(2) and write(2) on /dev/fuse. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct fuse_hsm_fs;
struct fuse_hsm_uring;

/*
 * After INIT was answered with FUSE_OVER_IO_URING: one thread and queue per possible CPU, each of
 * fs->mode.uring_depth entries. Returns when the kernel has taken all of them, and has begun
 * to send requests. -errno + text.
 */
int fuse_hsm_uring_new(struct fuse_hsm_fs *fs, struct fuse_hsm_uring **ret_uring);

/* From now on no request is taken; those that wait are still answered. May be NULL. */
void fuse_hsm_uring_stop(struct fuse_hsm_uring *u);

/* Nobody replies any more. What the kernel still waits for ends with the connection. */
void fuse_hsm_uring_free(struct fuse_hsm_uring *u);

/*
 * Sends a reply as libfuse gives it to writev(2), if it answers a request that came over a ring;
 * from any thread. False: it did not, and belongs to /dev/fuse.
 */
bool fuse_hsm_uring_reply(struct fuse_hsm_uring *u, const struct iovec *iov, int count);

/*
 * Room of FUSE_HSM_REQUEST_BYTES from which the reply to this thread's request goes without a
 * copy; NULL when there is none. Good until that request is answered or given away.
 */
char *fuse_hsm_uring_room(void);

/* This thread's request is about to be given to another thread, which will answer it. */
void fuse_hsm_uring_give_away(void);

unsigned int fuse_hsm_uring_queues(const struct fuse_hsm_uring *u);

#endif
