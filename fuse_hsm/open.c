/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Open files: how they come to be, what they hold, how they end. */
#include "fuse_hsm/open.h"

#include <errno.h>
#include <sys/stat.h>

#include "fuse_hsm/backing.h"
#include "fuse_hsm/fuse_compat.h"
#include "hsm/util.h"

int fuse_hsm_open_fd(const struct fuse_file_info *fi)
{
	return fuse_hsm_open_of(fi)->fd;
}

static void put_object(struct fuse_hsm_fs *fs, struct hsm_file *object)
{
	fs->held_objects--;
	hsm_file_put(object);
}

static void free_open(struct fuse_hsm_open *o)
{
	fuse_hsm_list_del(&o->fs->files, &o->link);
	if (o->object)
		put_object(o->fs, o->object);
	hsm_util_close_fd(&o->fd);
	free(o);
}

void fuse_hsm_open_get(struct fuse_hsm_open *o)
{
	o->refs++;
}

void fuse_hsm_open_put(struct fuse_hsm_open *o)
{
	if (!--o->refs)
		free_open(o);
}

static struct fuse_hsm_open *of_link(struct fuse_hsm_link *link)
{
	return hsm_container_of(link, struct fuse_hsm_open, link);
}

bool fuse_hsm_files_written(struct fuse_hsm_fs *fs, int fd)
{
	struct fuse_hsm_link *link;
	struct stat want, st;
	bool found = false;

	if (fstat(fd, &want))
		return false;
	pthread_mutex_lock(&fs->files.lock);
	for (link = fs->files.first; link && !found; link = link->next)
		found = of_link(link)->writable && !fstat(of_link(link)->fd, &st) &&
			st.st_ino == want.st_ino;
	pthread_mutex_unlock(&fs->files.lock);
	return found;
}

static struct hsm_file *take_any_object(struct fuse_hsm_fs *fs)
{
	struct fuse_hsm_link *link;
	struct hsm_file *object = NULL;

	pthread_mutex_lock(&fs->files.lock);
	for (link = fs->files.first; link && !object; link = link->next)
		object = hsm_take_ptr(of_link(link)->object);
	pthread_mutex_unlock(&fs->files.lock);
	return object;
}

/* Not under the lock: giving back an object can end a wait, and with it another file. */
void fuse_hsm_files_detach(struct fuse_hsm_fs *fs)
{
	struct hsm_file *object;

	while ((object = take_any_object(fs)))
		put_object(fs, object);
}

void fuse_hsm_files_free(struct fuse_hsm_fs *fs)
{
	while (fs->files.first)
		free_open(of_link(fs->files.first));
}

/* ---- what it holds ---- */

/*
 * An index that rounds times gives a stub an mtime which the first fetch corrects. The kernel keeps
 * attributes for long, so it must be told before it gets data.
 */
void fuse_hsm_open_tell_mtime(struct fuse_hsm_open *o, fuse_ino_t ino)
{
	struct stat st;

	if (atomic_exchange(&o->mtime_told, true) || fstat(o->fd, &st))
		return;
	if (hsm_timespec_to_ns(st.st_mtim) != o->mtime_ns)
		fuse_lowlevel_notify_inval_inode(o->fs->session, ino, -1, 0);
}

/*
 * As hsm_file_get(), into the open file, but 0 as soon as all bytes are there, and -EAGAIN before
 * files that are open take all places of the core: requests of later ones would wait for a close.
 */
static int hold_object(struct fuse_hsm_open *o)
{
	struct hsm_file *object;
	int r = hsm_file_get(o->fs->hsm, o->fd, &object);

	if (r <= 0)
		return r;
	if (hsm_file_present(object, 0, 0)) {
		hsm_file_put(object);
		return 0;
	}
	if (o->fs->held_objects++ < hsm_files_max(o->fs->hsm) / 2) {
		o->object = object;
		return r;
	}
	put_object(o->fs, object);
	return -EAGAIN;
}

/* After the descriptor was opened: from then on nothing can be evicted, and the mark is true. */
static int attach_object(struct fuse_hsm_open *o)
{
	struct stat st;
	int r;

	if (fuse_hsm_inode_is(o->inode, FUSE_HSM_I_COMPLETE))
		return 0;
	r = hold_object(o);
	if (!r)
		fuse_hsm_inode_mark(o->inode, FUSE_HSM_I_COMPLETE);
	o->by_fd = r == -EAGAIN;
	if (r < 0 && !o->by_fd)
		return r;
	if (fstat(o->fd, &st))
		return -errno;
	o->mtime_ns = hsm_timespec_to_ns(st.st_mtim);
	o->size = (uint64_t)st.st_size;
	return 0;
}

