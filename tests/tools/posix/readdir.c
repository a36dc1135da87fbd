/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading directories, also while they change. */
#include "tests/tools/posix/posix.h"

#include <signal.h>
#include <sys/syscall.h>

static void make_numbered(const char *prefix, int count)
{
	char name[64];

	for (int n = 0; n < count; n++) {
		snprintf(name, sizeof(name), "%s%d", prefix, n);
		OK(close((int)OK(open(name, O_CREAT | O_WRONLY, 0644))));
	}
}

static DIR *open_dir(const char *path)
{
	DIR *dir = opendir(path);

	if (!dir)
		pc_fail(__FILE__, __LINE__, "opendir: %s", strerrorname_np(errno));
	return dir;
}

/* Names that begin with @prefix and go on with a number below @count: each must come once. */
static void count_names(DIR *dir, const char *prefix, int count)
{
	char *seen = calloc((size_t)count, 1);
	struct dirent *e;
	int sum = 0;

	HOLDS(seen);
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, prefix, strlen(prefix)))
			continue;
		int n = atoi(e->d_name + strlen(prefix));

		HOLDS(n >= 0 && n < count);
		if (seen[n]++)
			pc_fail(__FILE__, __LINE__, "%s came twice", e->d_name);
		sum++;
	}
	IS(sum, count);
	free(seen);
}

TEST(types_and_inodes)
{
	struct dirent *e;
	DIR *dir;
	int count = 0;

	pc_make("f", "x");
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	OK(mkfifo("p", 0644));
	OK(mknod("s", S_IFSOCK | 0644, 0));
	dir = open_dir(".");
	while ((e = readdir(dir))) {
		struct stat st = pc_lstat(e->d_name);

		count++;
		if (e->d_type != DT_UNKNOWN)
			IS(DTTOIF(e->d_type), st.st_mode & S_IFMT);
		IS(e->d_ino, st.st_ino);
	}
	IS(count, 7);
}

TEST(empty)
{
	DIR *dir;
	int dots = 0;

	OK(mkdir("d", 0755));
	dir = open_dir("d");
	for (struct dirent *e; (e = readdir(dir));)
		dots += !strcmp(e->d_name, ".") ? 1 : !strcmp(e->d_name, "..") ? 10 : 1000;
	IS(dots, 11);
}

TEST(three_thousand)
{
	DIR *dir;

	make_numbered("name", 3000);
	dir = open_dir(".");
	count_names(dir, "name", 3000);
	rewinddir(dir);
	count_names(dir, "name", 3000);
	count_names(open_dir("."), "name", 3000);
}

TEST(long_names)
{
	char name[256];
	DIR *dir;
	int count = 0;

	for (int n = 0; n < 300; n++) {
		snprintf(name, sizeof(name), "%s", pc_long_name(255, 'n'));
		snprintf(name, 5, "%04d", n);
		name[4] = 'n';
		OK(close((int)OK(open(name, O_CREAT | O_WRONLY, 0644))));
	}
	dir = open_dir(".");
	for (struct dirent *e; (e = readdir(dir));)
		count += strlen(e->d_name) == 255;
	IS(count, 300);
}

TEST(seeking)
{
	long at[300];
	char names[300][256];
	struct dirent *e;
	int count = 0;
	DIR *dir;

	make_numbered("name", 298);
	dir = open_dir(".");
	for (; count < 300; count++) {
		at[count] = telldir(dir);
		e = readdir(dir);
		HOLDS(e);
		snprintf(names[count], sizeof(names[count]), "%s", e->d_name);
	}
	HOLDS(!readdir(dir));
	for (int n = 299; n >= 0; n -= 7) {
		seekdir(dir, at[n]);
		e = readdir(dir);
		HOLDS(e);
		HOLDS(!strcmp(e->d_name, names[n]));
	}
}

TEST(rewinding_sees_changes)
{
	DIR *dir;

	make_numbered("old", 10);
	dir = open_dir(".");
	count_names(dir, "old", 10);
	make_numbered("new", 10);
	rewinddir(dir);
	count_names(dir, "new", 10);
	for (int n = 0; n < 10; n++) {
		char name[8];

		snprintf(name, sizeof(name), "old%d", n);
		OK(unlink(name));
	}
	rewinddir(dir);
	count_names(dir, "old", 0);
}

