/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rename(2) and renameat2(2). */
#include "tests/tools/posix/posix.h"

#include <sys/sysmacros.h>

static int rename2(const char *from, const char *to, unsigned int flags)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

TEST(over_a_file)
{
	ino_t ino;

	pc_make("a", "from a");
	pc_make("b", "from b");
	ino = pc_ino("a");
	OK(rename("a", "b"));
	HOLDS(!pc_exists("a"));
	HOLDS(pc_holds_text("b", "from a"));
	IS(pc_ino("b"), ino);
	IS(pc_nlink("b"), 1);
}

TEST(over_an_open_file)
{
	int fd;

	pc_make("a", "from a");
	pc_make("b", "from b");
	fd = (int)OK(open("b", O_RDWR));
	OK(rename("a", "b"));
	IS(pc_fstat(fd).st_nlink, 0);
	HOLDS(pc_fd_holds(fd, "from b"));
	IS(pwrite(fd, "X", 1, 0), 1);
	HOLDS(pc_fd_holds(fd, "Xrom b"));
	HOLDS(pc_holds_text("b", "from a"));
}

TEST(an_open_file)
{
	int fd;

	pc_make("a", "one");
	OK(mkdir("d", 0755));
	fd = (int)OK(open("a", O_RDWR | O_APPEND));
	OK(rename("a", "d/b"));
	IS(write(fd, "two", 3), 3);
	HOLDS(pc_holds_text("d/b", "onetwo"));
	IS(pc_fstat(fd).st_ino, pc_ino("d/b"));
}

TEST(kinds)
{
	pc_make("f", "x");
	OK(mkdir("empty", 0755));
	OK(mkdir("full", 0755));
	OK(mkdir("d", 0755));
	pc_make("full/f", "x");
	OK(symlink("d", "l"));
	FAILS(EISDIR, rename("f", "empty"));
	FAILS(ENOTDIR, rename("d", "f"));
	FAILS(ENOTDIR, rename("d", "l"));
	NOTE(rename("d", "full"));
	HOLDS(errno == ENOTEMPTY || errno == EEXIST);
	FAILS(EISDIR, rename("l", "empty"));
	OK(rename("full", "empty"));
	HOLDS(pc_exists("empty/f"));
	OK(rename("f", "l"));
	HOLDS(S_ISREG(pc_lstat("l").st_mode));
	HOLDS(pc_exists("d"));
}

TEST(missing)
{
	pc_make("f", "x");
	OK(mkdir("d", 0755));
	FAILS(ENOENT, rename("nothing", "g"));
	FAILS(ENOENT, rename("f", "nothing/g"));
	FAILS(ENOENT, rename("nothing/f", "g"));
	FAILS(ENOTDIR, rename("f/x", "g"));
	FAILS(ENOTDIR, rename("f", "f/x"));
	FAILS(ENOTDIR, rename("f/", "g"));
	FAILS(ENOENT, rename("", "g"));
}

TEST(into_itself)
{
	OK(mkdir("a", 0755));
	OK(mkdir("a/b", 0755));
	OK(mkdir("a/b/c", 0755));
	FAILS(EINVAL, rename("a", "a/b/new"));
	FAILS(EINVAL, rename("a", "a/x"));
	FAILS(EINVAL, rename("a/b", "a/b/c/new"));
	FAILS(ENOTEMPTY, rename("a/b/c", "a"));
	FAILS(ENOTEMPTY, rename("a/b/c", "a/b"));
	FAILS(EBUSY, rename("a/.", "b"));
	FAILS(EBUSY, rename("a/b/..", "b"));
	FAILS(EBUSY, rename("a", "a/b/."));
	HOLDS(pc_exists("a/b/c"));
}

TEST(same_inode_does_nothing)
{
	pc_make("f", "x");
	OK(link("f", "g"));
	OK(rename("f", "g"));
	HOLDS(pc_exists("f"));
	HOLDS(pc_exists("g"));
	IS(pc_nlink("f"), 2);
	OK(rename("f", "f"));
	OK(mkdir("d", 0755));
	OK(rename("d", "d"));
	OK(rename("d/", "d"));
}

