/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stat, statx, statfs, file handles, ioctls, and what watches a file from outside. */
#include "tests/tools/posix/posix.h"

#include <linux/fs.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>

TEST(numbers)
{
	struct stat a, b, dir;

	pc_make("a", "x");
	pc_make("b", "y");
	OK(mkdir("d", 0755));
	a = pc_lstat("a");
	b = pc_lstat("b");
	dir = pc_lstat("d");
	HOLDS(a.st_ino != b.st_ino && a.st_ino != dir.st_ino);
	IS(a.st_dev, b.st_dev);
	IS(a.st_dev, dir.st_dev);
	IS(pc_lstat("a").st_ino, a.st_ino);
	IS(pc_fstat((int)OK(open("a", O_RDONLY))).st_ino, a.st_ino);
	HOLDS(a.st_blksize >= 512);
}

TEST(errors)
{
	struct stat st;

	pc_make("f", "x");
	FAILS(ENOENT, stat("nothing", &st));
	FAILS(ENOENT, stat("", &st));
	FAILS(ENOTDIR, stat("f/", &st));
	FAILS(ENOTDIR, stat("f/x", &st));
	OK(symlink("nothing", "l"));
	FAILS(ENOENT, stat("l", &st));
	OK(lstat("l", &st));
	FAILS(ENAMETOOLONG, stat(pc_long_name(256, 'x'), &st));
	FAILS(ENOENT, stat(pc_long_name(255, 'x'), &st));
}

/* Space that is used is counted, holes are not. */
TEST(blocks)
{
	int fd;

	pc_make_bytes("f", 1 * MIB);
	fd = (int)OK(open("f", O_RDWR));
	OK(fsync(fd));
	HOLDS(pc_lstat("f").st_blocks >= 2048);
	HOLDS(pc_lstat("f").st_blocks < 2048 + 256);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 512 * KIB));
	OK(fsync(fd));
	HOLDS(pc_lstat("f").st_blocks < 1024 + 256);
	OK(ftruncate(fd, 0));
	OK(fsync(fd));
	IS(pc_lstat("f").st_blocks, 0);
}

TEST(birth_time)
{
	struct statx a, b;
	struct timespec now;

	pc_make("f", "x");
	OK(statx(AT_FDCWD, "f", 0, STATX_ALL, &a));
	pc_note("birth time: %s", a.stx_mask & STATX_BTIME ? "yes" : "no");
	pc_tick();
	OK(chmod("f", 0600));
	pc_make("f", "again");
	OK(statx(AT_FDCWD, "f", 0, STATX_ALL, &b));
	IS(b.stx_btime.tv_sec, a.stx_btime.tv_sec);
	IS(b.stx_btime.tv_nsec, a.stx_btime.tv_nsec);
	clock_gettime(CLOCK_REALTIME, &now);
	HOLDS(b.stx_btime.tv_sec <= now.tv_sec);
	IS(b.stx_size, 5);
	IS(b.stx_nlink, 1);
	IS(b.stx_mode, S_IFREG | 0600);
	IS(b.stx_ino, pc_ino("f"));
}

TEST(file_system)
{
	struct statfs fs, through;
	struct statvfs vfs;
	int fd;

	pc_make_bytes("f", 100000);
	fd = (int)OK(open("f", O_RDONLY));
	OK(statfs("f", &fs));
	OK(fstatfs(fd, &through));
	OK(statvfs("f", &vfs));
	IS(fs.f_namelen, 255);
	HOLDS(fs.f_blocks > 0 && fs.f_bfree <= fs.f_blocks && fs.f_bavail <= fs.f_bfree);
	IS(fs.f_blocks, through.f_blocks);
	IS(vfs.f_namemax, 255);
	IS(vfs.f_flag & ST_RDONLY, 0);
	HOLDS(fs.f_ffree <= fs.f_files);
	pc_note("block size %ld, fragment %ld, %llu blocks", (long)fs.f_bsize,
		(long)fs.f_frsize, (unsigned long long)fs.f_blocks);
}

TEST(free_space_goes_down)
{
	struct statfs before, after;
	int fd;

	OK(statfs(".", &before));
	pc_make_bytes("f", 20 * MIB);
	fd = (int)OK(open("f", O_RDONLY));
	OK(fsync(fd));
	OK(syncfs(fd));
	OK(statfs(".", &after));
	HOLDS((long long)(before.f_bfree - after.f_bfree) * before.f_bsize > 15 * MIB);
}

TEST(path_limits)
{
	IS(pathconf(".", _PC_NAME_MAX), 255);
	IS(pathconf(".", _PC_PATH_MAX), 4096);
	pc_note("links: %ld", pathconf(".", _PC_LINK_MAX));
	pc_note("size bits: %ld", pathconf(".", _PC_FILESIZEBITS));
}

/* ---- ioctls ---- */

