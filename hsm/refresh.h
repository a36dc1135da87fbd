/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_REFRESH_H
#define HSM_REFRESH_H
/*
 * Between refresh.c (which directories, by how many threads) and refresh_dir.c, refresh_object.c
 * (one directory, one name).
 */
#include <sys/stat.h>

#include "hsm/core.h"

/* One refresh under way, shared by its threads. */
struct hsm_refresh {
	struct hsm *h;
	hsm_report_fn report;
	void *report_arg;
	pthread_mutex_t lock; /* all below, and calls of .report */
	pthread_cond_t change;
	struct hsm_refresh_totals totals;
	struct hsm_refresh_level *level; /* what is left to do; see refresh.c */
	unsigned int busy; /* threads at work on a directory */
	unsigned int failures; /* listings failed in a row */
	bool given_up;
	int err;
};

/* One directory being compared. */
struct hsm_refresh_dir {
	struct hsm_refresh *run;
	struct hsm *h;
	int fd; /* of the directory, on the private mount */
	struct hsm_state state; /* its own */
	struct hsm_listing listing;
	bool *seen; /* entries that are in the directory */
	bool asked; /* some entries are marked for ask() */
	bool changed; /* a change was made */
	bool keeps_mtime; /* nobody but us changed it: the origin's mtime comes back */
	char tmp[32]; /* a name in the staging directory */
};

/* A name of the tree, opened. */
struct hsm_refresh_object {
	int dirfd; /* borrowed */
	const char *name; /* borrowed */
	int fd; /* O_RDONLY for files and directories, else O_PATH */
	struct stat st;
	bool ours; /* from the origin, under its own name; .state is valid */
	struct hsm_state state;
};

/* Counts a conflict or an error at @dir/@name (@name "": at @dir) and says why. */
void hsm_refresh_conflict(
	struct hsm_refresh *run, const char *dir, const char *name, const char *why);
void hsm_refresh_error(
	struct hsm_refresh *run, const char *dir, const char *name, const char *why);
/* @name in @dirfd is another one now: tells the front-end. */
void hsm_refresh_changed(struct hsm_refresh *run, int dirfd, const char *name, uint64_t *total);

/* refresh_dir.c */
/* A directory that has its names. 0 or the error of the listing + text, not yet counted. */
int hsm_refresh_one(struct hsm_refresh *run, int fd);

/* refresh_object.c */
/* @dirpath: remote path of @dirfd. 0 or negative errno; -ENOENT: gone meanwhile. */
int hsm_refresh_object_open(struct hsm *h, int dirfd, const char *dirpath, const char *name,
	struct hsm_refresh_object *ret_o);
void hsm_refresh_object_close(struct hsm_refresh_object *o);
/* Did a user change the content of a file that is .ours? @e: what the origin has, or NULL. */
bool hsm_refresh_object_modified(
	struct hsm *h, struct hsm_refresh_object *o, const struct hsm_entry *e);
/*
 * Takes a file or link that is .ours out of the tree. @e NULL: it is removed; else what is
 * stage/@tmp takes its place in one step, both kinds in any mix. -EBUSY: it was changed, or is open for
 * writing, and stays, and so does stage/@tmp; -ENOENT: gone meanwhile.
 */
int hsm_refresh_object_remove(struct hsm *h, struct hsm_refresh_object *o, const char *tmp);
int hsm_refresh_object_replace(struct hsm *h, struct hsm_refresh_object *o,
	const struct hsm_entry *e, const char *tmp);

#endif
