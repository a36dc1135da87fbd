/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running commands: exit codes, output, time limit, leftovers, CPU time. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness/err.h"
#include "harness/exec.h"
#include "harness/proc.h"
#include "harness/util.h"

static struct bench_exec run(const char *shell, uint64_t timeout_ns)
{
	struct bench_exec e = {.shell = shell, .timeout_ns = timeout_ns};

	assert_int_equal(bench_exec_run(&e), 0);
	return e;
}

static void test_codes(void **state)
{
	(void)state;
	assert_int_equal(run("true", BENCH_NSEC).code, 0);
	assert_int_equal(run("exit 7", BENCH_NSEC).code, 7);
	assert_int_equal(run("kill -TERM $$", BENCH_NSEC).code, 128 + SIGTERM);
	assert_int_equal(run("/nonexistent/program 2>/dev/null", BENCH_NSEC).code, 127);
}

static void test_first_byte(void **state)
{
	struct bench_exec e = run("sleep 0.2; echo x; sleep 0.2; echo y", 10 * BENCH_NSEC);
	struct bench_exec silent = run("true", BENCH_NSEC);

	(void)state;
	assert_int_equal(e.out_bytes, 4);
	assert_true(e.first_byte_ns - e.start_ns >= 200 * BENCH_MSEC);
	assert_true(e.end_ns - e.first_byte_ns >= 200 * BENCH_MSEC);
	assert_int_equal(silent.first_byte_ns, 0);
}

/* More than a pipe holds, and more than is kept. */
static void test_output(void **state)
{
	auto_free char *out = NULL;

	(void)state;
	assert_int_equal(run("head -c 9000000 /dev/zero", 10 * BENCH_NSEC).out_bytes, 9000000);
	assert_int_equal(
		bench_exec_output("echo out; echo err >&2; exit 3", BENCH_NSEC, &out), 3);
	assert_string_equal(out, "out\nerr\n");
}

static void test_timeout(void **state)
{
	uint64_t start = bench_now_ns();
	struct bench_exec e = run("trap '' TERM; sleep 60 & wait", 200 * BENCH_MSEC);
	auto_free char *out = NULL;

	(void)state;
	assert_true(e.timed_out);
	assert_int_equal(e.code, 128 + SIGKILL);
	assert_true(bench_now_ns() - start < 5 * BENCH_NSEC);
	assert_int_equal(bench_exec_output("sleep 60", 100 * BENCH_MSEC, &out), -ETIMEDOUT);
	assert_null(out);
}

/* What a command leaves in its process group ends with it. */
static void test_leftover(void **state)
{
	auto_free char *out = NULL;
	uint64_t start = bench_now_ns();
	pid_t pid;

	(void)state;
	assert_int_equal(bench_exec_output("sleep 60 & echo $!", 10 * BENCH_NSEC, &out), 0);
	assert_true(bench_now_ns() - start < 5 * BENCH_NSEC);
	pid = atoi(out);
	assert_true(pid > 0);
	for (int i = 0; i < 100 && bench_proc_alive(pid); i++)
		bench_sleep_ns(10 * BENCH_MSEC);
	assert_false(bench_proc_alive(pid));
}

static void test_cpu(void **state)
{
	struct bench_exec e =
		run("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done", 20 * BENCH_NSEC);
	struct bench_exec idle = run("sleep 0.1", BENCH_NSEC);

	(void)state;
	assert_true(e.user_ns + e.sys_ns > 5 * BENCH_MSEC);
	assert_true(e.user_ns + e.sys_ns <= 2 * (e.end_ns - e.start_ns));
	assert_true(idle.user_ns + idle.sys_ns < 100 * BENCH_MSEC);
	assert_true(bench_proc_cpu_ns(getpid()) > 0);
	assert_true(bench_proc_rss_bytes(getpid()) > 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_first_byte),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_leftover),
		cmocka_unit_test(test_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
