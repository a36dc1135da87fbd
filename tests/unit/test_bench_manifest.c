/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Manifests: syntax, placeholders, presets, overrides, defaults and bad input. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness/catalog.h"
#include "harness/engine.h"
#include "harness/err.h"
#include "harness/util.h"
#include "harness/workload.h"

static char *write_manifest(const char *text)
{
	char *path = bench_strdup("/tmp/bench_manifest_XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(bench_file_write(path, text), 0);
	return path;
}

static int load(const char *text, struct bench_workload **ret_w)
{
	auto_free char *path = write_manifest(text);
	int ret = bench_workload_load(path, ret_w);

	unlink(path);
	return ret;
}

static const char good[] = "# comment\n"
			   "[workload]\n"
			   "name = demo\n"
			   "input = tar\n"
			   "tags = a b,c\n"
			   "device_bytes = 2GiB\n"
			   "[preset quick]\n"
			   "n = 10\n"
			   "[preset default]\n"
			   "n = 1000\n"
			   "m = 7\n"
			   "[preset publish]\n"
			   "n = 9999\n"
			   "[step one]\n"
			   "run = echo a ; echo b\n"
			   "  echo c\n"
			   "run.native = echo native\n"
			   "run.native.cold-origin = echo origin\n"
			   "run.other = -\n"
			   "states = cold-origin warm\n"
			   "files = a/*\n"
			   "accept = 0 1\n"
			   "timeout = 5\n"
			   "[step two]\n"
			   "kind = fio\n"
			   "job = fio/x.fio\n"
			   "files = plain\n"
			   "restart = yes\n";

static void test_workload(void **state)
{
	struct bench_workload *w;

	(void)state;
	assert_int_equal(load(good, &w), 0);
	assert_string_equal(w->name, "demo");
	assert_string_equal(w->title, "demo");
	assert_int_equal(w->device_bytes, 2ULL << 30);
	assert_int_equal(bench_strv_len(w->tags), 3);
	assert_int_equal(w->steps, 2);
	assert_int_equal(w->step[0].states, 1u << BENCH_COLD_ORIGIN | 1u << BENCH_WARM);
	assert_int_equal(w->step[0].timeout_ns, 5 * BENCH_NSEC);
	assert_string_equal(w->step[0].main, "wall");
	assert_string_equal(w->step[1].main, "bw");
	assert_int_equal(w->step[1].kind, BENCH_STEP_FIO);
	assert_true(w->step[1].restart);
	bench_workload_free(w);
}

/* libinih alone would end the value at " ;". */
static void test_semicolon_and_continuation(void **state)
{
	struct bench_workload *w;

	(void)state;
	assert_int_equal(load(good, &w), 0);
	assert_string_equal(w->step[0].run, "echo a ; echo b\necho c");
	bench_workload_free(w);
}

static void test_overrides(void **state)
{
	struct bench_workload *w;
	const struct bench_step *s;

	(void)state;
	assert_int_equal(load(good, &w), 0);
	s = &w->step[0];
	assert_string_equal(bench_step_run(s, "native", BENCH_COLD_ORIGIN), "echo origin");
	assert_string_equal(bench_step_run(s, "native", BENCH_WARM), "echo native");
	assert_string_equal(bench_step_run(s, "fan", BENCH_WARM), s->run);
	assert_null(bench_step_run(s, "other", BENCH_WARM));
	assert_true(bench_step_overrides(s, "native", BENCH_COLD_ORIGIN));
	assert_false(bench_step_overrides(s, "native", BENCH_WARM));
	bench_workload_free(w);
}

static void test_questions(void **state)
{
	struct bench_workload *w;

	(void)state;
	assert_int_equal(load(good, &w), 0);
	assert_true(bench_step_accepts(&w->step[0], 1));
	assert_false(bench_step_accepts(&w->step[0], 2));
	assert_true(bench_step_accepts(&w->step[1], 0));
	assert_false(bench_step_accepts(&w->step[1], 1));
	assert_false(bench_step_names_known(&w->step[0]));
	assert_true(bench_step_names_known(&w->step[1]));
	bench_workload_free(w);
}

static void check_param(const char *preset, const char *n, const char *m)
{
	struct bench_vars *vars = bench_vars_new(NULL);
	struct bench_workload *w;
	const char *value;

	assert_int_equal(load(good, &w), 0);
	bench_workload_params(w, preset, vars);
	assert_string_equal(bench_vars_get(vars, "param.n"), n);
	value = bench_vars_get(vars, "param.m");
	if (m)
		assert_string_equal(value, m);
	else
		assert_null(value);
	bench_vars_free(vars);
	bench_workload_free(w);
}

static void test_presets(void **state)
{
	(void)state;
	check_param("quick", "10", NULL);
	check_param("default", "1000", "7");
	check_param("publish", "9999", "7");
}

/* Each is refused, and the sentence names the line or the thing. */
static void test_bad(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"[workload]\ninput = x\n", "no [step NAME]"},
		{"[workload]\nname = x\n[step a]\nrun = x\n", "no input"},
		{"[workload]\ninput = x\n[step a]\ntitle = x\n", "has no run"},
		{"[workload]\ninput = x\n[step a]\nkind = fio\n", "has no job"},
		{"[workload]\ninput = x\nwrong = 1\n", ":3: unknown key 'wrong'"},
		{"[workload]\ninput = x\n[step a]\nstates = hot\n", "unknown state 'hot'"},
		{"[workload]\ninput = x\n[step a]\ntimeout = 0\n", "not a number of seconds"},
		{"[workload]\ninput = x\n[step a]\nrestart = maybe\n", "neither yes nor no"},
		{"[workload]\ndevice_bytes = 3X\n", "not a size"},
		{"[thing]\nx = 1\n", "unknown section [thing]"},
		{"[workload]\nnonsense\n", ":2: expected"},
	};

	(void)state;
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(bad); i++) {
		struct bench_workload *w = NULL;

		assert_int_equal(load(bad[i].text, &w), -EINVAL);
		assert_null(w);
		if (!strstr(bench_err_text(), bad[i].says))
			fail_msg("'%s' does not say '%s'", bench_err_text(), bad[i].says);
	}
}

