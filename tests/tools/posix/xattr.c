/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Extended attributes. */
#include "tests/tools/posix/posix.h"

#include <sys/xattr.h>

/* A mount may do without them. */
static void make_file(void)
{
	pc_make("f", "x");
	if (setxattr("f", "user.probe", "", 0, 0) && errno == EOPNOTSUPP)
		pc_skip("no extended attributes");
	OK(removexattr("f", "user.probe"));
}

static bool has(const char *path, const char *name, const char *value)
{
	char got[256];
	ssize_t n = lgetxattr(path, name, got, sizeof(got));

	return n == (ssize_t)strlen(value) && !memcmp(got, value, (size_t)n);
}

static bool is_listed(const char *path, const char *name)
{
	char list[65536];
	ssize_t n = OK(llistxattr(path, list, sizeof(list)));

	for (char *at = list; at < list + n; at += strlen(at) + 1)
		if (!strcmp(at, name))
			return true;
	return false;
}

TEST(basics)
{
	make_file();
	OK(setxattr("f", "user.a", "one", 3, 0));
	OK(setxattr("f", "user.b", "two", 3, 0));
	HOLDS(has("f", "user.a", "one"));
	HOLDS(is_listed("f", "user.a"));
	HOLDS(is_listed("f", "user.b"));
	OK(setxattr("f", "user.a", "longer value", 12, 0));
	HOLDS(has("f", "user.a", "longer value"));
	OK(removexattr("f", "user.a"));
	FAILS(ENODATA, getxattr("f", "user.a", NULL, 0));
	FAILS(ENODATA, removexattr("f", "user.a"));
	HOLDS(!is_listed("f", "user.a"));
	HOLDS(has("f", "user.b", "two"));
}

TEST(create_and_replace)
{
	make_file();
	FAILS(ENODATA, setxattr("f", "user.a", "1", 1, XATTR_REPLACE));
	OK(setxattr("f", "user.a", "1", 1, XATTR_CREATE));
	FAILS(EEXIST, setxattr("f", "user.a", "2", 1, XATTR_CREATE));
	HOLDS(has("f", "user.a", "1"));
	OK(setxattr("f", "user.a", "3", 1, XATTR_REPLACE));
	HOLDS(has("f", "user.a", "3"));
	FAILS(EINVAL, setxattr("f", "user.a", "2", 1, 8));
}

TEST(sizes)
{
	char value[100];

	make_file();
	OK(setxattr("f", "user.a", "12345", 5, 0));
	IS(getxattr("f", "user.a", NULL, 0), 5);
	IS(getxattr("f", "user.a", value, 5), 5);
	FAILS(ERANGE, getxattr("f", "user.a", value, 4));
	IS(listxattr("f", NULL, 0) >= 7, 1);
	FAILS(ERANGE, listxattr("f", value, 3));
	OK(setxattr("f", "user.empty", "", 0, 0));
	IS(getxattr("f", "user.empty", value, 10), 0);
	HOLDS(is_listed("f", "user.empty"));
}

TEST(binary_values)
{
	char value[256], back[256];

	make_file();
	for (int n = 0; n < 256; n++)
		value[n] = (char)n;
	OK(setxattr("f", "user.bin", value, 256, 0));
	IS(getxattr("f", "user.bin", back, 256), 256);
	HOLDS(!memcmp(value, back, 256));
}

TEST(large_values)
{
	static const size_t sizes[] = {1000, 2000, 3000, 4000, 8000, 32000, 65535, 65536};
	static char value[65537], back[65537];

	make_file();
	for (size_t n = 0; n < ROWS(sizes); n++) {
		memset(value, 'a' + (int)n, sizeof(value));
		if (setxattr("f", "user.big", value, sizes[n], 0)) {
			pc_note("%zu bytes: %s", sizes[n], strerrorname_np(errno));
			continue;
		}
		IS(getxattr("f", "user.big", back, sizeof(back)), sizes[n]);
		HOLDS(!memcmp(value, back, sizes[n]));
		pc_note("%zu bytes: works", sizes[n]);
	}
	FAILS(E2BIG, setxattr("f", "user.big", value, 65537, 0));
}

TEST(many)
{
	char name[32], list[4096];
	ssize_t n;
	int count = 0;

	make_file();
	for (int k = 0; k < 60; k++) {
		snprintf(name, sizeof(name), "user.number%d", k);
		OK(setxattr("f", name, name, strlen(name), 0));
	}
	n = OK(listxattr("f", list, sizeof(list)));
	for (char *at = list; at < list + n; at += strlen(at) + 1)
		count += !strncmp(at, "user.number", 11);
	IS(count, 60);
	HOLDS(has("f", "user.number59", "user.number59"));
}

