/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files, users and processes for the tests of posixcheck. */
#include "tests/tools/posix/posix.h"

#include <grp.h>
#include <time.h>

/* ---- processes and users ---- */

pid_t pc_fork(void (*run)(void))
{
	pid_t pid = (pid_t)OK(fork());

	if (!pid) {
		run();
		_exit(0);
	}
	return pid;
}

static volatile bool *stop;

static void __attribute__((constructor)) share_stop(void)
{
	stop = mmap(
		NULL, sizeof(*stop), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stop == MAP_FAILED)
		abort();
}

bool pc_told_to_stop(void)
{
	return *stop;
}

void pc_stop(pid_t pid)
{
	*stop = true;
	pc_join(pid);
	*stop = false;
}

/* The child has written why. */
void pc_join(pid_t pid)
{
	int status;

	OK(waitpid(pid, &status, 0));
	if (WIFSIGNALED(status))
		pc_fail(__FILE__, __LINE__, "a child was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		_exit(WEXITSTATUS(status));
}

void pc_become_with(uid_t uid, gid_t gid, gid_t supplementary)
{
	OK(setgroups(supplementary != (gid_t)-1, &supplementary));
	OK(setresgid((gid_t)-1, gid, (gid_t)-1));
	OK(setresuid((uid_t)-1, uid, (uid_t)-1));
}

void pc_become(uid_t uid, gid_t gid)
{
	pc_become_with(uid, gid, (gid_t)-1);
}

void pc_root(void)
{
	OK(setresuid((uid_t)-1, 0, (uid_t)-1));
	OK(setresgid((gid_t)-1, 0, (gid_t)-1));
	OK(setgroups(0, NULL));
}

void pc_turn_init(struct pc_turn *turn)
{
	OK(pipe(turn->fd));
}

void pc_turn_give(struct pc_turn *turn)
{
	IS(write(turn->fd[1], "x", 1), 1);
}

void pc_turn_wait(struct pc_turn *turn)
{
	char c;

	IS(read(turn->fd[0], &c, 1), 1);
}

/* ---- content ---- */

unsigned char pc_pattern(off_t offset)
{
	return (unsigned char)(1 + (offset ^ (offset >> 9)) % 251);
}

void pc_make(const char *path, const char *text)
{
	int fd = (int)OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));

	IS(write(fd, text, strlen(text)), strlen(text));
	OK(close(fd));
}

void pc_make_bytes(const char *path, size_t bytes)
{
	int fd = (int)OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
	unsigned char *data = malloc(bytes + 1);

	HOLDS(data);
	for (size_t n = 0; n < bytes; n++)
		data[n] = pc_pattern((off_t)n);
	IS(write(fd, data, bytes), bytes);
	OK(close(fd));
	free(data);
}

bool pc_fd_holds(int fd, const char *text)
{
	char data[4096];
	ssize_t n = OK(pread(fd, data, sizeof(data), 0));

	return (size_t)n == strlen(text) && !memcmp(data, text, (size_t)n);
}

bool pc_holds_text(const char *path, const char *text)
{
	int fd = (int)OK(open(path, O_RDONLY));
	bool same = pc_fd_holds(fd, text);

	close(fd);
	return same;
}

static bool fd_bytes(int fd, off_t offset, size_t bytes, bool zeros)
{
	unsigned char *data = malloc(bytes + 1);
	bool same;

	HOLDS(data);
	same = OK(pread(fd, data, bytes, offset)) == (long)bytes;
	for (size_t n = 0; same && n < bytes; n++)
		same = data[n] == (zeros ? 0 : pc_pattern(offset + (off_t)n));
	free(data);
	return same;
}

bool pc_fd_pattern(int fd, off_t offset, size_t bytes)
{
	return fd_bytes(fd, offset, bytes, false);
}

bool pc_fd_zeros(int fd, off_t offset, size_t bytes)
{
	return fd_bytes(fd, offset, bytes, true);
}

/* ---- attributes ---- */

struct stat pc_lstat(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		pc_fail(__FILE__, __LINE__, "lstat of %s: %s", path, strerrorname_np(errno));
	return st;
}

struct stat pc_fstat(int fd)
{
	struct stat st;

	OK(fstat(fd, &st));
	return st;
}

off_t pc_size(const char *path)
{
	return pc_lstat(path).st_size;
}

mode_t pc_mode(const char *path)
{
	return pc_lstat(path).st_mode & 07777;
}

nlink_t pc_nlink(const char *path)
{
	return pc_lstat(path).st_nlink;
}

ino_t pc_ino(const char *path)
{
	return pc_lstat(path).st_ino;
}

bool pc_exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

const char *pc_long_name(size_t length, char c)
{
	static char name[8192];

	HOLDS(length < sizeof(name));
	memset(name, c, length);
	name[length] = 0;
	return name;
}

void pc_tick(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 12 * 1000 * 1000}, NULL);
}
