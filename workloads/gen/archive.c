/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tar and zip files whose bytes depend on their members only: fixed times, owner and mode. */
#include "workloads/gen/gen.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK_BYTES (1 << 20)

static int fail_write(struct gen_archive *ar)
{
	const char *text = archive_error_string(ar->a);

	if (archive_errno(ar->a) == ENOMEM)
		return gen_fail(-ENOMEM, "write an archive");
	return gen_fail(-GEN_BROKEN, "write %s: %s", ar->file.path, text ? text : "no detail");
}

static la_ssize_t write_block(struct archive *a, void *client, const void *bytes, size_t length)
{
	int err = gen_file_write(client, bytes, length);

	if (!err)
		return (la_ssize_t)length;
	archive_set_error(a, -err, "%s", strerror(-err));
	return -1;
}

/* Level 4 takes half the time of 6 and gives a file 7 % larger. */
static void set_format(struct gen_archive *ar)
{
	if (ar->zip) {
		archive_write_set_format_zip(ar->a);
	} else {
		archive_write_set_format_gnutar(ar->a);
		archive_write_add_filter_gzip(ar->a);
		archive_write_set_options(ar->a, "gzip:compression-level=4,gzip:!timestamp");
	}
	archive_write_set_bytes_per_block(ar->a, BLOCK_BYTES);
	archive_write_set_bytes_in_last_block(ar->a, 1);
}

int gen_archive_open(struct gen_archive *ar, struct gen_out *out, const char *path)
{
	int err = gen_file_open(&ar->file, out, path);

	if (err)
		return err;
	ar->zip = strstr(path, ".zip") != NULL;
	ar->a = archive_write_new();
	if (!ar->a)
		return gen_file_close(&ar->file, gen_fail(-ENOMEM, "create %s", path));
	set_format(ar);
	if (archive_write_open2(ar->a, &ar->file, NULL, write_block, NULL, NULL) == ARCHIVE_OK)
		return 0;
	err = fail_write(ar);
	archive_write_free(ar->a);
	return gen_file_close(&ar->file, err);
}

int gen_archive_add(
	struct gen_archive *ar, const char *name, const void *bytes, size_t length, bool stored)
{
	struct archive_entry *e = archive_entry_new();
	int err = 0;

	if (!e)
		return gen_fail(-ENOMEM, "write %s", ar->file.path);
	archive_entry_set_pathname(e, name);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0644);
	archive_entry_set_size(e, (la_int64_t)length);
	archive_entry_set_mtime(e, GEN_TIME_S, 0);
	if (ar->zip && stored)
		archive_write_zip_set_compression_store(ar->a);
	else if (ar->zip)
		archive_write_zip_set_compression_deflate(ar->a);
	if (archive_write_header(ar->a, e) != ARCHIVE_OK ||
		archive_write_data(ar->a, bytes, length) != (la_ssize_t)length)
		err = fail_write(ar);
	archive_entry_free(e);
	return err;
}

int gen_archive_close(struct gen_archive *ar, int err)
{
	if (archive_write_close(ar->a) != ARCHIVE_OK && !err)
		err = fail_write(ar);
	archive_write_free(ar->a);
	return gen_file_close(&ar->file, err);
}
