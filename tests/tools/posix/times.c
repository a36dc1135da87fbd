/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which operation changes which time stamp of which file; and setting them. */
#include "tests/tools/posix/posix.h"

#include <sys/xattr.h>
#include <time.h>

/* Of a file before an operation. */
struct times {
	const char *path;
	struct stat st;
};

static bool same(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* Remembers, and waits until a new stamp would differ. */
static struct times before(const char *path)
{
	struct times t = {.path = path, .st = pc_lstat(path)};

	pc_tick();
	return t;
}

/* What changed since: "m" and "c", "-" for none. Going back is an error. */
static const char *changed(const struct times *t, const char *path)
{
	struct stat now = pc_lstat(path);
	bool m = !same(now.st_mtim, t->st.st_mtim), c = !same(now.st_ctim, t->st.st_ctim);

	HOLDS(!later(t->st.st_ctim, now.st_ctim));
	HOLDS(!later(t->st.st_mtim, now.st_mtim));
	return m ? (c ? "mc" : "m") : (c ? "c" : "-");
}

static void check_changed(int line, const struct times *t, const char *path, const char *want)
{
	const char *got = changed(t, path);

	if (strcmp(got, want))
		pc_fail(__FILE__, line, "%s: changed %s, not %s", path, got, want);
}

#define CHANGED(times, path, want) check_changed(__LINE__, times, path, want)

TEST(create)
{
	struct timespec start, end;
	struct times dir = before(".");
	struct stat st;

	clock_gettime(CLOCK_REALTIME_COARSE, &start);
	pc_make("f", "");
	clock_gettime(CLOCK_REALTIME, &end);
	st = pc_lstat("f");
	CHANGED(&dir, ".", "mc");
	HOLDS(!later(start, st.st_mtim) && !later(st.st_mtim, end));
	HOLDS(!later(start, st.st_ctim) && !later(st.st_ctim, end));
	HOLDS(!later(start, st.st_atim) && !later(st.st_atim, end));
}

/* Each of these makes a name and so changes its directory, and nothing above it. */
TEST(making_names)
{
	struct times up = before("."), dir;

	OK(mkdir("d", 0755));
	up = before(".");
	dir = before("d");
	OK(mkdir("d/dir", 0755));
	CHANGED(&dir, "d", "mc");
	dir = before("d");
	OK(symlink("x", "d/l"));
	CHANGED(&dir, "d", "mc");
	dir = before("d");
	OK(mkfifo("d/p", 0644));
	CHANGED(&dir, "d", "mc");
	dir = before("d");
	OK(mknod("d/n", S_IFREG | 0644, 0));
	CHANGED(&dir, "d", "mc");
	dir = before("d");
	OK(link("d/n", "d/n2"));
	CHANGED(&dir, "d", "mc");
	dir = before("d");
	OK(rmdir("d/dir"));
	CHANGED(&dir, "d", "mc");
	CHANGED(&up, ".", "-");
}

TEST(failing_changes_nothing)
{
	struct times dir, file;

	pc_make("f", "x");
	OK(mkdir("d", 0755));
	pc_make("d/f", "x");
	dir = before(".");
	file = before("f");
	FAILS(EEXIST, mkdir("f", 0755));
	FAILS(ENOTEMPTY, rmdir("d"));
	FAILS(ENOENT, unlink("nothing"));
	FAILS(EEXIST, link("f", "d"));
	FAILS(EEXIST, open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
	CHANGED(&dir, ".", "-");
	CHANGED(&file, "f", "-");
}

TEST(link_and_unlink)
{
	struct times file;

	pc_make("f", "x");
	file = before("f");
	OK(link("f", "g"));
	CHANGED(&file, "f", "c");
	CHANGED(&file, "g", "c");
	file = before("f");
	OK(unlink("g"));
	CHANGED(&file, "f", "c");
	pc_make("other", "y");
	OK(link("f", "g"));
	file = before("f");
	OK(rename("other", "g"));
	CHANGED(&file, "f", "c");
}

TEST(renaming)
{
	struct times from, to, file, dir;

	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	OK(mkdir("a/d", 0755));
	pc_make("a/f", "x");
	from = before("a");
	to = before("b");
	file = before("a/f");
	OK(rename("a/f", "b/g"));
	CHANGED(&from, "a", "mc");
	CHANGED(&to, "b", "mc");
	CHANGED(&file, "b/g", "c");
	from = before("a");
	dir = before("a/d");
	OK(rename("a/d", "b/e"));
	CHANGED(&from, "a", "mc");
	pc_note("a directory moved: %s", changed(&dir, "b/e"));
	to = before("b");
	OK(renameat2(AT_FDCWD, "b/e", AT_FDCWD, "b/g", RENAME_EXCHANGE));
	CHANGED(&to, "b", "mc");
}

TEST(writing)
{
	struct times t;
	int fd;

	pc_make("f", "content");
	fd = (int)OK(open("f", O_RDWR));
	t = before("f");
	IS(write(fd, "new", 3), 3);
	CHANGED(&t, "f", "mc");
	t = before("f");
	IS(write(fd, "", 0), 0);
	CHANGED(&t, "f", "-");
	IS(pwrite(fd, "y", 1, 5000), 1);
	CHANGED(&t, "f", "mc");
	t = before("f");
	OK(fsync(fd));
	OK(close(fd));
	CHANGED(&t, "f", "-");
}

/* Opening, reading and closing change neither. */
TEST(reading)
{
	struct times t, dir;
	char c;
	int fd;

	pc_make("f", "content");
	t = before("f");
	dir = before(".");
	fd = (int)OK(open("f", O_RDWR));
	IS(read(fd, &c, 1), 1);
	OK(close(fd));
	closedir(opendir("."));
	CHANGED(&t, "f", "-");
	CHANGED(&dir, ".", "-");
}

TEST(truncating)
{
	struct times t;
	int fd;

	pc_make("f", "content");
	fd = (int)OK(open("f", O_RDWR));
	t = before("f");
	OK(ftruncate(fd, 3));
	CHANGED(&t, "f", "mc");
	t = before("f");
	OK(truncate("f", 5000));
	CHANGED(&t, "f", "mc");
	t = before("f");
	OK(truncate("f", 5000));
	pc_note("truncate to the same size: %s", changed(&t, "f"));
	t = before("f");
	OK(ftruncate(fd, 5000));
	pc_note("ftruncate to the same size: %s", changed(&t, "f"));
	t = before("f");
	OK(open("f", O_RDWR | O_TRUNC));
	CHANGED(&t, "f", "mc");
	t = before("f");
	OK(open("f", O_RDWR | O_TRUNC));
	pc_note("O_TRUNC of an empty file: %s", changed(&t, "f"));
}

TEST(allocating)
{
	struct times t;
	int fd;

	pc_make_bytes("f", 20000);
	fd = (int)OK(open("f", O_RDWR));
	t = before("f");
	OK(fallocate(fd, 0, 0, 40000));
	CHANGED(&t, "f", "mc");
	t = before("f");
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	CHANGED(&t, "f", "mc");
	t = before("f");
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 40000, 4096));
	pc_note("KEEP_SIZE: %s", changed(&t, "f"));
}

