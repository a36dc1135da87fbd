/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk at start, all through the private mount, which raises no events. One thread goes through
 * the directories, depth first with one open directory per level. The names of files, if they are
 * looked for, go in batches to helpers, which look at their state in the order of inode numbers (that of
 * the disk); with all helpers busy the first thread takes a batch itself. Memory and
 * descriptors are bounded by the depth of the tree and the number of batches.
 *
 * A directory that a user moves from the part not yet visited to the part already visited is missed;
 * that needs a rename in the first moments of the daemon.
 */
#include "fan_hsm/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/util.h"

#define NAMES_BYTES 32768 /* of one getdents64(2) */
#define BATCH_NAMES 1024
#define BATCH_BYTES (BATCH_NAMES * 32)
#define BATCH_DIRS  64 /* a batch keeps the directories of its files open */
#define BATCHES	    6
#define HELPERS_MAX 3

/* An open directory: by its level and by each of its names in a batch. */
struct walk_dir {
	int fd;
	_Atomic unsigned int refs;
	_Atomic uint64_t missing;
};

struct walk_name {
	struct walk_dir *dir;
	uint64_t ino;
	size_t at; /* in the batch's text */
};

struct batch {
	struct batch *next;
	unsigned int count, dirs;
	size_t used;
	struct walk_name name[BATCH_NAMES];
	char text[BATCH_BYTES];
};

struct level {
	struct walk_dir *dir;
	ssize_t at, end;
	char names[NAMES_BYTES] __attribute__((aligned(8)));
};

struct walk {
	struct fan_hsm *fan;
	const struct fan_hsm_walk_ops *ops;
	struct level **level; /* open directories from the root down */
	size_t depth, room;
	struct batch *filling;
	_Atomic int err; /* the first one; ends the walk */
	_Atomic uint64_t files, marked;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t change;
	struct batch *free, *full;
	bool ended;
	unsigned int helpers;
	pthread_t helper[HELPERS_MAX];
};

static void set_error(struct walk *w, int err)
{
	int none = 0;

	atomic_compare_exchange_strong(&w->err, &none, err);
}

static bool names_missing(const struct fan_hsm *fan, enum hsm_dir_state state)
{
	return state == HSM_DIR_UNPOPULATED ||
	       (state == HSM_DIR_NAMES && fan->opt->names == HSM_NS_AHEAD);
}

/*
 * ext4 and xfs count the directories in a directory in its link count, so two links mean there
 * is none; btrfs always says one.
 */
static bool has_directories(int fd)
{
	struct stat st;

	return fstat(fd, &st) || st.st_nlink != 2;
}

/* ---- files ---- */

static void dir_put(struct walk *w, struct walk_dir *dir)
{
	if (atomic_fetch_sub(&dir->refs, 1) != 1)
		return;
	if (dir->missing && w->ops->dir_end)
		w->ops->dir_end(w->fan, dir->fd, dir->missing);
	close(dir->fd);
	free(dir);
}

