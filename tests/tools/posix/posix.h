/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_TOOLS_POSIX_H
#define TESTS_TOOLS_POSIX_H
/*
 * What the tests of posixcheck are written in. A test is TEST(name) { ... }: it runs in a process of its
 * own, as root, with umask 022, in a fresh directory, under an alarm. The first thing that
 * is not as claimed ends it. What the standards leave open is not claimed but noted: notes are part
 * of the output, and of the comparison with the native file system.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct pc_test {
	const char *file, *name;
	void (*run)(void);
};

void pc_register(const struct pc_test *test);

#define TEST(id)                                                               \
	static void test_##id(void);                                           \
	static void __attribute__((constructor)) register_##id(void)           \
	{                                                                      \
		static const struct pc_test test = {__FILE__, #id, test_##id}; \
		pc_register(&test);                                            \
	}                                                                      \
	static void test_##id(void)

#define KIB	1024L
#define MIB	(1024 * KIB)
#define GIB	(1024 * MIB)
#define PAGE	4096
#define ROWS(a) (sizeof(a) / sizeof((a)[0]))

/* Two users nobody is, and a group. */
#define ALICE 61001
#define BOB   61002
#define TEAM  61003

/* Ends the test. Also in a child process, if the parent calls pc_join() for it. */
void pc_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void pc_skip(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

long pc_ok(const char *file, int line, const char *what, long result);
void pc_fails(const char *file, int line, const char *what, long result, int want);
void pc_is(const char *file, int line, const char *what, long long got, long long want);
void pc_true(const char *file, int line, const char *what, bool holds);

/* A system call works: its result. */
#define OK(call) pc_ok(__FILE__, __LINE__, #call, (long)(call))
/* A system call fails with errno @err. */
#define FAILS(err, call) pc_fails(__FILE__, __LINE__, #call, (long)(call), err)
/* Two numbers are equal. */
#define IS(got, want) pc_is(__FILE__, __LINE__, #got, (long long)(got), (long long)(want))
#define HOLDS(x)      pc_true(__FILE__, __LINE__, #x, x)

/* What this file system does where it may choose. One line. */
void pc_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Notes the result of a call: "0" or the name of its errno. */
void pc_note_call(const char *what, long result);
#define NOTE(call) pc_note_call(#call, (long)(call))

/* ---- processes and users ---- */

/* Runs @run in a child; pc_join() passes its failure on. */
pid_t pc_fork(void (*run)(void));
void pc_join(pid_t pid);
/* For a child that works until it is told to stop; not killed, so that nothing is cut short. */
bool pc_told_to_stop(void);
void pc_stop(pid_t pid);

/* The effective user and group, no supplementary groups; pc_root() goes back. */
void pc_become(uid_t uid, gid_t gid);
void pc_become_with(uid_t uid, gid_t gid, gid_t supplementary);
void pc_root(void);

/* Two processes take turns: a byte through a pipe. */
struct pc_turn {
	int fd[2];
};
void pc_turn_init(struct pc_turn *turn);
void pc_turn_give(struct pc_turn *turn);
void pc_turn_wait(struct pc_turn *turn);

/* ---- files ---- */

/* A new file, or all of an old one, with @text or @bytes of a pattern. */
void pc_make(const char *path, const char *text);
void pc_make_bytes(const char *path, size_t bytes);
/* Byte @offset of the pattern. */
unsigned char pc_pattern(off_t offset);
/* The whole content is @text. */
bool pc_holds_text(const char *path, const char *text);
bool pc_fd_holds(int fd, const char *text);
/* @bytes of pattern, or of zeros, at @offset. */
bool pc_fd_pattern(int fd, off_t offset, size_t bytes);
bool pc_fd_zeros(int fd, off_t offset, size_t bytes);

struct stat pc_lstat(const char *path);
struct stat pc_fstat(int fd);
off_t pc_size(const char *path);
mode_t pc_mode(const char *path); /* 07777 */
nlink_t pc_nlink(const char *path);
ino_t pc_ino(const char *path);
bool pc_exists(const char *path);
/* A name of @length times @c, in a static buffer. */
const char *pc_long_name(size_t length, char c);

/* Long enough for times of the file system to differ. */
void pc_tick(void);

#endif
