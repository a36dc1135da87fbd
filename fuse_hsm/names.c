/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse_hsm/wait.h"
#include "hsm/util.h"

struct opened {
	struct fuse_hsm_dirfd *dir[2];
	int victim_fd;
};

struct fuse_hsm_names fuse_hsm_names_init(
	fuse_req_t req, enum fuse_hsm_op op, fuse_ino_t dir, const char *name)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	return (struct fuse_hsm_names){
		.fs = fs,
		.req = req,
		.op = op,
		.received_ns = fuse_hsm_received_ns,
		.dir = {fuse_hsm_inode_find(fs->inodes, dir), NULL},
		.name = {name, NULL},
		.victim = FUSE_HSM_NO_VICTIM,
	};
}

/* ---- waiting ---- */

static int run_when_ready(struct fuse_hsm_names *n);

/* @n with names of its own, owned. */
static struct fuse_hsm_names *copy(const struct fuse_hsm_names *n)
{
	size_t bytes[2] = {strlen(n->name[0]) + 1, n->name[1] ? strlen(n->name[1]) + 1 : 0};
	struct fuse_hsm_names *c = malloc(sizeof(*c) + bytes[0] + bytes[1]);
	char *room = (char *)(c + 1);

	if (!c)
		return NULL;
	*c = *n;
	for (int i = 0; i < 2; i++) {
		if (!n->name[i])
			continue;
		c->name[i] = memcpy(room, n->name[i], bytes[i]);
		room += bytes[i];
	}
	return c;
}

static int begin_fill(struct fuse_hsm_wait *w)
{
	return hsm_dir_fill(w->fs->hsm, w->fd, fuse_hsm_wait_done, w);
}

/* From the start: another directory of the request may still be without names. */
static int resume(struct fuse_hsm_wait *w)
{
	return run_when_ready(w->object);
}

static void release(struct fuse_hsm_wait *w)
{
	free(w->object);
}

static int wait_for(const struct fuse_hsm_names *n, int dirfd)
{
	struct fuse_hsm_names *own = copy(n);
	struct fuse_hsm_wait *w = own ? fuse_hsm_wait_new(n->fs, n->req, n->op, NULL) : NULL;

	if (!w) {
		free(own);
		return -ENOMEM;
	}
	w->received_ns = n->received_ns;
	w->object = own;
	w->fd = dirfd;
	w->begin = begin_fill;
	w->resume = resume;
	w->release = release;
	return fuse_hsm_wait_start(w);
}

/* ---- the directories ---- */

static int open_dirs(struct fuse_hsm_names *n, struct opened *o)
{
	int r = 0;

	for (int i = 0; i < 2 && n->dir[i] && !r; i++)
		r = fuse_hsm_dirfd_get(n->fs->dirfds, n->dir[i], &o->dir[i]);
	return r;
}

static void close_dirs(struct opened *o)
{
	hsm_util_close_fd(&o->victim_fd);
	fuse_hsm_dirfd_put(o->dir[0]);
	fuse_hsm_dirfd_put(o->dir[1]);
}

/*
 * What is going to lose a name; -1: nothing is there. For a directory a descriptor that can tell
 * its state.
 */
static int open_victim(const struct fuse_hsm_names *n, int dirfd)
{
	const char *name = n->name[n->victim];
	int fd = -1;

	errno = ENOTDIR;
	if (n->op != FUSE_HSM_OP_UNLINK)
		fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

/* A directory of the origin that nobody has looked into is empty only here. */
static bool victim_ready(struct fuse_hsm_names *n, struct opened *o)
{
	if (n->victim == FUSE_HSM_NO_VICTIM)
		return true;
	o->victim_fd = open_victim(n, o->dir[n->victim]->fd);
	return o->victim_fd < 0 || n->op == FUSE_HSM_OP_UNLINK ||
	       hsm_dir_state(n->fs->hsm, o->victim_fd) != HSM_DIR_UNPOPULATED;
}

/* Who still refers to an inode without a name must find it. */
static void keep_victim(struct fuse_hsm_names *n, struct opened *o)
{
	struct stat st;

	if (o->victim_fd < 0 || fstat(o->victim_fd, &st))
		return;
	if (S_ISDIR(st.st_mode) || !st.st_nlink)
		fuse_hsm_inode_removed(n->fs->inodes, st.st_ino, hsm_take_fd(o->victim_fd));
}

/* The descriptor of a directory that must be filled first; -1 = none. */
static int find_unready(struct fuse_hsm_names *n, struct opened *o)
{
	for (int i = 0; i < 2 && n->dir[i]; i++)
		if (!fuse_hsm_dir_ready(n->fs, n->dir[i], o->dir[i]->fd))
			return o->dir[i]->fd;
	return victim_ready(n, o) ? -1 : o->victim_fd;
}

static int run_with(struct fuse_hsm_names *n, struct opened *o)
{
	int fd[2] = {o->dir[0]->fd, o->dir[1] ? o->dir[1]->fd : -1};
	int unready = find_unready(n, o), r;

	if (unready >= 0)
		return wait_for(n, unready);
	r = n->run(n, fd);
	if (!r)
		keep_victim(n, o);
	return r;
}

static int run_when_ready(struct fuse_hsm_names *n)
{
	struct opened o = {.victim_fd = -1};
	int r = open_dirs(n, &o);

	if (!r)
		r = run_with(n, &o);
	close_dirs(&o);
	return r;
}

void fuse_hsm_names_start(struct fuse_hsm_names *n)
{
	fuse_hsm_end(n->fs, n->req, n->op, n->received_ns,
		n->fs->read_only ? -EROFS : run_when_ready(n));
}
