/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hsm/err.h"
#include "hsm/options.h"

static void sizes(void **unused)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"0", 0}, {"512", 512}, {"64K", 65536}, {"64k", 65536}, {"1.5M", 1572864},
		{"2GiB", 2ull << 30}, {"3MB", 3 << 20}, {"1T", 1ull << 40}};
	static const char *const bad[] = {"", "x", "-1", "1Q", "1KK", "9999999P", "nan", "1 K"};
	uint64_t bytes;

	(void)unused;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(hsm_parse_bytes(good[i].text, &bytes), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(hsm_parse_bytes(bad[i], &bytes) < 0);
}

static void durations(void **unused)
{
	static const char *const bad[] = {"", "5x", "-1s", "s", "inf"};
	uint64_t ns;

	(void)unused;
	assert_int_equal(hsm_parse_duration("250us", &ns), 0);
	assert_int_equal(ns, 250000);
	assert_int_equal(hsm_parse_duration("5", &ns), 0);
	assert_int_equal(ns, 5000000000ull);
	assert_int_equal(hsm_parse_duration("1.5ms", &ns), 0);
	assert_int_equal(ns, 1500000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(hsm_parse_duration(bad[i], &ns) < 0);
}

static int set_marker(void *target, const char *value)
{
	*(const char **)target = value;
	return 0;
}

static const struct hsm_option own[] = {
	{'m', "marker", "X", "a row of a program", set_marker}, {0}};

static int parse(struct hsm_options *opt, const char **marker, char **argv, int *first)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	hsm_options_default(opt);
	return hsm_options_parse(opt, own, marker, argc, argv, first);
}

static void both_tables_and_positionals(void **unused)
{
	char *argv[] = {"prog", "origin", "--chunk", "128K", "-m", "x", "cache",
		"--namespace=eager", "--header", "A: b", "-fv", NULL};
	const char *marker = NULL;
	struct hsm_options opt;
	int first;

	(void)unused;
	assert_int_equal(parse(&opt, &marker, argv, &first), 0);
	assert_int_equal(opt.chunk_bytes, 128 << 10);
	assert_int_equal(opt.names, HSM_NS_EAGER);
	assert_int_equal(opt.headers, 1);
	assert_true(opt.foreground);
	assert_int_equal(opt.verbose, 1);
	assert_string_equal(marker, "x");
	assert_string_equal(argv[first], "origin");
	assert_string_equal(argv[first + 1], "cache");
}

static void errors_name_the_option(void **unused)
{
	static char *const wrong[][3] = {{"prog", "--chunk", "3000"}, {"prog", "--chunk", NULL},
		{"prog", "--nonsense", NULL}, {"prog", "--workers", "0"},
		{"prog", "--namespace", "x"}, {"prog", "--header", "no colon"}};

	(void)unused;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char *argv[4] = {wrong[i][0], wrong[i][1], wrong[i][2], NULL};
		const char *marker = NULL;
		struct hsm_options opt;
		int first;

		assert_true(parse(&opt, &marker, argv, &first) < 0);
		assert_true(strlen(hsm_err_text()) > 10);
	}
}

static void help_lists_every_option(void **unused)
{
	char *text = hsm_options_help(own);

	(void)unused;
	assert_non_null(strstr(text, "--marker"));
	assert_non_null(strstr(text, "--bandwidth"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(both_tables_and_positionals),
		cmocka_unit_test(errors_name_the_option),
		cmocka_unit_test(help_lists_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
