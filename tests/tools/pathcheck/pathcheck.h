/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_TOOLS_PATHCHECK_H
#define TESTS_TOOLS_PATHCHECK_H
/*
 * What the rows of pathcheck are written in. A row uses one path to the bytes of a file and writes down
 * what it saw. It runs twice, in a directory of the plain file system and in the tree, each time
 * in a process of its own; what it wrote down must be the same. So a row says nowhere what is right.
 *
 * The two files of a row, A and B, are in the working directory; each is SIZE bytes, without a
 * block of zeros, unless the script made others for the row.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

struct row {
	const char *name;
	void (*run)(void);
};

void row_register(const struct row *row);

#define ROW(id)                                                      \
	static void row_##id(void);                                  \
	static void __attribute__((constructor)) register_##id(void) \
	{                                                            \
		static const struct row row = {#id, row_##id};       \
		row_register(&row);                                  \
	}                                                            \
	static void row_##id(void)

#define KIB  1024L
#define PAGE 4096L
#define SIZE (1024 * KIB + 1234)

/* Names of the row's files. */
extern char A[64], B[64];
/* A directory of another file system, for rows that need one. */
extern const char *elsewhere;

/* ---- what is written down ---- */

void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A result, or the name of the errno. Returns it. */
long say_call(const char *what, long result);
#define CALL(call) say_call(#call, (long)(call))
/* How many bytes, a checksum, and whether they are all zero. */
void say_bytes(const char *what, const void *bytes, ssize_t length);
/* Ends the row: it means nothing here. */
void skip(const char *why) __attribute__((noreturn));

/* ---- shorthands; what fails ends the row and is written down ---- */

int open_or_end(const char *path, int flags);
void *memory(size_t bytes); /* aligned for direct I/O */
/* Size and content, through pread. */
void say_file(const char *path);
void say_fd(int fd);
/* [offset, offset + length) through pread. */
void say_range(int fd, off_t offset, size_t length);
/* A local file of @bytes without zeros. */
int make_local(const char *path, size_t bytes);
/* Runs @run in a child; what it writes down counts. */
void in_child(void (*run)(void));
/* A mount namespace of its own, nothing propagates out. */
void own_namespace(void);

#endif
