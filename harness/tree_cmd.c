/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `hsmbench tree`: looks at files through an engine. The harness runs it as a child with a
 * time limit and never touches an engine's tree itself, since the daemon behind it may hang.
 */
#include <errno.h>
#include <ftw.h>
#include <string.h>

#include "harness/cmd.h"
#include "harness/err.h"
#include "harness/sums.h"
#include "harness/util.h"

static int touch(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)type;
	(void)ftw;
	return 0;
}

/* Brings the names and the files into memory. */
static int warm(const struct bench_sums *s, const char *tree)
{
	if (nftw(tree, touch, 32, FTW_PHYS) < 0)
		return bench_err(errno, "cannot walk %s: %s", tree, strerror(errno));
	return bench_sums_verify(s, tree);
}

static int resident(const struct bench_sums *s, const char *tree)
{
	uint64_t pages = 0;
	int ret = bench_sums_resident(s, tree, &pages);

	if (ret == -EOPNOTSUPP)
		return 0;
	if (ret == 0)
		printf("%llu\n", (unsigned long long)pages);
	return ret;
}

static const struct {
	const char *name;
	int (*fn)(const struct bench_sums *s, const char *tree);
} actions[] = {
	{"verify", bench_sums_verify},
	{"list", bench_sums_list},
	{"resident", resident},
	{"warm", warm},
};

static int run(int (*fn)(const struct bench_sums *s, const char *tree), char **argv, int argc)
{
	char **patterns = NULL;
	struct bench_sums s = {0};
	int ret;

	for (int i = 4; i < argc; i++)
		bench_strv_add(&patterns, argv[i]);
	ret = bench_sums_load(argv[2], patterns, &s);
	if (ret == 0 && patterns && !s.count)
		ret = bench_err(ENOENT, "no file of %s matches %s", argv[2], patterns[0]);
	if (ret == 0)
		ret = fn(&s, argv[3]);
	bench_sums_release(&s);
	bench_strv_free(patterns);
	return ret;
}

int bench_cmd_tree(int argc, char **argv)
{
	int ret;

	for (size_t i = 0; argc >= 4 && i < BENCH_ARRAY_SIZE(actions); i++) {
		if (strcmp(actions[i].name, argv[1]))
			continue;
		ret = run(actions[i].fn, argv, argc);
		if (ret == 0)
			return BENCH_EXIT_OK;
		puts(bench_err_text());
		return ret == -EILSEQ ? BENCH_EXIT_MISMATCH : BENCH_EXIT_FAILED;
	}
	bench_say("usage: hsmbench tree verify|list|resident|warm SUMS TREE [PATTERN...]");
	return BENCH_EXIT_USAGE;
}
