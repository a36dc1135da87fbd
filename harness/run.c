/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `run` and `bench`: from options to a complete result set. */
#include "harness/run.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "harness/cell.h"
#include "harness/cmd.h"
#include "harness/environ.h"
#include "harness/err.h"
#include "harness/exec.h"
#include "harness/plot.h"
#include "harness/progress.h"
#include "harness/report.h"
#include "harness/signals.h"
#include "harness/util.h"

#define GENERATE_TIMEOUT_NS (3600 * BENCH_NSEC)
#define FREE_MIN_BYTES	    (4ULL << 30)

struct job {
	struct bench_session session;
	struct bench_catalog catalog;
	struct bench_plan plan;
	char **engine_why; /* per engine of the catalog: why it cannot run, "" = it can */
};

/* Makes the inputs of the chosen workloads; quick if they are there. */
static int generate(struct job *j)
{
	struct bench_session *s = &j->session;
	const char *preset = strcmp(s->opt.preset, "quick") ? "default" : "quick";
	auto_free char *log = bench_session_raw(s, "hsmgen.log");
	char *shell = bench_fmt("'%s/hsmgen' --preset %s --out '%s'", s->bin, preset, s->data);
	struct bench_exec e = {
		.timeout_ns = GENERATE_TIMEOUT_NS, .out_path = log, .merge = true};
	auto_free char *said = NULL;
	int ret;

	for (size_t i = 0; i < j->catalog.workloads; i++) {
		char *longer = bench_fmt("%s '%s'", shell, j->catalog.workload[i]->input);

		free(shell);
		shell = longer;
	}
	e.shell = shell;
	ret = bench_exec_run(&e);
	free(shell);
	if (ret < 0 || e.interrupted)
		return ret < 0 ? ret : bench_err(EINTR, "interrupted while making the input");
	said = bench_file_line(log);
	if (e.code)
		return bench_err(EIO, "hsmgen failed (%d): %s", e.code, said);
	return 0;
}

static int check_space(const struct bench_session *s)
{
	struct statvfs v;

	if (statvfs(s->work, &v) < 0)
		return bench_err(errno, "cannot look at %s: %s", s->work, strerror(errno));
	if ((uint64_t)v.f_bavail * v.f_frsize < FREE_MIN_BYTES)
		return bench_err(ENOSPC, "less than %llu GiB free at %s; use --work",
			FREE_MIN_BYTES >> 30, s->work);
	return 0;
}

static void check_engines(struct job *j)
{
	for (size_t i = 0; i < j->catalog.engines; i++) {
		const struct bench_engine *e = j->catalog.engine[i];
		int ret = bench_engine_check(e, j->session.vars);

		bench_strv_add(&j->engine_why, ret < 0 ? bench_err_text() : "");
		if (ret < 0)
			bench_say("engine %s is skipped: %s", e->name, bench_err_text());
	}
}

static const char *engine_why(const struct job *j, const struct bench_engine *e)
{
	for (size_t i = 0; i < j->catalog.engines; i++)
		if (j->catalog.engine[i] == e && *j->engine_why[i])
			return j->engine_why[i];
	return NULL;
}

static int write_heads(struct job *j, int argc, char **argv)
{
	json_t *manifest = bench_environ_json(&j->session, argc, argv);
	json_t *plan = bench_plan_json(&j->plan, &j->catalog);
	int ret = bench_session_write_json(&j->session, "manifest.json", manifest);

	if (ret == 0)
		ret = bench_session_write_json(&j->session, "plan.json", plan);
	json_decref(manifest);
	json_decref(plan);
	return ret;
}

static int run_cells(struct job *j)
{
	struct bench_session *s = &j->session;
	struct bench_progress progress;
	int ret = 0;

	bench_progress_init(&progress, &j->plan);
	for (size_t i = 0; i < j->plan.cells && ret == 0 && !bench_signals_count(); i++) {
		const struct bench_plan_cell *cell = &j->plan.cell[i];

		bench_progress_begin(&progress, i);
		if (!bench_origin_alive(&s->origin))
			ret = bench_err(EPIPE, "nginx died; see %s/nginx/error.log", s->work);
		else
			ret = bench_cell_run(s, cell, engine_why(j, cell->engine));
		bench_progress_end(&progress);
		if (s->opt.keep && s->failed)
			break;
	}
	bench_progress_clear(&progress);
	bench_progress_release(&progress);
	return ret;
}

static int prepare(
	struct job *j, const struct bench_session_options *opt, int argc, char **argv)
{
	int ret = bench_session_open(&j->session, opt);

