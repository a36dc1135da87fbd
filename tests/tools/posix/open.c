/* SPDX-License-Identifier: GPL-2.0-or-later */
/* open(2): its flags, its errors, what a descriptor allows. */
#include "tests/tools/posix/posix.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

TEST(create_applies_umask)
{
	umask(027);
	OK(open("f", O_CREAT | O_WRONLY, 0666));
	IS(pc_mode("f"), 0640);
	umask(0);
	OK(open("g", O_CREAT | O_WRONLY, 07777));
	IS(pc_mode("g"), 07777);
	OK(mkdir("d", 01777));
	IS(pc_mode("d"), 01777);
}

TEST(create_is_empty_and_ours)
{
	struct stat st;

	OK(open("f", O_CREAT | O_RDONLY, 0600));
	st = pc_lstat("f");
	IS(st.st_size, 0);
	IS(st.st_nlink, 1);
	IS(st.st_uid, 0);
	IS(st.st_mode, S_IFREG | 0600);
}

/* The mode of open() does not bind the descriptor it makes. */
TEST(create_readonly_mode_still_writes)
{
	int fd = (int)OK(open("f", O_CREAT | O_EXCL | O_RDWR, 0));

	IS(write(fd, "x", 1), 1);
	IS(pc_mode("f"), 0);
	HOLDS(pc_fd_holds(fd, "x"));
}

static void alice_creates_readonly(void)
{
	int fd;

	pc_become(ALICE, ALICE);
	fd = (int)OK(open("f", O_CREAT | O_EXCL | O_RDWR, 0444));
	IS(write(fd, "x", 1), 1);
	FAILS(EACCES, open("f", O_RDWR));
	IS(pc_lstat("f").st_uid, ALICE);
	IS(pc_lstat("f").st_gid, ALICE);
}

TEST(create_readonly_mode_as_user)
{
	OK(chmod(".", 0777));
	alice_creates_readonly();
}

