/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of `hsmbench report`. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "harness/err.h"
#include "harness/report.h"
#include "harness/util.h"

/* The second base where none is asked for: the engine the others set out to beat. */
#define AGAINST "fuse-default"

static const char usage[] =
	"usage: hsmbench report [options] DIR\n"
	"Writes DIR/report.txt, at most 72 columns of ASCII, and prints it.\n"
	"  -b, --base ENGINE     compare all with ENGINE (default: native)\n"
	"  -a, --against ENGINE  and compare with ENGINE too (default: " AGAINST
	"; '-': none)\n"
	"  -A, --all             every metric, not only those for a mail\n"
	"  -h, --help\n";

struct arguments {
	struct bench_report_options options;
	const char *base, *dir;
};

/* 0 to go on, else 1 + the exit code. */
static int parse(int argc, char **argv, struct arguments *args)
{
	static const struct option options[] = {
		{"base", required_argument, NULL, 'b'},
		{"against", required_argument, NULL, 'a'},
		{"all", no_argument, NULL, 'A'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	optind = 0; /* the program's own options were read with getopt before */
	while ((c = getopt_long(argc, argv, "b:a:Ah", options, NULL)) != -1)
		switch (c) {
		case 'b':
			args->base = optarg;
			break;
		case 'a':
			args->options.against = optarg;
			break;
		case 'A':
			args->options.all = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1 + BENCH_EXIT_OK;
		default:
			fputs(usage, stderr);
			return 1 + BENCH_EXIT_USAGE;
		}
	if (argc - optind == 1) {
		args->dir = argv[optind];
		return 0;
	}
	fputs(usage, stderr);
	return 1 + BENCH_EXIT_USAGE;
}

static int write_report(const struct bench_resultset *set, const struct bench_report_options *o)
{
	auto_free char *path = bench_fmt("%s/report.txt", set->dir);
	auto_free char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	int err;

	if (!out)
		return bench_err(errno, "cannot format the report: %s", strerror(errno));
	bench_report_write(set, o, out);
	if (fclose(out))
		return bench_err(errno, "cannot format the report: %s", strerror(errno));
	/* A result set on read-only media can still be read. */
	fputs(text, stdout);
	err = fflush(stdout) ? bench_err(errno, "cannot print: %s", strerror(errno)) : 0;
	return err ? err : bench_file_write(path, text);
}

int bench_cmd_report(int argc, char **argv)
{
	struct arguments args = {.options = {.against = AGAINST}};
	struct bench_resultset *set = NULL;
	int exit_early = parse(argc, argv, &args), err;

	if (exit_early)
		return exit_early - 1;
	err = bench_resultset_open(args.dir, &set);
	if (!err && args.base)
		err = bench_resultset_rebase(set, args.base);
	if (!err && !set->run_count)
		err = bench_err(ENODATA, "%s has no run yet", args.dir);
	if (!err)
		err = write_report(set, &args.options);
	bench_resultset_free(set);
	if (!err)
		return BENCH_EXIT_OK;
	bench_say("%s", bench_err_text());
	return BENCH_EXIT_FAILED;
}
