/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_MARKS_DIR_H
#define FAN_HSM_MARKS_DIR_H
/*
 * The table of --marks dir: directories that are marked because files in them have missing bytes, and how
 * many. The number is a guess, since users rename, link and delete: when it reaches 0, a thread looks at
 * the directory before the mark goes. Memory: about 100 bytes per marked directory.
 */
#include "fan_hsm/fan_hsm.h"

int fan_hsm_marks_dir_new(struct fan_hsm *fan);
void fan_hsm_marks_dir_free(struct fan_hsm *fan); /* before hsm_close() */

/*
 * Marks the directory for so many more @files with missing bytes. @soon: they have no names yet. 0 or
 * negative errno: it is not marked, or not known to be.
 */
int fan_hsm_marks_dir_add(struct fan_hsm *fan, int dirfd, uint64_t files, bool soon);

/* A file has all its bytes now. @fd: of the core, or of any mount if users see it there. */
void fan_hsm_marks_dir_less(struct fan_hsm *fan, int fd);

/* A name of it appeared or went in a refresh: after each fan_hsm_marks_dir_add() of a refresh. */
void fan_hsm_marks_dir_changed(struct fan_hsm *fan, int dirfd);

/* It has its names now. */
void fan_hsm_marks_dir_named(struct fan_hsm *fan, int dirfd);

/* A new directory: nothing known under its number means it. */
void fan_hsm_marks_dir_forget(struct fan_hsm *fan, int dirfd);

/* Marked directories, for status. */
uint64_t fan_hsm_marks_dir_count(struct fan_hsm *fan);

#endif