/* Takes @fd in any case. */
static int new_open(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int fd, bool writable,
	struct fuse_hsm_open **ret_open)
{
	struct fuse_hsm_open *o = calloc(1, sizeof(*o));
	int r;

	if (!o) {
		close(fd);
		return -ENOMEM;
	}
	o->refs = 1;
	o->fs = fs;
	o->inode = i;
	o->fd = fd;
	o->writable = writable;
	fuse_hsm_list_add(&fs->files, &o->link);
	r = attach_object(o);
	if (r) {
		fuse_hsm_open_put(o);
		return r;
	}
	*ret_open = o;
	return 0;
}

/* ---- changes ---- */

int fuse_hsm_open_modify(struct fuse_hsm_open *o)
{
	int r;

	if (o->modified)
		return 0;
	r = hsm_fd_modified(o->fs->hsm, o->fd);
	if (!r)
		o->modified = true;
	return r;
}

/* No object and no place for one: then nobody is filling the file, and there is nothing to lock. */
struct hsm_file *fuse_hsm_open_lock(struct fuse_hsm_open *o)
{
	struct hsm_file *object = o->object;

	if (fuse_hsm_open_complete(o))
		return NULL;
	if (o->by_fd && hsm_file_get(o->fs->hsm, o->fd, &object) <= 0)
		return NULL;
	hsm_file_lock(object);
	return object;
}

void fuse_hsm_open_unlock(struct fuse_hsm_open *o, struct hsm_file *locked)
{
	if (!locked)
		return;
	hsm_file_unlock(locked);
	if (o->by_fd)
		hsm_file_put(locked);
}

/* Without group execution S_ISGID is no such bit. */
static mode_t set_id_bits(mode_t mode)
{
	return mode & (mode & S_IXGRP ? S_ISUID | S_ISGID : S_ISUID);
}

void fuse_hsm_open_kill_suid(struct fuse_hsm_open *o, fuse_ino_t ino)
{
	struct stat st;

	if (fstat(o->fd, &st) || !set_id_bits(st.st_mode))
		return;
	if (fchmod(o->fd, st.st_mode & 07777 & ~set_id_bits(st.st_mode)))
		return;
	/* The next exec looks at the mode the kernel keeps. */
	fuse_lowlevel_notify_inval_inode(o->fs->session, ino, -1, 0);
}

/* ---- the reply to OPEN and CREATE ---- */

/*
 * Where the daemon takes set-id bits off (HANDLE_KILLPRIV_V2), the kernel does not do it for a
 * write that is passed through. Nor can the daemon, so it keeps such a file for itself; where
 * others have it passed through already, opening it for writing counts as the write.
 */
static bool has_set_id(const struct fuse_hsm_open *o)
{
	struct stat st;

	return o->writable && !fstat(o->fd, &st) && set_id_bits(st.st_mode);
}

/* Passed through, the daemon sees no writes: the file counts as changed from now on. */
static int start_io(struct fuse_hsm_open *o, fuse_ino_t ino, bool is_root)
{
	int r;

	if (!o->fs->backings)
		return 0;
	o->needs_daemon = has_set_id(o);
	r = fuse_hsm_backing_open(o->fs->backings, o);
	if (r || !o->backing_id || !o->writable)
		return r;
	if (o->needs_daemon && !is_root)
		fuse_hsm_open_kill_suid(o, ino);
	return fuse_hsm_open_modify(o);
}

static void end_io(struct fuse_hsm_open *o)
{
	if (o->fs->backings)
		fuse_hsm_backing_close(o->fs->backings, o);
	fuse_hsm_open_put(o);
}

/*
 * Pages stay good from one open to the next, because all changes go through the kernel that has
 * them; but not where some opens are passed through, whose writes do not touch the pages.
 */
static void fill_reply(struct fuse_hsm_open *o, struct fuse_file_info *fi)
{
	atomic_store_explicit(&o->published, true, memory_order_release);
	fi->fh = (uint64_t)(uintptr_t)o;
	fi->keep_cache = o->fs->mode.keep_cache && !o->fs->backings;
	fi->noflush = !o->fs->mode.flush;
#ifdef FUSE_CAP_PASSTHROUGH
	fi->backing_id = o->backing_id;
#endif
}

/* Takes the reference. */
static int reply_open(
	struct fuse_hsm_open *o, fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	int r = start_io(o, ino, !fuse_req_ctx(req)->uid);

	if (r) {
		end_io(o);
		return r;
	}
	/* What the kernel keeps of an inode it now changes by itself is read again. */
	if (o->backing_id && o->writable)
		fuse_lowlevel_notify_inval_inode(o->fs->session, ino, -1, 0);
	fill_reply(o, fi);
	/* An error means that no RELEASE will come. */
	if (fuse_reply_open(req, fi))
		end_io(o);
	return 0;
}

