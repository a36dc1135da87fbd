/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/mode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fuse_lowlevel.h>

#include "hsm/util.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define DAY (86400 * HSM_NSEC)

/*
 * A request that waits for the network keeps its place in the ring, and a full ring stops all
 * requests of its CPU, so there must be more places than readers of cold files. Memory is
 * used by the places that are used at the same time: the kernel takes the last one first.
 */
#define URING_DEPTH 64

/*
 * READDIRPLUS always: the kernel's own choice (auto) gives up after the first 32 KiB of a directory
 * unless names are looked up meanwhile. ls -l does that only when it has all names, and a later walk
 * is then served from the kernel's listing: one LOOKUP per name, at ten times the price.
 *
 * base and opt: StackfsBase and StackfsOpt of "To FUSE or Not to FUSE" (FAST'17, section 4), on a
 * current kernel. Their worker limit: the paper's libfuse had none, at most max_background (12)
 * asynchronous requests and those of the applications' threads (32) were there at once.
 * default and passthrough: long timeouts, because nobody else changes the tree.
 */
static const struct fuse_hsm_mode modes[] = {
	{
		.name = "base",
		.help = "StackfsBase of the FAST'17 paper: one thread, 4 KiB WRITEs",
		.request_bytes = 128 * KIB,
		.readahead_bytes = 128 * KIB,
		.threads = 1,
		.max_background = 12,
		.entry_timeout_ns = HSM_NSEC,
		.attr_timeout_ns = HSM_NSEC,
		.page_writes = true,
		.flush = true,
	},
	{
		.name = "opt",
		.help = "StackfsOpt of the same: write-back, splice, 128 KiB WRITEs, threads",
		.request_bytes = 128 * KIB,
		.readahead_bytes = 128 * KIB,
		.threads = 44,
		.max_background = 12,
		.entry_timeout_ns = HSM_NSEC,
		.attr_timeout_ns = HSM_NSEC,
		.writeback = true,
		.splice = true,
		.flush = true,
	},
	{
		.name = "default",
		.help = "a careful file system of today: 1 MiB requests, long timeouts",
		.request_bytes = MIB,
		.readahead_bytes = MIB,
		.threads = 8,
		.max_background = 256,
		.uring_depth = URING_DEPTH,
		.entry_timeout_ns = DAY,
		.attr_timeout_ns = DAY,
		.readdirplus = FUSE_HSM_PLUS_AUTO,
		.keep_cache = true,
		.xattrs = true,
		.modern = true,
	},
	{
		.name = "passthrough",
		.help = "default, and the kernel reads and writes complete files by itself",
		.request_bytes = MIB,
		.readahead_bytes = MIB,
		.threads = 8,
		.max_background = 256,
		.uring_depth = URING_DEPTH,
		.entry_timeout_ns = DAY,
		.attr_timeout_ns = DAY,
		.readdirplus = FUSE_HSM_PLUS_AUTO,
		.keep_cache = true,
		.xattrs = true,
		.fill_in_open_bytes = MIB,
		.modern = true,
		.passthrough = true,
	},
};

const struct fuse_hsm_mode *fuse_hsm_mode_find(const char *name)
{
	for (size_t n = 0; n < HSM_ARRAY_SIZE(modes); n++)
		if (!strcmp(modes[n].name, name))
			return &modes[n];
	return NULL;
}

const char *fuse_hsm_mode_missing(const struct fuse_hsm_mode *m, bool uring)
{
#ifndef FUSE_CAP_PASSTHROUGH
	if (m->passthrough)
		return "this build has a libfuse older than 3.17";
#endif
	if (uring && (m->page_writes || m->splice))
		return "io_uring is for the modes default and passthrough";
	return NULL;
}

char *fuse_hsm_modes_help(void)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	for (size_t n = 0; n < HSM_ARRAY_SIZE(modes); n++)
		fprintf(out, "  %-12s %s\n", modes[n].name, modes[n].help);
	fclose(out);
	return text;
}
