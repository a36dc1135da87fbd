/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A dataset NAME below a root directory: NAME/, NAME.sums and NAME.stamp. All is built under
 * temporary names; the stamp is removed first and written last, so whatever has a stamp that
 * fits is whole. A lock on the root keeps two builders apart.
 */
#include "workloads/gen/gen.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NFTW_DESCRIPTORS 32
#define STAMP_MAX	 1024

const struct gen_dataset gen_datasets[] = {
	{"tar", true, gen_archives_tar},
	{"unzip", true, gen_archives_unzip},
	{"fio", false, gen_blobs_fio},
	{"seq", false, gen_blobs_seq},
	{"find", false, gen_names_find},
	{"flat", false, gen_names_flat},
	{0},
};

/* Where the parts of one dataset are, final and temporary. */
struct place {
	char tree[PATH_MAX], sums[PATH_MAX], stamp[PATH_MAX];
	char new_tree[PATH_MAX], new_sums[PATH_MAX], new_stamp[PATH_MAX];
};

static int place_init(struct place *p, const char *root, const char *name)
{
	char base[PATH_MAX - 16];

	if (snprintf(base, sizeof(base), "%s/%s", root, name) >= (int)sizeof(base))
		return gen_fail(-ENAMETOOLONG, "%s", root);
	snprintf(p->tree, PATH_MAX, "%s", base);
	snprintf(p->sums, PATH_MAX, "%s.sums", base);
	snprintf(p->stamp, PATH_MAX, "%s.stamp", base);
	snprintf(p->new_tree, PATH_MAX, "%s.tmp", base);
	snprintf(p->new_sums, PATH_MAX, "%s.sums.tmp", base);
	snprintf(p->new_stamp, PATH_MAX, "%s.stamp.tmp", base);
	return 0;
}

/* What the dataset depends on, as text. */
static int describe(const struct gen_dataset *d, const struct gen_preset *preset, uint64_t seed,
	char *ret_text)
{
	int n = snprintf(ret_text, STAMP_MAX, "version=%d preset=%s seed=%" PRIu64 "\n",
		GEN_VERSION, preset->name, seed);
	uint64_t bytes;
	char *path;
	int err;

	if (!d->needs_source)
		return 0;
	err = gen_source_find(&path, &bytes);
	if (err)
		return err;
	snprintf(ret_text + n, STAMP_MAX - n, "source=%s bytes=%" PRIu64 "\n", path, bytes);
	free(path);
	return 0;
}

static bool is_current(const struct place *p, const char *stamp)
{
	char old[STAMP_MAX + 1] = "";
	int fd = open(p->stamp, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, old, STAMP_MAX);
	close(fd);
	return n > 0 && !strcmp(old, stamp) && !access(p->tree, R_OK | X_OK) &&
	       !access(p->sums, R_OK);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* A file or a whole directory; nothing there is fine. */
static int discard(const char *path)
{
	if (nftw(path, remove_one, NFTW_DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) &&
		errno != ENOENT)
		return gen_fail(-errno, "remove %s", path);
	return 0;
}

static int discard_temporary(const struct place *p)
{
	int err = discard(p->new_tree);

	if (!err)
		err = discard(p->new_sums);
	return err ? err : discard(p->new_stamp);
}

static int rename_to(const char *from, const char *to)
{
	return rename(from, to) ? gen_fail(-errno, "rename %s to %s", from, to) : 0;
}

static int write_stamp(const struct place *p, const char *stamp)
{
	FILE *out = fopen(p->new_stamp, "we");
	int failed;

	if (!out)
		return gen_fail(-errno, "create %s", p->new_stamp);
	failed = fputs(stamp, out) == EOF;
	if (fclose(out) || failed)
		return gen_fail(-errno, "write %s", p->new_stamp);
	return rename_to(p->new_stamp, p->stamp);
}

static int publish(const struct place *p, const char *stamp)
{
	int err = discard(p->stamp);

	if (!err)
		err = discard(p->tree);
	if (!err)
		err = rename_to(p->new_tree, p->tree);
	if (!err)
		err = rename_to(p->new_sums, p->sums);
	return err ? err : write_stamp(p, stamp);
}

static int build(const struct gen_dataset *d, const struct place *p, struct gen_out *out)
{
	int err;

	if (mkdir(p->new_tree, 0755))
		return gen_fail(-errno, "create %s", p->new_tree);
	out->dir = open(p->new_tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out->dir < 0)
		return gen_fail(-errno, "open %s", p->new_tree);
	err = d->build(out);
	if (!err)
		err = gen_sums_write(&out->sums, p->new_sums);
	close(out->dir);
	gen_sums_release(&out->sums);
	return err;
}

static int build_and_publish(const struct gen_dataset *d, const char *root,
	const struct gen_preset *preset, uint64_t seed)
{
	struct gen_out out = {.seed = seed, .preset = preset};
	char stamp[STAMP_MAX], why[512];
	struct place p;
	int err = place_init(&p, root, d->name);

	if (!err)
		err = describe(d, preset, seed, stamp);
	if (err || is_current(&p, stamp))
		return err;
	err = discard_temporary(&p);
	if (!err)
		err = build(d, &p, &out);
	if (!err)
		return publish(&p, stamp);
	snprintf(why, sizeof(why), "%s", gen_error());
	discard_temporary(&p);
	gen_fail(-GEN_BROKEN, "dataset %s: %s", d->name, why);
	return err;
}

static const struct gen_dataset *find_dataset(const char *name)
{
	for (const struct gen_dataset *d = gen_datasets; d->name; d++)
		if (!strcmp(d->name, name))
			return d;
	return NULL;
}

int gen_dataset_make(
	const char *root, const char *name, const struct gen_preset *preset, uint64_t seed)
{
	const struct gen_dataset *d = find_dataset(name);
	int lock, err;

	if (!d)
		return gen_fail(-GEN_USAGE, "no dataset is called '%s'", name);
	lock = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0)
		return gen_fail(-errno, "open %s", root);
	if (flock(lock, LOCK_EX))
		err = gen_fail(-errno, "lock %s", root);
	else
		err = build_and_publish(d, root, preset, seed);
	close(lock);
	return err;
}
