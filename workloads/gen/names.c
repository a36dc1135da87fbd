/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datasets "find" (100,000 small files in a tree shaped like a source tree: most
 * directories have few files, some have hundreds, the deepest are some twenty levels down) and
 * "flat" (as many in one directory).
 */
#include "workloads/gen/gen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES	   100000
#define DIRS	   6000
#define SIZE_MAX_B 200

/* One file in this many is a note: a sample small enough to be read back in every run. */
#define NOTE_EVERY 100

static const char *const words[] = {"acl", "bind", "block", "bus", "cache", "clock", "core",
	"data", "dma", "driver", "event", "fence", "gpio", "hash", "inode", "irq", "journal",
	"kernel", "lease", "mount", "node", "page", "queue", "range", "regmap", "sched",
	"sensor", "socket", "table", "timer", "trace", "usb"};
static const char *const suffixes[] = {"c", "c", "c", "h", "h", "h", "o", "json"};

#define PICK(r, list) (list)[gen_random_below(r, sizeof(list) / sizeof((list)[0]))]

static int put_file(struct gen_out *out, struct gen_random *r, const char *dir, unsigned int i)
{
	const char *first = PICK(r, words), *second = PICK(r, words);
	const char *suffix = i % NOTE_EVERY ? PICK(r, suffixes) : "note";
	char bytes[SIZE_MAX_B], path[4096];
	size_t size = gen_random_below(r, SIZE_MAX_B + 1);

	if (snprintf(path, sizeof(path), "%s%s-%s%u.%s", dir, first, second, i, suffix) >=
		(int)sizeof(path))
		return gen_fail(-ENAMETOOLONG, "%s", dir);
	gen_random_fill(r, bytes, size);
	return gen_file_put(out, path, bytes, size);
}

/* A random recursive tree: each directory below one of those before it. */
static int make_dirs(struct gen_random *r, char **dirs)
{
	dirs[0] = strdup("");
	if (!dirs[0])
		return gen_fail(-ENOMEM, "find");
	for (unsigned int i = 1; i < DIRS; i++) {
		const char *parent = dirs[gen_random_below(r, i)];

		if (asprintf(&dirs[i], "%s%s%u/", parent, PICK(r, words), i) < 0) {
			dirs[i] = NULL;
			return gen_fail(-ENOMEM, "find");
		}
	}
	return 0;
}

int gen_names_find(struct gen_out *out)
{
	char **dirs = calloc(DIRS, sizeof(*dirs));
	struct gen_random random;
	int err = dirs ? 0 : gen_fail(-ENOMEM, "find");

	gen_random_init(&random, out->seed, "find");
	if (!err)
		err = make_dirs(&random, dirs);
	for (unsigned int i = 0; i < FILES && !err; i++) {
		double u = gen_random_unit(&random);

		/* Squaring makes the early directories the wide ones. */
		err = put_file(out, &random, dirs[(size_t)(u * u * DIRS)], i);
	}
	for (unsigned int i = 0; dirs && i < DIRS; i++)
		free(dirs[i]);
	free(dirs);
	return err;
}

int gen_names_flat(struct gen_out *out)
{
	struct gen_random random;
	int err = 0;

	gen_random_init(&random, out->seed, "flat");
	for (unsigned int i = 0; i < FILES && !err; i++)
		err = put_file(out, &random, "", i);
	return err;
}
