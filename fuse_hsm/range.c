/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that need a range of a file to be there first: those that change it, and copies. */
#include <errno.h>

#include "fuse_hsm/open.h"

int fuse_hsm_open_fill(struct fuse_hsm_open *o, uint64_t offset, uint64_t length,
	enum hsm_fill_why why, hsm_done_fn done, void *arg)
{
	if (o->object)
		return hsm_file_fill(o->object, offset, length, why, done, arg);
	return hsm_fd_fill(o->fs->hsm, o->fd, offset, length, why, done, arg);
}

bool fuse_hsm_range_present(struct fuse_hsm_open *o, uint64_t offset, uint64_t length)
{
	if (fuse_hsm_open_complete(o))
		return true;
	return !o->by_fd && hsm_file_present(o->object, offset, length);
}

/* What the end of the fill means to the request. */
static int outcome(const struct fuse_hsm_range *r, int err)
{
	return r->optional && err != -ECANCELED ? 0 : err;
}

static void range_done(void *arg, int err)
{
	struct fuse_hsm_wait *w = arg;

	fuse_hsm_wait_done(w, outcome(w->object, err));
}

static int begin(struct fuse_hsm_wait *w)
{
	struct fuse_hsm_range *r = w->object;
	int n = fuse_hsm_open_fill(r->file, r->offset, r->length, r->why, range_done, w);

	if (n >= 0)
		return n;
	n = outcome(r, n);
	return n ? n : 1;
}

static int resume(struct fuse_hsm_wait *w)
{
	struct fuse_hsm_range *r = w->object;

	return r->run(r, w->req);
}

static void free_range(struct fuse_hsm_range *r)
{
	if (r->release)
		r->release(r);
	fuse_hsm_open_put(r->file);
	free(r);
}

static void release(struct fuse_hsm_wait *w)
{
	free_range(w->object);
}

int fuse_hsm_range_wait(struct fuse_hsm_range *r, fuse_req_t req, enum fuse_hsm_op op,
	fuse_ino_t ino, uint64_t received_ns)
{
	struct fuse_hsm_wait *w = fuse_hsm_wait_new(r->file->fs, req, op, NULL);

	fuse_hsm_open_get(r->file);
	r->ino = ino;
	r->received_ns = received_ns;
	if (!w) {
		free_range(r);
		return -ENOMEM;
	}
	w->received_ns = received_ns;
	w->ino = ino;
	w->object = r;
	w->begin = begin;
	w->resume = resume;
	w->release = release;
	return fuse_hsm_wait_start(w);
}