int fuse_hsm_open_created(
	struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, int fd, struct fuse_file_info *fi)
{
	struct fuse_hsm_open *o;
	int r = new_open(fs, i, fd, true, &o);

	if (r)
		return r;
	/* Local from birth: there is nothing to tell the core at the first write. */
	o->modified = true;
	r = start_io(o, fuse_hsm_inode_id(fs->inodes, i), false);
	if (r) {
		end_io(o);
		return r;
	}
	fill_reply(o, fi);
	return 0;
}

void fuse_hsm_open_undo(struct fuse_file_info *fi)
{
	end_io(fuse_hsm_open_of(fi));
}

/* ---- what OPEN has to do first ---- */

struct open_job {
	struct fuse_hsm_range range;
	struct fuse_file_info fi;
};

/* The kernel says who, if it left that to us; else it only looks after write(2) and truncate(2). */
static bool loses_suid(struct fuse_hsm_fs *fs, fuse_req_t req, const struct fuse_file_info *fi)
{
	if (fs->conn.agreed & FUSE_HANDLE_KILLPRIV_V2)
		return fuse_hsm_open_kills_suid(fi);
	return fuse_req_ctx(req)->uid;
}

/* O_TRUNC: to nothing, and nothing of the origin comes back. */
static int empty_file(struct fuse_hsm_open *o, fuse_req_t req, fuse_ino_t ino,
	const struct fuse_file_info *fi)
{
	int r = hsm_fd_truncate(o->fs->hsm, o->fd, 0);

	if (r)
		return r;
	o->modified = true;
	if (loses_suid(o->fs, req, fi))
		fuse_hsm_open_kill_suid(o, ino);
	return 0;
}

/* Takes the reference. */
static int finish_open(
	struct fuse_hsm_open *o, fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	int r = fi->flags & O_TRUNC ? empty_file(o, req, ino, fi) : 0;

	if (r) {
		fuse_hsm_open_put(o);
		return r;
	}
	return reply_open(o, req, ino, fi);
}

static int run_open(struct fuse_hsm_range *r, fuse_req_t req)
{
	struct open_job *job = hsm_container_of(r, struct open_job, range);

	struct fuse_hsm_open *o = r->file;

	/* Nobody else has this one yet. */
	if (o->by_fd && hold_object(o) >= 0)
		o->by_fd = false;
	if (o->object && fuse_hsm_open_filled(o))
		put_object(o->fs, hsm_take_ptr(o->object));
	if (fuse_hsm_open_filled(o))
		fuse_hsm_backing_count_filled(o->fs->backings);
	fuse_hsm_open_tell_mtime(o, r->ino);
	fuse_hsm_open_get(o);
	return finish_open(o, req, r->ino, &job->fi);
}

static int fill_in_open(struct fuse_hsm_open *o, fuse_req_t req, fuse_ino_t ino,
	const struct fuse_file_info *fi)
{
	struct open_job *job = calloc(1, sizeof(*job));
	int r = -ENOMEM;

	if (job) {
		job->range.file = o;
		job->range.length = o->size;
		job->range.why = HSM_FILL_ALL;
		job->range.optional = true;
		job->range.run = run_open;
		job->fi = *fi;
		r = fuse_hsm_range_wait(
			&job->range, req, FUSE_HSM_OP_OPEN, ino, fuse_hsm_received_ns);
	}
	fuse_hsm_open_put(o);
	return r;
}

/* One round trip to the origin, and the kernel can do the rest. Small files only. */
static bool is_filled_in_open(const struct fuse_hsm_open *o)
{
	return o->fs->backings && !fuse_hsm_open_filled(o) && o->size &&
	       o->size <= o->fs->mode.fill_in_open_bytes;
}

static int open_inode(
	struct fuse_hsm_fs *fs, fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_hsm_inode *i = fuse_hsm_inode_find(fs->inodes, ino);
	bool writable = (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;
	int fd = fuse_hsm_inode_open(fs->inodes, i, writable ? O_RDWR : O_RDONLY);
	struct fuse_hsm_open *o;
	int r = fd < 0 ? fd : new_open(fs, i, fd, writable, &o);

	if (r)
		return r;
	if (!(fi->flags & O_TRUNC) && is_filled_in_open(o))
		return fill_in_open(o, req, ino, fi);
	return finish_open(o, req, ino, fi);
}

void fuse_hsm_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	uint64_t received_ns = fuse_hsm_received_ns;

	fuse_hsm_end(fs, req, FUSE_HSM_OP_OPEN, received_ns, open_inode(fs, req, ino, fi));
}

void fuse_hsm_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	(void)ino;
	end_io(fuse_hsm_open_of(fi));
	fuse_reply_err(req, 0);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_RELEASE, fuse_hsm_received_ns, 0);
}
