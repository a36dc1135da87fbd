/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open files and reading. A file with bytes missing holds the core's object while it is open and
 * waits for each range that is not there; a complete one is a descriptor and nothing else.
 */
#include <errno.h>
#include <sys/stat.h>

#include "fuse_hsm/fs.h"
#include "fuse_hsm/wait.h"
#include "hsm/util.h"

struct open_file {
	struct fuse_hsm_link link; /* in fs->files */
	struct fuse_hsm_fs *fs;
	_Atomic unsigned int refs; /* the kernel's file, each read that waits */
	_Atomic bool mtime_told; /* the kernel has the mtime the first fetch may have brought */
	int64_t mtime_ns; /* at open */
	int fd;
	struct hsm_file *object; /* NULL: nothing to fill, or .by_fd */
	bool by_fd; /* too many active objects: ask for each range */
};

static struct open_file *file_of(const struct fuse_file_info *fi)
{
	return (struct open_file *)(uintptr_t)fi->fh;
}

int fuse_hsm_open_fd(const struct fuse_file_info *fi)
{
	return file_of(fi)->fd;
}

static void free_file(struct open_file *o)
{
	fuse_hsm_list_del(&o->fs->files, &o->link);
	if (o->object)
		hsm_file_put(o->object);
	hsm_util_close_fd(&o->fd);
	free(o);
}

static void put_file(struct open_file *o)
{
	if (!--o->refs)
		free_file(o);
}

static struct open_file *of_link(struct fuse_hsm_link *link)
{
	return hsm_container_of(link, struct open_file, link);
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
		hsm_file_put(object);
}

void fuse_hsm_files_free(struct fuse_hsm_fs *fs)
{
	while (fs->files.first)
		free_file(of_link(fs->files.first));
}

/* ---- open, release ---- */

static int read_mtime(int fd, int64_t *ret_ns)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*ret_ns = hsm_timespec_to_ns(st.st_mtim);
	return 0;
}

static int attach_object(struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, struct open_file *o)
{
	int r;

	if (fuse_hsm_inode_is(i, FUSE_HSM_I_COMPLETE))
		return 0;
	r = hsm_file_get(fs->hsm, o->fd, &o->object);
	if (!r)
		fuse_hsm_inode_mark(i, FUSE_HSM_I_COMPLETE);
	o->by_fd = r == -EAGAIN;
	if (r < 0 && !o->by_fd)
		return r;
	return read_mtime(o->fd, &o->mtime_ns);
}

static int new_file(
	struct fuse_hsm_fs *fs, struct fuse_hsm_inode *i, struct open_file **ret_file)
{
	struct open_file *o;
	int r;

	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->refs = 1;
	o->fs = fs;
	fuse_hsm_list_add(&fs->files, &o->link);
	o->fd = fuse_hsm_inode_open(fs->inodes, i, O_RDONLY);
	r = o->fd < 0 ? o->fd : attach_object(fs, i, o);
	if (r) {
		put_file(o);
		return r;
	}
	*ret_file = o;
	return 0;
}

static int open_inode(struct fuse_hsm_fs *fs, fuse_req_t req, struct fuse_hsm_inode *i,
	struct fuse_file_info *fi)
{
	struct open_file *o;
	int r;

	if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC)
		return -EROFS;
	r = new_file(fs, i, &o);
	if (r)
		return r;
	fi->fh = (uint64_t)(uintptr_t)o;
	/* A byte once shown never changes: pages stay good from one open to the next. */
	fi->keep_cache = 1;
	fi->noflush = 1;
	/* An error means that no RELEASE will come. */
	if (fuse_reply_open(req, fi))
		put_file(o);
	return 0;
}

void fuse_hsm_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	fuse_hsm_end(fs, req, FUSE_HSM_OP_OPEN, fuse_hsm_received_ns,
		open_inode(fs, req, fuse_hsm_inode_find(fs->inodes, ino), fi));
}

void fuse_hsm_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	(void)ino;
	put_file(file_of(fi));
	fuse_reply_err(req, 0);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_RELEASE, fuse_hsm_received_ns, 0);
}

/* ---- read ---- */

/* All bytes of the range are in the file below. */
static int answer_read(fuse_req_t req, struct open_file *o, size_t size, off_t offset)
{
	char *buf = fuse_hsm_scratch();
	ssize_t n;

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
	struct open_file *o = w->object;

	if (o->object)
		return hsm_file_fill(o->object, (uint64_t)w->offset, w->size, HSM_FILL_READ,
			fuse_hsm_wait_done, w);
	return hsm_fd_fill(w->fs->hsm, o->fd, (uint64_t)w->offset, w->size, HSM_FILL_READ,
		fuse_hsm_wait_done, w);
}

/*
 * An index that rounds times gives a stub an mtime which the first fetch corrects. The kernel keeps
 * attributes for long, so it must be told before it gets data.
 */
static void tell_mtime(struct fuse_hsm_wait *w)
{
	struct open_file *o = w->object;
	int64_t now_ns;

	if (atomic_exchange(&o->mtime_told, true) || read_mtime(o->fd, &now_ns))
		return;
	if (now_ns != o->mtime_ns)
		fuse_lowlevel_notify_inval_inode(w->fs->session, w->ino, -1, 0);
}

static int resume_read(struct fuse_hsm_wait *w)
{
	tell_mtime(w);
	return answer_read(w->req, w->object, w->size, w->offset);
}

static void release_read(struct fuse_hsm_wait *w)
{
	put_file(w->object);
}

static int wait_for_range(struct fuse_hsm_fs *fs, fuse_req_t req, fuse_ino_t ino,
	struct open_file *o, size_t size, off_t offset)
{
	struct fuse_hsm_wait *w = fuse_hsm_wait_new(fs, req, FUSE_HSM_OP_READ, NULL);

	if (!w)
		return -ENOMEM;
	o->refs++;
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
	struct open_file *o, size_t size, off_t offset)
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
		read_file(fs, req, ino, file_of(fi), size, offset));
}
