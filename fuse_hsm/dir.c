/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lookup and directory reading. Both wait until the directory has its names, so an answer, also a
 * negative one, may be kept for as long as the tree does not change.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "fuse_hsm/fs.h"
#include "fuse_hsm/wait.h"
#include "hsm/util.h"

#define LOST_NAMES_MAX 64
#define DENTS_BYTES    ((size_t)32 << 10)

/* What getdents64(2) writes. */
struct dent {
	uint64_t ino;
	int64_t next; /* cookie of the entry after this one */
	uint16_t bytes;
	uint8_t type;
	char name[];
};

/* An open directory; its cookies are those of the file system below. */
struct dir {
	struct fuse_hsm_link link; /* in fs->dirs */
	pthread_mutex_t lock; /* everything below but .fd */
	int fd;
	int64_t cookie; /* of the entry at .pos */
	size_t pos, end; /* what is left in .dents */
	char dents[DENTS_BYTES] __attribute__((aligned(8)));
};

static bool is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* ---- lookup ---- */

static int begin_names(struct fuse_hsm_wait *w)
{
	return hsm_dir_fill(w->fs->hsm, w->fd, fuse_hsm_wait_done, w);
}

static int wait_for_names(struct fuse_hsm_fs *fs, fuse_req_t req, enum fuse_hsm_op op,
	struct fuse_hsm_inode *i, int dirfd, const char *name, const struct fuse_file_info *fi,
	int (*resume)(struct fuse_hsm_wait *w))
{
	struct fuse_hsm_wait *w = fuse_hsm_wait_new(fs, req, op, name);

	if (!w)
		return -ENOMEM;
	w->object = i;
	w->fd = dirfd;
	if (fi)
		w->fi = *fi;
	w->begin = begin_names;
	w->resume = resume;
	return fuse_hsm_wait_start(w);
}

/*
 * Memory pressure takes the names and inodes READDIRPLUS gave to the kernel, but not always the
 * listing it keeps with them: each later walk of it would then be one LOOKUP per name. True
 * = there were so many that the listing should go, so that the next walk asks for all of it.
 */
static bool lost_names(struct fuse_hsm_inode *i)
{
	if (!fuse_hsm_inode_is(i, FUSE_HSM_I_LISTED))
		return false;
	if (atomic_fetch_add(&i->lost_names, 1) + 1 < LOST_NAMES_MAX)
		return false;
	return fuse_hsm_inode_unmark(i, FUSE_HSM_I_LISTED);
}

static void note_listing(struct fuse_hsm_inode *i)
{
	if (fuse_hsm_inode_is(i, FUSE_HSM_I_LISTED))
		return;
	i->lost_names = 0;
	fuse_hsm_inode_mark(i, FUSE_HSM_I_LISTED);
}

/* @dirfd is that of @i and has its names. After the reply the kernel may forget @i. */
static int answer_lookup(struct fuse_hsm_fs *fs, fuse_req_t req, struct fuse_hsm_inode *i,
	int dirfd, const char *name)
{
	fuse_ino_t id = fuse_hsm_inode_id(fs->inodes, i);
	struct fuse_entry_param e;
	int r = fuse_hsm_entry_get(fs, dirfd, name, &e);
	bool drop;

	if (r == -ENOENT) {
		e = (struct fuse_entry_param){.entry_timeout = fs->entry_timeout_s};
		fuse_reply_entry(req, &e);
		return 0;
	}
	if (r)
		return r;
	drop = lost_names(i);
	if (fuse_reply_entry(req, &e))
		fuse_hsm_inode_forget(fs->inodes, e.ino, 1);
	if (drop)
		fuse_lowlevel_notify_inval_inode(fs->session, id, 0, 0);
	return 0;
}

static int resume_lookup(struct fuse_hsm_wait *w)
{
	struct fuse_hsm_inode *i = w->object;
	struct fuse_hsm_dirfd *dirfd;
	int r = fuse_hsm_dirfd_get(w->fs->dirfds, i, &dirfd);

	if (r)
		return r;
	fuse_hsm_inode_mark(i, FUSE_HSM_I_NAMES);
	r = answer_lookup(w->fs, w->req, i, dirfd->fd, w->name);
	fuse_hsm_dirfd_put(dirfd);
	return r;
}

