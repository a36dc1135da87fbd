/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The schemes of --marks. Each says what is watched from the start, and what is done when a stub is made,
 * when a file has all its bytes, and when it loses them again. Files are marked through the core's
 * descriptors, whose mount is kept out of the groups.
 *
 *            from the start           stub      complete        evicted
 *   fs       the file system          -         ignore mark     ignore mark removed
 *   mount    the users' mount         -         ignore mark     ignore mark removed
 *   dir      directories with stubs   its dir   ignore mark     mark on the file
 *   inode    stubs                    mark      mark removed    mark on the file
 */
#include "fan_hsm/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fan_hsm/group.h"
#include "fan_hsm/marks_dir.h"
#include "fan_hsm/walk.h"
#include "hsm/util.h"

/* Any may be NULL but .file_whole and .file_arm. */
struct fan_hsm_scheme {
	/* Once per group: the one mark that covers all. @users_fd: CACHE, O_PATH, as users see it. */
	int (*start)(struct fan_hsm *fan, int users_fd);
	/* Once per worker. */
	int (*open)(struct fan_hsm *fan);
	void (*close)(struct fan_hsm *fan);
	/* Of the walk at start. */
	int (*found)(struct fan_hsm *fan, int dirfd, const char *name, uint64_t nth);
	void (*found_all)(struct fan_hsm *fan, int dirfd, uint64_t missing);
	bool keeps_table; /* a new worker must walk although its groups have all marks */

	int (*file_publish)(struct fan_hsm *fan, int dirfd, int fd);
	void (*file_complete)(
		struct fan_hsm *fan, int fd); /* the core says so: NULL as .file_whole */
	/* An event was raised for nothing. @changes_too: nor need changes be told any more. */
	void (*file_whole)(struct fan_hsm *fan, int fd, bool changes_too);
	int (*file_arm)(struct fan_hsm *fan, int fd); /* ask again about this one */
	void (*dir_publish)(struct fan_hsm *fan, int dirfd);
	void (*dir_complete)(struct fan_hsm *fan, int dirfd);
	void (*name_changed)(struct fan_hsm *fan, int dirfd);
};

/* ---- fs, mount ---- */

static int watch_fs(struct fan_hsm *fan, int users_fd)
{
	return fan_hsm_mark_all(fan, FAN_MARK_FILESYSTEM, users_fd);
}

static int watch_mount(struct fan_hsm *fan, int users_fd)
{
	return fan_hsm_mark_all(fan, FAN_MARK_MOUNT, users_fd);
}

static void ignore(struct fan_hsm *fan, int fd, bool changes_too)
{
	fan_hsm_mark(fan, FAN_HSM_MARK_IGNORE, fd, NULL);
	if (changes_too)
		fan_hsm_mark(fan, FAN_HSM_MARK_IGNORE_CHANGES, fd, NULL);
}

static int ignore_no_more(struct fan_hsm *fan, int fd)
{
	fan_hsm_unmark(fan, FAN_HSM_MARK_IGNORE, fd, NULL);
	fan_hsm_unmark(fan, FAN_HSM_MARK_IGNORE_CHANGES, fd, NULL);
	return 0;
}

/* ---- inode ---- */

static int mark_stub(struct fan_hsm *fan, int dirfd, int fd)
{
	(void)dirfd;
	return fan_hsm_mark(fan, FAN_HSM_MARK_FILE, fd, NULL);
}

static int mark_found(struct fan_hsm *fan, int dirfd, const char *name, uint64_t nth)
{
	int r = fan_hsm_mark(fan, FAN_HSM_MARK_FILE, dirfd, name);

	(void)nth;
	return r ? r : 1;
}

/* Changes are told by the same mark: those of a complete file are seen by its mtime only. */
static void unmark_file(struct fan_hsm *fan, int fd, bool changes_too)
{
	(void)changes_too;
	fan_hsm_unmark(fan, FAN_HSM_MARK_FILE, fd, NULL);
}

static int arm_file(struct fan_hsm *fan, int fd)
{
	return fan_hsm_mark(fan, FAN_HSM_MARK_FILE, fd, NULL);
}

/* ---- dir ---- */

static int mark_parent(struct fan_hsm *fan, int dirfd, int fd)
{
	(void)fd;
	return fan_hsm_marks_dir_add(fan, dirfd, 1, true);
}

/* Marked with the first one, counted when the last one was looked at. */
static int parent_found(struct fan_hsm *fan, int dirfd, const char *name, uint64_t nth)
{
	int r = nth ? 0 : fan_hsm_marks_dir_add(fan, dirfd, 1, false);

	(void)name;
	return r ? r : !nth;
}

static void parent_counted(struct fan_hsm *fan, int dirfd, uint64_t missing)
{
	if (missing > 1)
		fan_hsm_marks_dir_add(fan, dirfd, missing - 1, false);
}

/* It may have a mark of its own, from an eviction; and none while the other one is set. */
static void ignore_in_parent(struct fan_hsm *fan, int fd, bool changes_too)
{
	fan_hsm_unmark(fan, FAN_HSM_MARK_FILE, fd, NULL);
	ignore(fan, fd, changes_too);
}

static void complete_in_parent(struct fan_hsm *fan, int fd)
{
	ignore_in_parent(fan, fd, false);
	fan_hsm_marks_dir_less(fan, fd);
}

