/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Owns the command `hsmbench plot`: finds the scripts, copies them beside the data, runs gnuplot. */
#include "harness/plot.h"

#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/catalog.h"
#include "harness/err.h"
#include "harness/exec.h"
#include "harness/plot_data.h"
#include "harness/util.h"

#define GNUPLOT_TIMEOUT_NS (60 * BENCH_NSEC)

static const char usage[] =
	"usage: hsmbench plot [options] DIR\n"
	"Writes data, gnuplot scripts and figures (SVG and PNG) to DIR/plots.\n"
	"  -b, --base ENGINE    draw ENGINE first (default: native)\n"
	"  -s, --scripts DIR    where style.gp and the figures' scripts are\n"
	"  -n, --no-draw        only export data and scripts\n"
	"  -h, --help\n";

struct arguments {
	const char *base, *scripts, *dir;
	bool no_draw;
};

static const char *const formats[] = {"svg", "png"};

/* 0 to go on, else 1 + the exit code. */
static int parse(int argc, char **argv, struct arguments *args)
{
	static const struct option options[] = {
		{"base", required_argument, NULL, 'b'},
		{"scripts", required_argument, NULL, 's'},
		{"no-draw", no_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	optind = 0; /* the program's own options were read with getopt before */
	while ((c = getopt_long(argc, argv, "b:s:nh", options, NULL)) != -1)
		switch (c) {
		case 'b':
			args->base = optarg;
			break;
		case 's':
			args->scripts = optarg;
			break;
		case 'n':
			args->no_draw = true;
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

static char *find_scripts(const char *asked)
{
	auto_free char *home = bench_catalog_home();

	return asked ? bench_strdup(asked) : bench_fmt("%s/plots", home);
}

static int copy_file(const char *from, const char *dir)
{
	auto_free char *to = bench_fmt("%s/%s", dir, strrchr(from, '/') + 1);
	auto_free char *text = NULL;
	int err = bench_file_read(from, &text);

	return err ? err : bench_file_write(to, text);
}

/* Beside the data, so that a figure can be redrawn from the result set alone. */
static int copy_scripts(const char *scripts, const char *dir)
{
	auto_free char *pattern = bench_fmt("%s/*.gp", scripts);
	glob_t found;
	int err = 0;

	if (glob(pattern, 0, NULL, &found))
		return bench_err(
			ENOENT, "no gnuplot scripts in %s; give --scripts DIR", scripts);
	for (size_t i = 0; i < found.gl_pathc && !err; i++)
		err = copy_file(found.gl_pathv[i], dir);
	globfree(&found);
	return err;
}

/* A figure must not survive the data it was made of. Other files there are the user's. */
static void remove_old(const char *dir)
{
	static const char *const figures[] = {
		"throughput", "times", "first-line", "fetched", "latency-*"};
	static const char *const kinds[] = {".svg", ".png", ".inc", ".log", "-*.dat"};

	for (size_t i = 0; i < BENCH_ARRAY_SIZE(figures) * BENCH_ARRAY_SIZE(kinds); i++) {
		auto_free char *pattern =
			bench_fmt("%s/%s%s", dir, figures[i / BENCH_ARRAY_SIZE(kinds)],
				kinds[i % BENCH_ARRAY_SIZE(kinds)]);
		glob_t found;

		if (glob(pattern, 0, NULL, &found))
			continue;
		for (size_t j = 0; j < found.gl_pathc; j++)
			unlink(found.gl_pathv[j]);
		globfree(&found);
	}
}

static int run_gnuplot(const char *dir, const struct bench_figure *figure, const char *format)
{
	auto_free char *shell = bench_fmt("exec gnuplot -e \"name='%s'; fmt='%s'\" %s.gp",
		figure->name, format, figure->script);
	auto_free char *log = bench_fmt("%s/%s.log", dir, figure->name);
	struct bench_exec e = {
		.shell = shell,
		.cwd = dir,
		.out_path = log,
		.merge = true,
		.timeout_ns = GNUPLOT_TIMEOUT_NS,
	};
	int err;

	unlink(log);
	err = bench_exec_run(&e);
	if (err < 0)
		return err;
	if (e.code || e.out_bytes)
		return bench_err(
			EIO, "gnuplot could not draw %s.%s, see %s", figure->name, format, log);
	unlink(log);
	return 0;
}

static int draw(const char *dir, const struct bench_figure *figures, size_t count)
{
	int failed = 0;

	for (size_t i = 0; i < count * BENCH_ARRAY_SIZE(formats); i++) {
		const struct bench_figure *figure = &figures[i / BENCH_ARRAY_SIZE(formats)];
		const char *format = formats[i % BENCH_ARRAY_SIZE(formats)];

		if (run_gnuplot(dir, figure, format) < 0) {
			bench_say("%s", bench_err_text());
			failed++;
		} else {
			printf("%s/%s.%s\n", dir, figure->name, format);
		}
	}
	return failed;
}

static int plot(const struct bench_resultset *set, const char *scripts, bool no_draw)
{
	auto_free char *dir = bench_fmt("%s/plots", set->dir);
	struct bench_figure *figures = NULL;
	size_t count = 0;
	int err;

	err = bench_mkdirs(dir);
	if (!err)
		err = copy_scripts(scripts, dir);
	if (!err)
		remove_old(dir);
	if (!err)
		err = bench_plot_export(set, dir, &figures, &count);
	if (!err && !count)
		err = bench_err(ENODATA, "%s has no successful run, nothing to plot", set->dir);
	if (!err && !no_draw && draw(dir, figures, count))
		err = bench_err(EIO, "some figures of %s are missing", set->dir);
	bench_plot_figures_free(figures, count);
	return err;
}

int bench_cmd_plot(int argc, char **argv)
{
	struct arguments args = {0};
	struct bench_resultset *set = NULL;
	int exit_early = parse(argc, argv, &args), err;
	auto_free char *scripts = find_scripts(args.scripts);
	auto_free char *gnuplot = bench_which("gnuplot");

	if (exit_early)
		return exit_early - 1;
	if (!gnuplot && !args.no_draw) {
		bench_say("gnuplot is not installed; apt-get install gnuplot-nox");
		return BENCH_EXIT_REQUIREMENT;
	}
	err = bench_resultset_open(args.dir, &set);
	if (!err && args.base)
		err = bench_resultset_rebase(set, args.base);
	if (!err)
		err = plot(set, scripts, args.no_draw);
	bench_resultset_free(set);
	if (!err)
		return BENCH_EXIT_OK;
	bench_say("%s", bench_err_text());
	return BENCH_EXIT_FAILED;
}
