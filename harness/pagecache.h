/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_PAGECACHE_H
#define BENCH_PAGECACHE_H

/* Writes back what the file system of @fd holds. -errno + text. */
int bench_pagecache_sync(int fd);

/*
 * The same, then drops clean pages, dentries and inodes of the whole machine (drop_caches 3).
 * -errno + text.
 */
int bench_pagecache_drop(int fd);

#endif