/* The directory may have no mark any more, or the file another directory. */
static int arm_in_parent(struct fan_hsm *fan, int fd)
{
	ignore_no_more(fan, fd);
	return fan_hsm_mark(fan, FAN_HSM_MARK_FILE, fd, NULL);
}

static const struct fan_hsm_scheme schemes[] = {
	[FAN_HSM_MARKS_FS] =
		{
			.start = watch_fs,
			.file_whole = ignore,
			.file_arm = ignore_no_more,
		},
	[FAN_HSM_MARKS_MOUNT] =
		{
			.start = watch_mount,
			.file_whole = ignore,
			.file_arm = ignore_no_more,
		},
	[FAN_HSM_MARKS_DIR] =
		{
			.open = fan_hsm_marks_dir_new,
			.close = fan_hsm_marks_dir_free,
			.found = parent_found,
			.found_all = parent_counted,
			.keeps_table = true,
			.file_publish = mark_parent,
			.file_complete = complete_in_parent,
			.file_whole = ignore_in_parent,
			.file_arm = arm_in_parent,
			.dir_publish = fan_hsm_marks_dir_forget,
			.dir_complete = fan_hsm_marks_dir_named,
			.name_changed = fan_hsm_marks_dir_changed,
		},
	[FAN_HSM_MARKS_INODE] =
		{
			.found = mark_found,
			.file_publish = mark_stub,
			.file_whole = unmark_file,
			.file_arm = arm_file,
		},
};

/* ---- at start and end ---- */

static int mark_nameless(struct fan_hsm *fan, int dirfd)
{
	return fan_hsm_mark(fan, FAN_HSM_MARK_NAMES, dirfd, ".");
}

static int watch_users(struct fan_hsm *fan, const char *cache)
{
	auto_fd int fd = open(cache, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return hsm_err(errno, "cache %s: %s", cache, strerror(errno));
	return fan->scheme->start(fan, fd);
}

int fan_hsm_marks_start(struct fan_hsm *fan, const char *cache)
{
	const struct fan_hsm_scheme *s = &schemes[fan->own->marks];
	int r;

	fan->scheme = s;
	r = fan_hsm_mark_private(fan, hsm_mount_fd(fan->h));
	if (!r && s->open && s->open(fan))
		r = hsm_err(ENOMEM, "no memory for the table of marked directories");
	if (!r && s->start && !fan->marks_kept)
		r = watch_users(fan, cache);
	return r;
}

int fan_hsm_marks_walk(struct fan_hsm *fan)
{
	const struct fan_hsm_scheme *s = fan->scheme;
	struct fan_hsm_walk_ops ops = {.file = s->found, .dir_end = s->found_all};

	if (fan->marks_kept && !s->keeps_table)
		return 0;
	if (!fan->marks_kept)
		ops.dir = mark_nameless;
	return fan_hsm_walk(fan, &ops);
}

void fan_hsm_marks_stop(struct fan_hsm *fan)
{
	if (fan->scheme && fan->scheme->close)
		fan->scheme->close(fan);
}

/* ---- what the core tells ---- */

int fan_hsm_marks_file_publish(void *ctx, int dirfd, int fd)
{
	struct fan_hsm *fan = ctx;

	return fan->scheme->file_publish ? fan->scheme->file_publish(fan, dirfd, fd) : 0;
}

void fan_hsm_marks_file_complete(void *ctx, int fd)
{
	struct fan_hsm *fan = ctx;

	if (fan->scheme->file_complete)
		fan->scheme->file_complete(fan, fd);
	else
		fan->scheme->file_whole(fan, fd, false);
}

int fan_hsm_marks_file_arm(void *ctx, int fd)
{
	struct fan_hsm *fan = ctx;

	return fan->scheme->file_arm(fan, fd);
}

/*
 * Nobody has it open. An open(2) that is under way, waiting for the lease, has looked for marks already;
 * the core sees that when it takes the lease once more.
 */
int fan_hsm_marks_file_evict(void *ctx, int fd)
{
	struct fan_hsm *fan = ctx;

	return fan->scheme->file_arm(fan, fd);
}

void fan_hsm_marks_dir_publish(void *ctx, int dirfd)
{
	struct fan_hsm *fan = ctx;

	fan_hsm_mark(fan, FAN_HSM_MARK_NAMES, dirfd, ".");
	if (fan->scheme->dir_publish)
		fan->scheme->dir_publish(fan, dirfd);
}

void fan_hsm_marks_dir_complete(void *ctx, int dirfd)
{
	struct fan_hsm *fan = ctx;

	fan_hsm_unmark(fan, FAN_HSM_MARK_NAMES, dirfd, ".");
	if (fan->scheme->dir_complete)
		fan->scheme->dir_complete(fan, dirfd);
}

void fan_hsm_marks_name_changed(void *ctx, int dirfd, const char *name)
{
	struct fan_hsm *fan = ctx;

	(void)name;
	if (fan->scheme->name_changed)
		fan->scheme->name_changed(fan, dirfd);
}

/* ---- what events tell ---- */

void fan_hsm_marks_file_whole(struct fan_hsm *fan, int fd, bool changes_too)
{
	fan->scheme->file_whole(fan, fd, changes_too);
}

void fan_hsm_marks_file_rearm(struct fan_hsm *fan, int fd)
{
	fan->scheme->file_arm(fan, fd);
}
