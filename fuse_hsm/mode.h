/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_MODE_H
#define FUSE_HSM_MODE_H
/*
 * How the daemon talks to the kernel. A mode is a row of values, so that what is compared can be
 * read in one place; command line options replace single values of the row in use.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fuse_hsm_readdirplus {
	FUSE_HSM_PLUS_OFF,
	FUSE_HSM_PLUS_AUTO, /* the kernel's choice: where names are looked up, too */
	FUSE_HSM_PLUS_ALWAYS,
};

struct fuse_hsm_mode {
	const char *name;
	const char *help;
	size_t request_bytes; /* largest READ, WRITE and READDIR */
	size_t readahead_bytes; /* of the mount's device */
	unsigned int threads; /* that take requests */
	unsigned int max_background; /* requests nobody waits for, in the kernel */
	unsigned int uring_depth; /* requests of one CPU a ring holds until they are answered */
	uint64_t entry_timeout_ns, attr_timeout_ns; /* how long the kernel keeps them */
	enum fuse_hsm_readdirplus readdirplus;
	uint64_t fill_in_open_bytes; /* passthrough: smaller files are filled by their open */
	bool page_writes; /* each write(2) is cut into WRITEs of one page, as without big_writes */
	bool writeback; /* the kernel collects writes, and knows size and times best */
	bool splice; /* data through pipes instead of a copy */
	bool keep_cache; /* pages and listings survive the close */
	bool flush; /* FLUSH at each close(2) is asked of the daemon */
	bool xattrs; /* no = ENOSYS, so the kernel asks once */
	bool modern; /* also what came after the paper: parallel directory operations, ACLs, ... */
	bool passthrough; /* complete files are read and written without the daemon */
};

/* By name; NULL if there is none. */
const struct fuse_hsm_mode *fuse_hsm_mode_find(const char *name);

/* Why this build cannot do @m (with @uring: over io_uring); NULL if it can. */
const char *fuse_hsm_mode_missing(const struct fuse_hsm_mode *m, bool uring);

/* For the help: each mode a line. Returns an allocated string, owned. */
char *fuse_hsm_modes_help(void);

#endif