TEST(names)
{
	char name[300] = "user.";

	make_file();
	memset(name + 5, 'n', 250);
	OK(setxattr("f", name, "v", 1, 0));
	HOLDS(has("f", name, "v"));
	name[255] = 'n';
	FAILS(ERANGE, setxattr("f", name, "v", 1, 0));
	FAILS(ERANGE, setxattr("f", "", "v", 1, 0));
	FAILS(EINVAL, setxattr("f", "user.", "v", 1, 0));
	FAILS(EOPNOTSUPP, setxattr("f", "nonsense.x", "v", 1, 0));
	FAILS(EOPNOTSUPP, getxattr("f", "nonsense.x", NULL, 0));
	NOTE(getxattr("f", "system.nonsense", NULL, 0));
}

TEST(kinds_of_files)
{
	make_file();
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	OK(symlink("nothing", "dangling"));
	OK(mkfifo("p", 0644));
	OK(setxattr("d", "user.a", "dir", 3, 0));
	HOLDS(has("d", "user.a", "dir"));
	FAILS(EPERM, lsetxattr("l", "user.a", "x", 1, 0));
	FAILS(EPERM, setxattr("p", "user.a", "x", 1, 0));
	FAILS(ENOENT, setxattr("dangling", "user.a", "x", 1, 0));
	OK(setxattr("l", "user.a", "file", 4, 0));
	HOLDS(has("f", "user.a", "file"));
	OK(lsetxattr("l", "trusted.a", "link", 4, 0));
	HOLDS(has("l", "trusted.a", "link"));
	HOLDS(!has("f", "trusted.a", "link"));
	OK(lsetxattr("p", "trusted.a", "fifo", 4, 0));
	HOLDS(has("p", "trusted.a", "fifo"));
}

TEST(permissions)
{
	make_file();
	OK(setxattr("f", "user.a", "x", 1, 0));
	OK(setxattr("f", "trusted.a", "x", 1, 0));
	HOLDS(is_listed("f", "trusted.a"));
	OK(chmod("f", 0644));
	pc_become(ALICE, ALICE);
	IS(getxattr("f", "user.a", NULL, 0), 1);
	FAILS(EACCES, setxattr("f", "user.a", "y", 1, 0));
	FAILS(EACCES, removexattr("f", "user.a"));
	FAILS(EPERM, setxattr("f", "trusted.a", "y", 1, 0));
	FAILS(ENODATA, getxattr("f", "trusted.a", NULL, 0));
	pc_note("trusted ones are listed to users: %s",
		is_listed("f", "trusted.a") ? "yes" : "no");
	pc_root();
	OK(chmod("f", 0200));
	pc_become(ALICE, ALICE);
	FAILS(EACCES, getxattr("f", "user.a", NULL, 0));
	HOLDS(is_listed("f", "user.a"));
}

TEST(permissions_in_sticky_directories)
{
	make_file();
	OK(mkdir("d", 0755));
	OK(chmod("d", 01777));
	pc_become(ALICE, ALICE);
	FAILS(EPERM, setxattr("d", "user.a", "x", 1, 0));
}

TEST(through_descriptors)
{
	int fd;

	make_file();
	fd = (int)OK(open("f", O_RDONLY));
	OK(fsetxattr(fd, "user.a", "v", 1, 0));
	IS(fgetxattr(fd, "user.a", NULL, 0), 1);
	OK(flistxattr(fd, NULL, 0));
	OK(fremovexattr(fd, "user.a"));
	FAILS(EBADF, fsetxattr((int)OK(open("f", O_PATH)), "user.a", "v", 1, 0));
}

TEST(follow_the_inode)
{
	make_file();
	OK(setxattr("f", "user.a", "v", 1, 0));
	OK(link("f", "g"));
	OK(rename("f", "h"));
	HOLDS(has("g", "user.a", "v"));
	OK(setxattr("g", "user.a", "w", 1, 0));
	HOLDS(has("h", "user.a", "w"));
	OK(unlink("g"));
	OK(unlink("h"));
	pc_make("f", "new");
	FAILS(ENODATA, getxattr("f", "user.a", NULL, 0));
}

/* Version 2, no capabilities at all: enough to be there, and to go. */
TEST(capabilities_go_with_a_write)
{
	static const unsigned char cap[20] = {1, 0, 0, 2, 0, 4};
	int fd;

	make_file();
	OK(chmod("f", 0755));
	OK(setxattr("f", "security.capability", cap, sizeof(cap), 0));
	IS(getxattr("f", "security.capability", NULL, 0), 20);
	fd = (int)OK(open("f", O_WRONLY));
	IS(write(fd, "y", 1), 1);
	NOTE(getxattr("f", "security.capability", NULL, 0));
	setxattr("f", "security.capability", cap, sizeof(cap), 0);
	OK(chown("f", ALICE, ALICE));
	NOTE(getxattr("f", "security.capability", NULL, 0));
	setxattr("f", "security.capability", cap, sizeof(cap), 0);
	OK(truncate("f", 0));
	NOTE(getxattr("f", "security.capability", NULL, 0));
}

TEST(security_names)
{
	make_file();
	NOTE(setxattr("f", "security.other", "x", 1, 0));
	NOTE(getxattr("f", "security.other", NULL, 0));
	pc_become(ALICE, ALICE);
	NOTE(setxattr("f", "security.other", "x", 1, 0));
}
