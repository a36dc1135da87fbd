/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that have no name any more but are open: everything must still work on them. */
#include "tests/tools/posix/posix.h"

#include <sys/file.h>
#include <sys/xattr.h>

static int make_unlinked(const char *text)
{
	int fd;

	pc_make("f", text);
	fd = (int)OK(open("f", O_RDWR));
	OK(unlink("f"));
	return fd;
}

TEST(read_and_write)
{
	int fd = make_unlinked("content");

	HOLDS(pc_fd_holds(fd, "content"));
	IS(pwrite(fd, "C", 1, 0), 1);
	IS(lseek(fd, 0, SEEK_END), 7);
	IS(write(fd, "!", 1), 1);
	HOLDS(pc_fd_holds(fd, "Content!"));
	OK(fsync(fd));
	HOLDS(pc_fd_holds(fd, "Content!"));
	IS(pc_fstat(fd).st_size, 8);
	IS(pc_fstat(fd).st_nlink, 0);
}

TEST(created_and_unlinked)
{
	int fd = (int)OK(open("f", O_CREAT | O_EXCL | O_RDWR, 0600));

	OK(unlink("f"));
	IS(write(fd, "data", 4), 4);
	HOLDS(pc_fd_holds(fd, "data"));
	OK(ftruncate(fd, 2));
	HOLDS(pc_fd_holds(fd, "da"));
	IS(pc_fstat(fd).st_nlink, 0);
}

TEST(attributes)
{
	struct timespec t[] = {{100, 1}, {200, 2}};
	int fd = make_unlinked("content");
	struct stat st;

	OK(fchmod(fd, 0751));
	OK(fchown(fd, ALICE, TEAM));
	OK(futimens(fd, t));
	st = pc_fstat(fd);
	IS(st.st_mode & 07777, 0751);
	IS(st.st_uid, ALICE);
	IS(st.st_gid, TEAM);
	IS(st.st_mtim.tv_sec, 200);
	IS(st.st_mtim.tv_nsec, 2);
	OK(ftruncate(fd, 10000));
	IS(pc_fstat(fd).st_size, 10000);
	HOLDS(pc_fd_zeros(fd, 7, 9993));
	OK(fallocate(fd, 0, 0, 20000));
	IS(pc_fstat(fd).st_size, 20000);
}

TEST(extended_attributes)
{
	int fd = make_unlinked("content");
	char value[8];

	if (fsetxattr(fd, "user.x", "abc", 3, 0) && errno == EOPNOTSUPP)
		pc_skip("no extended attributes");
	OK(fsetxattr(fd, "user.x", "abc", 3, 0));
	IS(fgetxattr(fd, "user.x", value, sizeof(value)), 3);
	OK(fremovexattr(fd, "user.x"));
	FAILS(ENODATA, fgetxattr(fd, "user.x", value, sizeof(value)));
}

TEST(mapping)
{
	int fd = make_unlinked("content");
	char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	HOLDS(map != MAP_FAILED);
	HOLDS(!memcmp(map, "content", 7));
	map[0] = 'C';
	HOLDS(pc_fd_holds(fd, "Content"));
	OK(close(fd));
	HOLDS(!memcmp(map, "Content", 7));
	map[1] = 'O';
	OK(msync(map, PAGE, MS_SYNC));
	OK(munmap(map, PAGE));
}

TEST(reopened_through_proc)
{
	int fd = make_unlinked("content"), again;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = (int)OK(open(path, O_RDWR));
	OK(close(fd));
	HOLDS(pc_fd_holds(again, "content"));
	IS(pwrite(again, "C", 1, 0), 1);
	HOLDS(pc_fd_holds(again, "Content"));
}

TEST(no_way_back)
{
	int fd = make_unlinked("content");
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAILS(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
	HOLDS(!pc_exists("g"));
	FAILS(ENOENT, open("f", O_RDONLY));
}

TEST(locks)
{
	int fd = make_unlinked("content");
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	OK(flock(fd, LOCK_EX));
	OK(fcntl(fd, F_SETLK, &lock));
	lock.l_type = F_UNLCK;
	OK(fcntl(fd, F_SETLK, &lock));
}

static int child_fd;

static void child_writes(void)
{
	IS(pwrite(child_fd, "child", 5, 0), 5);
	OK(ftruncate(child_fd, 5));
}

TEST(shared_with_a_child)
{
	child_fd = make_unlinked("content");
	pc_join(pc_fork(child_writes));
	HOLDS(pc_fd_holds(child_fd, "child"));
}

/* Two descriptors; the name goes; one is closed; the other goes on. */
TEST(two_descriptors)
{
	int a, b;

	pc_make("f", "content");
	a = (int)OK(open("f", O_RDWR));
	b = (int)OK(open("f", O_RDONLY));
	OK(unlink("f"));
	IS(pwrite(a, "C", 1, 0), 1);
	OK(close(a));
	HOLDS(pc_fd_holds(b, "Content"));
	IS(pc_fstat(b).st_nlink, 0);
}

/* Many of them at once, each with its own content. */
TEST(a_hundred_of_them)
{
	char text[16];
	int fd[100];

	for (int n = 0; n < 100; n++) {
		snprintf(text, sizeof(text), "number %d", n);
		fd[n] = make_unlinked(text);
	}
	for (int n = 0; n < 100; n++) {
		snprintf(text, sizeof(text), "number %d", n);
		HOLDS(pc_fd_holds(fd[n], text));
		OK(close(fd[n]));
	}
}

TEST(data_written_just_before)
{
	int fd = (int)OK(open("f", O_CREAT | O_RDWR, 0644));
	char data[4096];

	memset(data, 'w', sizeof(data));
	for (int n = 0; n < 64; n++)
		IS(write(fd, data, sizeof(data)), sizeof(data));
	OK(unlink("f"));
	IS(pread(fd, data, 1, 200000), 1);
	IS(data[0], 'w');
	IS(pc_fstat(fd).st_size, 64 * 4096);
}
