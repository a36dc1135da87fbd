/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/daemon.h"

#include <errno.h>
#include <string.h>

#include "harness/err.h"
#include "harness/exec.h"
#include "harness/proc.h"
#include "harness/util.h"

#define SETUP_TIMEOUT_NS  (600 * BENCH_NSEC)
#define START_TIMEOUT_NS  (60 * BENCH_NSEC)
#define STATUS_TIMEOUT_NS (10 * BENCH_NSEC)
#define STOP_TIMEOUT_NS	  (20 * BENCH_NSEC)
#define END_TIMEOUT_NS	  (10 * BENCH_NSEC)
#define POLL_NS		  BENCH_MSEC

/* Last line that is not empty; cuts @text. */
static const char *last_line(char *text)
{
	char *end = text + strlen(text);
	char *newline;

	while (end > text && (end[-1] == '\n' || end[-1] == ' '))
		*--end = '\0';
	newline = strrchr(text, '\n');
	return newline ? newline + 1 : text;
}

static int fail_with_log(const char *what, const struct bench_exec *e, const char *log)
{
	auto_free char *text = NULL;

	if (e->interrupted)
		return bench_err(EINTR, "interrupted");
	if (e->timed_out)
		return bench_err(ETIMEDOUT, "%s did not return in %llu s", what,
			(unsigned long long)(e->timeout_ns / BENCH_NSEC));
	if (bench_file_read(log, &text) < 0)
		text = bench_strdup("");
	return bench_err(EIO, "%s ended with %d: %s", what, e->code, last_line(text));
}

/*
 * Into a file and not through a pipe of ours: a daemon may keep its stderr.
 */
static int run_logged(const struct bench_daemon *d, const char *command, const char *what,
	const char *log, uint64_t timeout_ns)
{
	auto_free char *text = NULL;
	auto_free char *shell = NULL;
	struct bench_exec e = {.timeout_ns = timeout_ns};
	int ret = bench_vars_expand(d->vars, command, &text);

	if (ret < 0)
		return ret;
	shell = bench_fmt("exec >>'%s' 2>&1; %s", log, text);
	e.shell = shell;
	ret = bench_exec_run(&e);
	if (ret == 0 && (e.code || e.timed_out || e.interrupted))
		ret = fail_with_log(what, &e, log);
	return ret;
}

static int find_pid(struct bench_daemon *d, struct bench_state *held)
{
	json_t *status = NULL;
	auto_free char *item = NULL;
	int ret = bench_daemon_status(d, NULL, &status);

	if (ret < 0)
		return ret;
	d->pid = (pid_t)json_integer_value(json_object_get(status, "pid"));
	json_decref(status);
	if (!bench_proc_alive(d->pid))
		return bench_err(
			EIO, "%s: the status names no living process as pid", d->engine->name);
	item = bench_fmt("%d %llu", d->pid, (unsigned long long)bench_proc_start(d->pid));
	return bench_state_push(held, BENCH_HELD_PID, item);
}

int bench_daemon_start(struct bench_daemon *d, struct bench_state *held, const char *log)
{
	const struct bench_engine *e = d->engine;
	int ret = 0;

	d->pid = 0;
	if (e->setup)
		ret = run_logged(d, e->setup, "setup", log, SETUP_TIMEOUT_NS);
	if (ret < 0 || !e->start)
		return ret;
	ret = run_logged(d, e->start, "start", log, START_TIMEOUT_NS);
	return ret < 0 ? ret : find_pid(d, held);
}

int bench_daemon_status(const struct bench_daemon *d, const char *raw_path, json_t **ret_status)
{
	auto_free char *shell = NULL;
	auto_free char *out = NULL;
	json_error_t err;
	json_t *status;
	int ret;

	if (!d->engine->start) {
		*ret_status = NULL;
		return 0;
	}
	ret = bench_vars_expand(d->vars, d->engine->status, &shell);
	if (ret < 0)
		return ret;
	ret = bench_exec_output(shell, STATUS_TIMEOUT_NS, &out);
	if (ret < 0)
		return ret;
	if (ret > 0)
		return bench_err(
			EIO, "status of %s failed: %s", d->engine->name, last_line(out));
	if (raw_path)
		bench_file_write(raw_path, out);
	status = json_loads(out, 0, &err);
	if (!json_is_object(status)) {
		json_decref(status);
		return bench_err(EIO, "status of %s is not a JSON object: %s", d->engine->name,
			err.text);
	}
	*ret_status = status;
	return 0;
}

static int wait_end(struct bench_daemon *d)
{
	uint64_t deadline = bench_now_ns() + END_TIMEOUT_NS;

	while (bench_proc_alive(d->pid)) {
		if (bench_now_ns() > deadline)
			return bench_err(ETIMEDOUT, "%s (pid %d) did not end after stop",
				d->engine->name, d->pid);
		bench_sleep_ns(POLL_NS);
	}
	d->pid = 0;
	return 0;
}

int bench_daemon_stop(struct bench_daemon *d)
{
	auto_free char *shell = NULL;
	auto_free char *out = NULL;
	int ret;

	if (!d->pid || !bench_proc_alive(d->pid))
		return 0;
	ret = bench_vars_expand(d->vars, d->engine->stop, &shell);
	if (ret == 0)
		ret = bench_exec_output(shell, STOP_TIMEOUT_NS, &out);
	if (ret > 0)
		ret = bench_err(EIO, "stop of %s failed: %s", d->engine->name, last_line(out));
	return ret < 0 ? ret : wait_end(d);
}

bool bench_daemon_alive(const struct bench_daemon *d)
{
	return !d->pid || bench_proc_alive(d->pid);
}
