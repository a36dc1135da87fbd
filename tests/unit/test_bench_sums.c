/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Comparing a tree with its checksum list: what must be found, and odd names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness/err.h"
#include "harness/sums.h"
#include "harness/util.h"

/* xxh64 with seed 0 of "abc" and of nothing, from the specification's reference program. */
#define ABC   "44bc2cf5ad770999"
#define EMPTY "ef46db3751d8e999"

static char dir[64];

static const char list[] = ABC "  3  a/b/one\n" EMPTY "  0  a/empty\n" ABC
			       "  3  a/new\\nline\n" ABC "  3  a/back\\\\slash  two\n";

static void put(const char *name, const char *text)
{
	auto_free char *path = bench_fmt("%s/%s", dir, name);

	assert_int_equal(bench_file_write(path, text), 0);
}

static int make_tree(void **state)
{
	auto_free char *sub = NULL;

	(void)state;
	strcpy(dir, "/tmp/bench_sums_XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	sub = bench_fmt("%s/tree/a/b", dir);
	if (bench_mkdirs(sub) < 0)
		return -1;
	put("tree/a/b/one", "abc");
	put("tree/a/empty", "");
	put("tree/a/new\nline", "abc");
	put("tree/a/back\\slash  two", "abc");
	put("sums", list);
	return 0;
}

static int remove_tree(void **state)
{
	(void)state;
	return bench_rmtree(dir);
}

static int load(char *const *patterns, struct bench_sums *s)
{
	auto_free char *path = bench_fmt("%s/sums", dir);

	return bench_sums_load(path, patterns, s);
}

static int verify(void)
{
	auto_free char *tree = bench_fmt("%s/tree", dir);
	struct bench_sums s;
	int ret;

	assert_int_equal(load(NULL, &s), 0);
	assert_int_equal(s.count, 4);
	ret = bench_sums_verify(&s, tree);
	bench_sums_release(&s);
	return ret;
}

static void test_same(void **state)
{
	(void)state;
	assert_int_equal(verify(), 0);
}

static void test_other_content(void **state)
{
	(void)state;
	put("tree/a/b/one", "abd");
	assert_int_equal(verify(), -EILSEQ);
	assert_non_null(strstr(bench_err_text(), "tree/a/b/one differs"));
}

/* A stub that reads as zeros has the right size. */
static void test_zeros(void **state)
{
	auto_free char *path = bench_fmt("%s/tree/a/b/one", dir);

	(void)state;
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(path, 3), 0);
	assert_int_equal(verify(), -EILSEQ);
}

static void test_other_size(void **state)
{
	(void)state;
	put("tree/a/empty", "x");
	assert_int_equal(verify(), -EILSEQ);
	assert_non_null(strstr(bench_err_text(), "has 1 bytes, the origin has 0"));
}

static void test_missing(void **state)
{
	auto_free char *path = bench_fmt("%s/tree/a/new\nline", dir);

	(void)state;
	unlink(path);
	assert_int_equal(verify(), -ENOENT);
}

static void test_patterns(void **state)
{
	char *patterns[] = {(char *)"*/one", (char *)"a/em*", NULL};
	char *none[] = {(char *)"b/*", NULL};
	struct bench_sums s;

	(void)state;
	assert_int_equal(load(patterns, &s), 0);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.bytes, 3);
	bench_sums_release(&s);
	assert_int_equal(load(none, &s), 0);
	assert_int_equal(s.count, 0);
	bench_sums_release(&s);
}

static void test_malformed(void **state)
{
	static const char *const bad[] = {
		ABC "  3 a\n",
		ABC " 3  a\n",
		"44bc2cf5  3  a\n",
		ABC "  3  \n",
		"\n",
	};
	struct bench_sums s;

	(void)state;
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(bad); i++) {
		put("sums", bad[i]);
		assert_int_equal(load(NULL, &s), -EINVAL);
	}
}

/* What was just read is in memory. */
static void test_resident(void **state)
{
	auto_free char *tree = bench_fmt("%s/tree", dir);
	uint64_t pages = 0;
	struct bench_sums s;
	int ret;

	(void)state;
	assert_int_equal(verify(), 0);
	assert_int_equal(load(NULL, &s), 0);
	ret = bench_sums_resident(&s, tree, &pages);
	bench_sums_release(&s);
	if (ret == -EOPNOTSUPP)
		skip();
	assert_int_equal(ret, 0);
	assert_int_equal(pages, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_other_content, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_zeros, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_other_size, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_missing, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_patterns, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_malformed, make_tree, remove_tree),
		cmocka_unit_test_setup_teardown(test_resident, make_tree, remove_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
