/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/mount.h"

#include <dirent.h>
#include <errno.h>
#include <fuse_log.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "hsm/util.h"

#define DEAD_MOUNTS_MAX 8
#define BUSY_PAUSE_NS	(20 * 1000 * 1000)

/* ---- the mount point ---- */

/* What a killed daemon leaves answers every access with ENOTCONN until it is unmounted. */
static int remove_dead(const char *path)
{
	struct stat st;

	for (unsigned int n = 0; n < DEAD_MOUNTS_MAX; n++) {
		if (!stat(path, &st) || errno != ENOTCONN)
			return 0;
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW))
			return hsm_err(errno,
				"a dead mount on '%s' cannot be removed: %s; try umount -l",
				path, strerror(errno));
		hsm_log(HSM_LOG_WARN, "removed a dead mount from '%s'", path);
	}
	return hsm_err(EINVAL, "'%s' has too many dead mounts; try umount -l", path);
}

static int check_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	bool empty = true;

	if (!dir && errno == ENOTDIR)
		return hsm_err(EINVAL, "mount point '%s' is not a directory", path);
	if (!dir && errno == ENOENT)
		return hsm_err(EINVAL, "mount point '%s' does not exist; create it", path);
	if (!dir)
		return hsm_err(EINVAL, "mount point '%s': %s", path, strerror(errno));
	while (empty && (e = readdir(dir)))
		empty = !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
	closedir(dir);
	if (!empty)
		return hsm_err(
			EINVAL, "mount point '%s' is not empty; use an empty directory", path);
	return 0;
}

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && (!path[len] || path[len] == '/');
}

/* Either one inside the other would hide the cache, or show the mount to itself. */
static int check_apart(const char *path, const char *cache)
{
	auto_free char *real = realpath(cache, NULL);

	if (real && (is_below(path, real) || is_below(real, path)))
		return hsm_err(EINVAL,
			"mount point '%s' and cache '%s' overlap; keep them apart", path,
			cache);
	return 0;
}

int fuse_hsm_mount_check(const char *mountpoint, const char *cache, char **ret_path)
{
	auto_free char *path = NULL;
	int r = remove_dead(mountpoint);

	if (!r)
		r = check_empty(mountpoint);
	if (r)
		return r;
	path = realpath(mountpoint, NULL);
	if (!path)
		return hsm_err(EINVAL, "mount point '%s': %s", mountpoint, strerror(errno));
	r = check_apart(path, cache);
	if (r)
		return r;
	*ret_path = hsm_take_ptr(path);
	return 0;
}

/* ---- the session ---- */

static __thread char last_log[256];

/* libfuse prints with a newline, and says what it thinks of a mount option only here. */
static void keep_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	vsnprintf(last_log, sizeof(last_log), fmt, ap);
	last_log[strcspn(last_log, "\n")] = 0;
	hsm_log(level <= FUSE_LOG_ERR ? HSM_LOG_WARN : HSM_LOG_DEBUG, "%s", last_log);
}

/* Ours last: permissions are the kernel's to check, for everybody. */
static int build_args(struct fuse_args *args, const char *fsname, const char *extra)
{
	auto_free char *name = NULL, *opts = NULL;
	int r = asprintf(&name, "fsname=%s", fsname) < 0 ? -1 : 0;

	if (!r)
		r = fuse_opt_add_opt_escaped(&opts, name);
	if (!r)
		r = fuse_opt_add_arg(args, "fuse_hsm");
	if (!r)
		r = fuse_opt_add_arg(args, "-o") || fuse_opt_add_arg(args, opts);
	if (!r && extra)
		r = fuse_opt_add_arg(args, "-o") || fuse_opt_add_arg(args, extra);
	if (!r)
		r = fuse_opt_add_arg(
			args, "-osubtype=fuse_hsm,allow_other,default_permissions");
	return r ? -ENOMEM : 0;
}

