/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories that are marked because files in them have missing bytes.
 *
 * A mark is set, and a count raised, before a stub gets its name. It is removed by one thread, and
 * only if a look at every name found none with missing bytes, and no stub was announced since
 * before that look: .version tells those announced later; the directory's state (its names do not all
 * exist yet) and .refreshing those whose names may still be to come. The removal is made under
 * the lock under which stubs are announced.
 *
 * The count may be wrong in both directions: a file moved away or deleted leaves it too high, and the mark
 * stays, which costs its files a little speed; a file that was evicted or moved in leaves it too low,
 * and the look finds that and corrects it, but not more often than once in a sixteenth of the names.
 */
#include "fan_hsm/marks_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fan_hsm/group.h"
#include "fan_hsm/walk.h"
#include "hsm/handle.h"
#include "hsm/util.h"

#define BUCKETS_FIRST 1024
#define LOOK_SHARE    16

struct marked_dir {
	struct marked_dir *next; /* in its bucket */
	struct marked_dir *queue_next;
	uint64_t ino;
	int64_t missing;
	uint32_t version; /* stubs announced */
	bool refreshing; /* the last one was by a refresh, which has not said yet that it is done */
	bool queued;
	struct hsm_handle handle;
};

struct fan_hsm_marked_dirs {
	pthread_mutex_t lock; /* all below */
	pthread_cond_t wanted;
	pthread_t looker;
	bool ending;
	struct marked_dir **bucket;
	size_t buckets, count;
	struct marked_dir *queue, **queue_tail;
};

/* What a look began with. */
struct look {
	uint64_t ino;
	uint32_t version;
	int64_t missing;
	struct hsm_handle handle;
};

/* ---- the table; lock held ---- */

static struct marked_dir **place_of(struct fan_hsm_marked_dirs *t, uint64_t ino)
{
	struct marked_dir **p = &t->bucket[ino * 0x9e3779b97f4a7c15ull % t->buckets];

	while (*p && (*p)->ino != ino)
		p = &(*p)->next;
	return p;
}

static void grow(struct fan_hsm_marked_dirs *t)
{
	struct fan_hsm_marked_dirs larger = {.buckets = 2 * t->buckets + 1};
	struct marked_dir *d, **p;

	larger.bucket = calloc(larger.buckets, sizeof(*larger.bucket));
	if (!larger.bucket)
		return;
	for (size_t i = 0; i < t->buckets; i++) {
		while ((d = t->bucket[i])) {
			t->bucket[i] = d->next;
			p = place_of(&larger, d->ino);
			d->next = NULL;
			*p = d;
		}
	}
	free(t->bucket);
	t->bucket = larger.bucket;
	t->buckets = larger.buckets;
}

static struct marked_dir *insert(struct fan_hsm_marked_dirs *t, int dirfd, uint64_t ino)
{
	struct marked_dir *d = calloc(1, sizeof(*d)), **p;

	if (!d)
		return NULL;
	d->ino = ino;
	if (hsm_handle_of(dirfd, &d->handle)) {
		free(d);
		return NULL;
	}
	if (t->count >= t->buckets)
		grow(t);
	p = place_of(t, ino);
	*p = d;
	t->count++;
	return d;
}

/* One in the queue is freed by the thread that takes it from there. */
static void erase(struct fan_hsm_marked_dirs *t, uint64_t ino)
{
	struct marked_dir **p = place_of(t, ino), *d = *p;

	if (!d)
		return;
	*p = d->next;
	t->count--;
	d->ino = 0;
	if (!d->queued)
		free(d);
}

static void enqueue(struct fan_hsm_marked_dirs *t, struct marked_dir *d)
{
	if (d->queued || d->missing > 0 || t->ending)
		return;
	d->queued = true;
	d->queue_next = NULL;
	*t->queue_tail = d;
	t->queue_tail = &d->queue_next;
	pthread_cond_signal(&t->wanted);
}

/* ---- looking ---- */

/* Lock held. False: there is nothing to look for. */
static bool take(struct fan_hsm_marked_dirs *t, struct look *ret_look)
{
	struct marked_dir *d = t->queue;

	t->queue = d->queue_next;
	if (!t->queue)
		t->queue_tail = &t->queue;
	d->queued = false;
	if (!d->ino) {
		free(d);
		return false;
	}
	*ret_look = (struct look){d->ino, d->version, d->missing, d->handle};
	return d->missing <= 0 && !d->refreshing;
}

/* 1: every name was looked at; 0: not the time for it. -ESTALE: it is gone. */
static int count_missing(
	struct fan_hsm *fan, const struct look *l, uint64_t *ret_names, uint64_t *ret_missing)
{
	auto_fd int fd = hsm_handle_open(
		hsm_data_fd(fan->h), &l->handle, O_RDONLY | O_DIRECTORY | O_NOATIME);
	int r;

	if (fd < 0)
		return fd;
	if (hsm_dir_state(fan->h, fd) == HSM_DIR_UNPOPULATED)
		return 0;
	r = fan_hsm_walk_count(fan, fd, ret_names, ret_missing);
	return r ? r : 1;
}

/* Lock held. */
static void unmark(struct fan_hsm *fan, const struct look *l)
{
	auto_fd int fd = hsm_handle_open(
		hsm_data_fd(fan->h), &l->handle, O_RDONLY | O_DIRECTORY | O_NOATIME);

	if (fd >= 0)
		fan_hsm_unmark(fan, FAN_HSM_MARK_PARENT, fd, ".");
	erase(fan->marked_dirs, l->ino);
}

