/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H
/* Scope cleanup, clocks, strings and small files. Running out of memory ends the program. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void bench_util_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void bench_util_free(void *p)
{
	free(*(void **)p);
}

static inline void bench_util_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define auto_fd	  __attribute__((cleanup(bench_util_close_fd)))
#define auto_free __attribute__((cleanup(bench_util_free)))
#define auto_file __attribute__((cleanup(bench_util_fclose)))

#define BENCH_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BENCH_NSEC	    1000000000ULL
#define BENCH_MSEC	    1000000ULL /* nanoseconds in a millisecond */

/* CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds. */
uint64_t bench_now_ns(void);
uint64_t bench_wall_ns(void);

void bench_sleep_ns(uint64_t ns);

/* Never NULL. The caller owns the result. */
void *bench_alloc(size_t bytes); /* zeroed */
void *bench_realloc(void *p, size_t bytes);
char *bench_strdup(const char *s);
char *bench_fmt(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A NULL-terminated vector of owned strings; a NULL vector is an empty one. */
size_t bench_strv_len(char *const *v);
void bench_strv_add(char ***v, const char *s);
void bench_strv_free(char **v);
bool bench_strv_has(char *const *v, const char *s);
/* Splits at any character of @separators; empty parts are dropped. */
char **bench_strv_split(const char *text, const char *separators);

/* The whole of a small file (at most 16 MiB), NUL-terminated; owned. -errno + text. */
int bench_file_read(const char *path, char **ret_text);

/* Creates or replaces @path. -errno + text. */
int bench_file_write(const char *path, const char *text);

/* A number at the start of a file such as those of /proc/sys; @fallback if there is none. */
long long bench_file_number(const char *path, long long fallback);

/* First line of a file without the newline, "" if unreadable; owned. */
char *bench_file_line(const char *path);

/* mkdir -p. -errno + text. */
int bench_mkdirs(const char *path);

/*
 * Removes a tree without following links or crossing mount points; a missing one is fine.
 * -errno + text.
 */
int bench_rmtree(const char *path);

bool bench_exists(const char *path);

/* Absolute path of a program found as a shell would, owned; NULL if there is none. */
char *bench_which(const char *program);

/* "64K", "8GiB", "100" -> bytes. -EINVAL + text. */
int bench_parse_bytes(const char *text, uint64_t *ret_bytes);

#endif
