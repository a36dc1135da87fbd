/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The three fanotify groups and the calls that mark. Why three: a mark with FAN_PRE_ACCESS takes no
 * directory permission bits (EEXIST), and the directory bits must sit on inodes, since
 * on a file system they would make every regular file pay on every open. What was changed is told
 * by file handle: with descriptors, a write to a FIFO on the watched file system would make the
 * kernel open it for the reader of the group, who would wait there for ever.
 */
#include "fan_hsm/group.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fan_hsm/fanotify_compat.h"
#include "hsm/util.h"

/*
 * Without UNLIMITED_QUEUE a full queue allows, that is: readers get zeros. Blocking reads: one
 * system call less per event than poll(2) + read(2). Thread ids: see caller.h.
 */
#define GROUP_FLAGS                                                                        \
	(FAN_CLASS_PRE_CONTENT | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS | FAN_CLOEXEC | \
		FAN_REPORT_FD_ERROR | FAN_REPORT_TID)

/*
 * Read-only descriptors can be opened for running programs and on read-only mounts; the core
 * writes through its own mount. Without O_NONBLOCK, a file that its reader holds a write lease of
 * would stop read(2) of the group, and with it everybody, for fs.lease-break-time (45 s).
 */
#define EVENT_FLAGS (O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME | O_NONBLOCK)

#define DIR_EVENTS (FAN_OPEN_PERM | FAN_ONDIR)

#define CHANGE_FLAGS (FAN_CLASS_NOTIF | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS | FAN_CLOEXEC)

