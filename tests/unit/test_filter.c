/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "hsm/filter.h"
#include "hsm/origin.h"

/* A rule as on the command line: "+PATTERN", "-PATTERN"; "=PATH" is the subtree. */
static void add(struct hsm_filter *f, const char *rule)
{
	if (*rule == '=')
		assert_int_equal(hsm_filter_set_subtree(f, rule + 1), 0);
	else
		assert_int_equal(hsm_filter_add(f, rule + 1, *rule == '+'), 0);
}

/* A trailing slash of @path means a directory. */
static bool keeps(const struct hsm_filter *f, const char *path)
{
	char copy[PATH_MAX];
	size_t len = strlen(path);
	bool is_dir = len && path[len - 1] == '/';

	memcpy(copy, path, len + 1);
	if (is_dir)
		copy[len - 1] = 0;
	return hsm_filter_keeps(f, copy, is_dir);
}

struct expect {
	const char *path;
	bool kept;
};

static void check(const char *const *rules, const struct expect *expect)
{
	struct hsm_filter f = {0};

	for (; *rules; rules++)
		add(&f, *rules);
	for (; expect->path; expect++)
		if (keeps(&f, expect->path) != expect->kept)
			fail_msg("'%s' is %s", expect->path, expect->kept ? "out" : "kept");
}

#define CHECK(rules, ...) check(rules, (const struct expect[]){__VA_ARGS__, {NULL, false}})
#define RULES(...)	  ((const char *const[]){__VA_ARGS__, NULL})

static void nothing_given(void **unused)
{
	static const char *const none[] = {NULL};

	(void)unused;
	CHECK(none, {"a", true}, {"a/b/", true}, {".hidden", true});
}

static void last_component(void **unused)
{
	(void)unused;
	CHECK(RULES("-*.iso"), {"a.iso", false}, {"d/e/a.iso", false}, {"d.iso/", false},
		{"a.iso.sum", true}, {"iso", true}, {".iso", false});
	CHECK(RULES("-?"), {"a", false}, {"b/a", false}, {"ab", true});
	CHECK(RULES("-[a-c]*"), {"apple", false}, {"dog/cat", false}, {"dog", true});
	CHECK(RULES("-\\*"), {"*", false}, {"a", true});
}

static void whole_path(void **unused)
{
	(void)unused;
	CHECK(RULES("-/tmp"), {"tmp", false}, {"tmp/", false}, {"a/tmp", true});
	CHECK(RULES("-a/*.c"), {"a/x.c", false}, {"a/b/x.c", true}, {"b/a/x.c", true});
	CHECK(RULES("-*/x"), {"a/x", false}, {"x", true}, {"a/b/x", true});
	CHECK(RULES("-a?b"), {"a/b", true}, {"axb", false});
}

static void directories_only(void **unused)
{
	(void)unused;
	CHECK(RULES("-old/"), {"old/", false}, {"a/old/", false}, {"old", true});
	CHECK(RULES("-/old/"), {"old/", false}, {"a/old/", true}, {"old", true});
	CHECK(RULES("-a/old/"), {"a/old/", false}, {"b/a/old/", true}, {"old/", true});
	CHECK(RULES("-*/"), {"a/", false}, {"a/b/", false}, {"a", true});
}

static void first_match_decides(void **unused)
{
	(void)unused;
	CHECK(RULES("+keep.iso", "-*.iso"), {"keep.iso", true}, {"a.iso", false}, {"b", true});
	CHECK(RULES("-*.iso", "+keep.iso"), {"keep.iso", false}, {"b", true});
	CHECK(RULES("+*/", "+*.c", "-*"), {"a/", true}, {"a/x.c", true}, {"a/x.h", false});
	CHECK(RULES("+*.c"), {"x.h", true});
}

static void subtree(void **unused)
{
	(void)unused;
	CHECK(RULES("=a/b"), {"a/", true}, {"a/b/", true}, {"a/b/c", true}, {"a/b/c/d/", true},
		{"a/c", false}, {"a/bc/", false}, {"ab/", false}, {"b/", false}, {"x", false},
		{"a", false}, {"a/b", false});
	CHECK(RULES("=/a/b/"), {"a/", true}, {"a/b/c", true}, {"a/c", false});
	CHECK(RULES("=a/b", "-*"), {"a/", true}, {"a/b/", true}, {"a/b/c", false});
	CHECK(RULES("=a", "-a/x", "-x/"), {"a/x", false}, {"a/y", true}, {"a/y/x/", false});
}

static void refused(void **unused)
{
	static const char *const patterns[] = {"", "/", "//", "a//b", "**/x", "a/**", "x//"};
	static const char *const subtrees[] = {"", "/", ".", "a/..", "../a", "a//b", "./a"};
	struct hsm_filter f = {0};

	(void)unused;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		assert_int_equal(hsm_filter_add(&f, patterns[i], true), -EINVAL);
	for (size_t i = 0; i < sizeof(subtrees) / sizeof(subtrees[0]); i++)
		assert_int_equal(hsm_filter_set_subtree(&f, subtrees[i]), -EINVAL);
	for (int i = 0; i < HSM_FILTER_RULES; i++)
		assert_int_equal(hsm_filter_add(&f, "x", false), 0);
	assert_int_equal(hsm_filter_add(&f, "x", false), -EINVAL);
}

static void a_listing(void **unused)
{
	static const char *const names[] = {"a", "b.iso", "c", "d.iso"};
	struct hsm_listing l = {0};
	struct hsm_filter f = {0};

	(void)unused;
	for (size_t i = 0; i < 4; i++) {
		struct hsm_entry e = {
			.name = names[i], .mode = i == 2 ? S_IFDIR | 0755 : S_IFREG | 0644};

		assert_int_equal(hsm_listing_add(&l, &e), 0);
	}
	hsm_filter_listing(&f, "dir", &l);
	assert_int_equal(l.count, 4);
	add(&f, "-dir/*.iso");
	add(&f, "-c/");
	hsm_filter_listing(&f, "dir", &l);
	assert_int_equal(l.count, 1);
	assert_string_equal(l.entry[0].name, "a");
	hsm_listing_release(&l);
}

/* A name near the limit of paths must not be cut and then match something else. */
static void long_paths(void **unused)
{
	char path[PATH_MAX];
	struct hsm_filter f = {0};

	(void)unused;
	memset(path, 'x', sizeof(path));
	path[PATH_MAX - 1] = 0;
	for (size_t i = 200; i < PATH_MAX - 1; i += 200)
		path[i] = '/';
	add(&f, "-xx*");
	assert_false(hsm_filter_keeps(&f, path, true));
	add(&f, "+*");
	assert_false(hsm_filter_keeps(&f, path, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given),
		cmocka_unit_test(last_component),
		cmocka_unit_test(whole_path),
		cmocka_unit_test(directories_only),
		cmocka_unit_test(first_match_decides),
		cmocka_unit_test(subtree),
		cmocka_unit_test(refused),
		cmocka_unit_test(a_listing),
		cmocka_unit_test(long_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
