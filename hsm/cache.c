/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache directory: CACHE/data is what users see, CACHE/meta belongs to the daemon. All
 * descriptors come from a private clone of the mount (open_tree(2)), a door that a
 * front-end can exempt from its own watching.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "hsm/core.h"
#include "hsm/util.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif

/* No hexadecimal number, which is what staged names are. */
static const char *const nursery[HSM_NURSERIES] = {"n0", "n1", "n2", "n3"};

#define LOCK_WAIT_MS 2000
#define LOCK_STEP_MS 20

static int open_clone(const char *path)
{
	long fd = syscall(SYS_open_tree, AT_FDCWD, path,
		(unsigned int)(OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));

	if (fd >= 0)
		return (int)fd;
	if (errno == EPERM)
		return hsm_err(EPERM,
			"cache %s: cloning its mount needs CAP_SYS_ADMIN; run as root", path);
	return hsm_err(
		errno, "cache %s: %s; create the directory first", path, strerror(errno));
}

/* Opens a directory below @at, made if missing. */
static int open_dir(int at, const char *name, mode_t mode, const char *path)
{
	int fd;

	if (mkdirat(at, name, mode) && errno != EEXIST)
		return hsm_err(
			errno, "cache %s: cannot create %s: %s", path, name, strerror(errno));
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return hsm_err(errno, "cache %s: %s: %s", path, name, strerror(errno));
	return fd;
}

/*
 * The holder may be a killed daemon on its way out, or hsmctl looking at an idle cache: neither
 * is a reason to refuse, so it is given a moment.
 */
static int lock_patiently(int fd)
{
	for (int ms = 0; flock(fd, LOCK_EX | LOCK_NB); ms += LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK || ms >= LOCK_WAIT_MS)
			return -errno;
		usleep(LOCK_STEP_MS * 1000);
	}
	return 0;
}

static int write_pid(struct hsm_cache *c)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "%d\n", getpid());
	if (ftruncate(c->lock_fd, 0) || pwrite(c->lock_fd, pid, strlen(pid), 0) < 0)
		return hsm_err(errno, "cache %s: meta/lock: %s", c->path, strerror(errno));
	return 0;
}

