/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories: one job per directory being populated, whoever asks. A job runs in the pool in up
 * to two steps: its own names, then (namespace ahead) those of each directory in it, as
 * jobs of their own that report back. No job waits in a thread for another one.
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/core.h"
#include "hsm/util.h"

/* Who wants to know that a job reached a step. */
struct dirwait {
	struct dirwait *next;
	bool names_only; /* called after the first step */
	hsm_done_fn done;
	void *arg;
};

struct hsm_dirjob {
	struct hsm_task task; /* first member */
	struct hsm *h;
	struct hsm_dirjob *hash_next; /* dir_lock, also below */
	uint64_t ino;
	struct dirwait *waiters;
	bool deep; /* the second step is wanted */
	bool names; /* the first step is done */
	int err;
	_Atomic unsigned int
		children; /* jobs of the second step, plus one while they are started */
	struct hsm_handle handle;
};

static struct hsm_dirjob **bucket_of(struct hsm *h, uint64_t ino)
{
	return &h->dirjobs[ino % HSM_ARRAY_SIZE(h->dirjobs)];
}

static bool deep_mode(const struct hsm *h)
{
	return h->opt.names == HSM_NS_AHEAD;
}

enum hsm_dir_state hsm_dir_state(struct hsm *h, int dirfd)
{
	struct hsm_state state;

	if (hsm_inode_state(h, dirfd, &state) || state.kind != HSM_KIND_DIR)
		return HSM_DIR_LOCAL;
	if (!(state.flags & HSM_S_NAMES))
		return HSM_DIR_UNPOPULATED;
	if (deep_mode(h) && !(state.flags & HSM_S_DEEP))
		return HSM_DIR_NAMES;
	return HSM_DIR_COMPLETE;
}

/* dir_lock held: waiters for the names, or all; a job that failed has no more steps. */
static struct dirwait *take_waiters(struct hsm_dirjob *job, bool all)
{
	struct dirwait *taken = NULL, **p = &job->waiters;

	while (*p) {
		struct dirwait *w = *p;

		if (!all && !w->names_only) {
			p = &w->next;
			continue;
		}
		*p = w->next;
		w->next = taken;
		taken = w;
	}
	return taken;
}

static void call_waiters(struct dirwait *list, int err)
{
	while (list) {
		struct dirwait *w = list;

		list = w->next;
		w->done(w->arg, err);
		free(w);
	}
}

static void finish(struct hsm_dirjob *job)
{
	struct hsm *h = job->h;
	struct hsm_dirjob **p = bucket_of(h, job->ino);
	struct dirwait *waiters;

	pthread_mutex_lock(&h->dir_lock);
	while (*p != job)
		p = &(*p)->hash_next;
	*p = job->hash_next;
	waiters = take_waiters(job, true);
	if (!--h->dirjob_count)
		pthread_cond_broadcast(&h->dir_idle);
	pthread_mutex_unlock(&h->dir_lock);
	call_waiters(waiters, job->err);
	free(job);
}

int hsm_dir_update(
	struct hsm *h, int dirfd, uint8_t set_flags, uint8_t clear_flags, int64_t mtime_ns)
{
	struct hsm_state state;
	struct stat st;
	int r;

	if (fstat(dirfd, &st))
		return -errno;
	hsm_state_lock(h, st.st_ino);
	r = hsm_state_load(dirfd, &state);
	if (!r) {
		state.flags = (uint8_t)((state.flags | set_flags) & ~clear_flags);
		if (mtime_ns != HSM_MTIME_UNKNOWN)
			state.mtime_ns = mtime_ns;
		r = hsm_state_store(dirfd, &state);
	}
	hsm_state_unlock(h, st.st_ino);
	return r;
}

static void announce_complete(struct hsm *h, int fd)
{
	if (h->fe.dir_complete)
		h->fe.dir_complete(h->fe.ctx, fd);
}

static int set_deep(struct hsm_dirjob *job)
{
	auto_fd int fd =
		hsm_handle_open(job->h->cache.data_fd, &job->handle, O_RDONLY | O_DIRECTORY);
	int r;

	if (fd < 0)
		return fd;
	r = hsm_dir_update(job->h, fd, HSM_S_DEEP, 0, HSM_MTIME_UNKNOWN);
	if (!r)
		announce_complete(job->h, fd);
	return r;
}

/* The last child, or the starter of the children, ends the second step. */
static void child_ended(void *arg, int err)
{
	struct hsm_dirjob *job = arg;

	(void)err; /* logged by the child's job; it stays unpopulated and is tried when opened */
	if (atomic_fetch_sub(&job->children, 1) != 1)
		return;
	job->err = set_deep(job);
	finish(job);
}

/* One directory in the job's directory. */
static void start_child(struct hsm_dirjob *job, int dirfd, const char *name)
{
	auto_fd int fd = openat(
		dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);

	if (fd < 0 || hsm_dir_state(job->h, fd) != HSM_DIR_UNPOPULATED)
		return;
	atomic_fetch_add(&job->children, 1);
	if (hsm_dir_join(job->h, fd, true, child_ended, job))
		atomic_fetch_sub(&job->children, 1);
}

static bool maybe_dir(const struct dirent *e)
{
	return (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN) && strcmp(e->d_name, ".") &&
	       strcmp(e->d_name, "..");
}

