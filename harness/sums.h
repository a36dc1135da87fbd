/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_SUMS_H
#define BENCH_SUMS_H
/*
 * The checksum list of a data set: one line per regular file, 16 hex digits of xxh64, two
 * spaces, size, two spaces, path with \\ and \n escaped.
 */
#include <stddef.h>
#include <stdint.h>

struct bench_sum {
	char *path; /* relative to the tree */
	uint64_t bytes, xxh64;
};

struct bench_sums {
	struct bench_sum *sum;
	size_t count;
	uint64_t bytes; /* of all */
};

/*
 * Reads the lines whose path matches one of @patterns (fnmatch(3) without FNM_PATHNAME; NULL
 * = all). -errno + text, -EINVAL with the line number for a malformed one. Release with
 * bench_sums_release().
 */
int bench_sums_load(const char *path, char *const *patterns, struct bench_sums *ret_sums);
void bench_sums_release(struct bench_sums *s);

/*
 * Reads every file below the directory @tree and compares; the directories on the way are
 * listed first, because some engines know a name only then. 0; -EILSEQ + text: content or
 * size differs; other -errno + text: could not be read.
 */
int bench_sums_verify(const struct bench_sums *s, const char *tree);

/* Lists the directories on the way to every file. -errno + text. */
int bench_sums_list(const struct bench_sums *s, const char *tree);

/*
 * How many pages of a sample of the files are in the page cache, in *ret_pages. -EOPNOTSUPP
 * if the kernel cannot tell (before 6.5); -errno + text.
 */
int bench_sums_resident(const struct bench_sums *s, const char *tree, uint64_t *ret_pages);

#endif
