/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Refreshing: the tree is made the same as the origin, directory by directory, by a few threads of its
 * own, so that readers who wait for names find the pool's. What is left to do is a stack of directories
 * whose subdirectories are read a few at a time: memory grows with the depth of the tree and the size
 * of one listing, not with the size of the tree. Also the schedule (--refresh).
 */
#include "hsm/refresh.h"

#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "hsm/util.h"

#define THREADS	     4
#define BATCH	     32 /* subdirectories read at a time */
#define FAILURES_MAX 8 /* listings in a row: the origin is down */

struct item {
	struct hsm_handle handle;
	bool moved; /* a user gave it another place: if the origin has it no more, so be it */
};

/* A directory that was compared, and its subdirectories that were not. */
struct hsm_refresh_level {
	struct hsm_refresh_level *below;
	struct hsm_handle handle;
	long cookie; /* where reading goes on */
	bool ended;
	unsigned int next, count;
	struct item item[BATCH];
};

/* ---- counting and telling ---- */

static void count(struct hsm_refresh *run, uint64_t *member)
{
	pthread_mutex_lock(&run->lock);
	++*member;
	pthread_mutex_unlock(&run->lock);
}

static void tell(struct hsm_refresh *run, const char *dir, const char *name, const char *why,
	uint64_t *member)
{
	char path[HSM_PATH_MAX + 258];

	snprintf(path, sizeof(path), "%s%s%s", dir, *dir && *name ? "/" : "", name);
	pthread_mutex_lock(&run->lock);
	++*member;
	run->report(run->report_arg, path, why);
	pthread_mutex_unlock(&run->lock);
}

void hsm_refresh_conflict(
	struct hsm_refresh *run, const char *dir, const char *name, const char *why)
{
	hsm_stats_add(run->h->stats, HSM_C_REFRESH_CONFLICTS, 1);
	tell(run, dir, name, why, &run->totals.conflicts);
}

void hsm_refresh_error(
	struct hsm_refresh *run, const char *dir, const char *name, const char *why)
{
	if (!run->h->closing)
		tell(run, dir, name, why, &run->totals.errors);
}

void hsm_refresh_changed(struct hsm_refresh *run, int dirfd, const char *name, uint64_t *total)
{
	struct hsm *h = run->h;

	hsm_stats_add(h->stats, HSM_C_REFRESH_CHANGES, 1);
	count(run, total);
	if (h->fe.name_changed)
		h->fe.name_changed(h->fe.ctx, dirfd, name);
}

/* ---- what is left to do ---- */

/* Below a directory that was moved and has gone, all is moved. */
static bool is_moved(
	const struct hsm_state *state, const struct hsm_state *parent, const char *name)
{
	char path[HSM_PATH_MAX + 258];

	snprintf(path, sizeof(path), "%s%s%s", parent->path, *parent->path ? "/" : "", name);
	return parent->flags & HSM_S_GONE || strcmp(path, state->path);
}

