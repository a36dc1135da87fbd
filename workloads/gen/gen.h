/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GEN_GEN_H
#define GEN_GEN_H
/*
 * Benchmark input from a seed. A dataset is a directory (what the origin serves), a list of
 * checksums beside it (what the harness compares a cache with) and a stamp that says what
 * both were made from.
 *
 *	random.c   pseudo-random numbers and bytes
 *	out.c      the files of one dataset while it is built
 *	sums.c     the list of sums
 *	source.c   text of the Linux source package, file by file
 *	archive.c  tar and zip writers over out.c
 *	dataset.c  stamps, temporary names, publishing
 *	archives.c, blobs.c, names.c   what is in the datasets
 *	verify.c   a tree against a list of sums
 *
 * Functions return 0 (or a positive count), or a negative errno or gen_failure with one
 * sentence kept by gen_fail(). The program has one thread, but for verify.c.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The state of a hash is part of struct gen_file. */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

/* Raised whenever the same preset and seed would give other bytes than before. */
#define GEN_VERSION 1

/* The date every generated file and archive member carries. */
#define GEN_TIME_S 1704067200

/* Failures that are not a system call's; past the last errno. */
enum gen_failure {
	GEN_USAGE = 5000,
	GEN_MISSING, /* something the machine lacks is needed */
	GEN_BROKEN, /* an archive or a list of sums that cannot be used */
	GEN_DIFFERS, /* data is not what the list of sums says */
};

/* Sizes of the datasets; _bytes, _files and _members are per dataset, file or archive. */
struct gen_preset {
	const char *name;
	uint64_t list_bytes; /* text in the tarball to list; 0 = the package as it is */
	uint64_t extract_bytes; /* text in the tarball to extract; 0 = as above */
	uint64_t zip_test_bytes, zip_extract_bytes;
	unsigned int zip_test_members, zip_extract_members;
	uint64_t seq_bytes; /* file of a sequential fio job, or its jobs' files together */
	uint64_t rand_bytes; /* file of a random fio job */
};

/* ---- random.c ---- */

struct gen_random {
	uint64_t state;
};

/* An independent stream for each @seed and @name. */
void gen_random_init(struct gen_random *r, uint64_t seed, const char *name);
uint64_t gen_random_next(struct gen_random *r);
uint64_t gen_random_below(struct gen_random *r, uint64_t limit);
double gen_random_unit(struct gen_random *r);
void gen_random_fill(struct gen_random *r, void *bytes, size_t length);

/* ---- out.c ---- */

/* Keeps the sentence (and strerror() of an errno) for gen_error(); returns @err. */
int gen_fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *gen_error(void);

/* ---- sums.c ---- */

/* One line of a list of sums. */
struct gen_sum {
	char *path; /* relative to the dataset, owned */
	uint64_t hash, size_bytes;
};

struct gen_sums {
	struct gen_sum *item;
	size_t count, room;
};

/* Takes nothing: @path is copied. */
int gen_sums_add(struct gen_sums *s, const char *path, uint64_t hash, uint64_t size_bytes);
void gen_sums_release(struct gen_sums *s);
int gen_sums_write(struct gen_sums *s, const char *file); /* sorts by path */
int gen_sums_read(struct gen_sums *s, const char *file);

/* ---- out.c, continued ---- */

/* A dataset being built below the directory @dir. */
struct gen_out {
	int dir; /* descriptor, borrowed */
	uint64_t seed;
	const struct gen_preset *preset;
	struct gen_sums sums;
};

/* A file of it. One at a time per struct; closed also after a failed write. */
struct gen_file {
	struct gen_out *out;
	char *path;
	int fd;
	uint64_t size_bytes;
	XXH64_state_t hash;
};

int gen_file_open(struct gen_file *f, struct gen_out *out, const char *path);
int gen_file_write(struct gen_file *f, const void *bytes, size_t length);

/* Sets the time and records the sum unless @err, an earlier failure, which is returned. */
int gen_file_close(struct gen_file *f, int err);

/* A whole file at once; parents are created. */
int gen_file_put(struct gen_out *out, const char *path, const void *bytes, size_t length);

/* A file of random bytes that depend on the seed and @path only. */
int gen_file_put_random(struct gen_out *out, const char *path, uint64_t length);

/* ---- source.c ---- */

struct archive;

struct gen_source {
	struct archive *a;
	char *name; /* current member, without the package's top directory */
	char *bytes; /* its content */
	size_t size, room;
};

/* The newest source package of the machine, e.g. "/usr/src/linux-source-6.1.tar.xz", owned. */
int gen_source_find(char **ret_path, uint64_t *ret_bytes);

int gen_source_open(struct gen_source *s);
/* 1: the next regular, not empty file of at most @max bytes; 0: no more. */
int gen_source_next(struct gen_source *s, uint64_t max);
void gen_source_close(struct gen_source *s);

/* ---- archive.c ---- */

struct gen_archive {
	struct archive *a;
	struct gen_file file;
	bool zip;
};

int gen_archive_open(struct gen_archive *ar, struct gen_out *out, const char *path);
/* @stored: without compression (zip only). */
int gen_archive_add(struct gen_archive *ar, const char *name, const void *bytes, size_t length,
	bool stored);
int gen_archive_close(struct gen_archive *ar, int err);

/* ---- dataset.c ---- */

struct gen_dataset {
	const char *name;
	bool needs_source;
	int (*build)(struct gen_out *out);
};

extern const struct gen_dataset gen_datasets[]; /* ends with a row without name */

/* Makes @root/@name unless its stamp says that it is there already. */
int gen_dataset_make(
	const char *root, const char *name, const struct gen_preset *preset, uint64_t seed);

/* What is in them. */
int gen_archives_tar(struct gen_out *out);
int gen_archives_unzip(struct gen_out *out);
int gen_blobs_fio(struct gen_out *out);
int gen_blobs_seq(struct gen_out *out);
int gen_names_find(struct gen_out *out);
int gen_names_flat(struct gen_out *out);

/* ---- verify.c ---- */

/*
 * Reads the files of the list @sums_file below @tree whose path matches one of @globs (all
 * without globs; '*' matches '/' as well). 0: all equal; -GEN_DIFFERS: the first
 * mismatches were printed on stderr.
 */
int gen_verify(const char *sums_file, const char *tree, char *const *globs, int count);

#endif
