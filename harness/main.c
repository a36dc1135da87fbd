/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "harness/cmd.h"
#include "harness/err.h"
#include "harness/plot.h"
#include "harness/report.h"
#include "harness/util.h"

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"list", bench_cmd_list, "engines and workloads, and which can run here"},
	{"doctor", bench_cmd_doctor, "what this machine lacks, and what to do about it"},
	{"run", bench_cmd_run, "measure; prints where the result set is"},
	{"bench", bench_cmd_bench, "run, report and plot in one"},
	{"report", bench_cmd_report, "72-column tables of a result set"},
	{"plot", bench_cmd_plot, "figures of a result set"},
	{"clean", bench_cmd_clean, "remove what killed sessions left behind"},
	{"tree", bench_cmd_tree, "compare, list or look at files (used by run)"},
	{"help", cmd_help, "this text"},
	{"version", cmd_version, "the version"},
};

static int cmd_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("usage: hsmbench COMMAND [options]; hsmbench COMMAND --help");
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(commands); i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].help);
	return BENCH_EXIT_OK;
}

static int cmd_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	puts("hsmbench " HSM_VERSION);
	return BENCH_EXIT_OK;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "--help";

	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		return argc > 1 ? cmd_help(0, NULL) : (cmd_help(0, NULL), BENCH_EXIT_USAGE);
	if (!strcmp(name, "--version"))
		return cmd_version(0, NULL);
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return commands[i].run(argc - 1, argv + 1);
	bench_say("unknown command '%s'; see `hsmbench help`", name);
	return BENCH_EXIT_USAGE;
}