TEST(directory_to_another_parent)
{
	struct stat up;

	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	OK(mkdir("a/d", 0755));
	pc_make("a/d/f", "x");
	OK(stat("a/d/..", &up));
	IS(up.st_ino, pc_ino("a"));
	OK(rename("a/d", "b/e"));
	OK(stat("b/e/..", &up));
	IS(up.st_ino, pc_ino("b"));
	HOLDS(pc_holds_text("b/e/f", "x"));
	HOLDS(!pc_exists("a/d"));
	OK(rmdir("a"));
}

TEST(working_directory_follows)
{
	char path[PATH_MAX];

	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	OK(chdir("a"));
	OK(rename("../a", "../b/c"));
	pc_make("f", "x");
	OK(chdir("../.."));
	HOLDS(pc_holds_text("b/c/f", "x"));
	OK(chdir("b/c"));
	HOLDS(getcwd(path, sizeof(path)));
	HOLDS(strstr(path, "/b/c"));
}

TEST(over_directory_that_is_open)
{
	int fd;

	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	pc_make("a/f", "x");
	fd = (int)OK(open("b", O_RDONLY | O_DIRECTORY));
	OK(rename("a", "b"));
	FAILS(ENOENT, openat(fd, "f", O_RDONLY));
	FAILS(ENOENT, openat(fd, "g", O_RDWR | O_CREAT, 0644));
	IS(pc_fstat(fd).st_nlink, 0);
	HOLDS(pc_exists("b/f"));
}

TEST(special_files)
{
	OK(mkfifo("p", 0644));
	OK(mknod("n", S_IFCHR | 0600, makedev(1, 3)));
	OK(symlink("x", "l"));
	OK(rename("p", "q"));
	OK(rename("n", "m"));
	OK(rename("l", "k"));
	HOLDS(S_ISFIFO(pc_lstat("q").st_mode));
	IS(pc_lstat("m").st_rdev, makedev(1, 3));
	HOLDS(S_ISLNK(pc_lstat("k").st_mode));
}

TEST(needs_write_permission)
{
	OK(mkdir("a", 0777));
	OK(mkdir("b", 0777));
	OK(chmod("a", 0755));
	OK(chmod("b", 0777));
	pc_make("a/f", "x");
	pc_make("b/f", "x");
	OK(chown("a/f", ALICE, ALICE));
	OK(chown("b/f", ALICE, ALICE));
	pc_become(ALICE, ALICE);
	FAILS(EACCES, rename("a/f", "a/g"));
	FAILS(EACCES, rename("a/f", "b/g"));
	FAILS(EACCES, rename("b/f", "a/g"));
	OK(rename("b/f", "b/g"));
}

/* The entry ".." is written, so the directory itself must be writable. */
TEST(directory_needs_write_permission_on_itself)
{
	OK(chmod(".", 0777));
	OK(mkdir("a", 0755));
	OK(chmod("a", 0777));
	OK(mkdir("d", 0755));
	pc_become(ALICE, ALICE);
	FAILS(EACCES, rename("d", "a/d"));
	OK(rename("d", "e"));
}

TEST(noreplace)
{
	pc_make("a", "from a");
	pc_make("b", "from b");
	OK(mkdir("d", 0755));
	OK(symlink("nothing", "l"));
	FAILS(EEXIST, rename2("a", "b", RENAME_NOREPLACE));
	FAILS(EEXIST, rename2("a", "d", RENAME_NOREPLACE));
	FAILS(EEXIST, rename2("a", "l", RENAME_NOREPLACE));
	FAILS(EEXIST, rename2("a", "a", RENAME_NOREPLACE));
	FAILS(ENOENT, rename2("nothing", "c", RENAME_NOREPLACE));
	OK(rename2("a", "c", RENAME_NOREPLACE));
	HOLDS(pc_holds_text("c", "from a"));
	HOLDS(!pc_exists("a"));
}