/* A listing that was read, kept perhaps, and is no longer right. */
TEST(no_stale_listing)
{
	for (int n = 0; n < 5; n++) {
		char name[8];

		count_names(open_dir("."), "name", n);
		count_names(open_dir("."), "name", n);
		snprintf(name, sizeof(name), "name%d", n);
		if (n == 0)
			OK(mkdir(name, 0755));
		else if (n == 1)
			OK(symlink("x", name));
		else if (n == 2)
			OK(link("name1", name));
		else if (n == 3)
			OK(mkfifo(name, 0644));
		else
			pc_make(name, "x");
	}
	OK(rename("name4", "other"));
	count_names(open_dir("."), "name", 4);
	OK(rename("name3", "name4"));
	OK(rename("name4", "name3"));
	count_names(open_dir("."), "name", 4);
}

/* What stays the whole time comes once, whatever else comes and goes. */
static void churn(void)
{
	char name[32];

	for (unsigned int n = 0; !pc_told_to_stop(); n++) {
		snprintf(name, sizeof(name), "temp%u", n % 500);
		if (unlink(name))
			OK(close((int)OK(open(name, O_CREAT | O_WRONLY, 0644))));
	}
}

TEST(while_names_come_and_go)
{
	pid_t pid;

	make_numbered("stay", 2000);
	pid = pc_fork(churn);
	for (int n = 0; n < 10; n++) {
		DIR *dir = open_dir(".");

		count_names(dir, "stay", 2000);
		closedir(dir);
	}
	pc_stop(pid);
}

/* rm -r: every entry is removed as soon as it was read. */
TEST(removing_while_reading)
{
	struct dirent *e;
	DIR *dir;

	OK(mkdir("d", 0755));
	OK(chdir("d"));
	make_numbered("name", 1500);
	dir = open_dir(".");
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			OK(unlink(e->d_name));
	closedir(dir);
	OK(chdir(".."));
	OK(rmdir("d"));
}

TEST(renaming_while_reading)
{
	char to[64];
	struct dirent *e;
	DIR *dir;

	make_numbered("name", 500);
	dir = open_dir(".");
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, "name", 4))
			continue;
		snprintf(to, sizeof(to), "moved%s", e->d_name + 4);
		OK(rename(e->d_name, to));
	}
	rewinddir(dir);
	count_names(dir, "moved", 500);
	rewinddir(dir);
	count_names(dir, "name", 0);
}

TEST(two_readers)
{
	DIR *a, *b;

	make_numbered("name", 200);
	a = open_dir(".");
	b = open_dir(".");
	for (int n = 0; n < 100; n++)
		HOLDS(readdir(a));
	count_names(b, "name", 200);
	for (int n = 100; n < 202; n++)
		HOLDS(readdir(a));
	HOLDS(!readdir(a));
}

TEST(descriptors)
{
	int fd, twin;
	char data[4096];

	make_numbered("name", 3);
	fd = (int)OK(open(".", O_RDONLY | O_DIRECTORY));
	twin = dup(fd);
	HOLDS(syscall(SYS_getdents64, fd, data, sizeof(data)) > 0);
	IS(syscall(SYS_getdents64, twin, data, sizeof(data)), 0);
	IS(lseek(twin, 0, SEEK_SET), 0);
	HOLDS(syscall(SYS_getdents64, fd, data, sizeof(data)) > 0);
	OK(lseek(fd, 0, SEEK_SET));
	FAILS(EINVAL, syscall(SYS_getdents64, fd, data, 8));
	pc_make("f", "x");
	FAILS(ENOTDIR, syscall(SYS_getdents64, (int)OK(open("f", O_RDONLY)), data, 4096));
	FAILS(EBADF, syscall(SYS_getdents64, (int)OK(open(".", O_PATH)), data, 4096));
}

TEST(small_buffer)
{
	int fd, count = 0;
	char data[64];
	long n;

	make_numbered("name", 50);
	fd = (int)OK(open(".", O_RDONLY | O_DIRECTORY));
	while ((n = OK(syscall(SYS_getdents64, fd, data, sizeof(data)))) > 0)
		for (long at = 0; at < n; at += *(unsigned short *)(data + at + 16))
			count++;
	IS(count, 52);
}

static int moved_descriptor;

static void list_it(void)
{
	count_names(fdopendir(moved_descriptor), "name", 4);
}

/* A directory that is open moves, and is read where it is now. */
TEST(renamed_while_open)
{
	OK(mkdir("d", 0755));
	OK(mkdir("e", 0755));
	moved_descriptor = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	make_numbered("d/name", 4);
	OK(lseek(moved_descriptor, 0, SEEK_SET));
	OK(rename("d", "e/d"));
	pc_join(pc_fork(list_it));
}
