/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mkdir, rmdir, unlink, link, symlink, mknod: results, errors, link counts, lengths of names. */
#include "tests/tools/posix/posix.h"

#include <limits.h>
#include <sys/sysmacros.h>

TEST(mkdir_errors)
{
	pc_make("f", "x");
	OK(mkdir("d", 0755));
	OK(symlink("nothing", "l"));
	FAILS(EEXIST, mkdir("d", 0755));
	FAILS(EEXIST, mkdir("f", 0755));
	FAILS(EEXIST, mkdir("l", 0755));
	FAILS(EEXIST, mkdir(".", 0755));
	FAILS(EEXIST, mkdir("d/..", 0755));
	FAILS(ENOENT, mkdir("nothing/d", 0755));
	FAILS(ENOENT, mkdir("", 0755));
	FAILS(ENOTDIR, mkdir("f/d", 0755));
	OK(mkdir("e/", 0755));
	HOLDS(S_ISDIR(pc_lstat("e").st_mode));
}

TEST(mkdir_attributes)
{
	struct stat st;

	umask(022);
	OK(chmod(".", 0777));
	pc_become(ALICE, TEAM);
	OK(mkdir("d", 0777));
	st = pc_lstat("d");
	IS(st.st_mode, S_IFDIR | 0755);
	IS(st.st_uid, ALICE);
	IS(st.st_gid, TEAM);
	pc_note("links of a new directory: %d", (int)st.st_nlink);
}

/* btrfs does not count directories; what it does instead must be the same here. */
TEST(directory_link_count)
{
	nlink_t before = pc_nlink(".");

	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	pc_note("after two mkdir: %+d", (int)(pc_nlink(".") - before));
	OK(mkdir("a/in", 0755));
	pc_note("a with one: %d", (int)pc_nlink("a"));
	OK(rename("a/in", "b/in"));
	pc_note("moved away: %d, %d", (int)pc_nlink("a"), (int)pc_nlink("b"));
	OK(rmdir("b/in"));
	OK(rmdir("b"));
	OK(rmdir("a"));
	IS(pc_nlink("."), before);
}

TEST(rmdir_errors)
{
	pc_make("f", "x");
	OK(mkdir("d", 0755));
	OK(mkdir("d/sub", 0755));
	pc_make("d/sub/f", "x");
	OK(symlink("d", "l"));
	FAILS(ENOTEMPTY, rmdir("d"));
	FAILS(ENOTEMPTY, rmdir("d/sub"));
	FAILS(ENOTDIR, rmdir("f"));
	FAILS(ENOTDIR, rmdir("l"));
	FAILS(ENOENT, rmdir("nothing"));
	FAILS(ENOTDIR, rmdir("f/x"));
	FAILS(EINVAL, rmdir("d/sub/."));
	FAILS(ENOTEMPTY, rmdir("d/sub/.."));
	OK(unlink("d/sub/f"));
	OK(rmdir("d/sub"));
	OK(rmdir("d/"));
	HOLDS(!pc_exists("d"));
}

TEST(removed_directory_still_open)
{
	struct stat st;
	DIR *dir;
	int fd;

	OK(mkdir("d", 0755));
	fd = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	OK(rmdir("d"));
	OK(fstat(fd, &st));
	IS(st.st_nlink, 0);
	FAILS(ENOENT, openat(fd, "f", O_CREAT | O_RDWR, 0644));
	FAILS(ENOENT, mkdirat(fd, "e", 0755));
	FAILS(ENOENT, symlinkat("x", fd, "l"));
	dir = fdopendir(fd);
	HOLDS(dir);
	errno = 0;
	pc_note("reading it: %s", readdir(dir) ? "an entry" : strerrorname_np(errno));
}

TEST(removed_working_directory)
{
	char path[PATH_MAX];

	OK(mkdir("d", 0755));
	OK(chdir("d"));
	OK(rmdir("../d"));
	FAILS(ENOENT, open("f", O_CREAT | O_RDWR, 0644));
	FAILS(ENOENT, syscall(79 /* getcwd */, path, sizeof(path)));
	OK(mkdir("../d", 0755));
	FAILS(ENOENT, open("f", O_CREAT | O_RDWR, 0644));
}

