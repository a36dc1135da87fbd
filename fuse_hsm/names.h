/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_NAMES_H
#define FUSE_HSM_NAMES_H
/*
 * A request that makes, moves or removes names. It is run when all directories concerned have
 * their names, because only then is "exists" or "not empty" true: create.c and remove.c say
 * what to do, names.c sees to the directories, waiting without a thread.
 */
#include "fuse_hsm/fs.h"

#define FUSE_HSM_NO_VICTIM (-1)

struct fuse_hsm_names {
	struct fuse_hsm_fs *fs;
	fuse_req_t req;
	enum fuse_hsm_op op;
	uint64_t received_ns;
	struct fuse_hsm_inode *dir[2]; /* the second may be NULL */
	const char *name[2]; /* in them; a symbolic link: name and target */
	/*
	 * Which of the names is removed or replaced: if it is a directory, it must have its own
	 * names first. FUSE_HSM_NO_VICTIM: neither.
	 */
	int victim;
	struct fuse_hsm_inode *object; /* that gets one more link */
	mode_t mode;
	dev_t rdev;
	unsigned int flags; /* of renameat2(2) or unlinkat(2) */
	struct fuse_file_info fi;
	/* As a handler: replies and returns 0, or returns -errno. @fd: of .dir[] */
	int (*run)(struct fuse_hsm_names *n, const int fd[2]);
};

/* The beginning of one, for the request handled by this thread. */
struct fuse_hsm_names fuse_hsm_names_init(
	fuse_req_t req, enum fuse_hsm_op op, fuse_ino_t dir, const char *name);

/* Runs and ends the request; @n and its names are copied if it has to wait. */
void fuse_hsm_names_start(struct fuse_hsm_names *n);

#endif
