/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_GROUP_H
#define FAN_HSM_GROUP_H
/* The three fanotify groups, and marks as the kernel has them. What is marked when: marks.h. */
#include "fan_hsm/fan_hsm.h"
#include "fan_hsm/fanotify_compat.h"

/*
 * What tells that a user changed a file. A store to a mapping raises no FAN_MODIFY; but the file was
 * open for writing, until it was unmapped.
 */
#define FAN_HSM_CHANGES (FAN_MODIFY | FAN_CLOSE_WRITE)

/*
 * Opens the groups and proves on the directory @cache that the kernel and the file system know
 * pre-content events. Leaves no mark behind. -EPERM (no CAP_SYS_ADMIN),
 * -EINVAL (kernel before 6.14), -EOPNOTSUPP (file system), ... with text.
 */
int fan_hsm_groups_open(struct fan_hsm *fan, const char *cache);

/* Marks vanish; every event that is still unanswered is allowed by the kernel. */
void fan_hsm_groups_close(struct fan_hsm *fan);

/* Makes reads of the groups that ask return -EAGAIN instead of waiting. */
void fan_hsm_groups_nonblock(struct fan_hsm *fan);

/* The event that asks before data of a file is used: that of --events. */
static inline uint64_t fan_hsm_data_event(const struct fan_hsm *fan)
{
	return fan->own->events == FAN_HSM_ACCESS_PERM ? FAN_ACCESS_PERM : FAN_PRE_ACCESS;
}

/*
 * Keeps the mount of @mount_fd out of all groups: the core's private clone. 0 or negative errno +
 * text.
 */
int fan_hsm_mark_private(struct fan_hsm *fan, int mount_fd);

/*
 * Watches the file system (@flag FAN_MARK_FILESYSTEM) or the mount (FAN_MARK_MOUNT) that @fd is on,
 * for data and changes. 0 or negative errno + text.
 */
int fan_hsm_mark_all(struct fan_hsm *fan, unsigned int flag, int fd);

/*
 * A mark on @fd (@name NULL; not O_PATH), or on @name in the directory @fd (which may be O_PATH). 0 or
 * negative errno, counted and logged, but for -ENOENT. FAN_HSM_MARK_IGNORE on a file that has
 * FAN_HSM_MARK_FILE is -EEXIST, and the reverse.
 */
int fan_hsm_mark(struct fan_hsm *fan, enum fan_hsm_mark what, int fd, const char *name);

/* The same for one that may be there already: not counted. */
int fan_hsm_mark_again(struct fan_hsm *fan, enum fan_hsm_mark what, int fd, const char *name);

/* 0; -ENOENT: there was none. */
int fan_hsm_unmark(struct fan_hsm *fan, enum fan_hsm_mark what, int fd, const char *name);

#endif