	if (ret == 0)
		ret = check_space(&j->session);
	if (ret < 0)
		return ret;
	bench_plan_make(&j->catalog, opt->blocks, opt->seed, &j->plan);
	if (opt->trace)
		bench_plan_add_traced(&j->plan, &j->catalog);
	check_engines(j);
	ret = write_heads(j, argc, argv);
	return ret < 0 ? ret : generate(j);
}

static int exit_code(const struct job *j, int ret)
{
	if (j->session.mismatch)
		return BENCH_EXIT_MISMATCH;
	if (bench_signals_count())
		return BENCH_EXIT_INTERRUPTED;
	return ret < 0 || j->session.failed ? BENCH_EXIT_FAILED : BENCH_EXIT_OK;
}

/* Ends the session; says what is left. */
static int finish(struct job *j, int ret)
{
	struct bench_session *s = &j->session;
	int code = exit_code(j, ret);

	if (s->failed)
		bench_say("%u of %u runs failed; reasons in %s/runs.jsonl", s->failed,
			s->failed + s->done + s->skipped, s->results);
	if (s->opt.keep && s->held)
		bench_say("kept %s; `hsmbench clean` removes it", s->work);
	if (bench_session_close(s) < 0) {
		bench_say("%s; `hsmbench clean` tries again", bench_err_text());
		code = code ? code : BENCH_EXIT_FAILED;
	}
	bench_plan_release(&j->plan);
	bench_catalog_release(&j->catalog);
	bench_strv_free(j->engine_why);
	return code;
}

/* What can be refused before anything is made. Returns the exit code. */
static int choose(const struct bench_session_options *opt, struct bench_catalog *ret_c)
{
	auto_free char *home = bench_catalog_home();

	if (bench_catalog_load(home, ret_c) < 0) {
		bench_say("%s", bench_err_text());
		return BENCH_EXIT_REQUIREMENT;
	}
	if (bench_catalog_select(ret_c, opt->workloads, opt->engines) < 0) {
		bench_say("%s", bench_err_text());
		bench_catalog_release(ret_c);
		return BENCH_EXIT_USAGE;
	}
	if (geteuid() == 0)
		return BENCH_EXIT_OK;
	bench_say("mounting needs root; use sudo");
	bench_catalog_release(ret_c);
	return BENCH_EXIT_REQUIREMENT;
}

int bench_run(
	const struct bench_session_options *opt, int argc, char **argv, char **ret_results)
{
	struct job j = {0};
	bool ready;
	int ret;

	*ret_results = NULL;
	ret = choose(opt, &j.catalog);
	if (ret != BENCH_EXIT_OK)
		return ret;
	bench_signals_install();
	ret = prepare(&j, opt, argc, argv);
	ready = ret == 0;
	if (ready) {
		*ret_results = bench_strdup(j.session.results);
		ret = run_cells(&j);
	}
	if (ret < 0)
		bench_say("%s", bench_err_text());
	ret = finish(&j, ret);
	return !ready && ret == BENCH_EXIT_FAILED ? BENCH_EXIT_REQUIREMENT : ret;
}

int bench_cmd_run(int argc, char **argv)
{
	struct bench_session_options opt;
	auto_free char *results = NULL;
	int ret = bench_run_options(argc, argv, &opt);

	if (ret < 0)
		bench_say("%s", bench_err_text());
	if (ret)
		return ret < 0 ? BENCH_EXIT_USAGE : BENCH_EXIT_OK;
	ret = bench_run(&opt, argc, argv, &results);
	if (results)
		printf("%s\n", results);
	return ret;
}

/* The worse of two exit codes of report and plot after a run. */
static int derive(const char *results)
{
	char *report[] = {(char *)"report", (char *)results, NULL};
	char *plot[] = {(char *)"plot", (char *)results, NULL};
	int code = bench_cmd_report(2, report);

	fflush(stdout);
	return bench_cmd_plot(2, plot) ? BENCH_EXIT_FAILED : code;
}

int bench_cmd_bench(int argc, char **argv)
{
	struct bench_session_options opt;
	auto_free char *results = NULL;
	int code, derived, ret = bench_run_options(argc, argv, &opt);

	if (ret < 0)
		bench_say("%s", bench_err_text());
	if (ret)
		return ret < 0 ? BENCH_EXIT_USAGE : BENCH_EXIT_OK;
	code = bench_run(&opt, argc, argv, &results);
	if (!results)
		return code;
	derived = derive(results);
	printf("results: %s\nreport:  %s/report.txt\nplots:   %s/plots\n", results, results,
		results);
	return code ? code : derived;
}