static void count_one(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static int group_error(int err)
{
	switch (err) {
	case EPERM:
		return hsm_err(err, "no permission to use fanotify: run fan_hsm as root "
				    "(CAP_SYS_ADMIN in the initial user namespace)");
	case ENOSYS:
	case EINVAL:
		return hsm_err(err,
			"this kernel has no pre-content events: Linux 6.14 or later "
			"with CONFIG_FANOTIFY_ACCESS_PERMISSIONS is needed");
	case EMFILE:
		return hsm_err(err, "no fanotify group left for this user: raise "
				    "fs.fanotify.max_user_groups or the limit of open files");
	default:
		return hsm_err(err, "fanotify_init: %s", strerror(err));
	}
}

static int mark_error(int err, const char *where)
{
	switch (err) {
	case EOPNOTSUPP:
		return hsm_err(err,
			"the file system of %s has no pre-content events: put the "
			"cache on ext4, xfs or btrfs",
			where);
	case EINVAL:
		return group_error(err);
	default:
		return hsm_err(err, "fanotify_mark on %s: %s", where, strerror(err));
	}
}

/* On a directory alone, and not for the files in it, it is accepted and raises nothing. */
static int prove(const struct fan_hsm *fan, const char *cache)
{
	uint64_t events = fan_hsm_data_event(fan);
	int group = fan->data_group;
	auto_fd int fd = open(cache, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return hsm_err(errno, "cache %s: %s; create the directory first", cache,
			strerror(errno));
	if (fanotify_mark(group, FAN_MARK_ADD, events, fd, "."))
		return mark_error(errno, cache);
	if (fanotify_mark(group, FAN_MARK_REMOVE, events, fd, "."))
		return mark_error(errno, cache);
	return 0;
}

/* What FAN_REPORT_FD_ERROR is for, an older kernel answers by itself, and does not tell. */
static int open_group(const struct fan_hsm *fan)
{
	int fd = fanotify_init(GROUP_FLAGS, EVENT_FLAGS);

	if (fd < 0 && errno == EINVAL && fan->own->events == FAN_HSM_ACCESS_PERM)
		fd = fanotify_init(
			GROUP_FLAGS & ~(unsigned int)FAN_REPORT_FD_ERROR, EVENT_FLAGS);
	return fd;
}

/*
 * By file handle, which tells truncations, too. Where a file system has several file system ids (a
 * subvolume of btrfs) no mount or file system mark can be had with that (EXDEV): there changes come with
 * descriptors, and a truncation is seen by the size only.
 */
static int open_change_group(struct fan_hsm *fan, const char *cache)
{
	unsigned int whole = FAN_MARK_FILESYSTEM;
	int fd = fanotify_init(CHANGE_FLAGS | FAN_REPORT_FID, EVENT_FLAGS);

	if (fd < 0)
		return fd;
	if (!fanotify_mark(fd, FAN_MARK_ADD | whole, FAN_HSM_CHANGES, AT_FDCWD, cache)) {
		fanotify_mark(fd, FAN_MARK_REMOVE | whole, FAN_HSM_CHANGES, AT_FDCWD, cache);
		return fd;
	}
	if (errno != EXDEV)
		return fd; /* what is wrong is said better by prove() */
	close(fd);
	fan->changes_by_fd = true;
	return fanotify_init(CHANGE_FLAGS, EVENT_FLAGS);
}

int fan_hsm_groups_open(struct fan_hsm *fan, const char *cache)
{
	int r;

	fan->dir_group = fan->change_group = -1;
	fan->data_group = open_group(fan);
	if (fan->data_group < 0)
		return group_error(errno);
	fan->dir_group = open_group(fan);
	if (fan->dir_group >= 0)
		fan->change_group = open_change_group(fan, cache);
	r = fan->change_group < 0 ? group_error(errno) : prove(fan, cache);
	if (r)
		fan_hsm_groups_close(fan);
	return r;
}

void fan_hsm_groups_close(struct fan_hsm *fan)
{
	hsm_util_close_fd(&fan->data_group);
	hsm_util_close_fd(&fan->dir_group);
	hsm_util_close_fd(&fan->change_group);
	fan->data_group = fan->dir_group = fan->change_group = -1;
}

void fan_hsm_groups_nonblock(struct fan_hsm *fan)
{
	fcntl(fan->data_group, F_SETFL, O_NONBLOCK);
	fcntl(fan->dir_group, F_SETFL, O_NONBLOCK);
}

int fan_hsm_mark_private(struct fan_hsm *fan, int mount_fd)
{
	unsigned int ignore = FAN_MARK_ADD | FAN_MARK_MOUNT | FAN_MARK_IGNORE_SURV;

	if (fanotify_mark(fan->data_group, ignore, fan_hsm_data_event(fan), mount_fd, ".") ||
		fanotify_mark(fan->dir_group, ignore, DIR_EVENTS, mount_fd, ".") ||
		fanotify_mark(fan->change_group, ignore, FAN_HSM_CHANGES, mount_fd, "."))
		return mark_error(errno, "the daemon's own mount");
	return 0;
}

int fan_hsm_mark_all(struct fan_hsm *fan, unsigned int flag, int fd)
{
	flag |= FAN_MARK_ADD;
	if (fanotify_mark(fan->data_group, flag, fan_hsm_data_event(fan), fd, ".") ||
		fanotify_mark(fan->change_group, flag, FAN_HSM_CHANGES, fd, "."))
		return mark_error(errno, "the cache");
	return 0;
}

#define IGNORE_FILE (FAN_MARK_IGNORE_SURV | FAN_MARK_EVICTABLE)

/* What to mark in which groups; 0: nothing. */
static const struct {
	bool names, data, changes;
	unsigned int flags;
	uint64_t also;
} kinds[] = {
	[FAN_HSM_MARK_NAMES] = {.names = true},
	[FAN_HSM_MARK_PARENT] = {.data = true, .changes = true, .also = FAN_EVENT_ON_CHILD},
	[FAN_HSM_MARK_FILE] = {.data = true, .changes = true},
	[FAN_HSM_MARK_IGNORE] = {.data = true, .flags = IGNORE_FILE},
	[FAN_HSM_MARK_IGNORE_CHANGES] = {.changes = true, .flags = IGNORE_FILE},
};

static int change(struct fan_hsm *fan, unsigned int flags, enum fan_hsm_mark what, int fd,
	const char *name)
{
	uint64_t also = kinds[what].also;
	int r = 0;

	flags |= kinds[what].flags | (name ? FAN_MARK_DONT_FOLLOW : 0);
	if (kinds[what].names && fanotify_mark(fan->dir_group, flags, DIR_EVENTS, fd, name))
		r = -errno;
	if (kinds[what].data &&
		fanotify_mark(fan->data_group, flags, fan_hsm_data_event(fan) | also, fd, name))
		r = -errno;
	if (kinds[what].changes &&
		fanotify_mark(fan->change_group, flags, FAN_HSM_CHANGES | also, fd, name) && !r)
		r = -errno;
	return r;
}

/* What is lost by each, if it fails. */
static int failed(struct fan_hsm *fan, enum fan_hsm_mark what, int err)
{
	static const char *const text[] = {
		[FAN_HSM_MARK_NAMES] = "mark on a directory without names, which stays empty",
		[FAN_HSM_MARK_PARENT] = "mark on a directory with missing bytes in its files",
		[FAN_HSM_MARK_FILE] = "mark on a file with missing bytes",
		[FAN_HSM_MARK_IGNORE] = "ignore mark on a complete file",
		[FAN_HSM_MARK_IGNORE_CHANGES] = "ignore mark on a changed file",
	};

	if (err == -ENOENT)
		return err;
	count_one(&fan->count.mark_errors);
	/* The core keeps answering for an inode without its ignore mark: only speed is lost. */
	hsm_log(what >= FAN_HSM_MARK_IGNORE ? HSM_LOG_DEBUG : HSM_LOG_ERROR, "%s: %s",
		text[what], strerror(-err));
	return err;
}

int fan_hsm_mark_again(struct fan_hsm *fan, enum fan_hsm_mark what, int fd, const char *name)
{
	int r = change(fan, FAN_MARK_ADD, what, fd, name);

	return r ? failed(fan, what, r) : 0;
}

int fan_hsm_mark(struct fan_hsm *fan, enum fan_hsm_mark what, int fd, const char *name)
{
	int r = fan_hsm_mark_again(fan, what, fd, name);

	if (!r)
		count_one(&fan->count.set[what]);
	return r;
}

int fan_hsm_unmark(struct fan_hsm *fan, enum fan_hsm_mark what, int fd, const char *name)
{
	int r = change(fan, FAN_MARK_REMOVE, what, fd, name);

	if (!r)
		count_one(&fan->count.removed[what]);
	return r ? failed(fan, what, r) : 0;
}
