/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk at start. Depth first with one open directory per level, so memory and descriptors are
 * bounded by the depth of the tree; all through the private mount, which raises no events.
 * A directory that a user moves from the part not yet visited to the part already visited
 * is missed; that needs a rename in the first moments of the daemon.
 */
#include "fan_hsm/dirs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fan_hsm/group.h"
#include "hsm/util.h"

struct walk {
	struct fan_hsm *fan;
	DIR **level; /* open directories from the root down */
	size_t depth, room;
};

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

static int push(struct walk *w, int fd)
{
	if (w->depth == w->room) {
		size_t room = w->room ? 2 * w->room : 64;
		DIR **level = reallocarray(w->level, room, sizeof(*level));

		if (!level)
			return -ENOMEM;
		w->level = level;
		w->room = room;
	}
	w->level[w->depth] = fdopendir(fd);
	if (!w->level[w->depth])
		return -errno;
	w->depth++;
	return 0;
}

/* Takes @fd. */
static int visit(struct walk *w, int fd)
{
	auto_fd int dir = fd;
	int r;

	w->fan->walk.directories++;
	if (names_missing(w->fan, hsm_dir_state(w->fan->h, dir))) {
		r = fan_hsm_mark_dir(w->fan, dir);
		if (r)
			return r;
		w->fan->walk.marked++;
	}
	if (!has_directories(dir))
		return 0;
	r = push(w, dir);
	if (!r)
		dir = -1;
	return r;
}

static int visit_entry(struct walk *w, DIR *dir, const struct dirent *d)
{
	int fd;

	if (d->d_type != DT_DIR && d->d_type != DT_UNKNOWN)
		return 0;
	if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
		return 0;
	fd = openat(dirfd(dir), d->d_name,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	return visit(w, fd);
}

/* One name of the deepest open directory, or its end. */
static int step(struct walk *w)
{
	DIR *dir = w->level[w->depth - 1];
	const struct dirent *d;

	errno = 0;
	d = readdir(dir);
	if (d)
		return visit_entry(w, dir, d);
	if (errno)
		return -errno;
	closedir(dir);
	w->depth--;
	return 0;
}

int fan_hsm_dirs_mark(struct fan_hsm *fan)
{
	struct walk w = {.fan = fan};
	uint64_t begin_ns = hsm_now_ns();
	int root = openat(hsm_data_fd(fan->h), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	r = root < 0 ? -errno : visit(&w, root);
	while (!r && w.depth)
		r = step(&w);
	while (w.depth)
		closedir(w.level[--w.depth]);
	free(w.level);
	fan->walk.ns = hsm_now_ns() - begin_ns;
	if (r)
		return hsm_err(-r, "marking the directories of the cache: %s", strerror(-r));
	return 0;
}