static int by_ino(const void *a, const void *b)
{
	const struct walk_name *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void look(struct walk *w, const struct batch *b, const struct walk_name *n)
{
	const char *name = b->text + n->at;
	int r = hsm_missing_at(w->fan->h, n->dir->fd, name, n->ino);

	if (r > 0) {
		r = w->ops->file(
			w->fan, n->dir->fd, name, atomic_fetch_add(&n->dir->missing, 1));
		w->marked += r > 0;
	}
	if (r < 0 && r != -ENOENT)
		set_error(w, r);
}

static void process(struct walk *w, struct batch *b)
{
	qsort(b->name, b->count, sizeof(b->name[0]), by_ino);
	for (unsigned int i = 0; i < b->count; i++) {
		if (!w->err)
			look(w, b, &b->name[i]);
		dir_put(w, b->name[i].dir);
	}
	w->files += b->count;
	b->count = b->dirs = 0;
	b->used = 0;
}

static void *helper_main(void *arg)
{
	struct walk *w = arg;
	struct batch *b;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		b = w->full;
		if (!b && w->ended)
			break;
		if (!b) {
			pthread_cond_wait(&w->change, &w->lock);
			continue;
		}
		w->full = b->next;
		pthread_mutex_unlock(&w->lock);
		process(w, b);
		pthread_mutex_lock(&w->lock);
		b->next = w->free;
		w->free = b;
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Hands the batch over if there is an empty one to go on with, else does the work itself. */
static void submit(struct walk *w)
{
	struct batch *b = w->filling, *other = NULL;

	if (!b || !b->count)
		return;
	pthread_mutex_lock(&w->lock);
	if (w->helpers && w->free) {
		other = w->free;
		w->free = other->next;
		b->next = w->full;
		w->full = b;
		pthread_cond_signal(&w->change);
	}
	pthread_mutex_unlock(&w->lock);
	if (other)
		w->filling = other;
	else
		process(w, b);
}

static void add_name(struct walk *w, struct walk_dir *dir, const struct dirent64 *d)
{
	size_t length = strlen(d->d_name) + 1;
	struct batch *b = w->filling;

	if (b->count == BATCH_NAMES || b->used + length > BATCH_BYTES || b->dirs >= BATCH_DIRS)
		submit(w);
	b = w->filling;
	if (!b->count || b->name[b->count - 1].dir != dir)
		b->dirs++;
	atomic_fetch_add(&dir->refs, 1);
	b->name[b->count++] = (struct walk_name){dir, d->d_ino, b->used};
	memcpy(b->text + b->used, d->d_name, length);
	b->used += length;
}

/* Without a helper, or memory for one, it only takes longer. */
static int start_helpers(struct walk *w)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	w->filling = calloc(1, sizeof(*w->filling));
	if (!w->filling)
		return -ENOMEM;
	for (int i = 1; i < BATCHES; i++) {
		struct batch *b = calloc(1, sizeof(*b));

		if (!b)
			break;
		b->next = w->free;
		w->free = b;
	}
	while ((long)w->helpers < HSM_MIN(cpus - 1, (long)HELPERS_MAX) &&
		!pthread_create(&w->helper[w->helpers], NULL, helper_main, w))
		w->helpers++;
	return 0;
}

static void end_helpers(struct walk *w)
{
	struct batch *b;

	submit(w);
	pthread_mutex_lock(&w->lock);
	w->ended = true;
	pthread_cond_broadcast(&w->change);
	pthread_mutex_unlock(&w->lock);
	for (unsigned int i = 0; i < w->helpers; i++)
		pthread_join(w->helper[i], NULL);
	while ((b = w->free)) {
		w->free = b->next;
		free(b);
	}
	free(w->filling);
}

/* ---- directories ---- */

/* Takes @fd. */
static int push(struct walk *w, int fd)
{
	struct level *l = malloc(sizeof(*l));

	if (l)
		l->dir = calloc(1, sizeof(*l->dir));
	if (l && l->dir && w->depth == w->room) {
		size_t room = w->room ? 2 * w->room : 64;
		struct level **level = reallocarray(w->level, room, sizeof(*level));

		if (level) {
			w->level = level;
			w->room = room;
		}
	}
	if (!l || !l->dir || w->depth == w->room) {
		if (l)
			free(l->dir);
		free(l);
		close(fd);
		return -ENOMEM;
	}
	l->dir->fd = fd;
	l->dir->refs = 1;
	l->at = l->end = 0;
	w->level[w->depth++] = l;
	return 0;
}

static void pop(struct walk *w)
{
	struct level *l = w->level[--w->depth];

	dir_put(w, l->dir);
	free(l);
}

/* Takes @fd. */
static int visit(struct walk *w, int fd)
{
	int r = 0;

	w->fan->walk.directories++;
	if (w->ops->dir && names_missing(w->fan, hsm_dir_state(w->fan->h, fd))) {
		r = w->ops->dir(w->fan, fd);
		w->marked += !r;
	}
	if (!r && (w->ops->file || has_directories(fd)))
		return push(w, fd);
	close(fd);
	return r;
}

static int visit_name(struct walk *w, struct walk_dir *dir, const struct dirent64 *d)
{
	int fd;

	if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
		return 0;
	if (d->d_type == DT_REG && w->ops->file)
		add_name(w, dir, d);
	if (d->d_type != DT_DIR && d->d_type != DT_UNKNOWN)
		return 0;
	fd = openat(dir->fd, d->d_name,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	if (fd >= 0)
		return visit(w, fd);
	if (errno == ENOTDIR && d->d_type == DT_UNKNOWN && w->ops->file)
		add_name(w, dir, d);
	return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
}

/* One name of the deepest open directory, or its end. */
static int step(struct walk *w)
{
	struct level *l = w->level[w->depth - 1];
	const struct dirent64 *d;

	if (l->at == l->end) {
		l->at = 0;
		l->end = getdents64(l->dir->fd, l->names, sizeof(l->names));
		if (l->end < 0)
			return -errno;
		if (!l->end) {
			pop(w);
			return 0;
		}
	}
	d = (const void *)(l->names + l->at);
	l->at += d->d_reclen;
	return visit_name(w, l->dir, d);
}

static int walk_tree(struct walk *w)
{
	int root = openat(hsm_data_fd(w->fan->h), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	r = root < 0 ? -errno : visit(w, root);
	while (!r && !w->err && w->depth)
		r = step(w);
	if (r)
		set_error(w, r);
	while (w->depth)
		pop(w);
	return r;
}

int fan_hsm_walk(struct fan_hsm *fan, const struct fan_hsm_walk_ops *ops)
{
	struct walk w = {.fan = fan, .ops = ops};
	uint64_t begin_ns = hsm_now_ns();
	int r = 0;

	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.change, NULL);
	if (ops->file)
		r = start_helpers(&w);
	if (!r) {
		walk_tree(&w);
		end_helpers(&w);
		r = w.err;
	}
	free(w.level);
	pthread_mutex_destroy(&w.lock);
	pthread_cond_destroy(&w.change);
	fan->walk.files = w.files;
	fan->walk.marked = w.marked;
	fan->walk.ns = hsm_now_ns() - begin_ns;
	if (r)
		return hsm_err(-r, "marking what is missing in the cache: %s", strerror(-r));
	return 0;
}

int fan_hsm_walk_count(
	struct fan_hsm *fan, int dirfd, uint64_t *ret_names, uint64_t *ret_missing)
{
	char names[NAMES_BYTES] __attribute__((aligned(8)));
	uint64_t count = 0, missing = 0;
	const struct dirent64 *d;
	ssize_t n;
	int r;

	while ((n = getdents64(dirfd, names, sizeof(names))) > 0) {
		for (ssize_t at = 0; at < n; at += d->d_reclen) {
			d = (const void *)(names + at);
			if (d->d_type != DT_REG && d->d_type != DT_UNKNOWN)
				continue;
			r = hsm_missing_at(fan->h, dirfd, d->d_name, d->d_ino);
			if (r < 0 && r != -ENOENT)
				return r;
			count++;
			missing += r > 0;
		}
	}
	if (n < 0)
		return -errno;
	*ret_names = count;
	*ret_missing = missing;
	return 0;
}
