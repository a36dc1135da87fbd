/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datasets "tar" (tarballs to list and to extract, a tree to archive) and "unzip" (zips to
 * list, to test and to extract), all with text of the Linux source package.
 */
#include "workloads/gen/gen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TREE_FILES	20000
#define TREE_FILE_MAX	(64u << 10)
#define TAR_MEMBER_MAX	(1u << 20)
#define ZIP_TEXT_MAX	(64u << 10)
#define ZIP_BLOB_MAX	(1u << 20)
#define ZIP_LIST_COUNT	20000
#define ZIP_LIST_BYTES	(500ull << 20)
#define ZIP_BLOB_SHARE	0.3 /* of the members */
#define COPY_STEP_BYTES (1u << 20)

static int fail_too_few(void)
{
	return gen_fail(-GEN_MISSING, "source package: too few files in it");
}

static int copy_bytes(struct gen_file *f, int in)
{
	static char step[COPY_STEP_BYTES];
	ssize_t n;
	int err = 0;

	while (!err && (n = read(in, step, sizeof(step))) != 0)
		err = n < 0 ? gen_fail(-errno, "read the source package")
			    : gen_file_write(f, step, (size_t)n);
	return err;
}

static int copy_package(struct gen_out *out, const char *path)
{
	struct gen_file f;
	uint64_t bytes;
	char *package;
	int in, err = gen_source_find(&package, &bytes);

	if (err)
		return err;
	in = open(package, O_RDONLY | O_CLOEXEC);
	free(package);
	if (in < 0)
		return gen_fail(-errno, "open the source package");
	err = gen_file_open(&f, out, path);
	if (!err)
		err = gen_file_close(&f, copy_bytes(&f, in));
	close(in);
	return err;
}

/* The package's first files, until they are @text bytes. */
static int make_tarball(struct gen_out *out, const char *path, uint64_t text)
{
	struct gen_source s;
	struct gen_archive ar;
	int got, err = gen_source_open(&s);

	if (err)
		return err;
	err = gen_archive_open(&ar, out, path);
	if (!err) {
		while (!err && text && (got = gen_source_next(&s, TAR_MEMBER_MAX)) != 0) {
			err = got < 0 ? got
				      : gen_archive_add(&ar, s.name, s.bytes, s.size, false);
			text -= text < s.size ? text : s.size;
		}
		err = gen_archive_close(&ar, err);
	}
	gen_source_close(&s);
	return err;
}

/* nginx leaves names with a dot in front out of its index. */
static bool is_hidden(const char *name)
{
	return *name == '.' || strstr(name, "/.");
}

static int add_to_tree(struct gen_out *out, const struct gen_source *s)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "tree/%s", s->name) >= (int)sizeof(path))
		return gen_fail(-ENAMETOOLONG, "source package");
	return gen_file_put(out, path, s->bytes, s->size);
}

static int make_tree(struct gen_out *out)
{
	struct gen_source s;
	int files = 0, got = 0, err = gen_source_open(&s);

	if (err)
		return err;
	while (!err && files < TREE_FILES && (got = gen_source_next(&s, TREE_FILE_MAX)) > 0) {
		if (is_hidden(s.name))
			continue;
		err = add_to_tree(out, &s);
		files++;
	}
	if (!err && files < TREE_FILES)
		err = got < 0 ? got : fail_too_few();
	gen_source_close(&s);
	return err;
}

int gen_archives_tar(struct gen_out *out)
{
	const struct gen_preset *p = out->preset;
	int err = make_tree(out);

	if (!err)
		err = p->list_bytes ? make_tarball(out, "list.tar.gz", p->list_bytes)
				    : copy_package(out, "list.tar.xz");
	if (!err)
		err = p->extract_bytes ? make_tarball(out, "extract.tar.gz", p->extract_bytes)
				       : copy_package(out, "extract.tar.xz");
	return err;
}

/* Incompressible, as pictures and packages in real zips are; stored. */
static int add_blob(struct gen_archive *ar, struct gen_random *r, unsigned int i, uint64_t mean)
{
	static char bytes[ZIP_BLOB_MAX];
	size_t length = (size_t)((double)mean * (0.5 + gen_random_unit(r)));
	char name[64];

	if (length > sizeof(bytes))
		length = sizeof(bytes);
	snprintf(name, sizeof(name), "media/%02u/%05u.bin", i % 64, i);
	gen_random_fill(r, bytes, length);
	return gen_archive_add(ar, name, bytes, length, true);
}

static int add_text(struct gen_archive *ar, struct gen_source *s)
{
	int got = gen_source_next(s, ZIP_TEXT_MAX);

	if (got <= 0)
		return got ? got : fail_too_few();
	return gen_archive_add(ar, s->name, s->bytes, s->size, false);
}

/* @bytes on disk, about; the blobs are sized to reach it whatever the text takes. */
static int fill_zip(struct gen_archive *ar, struct gen_source *s, struct gen_random *r,
	unsigned int members, uint64_t bytes)
{
	int err = 0;

	for (unsigned int i = 0; i < members && !err; i++) {
		double blobs = (members - i) * ZIP_BLOB_SHARE;
		uint64_t used = ar->file.size_bytes;

		if (gen_random_unit(r) < ZIP_BLOB_SHARE && used < bytes)
			err = add_blob(ar, r, i, (uint64_t)((double)(bytes - used) / blobs));
		else
			err = add_text(ar, s);
	}
	return err;
}

static int make_zip(struct gen_out *out, const char *path, unsigned int members, uint64_t bytes)
{
	struct gen_random random;
	struct gen_source s;
	struct gen_archive ar;
	int err = gen_source_open(&s);

	if (err)
		return err;
	gen_random_init(&random, out->seed, path);
	err = gen_archive_open(&ar, out, path);
	if (!err)
		err = gen_archive_close(&ar, fill_zip(&ar, &s, &random, members, bytes));
	gen_source_close(&s);
	return err;
}

int gen_archives_unzip(struct gen_out *out)
{
	const struct gen_preset *p = out->preset;
	int err = make_zip(out, "big.zip", ZIP_LIST_COUNT, ZIP_LIST_BYTES);

	if (!err)
		err = make_zip(out, "test.zip", p->zip_test_members, p->zip_test_bytes);
	if (!err)
		err = make_zip(
			out, "extract.zip", p->zip_extract_members, p->zip_extract_bytes);
	return err;
}
