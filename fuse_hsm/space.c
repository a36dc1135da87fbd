/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Space and holes: fallocate, SEEK_HOLE and SEEK_DATA, copy_file_range. The holes of a stub are not
 * its user's holes: what is missing is fetched before anything is punched or copied, and
 * counts as data to who looks for holes.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include "fuse_hsm/open.h"
#include "hsm/util.h"

/* One request copies at most so much, so that no thread is away for long: callers go on. */
#define COPY_MAX_BYTES ((size_t)1 << 30)
/* And if it has to be fetched. */
#define COPY_MAX_MISSING ((size_t)16 << 20)

static bool is_root(fuse_req_t req)
{
	return !fuse_req_ctx(req)->uid;
}

/* ---- fallocate ---- */

struct space_job {
	struct fuse_hsm_range range;
	int mode;
};

/* The kernel takes the set-user-ID bits off for a write only; here it does not say who may keep them. */
static int allocate_now(struct fuse_hsm_open *o, fuse_req_t req, fuse_ino_t ino, int mode,
	off_t offset, off_t length)
{
	struct hsm_file *locked;
	int r = fuse_hsm_open_modify(o);

	if (r)
		return r;
	if (!is_root(req))
		fuse_hsm_open_kill_suid(o, ino);
	locked = fuse_hsm_open_lock(o);
	if (fallocate(o->fd, mode, offset, length))
		r = -errno;
	fuse_hsm_open_unlock(o, locked);
	if (!r)
		fuse_reply_err(req, 0);
	return r;
}

static int run_allocate(struct fuse_hsm_range *r, fuse_req_t req)
{
	struct space_job *job = hsm_container_of(r, struct space_job, range);

	return allocate_now(
		r->file, req, r->ino, job->mode, (off_t)r->offset, (off_t)r->length);
}

static int allocate_later(struct fuse_hsm_open *o, fuse_req_t req, fuse_ino_t ino, int mode,
	off_t offset, off_t length)
{
	struct space_job *job = malloc(sizeof(*job));

	if (!job)
		return -ENOMEM;
	job->range = (struct fuse_hsm_range){
		.file = o,
		.offset = (uint64_t)offset,
		.length = (uint64_t)length,
		.why = HSM_FILL_WRITE,
		.run = run_allocate,
	};
	job->mode = mode;
	return fuse_hsm_range_wait(
		&job->range, req, FUSE_HSM_OP_FALLOCATE, ino, fuse_hsm_received_ns);
}

static int allocate(struct fuse_hsm_open *o, fuse_req_t req, fuse_ino_t ino, int mode,
	off_t offset, off_t length)
{
	bool is_writing = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);

	if (offset < 0 || length <= 0)
		return -EINVAL;
	/* Space alone changes no byte. */
	if (is_writing && !fuse_hsm_range_present(o, (uint64_t)offset, (uint64_t)length))
		return allocate_later(o, req, ino, mode, offset, length);
	return allocate_now(o, req, ino, mode, offset, length);
}

void fuse_hsm_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	uint64_t received_ns = fuse_hsm_received_ns;

	fuse_hsm_end(fs, req, FUSE_HSM_OP_FALLOCATE, received_ns,
		allocate(fuse_hsm_open_of(fi), req, ino, mode, offset, length));
}

/* ---- lseek ---- */

/* While bytes are missing: data up to the size. */
static int seek_in_stub(int fd, off_t offset, int whence, off_t *ret_found)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (offset < 0 || offset >= st.st_size)
		return -ENXIO;
	*ret_found = whence == SEEK_HOLE ? st.st_size : offset;
	return 0;
}

/*
 * -ENOSYS, which the kernel remembers, when it writes back by itself: it does not flush before it asks,
 * so that dirty pages would be holes below. Its own answer is "all data".
 */
static int seek(const struct fuse_hsm_open *o, off_t offset, int whence, off_t *ret_found)
{
	off_t found;

	if (o->fs->mode.writeback)
		return -ENOSYS;
	if (whence != SEEK_HOLE && whence != SEEK_DATA)
		return -EINVAL;
	if (!fuse_hsm_open_complete(o))
		return seek_in_stub(o->fd, offset, whence, ret_found);
	found = lseek(o->fd, offset, whence);
	if (found < 0)
		return -errno;
	*ret_found = found;
	return 0;
}