static void start_children(struct hsm_dirjob *job, int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	job->children = 1;
	if (!dir)
		hsm_util_close_fd(&fd);
	while (dir && (e = readdir(dir)))
		if (maybe_dir(e))
			start_child(job, dirfd, e->d_name);
	if (dir)
		closedir(dir);
	child_ended(job, 0);
}

/* 1: the directory is as complete as this mode wants it. */
static int run_names(struct hsm_dirjob *job, int fd)
{
	struct hsm *h = job->h;
	struct hsm_state state;
	bool subdirs = true;
	int r = hsm_state_load(fd, &state);

	if (r)
		return r;
	if (!(state.flags & HSM_S_NAMES)) {
		r = hsm_names_create(h, fd, state.path, &subdirs);
		if (r)
			return r;
	} else if (state.flags & HSM_S_DEEP) {
		subdirs = false;
	}
	if (deep_mode(h) && subdirs)
		return 0;
	announce_complete(h, fd);
	return 1;
}

/* After the first step: answers those who wanted names only; true = go on with the second. */
static bool names_done(struct hsm_dirjob *job, bool complete)
{
	struct dirwait *waiters;
	bool go_on;

	pthread_mutex_lock(&job->h->dir_lock);
	job->names = true;
	go_on = job->deep && !complete;
	waiters = take_waiters(job, false);
	pthread_mutex_unlock(&job->h->dir_lock);
	call_waiters(waiters, 0);
	return go_on;
}

static void run(struct hsm_task *task)
{
	struct hsm_dirjob *job = hsm_container_of(task, struct hsm_dirjob, task);
	struct hsm *h = job->h;
	auto_fd int fd =
		hsm_handle_open(h->cache.data_fd, &job->handle, O_RDONLY | O_DIRECTORY);
	int r = h->closing ? -ECANCELED : fd < 0 ? fd : run_names(job, fd);

	if (r < 0) {
		if (r != -ECANCELED)
			hsm_log(HSM_LOG_WARN, "%s", hsm_err_text());
		job->err = r;
		finish(job);
	} else if (names_done(job, r == 1)) {
		start_children(job, fd);
	} else {
		finish(job);
	}
}

/* dir_lock held. */
static struct hsm_dirjob *find_job(struct hsm *h, uint64_t ino)
{
	struct hsm_dirjob *job = *bucket_of(h, ino);

	while (job && job->ino != ino)
		job = job->hash_next;
	return job;
}

/* dir_lock held. */
static struct hsm_dirjob *new_job(struct hsm *h, uint64_t ino, const struct hsm_handle *handle)
{
	struct hsm_dirjob *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->task.run = run;
	job->h = h;
	job->ino = ino;
	job->handle = *handle;
	job->hash_next = *bucket_of(h, ino);
	*bucket_of(h, ino) = job;
	h->dirjob_count++;
	return job;
}

/* 1 is decided under the lock, since a job publishes its result before it leaves the table. */
static int join_once(struct hsm *h, int dirfd, bool names_only, hsm_done_fn done, void *arg)
{
	struct dirwait *w = malloc(sizeof(*w));
	struct hsm_dirjob *job = NULL;
	enum hsm_dir_state state;
	struct hsm_handle handle;
	bool start = false;
	struct stat st;
	int r;

	if (!w)
		return -ENOMEM;
	*w = (struct dirwait){NULL, names_only, done, arg};
	r = fstat(dirfd, &st) ? -errno : hsm_handle_of(dirfd, &handle);
	if (r) {
		free(w);
		return r;
	}
	pthread_mutex_lock(&h->dir_lock);
	state = hsm_dir_state(h, dirfd);
	if (h->closing)
		r = -ECANCELED;
	else if (state == HSM_DIR_LOCAL || state == HSM_DIR_COMPLETE ||
		 (names_only && state == HSM_DIR_NAMES))
		r = 1;
	else
		job = find_job(h, st.st_ino);
	/* A job past its first step that was not to be deep is about to end: it cannot be joined. */
	if (!r && job && !names_only && job->names && !job->deep)
		r = -EAGAIN;
	if (!r && !job) {
		job = new_job(h, st.st_ino, &handle);
		start = job;
		r = job ? 0 : -ENOMEM;
	}
	if (!r) {
		job->deep |= !names_only && deep_mode(h);
		w->next = job->waiters;
		job->waiters = w;
	}
	pthread_mutex_unlock(&h->dir_lock);
	if (r)
		free(w);
	else if (start)
		hsm_pool_submit(h->pool, &job->task, false);
	return r;
}

int hsm_dir_join(struct hsm *h, int dirfd, bool names_only, hsm_done_fn done, void *arg)
{
	int r;

	while ((r = join_once(h, dirfd, names_only, done, arg)) == -EAGAIN)
		sched_yield();
	return r;
}

int hsm_dir_fill(struct hsm *h, int dirfd, hsm_done_fn done, void *arg)
{
	enum hsm_dir_state state = hsm_dir_state(h, dirfd);

	if (state == HSM_DIR_LOCAL || state == HSM_DIR_COMPLETE)
		return 1;
	return hsm_dir_join(h, dirfd, false, done, arg);
}

void hsm_dirs_drain(struct hsm *h)
{
	pthread_mutex_lock(&h->dir_lock);
	while (h->dirjob_count)
		pthread_cond_wait(&h->dir_idle, &h->dir_lock);
	pthread_mutex_unlock(&h->dir_lock);
}