TEST(exclusive)
{
	pc_make("f", "old");
	OK(symlink("nothing", "dangling"));
	OK(mkdir("d", 0755));
	FAILS(EEXIST, open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
	FAILS(EEXIST, open("dangling", O_CREAT | O_EXCL | O_RDWR, 0644));
	FAILS(EEXIST, open("d", O_CREAT | O_EXCL | O_RDWR, 0644));
	HOLDS(!pc_exists("nothing"));
	HOLDS(pc_holds_text("f", "old"));
	OK(open("g", O_CREAT | O_EXCL | O_RDWR, 0644));
}

TEST(create_existing_keeps_it)
{
	int fd;

	pc_make("f", "old");
	OK(chmod("f", 0600));
	fd = (int)OK(open("f", O_CREAT | O_RDWR, 0666));
	HOLDS(pc_fd_holds(fd, "old"));
	IS(pc_mode("f"), 0600);
}

TEST(create_through_dangling_link)
{
	OK(symlink("target", "l"));
	OK(open("l", O_CREAT | O_RDWR, 0644));
	HOLDS(S_ISREG(pc_lstat("target").st_mode));
	HOLDS(S_ISLNK(pc_lstat("l").st_mode));
}

TEST(truncating)
{
	int keep, fd;

	pc_make("f", "content");
	keep = (int)OK(open("f", O_RDONLY));
	IS(pc_size("f"), 7);
	fd = (int)OK(open("f", O_WRONLY | O_TRUNC));
	IS(pc_size("f"), 0);
	IS(pc_fstat(keep).st_size, 0);
	HOLDS(pc_fd_holds(keep, ""));
	IS(write(fd, "ab", 2), 2);
	HOLDS(pc_fd_holds(keep, "ab"));
}

TEST(truncating_needs_permission)
{
	pc_make("f", "content");
	OK(chmod("f", 0444));
	pc_become(ALICE, ALICE);
	FAILS(EACCES, open("f", O_WRONLY | O_TRUNC));
	FAILS(EACCES, open("f", O_RDONLY | O_TRUNC));
	FAILS(EACCES, open("f", O_CREAT | O_WRONLY | O_TRUNC, 0644));
	pc_root();
	IS(pc_size("f"), 7);
}

TEST(append)
{
	int fd;

	pc_make("f", "one");
	fd = (int)OK(open("f", O_RDWR | O_APPEND));
	OK(lseek(fd, 0, SEEK_SET));
	IS(write(fd, "two", 3), 3);
	IS(lseek(fd, 0, SEEK_CUR), 6);
	HOLDS(pc_holds_text("f", "onetwo"));
	OK(truncate("f", 1));
	IS(write(fd, "x", 1), 1);
	HOLDS(pc_holds_text("f", "ox"));
}

TEST(append_set_and_cleared_later)
{
	int fd;

	pc_make("f", "one");
	fd = (int)OK(open("f", O_RDWR));
	OK(fcntl(fd, F_SETFL, O_APPEND));
	IS(fcntl(fd, F_GETFL) & O_APPEND, O_APPEND);
	IS(write(fd, "two", 3), 3);
	OK(fcntl(fd, F_SETFL, 0));
	IS(pwrite(fd, "X", 1, 0), 1);
	HOLDS(pc_holds_text("f", "Xnetwo"));
}

TEST(nofollow)
{
	char target[16];
	int fd;

	pc_make("f", "x");
	OK(symlink("f", "l"));
	FAILS(ELOOP, open("l", O_RDONLY | O_NOFOLLOW));
	FAILS(ELOOP, open("l", O_RDWR | O_CREAT | O_NOFOLLOW, 0644));
	OK(open("f", O_RDONLY | O_NOFOLLOW));
	fd = (int)OK(open("l", O_PATH | O_NOFOLLOW));
	HOLDS(S_ISLNK(pc_fstat(fd).st_mode));
	IS(readlinkat(fd, "", target, sizeof(target)), 1);
}

TEST(directory_flag)
{
	int fd;

	pc_make("f", "x");
	OK(symlink("d", "l"));
	OK(mkdir("d", 0755));
	FAILS(ENOTDIR, open("f", O_RDONLY | O_DIRECTORY));
	FAILS(ENOTDIR, open("l", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	OK(open("l", O_RDONLY | O_DIRECTORY));
	fd = (int)OK(open("d", O_RDONLY | O_DIRECTORY));
	FAILS(EISDIR, read(fd, &fd, 1));
	FAILS(EBADF, write(fd, "x", 1));
	NOTE(open("g", O_CREAT | O_DIRECTORY | O_RDWR, 0644));
}

TEST(directories_are_not_written)
{
	OK(mkdir("d", 0755));
	FAILS(EISDIR, open("d", O_WRONLY));
	FAILS(EISDIR, open("d", O_RDWR));
	FAILS(EISDIR, open("d", O_RDONLY | O_TRUNC));
	FAILS(EISDIR, open("d", O_RDONLY | O_CREAT, 0644));
	FAILS(EISDIR, open("new/", O_RDWR | O_CREAT, 0644));
	HOLDS(!pc_exists("new"));
}

TEST(missing_and_not_a_directory)
{
	pc_make("f", "x");
	FAILS(ENOENT, open("nothing", O_RDONLY));
	FAILS(ENOENT, open("nothing/f", O_CREAT | O_RDWR, 0644));
	FAILS(ENOENT, open("", O_RDONLY));
	FAILS(ENOTDIR, open("f/x", O_RDONLY));
	FAILS(ENOTDIR, open("f/x", O_CREAT | O_RDWR, 0644));
	FAILS(ENOTDIR, open("f/", O_RDONLY));
}

TEST(access_mode_binds_descriptor)
{
	char c;
	int r, w, p;

	pc_make("f", "x");
	r = (int)OK(open("f", O_RDONLY));
	w = (int)OK(open("f", O_WRONLY));
	p = (int)OK(open("f", O_PATH));
	FAILS(EBADF, write(r, "y", 1));
	FAILS(EBADF, read(w, &c, 1));
	FAILS(EBADF, read(p, &c, 1));
	FAILS(EBADF, fchmod(p, 0600));
	FAILS(EINVAL, ftruncate(r, 0));
	IS(pc_fstat(p).st_size, 1);
	IS(pwrite(w, "y", 1, 0), 1);
	IS(pread(r, &c, 1, 0), 1);
	IS(c, 'y');
}

/* A symbolic link to /proc/self/fd is how an O_PATH descriptor is opened for real. */
TEST(reopen_through_proc)
{
	char path[64];
	int p, fd;

	pc_make("f", "text");
	p = (int)OK(open("f", O_PATH));
	OK(rename("f", "g"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p);
	fd = (int)OK(open(path, O_RDWR));
	HOLDS(pc_fd_holds(fd, "text"));
	IS(pwrite(fd, "n", 1, 0), 1);
	HOLDS(pc_holds_text("g", "next"));
}

TEST(nameless_file)
{
	char path[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0640);

	OK(fd);
	IS(pc_fstat(fd).st_nlink, 0);
	IS(pc_fstat(fd).st_mode, S_IFREG | 0640);
	IS(write(fd, "hidden", 6), 6);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	IS(pc_nlink("f"), 1);
	HOLDS(pc_holds_text("f", "hidden"));
	IS(pc_fstat(fd).st_nlink, 1);
	IS(write(fd, "!", 1), 1);
	HOLDS(pc_holds_text("f", "hidden!"));
}

TEST(nameless_file_is_in_no_directory)
{
	DIR *dir;
	int fd = open(".", O_TMPFILE | O_RDWR, 0600), count = 0;

	OK(fd);
	dir = opendir(".");
	HOLDS(dir);
	while (readdir(dir))
		count++;
	IS(count, 2);
}

TEST(nameless_file_exclusive)
{
	char path[64];
	int fd;

	FAILS(EINVAL, open(".", O_TMPFILE | O_RDONLY, 0600));
	pc_make("f", "x");
	FAILS(ENOTDIR, open("f", O_TMPFILE | O_RDWR, 0600));
	fd = (int)OK(open(".", O_TMPFILE | O_EXCL | O_RDWR, 0600));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	FAILS(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "g", AT_SYMLINK_FOLLOW));
}

TEST(nameless_file_as_user)
{
	int fd;

	umask(077);
	pc_become(ALICE, TEAM);
	FAILS(EACCES, open(".", O_TMPFILE | O_RDWR, 0666));
	pc_root();
	OK(chmod(".", 0777));
	pc_become(ALICE, TEAM);
	fd = (int)OK(open(".", O_TMPFILE | O_RDWR, 0666));
	IS(pc_fstat(fd).st_uid, ALICE);
	IS(pc_fstat(fd).st_gid, TEAM);
	IS(pc_fstat(fd).st_mode, S_IFREG | 0600);
}

TEST(link_loops)
{
	char name[8], target[8];

	OK(symlink("b", "a"));
	OK(symlink("a", "b"));
	FAILS(ELOOP, open("a", O_RDONLY));
	FAILS(ELOOP, open("a", O_RDWR | O_CREAT, 0644));
	FAILS(ELOOP, open("a/x", O_RDONLY));
	pc_make("l0", "end");
	for (int n = 1; n <= 41; n++) {
		snprintf(name, sizeof(name), "l%d", n);
		snprintf(target, sizeof(target), "l%d", n - 1);
		OK(symlink(target, name));
	}
	OK(open("l40", O_RDONLY));
	FAILS(ELOOP, open("l41", O_RDONLY));
}

TEST(fifo)
{
	int r, w;
	char c;

	OK(mkfifo("p", 0644));
	HOLDS(S_ISFIFO(pc_lstat("p").st_mode));
	FAILS(ENXIO, open("p", O_WRONLY | O_NONBLOCK));
	r = (int)OK(open("p", O_RDONLY | O_NONBLOCK));
	w = (int)OK(open("p", O_WRONLY | O_NONBLOCK));
	IS(write(w, "z", 1), 1);
	IS(read(r, &c, 1), 1);
	IS(c, 'z');
	FAILS(EAGAIN, read(r, &c, 1));
	FAILS(ESPIPE, lseek(r, 0, SEEK_SET));
}

TEST(unix_socket)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "s"};
	int listener = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));
	int client = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));

	OK(bind(listener, (void *)&name, sizeof(name)));
	HOLDS(S_ISSOCK(pc_lstat("s").st_mode));
	OK(listen(listener, 1));
	OK(connect(client, (void *)&name, sizeof(name)));
	FAILS(ENXIO, open("s", O_RDWR));
	FAILS(EADDRINUSE,
		bind(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&name, sizeof(name)));
	OK(unlink("s"));
	client = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));
	FAILS(ENOENT, connect(client, (void *)&name, sizeof(name)));
}

