/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_CONN_H
#define FUSE_HSM_CONN_H
/*
 * The connection to the kernel: what is asked for in INIT, and what was agreed on. A mode that the
 * kernel does not grant is an error, never something else in silence.
 */
#include <fuse_lowlevel.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct fuse_hsm_fs;
struct fuse_hsm_uring;

/* Written before the first request after INIT, then constant. */
struct fuse_hsm_conn {
	uint64_t offered, agreed; /* FUSE_* flags of INIT: the kernel's, and our reply */
	uint32_t protocol_minor; /* the kernel's, major is 7 */
	uint32_t max_write, max_pages, max_readahead, max_background; /* of our reply */
	uint32_t splice; /* FUSE_CAP_SPLICE_* that libfuse uses */
	struct fuse_hsm_uring *uring; /* owned; NULL = all requests come from /dev/fuse */
};

/* The init operation. */
void fuse_hsm_conn_init(void *userdata, struct fuse_conn_info *conn);

/*
 * On a mounted session, before any thread reads from it: answers INIT and starts the rings.
 * -errno + text if the kernel or libfuse do not give what the mode is about.
 */
int fuse_hsm_conn_open(struct fuse_hsm_fs *fs);

/* Was the libfuse in use built with custom I/O? Rings need it. Says what libfuse says, if not. */
bool fuse_hsm_conn_has_custom_io(void);

/* {"protocol": ..., "mode": ..., "transport": ..., "flags": [...], ...}; owned. */
json_t *fuse_hsm_conn_json(const struct fuse_hsm_fs *fs);

#endif
