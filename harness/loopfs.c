/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/loopfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "harness/err.h"
#include "harness/exec.h"
#include "harness/util.h"

#define MKFS_TIMEOUT_NS (60 * BENCH_NSEC)
#define DETACH_WAIT_NS	(3 * BENCH_NSEC)
#define DETACH_POLL_NS	(5 * BENCH_MSEC)
#define ATTACH_TRIES	64
#define SECTOR_BYTES	512

/*
 * No discard of a file that is all holes, and nothing left to be initialised by a kernel
 * thread while something is measured.
 */
static const struct fs_type {
	const char *name, *mkfs, *options;
} types[] = {
	{"xfs", "mkfs.xfs -q -K", ""},
	{"ext4", "mkfs.ext4 -q -F -E nodiscard,lazy_itable_init=1", "noinit_itable"},
	{"btrfs", "mkfs.btrfs -q -f -K", ""},
};

static const struct fs_type *find_type(const char *name)
{
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(types); i++)
		if (!strcmp(types[i].name, name))
			return &types[i];
	return NULL;
}

int bench_loopfs_check(const char *type)
{
	if (find_type(type))
		return 0;
	return bench_err(EINVAL, "file system '%s' is none of xfs, ext4, btrfs", type);
}

const char *bench_loopfs_mkfs(const char *type)
{
	return find_type(type)->mkfs;
}

const char *bench_loopfs_options(const char *type)
{
	return find_type(type)->options;
}

static char *sys_path(const char *device, const char *name)
{
	return bench_fmt("/sys/block/%s/%s", device + strlen("/dev/"), name);
}

uint64_t bench_loopfs_read_bytes(const struct bench_loopfs *fs)
{
	auto_free char *path = sys_path(fs->device, "stat");
	auto_free char *line = bench_file_line(path);
	unsigned long long sectors = 0;

	sscanf(line, "%*u %*u %llu", &sectors);
	return sectors * SECTOR_BYTES;
}

static int make_image(const struct bench_loopfs *fs, const char *type, uint64_t bytes)
{
	auto_fd int fd = open(fs->image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	auto_free char *command = bench_fmt("%s '%s'", find_type(type)->mkfs, fs->image);
	auto_free char *out = NULL;
	int code;

	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
		return bench_err(errno, "cannot make image %s of %llu bytes: %s", fs->image,
			(unsigned long long)bytes, strerror(errno));
	code = bench_exec_output(command, MKFS_TIMEOUT_NS, &out);
	if (code < 0)
		return code;
	if (code)
		return bench_err(EIO, "%s failed: %s", command, out);
	if (fsync(fd) < 0) /* the loop device goes around the page cache */
		return bench_err(errno, "cannot write %s: %s", fs->image, strerror(errno));
	return 0;
}

static int free_loop(char **ret_device)
{
	auto_fd int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int n = ctl < 0 ? -1 : ioctl(ctl, LOOP_CTL_GET_FREE);

	if (n < 0)
		return bench_err(errno, "no loop device: %s", strerror(errno));
	*ret_device = bench_fmt("/dev/loop%d", n);
	return 0;
}

static int configure(int loop, int file, const char *image)
{
	struct loop_config config = {
		.fd = (unsigned int)file,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
	};

	/* Truncated in a long path; sysfs has it whole. */
	snprintf((char *)config.info.lo_file_name, LO_NAME_SIZE, "%s", image);
	if (ioctl(loop, LOOP_CONFIGURE, &config) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	return ioctl(loop, LOOP_CONFIGURE, &config) == 0 ? 0 : -errno;
}

/* One try: *ret_loop open on the attached device, or -EBUSY if somebody else took it first. */
static int try_attach(
	struct bench_state *held, struct bench_loopfs *fs, int file, int *ret_loop)
{
	auto_free char *item = NULL;
	int loop, ret;

	free(fs->device);
	fs->device = NULL;
	ret = free_loop(&fs->device);
	if (ret < 0)
		return ret;
	loop = open(fs->device, O_RDWR | O_CLOEXEC);
	if (loop < 0)
		return bench_err(errno, "cannot open %s: %s", fs->device, strerror(errno));
	item = bench_fmt("%s %s", fs->device, fs->image);
	ret = bench_state_push(held, BENCH_HELD_LOOP, item);
	if (ret == 0) {
		ret = configure(loop, file, fs->image);
		if (ret == -EBUSY)
			bench_state_pop(held);
		if (ret < 0)
			ret = bench_err(-ret, "cannot attach %s to %s: %s", fs->image,
				fs->device, strerror(-ret));
	}
	if (ret < 0)
		close(loop);
	else
		*ret_loop = loop;
	return ret;
}

static int attach(struct bench_state *held, struct bench_loopfs *fs, int *ret_loop)
{
	auto_fd int file = open(fs->image, O_RDWR | O_CLOEXEC);
	int ret = -EBUSY;

	if (file < 0)
		return bench_err(errno, "cannot open %s: %s", fs->image, strerror(errno));
	for (int i = 0; i < ATTACH_TRIES && ret == -EBUSY; i++)
		ret = try_attach(held, fs, file, ret_loop);
	return ret;
}

static int attach_and_mount(struct bench_state *held, struct bench_loopfs *fs, const char *type)
{
	auto_fd int loop = -1; /* with autoclear, open until the mount holds the device */
	int ret = attach(held, fs, &loop);

	if (ret == 0)
		ret = bench_mkdirs(fs->path);
	if (ret == 0)
		ret = bench_state_push(held, BENCH_HELD_MOUNT, fs->path);
	if (ret < 0)
		return ret;
	if (mount(fs->device, fs->path, type, MS_NOATIME, bench_loopfs_options(type)) == 0)
		return 0;
	return bench_err(errno, "cannot mount %s (%s) on %s: %s", fs->device, type, fs->path,
		strerror(errno));
}

int bench_loopfs_make(struct bench_state *held, const char *dir, const char *type,
	uint64_t bytes, struct bench_loopfs *ret_fs)
{
	struct bench_loopfs fs = {
		.image = bench_fmt("%s/fs.img", dir),
		.path = bench_fmt("%s/fs", dir),
	};
	int ret = make_image(&fs, type, bytes);

	if (ret == 0)
		ret = attach_and_mount(held, &fs, type);
	if (ret < 0)
		bench_loopfs_free(&fs);
	else
		*ret_fs = fs;
	return ret;
}

void bench_loopfs_free(struct bench_loopfs *fs)
{
	free(fs->image);
	free(fs->device);
	free(fs->path);
	*fs = (struct bench_loopfs){0};
}

static bool is_attached(const char *device, const char *image)
{
	auto_free char *path = sys_path(device, "loop/backing_file");
	auto_free char *backing = bench_file_line(path);

	return !strcmp(backing, image);
}

int bench_loop_detach(const char *device, const char *image)
{
	uint64_t deadline = bench_now_ns() + DETACH_WAIT_NS;

	/* Autoclear does it, a moment after the last user has gone. */
	while (is_attached(device, image)) {
		auto_fd int loop = -1;

		if (bench_now_ns() < deadline) {
			bench_sleep_ns(DETACH_POLL_NS);
			continue;
		}
		loop = open(device, O_RDWR | O_CLOEXEC);
		if (loop < 0 || ioctl(loop, LOOP_CLR_FD) < 0)
			return bench_err(
				errno, "cannot detach %s: %s", device, strerror(errno));
		return 0;
	}
	return 0;
}
