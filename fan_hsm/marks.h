/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_MARKS_H
#define FAN_HSM_MARKS_H
/*
 * Which inodes, mounts or file systems are watched: the schemes of --marks, and the marks of
 * directories without their names, which are the same under each. See docs/marks.md. Descriptors
 * of directories may be O_PATH, those of files may not.
 */
#include "fan_hsm/fan_hsm.h"

/*
 * Keeps the core's own mount out of all groups, and watches @cache (the path users see) if the scheme
 * has one mark for all. With fan->marks_kept the groups are those of a worker that died, and have
 * that. After hsm_open(). 0 or negative errno + text.
 */
int fan_hsm_marks_start(struct fan_hsm *fan, const char *cache);

/* Then, and before hsm_start(): marks what is missing, unless marks_kept. Result in fan->walk. */
int fan_hsm_marks_walk(struct fan_hsm *fan);

/* Before hsm_close(). Removes no marks: they go with the groups. */
void fan_hsm_marks_stop(struct fan_hsm *fan);

/* Callbacks of the core, see hsm/hsm.h; @ctx is the struct fan_hsm. */
int fan_hsm_marks_file_publish(void *ctx, int dirfd, int fd);
void fan_hsm_marks_file_complete(void *ctx, int fd);
int fan_hsm_marks_file_arm(void *ctx, int fd);
int fan_hsm_marks_file_evict(void *ctx, int fd);
void fan_hsm_marks_dir_publish(void *ctx, int dirfd);
void fan_hsm_marks_dir_complete(void *ctx, int dirfd);
void fan_hsm_marks_name_changed(void *ctx, int dirfd, const char *name);

/*
 * An event was raised for a file without anything to fill: no more of them, if that can be had, until
 * the kernel drops the inode or the file is evicted. Also silences descriptors that are open.
 * @changes_too: it is local, or known to be changed, so changes need not be told either.
 */
void fan_hsm_marks_file_whole(struct fan_hsm *fan, int fd, bool changes_too);

/* Takes that back. */
void fan_hsm_marks_file_rearm(struct fan_hsm *fan, int fd);

#endif
