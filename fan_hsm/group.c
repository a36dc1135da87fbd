/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two fanotify groups and every mark in them. Why two: a mark with FAN_PRE_ACCESS takes no
 * directory permission bits (EEXIST), and the directory bits must sit on inodes, since
 * on a file system they would make every regular file pay on every open.
 */
#include "fan_hsm/group.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fan_hsm/fanotify_compat.h"
#include "hsm/util.h"

/*
 * Without UNLIMITED_QUEUE a full queue allows, that is: readers get zeros. Blocking reads: one
 * system call less per event than poll(2) + read(2).
 */
#define GROUP_FLAGS                                                                        \
	(FAN_CLASS_PRE_CONTENT | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS | FAN_CLOEXEC | \
		FAN_REPORT_FD_ERROR)

/*
 * Read-only descriptors can be opened for running programs and on read-only mounts; the core
 * writes through its own mount.
 */
#define EVENT_FLAGS (O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME)

#define DIR_EVENTS (FAN_OPEN_PERM | FAN_ONDIR)

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

/* FAN_PRE_ACCESS on a directory alone is accepted and raises nothing. */
static int prove(int group, const char *cache)
{
	auto_fd int fd = open(cache, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return hsm_err(errno, "cache %s: %s; create the directory first", cache,
			strerror(errno));
	if (fanotify_mark(group, FAN_MARK_ADD, FAN_PRE_ACCESS, fd, "."))
		return mark_error(errno, cache);
	if (fanotify_mark(group, FAN_MARK_REMOVE, FAN_PRE_ACCESS, fd, "."))
		return mark_error(errno, cache);
	return 0;
}

int fan_hsm_groups_open(struct fan_hsm *fan, const char *cache)
{
	int r;

	fan->dir_group = -1;
	fan->data_group = fanotify_init(GROUP_FLAGS, EVENT_FLAGS);
	if (fan->data_group < 0)
		return group_error(errno);
	fan->dir_group = fanotify_init(GROUP_FLAGS, EVENT_FLAGS);
	r = fan->dir_group < 0 ? group_error(errno) : prove(fan->data_group, cache);
	if (r)
		fan_hsm_groups_close(fan);
	return r;
}

void fan_hsm_groups_close(struct fan_hsm *fan)
{
	hsm_util_close_fd(&fan->data_group);
	hsm_util_close_fd(&fan->dir_group);
	fan->data_group = fan->dir_group = -1;
}

void fan_hsm_groups_nonblock(struct fan_hsm *fan)
{
	fcntl(fan->data_group, F_SETFL, O_NONBLOCK);
	fcntl(fan->dir_group, F_SETFL, O_NONBLOCK);
}

int fan_hsm_mark_fs(struct fan_hsm *fan, int mount_fd)
{
	unsigned int ignore = FAN_MARK_ADD | FAN_MARK_MOUNT | FAN_MARK_IGNORE_SURV;

	if (fanotify_mark(fan->data_group, ignore, FAN_PRE_ACCESS, mount_fd, ".") ||
		fanotify_mark(fan->dir_group, ignore, DIR_EVENTS, mount_fd, "."))
		return mark_error(errno, "the daemon's own mount");
	if (fanotify_mark(fan->data_group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_PRE_ACCESS,
		    mount_fd, "."))
		return mark_error(errno, "the cache");
	return 0;
}

#define IGNORE_FILE (FAN_MARK_IGNORE_SURV | FAN_MARK_EVICTABLE)

void fan_hsm_mark_ignore(struct fan_hsm *fan, int fd)
{
	if (!fanotify_mark(
		    fan->data_group, FAN_MARK_ADD | IGNORE_FILE, FAN_PRE_ACCESS, fd, NULL)) {
		count_one(&fan->count.ignore_set);
		return;
	}
	/* Only speed is lost: the core keeps answering for the inode. */
	count_one(&fan->count.mark_errors);
	hsm_log(HSM_LOG_DEBUG, "ignore mark on a complete file: %s", strerror(errno));
}

void fan_hsm_unmark_ignore(struct fan_hsm *fan, int fd)
{
	fanotify_mark(fan->data_group, FAN_MARK_REMOVE | IGNORE_FILE, FAN_PRE_ACCESS, fd, NULL);
}

int fan_hsm_mark_dir(struct fan_hsm *fan, int dirfd)
{
	int err;

	if (!fanotify_mark(fan->dir_group, FAN_MARK_ADD, DIR_EVENTS, dirfd, ".")) {
		count_one(&fan->count.dir_set);
		return 0;
	}
	err = errno;
	count_one(&fan->count.mark_errors);
	hsm_log(HSM_LOG_ERROR,
		"mark on a directory without names: %s; it stays empty until "
		"fan_hsm is started again",
		strerror(err));
	return -err;
}

void fan_hsm_unmark_dir(struct fan_hsm *fan, int dirfd)
{
	if (!fanotify_mark(fan->dir_group, FAN_MARK_REMOVE, DIR_EVENTS, dirfd, ".")) {
		count_one(&fan->count.dir_removed);
		return;
	}
	/* ENOENT: two events of one directory both found it complete, or it was never marked. */
	if (errno == ENOENT)
		return;
	count_one(&fan->count.mark_errors);
	hsm_log(HSM_LOG_WARN, "removing the mark of a complete directory: %s", strerror(errno));
}