void fuse_hsm_op_lseek(
	fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	uint64_t received_ns = fuse_hsm_received_ns;
	off_t found = 0;
	int r = seek(fuse_hsm_open_of(fi), offset, whence, &found);

	(void)ino;
	if (!r)
		fuse_reply_lseek(req, found);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_LSEEK, received_ns, r);
}

/* ---- copy_file_range ---- */

struct copy {
	struct fuse_hsm_open *from, *to;
	fuse_ino_t to_ino;
	off_t from_offset, to_offset;
	size_t length;
	bool from_ready, to_ready; /* waited for */
};

struct copy_job {
	struct fuse_hsm_range range;
	struct copy copy;
};

static int copy_now(const struct copy *c, fuse_req_t req)
{
	off_t from_offset = c->from_offset, to_offset = c->to_offset;
	struct hsm_file *locked;
	ssize_t n = fuse_hsm_open_modify(c->to);

	if (n)
		return (int)n;
	if (!is_root(req))
		fuse_hsm_open_kill_suid(c->to, c->to_ino);
	locked = fuse_hsm_open_lock(c->to);
	n = copy_file_range(c->from->fd, &from_offset, c->to->fd, &to_offset, c->length, 0);
	if (n < 0)
		n = -errno;
	fuse_hsm_open_unlock(c->to, locked);
	if (n < 0)
		return (int)n;
	fuse_reply_write(req, (size_t)n);
	return 0;
}

static int copy_range(const struct copy *c, fuse_req_t req, uint64_t received_ns);

static int run_copy(struct fuse_hsm_range *r, fuse_req_t req)
{
	return copy_range(
		&hsm_container_of(r, struct copy_job, range)->copy, req, r->received_ns);
}

static void release_copy(struct fuse_hsm_range *r)
{
	struct copy *c = &hsm_container_of(r, struct copy_job, range)->copy;

	fuse_hsm_open_put(c->from);
	fuse_hsm_open_put(c->to);
}

/* Waits for the range of one of the two files; then it is the other one's turn, or that of the copy. */
static int copy_later(const struct copy *c, struct fuse_hsm_open *o, off_t offset,
	enum hsm_fill_why why, fuse_req_t req, uint64_t received_ns)
{
	struct copy_job *job = malloc(sizeof(*job));

	if (!job)
		return -ENOMEM;
	fuse_hsm_open_get(c->from);
	fuse_hsm_open_get(c->to);
	job->copy = *c;
	job->range = (struct fuse_hsm_range){
		.file = o,
		.offset = (uint64_t)offset,
		.length = c->length,
		.why = why,
		.run = run_copy,
		.release = release_copy,
	};
	return fuse_hsm_range_wait(
		&job->range, req, FUSE_HSM_OP_COPY_FILE_RANGE, c->to_ino, received_ns);
}

static int copy_range(const struct copy *c, fuse_req_t req, uint64_t received_ns)
{
	struct copy next = *c;

	next.length = HSM_MIN(c->length, COPY_MAX_MISSING);
	next.from_ready = c->from_ready || !c->length ||
			  fuse_hsm_range_present(c->from, (uint64_t)c->from_offset, c->length);
	if (!next.from_ready) {
		next.from_ready = true;
		return copy_later(
			&next, c->from, c->from_offset, HSM_FILL_READ, req, received_ns);
	}
	next.to_ready = c->to_ready || !c->length ||
			fuse_hsm_range_present(c->to, (uint64_t)c->to_offset, c->length);
	if (!next.to_ready) {
		next.to_ready = true;
		return copy_later(&next, c->to, c->to_offset, HSM_FILL_WRITE, req, received_ns);
	}
	return copy_now(c, req);
}

void fuse_hsm_op_copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t offset,
	struct fuse_file_info *fi, fuse_ino_t to_ino, off_t to_offset,
	struct fuse_file_info *to_fi, size_t length, int flags)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	uint64_t received_ns = fuse_hsm_received_ns;
	struct copy c = {
		.from = fuse_hsm_open_of(fi),
		.to = fuse_hsm_open_of(to_fi),
		.to_ino = to_ino,
		.from_offset = offset,
		.to_offset = to_offset,
		.length = HSM_MIN(length, COPY_MAX_BYTES),
	};

	(void)ino;
	fuse_hsm_end(fs, req, FUSE_HSM_OP_COPY_FILE_RANGE, received_ns,
		flags ? -EINVAL : copy_range(&c, req, received_ns));
}
