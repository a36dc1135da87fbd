/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One name of the tree in a refresh: whose is it, did a user change it, and how it leaves the tree
 * without taking a user's work along. Nothing stops users meanwhile, so an object is first
 * moved to the staging directory in one step, then looked at once more, and moved back if it
 * is not what it was taken for. A lease keeps writers from opening it in between.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/refresh.h"
#include "hsm/util.h"

#define LOOKS 3 /* at a file that was being filled when it was looked at */

static int open_flags(mode_t mode)
{
	if (S_ISDIR(mode))
		return O_RDONLY | O_DIRECTORY | O_NOATIME;
	return S_ISREG(mode) ? O_RDONLY | O_NONBLOCK | O_NOATIME : O_PATH;
}

static int kind_of(mode_t mode)
{
	if (S_ISREG(mode))
		return HSM_KIND_FILE;
	return S_ISDIR(mode) ? HSM_KIND_DIR : S_ISLNK(mode) ? HSM_KIND_LINK : 0;
}

static bool is_at(const struct hsm_state *state, const char *dirpath, const char *name)
{
	size_t n = strlen(dirpath);

	if (strncmp(state->path, dirpath, n) || (n && state->path[n] != '/'))
		return false;
	return !strcmp(state->path + n + !!n, name);
}

/* A file that is being filled: what counts is in its object, and its mtime is settled under its lock. */
static void look_at_active(struct hsm_file *f, struct hsm_refresh_object *o)
{
	hsm_file_lock(f);
	if (fstat(o->fd, &o->st))
		o->st.st_size = -1;
	pthread_mutex_lock(&f->lock);
	o->state = f->state;
	o->state.fill_end = f->fill_end;
	pthread_mutex_unlock(&f->lock);
	hsm_file_unlock(f);
	hsm_file_put(f);
}

static int look(struct hsm *h, struct hsm_refresh_object *o)
{
	struct hsm_file *f = S_ISREG(o->st.st_mode) ? hsm_file_find(h, o->st.st_ino) : NULL;

	if (f) {
		look_at_active(f, o);
		return 0;
	}
	if (fstat(o->fd, &o->st))
		return -errno;
	if (S_ISLNK(o->st.st_mode))
		return hsm_state_load_link(o->fd, &o->state);
	return kind_of(o->st.st_mode) ? hsm_state_load(o->fd, &o->state) : -ENODATA;
}

int hsm_refresh_object_open(struct hsm *h, int dirfd, const char *dirpath, const char *name,
	struct hsm_refresh_object *ret_o)
{
	struct hsm_refresh_object *o = ret_o;
	struct stat st;

	o->fd = -1;
	o->dirfd = dirfd;
	o->name = name;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	o->fd = openat(dirfd, name, open_flags(st.st_mode) | O_NOFOLLOW | O_CLOEXEC);
	if (o->fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? -ENOENT : -errno;
	if (fstat(o->fd, &o->st)) {
		hsm_refresh_object_close(o);
		return -errno;
	}
	o->ours = o->st.st_dev == h->cache.dev && !look(h, o) &&
		  o->state.cache_id == h->cache.id && o->state.kind == kind_of(o->st.st_mode) &&
		  is_at(&o->state, dirpath, name);
	return 0;
}

void hsm_refresh_object_close(struct hsm_refresh_object *o)
{
	hsm_util_close_fd(&o->fd);
	o->fd = -1;
}

/*
 * A write changes size or mtime. The mtime the origin has now is its own too: the core sets it when it
 * learns it, and that may be lost to the state when the daemon is killed.
 */
static bool differs(const struct hsm_refresh_object *o, const struct hsm_entry *e)
{
	const struct hsm_state *s = &o->state;
	int64_t mtime_ns = hsm_timespec_to_ns(o->st.st_mtim);

	if (s->flags & HSM_S_MODIFIED || (uint64_t)o->st.st_size != s->size ||
		s->fill_end != s->size)
		return true;
	if (mtime_ns == s->mtime_ns)
		return false;
	return s->flags & HSM_S_MTIME_EXACT || !e || !e->mtime_exact || mtime_ns != e->mtime_ns;
}

bool hsm_refresh_object_modified(
	struct hsm *h, struct hsm_refresh_object *o, const struct hsm_entry *e)
{
	struct timespec pause = {.tv_nsec = 1000 * 1000};

