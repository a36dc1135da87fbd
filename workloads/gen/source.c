/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real text for the archives: the files of Debian's linux-source package, in its order. */
#include "workloads/gen/gen.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SOURCE_GLOB    "/usr/src/linux-source-6.*.tar.xz"
#define SOURCE_MISSING "no " SOURCE_GLOB ": install the Debian package linux-source-6.1"
#define READ_BYTES     (1u << 20)

int gen_source_find(char **ret_path, uint64_t *ret_bytes)
{
	glob_t found = {0};
	struct stat st;
	const char *newest;

	if (glob(SOURCE_GLOB, 0, NULL, &found)) {
		globfree(&found);
		return gen_fail(-GEN_MISSING, SOURCE_MISSING);
	}
	newest = found.gl_pathv[0];
	for (size_t i = 1; i < found.gl_pathc; i++)
		if (strverscmp(found.gl_pathv[i], newest) > 0)
			newest = found.gl_pathv[i];
	*ret_path = stat(newest, &st) ? NULL : strdup(newest);
	globfree(&found);
	if (!*ret_path)
		return gen_fail(-GEN_MISSING, SOURCE_MISSING);
	*ret_bytes = (uint64_t)st.st_size;
	return 0;
}

static int fail_read(struct gen_source *s, const char *what)
{
	const char *text = archive_error_string(s->a);

	return gen_fail(-GEN_BROKEN, "source package: %s: %s", what, text ? text : "no detail");
}

int gen_source_open(struct gen_source *s)
{
	char *path;
	uint64_t bytes;
	int err = gen_source_find(&path, &bytes);

	*s = (struct gen_source){0};
	if (err)
		return err;
	s->a = archive_read_new();
	if (!s->a) {
		err = gen_fail(-ENOMEM, "%s", path);
	} else {
		archive_read_support_filter_xz(s->a);
		archive_read_support_format_tar(s->a);
		if (archive_read_open_filename(s->a, path, READ_BYTES) != ARCHIVE_OK)
			err = fail_read(s, "open");
	}
	free(path);
	if (err)
		gen_source_close(s);
	return err;
}

/* Takes over the member @e: name without the top directory, content. */
static int load(struct gen_source *s, struct archive_entry *e)
{
	const char *slash = strchr(archive_entry_pathname(e), '/');

	free(s->name);
	s->name = strdup(slash ? slash + 1 : archive_entry_pathname(e));
	s->size = (size_t)archive_entry_size(e);
	if (s->size > s->room) {
		free(s->bytes);
		s->bytes = malloc(s->size);
		s->room = s->bytes ? s->size : 0;
	}
	if (!s->name || !s->bytes)
		return gen_fail(-ENOMEM, "source package");
	if (archive_read_data(s->a, s->bytes, s->size) != (la_ssize_t)s->size)
		return fail_read(s, "read");
	return 1;
}

int gen_source_next(struct gen_source *s, uint64_t max)
{
	struct archive_entry *e;
	int got;

	while ((got = archive_read_next_header(s->a, &e)) == ARCHIVE_OK) {
		int64_t size = archive_entry_size(e);

		if (archive_entry_filetype(e) == S_IFREG && !archive_entry_hardlink(e) &&
			archive_entry_pathname(e) && size > 0 && (uint64_t)size <= max)
			return load(s, e);
	}
	return got == ARCHIVE_EOF ? 0 : fail_read(s, "next member");
}

void gen_source_close(struct gen_source *s)
{
	archive_read_free(s->a);
	free(s->name);
	free(s->bytes);
	*s = (struct gen_source){0};
}
