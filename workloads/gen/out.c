/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of a dataset while it is built: content is hashed on its way to the disk. */
#include "workloads/gen/gen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RANDOM_STEP_BYTES (1u << 20)

static char error_text[512];

int gen_fail(int err, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(error_text, sizeof(error_text), format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(error_text) && err > -GEN_USAGE)
		snprintf(error_text + n, sizeof(error_text) - n, ": %s", strerror(-err));
	return err;
}

const char *gen_error(void)
{
	return error_text;
}

static int make_parents(struct gen_out *out, const char *path)
{
	char *copy = strdup(path);
	int err = 0;

	if (!copy)
		return -ENOMEM;
	for (char *slash = strchr(copy, '/'); slash && !err; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdirat(out->dir, copy, 0755) && errno != EEXIST)
			err = -errno;
		*slash = '/';
	}
	free(copy);
	return err;
}

static int open_new(struct gen_out *out, const char *path)
{
	int fd = openat(out->dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : fd;
}

int gen_file_open(struct gen_file *f, struct gen_out *out, const char *path)
{
	int err;

	f->out = out;
	f->size_bytes = 0;
	f->fd = open_new(out, path);
	if (f->fd == -ENOENT) {
		err = make_parents(out, path);
		f->fd = err ? err : open_new(out, path);
	}
	if (f->fd < 0)
		return gen_fail(f->fd, "create %s", path);
	f->path = strdup(path);
	if (!f->path) {
		close(f->fd);
		return gen_fail(-ENOMEM, "create %s", path);
	}
	XXH64_reset(&f->hash, 0);
	return 0;
}

int gen_file_write(struct gen_file *f, const void *bytes, size_t length)
{
	const char *at = bytes;

	XXH64_update(&f->hash, bytes, length);
	f->size_bytes += length;
	while (length) {
		ssize_t n = write(f->fd, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return gen_fail(-errno, "write %s", f->path);
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

int gen_file_close(struct gen_file *f, int err)
{
	static const struct timespec times[2] = {
		{.tv_sec = GEN_TIME_S}, {.tv_sec = GEN_TIME_S}};

	if (!err && futimens(f->fd, times))
		err = gen_fail(-errno, "set the time of %s", f->path);
	if (close(f->fd) && !err)
		err = gen_fail(-errno, "close %s", f->path);
	if (!err)
		err = gen_sums_add(
			&f->out->sums, f->path, XXH64_digest(&f->hash), f->size_bytes);
	free(f->path);
	return err;
}

int gen_file_put(struct gen_out *out, const char *path, const void *bytes, size_t length)
{
	struct gen_file f;
	int err = gen_file_open(&f, out, path);

	if (err)
		return err;
	return gen_file_close(&f, gen_file_write(&f, bytes, length));
}

int gen_file_put_random(struct gen_out *out, const char *path, uint64_t length)
{
	static char step[RANDOM_STEP_BYTES];
	struct gen_random random;
	struct gen_file f;
	int err = gen_file_open(&f, out, path);

	if (err)
		return err;
	gen_random_init(&random, out->seed, path);
	while (length && !err) {
		size_t n = length < sizeof(step) ? length : sizeof(step);

		gen_random_fill(&random, step, n);
		err = gen_file_write(&f, step, n);
		length -= n;
	}
	return gen_file_close(&f, err);
}
