/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_SERVE_H
#define FUSE_HSM_SERVE_H
/* The threads that take requests from the kernel. */
#include <fuse_lowlevel.h>

struct fuse_hsm_server;

/*
 * Starts @threads threads on a mounted session. @ended is called once, from one of them, when the
 * kernel has no more requests: somebody unmounted it.
 */
int fuse_hsm_server_new(struct fuse_session *session, unsigned int threads, void (*ended)(void),
	struct fuse_hsm_server **ret_server);

/* Ends the threads, also those that wait in read(2); requests in the kernel stay there. */
void fuse_hsm_server_free(struct fuse_hsm_server *s);

#endif