/* A line libinih would cut without a word. */
static void test_long_line(void **state)
{
	char text[1024] = "[workload]\ninput = ";
	struct bench_workload *w = NULL;
	size_t n = strlen(text);

	(void)state;
	memset(text + n, 'x', 400);
	text[n + 400] = '\n';
	text[n + 401] = '\0';
	assert_int_equal(load(text, &w), -EINVAL);
	assert_non_null(strstr(bench_err_text(), ":2: line too long"));
}

static void test_engine_choice(void **state)
{
	auto_free char *path = write_manifest("[engine]\ntree = x\nextra = yes\nset = /a=1\n");
	struct bench_engine *e = NULL;

	(void)state;
	assert_int_equal(bench_engine_load(path, &e), 0);
	assert_true(e->extra);
	assert_string_equal(e->set, "/a=1");
	bench_engine_free(e);
	assert_int_equal(bench_file_write(path, "[engine]\ntree = x\nextra = maybe\n"), 0);
	assert_int_equal(bench_engine_load(path, &e), -EINVAL);
	unlink(path);
}

static void write_in(const char *dir, const char *name, const char *text)
{
	auto_free char *path = bench_fmt("%s/%s", dir, name);
	auto_free char *parent = bench_fmt("%.*s", (int)(strrchr(path, '/') - path), path);

	assert_int_equal(bench_mkdirs(parent), 0);
	assert_int_equal(bench_file_write(path, text), 0);
}

