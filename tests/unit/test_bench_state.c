/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state file: what a killed owner leaves can be read, what a living one holds cannot be taken. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "harness/err.h"
#include "harness/knob.h"
#include "harness/proc.h"
#include "harness/release.h"
#include "harness/state.h"
#include "harness/util.h"

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/bench_state_XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return bench_rmtree(dir);
}

static char *state_path(void)
{
	return bench_fmt("%s/s1.state", dir);
}

static void test_stack(void **state)
{
	auto_free char *path = state_path();
	struct bench_state *s, *other;

	(void)state;
	assert_int_equal(bench_state_new(dir, "s1", &s), 0);
	assert_int_equal(bench_state_push(s, BENCH_HELD_MOUNT, "/a b"), 0);
	assert_int_equal(bench_state_push(s, BENCH_HELD_LOOP, "/dev/loop0 /x"), 0);
	bench_state_pop(s);
	assert_int_equal(bench_state_push(s, BENCH_HELD_PID, "1 2"), 0);
	assert_int_equal(bench_state_open(path, &other), -EBUSY);
	assert_int_equal(bench_state_push(s, BENCH_HELD_DIR, "/a\nb"), -EINVAL);
	assert_int_equal(bench_state_count(s), 2);
	bench_state_close(s);

	assert_int_equal(bench_state_open(path, &s), 0);
	assert_string_equal(bench_state_session(s), "s1");
	assert_int_equal(bench_state_count(s), 2);
	assert_string_equal(bench_state_kind(s, 0), BENCH_HELD_MOUNT);
	assert_string_equal(bench_state_value(s, 0), "/a b");
	assert_string_equal(bench_state_value(s, 1), "1 2");
	bench_state_pop(s);
	bench_state_pop(s);
	bench_state_close(s);
	assert_false(bench_exists(path));
}

static void test_not_a_state_file(void **state)
{
	auto_free char *path = state_path();
	struct bench_state *s;

	(void)state;
	assert_int_equal(bench_state_open(path, &s), -ENOENT);
	assert_int_equal(bench_file_write(path, "something else\n"), 0);
	assert_int_equal(bench_state_open(path, &s), -EINVAL);
	unlink(path);
}

/* Owner and a process that left its group, both killed without warning. */
static pid_t start_owner(pid_t *ret_daemon)
{
	auto_free char *held = bench_fmt("%s/held", dir);
	struct bench_state *s;
	int fds[2];
	pid_t owner;

	assert_int_equal(pipe(fds), 0);
	owner = fork();
	assert_true(owner >= 0);
	if (owner == 0) {
		pid_t pid;

		if (bench_state_new(dir, "s1", &s) < 0 ||
			bench_state_push(s, BENCH_HELD_DIR, held) < 0 || bench_mkdirs(held) < 0)
			_exit(1);
		bench_proc_tag("s1");
		pid = fork();
		if (pid == 0) {
			setsid();
			execl("/bin/sleep", "sleep", "60", (char *)NULL);
			_exit(127);
		}
		if (write(fds[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		pause();
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], ret_daemon, sizeof(*ret_daemon)), sizeof(*ret_daemon));
	close(fds[0]);
	return owner;
}

static void test_killed_owner(void **state)
{
	auto_free char *held = bench_fmt("%s/held", dir);
	auto_free char *path = state_path();
	unsigned int found;
	pid_t daemon, owner = start_owner(&daemon);

	(void)state;
	bench_sleep_ns(100 * BENCH_MSEC); /* until the daemon runs its own program */
	assert_int_equal(bench_release_dead(dir, &found), 0);
	assert_int_equal(found, 0);
	assert_true(bench_proc_alive(daemon));

	kill(owner, SIGKILL);
	waitpid(owner, NULL, 0);
	assert_int_equal(bench_release_dead(dir, &found), 0);
	assert_int_equal(found, 1);
	assert_false(bench_proc_alive(daemon));
	assert_false(bench_exists(held));
	assert_false(bench_exists(path));
}

/* A pid that now belongs to another process is left alone. */
static void test_reused_pid(void **state)
{
	auto_free char *item = bench_fmt(
		"%d %llu", getpid(), (unsigned long long)bench_proc_start(getpid()) + 1);
	struct bench_state *s;

	(void)state;
	assert_int_equal(bench_state_new(dir, "s1", &s), 0);
	assert_int_equal(bench_state_push(s, BENCH_HELD_PID, item), 0);
	assert_int_equal(bench_release(s, 0, 0), 0);
	assert_int_equal(bench_state_count(s), 0);
	bench_state_close(s);
}

/* A setting is put back by whoever finds the state, with what was there before. */
static void test_knob(void **state)
{
	auto_free char *knob = bench_fmt("%s/knob", dir);
	auto_free char *words = bench_fmt("%s=Y", knob);
	auto_free char *missing = bench_fmt("%s=Y %s/none=1", knob, dir);
	auto_free char *value = NULL;
	struct bench_state *s;
	unsigned int found;

	(void)state;
	assert_int_equal(bench_file_write(knob, "N\n"), 0);
	assert_int_equal(bench_state_new(dir, "s1", &s), 0);
	assert_int_equal(bench_knob_set_all(s, words), 0);
	value = bench_file_line(knob);
	assert_string_equal(value, "Y");
	/* Nothing to put back twice, and what cannot be set takes nothing. */
	assert_int_equal(bench_knob_set_all(s, missing), -ENOENT);
	assert_int_equal(bench_state_count(s), 1);
	bench_state_close(s);

	assert_int_equal(bench_release_dead(dir, &found), 0);
	assert_int_equal(found, 1);
	free(value);
	value = bench_file_line(knob);
	assert_string_equal(value, "N");
}

/* A setting that is gone needs no putting back. */
static void test_knob_gone(void **state)
{
	auto_free char *item = bench_fmt("%s/none 1", dir);

	(void)state;
	assert_int_equal(bench_knob_put_back(item), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stack, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_not_a_state_file, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_killed_owner, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_reused_pid, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_knob, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_knob_gone, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