TEST(attributes)
{
	struct times t;

	pc_make("f", "x");
	t = before("f");
	OK(chmod("f", 0600));
	CHANGED(&t, "f", "c");
	t = before("f");
	OK(chmod("f", 0600));
	CHANGED(&t, "f", "c");
	t = before("f");
	OK(chown("f", ALICE, ALICE));
	CHANGED(&t, "f", "c");
	t = before("f");
	OK(chown("f", (uid_t)-1, (gid_t)-1));
	pc_note("chown that changes nothing: %s", changed(&t, "f"));
	t = before("f");
	if (!setxattr("f", "user.x", "1", 1, 0))
		CHANGED(&t, "f", "c");
	t = before("f");
	if (!removexattr("f", "user.x"))
		CHANGED(&t, "f", "c");
	t = before(".");
	OK(chmod(".", 0755));
	CHANGED(&t, ".", "c");
}

TEST(mapped_writing)
{
	struct times t;
	char *map;
	int fd;

	pc_make_bytes("f", PAGE);
	fd = (int)OK(open("f", O_RDWR));
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	HOLDS(map != MAP_FAILED);
	t = before("f");
	HOLDS(map[10] != '!');
	CHANGED(&t, "f", "-");
	map[10] = '!';
	OK(msync(map, PAGE, MS_SYNC));
	CHANGED(&t, "f", "mc");
}

