/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing. The offset is the kernel's, also for O_APPEND. A file with bytes missing is written where
 * the chunks touched are there, and not while the core writes into it; the rest of it still
 * comes from the origin.
 */
#include <errno.h>
#include <string.h>

#include "fuse_hsm/open.h"
#include "hsm/util.h"

/* What a write needs while it waits; the request's own bytes live no longer than its handler. */
struct write_job {
	struct fuse_hsm_range range;
	bool kill_suid;
	char bytes[];
};

/* As many bytes as fit, or -errno if none does. */
static ssize_t pwrite_most(int fd, const char *bytes, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(fd, bytes + done, size - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 && !done)
			return n ? -errno : -EIO;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* From memory, or from a pipe into which the kernel's pages were spliced. */
static ssize_t copy_bytes(int fd, struct fuse_bufvec *from, off_t offset)
{
	size_t size = fuse_buf_size(from);
	struct fuse_bufvec to = FUSE_BUFVEC_INIT(size);

	if (from->count == 1 && !(from->buf[0].flags & FUSE_BUF_IS_FD))
		return pwrite_most(fd, from->buf[0].mem, size, offset);
	to.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	to.buf[0].fd = fd;
	to.buf[0].pos = offset;
	return fuse_buf_copy(&to, from, 0);
}

/* All bytes the range had are there. */
static int write_now(struct fuse_hsm_open *o, fuse_req_t req, fuse_ino_t ino,
	struct fuse_bufvec *from, off_t offset, bool kill_suid)
{
	struct hsm_file *locked;
	ssize_t n = fuse_hsm_open_modify(o);

	if (n)
		return (int)n;
	if (kill_suid)
		fuse_hsm_open_kill_suid(o, ino);
	locked = fuse_hsm_open_lock(o);
	n = copy_bytes(o->fd, from, offset);
	fuse_hsm_open_unlock(o, locked);
	if (n < 0)
		return (int)n;
	fuse_reply_write(req, (size_t)n);
	return 0;
}

static int run_write(struct fuse_hsm_range *r, fuse_req_t req)
{
	struct write_job *job = hsm_container_of(r, struct write_job, range);
	struct fuse_bufvec from = FUSE_BUFVEC_INIT(r->length);

	from.buf[0].mem = job->bytes;
	return write_now(r->file, req, r->ino, &from, (off_t)r->offset, job->kill_suid);
}

static int write_later(struct fuse_hsm_open *o, fuse_req_t req, fuse_ino_t ino,
	struct fuse_bufvec *from, off_t offset, bool kill_suid)
{
	size_t size = fuse_buf_size(from);
	struct fuse_bufvec to = FUSE_BUFVEC_INIT(size);
	struct write_job *job = malloc(sizeof(*job) + size);

	if (!job)
		return -ENOMEM;
	to.buf[0].mem = job->bytes;
	if (fuse_buf_copy(&to, from, 0) != (ssize_t)size) {
		free(job);
		return -EIO;
	}
	job->range = (struct fuse_hsm_range){
		.file = o,
		.offset = (uint64_t)offset,
		.length = size,
		.why = HSM_FILL_WRITE,
		.run = run_write,
	};
	job->kill_suid = kill_suid;
	return fuse_hsm_range_wait(
		&job->range, req, FUSE_HSM_OP_WRITE, ino, fuse_hsm_received_ns);
}

static int write_file(struct fuse_hsm_open *o, fuse_req_t req, fuse_ino_t ino,
	struct fuse_bufvec *from, off_t offset, bool kill_suid)
{
	size_t size = fuse_buf_size(from);

	if (size && !fuse_hsm_range_present(o, (uint64_t)offset, size))
		return write_later(o, req, ino, from, offset, kill_suid);
	return write_now(o, req, ino, from, offset, kill_suid);
}

void fuse_hsm_op_write(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *from, off_t offset,
	struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	uint64_t received_ns = fuse_hsm_received_ns;

	fuse_hsm_end(fs, req, FUSE_HSM_OP_WRITE, received_ns,
		write_file(fuse_hsm_open_of(fi), req, ino, from, offset,
			fuse_hsm_open_kills_suid(fi)));
}

/* ---- flush, fsync ---- */

/* Modes without FLUSH never get one: fill_reply() in open.c says so. */
void fuse_hsm_op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	(void)ino, (void)fi;
	fuse_reply_err(req, 0);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_FLUSH, fuse_hsm_received_ns, 0);
}

void fuse_hsm_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	uint64_t received_ns = fuse_hsm_received_ns;
	int r = hsm_fd_sync(fs->hsm, fuse_hsm_open_fd(fi), datasync);

	(void)ino;
	if (!r)
		fuse_reply_err(req, 0);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_FSYNC, received_ns, r);
}