int fuse_hsm_session_new(struct fuse_hsm_fs *fs, const char *fsname, const char *extra,
	struct fuse_session **ret_session)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session = NULL;
	int r;

	fuse_set_log_func(keep_log);
	r = build_args(&args, fsname, extra);
	if (!r)
		session = fuse_session_new(&args, &fuse_hsm_ops, sizeof(fuse_hsm_ops), fs);
	fuse_opt_free_args(&args);
	if (r)
		return hsm_err(-r, "%s", strerror(-r));
	if (!session)
		return hsm_err(EINVAL,
			"mount options '%s' are not all known; see mount.fuse3(8)",
			extra ? extra : "");
	*ret_session = session;
	return 0;
}

/* ---- mounting ---- */

/* The device number of the mount, from what the kernel has: asking us would wait for us. */
static int mount_device(const char *path, dev_t *ret_dev)
{
	auto_fd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statx stx;

	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &stx))
		return -errno;
	*ret_dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	return 0;
}

/*
 * The kernel's default is 128 KiB, whatever larger value INIT says, and would cut every sequential
 * read into requests of that size.
 */
static int set_readahead(dev_t dev, size_t bytes)
{
	char name[64], kib[16];
	auto_fd int fd = -1;
	int len = snprintf(kib, sizeof(kib), "%zu", bytes >> 10);

	snprintf(name, sizeof(name), "/sys/class/bdi/%u:%u/read_ahead_kb", major(dev),
		minor(dev));
	fd = open(name, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, kib, (size_t)len) != len ? -errno : 0;
}

int fuse_hsm_mount(struct fuse_hsm_fs *fs, const char *path, dev_t *ret_dev)
{
	int r;

	if (fuse_session_mount(fs->session, path))
		return hsm_err(EIO, "mounting on '%s' failed: %s", path, last_log);
	r = mount_device(path, ret_dev);
	if (r) {
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
		return hsm_err(-r, "the mount on '%s' cannot be found: %s", path, strerror(-r));
	}
	r = set_readahead(*ret_dev, fs->mode.readahead_bytes);
	if (r)
		hsm_log(HSM_LOG_WARN,
			"read-ahead of the mount cannot be set: %s; reads may be slower",
			strerror(-r));
	return 0;
}

static bool is_mounted(const char *path, dev_t dev)
{
	dev_t now;

	return !mount_device(path, &now) && now == dev;
}

int fuse_hsm_unmount(const char *path, dev_t dev, uint64_t patience_ns)
{
	uint64_t end = hsm_now_ns() + patience_ns;
	struct timespec pause = hsm_ns_to_timespec(BUSY_PAUSE_NS);

	while (is_mounted(path, dev)) {
		if (!umount2(path, UMOUNT_NOFOLLOW))
			return 0;
		if (errno != EBUSY)
			return hsm_err(
				errno, "unmounting '%s' failed: %s", path, strerror(errno));
		if (hsm_now_ns() < end) {
			nanosleep(&pause, NULL);
			continue;
		}
		hsm_log(HSM_LOG_WARN,
			"'%s' is in use: detaching it, open files in it get errors", path);
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW))
			return hsm_err(
				errno, "detaching '%s' failed: %s", path, strerror(errno));
	}
	return 0;
}

/*
 * libfuse frees its copy of the path only by unmounting it, and while somebody keeps our detached mount
 * alive that would hit whatever is at the path now. It does not try when its descriptor
 * reports POLLERR, as the write end of a pipe without a reader does.
 */
void fuse_hsm_session_free(struct fuse_session *session)
{
	int fd = fuse_session_fd(session), broken[2];

	if (fd >= 0 && !pipe2(broken, O_CLOEXEC)) {
		close(broken[0]);
		if (dup3(broken[1], fd, O_CLOEXEC) == fd)
			fuse_session_unmount(session);
		close(broken[1]);
	}
	fuse_session_destroy(session);
}
