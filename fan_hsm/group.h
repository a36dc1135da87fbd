/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_GROUP_H
#define FAN_HSM_GROUP_H
/* The two fanotify groups and every mark. Directory descriptors may be O_PATH, files may not. */
#include "fan_hsm/fan_hsm.h"

/*
 * Opens both groups and proves on the directory @cache that the kernel and the file system know
 * pre-content events. Leaves no mark behind. -EPERM (no CAP_SYS_ADMIN),
 * -EINVAL (kernel before 6.14), -EOPNOTSUPP (file system), ... with text.
 */
int fan_hsm_groups_open(struct fan_hsm *fan, const char *cache);

/* Marks vanish; every event that is still unanswered is allowed by the kernel. */
void fan_hsm_groups_close(struct fan_hsm *fan);

/* Makes reads of both groups return -EAGAIN instead of waiting. */
void fan_hsm_groups_nonblock(struct fan_hsm *fan);

/*
 * Mark scheme fs: keeps the mount of @mount_fd (the core's private clone) out of both groups,
 * then watches the whole file system. 0 or negative errno + text.
 */
int fan_hsm_mark_fs(struct fan_hsm *fan, int mount_fd);

/*
 * No more events for this inode until the kernel drops it from memory. @fd: any but O_PATH. Also
 * silences descriptors that are already open.
 */
void fan_hsm_mark_ignore(struct fan_hsm *fan, int fd);
void fan_hsm_unmark_ignore(struct fan_hsm *fan, int fd);

/* Asks on every opendir(3) of the directory, until removed. 0 or negative errno (logged). */
int fan_hsm_mark_dir(struct fan_hsm *fan, int dirfd);
void fan_hsm_unmark_dir(struct fan_hsm *fan, int dirfd);

#endif