	/* One that has just become active has the mtime of a write for a moment. */
	for (int n = 0; n < LOOKS && differs(o, e); n++) {
		if (o->state.flags & HSM_S_MODIFIED)
			return true;
		if (n)
			nanosleep(&pause, NULL);
		if (look(h, o))
			return true;
	}
	return differs(o, e);
}

/* The core has an active file open for writing itself, which hides others who have. */
static bool is_idle(struct hsm *h, const struct hsm_refresh_object *o)
{
	struct timespec pause = {.tv_nsec = 1000 * 1000};
	bool idle = hsm_file_drop(h, o->st.st_ino);

	for (int n = 1; n < LOOKS && !idle; n++) {
		nanosleep(&pause, NULL);
		idle = hsm_file_drop(h, o->st.st_ino);
	}
	return idle;
}

/*
 * Nobody has it open for writing, and who opens it so now waits for let_writers_in(). Of a file with
 * missing chunks that is being read only the front-end can tell.
 */
static int keep_writers_out(struct hsm *h, struct hsm_refresh_object *o)
{
	if (!S_ISREG(o->st.st_mode))
		return 0;
	if (h->fe.file_written && h->fe.file_written(h->fe.ctx, o->fd))
		return -EBUSY;
	/* Who has it open goes on reading when it has no name any more. */
	if (h->fe.file_arm && h->fe.file_arm(h->fe.ctx, o->fd))
		return -EBUSY;
	if (is_idle(h, o)) {
		/* The signal of somebody's open; SIGURG is ignored by default, SIGIO would end us. */
		fcntl(o->fd, F_SETSIG, SIGURG);
		if (fcntl(o->fd, F_SETLEASE, F_RDLCK) && errno == EAGAIN)
			return -EBUSY;
	}
	return h->fe.file_settle ? h->fe.file_settle(h->fe.ctx, o->fd) : 0;
}

static void let_writers_in(struct hsm_refresh_object *o)
{
	if (S_ISREG(o->st.st_mode))
		fcntl(o->fd, F_SETLEASE, F_UNLCK);
}

/* What is stage/@tmp now: is it the object, and still as it was? */
static bool is_unchanged(
	struct hsm *h, struct hsm_refresh_object *o, const char *tmp, const struct hsm_entry *e)
{
	struct stat st;

	return !fstatat(h->cache.stage_fd, tmp, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_ino == o->st.st_ino &&
	       (!S_ISREG(st.st_mode) || !hsm_refresh_object_modified(h, o, e));
}

static int move_back(
	struct hsm *h, struct hsm_refresh_object *o, const char *tmp, unsigned int how)
{
	if (!renameat2(h->cache.stage_fd, tmp, o->dirfd, o->name, how))
		return -EBUSY;
	return hsm_err(EIO, "%s/meta/stage/%s: belongs back into the tree as %s: %s",
		h->cache.path, tmp, o->state.path, strerror(errno));
}

static int take_out(struct hsm *h, struct hsm_refresh_object *o, const char *tmp)
{
	if (renameat2(o->dirfd, o->name, h->cache.stage_fd, tmp, RENAME_NOREPLACE))
		return -errno;
	if (!is_unchanged(h, o, tmp, NULL))
		return move_back(h, o, tmp, RENAME_NOREPLACE);
	return unlinkat(h->cache.stage_fd, tmp, 0) ? -errno : 0;
}

static int swap(
	struct hsm *h, struct hsm_refresh_object *o, const struct hsm_entry *e, const char *tmp)
{
	if (renameat2(h->cache.stage_fd, tmp, o->dirfd, o->name, RENAME_EXCHANGE))
		return -errno;
	if (!is_unchanged(h, o, tmp, e))
		return move_back(h, o, tmp, RENAME_EXCHANGE);
	return unlinkat(h->cache.stage_fd, tmp, 0) ? -errno : 0;
}

int hsm_refresh_object_remove(struct hsm *h, struct hsm_refresh_object *o, const char *tmp)
{
	int r = keep_writers_out(h, o);

	if (!r)
		r = take_out(h, o, tmp);
	let_writers_in(o);
	return r;
}

int hsm_refresh_object_replace(
	struct hsm *h, struct hsm_refresh_object *o, const struct hsm_entry *e, const char *tmp)
{
	int r = keep_writers_out(h, o);

	if (!r)
		r = swap(h, o, e, tmp);
	let_writers_in(o);
	return r;
}
