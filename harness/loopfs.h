/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_LOOPFS_H
#define BENCH_LOOPFS_H
/* A freshly made file system on a loop device over a sparse file. */
#include <stdint.h>

#include "harness/state.h"

struct bench_loopfs {
	char *image, *device, *path; /* of the sparse file, /dev/loopN, mount point */
};

/* "xfs", "ext4", "btrfs": 0, else -EINVAL + text. */
int bench_loopfs_check(const char *type);

/* How it is made and mounted, for the record; static strings. */
const char *bench_loopfs_mkfs(const char *type);
const char *bench_loopfs_options(const char *type);

/*
 * Makes DIR/fs.img of @bytes, formats it, attaches it (direct I/O where the host allows) and
 * mounts it on DIR/fs. What it takes is pushed on @held, also if it fails; bench_release()
 * gives it back. -errno + text. Free the strings with bench_loopfs_free().
 */
int bench_loopfs_make(struct bench_state *held, const char *dir, const char *type,
	uint64_t bytes, struct bench_loopfs *ret_fs);
void bench_loopfs_free(struct bench_loopfs *fs);

/* Bytes read from the device since it was attached. */
uint64_t bench_loopfs_read_bytes(const struct bench_loopfs *fs);

/* Detaches @device if @image is still what it shows. 0; -errno + text. */
int bench_loop_detach(const char *device, const char *image);

#endif
