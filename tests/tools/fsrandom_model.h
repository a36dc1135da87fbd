/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_TOOLS_FSRANDOM_MODEL_H
#define TESTS_TOOLS_FSRANDOM_MODEL_H
/*
 * The model of the file that fsrandom works on, the comparison of the two, random numbers, and the
 * last operations for the text of a mismatch. Part of fsrandom.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE	  4096L
#define PIECE_MAX (64L << 10)
#define TAIL	  40
#define CHECK_ALL 1000 /* operations from one check of the whole file to the next */
#define ROWS(a)	  (sizeof(a) / sizeof((a)[0]))

static struct {
	char path[PATH_MAX];
	char *model; /* .size bytes, zeros from there to .max */
	off_t size, max;
	int fd, append_fd;
	bool mapped_dirty; /* written through a mapping since the last fsync */
	char *map; /* NULL = none */
	size_t map_bytes;
	char *piece; /* PIECE_MAX + PAGE bytes, aligned */
	uint64_t random;
	long step;
	char tail[TAIL][160];
} f;

/* ---- words ---- */

static void __attribute__((noreturn, format(printf, 1, 2))) mismatch(const char *fmt, ...)
{
	va_list ap;

	for (long n = f.step - TAIL + 1; n <= f.step; n++)
		if (n > 0)
			printf("%ld %s\n", n, f.tail[n % TAIL]);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(" (size %lld, operation %ld)\n", (long long)f.size, f.step);
	exit(1);
}

static void __attribute__((format(printf, 1, 2))) describe(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f.tail[f.step % TAIL], sizeof(f.tail[0]), fmt, ap);
	va_end(ap);
}

static long must(const char *what, long result)
{
	if (result < 0)
		mismatch("%s: %s", what, strerror(errno));
	return result;
}

static void must_be(const char *what, long result, long want)
{
	if (must(what, result) != want)
		mismatch("%s gave %ld, not %ld", what, result, want);
}

/* ---- random ---- */

static uint64_t next_random(void)
{
	f.random ^= f.random >> 12;
	f.random ^= f.random << 25;
	f.random ^= f.random >> 27;
	return f.random * 0x2545f4914f6cdd1dULL;
}

/* 0 .. @end - 1; 0 if there is nothing to choose from. */
static long below(long end)
{
	return end > 0 ? (long)(next_random() >> 16) % end : 0;
}

static bool one_in(long n)
{
	return below(n) == 0;
}

/* Short and long pieces, often with borders where pages have them. */
static long random_length(long max)
{
	long n = 1 + below(one_in(3) ? 300 : PIECE_MAX);

	if (one_in(4))
		n = (n + PAGE - 1) / PAGE * PAGE;
	return n < max ? n : max;
}

static off_t random_offset(off_t end)
{
	off_t at = below(end);

	return one_in(4) ? at / PAGE * PAGE : at;
}

static void random_piece(long length)
{
	uint64_t r = next_random();

	for (long n = 0; n < length; n++) {
		r = r * 6364136223846793005ULL + 1442695040888963407ULL;
		f.piece[n] = (char)(r >> 56);
	}
}

/* ---- the model ---- */

static void model_resize(off_t size)
{
	if (size < f.size)
		memset(f.model + size, 0, (size_t)(f.size - size));
	f.size = size;
}

static void model_write(off_t at, const char *data, long length)
{
	memcpy(f.model + at, data, (size_t)length);
	if (at + length > f.size)
		f.size = at + length;
}

/* Up to the end. */
static long clip(off_t at, long length)
{
	return at >= f.size ? 0 : at + length > f.size ? (long)(f.size - at) : length;
}

static void compare(const char *how, const char *got, off_t at, long length)
{
	long n = 0;

	if (!memcmp(got, f.model + at, (size_t)length))
		return;
	while (got[n] == f.model[at + n])
		n++;
	mismatch("%s: byte %lld is %02x, not %02x", how, (long long)at + n,
		(unsigned char)got[n], (unsigned char)f.model[at + n]);
}

static void check_size(int fd)
{
	struct stat st, named;

	must("fstat", fstat(fd, &st));
	must("stat", stat(f.path, &named));
	if (st.st_size != f.size || named.st_size != f.size)
		mismatch("size is %lld by descriptor, %lld by name", (long long)st.st_size,
			(long long)named.st_size);
}

static void check_all(void)
{
	off_t at = 0;

	for (; at < f.size; at += PIECE_MAX) {
		long length = clip(at, PIECE_MAX);

		must_be("reading all", pread(f.fd, f.piece, (size_t)length, at), length);
		compare("reading all", f.piece, at, length);
	}
	check_size(f.fd);
}

#endif