/* 1: a directory of the origin that has its names. */
static int look_at_child(struct hsm *h, int dirfd, const struct hsm_state *parent,
	const char *name, struct item *ret_item)
{
	auto_fd int fd = openat(
		dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	struct hsm_state state;

	if (fd < 0 || hsm_inode_state(h, fd, &state) || state.kind != HSM_KIND_DIR ||
		!(state.flags & HSM_S_NAMES) || state.flags & HSM_S_GONE)
		return 0;
	ret_item->moved = is_moved(&state, parent, name);
	return !hsm_handle_of(fd, &ret_item->handle);
}

static bool maybe_dir(const struct dirent *e)
{
	return (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN) && strcmp(e->d_name, ".") &&
	       strcmp(e->d_name, "..");
}

static void read_batch(
	struct hsm *h, struct hsm_refresh_level *l, DIR *dir, const struct hsm_state *state)
{
	const struct dirent *e = NULL;

	seekdir(dir, l->cookie);
	while (l->count < BATCH && (e = readdir(dir)))
		if (maybe_dir(e))
			l->count += (unsigned int)look_at_child(
				h, dirfd(dir), state, e->d_name, &l->item[l->count]);
	l->ended = !e;
	l->cookie = telldir(dir);
}

/* The next subdirectories of the level. It may have gone meanwhile. */
static void refill(struct hsm *h, struct hsm_refresh_level *l)
{
	int fd = hsm_handle_open(
		h->cache.data_fd, &l->handle, O_RDONLY | O_DIRECTORY | O_NOATIME);
	struct hsm_state state;
	DIR *dir;

	l->next = l->count = 0;
	l->ended = true;
	if (fd < 0)
		return;
	dir = hsm_state_load(fd, &state) ? NULL : fdopendir(fd);
	if (!dir) {
		close(fd);
		return;
	}
	read_batch(h, l, dir, &state);
	closedir(dir);
}

static void push(struct hsm_refresh *run, const struct hsm_handle *handle)
{
	struct hsm_refresh_level *l = malloc(sizeof(*l));

	if (!l) {
		hsm_refresh_error(run, "", "", "out of memory: a part of the tree is left out");
		return;
	}
	l->handle = *handle;
	l->cookie = 0;
	l->ended = false;
	l->next = l->count = 0;
	pthread_mutex_lock(&run->lock);
	l->below = run->level;
	run->level = l;
	pthread_cond_broadcast(&run->change);
	pthread_mutex_unlock(&run->lock);
}

/* Lock held. */
static bool is_over(const struct hsm_refresh *run)
{
	return run->given_up || run->h->closing;
}

/* Lock held: the next directory of the stack; false if it is empty. */
static bool pop(struct hsm_refresh *run, struct item *ret_item)
{
	while (run->level && !is_over(run)) {
		struct hsm_refresh_level *l = run->level;

		if (l->next == l->count && !l->ended)
			refill(run->h, l);
		if (l->next < l->count) {
			*ret_item = l->item[l->next++];
			return true;
		}
		if (l->ended) {
			run->level = l->below;
			free(l);
		}
	}
	return false;
}

/* Waits while others may still add to an empty stack. */
static bool take(struct hsm_refresh *run, struct item *ret_item)
{
	bool found = false;

	pthread_mutex_lock(&run->lock);
	while (!(found = pop(run, ret_item)) && run->busy && !is_over(run))
		pthread_cond_wait(&run->change, &run->lock);
	run->busy += found;
	pthread_mutex_unlock(&run->lock);
	return found;
}

static void done(struct hsm_refresh *run)
{
	pthread_mutex_lock(&run->lock);
	run->busy--;
	pthread_cond_broadcast(&run->change);
	pthread_mutex_unlock(&run->lock);
}

/* ---- directories ---- */

/* A listing that failed. When one after the other does, the rest is not tried. */
static void note_failure(struct hsm_refresh *run, int fd, bool moved, int err)
{
	bool gone = err == -ENOENT || err == -ENOTDIR;
	struct hsm_state state;

	if (run->h->closing || hsm_state_load(fd, &state))
		return;
	if (gone && moved) {
		hsm_dir_update(run->h, fd, HSM_S_GONE, 0, HSM_MTIME_UNKNOWN);
		hsm_refresh_conflict(
			run, state.path, "", "gone from the origin; a user has moved it; kept");
		return;
	}
	hsm_refresh_error(run, state.path, "", hsm_err_text());
	pthread_mutex_lock(&run->lock);
	if (!gone && ++run->failures >= FAILURES_MAX)
		run->given_up = true;
	pthread_mutex_unlock(&run->lock);
}

static void note_success(struct hsm_refresh *run)
{
	pthread_mutex_lock(&run->lock);
	run->totals.dirs++;
	run->failures = 0;
	pthread_mutex_unlock(&run->lock);
}

static void visit(struct hsm_refresh *run, const struct item *item)
{
	auto_fd int fd = hsm_handle_open(
		run->h->cache.data_fd, &item->handle, O_RDONLY | O_DIRECTORY | O_NOATIME);
	int r;

	if (fd < 0)
		return; /* removed meanwhile */
	r = hsm_refresh_one(run, fd);
	if (r)
		note_failure(run, fd, item->moved, r);
	else
		note_success(run);
	push(run, &item->handle);
}

static void *work(void *arg)
{
	struct hsm_refresh *run = arg;
	struct item item;

	while (take(run, &item)) {
		visit(run, &item);
		done(run);
	}
	return NULL;
}

static void work_together(struct hsm_refresh *run)
{
	pthread_t thread[THREADS - 1];
	unsigned int n = 0;

	while (n < HSM_ARRAY_SIZE(thread) && !pthread_create(&thread[n], NULL, work, run))
		n++;
	work(run);
	while (n)
		pthread_join(thread[--n], NULL);
	while (run->level) {
		struct hsm_refresh_level *l = run->level;

		run->level = l->below;
		free(l);
	}
}

/* The directory it begins at: if that cannot be listed, nothing else is tried. */
static int begin_at(struct hsm_refresh *run, int fd, const char *path)
{
	struct hsm_handle handle;
	int r = hsm_handle_of(fd, &handle);

	if (!r && hsm_dir_state(run->h, fd) >= HSM_DIR_NAMES) {
		r = hsm_refresh_one(run, fd);
		if (!r)
			note_success(run);
	}
	if (r)
		hsm_refresh_error(run, path, "", hsm_err_text());
	else
		push(run, &handle);
	return r;
}

/* ---- a refresh ---- */

/* One at a time: two would only get into each other's way. */
static int begin(struct hsm *h)
{
	pthread_mutex_lock(&h->refresh_lock);
	while (h->refreshing && !h->closing)
		pthread_cond_wait(&h->refresh_change, &h->refresh_lock);
	if (!h->closing)
		h->refreshing = true;
	pthread_mutex_unlock(&h->refresh_lock);
	return h->closing ? -ECANCELED : 0;
}

static void end(struct hsm *h)
{
	pthread_mutex_lock(&h->refresh_lock);
	h->refreshing = false;
	pthread_cond_broadcast(&h->refresh_change);
	pthread_mutex_unlock(&h->refresh_lock);
}

static int open_dir(struct hsm *h, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
	long fd;

	while (*path == '/')
		path++;
	fd = syscall(SYS_openat2, h->cache.data_fd, *path ? path : ".", &how, sizeof(how));
	return fd < 0 ? hsm_err(errno, "%s: %s in the tree", path, strerror(errno)) : (int)fd;
}

static void run_at(struct hsm_refresh *run, int fd, const char *path)
{
	struct hsm *h = run->h;

	run->err = begin_at(run, fd, path);
	if (run->err)
		return;
	work_together(run);
	if (run->given_up)
		run->report(run->report_arg, path, "the origin does not answer: given up");
	if (h->opt.names == HSM_NS_EAGER && !run->given_up && !h->closing &&
		hsm_tree_populate(h, fd))
		hsm_refresh_error(run, path, "", "not every new directory could be listed");
}

int hsm_refresh(struct hsm *h, const char *path, hsm_report_fn report, void *arg,
	struct hsm_refresh_totals *ret_totals)
{
	struct hsm_refresh run = {.h = h,
		.report = report,
		.report_arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.change = PTHREAD_COND_INITIALIZER};
	auto_fd int fd = open_dir(h, path);
	int r = begin(h);

	if (r)
		return r;
	if (fd < 0) {
		run.err = fd;
		hsm_refresh_error(&run, path, "", hsm_err_text());
	} else {
		run_at(&run, fd, path);
	}
	end(h);
	if (!h->closing && !run.err)
		hsm_stats_add(h->stats, HSM_C_REFRESHES, 1);
	*ret_totals = run.totals;
	return h->closing ? -ECANCELED : run.err;
}

/* ---- the schedule ---- */

static void log_line(void *arg, const char *path, const char *text)
{
	(void)arg;
	hsm_log(HSM_LOG_WARN, "refresh: /%s: %s", path, text);
}

static bool wait_for_turn(struct hsm *h)
{
	uint64_t due_ns = hsm_now_ns() + h->opt.refresh_ns;
	struct timespec due = hsm_ns_to_timespec((int64_t)due_ns);

	pthread_mutex_lock(&h->refresh_lock);
	while (!h->closing && hsm_now_ns() < due_ns)
		pthread_cond_clockwait(
			&h->refresh_change, &h->refresh_lock, CLOCK_MONOTONIC, &due);
	pthread_mutex_unlock(&h->refresh_lock);
	return !h->closing;
}

static void *refresher(void *arg)
{
	struct hsm *h = arg;

	while (wait_for_turn(h)) {
		struct hsm_refresh_totals t = {0};

		if (hsm_refresh(h, "", log_line, NULL, &t) == -ECANCELED)
			break;
		hsm_log(HSM_LOG_INFO,
			"refresh: %llu directories, %llu names added, %llu removed, %llu replaced, "
			"%llu conflicts, %llu errors",
			(unsigned long long)t.dirs, (unsigned long long)t.added,
			(unsigned long long)t.removed, (unsigned long long)t.replaced,
			(unsigned long long)t.conflicts, (unsigned long long)t.errors);
	}
	return NULL;
}

int hsm_refresher_start(struct hsm *h)
{
	int r;

	if (!h->opt.refresh_ns)
		return 0;
	r = pthread_create(&h->refresher, NULL, refresher, h);
	if (r)
		return hsm_err(r, "starting threads: %s", strerror(r));
	h->refresher_runs = true;
	return 0;
}

void hsm_refresher_stop(struct hsm *h)
{
	pthread_mutex_lock(&h->refresh_lock);
	pthread_cond_broadcast(&h->refresh_change);
	pthread_mutex_unlock(&h->refresh_lock);
	if (h->refresher_runs)
		pthread_join(h->refresher, NULL);
	h->refresher_runs = false;
}