TEST(inode_flags)
{
	int fd, flags = 0;

	pc_make("f", "x");
	fd = (int)OK(open("f", O_RDONLY));
	NOTE(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	flags |= FS_NODUMP_FL;
	NOTE(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	flags = 0;
	NOTE(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	pc_note("nodump: %d", !!(flags & FS_NODUMP_FL));
}

TEST(append_only_and_immutable)
{
	int fd, flags = FS_APPEND_FL;

	pc_make("f", "x");
	fd = (int)OK(open("f", O_RDWR));
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags)) {
		pc_note("FS_APPEND_FL: %s", strerrorname_np(errno));
		return;
	}
	NOTE(open("f", O_WRONLY));
	NOTE(open("f", O_WRONLY | O_APPEND));
	NOTE(truncate("f", 0));
	NOTE(unlink("f"));
	flags = FS_IMMUTABLE_FL;
	OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	NOTE(open("f", O_WRONLY | O_APPEND));
	NOTE(chmod("f", 0600));
	NOTE(link("f", "g"));
	NOTE(rename("f", "g"));
	flags = 0;
	OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	OK(unlink("f"));
}

TEST(other_ioctls)
{
	struct file_clone_range range = {0};
	struct fsxattr extended;
	int fd, to, size = 0;
	long version;

	pc_make_bytes("f", 8192);
	pc_make("g", "");
	fd = (int)OK(open("f", O_RDWR));
	to = (int)OK(open("g", O_RDWR));
	NOTE(ioctl(fd, FS_IOC_FSGETXATTR, &extended));
	NOTE(ioctl(fd, FS_IOC_GETVERSION, &version));
	OK(lseek(fd, 100, SEEK_SET));
	OK(ioctl(fd, FIONREAD, &size));
	IS(size, 8092);
	NOTE(ioctl(to, FICLONE, fd));
	range.src_fd = fd;
	NOTE(ioctl(to, FICLONERANGE, &range));
	FAILS(ENOTTY, ioctl(fd, 0x12345678, &size));
	FAILS(ENOTTY, ioctl((int)OK(open(".", O_RDONLY)), 0x12345678, &size));
}

/* ---- handles ---- */

TEST(file_handles)
{
	union {
		struct file_handle h;
		char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = {.h.handle_bytes = MAX_HANDLE_SZ};
	int mount_id, dir, fd;

	pc_make("f", "content");
	OK(mkdir("d", 0755));
	dir = (int)OK(open(".", O_RDONLY));
	NOTE(name_to_handle_at(AT_FDCWD, "f", &u.h, &mount_id, 0));
	OK(rename("f", "d/g"));
	fd = open_by_handle_at(dir, &u.h, O_RDWR);
	pc_note("open by it: %s", fd < 0 ? strerrorname_np(errno) : "works");
	if (fd < 0)
		return;
	HOLDS(pc_fd_holds(fd, "content"));
	IS(pwrite(fd, "C", 1, 0), 1);
	HOLDS(pc_holds_text("d/g", "Content"));
	OK(close(fd));
	OK(unlink("d/g"));
	FAILS(ESTALE, open_by_handle_at(dir, &u.h, O_RDWR));
}

/* ---- watching ---- */

static bool saw(int watch, uint32_t mask)
{
	char data[4096] __attribute__((aligned(8)));
	ssize_t n = read(watch, data, sizeof(data));

	for (char *at = data; n > 0 && at < data + n;) {
		struct inotify_event *e = (void *)at;

		if (e->mask & mask)
			return true;
		at += sizeof(*e) + e->len;
	}
	return false;
}

TEST(watched_by_inotify)
{
	int watch = (int)OK(inotify_init1(IN_NONBLOCK)), fd;

	OK(inotify_add_watch(watch, ".", IN_ALL_EVENTS));
	pc_make("f", "x");
	HOLDS(saw(watch, IN_CREATE));
	fd = (int)OK(open("f", O_RDWR));
	HOLDS(saw(watch, IN_OPEN));
	IS(write(fd, "y", 1), 1);
	HOLDS(saw(watch, IN_MODIFY));
	OK(close(fd));
	HOLDS(saw(watch, IN_CLOSE_WRITE));
	OK(chmod("f", 0600));
	HOLDS(saw(watch, IN_ATTRIB));
	OK(rename("f", "g"));
	HOLDS(saw(watch, IN_MOVED_TO));
	OK(unlink("g"));
	HOLDS(saw(watch, IN_DELETE));
}

TEST(names_in_proc)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n;
	int fd;

	pc_make("f", "x");
	fd = (int)OK(open("f", O_RDONLY));
	OK(rename("f", "g"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = OK(readlink(path, target, sizeof(target) - 1));
	target[n] = 0;
	HOLDS(n > 2 && !strcmp(target + n - 2, "/g"));
	OK(unlink("g"));
	n = OK(readlink(path, target, sizeof(target) - 1));
	target[n] = 0;
	HOLDS(strstr(target, "/g (deleted)"));
}