static int lookup(
	struct fuse_hsm_fs *fs, fuse_req_t req, struct fuse_hsm_inode *i, const char *name)
{
	struct fuse_hsm_dirfd *dirfd;
	int r = fuse_hsm_dirfd_get(fs->dirfds, i, &dirfd);

	if (r)
		return r;
	if (fuse_hsm_dir_ready(fs, i, dirfd->fd))
		r = answer_lookup(fs, req, i, dirfd->fd, name);
	else
		r = wait_for_names(
			fs, req, FUSE_HSM_OP_LOOKUP, i, dirfd->fd, name, NULL, resume_lookup);
	fuse_hsm_dirfd_put(dirfd);
	return r;
}

/* "." or "..", for a file handle. */
static int lookup_dots(struct fuse_hsm_fs *fs, fuse_req_t req, fuse_ino_t id, const char *name)
{
	struct fuse_entry_param e;
	int r = name[1] ? fuse_hsm_export_parent(fs, id, &e) : fuse_hsm_export_self(fs, id, &e);

	if (r)
		return r;
	if (fuse_reply_entry(req, &e))
		fuse_hsm_inode_forget(fs->inodes, e.ino, 1);
	return 0;
}

void fuse_hsm_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	uint64_t received_ns = fuse_hsm_received_ns;
	int r;

	if (is_dots(name))
		r = lookup_dots(fs, req, parent, name);
	else
		r = lookup(fs, req, fuse_hsm_inode_find(fs->inodes, parent), name);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_LOOKUP, received_ns, r);
}

/* ---- open, release ---- */

static struct dir *dir_of(const struct fuse_file_info *fi)
{
	return (struct dir *)(uintptr_t)fi->fh;
}

static void free_dir(struct fuse_hsm_fs *fs, struct dir *d)
{
	fuse_hsm_list_del(&fs->dirs, &d->link);
	close(d->fd);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void fuse_hsm_dirs_free(struct fuse_hsm_fs *fs)
{
	while (fs->dirs.first)
		free_dir(fs, hsm_container_of(fs->dirs.first, struct dir, link));
}

/* Takes @fd, a directory that has its names: what the kernel keeps of it stays right. */
static int answer_opendir(struct fuse_hsm_fs *fs, fuse_req_t req, struct fuse_hsm_inode *i,
	int fd, const struct fuse_file_info *fi)
{
	struct fuse_file_info out = *fi;
	struct dir *d = malloc(sizeof(*d));

	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	pthread_mutex_init(&d->lock, NULL);
	d->fd = fd;
	d->cookie = 0;
	d->pos = d->end = 0;
	fuse_hsm_list_add(&fs->dirs, &d->link);
	note_listing(i);
	out.fh = (uint64_t)(uintptr_t)d;
	out.cache_readdir = 1;
	out.keep_cache = 1;
	/* An error means that no RELEASEDIR will come. */
	if (fuse_reply_open(req, &out))
		free_dir(fs, d);
	return 0;
}

static int resume_opendir(struct fuse_hsm_wait *w)
{
	struct fuse_hsm_inode *i = w->object;
	int fd = fuse_hsm_inode_open(w->fs->inodes, i, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return fd;
	fuse_hsm_inode_mark(i, FUSE_HSM_I_NAMES);
	return answer_opendir(w->fs, w->req, i, fd, &w->fi);
}

static int opendir_inode(struct fuse_hsm_fs *fs, fuse_req_t req, struct fuse_hsm_inode *i,
	const struct fuse_file_info *fi)
{
	auto_fd int fd = fuse_hsm_inode_open(fs->inodes, i, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return fd;
	if (!fuse_hsm_dir_ready(fs, i, fd))
		return wait_for_names(
			fs, req, FUSE_HSM_OP_OPENDIR, i, fd, NULL, fi, resume_opendir);
	return answer_opendir(fs, req, i, hsm_take_fd(fd), fi);
}

void fuse_hsm_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);
	uint64_t received_ns = fuse_hsm_received_ns;

	fuse_hsm_end(fs, req, FUSE_HSM_OP_OPENDIR, received_ns,
		opendir_inode(fs, req, fuse_hsm_inode_find(fs->inodes, ino), fi));
}

void fuse_hsm_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	(void)ino;
	free_dir(fs, dir_of(fi));
	fuse_reply_err(req, 0);
	fuse_hsm_end(fs, req, FUSE_HSM_OP_RELEASEDIR, fuse_hsm_received_ns, 0);
}

