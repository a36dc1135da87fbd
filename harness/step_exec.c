/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of a step: the measured one and those around it. */
#include <errno.h>
#include <string.h>

#include "harness/err.h"
#include "harness/fio.h"
#include "harness/step_run.h"
#include "harness/util.h"

/* Runs a command of the manifest that is not measured. */
static int side_command(struct bench_step_run *r, const char *text, const char *what)
{
	auto_free char *shell = NULL;
	auto_free char *log = bench_fmt("%s.%s", r->raw, what);
	struct bench_exec e = {
		.cwd = r->cell->scratch,
		.out_path = log,
		.merge = true,
		.timeout_ns = r->step->timeout_ns,
	};
	int ret = bench_vars_expand(r->cell->vars, text, &shell);

	e.shell = shell;
	if (ret == 0)
		ret = bench_exec_run(&e);
	if (ret < 0)
		return ret;
	if (e.interrupted)
		return bench_err(EINTR, "interrupted");
	if (e.code || e.timed_out)
		return bench_err(EIO, "%s %s, see %s", what,
			e.timed_out ? "did not end" : "failed", log);
	unlink(log);
	return 0;
}

int bench_step_prepare(struct bench_step_run *r)
{
	return r->step->prepare ? side_command(r, r->step->prepare, "prepare") : 0;
}

/* In a child, because a hung engine may hang whoever touches its file system. */
int bench_step_clean(struct bench_step_run *r)
{
	int ret = r->step->cleanup ? side_command(r, r->step->cleanup, "cleanup") : 0;

	return ret < 0 ? ret
		       : side_command(r, "find \"${scratch}\" -mindepth 1 -delete", "scratch");
}

static int fio_command(struct bench_step_run *r, const char *output, char **ret_shell)
{
	auto_free char *job = bench_fmt("%s/%s", r->cell->plan->workload->dir, r->text);
	auto_free char *own = bench_fmt("%s.fio", r->raw);
	int ret = bench_fio_expand(job, r->cell->vars, own);

	if (ret == 0)
		*ret_shell = bench_fmt(
			"exec fio --output-format=json+ --output='%s' '%s'", output, own);
	return ret;
}

static int judge(struct bench_step_run *r, const struct bench_exec *e)
{
	if (e->interrupted)
		return bench_err(EINTR, "interrupted");
	if (e->timed_out)
		return bench_err(ETIMEDOUT, "did not end in %llu s, stacks in %s.stacks",
			(unsigned long long)(r->step->timeout_ns / BENCH_NSEC), r->raw);
	if (!bench_step_accepts(r->step, e->code))
		return bench_err(EIO, "exit code %d, see %s.err", e->code, r->raw);
	return 0;
}

int bench_step_execute(struct bench_step_run *r, const char *fio_output, struct bench_exec *e)
{
	auto_free char *shell = NULL;
	auto_free char *stacks = bench_fmt("%s.stacks", r->raw);
	int ret;

	if (r->step->kind == BENCH_STEP_FIO)
		ret = fio_command(r, fio_output, &shell);
	else
		ret = bench_vars_expand(r->cell->vars, r->text, &shell);
	if (ret < 0)
		return ret;
	e->shell = shell;
	e->cwd = r->cell->scratch;
	e->timeout_ns = r->step->timeout_ns;
	e->stacks_path = stacks;
	ret = bench_exec_run(e);
	e->shell = e->stacks_path = NULL;
	return ret < 0 ? ret : judge(r, e);
}

int bench_step_rehearse(struct bench_step_run *r)
{
	auto_free char *err = bench_fmt("%s.err", r->raw);
	struct bench_exec e = {.err_path = err};
	int ret = bench_step_execute(r, "/dev/null", &e);

	if (ret == 0)
		ret = bench_step_clean(r);
	return ret < 0 ? ret : bench_step_prepare(r);
}