TEST(copying)
{
	struct times from, to;
	int in, out;

	pc_make_bytes("a", 10000);
	pc_make("b", "");
	in = (int)OK(open("a", O_RDONLY));
	out = (int)OK(open("b", O_WRONLY));
	from = before("a");
	to = before("b");
	HOLDS(copy_file_range(in, NULL, out, NULL, 5000, 0) > 0);
	CHANGED(&from, "a", "-");
	CHANGED(&to, "b", "mc");
}

/* ---- setting them ---- */

static void set_times(const char *path, struct timespec atime, struct timespec mtime)
{
	OK(utimensat(AT_FDCWD, path, (struct timespec[]){atime, mtime}, AT_SYMLINK_NOFOLLOW));
}

TEST(set_exactly)
{
	static const struct timespec samples[] = {
		{0, 0},
		{1, 1},
		{1000000000, 123456789},
		{2147483647, 999999999},
		{-1, 0},
		{2147483648, 1},
		{4294967296, 5},
		{7000000000, 6},
		{-2147483648, 0},
	};

	pc_make("f", "x");
	for (size_t n = 0; n < ROWS(samples); n++) {
		struct timespec a = {12345, 678};
		struct stat st;

		set_times("f", a, samples[n]);
		st = pc_lstat("f");
		HOLDS(same(st.st_atim, a));
		pc_note("%lld.%09ld is %lld.%09ld", (long long)samples[n].tv_sec,
			samples[n].tv_nsec, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	}
}

TEST(set_now_and_omit)
{
	struct timespec omit = {0, UTIME_OMIT}, now = {0, UTIME_NOW}, old = {1000, 5};
	struct stat st;
	struct times t;

	pc_make("f", "x");
	set_times("f", old, old);
	set_times("f", omit, (struct timespec){2000, 6});
	st = pc_lstat("f");
	HOLDS(same(st.st_atim, old));
	IS(st.st_mtim.tv_sec, 2000);
	set_times("f", now, omit);
	st = pc_lstat("f");
	HOLDS(st.st_atim.tv_sec > 1000000000);
	IS(st.st_mtim.tv_sec, 2000);
	t = before("f");
	set_times("f", omit, omit);
	CHANGED(&t, "f", "-");
	set_times("f", (struct timespec){5, 5}, omit);
	CHANGED(&t, "f", "c");
}

TEST(set_errors)
{
	struct timespec bad[] = {{0, 1000000000}, {0, 0}}, good[] = {{1, 0}, {1, 0}};

	pc_make("f", "x");
	FAILS(EINVAL, utimensat(AT_FDCWD, "f", bad, 0));
	FAILS(ENOENT, utimensat(AT_FDCWD, "nothing", good, 0));
	FAILS(ENOTDIR, utimensat(AT_FDCWD, "f/x", good, 0));
	FAILS(EINVAL, utimensat(AT_FDCWD, "f", good, 0x4000));
}

TEST(set_of_links_and_directories)
{
	struct timespec t = {7777, 7};

	OK(mkdir("d", 0755));
	OK(symlink("d", "l"));
	set_times("l", t, t);
	HOLDS(same(pc_lstat("l").st_mtim, t));
	HOLDS(!same(pc_lstat("d").st_mtim, t));
	OK(utimensat(AT_FDCWD, "l", (struct timespec[]){t, t}, 0));
	HOLDS(same(pc_lstat("d").st_mtim, t));
	OK(mkfifo("p", 0644));
	set_times("p", t, t);
	HOLDS(same(pc_lstat("p").st_mtim, t));
}

TEST(set_by_others)
{
	struct timespec t[] = {{1, 0}, {1, 0}}, now[] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
	struct timespec half[] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};

	pc_make("mine", "x");
	pc_make("writable", "x");
	pc_make("readable", "x");
	OK(chown("mine", ALICE, ALICE));
	OK(chmod("mine", 0));
	OK(chmod("writable", 0666));
	pc_become(ALICE, ALICE);
	OK(utimensat(AT_FDCWD, "mine", t, 0));
	OK(utimensat(AT_FDCWD, "mine", NULL, 0));
	FAILS(EPERM, utimensat(AT_FDCWD, "writable", t, 0));
	FAILS(EPERM, utimensat(AT_FDCWD, "writable", half, 0));
	OK(utimensat(AT_FDCWD, "writable", now, 0));
	OK(utimensat(AT_FDCWD, "writable", NULL, 0));
	FAILS(EPERM, utimensat(AT_FDCWD, "readable", t, 0));
	FAILS(EACCES, utimensat(AT_FDCWD, "readable", NULL, 0));
}

