/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_MOUNTS_H
#define BENCH_MOUNTS_H
/*
 * Mounts of this namespace, read from mountinfo: nothing here touches a mounted tree, which
 * may hang.
 */
#include <stdbool.h>

struct bench_mount {
	char *path, *type, *options; /* options: of the super block */
	unsigned int dev_minor;
};

/*
 * Topmost mount at exactly @path; false if there is none. Free the members with
 * bench_mount_release().
 */
bool bench_mount_find(const char *path, struct bench_mount *ret_m);
void bench_mount_release(struct bench_mount *m);

/* Newest mount at or below @dir, owned path; NULL if there is none. */
char *bench_mount_below(const char *dir);

/*
 * Unmounts all that is mounted at @path. FUSE connections are aborted first: nobody may be
 * left waiting. Busy mounts are tried for 5 s, then detached. 0 = nothing is mounted there;
 * -errno + text.
 */
int bench_mount_end(const char *path);

#endif
