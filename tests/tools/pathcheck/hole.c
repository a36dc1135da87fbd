/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths that raise no event, whatever is watched: what they show of a stub is what is there. */
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/mount.h>
#include <sys/swap.h>

#include "tests/tools/pathcheck/pathcheck.h"

/* Read by whoever copies only data. */
ROW(seek_data)
{
	int fd = open_or_end(A, O_RDONLY);

	CALL(lseek(fd, 0, SEEK_DATA));
	CALL(lseek(fd, 0, SEEK_HOLE));
	CALL(lseek(fd, SIZE - 1, SEEK_DATA));
}

ROW(fiemap)
{
	struct {
		struct fiemap map;
		struct fiemap_extent extent[64];
	} m = {.map = {.fm_length = UINT64_MAX,
		       .fm_flags = FIEMAP_FLAG_SYNC,
		       .fm_extent_count = 64}};
	uint64_t bytes = 0;

	CALL(ioctl(open_or_end(A, O_RDONLY), FS_IOC_FIEMAP, &m));
	for (unsigned int i = 0; i < m.map.fm_mapped_extents; i++)
		if (!(m.extent[i].fe_flags & FIEMAP_EXTENT_UNWRITTEN))
			bytes += m.extent[i].fe_length;
	say("%s mapped", bytes >= SIZE ? "all" : bytes ? "some" : "nothing");
}

static void loop(unsigned int flags)
{
	int control = open_or_end("/dev/loop-control", O_RDWR), fd = open_or_end(A, O_RDONLY),
	    dev;
	struct loop_config config = {.fd = (uint32_t)fd,
		.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | flags};
	char name[32], *p = memory(1024 * KIB);

	snprintf(name, sizeof(name), "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
	dev = open_or_end(name, O_RDONLY);
	if (ioctl(dev, LOOP_CONFIGURE, &config))
		skip("no loop device");
	say_bytes("through the device", p, pread(dev, p, 1024 * KIB, 0));
}

ROW(loop)
{
	loop(0);
}

ROW(loop_direct)
{
	loop(LO_FLAGS_DIRECT_IO);
}

static const char *overlay_dir;

static void remove_overlay_dir(void)
{
	chdir("/");
	umount2(overlay_dir, MNT_DETACH);
	rmdir(overlay_dir);
}

/* An overlay with the row's directory below. */
static char *overlay_path(void)
{
	char *dir = strdup("/tmp/pathcheck.XXXXXX"), *options, *lower = getcwd(NULL, 0), *path;

	own_namespace();
	if (!mkdtemp(dir) || mount("tmpfs", dir, "tmpfs", 0, NULL))
		skip("no place for a mount");
	if (asprintf(&options, "lowerdir=%s,upperdir=%s/u,workdir=%s/w", lower, dir, dir) < 0 ||
		asprintf(&path, "%s/m/%s", dir, A) < 0)
		skip("no memory");
	if (chdir(dir) || mkdir("u", 0755) || mkdir("w", 0755) || mkdir("m", 0755) ||
		mount("overlay", "m", "overlay", 0, options))
		skip("no overlayfs");
	overlay_dir = dir;
	atexit(remove_overlay_dir);
	return path;
}

ROW(overlay_read)
{
	say_file(overlay_path());
}

ROW(overlay_mmap)
{
	int fd = open_or_end(overlay_path(), O_RDONLY);
	char *p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);

	say_bytes("mapped", p, p == MAP_FAILED ? -1 : SIZE);
}

/* Copied up. */
ROW(overlay_write)
{
	int fd = open_or_end(overlay_path(), O_RDWR);

	CALL(pwrite(fd, "0123456789", 10, 400000));
	say_fd(fd);
}

/* The file is made to be one; a swap file with holes is refused, and one without its first page. */
ROW(swapon)
{
	CALL(swapon(realpath(A, NULL), 0));
	CALL(swapoff(realpath(A, NULL)));
}
