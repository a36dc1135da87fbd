/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File handles as an NFS server uses them: taken of many names, opened again much later.
 *
 *   handles take TREE          names on stdin, one a line; "TYPE HEX NAME" a line on stdout
 *   handles same TREE ORIGINAL such lines on stdin: each opens, and is what ORIGINAL/NAME is
 *   handles stale TREE         such lines on stdin: each is ESTALE
 *
 * Exit code 0 if all did; a line on stderr for each that did not. At least one is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

union handle {
	struct file_handle fh;
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static bool complain(const char *name, const char *what)
{
	fprintf(stderr, "handles: %s: %s\n", name, what);
	return false;
}

static bool take(int tree, const char *name)
{
	union handle h = {.fh.handle_bytes = MAX_HANDLE_SZ};
	int mount_id;

	if (name_to_handle_at(tree, name, &h.fh, &mount_id, 0))
		return complain(name, strerror(errno));
	printf("%d ", h.fh.handle_type);
	for (unsigned int n = 0; n < h.fh.handle_bytes; n++)
		printf("%02x", h.fh.f_handle[n]);
	printf(" %s\n", name);
	return true;
}

/* "TYPE HEX NAME"; the handle, and where the name begins. */
static const char *parse(const char *line, union handle *h)
{
	unsigned char *data = (unsigned char *)h->room + sizeof(h->fh);
	int at = 0, used = 0;
	unsigned int byte;

	if (sscanf(line, "%d %n", &h->fh.handle_type, &at) != 1)
		return NULL;
	h->fh.handle_bytes = 0;
	while (h->fh.handle_bytes < MAX_HANDLE_SZ &&
		sscanf(line + at, "%2x%n", &byte, &used) == 1 && line[at] != ' ') {
		data[h->fh.handle_bytes++] = (unsigned char)byte;
		at += used;
	}
	return line[at] == ' ' ? line + at + 1 : NULL;
}

static bool same_content(int fd, int other)
{
	char a[65536], b[65536];
	ssize_t n, m;

	do {
		n = read(fd, a, sizeof(a));
		m = read(other, b, sizeof(b));
		if (n < 0 || n != m || memcmp(a, b, (size_t)n))
			return false;
	} while (n);
	return true;
}

static bool same_target(int fd, int original, const char *name)
{
	char a[PATH_MAX], b[PATH_MAX];
	ssize_t n = readlinkat(fd, "", a, sizeof(a));

	return n >= 0 && readlinkat(original, name, b, sizeof(b)) == n &&
	       !memcmp(a, b, (size_t)n);
}

static bool same(int fd, int original, const char *name)
{
	struct stat st, want;
	int other;
	bool ok;

	if (fstat(fd, &st) || fstatat(original, name, &want, AT_SYMLINK_NOFOLLOW))
		return complain(name, strerror(errno));
	if ((st.st_mode & S_IFMT) != (want.st_mode & S_IFMT))
		return complain(name, "is another type of file");
	if (S_ISLNK(st.st_mode))
		return same_target(fd, original, name) || complain(name, "another target");
	if (!S_ISREG(st.st_mode))
		return true;
	other = openat(original, name, O_RDONLY);
	ok = other >= 0 && same_content(fd, other);
	close(other);
	return ok || complain(name, "content differs");
}

static bool check(int tree, int original, const char *line)
{
	union handle h;
	const char *name = parse(line, &h);
	int fd, flags = O_RDONLY | O_NONBLOCK;
	bool ok;

	if (!name)
		return complain(line, "no handle");
	fd = open_by_handle_at(tree, &h.fh, flags);
	if (fd < 0 && errno == ELOOP)
		fd = open_by_handle_at(tree, &h.fh, O_PATH | O_NOFOLLOW);
	if (original < 0)
		ok = fd < 0 && errno == ESTALE ? true : complain(name, "is not stale");
	else
		ok = fd < 0 ? complain(name, strerror(errno)) : same(fd, original, name);
	if (fd >= 0)
		close(fd);
	return ok;
}

static int run(const char *verb, int tree, int original)
{
	char line[PATH_MAX + 2 * MAX_HANDLE_SZ + 16];
	unsigned long all = 0, good = 0;

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		all++;
		good += strcmp(verb, "take") ? check(tree, original, line) : take(tree, line);
	}
	fprintf(stderr, "handles: %s: %lu of %lu\n", verb, good, all);
	return all && good == all ? 0 : 1;
}

int main(int argc, char **argv)
{
	bool is_same = argc == 4 && !strcmp(argv[1], "same");
	int tree, original = -1;

	if (!is_same && (argc != 3 || (strcmp(argv[1], "take") && strcmp(argv[1], "stale")))) {
		fprintf(stderr, "usage: handles take|stale TREE, handles same TREE ORIGINAL\n");
		return 2;
	}
	tree = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (is_same)
		original = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree < 0 || (is_same && original < 0)) {
		fprintf(stderr, "handles: %s\n", strerror(errno));
		return 2;
	}
	return run(argv[1], tree, original);
}
