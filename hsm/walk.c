/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Walking the tree from inside the daemon: hsmctl populate, and the file visits of verify. */
#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "hsm/core.h"
#include "hsm/util.h"

#define FILLS_MAX	64 /* files of one populate --data under way */
#define OPEN_TRIES	200
#define OPEN_PAUSE_USEC 5000

static int open_beneath(int dirfd, const char *name)
{
	struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
	long fd;

	/* EAGAIN: its bytes are being given back just now, or a rename was in the way. */
	for (int n = 0; n < OPEN_TRIES; n++) {
		fd = syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
		usleep(OPEN_PAUSE_USEC);
	}
	return fd < 0 ? -errno : (int)fd;
}

int hsm_walk_open_there(struct hsm *h, const char *path)
{
	return open_beneath(h->cache.data_fd, *path ? path : ".");
}

int hsm_walk_open(struct hsm *h, const char *path)
{
	auto_free char *copy = strdup(path);
	auto_fd int fd = open_beneath(h->cache.data_fd, ".");
	char *rest = copy, *name;
	int next, r;

	if (!copy)
		return -ENOMEM;
	if (fd < 0)
		return fd;
	while ((name = strsep(&rest, "/"))) {
		if (!*name || !strcmp(name, "."))
			continue;
		r = hsm_dir_fill_wait(h, fd);
		if (r)
			return r;
		next = open_beneath(fd, name);
		if (next < 0)
			return hsm_err(-next, "%s: %s", path, strerror(-next));
		close(fd);
		fd = next;
	}
	return hsm_take_fd(fd);
}

static int visit_entry(
	int dirfd, const char *path, const struct dirent *e, hsm_visit_fn visit, void *arg)
{
	auto_free char *child = NULL;
	auto_fd int fd = -1;
	struct stat st;
	int r;

	if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		(e->d_type != DT_REG && e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
		return 0;
	fd = open_beneath(dirfd, e->d_name);
	if (fd < 0 || fstat(fd, &st))
		return 0; /* gone or not ours to follow */
	if (asprintf(&child, "%s%s%s", path, *path ? "/" : "", e->d_name) < 0)
		return -ENOMEM;
	if (S_ISDIR(st.st_mode))
		return hsm_walk_files(hsm_take_fd(fd), child, visit, arg);
	r = S_ISREG(st.st_mode) ? visit(arg, fd, child) : 0;
	return r;
}

int hsm_walk_files(int dirfd, const char *path, hsm_visit_fn visit, void *arg)
{
	DIR *dir = dirfd < 0 ? NULL : fdopendir(dirfd);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		r = -errno;
		hsm_util_close_fd(&dirfd);
		return r;
	}
	while (!r && (e = readdir(dir)))
		r = visit_entry(dirfd, path, e, visit, arg);
	closedir(dir);
	return r;
}

/* populate --data: keeps a bounded number of files under way. */
struct populate {
	struct hsm *h;
	hsm_report_fn report;
	void *report_arg;
	pthread_mutex_t lock; /* all below, and calls of report */
	pthread_cond_t ended;
	unsigned int running;
	int err;
};

struct one_fill {
	struct populate *p;
	int fd;
	char path[];
};

static void fill_ended(void *arg, int err)
{
	struct one_fill *one = arg;
	struct populate *p = one->p;

	close(one->fd);
	pthread_mutex_lock(&p->lock);
	if (err) {
		p->report(p->report_arg, one->path, strerror(-err));
		p->err = p->err ? p->err : err;
	}
	p->running--;
	pthread_cond_signal(&p->ended);
	pthread_mutex_unlock(&p->lock);
	free(one);
}

static int fill_one(void *arg, int fd, const char *path)
{
	struct populate *p = arg;
	struct one_fill *one = malloc(sizeof(*one) + strlen(path) + 1);
	int r;

	if (!one)
		return -ENOMEM;
	one->p = p;
	strcpy(one->path, path);
	one->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_lock(&p->lock);
	while (p->running >= FILLS_MAX)
		pthread_cond_wait(&p->ended, &p->lock);
	p->running++;
	pthread_mutex_unlock(&p->lock);
	r = one->fd < 0 ? -errno
			: hsm_fd_fill(p->h, one->fd, 0, 0, HSM_FILL_ALL, fill_ended, one);
	if (r)
		fill_ended(one, HSM_MIN(r, 0));
	return p->h->closing ? -ECANCELED : 0;
}

/* A new description: btrfs fixes what a directory holds when it is opened. */
static int reopen_dir(int dirfd)
{
	return openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int populate_data(
	struct hsm *h, int fd, const char *path, bool is_dir, hsm_report_fn report, void *arg)
{
	struct populate p = {.h = h,
		.report = report,
		.report_arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.ended = PTHREAD_COND_INITIALIZER};
	int r = is_dir ? hsm_walk_files(reopen_dir(fd), path, fill_one, &p)
		       : fill_one(&p, fd, path);

	pthread_mutex_lock(&p.lock);
	while (p.running)
		pthread_cond_wait(&p.ended, &p.lock);
	pthread_mutex_unlock(&p.lock);
	return r ? r : p.err;
}

int hsm_walk_populate(
	struct hsm *h, const char *path, bool data, hsm_report_fn report, void *arg)
{
	auto_fd int fd = hsm_walk_open(h, path);
	struct stat st;
	int r = 0;

	if (fd < 0 || fstat(fd, &st)) {
		r = fd < 0 ? fd : -errno;
		report(arg, path, strerror(-r));
		return r;
	}
	if (S_ISDIR(st.st_mode))
		r = hsm_tree_populate(h, fd);
	if (r)
		report(arg, path, "not every directory could be listed; see the daemon's log");
	if (data && !r)
		r = populate_data(h, fd, path, S_ISDIR(st.st_mode), report, arg);
	return r;
}