TEST(unix_socket_needs_write_permission)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "s"};
	int listener = (int)OK(socket(AF_UNIX, SOCK_STREAM, 0));

	OK(bind(listener, (void *)&name, sizeof(name)));
	OK(listen(listener, 1));
	OK(chmod("s", 0755));
	pc_become(ALICE, ALICE);
	FAILS(EACCES,
		connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&name, sizeof(name)));
	pc_root();
	OK(chmod("s", 0777));
	pc_become(ALICE, ALICE);
	OK(connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&name, sizeof(name)));
}

TEST(device_node)
{
	OK(mknod("null", S_IFCHR | 0644, makedev(1, 3)));
	OK(mknod("loop", S_IFBLK | 0600, makedev(7, 200)));
	IS(pc_lstat("null").st_rdev, makedev(1, 3));
	HOLDS(S_ISCHR(pc_lstat("null").st_mode));
	IS(pc_lstat("loop").st_rdev, makedev(7, 200));
	HOLDS(S_ISBLK(pc_lstat("loop").st_mode));
	NOTE(open("null", O_RDWR));
}

/* ---- running a program ---- */

static void copy_true(const char *to)
{
	int in = (int)OK(open("/bin/true", O_RDONLY)), out;
	char data[65536];
	ssize_t n;

	out = (int)OK(open(to, O_CREAT | O_WRONLY, 0755));
	while ((n = OK(read(in, data, sizeof(data)))) > 0)
		IS(write(out, data, (size_t)n), n);
	OK(close(out));
}