TEST(set_through_descriptor)
{
	struct timespec t[] = {{100, 1}, {200, 2}};
	struct stat st;
	int fd;

	pc_make("f", "x");
	fd = (int)OK(open("f", O_RDWR));
	IS(write(fd, "abc", 3), 3);
	OK(futimens(fd, t));
	st = pc_fstat(fd);
	HOLDS(same(st.st_atim, t[0]) && same(st.st_mtim, t[1]));
	OK(close(fd));
	st = pc_lstat("f");
	HOLDS(same(st.st_mtim, t[1]));
	OK(open("f", O_RDONLY));
	HOLDS(same(pc_lstat("f").st_mtim, t[1]));
}

/* What cp -p and tar do: times are set last, and stay. */
TEST(set_survives_writeback)
{
	struct timespec t[] = {{100, 1}, {200, 2}};
	char *map;
	int fd;

	pc_make_bytes("f", 3 * PAGE);
	fd = (int)OK(open("f", O_RDWR));
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	HOLDS(map != MAP_FAILED);
	map[0] = 'x';
	OK(munmap(map, PAGE));
	OK(futimens(fd, t));
	OK(close(fd));
	OK(utimensat(AT_FDCWD, "f", t, 0));
	fd = (int)OK(open("f", O_RDONLY));
	OK(fsync(fd));
	OK(close(fd));
	HOLDS(same(pc_lstat("f").st_mtim, t[1]));
}

/* relatime: a read after a change updates it. Mount options may say otherwise. */
TEST(access_time)
{
	struct timespec old[] = {{1000, 0}, {2000, 0}};
	char c;
	int fd;

	pc_make("f", "x");
	OK(utimensat(AT_FDCWD, "f", old, 0));
	fd = (int)OK(open("f", O_RDONLY));
	IS(read(fd, &c, 1), 1);
	OK(close(fd));
	pc_note("a read updates atime: %s",
		pc_lstat("f").st_atim.tv_sec == 1000 ? "no" : "yes");
	OK(mkdir("d", 0755));
	OK(utimensat(AT_FDCWD, "d", old, 0));
	fd = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	closedir(opendir("d"));
	HOLDS(readdir(fdopendir(fd)));
	pc_note("a listing updates atime: %s",
		pc_lstat("d").st_atim.tv_sec == 1000 ? "no" : "yes");
}
