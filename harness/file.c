/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small files and directory trees; declared in util.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/err.h"
#include "harness/util.h"

#define FILE_MAX_BYTES (16u << 20)

static int read_all(int fd, const char *path, char **ret_text)
{
	size_t used = 0, room = 4096;
	char *text = bench_alloc(room + 1);

	for (;;) {
		ssize_t n = read(fd, text + used, room - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || used > FILE_MAX_BYTES) {
			int err = n < 0 ? errno : EFBIG;

			free(text);
			return bench_err(err, "cannot read %s: %s", path, strerror(err));
		}
		if (n == 0)
			break;
		used += (size_t)n;
		if (used == room) {
			room *= 2;
			text = bench_realloc(text, room + 1);
		}
	}
	text[used] = '\0';
	*ret_text = text;
	return 0;
}

int bench_file_read(const char *path, char **ret_text)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return bench_err(errno, "cannot open %s: %s", path, strerror(errno));
	return read_all(fd, path, ret_text);
}

int bench_file_write(const char *path, const char *text)
{
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	size_t left = strlen(text);

	if (fd < 0)
		return bench_err(errno, "cannot create %s: %s", path, strerror(errno));
	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return bench_err(errno, "cannot write %s: %s", path, strerror(errno));
		text += n;
		left -= (size_t)n;
	}
	return 0;
}

char *bench_file_line(const char *path)
{
	char *text = NULL;

	if (bench_file_read(path, &text) < 0)
		return bench_strdup("");
	text[strcspn(text, "\n")] = '\0';
	return text;
}

long long bench_file_number(const char *path, long long fallback)
{
	auto_free char *line = bench_file_line(path);
	char *end;
	long long value = strtoll(line, &end, 10);

	return end == line ? fallback : value;
}

int bench_mkdirs(const char *path)
{
	auto_free char *copy = bench_strdup(path);
	struct stat st;

	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(copy, 0755); /* the last one decides */
		*p = '/';
	}
	if (mkdir(copy, 0755) == 0)
		return 0;
	if (errno == EEXIST && stat(copy, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return bench_err(errno, "cannot create directory %s: %s", path, strerror(errno));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_DP || type == FTW_DNR ? rmdir(path) : unlink(path);
}

int bench_rmtree(const char *path)
{
	if (nftw(path, remove_one, 32, FTW_PHYS | FTW_DEPTH | FTW_MOUNT) == 0 ||
		errno == ENOENT)
		return 0;
	return bench_err(errno, "cannot remove %s: %s", path, strerror(errno));
}
