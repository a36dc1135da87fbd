/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flock(2), fcntl(2) record locks and open file description locks, between processes. */
#include "tests/tools/posix/posix.h"

#include <signal.h>
#include <sys/file.h>

static struct pc_turn ready, go;

static int open_locked_file(void)
{
	return (int)OK(open("f", O_RDWR | O_CREAT, 0644));
}

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static int set_lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock lock = range(type, start, len);

	return fcntl(fd, cmd, &lock);
}

/* Who is in the way: the type of the lock, its range in @ret. */
static short get_lock(int fd, int cmd, short type, off_t start, off_t len, struct flock *ret)
{
	*ret = range(type, start, len);
	OK(fcntl(fd, cmd, ret));
	return ret->l_type;
}

/* ---- flock ---- */

TEST(whole_file)
{
	int a = open_locked_file(), b = open_locked_file();

	OK(flock(a, LOCK_EX | LOCK_NB));
	FAILS(EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
	FAILS(EWOULDBLOCK, flock(b, LOCK_SH | LOCK_NB));
	OK(flock(a, LOCK_SH | LOCK_NB));
	OK(flock(b, LOCK_SH | LOCK_NB));
	FAILS(EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
	OK(flock(a, LOCK_UN));
	OK(flock(b, LOCK_EX | LOCK_NB));
	OK(close(b));
	OK(flock(a, LOCK_EX | LOCK_NB));
}

TEST(whole_file_by_duplicates)
{
	int a = open_locked_file(), twin = dup(a), b = open_locked_file();

	OK(flock(a, LOCK_EX | LOCK_NB));
	OK(flock(twin, LOCK_EX | LOCK_NB));
	OK(close(a));
	FAILS(EWOULDBLOCK, flock(b, LOCK_EX | LOCK_NB));
	OK(close(twin));
	OK(flock(b, LOCK_EX | LOCK_NB));
}

TEST(whole_file_on_readonly_and_directories)
{
	int fd, dir = (int)OK(open(".", O_RDONLY)), other = (int)OK(open(".", O_RDONLY));

	open_locked_file();
	fd = (int)OK(open("f", O_RDONLY));
	OK(flock(fd, LOCK_EX | LOCK_NB));
	OK(flock(dir, LOCK_EX | LOCK_NB));
	FAILS(EWOULDBLOCK, flock(other, LOCK_EX | LOCK_NB));
	FAILS(EINVAL, flock(fd, 0));
}

static void hold_flock(void)
{
	OK(flock(open_locked_file(), LOCK_EX));
	pc_turn_give(&ready);
	pc_turn_wait(&go);
	usleep(20000);
}

/* The holder ends without a word; a waiter gets it. */
TEST(whole_file_waits_for_a_process)
{
	int fd = open_locked_file();
	pid_t pid;

	pc_turn_init(&ready);
	pc_turn_init(&go);
	pid = pc_fork(hold_flock);
	pc_turn_wait(&ready);
	FAILS(EWOULDBLOCK, flock(fd, LOCK_EX | LOCK_NB));
	pc_turn_give(&go);
	OK(flock(fd, LOCK_EX));
	pc_join(pid);
}

/* ---- records ---- */

static void hold_records(void)
{
	int fd = open_locked_file();

	OK(set_lock(fd, F_SETLK, F_WRLCK, 100, 50));
	OK(set_lock(fd, F_SETLK, F_RDLCK, 200, 0));
	pc_turn_give(&ready);
	pc_turn_wait(&go);
	usleep(20000);
}

static pid_t start_holder(void (*run)(void))
{
	pid_t pid;

	pc_turn_init(&ready);
	pc_turn_init(&go);
	pid = pc_fork(run);
	pc_turn_wait(&ready);
	return pid;
}

TEST(records_conflict)
{
	int fd = open_locked_file();
	struct flock lock;
	pid_t pid = start_holder(hold_records);

	FAILS(EAGAIN, set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
	FAILS(EAGAIN, set_lock(fd, F_SETLK, F_RDLCK, 149, 1));
	FAILS(EAGAIN, set_lock(fd, F_SETLK, F_WRLCK, 1 * GIB, 1));
	OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 100));
	OK(set_lock(fd, F_SETLK, F_WRLCK, 150, 50));
	OK(set_lock(fd, F_SETLK, F_RDLCK, 200, 10));
	IS(get_lock(fd, F_GETLK, F_WRLCK, 120, 1, &lock), F_WRLCK);
	IS(lock.l_pid, pid);
	IS(lock.l_start, 100);
	IS(lock.l_len, 50);
	IS(get_lock(fd, F_GETLK, F_RDLCK, 300, 1, &lock), F_UNLCK);
	IS(get_lock(fd, F_GETLK, F_WRLCK, 300, 1, &lock), F_RDLCK);
	IS(lock.l_len, 0);
	pc_turn_give(&go);
	OK(set_lock(fd, F_SETLKW, F_WRLCK, 0, 0));
	pc_join(pid);
}

static void check_middle_free(void)
{
	int fd = open_locked_file();
	struct flock lock;

	OK(set_lock(fd, F_SETLK, F_WRLCK, 40, 20));
	IS(get_lock(fd, F_GETLK, F_WRLCK, 0, 0, &lock), F_WRLCK);
	IS(lock.l_start, 0);
	IS(lock.l_len, 40);
	IS(get_lock(fd, F_GETLK, F_WRLCK, 60, 0, &lock), F_WRLCK);
	IS(lock.l_start, 60);
	IS(lock.l_len, 40);
}

TEST(records_split)
{
	int fd = open_locked_file();

	OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 100));
	OK(set_lock(fd, F_SETLK, F_UNLCK, 40, 20));
	pc_join(pc_fork(check_middle_free));
}