/* ---- reading ---- */

/* The next entry, not yet consumed; NULL at the end. */
static int peek(struct dir *d, const struct dent **ret_dent)
{
	if (d->pos == d->end) {
		long n = syscall(SYS_getdents64, d->fd, d->dents, sizeof(d->dents));

		if (n < 0)
			return -errno;
		d->pos = 0;
		d->end = (size_t)n;
	}
	*ret_dent = d->end ? (const struct dent *)(d->dents + d->pos) : NULL;
	return 0;
}

static void consume(struct dir *d, const struct dent *e)
{
	d->pos += e->bytes;
	d->cookie = e->next;
}

/*
 * To the start always by a call, also where we are there: btrfs notes the end of a directory when it
 * is opened or rewound, and names made since would be missing in what the kernel keeps.
 */
static int go_to(struct dir *d, int64_t cookie)
{
	if (cookie && cookie == d->cookie)
		return 0;
	if (lseek(d->fd, cookie, SEEK_SET) < 0)
		return -errno;
	d->pos = d->end = 0;
	d->cookie = cookie;
	return 0;
}

/*
 * Adds one entry, true if it fitted. Room is checked before the name is looked up, so no lookup
 * is ever counted for an entry that is not sent. An entry without inode is shown but
 * not kept by the kernel: "." and "..", and what failed to be looked up.
 */
static size_t add_plus(struct fuse_hsm_fs *fs, fuse_req_t req, struct dir *d,
	const struct dent *dent, char *to, size_t room)
{
	struct fuse_entry_param e = {0};
	size_t need = fuse_add_direntry_plus(req, NULL, 0, dent->name, NULL, 0);

	if (need > room)
		return need;
	if (is_dots(dent->name) || fuse_hsm_entry_get(fs, d->fd, dent->name, &e)) {
		e.attr.st_ino = dent->ino;
		e.attr.st_mode = DTTOIF(dent->type);
	}
	return fuse_add_direntry_plus(req, to, room, dent->name, &e, dent->next);
}

static size_t add_plain(fuse_req_t req, const struct dent *dent, char *to, size_t room)
{
	struct stat attr = {.st_ino = dent->ino, .st_mode = DTTOIF(dent->type)};

	return fuse_add_direntry(req, to, room, dent->name, &attr, dent->next);
}

/* Fills @to; the bytes used, or an error if there is not even one entry to give. */
static int read_entries(struct fuse_hsm_fs *fs, fuse_req_t req, struct dir *d, bool plus,
	char *to, size_t size, size_t *ret_used)
{
	const struct dent *dent = NULL;
	size_t used = 0, need;
	int r;

	for (;;) {
		r = peek(d, &dent);
		if (r || !dent)
			break;
		if (plus)
			need = add_plus(fs, req, d, dent, to + used, size - used);
		else
			need = add_plain(req, dent, to + used, size - used);
		if (need > size - used)
			break;
		used += need;
		consume(d, dent);
	}
	*ret_used = used;
	return used ? 0 : r;
}

static int read_dir(struct fuse_hsm_fs *fs, fuse_req_t req, struct dir *d, bool plus,
	off_t offset, size_t size)
{
	char *buf = fuse_hsm_scratch();
	size_t used = 0;
	int r;

	if (!buf)
		return -ENOMEM;
	pthread_mutex_lock(&d->lock);
	r = go_to(d, offset);
	if (!r)
		r = read_entries(
			fs, req, d, plus, buf, HSM_MIN(size, FUSE_HSM_REQUEST_BYTES), &used);
	pthread_mutex_unlock(&d->lock);
	/* A failing reply means that the connection is gone, and the counts with it. */
	if (!r)
		fuse_reply_buf(req, buf, used);
	return r;
}

void fuse_hsm_op_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	(void)ino;
	fuse_hsm_end(fs, req, FUSE_HSM_OP_READDIR, fuse_hsm_received_ns,
		read_dir(fs, req, dir_of(fi), false, offset, size));
}

void fuse_hsm_op_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct fuse_hsm_fs *fs = fuse_req_userdata(req);

	(void)ino;
	fuse_hsm_end(fs, req, FUSE_HSM_OP_READDIRPLUS, fuse_hsm_received_ns,
		read_dir(fs, req, dir_of(fi), true, offset, size));
}
