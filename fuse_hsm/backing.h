/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_BACKING_H
#define FUSE_HSM_BACKING_H
/*
 * Passthrough: which open files the kernel reads and writes without the daemon. An inode is either
 * in use through the kernel's cache or passed through, never both (docs/fuse.md has the kernel's
 * rules), so the opens of each inode are counted from the decision to the RELEASE. There
 * is an object only for inodes that are open.
 */
#include <jansson.h>

#include "fuse_hsm/open.h"

struct fuse_hsm_backings;

/* @session: borrowed, mounted before the first open. NULL when out of memory. */
struct fuse_hsm_backings *fuse_hsm_backings_new(struct fuse_session *session);

/* Also forgets what the kernel never released. NULL is fine. */
void fuse_hsm_backings_free(struct fuse_hsm_backings *b);

/*
 * Decides for a file that is about to be open, whose .fd is its inode's; sets .backing_id and .counted.
 * Complete files are passed through unless somebody has the inode open in cached mode, or the daemon
 * needs to see the writes; where others are passed through already, so is this one in any case.
 * 0, or -ENOMEM with nothing counted.
 */
int fuse_hsm_backing_open(struct fuse_hsm_backings *b, struct fuse_hsm_open *o);

/* At its RELEASE, or when the open came to nothing; before .fd is closed. */
void fuse_hsm_backing_close(struct fuse_hsm_backings *b, struct fuse_hsm_open *o);

/*
 * Is the inode open for writing and passed through? Then the kernel does not see what is
 * stored through mappings, and must not keep the times.
 */
bool fuse_hsm_backing_changing(struct fuse_hsm_backings *b, const struct fuse_hsm_inode *i);

/* A file was filled inside its open. */
void fuse_hsm_backing_count_filled(struct fuse_hsm_backings *b);

/* {"opens": n, "cached_opens": n, "filled_in_open": n, "refused": n}; owned. */
json_t *fuse_hsm_backings_json(struct fuse_hsm_backings *b);

#endif
