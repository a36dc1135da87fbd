/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of sums: a line per file, "<16 hex digits of xxh64>  <bytes>  <path>", where a
 * backslash and a newline in a path are written as \\ and \n.
 */
#include "workloads/gen/gen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int gen_sums_add(struct gen_sums *s, const char *path, uint64_t hash, uint64_t size_bytes)
{
	struct gen_sum *sum;

	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 1024;
		struct gen_sum *item = reallocarray(s->item, room, sizeof(*item));

		if (!item)
			return gen_fail(-ENOMEM, "list of sums");
		s->item = item;
		s->room = room;
	}
	sum = &s->item[s->count];
	sum->path = strdup(path);
	if (!sum->path)
		return gen_fail(-ENOMEM, "list of sums");
	sum->hash = hash;
	sum->size_bytes = size_bytes;
	s->count++;
	return 0;
}

void gen_sums_release(struct gen_sums *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->item[i].path);
	free(s->item);
	*s = (struct gen_sums){0};
}

static int compare_paths(const void *a, const void *b)
{
	const struct gen_sum *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void write_path(FILE *out, const char *path)
{
	for (; *path; path++) {
		if (*path == '\n')
			fputs("\\n", out);
		else if (*path == '\\')
			fputs("\\\\", out);
		else
			fputc(*path, out);
	}
	fputc('\n', out);
}

int gen_sums_write(struct gen_sums *s, const char *file)
{
	FILE *out = fopen(file, "we");
	int failed;

	if (!out)
		return gen_fail(-errno, "create %s", file);
	qsort(s->item, s->count, sizeof(*s->item), compare_paths);
	for (size_t i = 0; i < s->count; i++) {
		const struct gen_sum *sum = &s->item[i];

		fprintf(out, "%016" PRIx64 "  %" PRIu64 "  ", sum->hash, sum->size_bytes);
		write_path(out, sum->path);
	}
	failed = ferror(out);
	if (fclose(out) || failed)
		return gen_fail(-errno, "write %s", file);
	return 0;
}

/* In place; false on an escape this program does not write. */
static bool unescape(char *path)
{
	char *to = path;

	for (; *path; path++) {
		if (*path == '\\') {
			path++;
			if (*path != 'n' && *path != '\\')
				return false;
			*to++ = *path == 'n' ? '\n' : '\\';
		} else {
			*to++ = *path;
		}
	}
	*to = '\0';
	return true;
}

static int read_line(struct gen_sums *s, char *line)
{
	uint64_t hash, size;
	int at = 0;
	size_t end = strcspn(line, "\n");

	if (line[end] != '\n')
		return -GEN_BROKEN; /* cut short */
	line[end] = '\0';
	if (sscanf(line, "%16" SCNx64 "  %" SCNu64 " %n", &hash, &size, &at) != 2 || !at ||
		line[at - 1] != ' ' || !line[at] || !unescape(line + at))
		return -GEN_BROKEN;
	return gen_sums_add(s, line + at, hash, size);
}

int gen_sums_read(struct gen_sums *s, const char *file)
{
	FILE *in = fopen(file, "re");
	char *line = NULL;
	size_t room = 0, number = 0;
	int err = 0;

	if (!in)
		return gen_fail(-errno, "open %s", file);
	while (!err && ++number && getline(&line, &room, in) > 0)
		err = read_line(s, line);
	if (err == -GEN_BROKEN)
		gen_fail(err, "%s: line %zu is not 'HASH  SIZE  PATH'", file, number);
	else if (!err && ferror(in))
		err = gen_fail(-EIO, "read %s", file);
	else if (!err && !s->count)
		err = gen_fail(-GEN_BROKEN, "%s: no sums in it", file);
	free(line);
	fclose(in);
	return err;
}
