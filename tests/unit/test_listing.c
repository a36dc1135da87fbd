/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/origin.h"

static void test_names(void **state)
{
	static const char *const bad[] = {"", ".", "..", "/", "a/b", "a/", "/a"};
	static const char *const good[] = {"a", "...", "..a", ".a", " ", "\n", "\xff", "%2f"};
	char longest[257];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(hsm_name_check(bad[i], strlen(bad[i])), -EINVAL);
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(hsm_name_check(good[i], strlen(good[i])), 0);
	assert_int_equal(hsm_name_check("a\0b", 3), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(hsm_name_check(longest, 255), 0);
	assert_int_equal(hsm_name_check(longest, 256), -EINVAL);
}

static void add(struct hsm_listing *l, const char *name, uint64_t size, const char *target)
{
	struct hsm_entry e = {
		.name = name, .size = size, .target = target, .mode = S_IFREG | 0644};

	assert_int_equal(hsm_listing_add(l, &e), 0);
}

static void test_sorted_without_duplicates(void **state)
{
	struct hsm_listing l = {0};

	(void)state;
	add(&l, "b", 1, NULL);
	add(&l, "a", 2, "to");
	add(&l, "b", 3, NULL);
	add(&l, "\xc3\xa9", 4, NULL);
	add(&l, "a", 5, NULL);
	assert_int_equal(hsm_listing_finish(&l), 0);
	assert_int_equal(l.count, 3);
	assert_string_equal(l.entry[0].name, "a");
	assert_int_equal(l.entry[0].size, 2);
	assert_string_equal(l.entry[0].target, "to");
	assert_string_equal(l.entry[1].name, "b");
	assert_int_equal(l.entry[1].size, 1);
	assert_null(l.entry[1].target);
	assert_string_equal(l.entry[2].name, "\xc3\xa9");
	hsm_listing_release(&l);
	assert_int_equal(l.count, 0);
}

static void test_refuses(void **state)
{
	struct hsm_listing l = {0};
	struct hsm_entry e = {.name = "a/b"};

	(void)state;
	assert_int_equal(hsm_listing_add(&l, &e), -EINVAL);
	assert_int_equal(l.count, 0);
	assert_int_equal(hsm_listing_finish(&l), 0);
	hsm_listing_release(&l);
}

/* The name is copied; strings stay where they are while the listing grows. */
static void test_grows(void **state)
{
	struct hsm_listing l = {0};
	char name[256];

	(void)state;
	for (unsigned int i = 0; i < 30000; i++) {
		snprintf(name, sizeof(name), "%05u%0*d", 29999 - i, i % 250 + 1, 0);
		add(&l, name, i, NULL);
	}
	assert_int_equal(hsm_listing_finish(&l), 0);
	assert_int_equal(l.count, 30000);
	for (unsigned int i = 0; i < 30000; i++) {
		snprintf(name, sizeof(name), "%05u%0*d", i, (29999 - i) % 250 + 1, 0);
		assert_string_equal(l.entry[i].name, name);
		assert_int_equal(l.entry[i].size, 29999 - i);
	}
	hsm_listing_release(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_sorted_without_duplicates),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