static void nothing_is_locked(void)
{
	OK(set_lock(open_locked_file(), F_SETLK, F_WRLCK, 0, 0));
}

static void locked_here(void)
{
	FAILS(EAGAIN, set_lock(open_locked_file(), F_SETLK, F_WRLCK, 0, 0));
}

/* The oddity of record locks: closing any descriptor of the file drops them all. */
TEST(records_go_with_any_close)
{
	int fd = open_locked_file();

	OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 0));
	pc_join(pc_fork(locked_here));
	OK(close(open_locked_file()));
	pc_join(pc_fork(nothing_is_locked));
}

TEST(records_need_the_access_mode)
{
	int r, w;

	open_locked_file();
	r = (int)OK(open("f", O_RDONLY));
	w = (int)OK(open("f", O_WRONLY));
	FAILS(EBADF, set_lock(r, F_SETLK, F_WRLCK, 0, 0));
	FAILS(EBADF, set_lock(w, F_SETLK, F_RDLCK, 0, 0));
	OK(set_lock(r, F_SETLK, F_RDLCK, 0, 0));
	OK(set_lock(w, F_SETLK, F_WRLCK, 0, 0));
	FAILS(EINVAL, set_lock(w, F_SETLK, F_WRLCK, -5, 1));
}

TEST(records_relative_to_the_end)
{
	int fd = open_locked_file();
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10}, seen;

	OK(ftruncate(fd, 1000));
	OK(fcntl(fd, F_SETLK, &lock));
	IS(get_lock((int)OK(open("f", O_RDWR)), F_OFD_GETLK, F_WRLCK, 0, 0, &seen), F_WRLCK);
	IS(seen.l_start, 990);
}

static void lock_both_other_way(void)
{
	int fd = open_locked_file();

	OK(set_lock(fd, F_SETLK, F_WRLCK, 1, 1));
	pc_turn_give(&ready);
	OK(set_lock(fd, F_SETLKW, F_WRLCK, 0, 1));
}

TEST(records_deadlock)
{
	int fd = open_locked_file();
	pid_t pid;

	OK(set_lock(fd, F_SETLK, F_WRLCK, 0, 1));
	pid = start_holder(lock_both_other_way);
	usleep(50000);
	FAILS(EDEADLK, set_lock(fd, F_SETLKW, F_WRLCK, 1, 1));
	OK(set_lock(fd, F_SETLK, F_UNLCK, 0, 1));
	pc_join(pid);
}

static void do_nothing(int sig)
{
	(void)sig;
}

static void signal_parent(void)
{
	usleep(50000);
	OK(kill(getppid(), SIGUSR1));
}

TEST(waiting_can_be_interrupted)
{
	struct sigaction act = {.sa_handler = do_nothing};
	int fd = open_locked_file();
	pid_t holder = start_holder(hold_records), other;

	OK(sigaction(SIGUSR1, &act, NULL));
	other = pc_fork(signal_parent);
	FAILS(EINTR, set_lock(fd, F_SETLKW, F_WRLCK, 100, 1));
	pc_turn_give(&go);
	pc_join(holder);
	pc_join(other);
}

/* ---- open file descriptions ---- */

TEST(descriptions_conflict_inside_a_process)
{
	int a = open_locked_file(), b = open_locked_file();
	struct flock lock;

	OK(set_lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	FAILS(EAGAIN, set_lock(b, F_OFD_SETLK, F_WRLCK, 5, 1));
	FAILS(EAGAIN, set_lock(b, F_SETLK, F_WRLCK, 5, 1));
	OK(set_lock(b, F_OFD_SETLK, F_WRLCK, 10, 1));
	IS(get_lock(b, F_OFD_GETLK, F_WRLCK, 0, 1, &lock), F_WRLCK);
	IS(lock.l_pid, -1);
	OK(close(open_locked_file()));
	FAILS(EAGAIN, set_lock(b, F_OFD_SETLK, F_WRLCK, 5, 1));
	OK(close(a));
	OK(set_lock(b, F_OFD_SETLK, F_WRLCK, 5, 1));
}

static int inherited;

static void use_inherited(void)
{
	OK(set_lock(inherited, F_OFD_SETLK, F_WRLCK, 0, 10));
	FAILS(EAGAIN, set_lock(open_locked_file(), F_OFD_SETLK, F_WRLCK, 0, 10));
}

TEST(descriptions_are_inherited)
{
	inherited = open_locked_file();
	OK(set_lock(inherited, F_OFD_SETLK, F_WRLCK, 0, 10));
	pc_join(pc_fork(use_inherited));
	pc_join(pc_fork(locked_here));
}

/* flock and fcntl do not see each other. */
TEST(kinds_are_separate)
{
	int a = open_locked_file(), b = open_locked_file();

	OK(flock(a, LOCK_EX | LOCK_NB));
	OK(set_lock(b, F_OFD_SETLK, F_WRLCK, 0, 0));
}

/* ---- leases ---- */

TEST(leases)
{
	int fd;

	OK(close(open_locked_file()));
	fd = (int)OK(open("f", O_RDONLY));
	NOTE(fcntl(fd, F_SETLEASE, F_RDLCK));
	pc_note("it is: %d", fcntl(fd, F_GETLEASE));
}
