/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_SERVE_H
#define FUSE_HSM_SERVE_H
/* The threads that take requests from the kernel. */
#include "fuse_hsm/fs.h"

struct fuse_hsm_server;

/*
 * Agrees with the kernel on fs->mode and fs->uring, then starts fs->mode.threads threads on the
 * mounted session, and those of the rings. @ended is called once, from one of them, when the kernel
 * has no more requests: somebody unmounted it. -errno + text, also when the kernel does not
 * grant what was asked for.
 */
int fuse_hsm_server_new(
	struct fuse_hsm_fs *fs, void (*ended)(void), struct fuse_hsm_server **ret_server);

/*
 * No thread takes requests any more, also those that waited for one; what is in the kernel stays
 * there, and requests that wait for the core can still be answered. May be NULL.
 */
void fuse_hsm_server_stop(struct fuse_hsm_server *s);

/* After the last reply, on a stopped server. May be NULL. */
void fuse_hsm_server_free(struct fuse_hsm_server *s);

#endif