static int take_lock(struct hsm_cache *c)
{
	char pid[32] = "";

	if (c->lock_fd >= 0)
		return write_pid(c);
	c->lock_fd = openat(c->meta_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (c->lock_fd < 0)
		return hsm_err(errno, "cache %s: meta/lock: %s", c->path, strerror(errno));
	if (lock_patiently(c->lock_fd)) {
		ssize_t n = pread(c->lock_fd, pid, sizeof(pid) - 1, 0);

		pid[HSM_MAX(n, 0)] = 0;
		pid[strcspn(pid, "\n")] = 0;
		/* Without the lock nothing here is ours to discard. */
		close(c->lock_fd);
		c->lock_fd = -1;
		return hsm_err(EBUSY,
			"cache %s is in use by process %s; stop it with: hsmctl stop %s",
			c->path, pid, c->path);
	}
	return write_pid(c);
}

/* A number that tells this cache's inodes from those of another one on the same file system. */
static int load_id(struct hsm_cache *c)
{
	auto_fd int fd = openat(c->meta_fd, "id", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return hsm_err(errno, "cache %s: meta/id: %s", c->path, strerror(errno));
	if (pread(fd, &c->id, sizeof(c->id), 0) == (ssize_t)sizeof(c->id))
		return 0;
	if (getrandom(&c->id, sizeof(c->id), 0) != (ssize_t)sizeof(c->id) ||
		pwrite(fd, &c->id, sizeof(c->id), 0) != (ssize_t)sizeof(c->id) || fsync(fd))
		return hsm_err(errno, "cache %s: meta/id: %s", c->path, strerror(errno));
	return 0;
}

/* The root of the tree is an ordinary unpopulated directory with remote path "". */
static int init_root(struct hsm_cache *c)
{
	struct hsm_state state = {.kind = HSM_KIND_DIR, .cache_id = c->id};
	struct hsm_handle handle;
	int r = hsm_handle_of(c->data_fd, &handle);

	if (r)
		return hsm_err(-r,
			"cache %s: its file system has no file handles (%s); use ext4, xfs or btrfs",
			c->path, strerror(-r));
	r = hsm_state_load(c->data_fd, &state);
	if (r == -ENODATA)
		r = hsm_state_store(c->data_fd, &state);
	if (r)
		return hsm_err(-r,
			"cache %s: its file system has no trusted xattrs (%s); use ext4, xfs or btrfs",
			c->path, strerror(-r));
	if (state.cache_id != c->id)
		return hsm_err(EINVAL,
			"cache %s: data and meta are not of the same cache; empty both",
			c->path);
	return 0;
}

static int open_parts(struct hsm_cache *c)
{
	struct stat st;
	int r;

	c->root_fd = openat(c->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->root_fd < 0)
		return hsm_err(errno, "cache %s: %s", c->path, strerror(errno));
	c->fresh = faccessat(c->root_fd, "meta", F_OK, 0);
	c->meta_fd = open_dir(c->root_fd, "meta", 0700, c->path);
	if (c->meta_fd < 0)
		return c->meta_fd;
	r = take_lock(c);
	if (r)
		return r;
	r = load_id(c);
	if (r)
		return r;
	c->stage_fd = open_dir(c->meta_fd, "stage", 0700, c->path);
	if (c->stage_fd < 0)
		return c->stage_fd;
	for (int i = 0; i < HSM_NURSERIES; i++) {
		c->nursery_fd[i] = open_dir(c->stage_fd, nursery[i], 0700, c->path);
		if (c->nursery_fd[i] < 0)
			return c->nursery_fd[i];
	}
	c->data_fd = open_dir(c->root_fd, "data", 0755, c->path);
	if (c->data_fd < 0)
		return c->data_fd;
	if (fstat(c->data_fd, &st))
		return hsm_err(errno, "cache %s: %s", c->path, strerror(errno));
	c->dev = st.st_dev;
	return init_root(c);
}

int hsm_cache_open(struct hsm_cache *c, const char *path, int lock_fd)
{
	int clone, r;

	hsm_cache_init(c);
	if (lock_fd > 0)
		c->lock_fd = fcntl(lock_fd, F_DUPFD_CLOEXEC, 3);
	c->path = realpath(path, NULL);
	if (!c->path)
		return hsm_err(errno, "cache %s: %s; create the directory first", path,
			strerror(errno));
	clone = open_clone(c->path);
	if (clone < 0) {
		hsm_cache_close(c);
		return clone;
	}
	c->root_fd = clone;
	r = open_parts(c);
	close(clone);
	if (r) {
		hsm_cache_discard(c);
		hsm_cache_close(c);
	}
	return r;
}

void hsm_cache_discard(struct hsm_cache *c)
{
	static const char *const files[] = {"lock", "id", "origin", "epochs", "journal"};

	if (!c->fresh || c->lock_fd < 0)
		return;
	for (int i = 0; i < HSM_NURSERIES; i++)
		unlinkat(c->stage_fd, nursery[i], AT_REMOVEDIR);
	unlinkat(c->meta_fd, "stage", AT_REMOVEDIR);
	for (size_t i = 0; i < HSM_ARRAY_SIZE(files); i++)
		unlinkat(c->meta_fd, files[i], 0);
	unlinkat(c->root_fd, "data", AT_REMOVEDIR); /* stays if it holds a user's files */
	unlinkat(c->root_fd, "meta", AT_REMOVEDIR);
}

void hsm_cache_init(struct hsm_cache *c)
{
	*c = (struct hsm_cache){
		.root_fd = -1, .data_fd = -1, .meta_fd = -1, .stage_fd = -1, .lock_fd = -1};
	for (int i = 0; i < HSM_NURSERIES; i++)
		c->nursery_fd[i] = -1;
}

void hsm_cache_close(struct hsm_cache *c)
{
	for (int i = 0; i < HSM_NURSERIES; i++)
		hsm_util_close_fd(&c->nursery_fd[i]);
	hsm_util_close_fd(&c->stage_fd);
	hsm_util_close_fd(&c->data_fd);
	hsm_util_close_fd(&c->meta_fd);
	hsm_util_close_fd(&c->root_fd);
	hsm_util_close_fd(&c->lock_fd);
	free(c->path);
	hsm_cache_init(c);
}

static int read_origin(struct hsm_cache *c, char **ret_spec)
{
	auto_fd int fd = openat(c->meta_fd, "origin", O_RDONLY | O_CLOEXEC);
	auto_free char *spec = calloc(1, PATH_MAX);
	ssize_t n;

	if (!spec)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	n = read(fd, spec, PATH_MAX - 1);
	if (n <= 0)
		return -ENOENT;
	spec[n] = 0;
	*ret_spec = hsm_take_ptr(spec);
	return 0;
}

int hsm_cache_set_origin(struct hsm_cache *c, const char *spec)
{
	auto_fd int fd =
		openat(c->meta_fd, "origin", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, spec, strlen(spec)) != (ssize_t)strlen(spec) || fsync(fd))
		return hsm_err(EIO, "cache %s: meta/origin cannot be written: %s", c->path,
			strerror(errno));
	return 0;
}

/* A directory by its real path, a URL with one slash at its end: equal origins compare equal. */
static char *canonical_spec(const char *spec)
{
	size_t len = strlen(spec);
	char *out;

	if (!strstr(spec, "://"))
		return realpath(spec, NULL);
	while (len && spec[len - 1] == '/')
		len--;
	return asprintf(&out, "%.*s/", (int)len, spec) < 0 ? NULL : out;
}

int hsm_cache_get_origin(struct hsm_cache *c, const char *spec, char **ret_spec)
{
	auto_free char *stored = NULL, *wanted = NULL;
	int r = read_origin(c, &stored);

	if (r && r != -ENOENT)
		return hsm_err(-r, "cache %s: meta/origin: %s", c->path, strerror(-r));
	if (!spec) {
		if (r)
			return hsm_err(ENOENT,
				"cache %s has no origin yet; start a daemon on it first",
				c->path);
		*ret_spec = hsm_take_ptr(stored);
		return 0;
	}
	wanted = canonical_spec(spec);
	if (!wanted)
		return hsm_err(errno, "origin %s: %s", spec, strerror(errno));
	if (stored && strcmp(stored, wanted))
		return hsm_err(EXDEV,
			"cache %s belongs to origin %s, not %s; use another cache", c->path,
			stored, wanted);
	*ret_spec = hsm_take_ptr(wanted);
	return 0;
}