TEST(unlink_errors)
{
	pc_make("f", "x");
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	FAILS(EISDIR, unlink("d"));
	FAILS(ENOENT, unlink("nothing"));
	FAILS(ENOENT, unlink("nothing/f"));
	FAILS(ENOTDIR, unlink("f/x"));
	FAILS(ENOTDIR, unlink("f/"));
	OK(unlink("l"));
	HOLDS(pc_exists("f"));
	OK(unlink("f"));
	FAILS(ENOENT, unlink("f"));
	FAILS(ENOENT, open("f", O_RDONLY));
}

TEST(link_counts)
{
	ino_t ino;

	pc_make("f", "x");
	ino = pc_ino("f");
	OK(link("f", "g"));
	IS(pc_nlink("f"), 2);
	IS(pc_nlink("g"), 2);
	IS(pc_ino("g"), ino);
	OK(unlink("f"));
	IS(pc_nlink("g"), 1);
	OK(link("g", "f"));
	pc_make("other", "y");
	OK(rename("other", "g"));
	IS(pc_nlink("f"), 1);
	HOLDS(pc_holds_text("f", "x"));
}

TEST(link_shares_everything)
{
	int fd;

	pc_make("f", "one");
	OK(mkdir("d", 0755));
	OK(link("f", "d/g"));
	fd = (int)OK(open("d/g", O_WRONLY | O_APPEND));
	IS(write(fd, "two", 3), 3);
	HOLDS(pc_holds_text("f", "onetwo"));
	IS(pc_size("f"), 6);
	OK(chmod("f", 0600));
	IS(pc_mode("d/g"), 0600);
	OK(truncate("f", 2));
	IS(pc_size("d/g"), 2);
	OK(chown("d/g", ALICE, TEAM));
	IS(pc_lstat("f").st_uid, ALICE);
}

TEST(link_errors)
{
	pc_make("f", "x");
	OK(mkdir("d", 0755));
	OK(symlink("nothing", "l"));
	FAILS(EEXIST, link("f", "d"));
	FAILS(EEXIST, link("f", "f"));
	FAILS(EEXIST, link("f", "l"));
	FAILS(EPERM, link("d", "e"));
	FAILS(ENOENT, link("nothing", "g"));
	FAILS(ENOENT, link("f", "nothing/g"));
	FAILS(ENOTDIR, link("f/x", "g"));
	FAILS(ENOTDIR, link("f", "f/g"));
	FAILS(EXDEV, link("/proc/version", "g"));
	FAILS(ENOENT, link("f", "g/"));
}

