/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A local directory as origin. Every name is resolved below the root by openat2(2), without
 * following a symbolic link. Fetches are read by a few threads with pread(2).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "hsm/err.h"
#include "hsm/origin.h"
#include "hsm/util.h"

#define THREADS_MAX 8
#define PIECE_BYTES (1u << 20)
#define OPEN_TRIES  16

struct mirror {
	struct hsm_origin origin;
	char *dir;
	int root_fd;
	unsigned int threads;
	pthread_t thread[THREADS_MAX];
	atomic_bool cancelled;

	pthread_mutex_t lock; /* the rest; a leaf */
	pthread_cond_t more; /* something was queued, or stop */
	struct hsm_fetch *head, **tail;
	bool stop;
};

/* Never blocks on a FIFO that took a file's place, never leaves the root. */
static int open_below(const struct mirror *m, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK |
				    O_NOCTTY),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	long fd = -1;

	/* EAGAIN: a rename went on meanwhile, so that the kernel cannot tell (openat2(2)). */
	for (int i = 0; i < OPEN_TRIES; i++) {
		fd = syscall(SYS_openat2, m->root_fd, *path ? path : ".", &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

/* ---- listing ---- */

static int add_link(int dirfd, const char *name, struct hsm_entry *e, struct hsm_listing *l)
{
	char target[4096];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);

	if (n <= 0)
		return n < 0 && errno == ENOENT ? 0 : -EIO;
	target[n] = '\0';
	e->target = target;
	e->size = (uint64_t)n;
	return hsm_listing_add(l, e);
}

static int add_name(struct mirror *m, int dirfd, const char *name, struct hsm_listing *l)
{
	struct hsm_entry e = {.name = name, .size_exact = true, .mtime_exact = true};
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : hsm_err(EIO, "%s: %s", name, strerror(errno));
	e.mode = st.st_mode & (S_IFMT | 07777);
	e.mtime_ns = hsm_timespec_to_ns(st.st_mtim);
	if (S_ISLNK(st.st_mode))
		return add_link(dirfd, name, &e, l);
	if (S_ISREG(st.st_mode)) {
		e.size = (uint64_t)st.st_size;
	} else if (!S_ISDIR(st.st_mode)) {
		hsm_stats_add(m->origin.stats, HSM_C_NAMES_REFUSED, 1);
		return 0;
	}
	return hsm_listing_add(l, &e);
}

static int read_names(struct mirror *m, DIR *dir, struct hsm_listing *l)
{
	int err = 0;

	while (!err) {
		struct dirent *d;

		errno = 0;
		d = readdir(dir);
		if (!d)
			return errno ? -EIO : 0;
		if (atomic_load_explicit(&m->cancelled, memory_order_relaxed))
			return hsm_err(ECANCELED, "the origin is closing");
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			err = add_name(m, dirfd(dir), d->d_name, l);
	}
	return err;
}

static int list_error(const char *path, int err)
{
	bool gone = err == -ENOENT || err == -ELOOP || err == -EXDEV;
	int ret = err == -ENOTDIR ? ENOTDIR : err == -EACCES ? EACCES : gone ? ENOENT : EIO;

	return hsm_err(ret, "directory '%s' of the origin: %s", path, strerror(-err));
}

static int mirror_list(struct hsm_origin *o, const char *path, struct hsm_listing *ret)
{
	struct mirror *m = hsm_container_of(o, struct mirror, origin);
	auto_fd int fd = open_below(m, path, O_DIRECTORY);
	DIR *dir;
	int err;

	hsm_stats_add(o->stats, HSM_C_ORIGIN_LISTS, 1);
	if (fd < 0)
		return list_error(path, fd);
	dir = fdopendir(fd);
	if (!dir)
		return list_error(path, -errno);
	fd = -1;
	err = read_names(m, dir, ret);
	closedir(dir);
	return err ? err : hsm_listing_finish(ret);
}

static int mirror_probe(struct hsm_origin *o)
{
	struct mirror *m = hsm_container_of(o, struct mirror, origin);
	auto_fd int fd = open_below(m, "", O_DIRECTORY);

	if (fd < 0)
		return hsm_err(-fd, "origin %s: %s", m->dir, strerror(-fd));
	return 0;
}

/* ---- fetching ---- */

/*
 * What a change of the file changes. Not the device: its number may differ after a reboot, while
 * inode number and both times are the file's own.
 */
static void make_validator(const struct stat *st, char ret[HSM_VALIDATOR_MAX])
{
	snprintf(ret, HSM_VALIDATOR_MAX, "%" PRIx64 "-%" PRIx64 "-%" PRIx64 "-%" PRIx64,
		(uint64_t)st->st_ino, (uint64_t)st->st_size,
		(uint64_t)hsm_timespec_to_ns(st->st_mtim),
		(uint64_t)hsm_timespec_to_ns(st->st_ctim));
}

static int stale(const struct hsm_fetch *f, const char *why)
{
	return hsm_err(ESTALE, "'%s' of the origin: %s", f->path, why);
}

/* Is it the file the stub describes? Learns what the stub does not know. */
static int check_file(int fd, struct hsm_fetch *f)
{
	char validator[HSM_VALIDATOR_MAX];
	struct stat st;

	if (fstat(fd, &st))
		return hsm_err(EIO, "'%s' of the origin: %s", f->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return stale(f, "no longer a regular file");
	if ((uint64_t)st.st_size != f->size)
		return stale(f, "its size changed");
	if (f->mtime_ns != HSM_MTIME_UNKNOWN && f->mtime_ns != hsm_timespec_to_ns(st.st_mtim))
		return stale(f, "its modification time changed");
	make_validator(&st, validator);
	if (f->validator[0] && strcmp(f->validator, validator) != 0)
		return stale(f, "it changed");
	memcpy(f->validator, validator, sizeof(validator));
	f->mtime_ns = hsm_timespec_to_ns(st.st_mtim);
	return 0;
}

/* One entry of ask(): what has gone, or is no file any more, stays marked. */
static int ask_one(struct hsm_listing *l, int dirfd, struct hsm_entry *e)
{
	char validator[HSM_VALIDATOR_MAX];
	struct stat st;

	if (fstatat(dirfd, e->name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : hsm_err(EIO, "%s: %s", e->name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return 0;
	make_validator(&st, validator);
	e->validator = hsm_listing_keep(l, validator);
	if (!e->validator)
		return -ENOMEM;
	e->size = (uint64_t)st.st_size;
	e->mtime_ns = hsm_timespec_to_ns(st.st_mtim);
	e->ask = false;
	return 0;
}

static int mirror_ask(struct hsm_origin *o, const char *path, struct hsm_listing *l)
{
	struct mirror *m = hsm_container_of(o, struct mirror, origin);
	auto_fd int fd = open_below(m, path, O_DIRECTORY);
	int err = fd < 0 ? list_error(path, fd) : 0;

	for (size_t i = 0; i < l->count && !err; i++)
		if (l->entry[i].ask)
			err = ask_one(l, fd, &l->entry[i]);
	return err;
}

/* Reads exactly @len bytes. */
static int read_piece(int fd, const struct hsm_fetch *f, char *buf, size_t len, uint64_t offset)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = pread(fd, buf + have, len - have, (off_t)(offset + have));

		if (n == 0)
			return stale(f, "it became shorter");
		if (n < 0 && errno != EINTR)
			return hsm_err(EIO, "'%s' of the origin: %s", f->path, strerror(errno));
		if (n > 0)
			have += (size_t)n;
	}
	return 0;
}

static int copy_range(struct mirror *m, int fd, struct hsm_fetch *f, char *buf)
{
	uint64_t at = f->offset, end = f->offset + f->length;
	int err = 0;

	while (at < end && !err) {
		size_t len = (size_t)HSM_MIN(end - at, (uint64_t)PIECE_BYTES);

		if (atomic_load_explicit(&m->cancelled, memory_order_relaxed))
			return hsm_err(ECANCELED, "the origin is closing");
		err = read_piece(fd, f, buf, len, at);
		/* Handed on only if the file is still the same: it may be written in place. */
		if (!err)
			err = check_file(fd, f);
		if (err)
			return err;
		hsm_stats_add(m->origin.stats, HSM_C_BYTES_FETCHED, len);
		err = f->data(f, at, buf, len);
		at += len;
	}
	return err;
}

static int run_fetch(struct mirror *m, struct hsm_fetch *f, char *buf)
{
	auto_fd int fd = -1;
	int err;

	if (atomic_load_explicit(&m->cancelled, memory_order_relaxed))
		return hsm_err(ECANCELED, "the origin is closing");
	fd = open_below(m, f->path, 0);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -EXDEV || fd == -ENXIO)
		return stale(f, strerror(-fd));
	if (fd < 0)
		return hsm_err(EIO, "'%s' of the origin: %s", f->path, strerror(-fd));
	err = check_file(fd, f);
	return err ? err : copy_range(m, fd, f, buf);
}

/* The next fetch, or NULL once the origin closes and none is left. */
static struct hsm_fetch *take(struct mirror *m)
{
	struct hsm_fetch *f;

	pthread_mutex_lock(&m->lock);
	while (!m->head && !m->stop)
		pthread_cond_wait(&m->more, &m->lock);
	f = m->head;
	if (f) {
		m->head = f->next;
		if (!m->head)
			m->tail = &m->head;
	}
	pthread_mutex_unlock(&m->lock);
	return f;
}

static void *mirror_run(void *arg)
{
	struct mirror *m = arg;
	auto_free char *buf = malloc(PIECE_BYTES);
	struct hsm_fetch *f;

	while ((f = take(m))) {
		int err = buf ? run_fetch(m, f, buf) : hsm_err(ENOMEM, "out of memory");

		if (err && err != -ECANCELED)
			hsm_stats_add(m->origin.stats, HSM_C_ORIGIN_ERRORS, 1);
		f->done(f, err);
	}
	return NULL;
}

static void mirror_fetch(struct hsm_origin *o, struct hsm_fetch *f)
{
	struct mirror *m = hsm_container_of(o, struct mirror, origin);

	hsm_stats_add(o->stats, HSM_C_ORIGIN_FETCHES, 1);
	f->next = NULL;
	pthread_mutex_lock(&m->lock);
	*m->tail = f;
	m->tail = &f->next;
	pthread_cond_signal(&m->more);
	pthread_mutex_unlock(&m->lock);
}

/* ---- life ---- */

static void mirror_cancel(struct hsm_origin *o)
{
	struct mirror *m = hsm_container_of(o, struct mirror, origin);

	atomic_store(&m->cancelled, true);
}

static void mirror_close(struct hsm_origin *o)
{
	struct mirror *m = hsm_container_of(o, struct mirror, origin);

	mirror_cancel(o);
	pthread_mutex_lock(&m->lock);
	m->stop = true;
	pthread_cond_broadcast(&m->more);
	pthread_mutex_unlock(&m->lock);
	for (unsigned int i = 0; i < m->threads; i++)
		pthread_join(m->thread[i], NULL);
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->more);
	close(m->root_fd);
	free(m->dir);
	free(m);
}

static const struct hsm_origin_ops mirror_ops = {
	.scheme = "mirror",
	.probe = mirror_probe,
	.list = mirror_list,
	.ask = mirror_ask,
	.fetch = mirror_fetch,
	.cancel = mirror_cancel,
	.close = mirror_close,
};

static int start_threads(struct mirror *m, unsigned int n)
{
	int err = 0;

	while (m->threads < n && !err) {
		err = -pthread_create(&m->thread[m->threads], NULL, mirror_run, m);
		m->threads += !err;
	}
	return m->threads ? 0 : err;
}

int hsm_origin_mirror_open(const char *dir, const struct hsm_options *opt,
	struct hsm_stats *stats, struct hsm_origin **ret_origin)
{
	auto_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *copy = strdup(dir);
	struct mirror *m;
	int err;

	if (fd < 0)
		return hsm_err(errno, "origin %s: %s; give a directory or an http(s) URL", dir,
			strerror(errno));
	m = copy ? calloc(1, sizeof(*m)) : NULL;
	if (!m)
		return -ENOMEM;
	m->origin = (struct hsm_origin){.ops = &mirror_ops, .stats = stats};
	m->root_fd = hsm_take_fd(fd);
	m->dir = hsm_take_ptr(copy);
	m->tail = &m->head;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->more, NULL);
	err = start_threads(
		m, HSM_MIN(HSM_MAX(opt->connections, 1U), (unsigned int)THREADS_MAX));
	if (err) {
		mirror_close(&m->origin);
		return err;
	}
	*ret_origin = &m->origin;
	return 0;
}