static void run_true(void)
{
	OK(execl("./true", "true", NULL));
}

TEST(execute)
{
	copy_true("true");
	pc_join(pc_fork(run_true));
	OK(chmod("true", 0644));
	FAILS(EACCES, execl("./true", "true", NULL));
	OK(chmod("true", 0700));
	pc_become(ALICE, ALICE);
	FAILS(EACCES, execl("./true", "true", NULL));
}

TEST(execute_while_open_for_writing)
{
	copy_true("true");
	OK(open("true", O_WRONLY));
	FAILS(ETXTBSY, execl("./true", "true", NULL));
}

static void run_sleep(void)
{
	OK(execl("./sleep", "sleep", "30", NULL));
}

TEST(write_while_executed)
{
	char link[PATH_MAX] = "", path[64];
	pid_t pid;

	copy_true("true");
	OK(system("cp /bin/sleep sleep"));
	pid = pc_fork(run_sleep);
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	for (int n = 0; n < 500 && !strstr(link, "/sleep"); n++) {
		pc_tick();
		OK(readlink(path, link, sizeof(link) - 1));
	}
	FAILS(ETXTBSY, open("sleep", O_WRONLY));
	FAILS(ETXTBSY, truncate("sleep", 0));
	OK(kill(pid, 9));
}
