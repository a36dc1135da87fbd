/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/exposed.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fan_hsm/deny.h"
#include "hsm/state.h"
#include "hsm/util.h"

/* A descriptor may move to a process that was looked at before: until one pass finds nothing. */
#define PASSES 3

struct scan {
	struct fan_hsm *fan;
	pid_t pid;
	unsigned int repaired;
};

/* No error: processes and their descriptors come and go. */
static DIR *open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		close(fd);
	return dir;
}

/*
 * Without opening, and without asking a server that may be away: what it is by the attributes the
 * kernel has. Links in procfs lead to the object itself, whatever mount namespace it is in.
 */
static bool worth_opening(int at, const char *name)
{
	struct statx st;

	if (statx(at, name, AT_STATX_DONT_SYNC, STATX_TYPE, &st))
		return false;
	return S_ISREG(st.stx_mode) || S_ISDIR(st.stx_mode);
}

static bool has_state(int at, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", at, name);
	return getxattr(path, HSM_XATTR_STATE, NULL, 0) > 0;
}

static void path_of(int at, const char *name, char *path, size_t room)
{
	ssize_t n = readlinkat(at, name, path, room - 1);

	path[n > 0 ? n : 0] = 0;
}

struct whole {
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool over;
	int err;
};

static void whole_done(void *arg, int err)
{
	struct whole *w = arg;

	pthread_mutex_lock(&w->lock);
	w->over = true;
	w->err = err;
	pthread_cond_signal(&w->done);
	pthread_mutex_unlock(&w->lock);
}

static int fill_file(struct hsm *h, int fd)
{
	struct whole w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
	int r = hsm_fd_fill(h, fd, 0, 0, HSM_FILL_ALL, whole_done, &w);

	if (r)
		return r < 0 ? r : 0;
	pthread_mutex_lock(&w.lock);
	while (!w.over)
		pthread_cond_wait(&w.done, &w.lock);
	pthread_mutex_unlock(&w.lock);
	return w.err;
}

static int repair(struct scan *scan, int fd, const char *path)
{
	struct stat st;
	int r = -EIO;

	if (!fstat(fd, &st))
		r = S_ISDIR(st.st_mode) ? hsm_dir_fill_wait(scan->fan->h, fd)
					: fill_file(scan->fan->h, fd);
	if (r)
		return hsm_err(-r,
			"process %d has %s open since before fan_hsm watched, and would read "
			"zeros: it cannot be filled (%s); end the process first",
			scan->pid, path, strerror(-r));
	scan->repaired++;
	hsm_log(HSM_LOG_WARN,
		"process %d had %s open since before fan_hsm watched: it was filled; what it "
		"read before may have been zeros",
		scan->pid, path);
	return 0;
}

static int look_at(struct scan *scan, int at, const char *name)
{
	char path[PATH_MAX];
	auto_fd int fd = -1;

	if (!worth_opening(at, name) || !has_state(at, name))
		return 0;
	fd = openat(at, name, O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
	if (fd < 0 || !fan_hsm_deny_if_stub(scan->fan->cache_id, fd))
		return 0;
	path_of(at, name, path, sizeof(path));
	return repair(scan, fd, path);
}

static int each_link(struct scan *scan, DIR *process, const char *which)
{
	DIR *links = open_dir(dirfd(process), which);
	const struct dirent *d;
	int r = 0;

	while (links && !r && (d = readdir(links)))
		if (d->d_name[0] != '.')
			r = look_at(scan, dirfd(links), d->d_name);
	if (links)
		closedir(links);
	return r;
}

/* Of our own processes there are only the descriptors of events, and of the core's own mount. */
static bool is_ours(const struct fan_hsm_shared *s, pid_t pid)
{
	return pid == getpid() || pid == atomic_load(&s->supervisor) ||
	       pid == atomic_load(&s->guard);
}

static int each_process(struct scan *scan, DIR *proc)
{
	const struct dirent *d;
	int r = 0;

	while (!r && (d = readdir(proc))) {
		DIR *process;

		scan->pid = atoi(d->d_name);
		if (!isdigit((unsigned char)d->d_name[0]) ||
			is_ours(scan->fan->shared, scan->pid))
			continue;
		process = open_dir(dirfd(proc), d->d_name);
		if (!process)
			continue;
		r = each_link(scan, process, "fd");
		if (!r)
			r = each_link(scan, process, "map_files");
		closedir(process);
	}
	return r;
}

int fan_hsm_exposed_repair(struct fan_hsm *fan)
{
	int r = 0;

	for (int pass = 0; !r && pass < PASSES; pass++) {
		struct scan scan = {.fan = fan};
		DIR *proc = open_dir(AT_FDCWD, "/proc");

		if (!proc)
			return hsm_err(errno, "/proc: %s; it must be mounted", strerror(errno));
		r = each_process(&scan, proc);
		closedir(proc);
		if (!scan.repaired)
			break;
	}
	return r;
}