static void look_at(struct fan_hsm *fan, const struct look *l)
{
	struct fan_hsm_marked_dirs *t = fan->marked_dirs;
	uint64_t names = 0, missing = 0;
	int r = count_missing(fan, l, &names, &missing);
	struct marked_dir *d;

	pthread_mutex_lock(&t->lock);
	d = *place_of(t, l->ino);
	if (!d || d->version != l->version) {
		/* Somebody else's turn: the stubs that came meanwhile. */
	} else if (r == -ESTALE) {
		erase(t, l->ino);
	} else if (r == 1 && !missing) {
		unmark(fan, l);
	} else if (r == 1) {
		d->missing += (int64_t)HSM_MAX(missing, names / LOOK_SHARE) - l->missing;
		enqueue(t, d);
	}
	pthread_mutex_unlock(&t->lock);
}

static void *looker_main(void *arg)
{
	struct fan_hsm *fan = arg;
	struct fan_hsm_marked_dirs *t = fan->marked_dirs;
	struct look l;

	pthread_mutex_lock(&t->lock);
	while (!t->ending) {
		if (!t->queue) {
			pthread_cond_wait(&t->wanted, &t->lock);
			continue;
		}
		if (!take(t, &l))
			continue;
		pthread_mutex_unlock(&t->lock);
		look_at(fan, &l);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* ---- what others tell ---- */

int fan_hsm_marks_dir_add(struct fan_hsm *fan, int dirfd, uint64_t files, bool soon)
{
	struct fan_hsm_marked_dirs *t = fan->marked_dirs;
	struct marked_dir *d;
	struct stat st;
	int r;

	if (fstat(dirfd, &st))
		return -errno;
	pthread_mutex_lock(&t->lock);
	d = *place_of(t, st.st_ino);
	/* Always, and not only when it is new: a number may have come back with another directory. */
	r = d ? fan_hsm_mark_again(fan, FAN_HSM_MARK_PARENT, dirfd, ".")
	      : fan_hsm_mark(fan, FAN_HSM_MARK_PARENT, dirfd, ".");
	if (!r && !d) {
		d = insert(t, dirfd, st.st_ino);
		r = d ? 0 : -ENOMEM;
	}
	if (!r) {
		d->missing += (int64_t)files;
		d->version++;
		d->refreshing = soon && hsm_dir_state(fan->h, dirfd) != HSM_DIR_UNPOPULATED;
		if (!soon)
			enqueue(t, d);
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

/*
 * The number of the directory that @fd was opened in, or in which it was found by handle while somebody
 * had it open; 0: not known. Its path on the private mount begins at CACHE.
 */
static uint64_t parent_of(struct fan_hsm *fan, int fd)
{
	char link[32], path[4096], *end;
	struct stat st;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || n == (ssize_t)sizeof(path) - 1 || path[0] != '/')
		return 0;
	path[n] = 0;
	end = strrchr(path, '/');
	if (end == path)
		return 0;
	*end = 0;
	return fstatat(hsm_mount_fd(fan->h), path + 1, &st, AT_SYMLINK_NOFOLLOW) ? 0
										 : st.st_ino;
}

static void less(struct fan_hsm *fan, uint64_t ino, int64_t files, bool refreshed)
{
	struct fan_hsm_marked_dirs *t = fan->marked_dirs;
	struct marked_dir *d;

	pthread_mutex_lock(&t->lock);
	d = *place_of(t, ino);
	if (d) {
		d->missing -= files;
		if (refreshed)
			d->refreshing = false;
		enqueue(t, d);
	}
	pthread_mutex_unlock(&t->lock);
}

void fan_hsm_marks_dir_less(struct fan_hsm *fan, int fd)
{
	uint64_t ino = parent_of(fan, fd);

	if (ino)
		less(fan, ino, 1, false);
}

/* What it replaced or removed may have been counted; too low is what a look corrects. */
void fan_hsm_marks_dir_changed(struct fan_hsm *fan, int dirfd)
{
	struct stat st;

	if (!fstat(dirfd, &st))
		less(fan, st.st_ino, 1, true);
}

void fan_hsm_marks_dir_named(struct fan_hsm *fan, int dirfd)
{
	struct stat st;

	if (!fstat(dirfd, &st))
		less(fan, st.st_ino, 0, false);
}

void fan_hsm_marks_dir_forget(struct fan_hsm *fan, int dirfd)
{
	struct fan_hsm_marked_dirs *t = fan->marked_dirs;
	struct stat st;

	if (fstat(dirfd, &st) || hsm_dir_state(fan->h, dirfd) != HSM_DIR_UNPOPULATED)
		return;
	pthread_mutex_lock(&t->lock);
	erase(t, st.st_ino);
	pthread_mutex_unlock(&t->lock);
}

uint64_t fan_hsm_marks_dir_count(struct fan_hsm *fan)
{
	struct fan_hsm_marked_dirs *t = fan->marked_dirs;
	uint64_t count;

	if (!t)
		return 0;
	pthread_mutex_lock(&t->lock);
	count = t->count;
	pthread_mutex_unlock(&t->lock);
	return count;
}

int fan_hsm_marks_dir_new(struct fan_hsm *fan)
{
	struct fan_hsm_marked_dirs *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->buckets = BUCKETS_FIRST + 1;
	t->bucket = calloc(t->buckets, sizeof(*t->bucket));
	t->queue_tail = &t->queue;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wanted, NULL);
	fan->marked_dirs = t;
	r = t->bucket ? pthread_create(&t->looker, NULL, looker_main, fan) : ENOMEM;
	if (r) {
		fan->marked_dirs = NULL;
		free(t->bucket);
		free(t);
	}
	return -r;
}

/* The core may still tell that files are complete, so the table itself stays until the process ends. */
void fan_hsm_marks_dir_free(struct fan_hsm *fan)
{
	struct fan_hsm_marked_dirs *t = fan->marked_dirs;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->ending = true;
	pthread_cond_signal(&t->wanted);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->looker, NULL);
}
