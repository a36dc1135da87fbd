/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading: what is there is answered at once, a range with bytes missing is waited for. */
#include <errno.h>

#include "fuse_hsm/open.h"
#include "fuse_hsm/wait.h"
#include "hsm/util.h"

/* The file's pages go to the kernel through a pipe; an error is replied, too. */
static int splice_read(fuse_req_t req, struct fuse_hsm_open *o, size_t size, off_t offset)
{
	struct fuse_bufvec from = FUSE_BUFVEC_INIT(size);

	from.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	from.buf[0].fd = o->fd;
	from.buf[0].pos = offset;
	fuse_reply_data(req, &from, FUSE_BUF_SPLICE_MOVE);
	return 0;
}

/* All bytes of the range are in the file below. */
static int answer_read(fuse_req_t req, struct fuse_hsm_open *o, size_t size, off_t offset)
{
	char *buf = fuse_hsm_scratch();
	ssize_t n;

	if (o->fs->mode.splice)
		return splice_read(req, o, size, offset);
	if (!buf)
		return -ENOMEM;
	n = pread(o->fd, buf, HSM_MIN(size, FUSE_HSM_REQUEST_BYTES), offset);
	if (n < 0)
		return -errno;
	fuse_reply_buf(req, buf, (size_t)n);
	return 0;
}

static int begin_read(struct fuse_hsm_wait *w)
{
	return fuse_hsm_open_fill(
		w->object, (uint64_t)w->offset, w->size, HSM_FILL_READ, fuse_hsm_wait_done, w);
}

static int resume_read(struct fuse_hsm_wait *w)
{
	fuse_hsm_open_tell_mtime(w->object, w->ino);
	return answer_read(w->req, w->object, w->size, w->offset);
}

static void release_read(struct fuse_hsm_wait *w)
{
	fuse_hsm_open_put(w->object);
}

static int wait_for_range(struct fuse_hsm_fs *fs, fuse_req_t req, fuse_ino_t ino,
	struct fuse_hsm_open *o, size_t size, off_t offset)
{
	struct fuse_hsm_wait *w = fuse_hsm_wait_new(fs, req, FUSE_HSM_OP_READ, NULL);

	if (!w)
		return -ENOMEM;
	fuse_hsm_open_get(o);
	w->ino = ino;
	w->object = o;
	w->size = size;
	w->offset = offset;
	w->begin = begin_read;
	w->resume = resume_read;
	w->release = release_read;
	return fuse_hsm_wait_start(w);
}

static int read_file(struct fuse_hsm_fs *fs, fuse_req_t req, fuse_ino_t ino,
	struct fuse_hsm_open *o, size_t size, off_t offset)
{
	if (o->by_fd)
		return wait_for_range(fs, req, ino, o, size, offset);
	if (o->object && !hsm_file_is_complete(o->object)) {
		if (!hsm_file_present(o->object, (uint64_t)offset, size))
			return wait_for_range(fs, req, ino, o, size, offset);
		/* Present stays present: this only keeps the origin's read-ahead going. */
		hsm_file_fill(o->object, (uint64_t)offset, size, HSM_FILL_READ, NULL, NULL);
	}
	return answer_read(req, o, size, offset);
}

void fuse_hsm_op_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	uint64_t received_ns = fuse_hsm_received_ns;

	fuse_hsm_end(fs, req, FUSE_HSM_OP_READ, received_ns,
		read_file(fs, req, ino, fuse_hsm_open_of(fi), size, offset));
}