/* The default engines, those by name, and those that nobody has. */
static void test_catalog(void **state)
{
	static const struct {
		const char *engines;
		int result;
		bool native, pt;
	} cases[] = {
		{NULL, 0, true, false},
		{"fuse-pt", 0, false, true},
		{"native,fuse-*", 0, true, true},
		{"fuse-none", -ENOENT, false, false},
	};
	char home[] = "/tmp/bench_catalog_XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(home));
	write_in(home, "workloads/demo.ini", good);
	write_in(home, "harness/engines/native.ini", "[engine]\ntree = x\n");
	write_in(home, "harness/engines/fuse-pt.ini", "[engine]\ntree = x\nextra = yes\n");
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(cases); i++) {
		struct bench_catalog c;
		bool native = false, pt = false;

		assert_int_equal(bench_catalog_load(home, &c), 0);
		assert_int_equal(
			bench_catalog_select(&c, NULL, cases[i].engines), cases[i].result);
		for (size_t k = 0; cases[i].result == 0 && k < c.engines; k++) {
			native |= !strcmp(c.engine[k]->name, "native");
			pt |= !strcmp(c.engine[k]->name, "fuse-pt");
		}
		assert_int_equal(native, cases[i].native);
		assert_int_equal(pt, cases[i].pt);
		bench_catalog_release(&c);
	}
	bench_rmtree(home);
}

/* Those of the tree: what runs when none is named, and every way fan_hsm can watch. */
static void test_engines_of_the_tree(void **state)
{
	static const struct {
		const char *engines, *expect;
	} cases[] = {
		{NULL, "native fuse-default fan-fs "},
		{"fan-*", "fan-fs fan-mount fan-dir fan-inode fan-perm "},
	};

	(void)state;
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(cases); i++) {
		char names[256] = "";
		struct bench_catalog c;

		assert_int_equal(bench_catalog_load(".", &c), 0);
		assert_int_equal(bench_catalog_select(&c, NULL, cases[i].engines), 0);
		for (size_t k = 0; k < c.engines; k++)
			strcat(strcat(names, c.engine[k]->name), " ");
		assert_string_equal(names, cases[i].expect);
		bench_catalog_release(&c);
	}
}

static void test_engine(void **state)
{
	auto_free char *path = write_manifest("[engine]\nname = e\ntree = ${mnt}\n"
					      "start = a\nstatus = b\nstop = c\n");
	struct bench_engine *e = NULL;

	(void)state;
	assert_int_equal(bench_engine_load(path, &e), 0);
	assert_string_equal(e->tree, "${mnt}");
	bench_engine_free(e);
	assert_int_equal(bench_file_write(path, "[engine]\ntree = x\nstart = a\n"), 0);
	assert_int_equal(bench_engine_load(path, &e), -EINVAL);
	assert_non_null(strstr(bench_err_text(), "needs status and stop"));
	unlink(path);
}

static void test_expand(void **state)
{
	struct bench_vars *outer = bench_vars_new(NULL), *inner = bench_vars_new(outer);
	auto_free char *text = NULL;

	(void)state;
	bench_vars_set(outer, "a", "1");
	bench_vars_set(outer, "b", "outer");
	bench_vars_set(inner, "b", "${a}");
	assert_int_equal(bench_vars_expand(inner, "${a}-${b} $x $${a} $(y)", &text), 0);
	assert_string_equal(text, "1-${a} $x ${a} $(y)");
	assert_int_equal(bench_vars_expand(inner, "${nobody}", &text), -EINVAL);
	assert_non_null(strstr(bench_err_text(), "${nobody}"));
	assert_int_equal(bench_vars_expand(inner, "${a", &text), -EINVAL);
	bench_vars_free(inner);
	bench_vars_free(outer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_workload),
		cmocka_unit_test(test_semicolon_and_continuation),
		cmocka_unit_test(test_overrides),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_presets),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_engine),
		cmocka_unit_test(test_engine_choice),
		cmocka_unit_test(test_catalog),
		cmocka_unit_test(test_engines_of_the_tree),
		cmocka_unit_test(test_expand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
