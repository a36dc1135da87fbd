/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/mounts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "harness/err.h"
#include "harness/util.h"

#define BUSY_WAIT_NS (5 * BENCH_NSEC)
#define BUSY_POLL_NS (20 * BENCH_MSEC)
#define FUSECTL	     "/sys/fs/fuse/connections"

/* Undoes the octal escapes of mountinfo in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++, to++) {
		char octal[4] = "";

		if (*s == '\\')
			memccpy(octal, s + 1, '\0', 3);
		if (strlen(octal) == 3 && strspn(octal, "01234567") == 3) {
			*to = (char)strtoul(octal, NULL, 8);
			s += 3;
		} else {
			*to = *s;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /mnt opts [tags] - type source superopts" */
static bool parse(const char *line, struct bench_mount *m)
{
	const char *dash = strstr(line, " - ");

	*m = (struct bench_mount){0};
	if (!dash || sscanf(line, "%*d %*d %*u:%u %*s %ms", &m->dev_minor, &m->path) != 2 ||
		sscanf(dash, " - %ms %*s %ms", &m->type, &m->options) != 2) {
		bench_mount_release(m);
		return false;
	}
	unescape(m->path);
	return true;
}

void bench_mount_release(struct bench_mount *m)
{
	free(m->path);
	free(m->type);
	free(m->options);
	*m = (struct bench_mount){0};
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && (path[len] == '\0' || path[len] == '/');
}

/* The last matching mount is the topmost. */
static bool find_last(const char *dir, bool below, struct bench_mount *ret_m)
{
	auto_file FILE *f = fopen("/proc/self/mountinfo", "re");
	auto_free char *line = NULL;
	size_t room = 0;
	bool found = false;

	while (f && getline(&line, &room, f) > 0) {
		struct bench_mount m;

		if (!parse(line, &m))
			continue;
		if (below ? is_below(m.path, dir) : !strcmp(m.path, dir)) {
			if (found)
				bench_mount_release(ret_m);
			*ret_m = m;
			found = true;
		} else {
			bench_mount_release(&m);
		}
	}
	return found;
}

bool bench_mount_find(const char *path, struct bench_mount *ret_m)
{
	return find_last(path, false, ret_m);
}

char *bench_mount_below(const char *dir)
{
	struct bench_mount m = {0};
	char *path;

	if (!find_last(dir, true, &m))
		return NULL;
	path = bench_strdup(m.path);
	bench_mount_release(&m);
	return path;
}

/* Ends the FUSE connection behind a mount, which wakes everybody who waits for its daemon. */
static void abort_fuse(unsigned int dev_minor)
{
	auto_free char *path = bench_fmt("%s/%u/abort", FUSECTL, dev_minor);
	bool mounted = false;

	if (!bench_exists(path))
		mounted = mount("none", FUSECTL, "fusectl", 0, NULL) == 0;
	if (bench_exists(path))
		bench_file_write(path, "1");
	if (mounted)
		umount2(FUSECTL, MNT_DETACH);
}

static int unmount_one(const struct bench_mount *m)
{
	uint64_t deadline = bench_now_ns() + BUSY_WAIT_NS;

	if (!strncmp(m->type, "fuse", 4)) {
		abort_fuse(m->dev_minor);
		deadline = 0;
	}
	while (umount2(m->path, UMOUNT_NOFOLLOW) < 0) {
		if (errno == EINVAL || errno == ENOENT)
			return 0;
		if (errno == EBUSY && bench_now_ns() < deadline) {
			bench_sleep_ns(BUSY_POLL_NS);
			continue;
		}
		if (umount2(m->path, UMOUNT_NOFOLLOW | MNT_DETACH) == 0)
			return 0;
		return bench_err(errno, "cannot unmount %s: %s", m->path, strerror(errno));
	}
	return 0;
}

int bench_mount_end(const char *path)
{
	struct bench_mount m = {0};
	int ret = 0;

	while (ret == 0 && bench_mount_find(path, &m)) {
		ret = unmount_one(&m);
		bench_mount_release(&m);
	}
	return ret;
}
