/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors that were not opened by their name here and now. */
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "tests/tools/pathcheck/pathcheck.h"

ROW(open_by_handle)
{
	char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *handle = (void *)space;
	int mount_id, dir = open_or_end(".", O_RDONLY | O_DIRECTORY), fd;

	handle->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(AT_FDCWD, A, handle, &mount_id, 0))
		skip("no handles");
	fd = open_by_handle_at(dir, handle, O_RDONLY);
	CALL(fd < 0 ? -1 : 0);
	say_fd(fd);
}

/* XFS' own handles. */
struct xfs_handle_request {
	uint32_t fd;
	void *path;
	uint32_t oflags;
	void *ihandle;
	uint32_t ihandlen;
	void *ohandle;
	uint32_t *ohandlen;
};
#define XFS_FD_TO_HANDLE   _IOWR('X', 106, struct xfs_handle_request)
#define XFS_OPEN_BY_HANDLE _IOWR('X', 107, struct xfs_handle_request)

ROW(xfs_open_by_handle)
{
	char handle[64];
	uint32_t length = sizeof(handle);
	int path_fd = open_or_end(A, O_RDONLY), dir = open_or_end(".", O_RDONLY | O_DIRECTORY);
	struct xfs_handle_request q = {
		.fd = (uint32_t)path_fd, .ohandle = handle, .ohandlen = &length};
	int fd;

	if (ioctl(dir, XFS_FD_TO_HANDLE, &q))
		skip("not xfs");
	close(path_fd);
	q = (struct xfs_handle_request){
		.oflags = O_RDONLY, .ihandle = handle, .ihandlen = length};
	fd = ioctl(dir, XFS_OPEN_BY_HANDLE, &q);
	CALL(fd < 0 ? -1 : 0);
	say_fd(fd);
}

static int reopen(int fd, int flags)
{
	char link[64];

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return open_or_end(link, flags);
}

ROW(o_path)
{
	int fd = open_or_end(A, O_PATH);
	char byte;

	CALL(pread(fd, &byte, 1, 0));
	say_fd(reopen(fd, O_RDONLY));
}

ROW(o_path_write)
{
	int fd = reopen(open_or_end(A, O_PATH), O_RDWR);

	CALL(pwrite(fd, "0123456789", 10, 400000));
	say_fd(fd);
}

static int sockets[2];

static void receive(void)
{
	char space[CMSG_SPACE(sizeof(int))], byte;
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space)};
	int fd;

	CALL(recvmsg(sockets[1], &m, 0));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	say_fd(fd);
}

/* Opened by one process, read by another. */
ROW(scm_rights)
{
	char space[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fd = open_or_end(A, O_RDONLY);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	CALL(sendmsg(sockets[0], &m, 0));
	close(fd);
	in_child(receive);
}

static int shared;

static void read_shared(void)
{
	char *p = memory(SIZE);

	say_bytes("child", p, read(shared, p, 300000));
}

/* One position, two processes. */
ROW(forked)
{
	char *p = memory(SIZE);

	shared = open_or_end(A, O_RDONLY);
	in_child(read_shared);
	say_bytes("parent", p, read(shared, p, 300000));
}

ROW(hard_link)
{
	CALL(link(A, "hard_link.out"));
	say_file("hard_link.out");
}

ROW(namespace)
{
	own_namespace();
	say_file(A);
}

static char target[64];

static void make_target(void)
{
	strcpy(target, "/tmp/pathcheck.XXXXXX");
	if (!mkdtemp(target) || mount("tmpfs", target, "tmpfs", 0, NULL) || chdir(target))
		skip("no place for a mount");
	mkdir("m", 0755);
}

/* The row's directory a second time. */
static void bind_here(unsigned long flags)
{
	char *dir = getcwd(NULL, 0);

	own_namespace();
	make_target();
	CALL(mount(dir, "m", NULL, MS_BIND, NULL));
	if (flags)
		CALL(mount(NULL, "m", NULL, MS_REMOUNT | MS_BIND | flags, NULL));
	CALL(chdir("m"));
}

static void leave(void)
{
	CALL(chdir("/"));
	umount2(target, MNT_DETACH);
	rmdir(target);
}

ROW(bind_mount)
{
	bind_here(0);
	say_file(A);
	leave();
}

ROW(bind_mount_read_only)
{
	bind_here(MS_RDONLY | MS_NOEXEC);
	CALL(open(A, O_RDWR));
	say_file(A);
	leave();
}

/* A file alone is a mount point. */
ROW(bind_mount_file)
{
	char *path = realpath(A, NULL);

	own_namespace();
	make_target();
	close(open_or_end("f", O_RDWR | O_CREAT));
	CALL(mount(path, "f", NULL, MS_BIND, NULL));
	say_file("f");
	leave();
}

ROW(chroot)
{
	CALL(chroot("."));
	say_file(A);
}

ROW(unlinked)
{
	int fd = open_or_end(A, O_RDONLY);

	CALL(unlink(A));
	say_fd(fd);
	say_fd(reopen(fd, O_RDONLY));
}

ROW(unlinked_written)
{
	int fd = open_or_end(A, O_RDWR);

	CALL(unlink(A));
	CALL(pwrite(fd, "0123456789", 10, 400000));
	say_fd(fd);
}

ROW(renamed)
{
	int fd = open_or_end(A, O_RDONLY);

	say_range(fd, 0, PAGE);
	CALL(rename(A, "renamed.out"));
	say_range(fd, 500 * KIB, 100 * KIB);
	say_file("renamed.out");
	CALL(rename("renamed.out", A));
	say_fd(fd);
}

/* One stub over another: the state goes with the inode. */
ROW(renamed_over)
{
	int fd = open_or_end(B, O_RDONLY);

	CALL(rename(A, B));
	say_file(B);
	say_fd(fd);
}

/* A nobody with nothing but read permission. */
static void read_as_nobody(void)
{
	CALL(setgid(65534));
	CALL(setuid(65534));
	say_fd(shared);
}

ROW(unprivileged)
{
	shared = open_or_end(A, O_RDONLY);
	in_child(read_as_nobody);
}

/*
 * A lease that the daemon's own open breaks. Its holder waits for the read, so it cannot give it back:
 * the read may fail, but neither hang nor return zeros.
 */
static void leased(int type)
{
	int fd = open_or_end(A, type == F_RDLCK ? O_RDONLY : O_RDWR);

	signal(SIGIO, SIG_IGN);
	CALL(fcntl(fd, F_SETLEASE, type));
	say_range(fd, 300000, 100000);
	CALL(fcntl(fd, F_SETLEASE, F_UNLCK));
	say_fd(fd);
}

ROW(lease_read)
{
	leased(F_RDLCK);
}

ROW(lease_write)
{
	leased(F_WRLCK);
}

static void with_flag(int fd, int flag)
{
	int flags = 0;

	CALL(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	flags |= flag;
	CALL(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	say_fd(fd);
	flags &= ~flag;
	CALL(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	say_fd(fd);
}

ROW(immutable)
{
	with_flag(open_or_end(A, O_RDONLY), FS_IMMUTABLE_FL);
}

ROW(append_only)
{
	with_flag(open_or_end(A, O_RDONLY), FS_APPEND_FL);
}