TEST(exchange)
{
	ino_t a, b;

	pc_make("a", "from a");
	pc_make("b", "from b");
	a = pc_ino("a");
	b = pc_ino("b");
	OK(rename2("a", "b", RENAME_EXCHANGE));
	IS(pc_ino("a"), b);
	IS(pc_ino("b"), a);
	HOLDS(pc_holds_text("a", "from b"));
	HOLDS(pc_holds_text("b", "from a"));
	FAILS(ENOENT, rename2("a", "nothing", RENAME_EXCHANGE));
	FAILS(ENOENT, rename2("nothing", "a", RENAME_EXCHANGE));
	FAILS(EINVAL, rename2("a", "b", RENAME_EXCHANGE | RENAME_NOREPLACE));
	FAILS(EINVAL, rename2("a", "b", 1U << 20));
}

TEST(exchange_file_and_directory)
{
	struct stat up;

	OK(mkdir("x", 0755));
	OK(mkdir("y", 0755));
	OK(mkdir("x/d", 0755));
	pc_make("x/d/in", "x");
	pc_make("y/f", "file");
	OK(rename2("x/d", "y/f", RENAME_EXCHANGE));
	HOLDS(pc_holds_text("x/d", "file"));
	HOLDS(pc_holds_text("y/f/in", "x"));
	OK(stat("y/f/..", &up));
	IS(up.st_ino, pc_ino("y"));
	pc_note("links: %d, %d", (int)pc_nlink("x"), (int)pc_nlink("y"));
	FAILS(EINVAL, rename2("y", "y/f", RENAME_EXCHANGE));
	FAILS(EINVAL, rename2("y/f/in", "y", RENAME_EXCHANGE));
}

TEST(whiteout)
{
	pc_make("a", "x");
	NOTE(rename2("a", "b", RENAME_WHITEOUT));
	if (!pc_exists("b"))
		return;
	HOLDS(pc_holds_text("b", "x"));
	HOLDS(S_ISCHR(pc_lstat("a").st_mode));
	IS(pc_lstat("a").st_rdev, 0);
	pc_make("c", "y");
	OK(rename2("b", "c", RENAME_WHITEOUT));
	HOLDS(S_ISCHR(pc_lstat("b").st_mode));
	FAILS(EINVAL, rename2("c", "d", RENAME_WHITEOUT | RENAME_EXCHANGE));
}

TEST(whiteout_as_user)
{
	OK(chmod(".", 0777));
	pc_become(ALICE, ALICE);
	pc_make("a", "x");
	NOTE(rename2("a", "b", RENAME_WHITEOUT));
	pc_note("there: %d %d", pc_exists("a"), pc_exists("b"));
}

static void swap_forever(void)
{
	while (!pc_told_to_stop()) {
		rename2("a", "b", RENAME_EXCHANGE);
		rename("c", "d");
		rename("d", "c");
	}
}

/* A name that is only exchanged is never missing. */
TEST(never_missing_while_replaced)
{
	char text[8];
	pid_t pid;

	pc_make("a", "1");
	pc_make("b", "2");
	pc_make("c", "3");
	pid = pc_fork(swap_forever);
	for (int n = 0; n < 1000; n++) {
		int fd = (int)OK(open(n % 2 ? "a" : "b", O_RDONLY));

		IS(read(fd, text, sizeof(text)), 1);
		HOLDS(*text == '1' || *text == '2');
		OK(close(fd));
	}
	pc_stop(pid);
}

static void replace_forever(void)
{
	while (!pc_told_to_stop()) {
		int fd = (int)OK(open("new", O_CREAT | O_WRONLY, 0644));

		IS(write(fd, "whole", 5), 5);
		OK(close(fd));
		OK(rename("new", "f"));
	}
}

/* The way to replace a file at once: readers see the old or the new one, whole. */
TEST(replacing_is_atomic)
{
	pid_t pid;

	pc_make("f", "whole");
	pid = pc_fork(replace_forever);
	for (int n = 0; n < 1000; n++)
		HOLDS(pc_holds_text("f", "whole"));
	pc_stop(pid);
}