TEST(link_to_symlink)
{
	pc_make("f", "x");
	OK(symlink("f", "l"));
	OK(link("l", "k"));
	HOLDS(S_ISLNK(pc_lstat("k").st_mode));
	IS(pc_nlink("l"), 2);
	IS(pc_ino("k"), pc_ino("l"));
	OK(linkat(AT_FDCWD, "l", AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
	IS(pc_ino("g"), pc_ino("f"));
	IS(pc_nlink("f"), 2);
}

TEST(link_to_special_files)
{
	OK(mkfifo("p", 0644));
	OK(link("p", "q"));
	IS(pc_nlink("p"), 2);
	OK(mknod("n", S_IFCHR | 0600, makedev(1, 3)));
	OK(link("n", "m"));
	IS(pc_ino("n"), pc_ino("m"));
}

TEST(thousand_links)
{
	char name[16];

	pc_make("f", "x");
	for (int n = 0; n < 1000; n++) {
		snprintf(name, sizeof(name), "l%d", n);
		OK(link("f", name));
	}
	IS(pc_nlink("l500"), 1001);
	for (int n = 0; n < 1000; n++) {
		snprintf(name, sizeof(name), "l%d", n);
		OK(unlink(name));
	}
	IS(pc_nlink("f"), 1);
}

TEST(symlink_basics)
{
	char target[64];
	struct stat st;

	OK(chmod(".", 0777));
	pc_become(ALICE, TEAM);
	OK(symlink("some/where", "l"));
	st = pc_lstat("l");
	IS(st.st_mode, S_IFLNK | 0777);
	IS(st.st_size, 10);
	IS(st.st_uid, ALICE);
	IS(st.st_gid, TEAM);
	IS(readlink("l", target, sizeof(target)), 10);
	HOLDS(!memcmp(target, "some/where", 10));
	IS(readlink("l", target, 4), 4);
	OK(symlink("\xff\xfe\n", "odd"));
	IS(readlink("odd", target, sizeof(target)), 3);
	HOLDS(!memcmp(target, "\xff\xfe\n", 3));
}

TEST(symlink_errors)
{
	char target[8];

	pc_make("f", "x");
	FAILS(ENOENT, symlink("", "l"));
	FAILS(EEXIST, symlink("x", "f"));
	FAILS(ENOENT, symlink("x", "nothing/l"));
	FAILS(ENOTDIR, symlink("x", "f/l"));
	FAILS(EINVAL, readlink("f", target, sizeof(target)));
	FAILS(EINVAL, readlink(".", target, sizeof(target)));
	FAILS(ENOENT, readlink("nothing", target, sizeof(target)));
}

static void try_symlink(size_t length)
{
	char back[PATH_MAX + 1];
	const char *target = pc_long_name(length, 't');
	ssize_t n;

	if (symlink(target, "l")) {
		pc_note("target of %zu: %s", length, strerrorname_np(errno));
		return;
	}
	n = OK(readlink("l", back, sizeof(back)));
	pc_note("target of %zu: %zd back", length, n);
	IS(n, length);
	HOLDS(!memcmp(target, back, length));
	OK(unlink("l"));
}

TEST(symlink_lengths)
{
	static const size_t lengths[] = {1, 59, 60, 255, 1000, 1023, 1024, 2000, 4094, 4095};

	for (size_t n = 0; n < ROWS(lengths); n++)
		try_symlink(lengths[n]);
	FAILS(ENAMETOOLONG, symlink(pc_long_name(4096, 't'), "l"));
}

TEST(longest_name)
{
	const char *name = pc_long_name(255, 'n');

	pc_make(name, "x");
	HOLDS(pc_holds_text(name, "x"));
	OK(link(name, "l"));
	OK(unlink(name));
	OK(mkdir(name, 0755));
	OK(rmdir(name));
	OK(symlink("x", name));
	OK(unlink(name));
	OK(rename("l", name));
	OK(mkfifo(pc_long_name(255, 'p'), 0644));
	OK(access(pc_long_name(255, 'n'), F_OK));
}

TEST(too_long_name)
{
	const char *name = pc_long_name(256, 'n');

	pc_make("f", "x");
	FAILS(ENAMETOOLONG, open(name, O_RDWR | O_CREAT, 0644));
	FAILS(ENAMETOOLONG, open(name, O_RDONLY));
	FAILS(ENAMETOOLONG, mkdir(name, 0755));
	FAILS(ENAMETOOLONG, rmdir(name));
	FAILS(ENAMETOOLONG, unlink(name));
	FAILS(ENAMETOOLONG, link("f", name));
	FAILS(ENAMETOOLONG, symlink("x", name));
	FAILS(ENAMETOOLONG, mkfifo(name, 0644));
	FAILS(ENAMETOOLONG, rename("f", name));
	FAILS(ENAMETOOLONG, rename(name, "f"));
	FAILS(ENAMETOOLONG, access(name, F_OK));
	FAILS(ENAMETOOLONG, access(pc_long_name(4096, '/'), F_OK));
	OK(access(pc_long_name(4095, '/'), F_OK));
}

static const char *const odd_names[] = {
	" ",
	"\n",
	"\t",
	"\x01",
	"\xff",
	"\xc3\x28",
	"a\\b",
	"\"q\"",
	"...",
	"-rf",
	"*",
	"?",
	"\xe2\x82\xac",
	"trailing ",
	"A",
	"a",
	"\xc3\xa4",
	"a\xcc\x88",
	".hidden",
	"'",
	"%s%n",
};

TEST(odd_names)
{
	struct dirent *e;
	size_t found = 0;
	DIR *dir;

	for (size_t n = 0; n < ROWS(odd_names); n++)
		pc_make(odd_names[n], odd_names[n]);
	dir = opendir(".");
	HOLDS(dir);
	while ((e = readdir(dir)))
		for (size_t n = 0; n < ROWS(odd_names); n++)
			found += !strcmp(e->d_name, odd_names[n]);
	IS(found, ROWS(odd_names));
	for (size_t n = 0; n < ROWS(odd_names); n++) {
		HOLDS(pc_holds_text(odd_names[n], odd_names[n]));
		OK(unlink(odd_names[n]));
	}
}

TEST(mknod_kinds)
{
	OK(mknod("f", S_IFREG | 0640, 0));
	OK(mknod("zero", 0600, 0));
	OK(mknod("s", S_IFSOCK | 0600, 0));
	HOLDS(S_ISREG(pc_lstat("f").st_mode));
	HOLDS(S_ISREG(pc_lstat("zero").st_mode));
	HOLDS(S_ISSOCK(pc_lstat("s").st_mode));
	IS(pc_mode("f"), 0640);
	FAILS(EEXIST, mknod("f", S_IFREG | 0640, 0));
	FAILS(EPERM, mknod("d", S_IFDIR | 0755, 0));
	FAILS(ENOENT, mknod("nothing/f", S_IFREG | 0644, 0));
	FAILS(EEXIST, mkfifo("f", 0644));
	FAILS(ENOTDIR, mkfifo("f/p", 0644));
}

TEST(mknod_as_user)
{
	OK(chmod(".", 0777));
	pc_become(ALICE, TEAM);
	FAILS(EPERM, mknod("n", S_IFCHR | 0600, makedev(1, 3)));
	FAILS(EPERM, mknod("n", S_IFBLK | 0600, makedev(7, 200)));
	OK(mknod("f", S_IFREG | 0666, 0));
	OK(mkfifo("p", 0666));
	IS(pc_lstat("p").st_uid, ALICE);
	IS(pc_lstat("f").st_gid, TEAM);
	IS(pc_mode("p"), 0644);
}

/* A name that was looked up in vain must be found once it is there, and the other way round. */
TEST(no_stale_names)
{
	for (int n = 0; n < 3; n++) {
		FAILS(ENOENT, access("a", F_OK));
		pc_make("a", "x");
		OK(access("a", F_OK));
		OK(rename("a", "b"));
		FAILS(ENOENT, access("a", F_OK));
		OK(access("b", F_OK));
		OK(link("b", "a"));
		OK(access("a", F_OK));
		OK(unlink("a"));
		OK(symlink("b", "a"));
		OK(access("a", F_OK));
		OK(unlink("a"));
		OK(mkdir("a", 0755));
		OK(access("a/", F_OK));
		OK(rmdir("a"));
		OK(unlink("b"));
	}
}

/* The same name and a new inode: nothing of the old one may show. */
TEST(name_used_again)
{
	struct stat a, b;
	int fd;

	pc_make("f", "old content");
	OK(chmod("f", 0600));
	a = pc_lstat("f");
	fd = (int)OK(open("f", O_RDWR));
	OK(unlink("f"));
	pc_make("f", "new");
	b = pc_lstat("f");
	HOLDS(a.st_ino != b.st_ino);
	IS(b.st_mode & 0777, 0644);
	IS(b.st_size, 3);
	HOLDS(pc_fd_holds(fd, "old content"));
	HOLDS(pc_holds_text("f", "new"));
	OK(close(fd));
	OK(unlink("f"));
	OK(mkdir("f", 0700));
	IS(pc_lstat("f").st_mode, S_IFDIR | 0700);
}

TEST(deep_tree)
{
	for (int n = 0; n < 200; n++) {
		OK(mkdir("deeper", 0755));
		OK(chdir("deeper"));
	}
	pc_make("f", "bottom");
	for (int n = 0; n < 200; n++)
		OK(chdir(".."));
	HOLDS(pc_exists("deeper/deeper/deeper"));
	HOLDS(!pc_exists("f"));
}
