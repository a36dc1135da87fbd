/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hsmgen: makes the input of the workloads, and compares a tree with it. The command line is
 * here, everything else in workloads/gen/.
 */
#include "workloads/gen/gen.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DEFAULT_SEED 20220920
#define MIB	     (1ull << 20)

enum exit_code { OK, FAILED, USAGE, REQUIREMENT, INTERRUPTED, MISMATCH };

static const struct gen_preset presets[] = {
	{
		.name = "quick",
		.list_bytes = 200 * MIB,
		.extract_bytes = 64 * MIB,
		.zip_test_bytes = 64 * MIB,
		.zip_test_members = 4000,
		.zip_extract_bytes = 48 * MIB,
		.zip_extract_members = 4000,
		.seq_bytes = 128 * MIB,
		.rand_bytes = 64 * MIB,
	},
	{
		.name = "default",
		.zip_test_bytes = 300 * MIB,
		.zip_test_members = 20000,
		.zip_extract_bytes = 200 * MIB,
		.zip_extract_members = 20000,
		.seq_bytes = 1024 * MIB,
		.rand_bytes = 1024 * MIB,
	},
};

struct options {
	const struct gen_preset *preset;
	const char *root;
	uint64_t seed;
};

static void usage(FILE *out)
{
	fputs("usage: hsmgen [--preset quick|default] [--seed N] --out DIR DATASET...\n"
	      "       hsmgen verify DIR/DATASET.sums TREE [GLOB...]\n"
	      "Makes DIR/DATASET/ and DIR/DATASET.sums, or compares TREE with the sums.\n"
	      "Datasets:",
		out);
	for (const struct gen_dataset *d = gen_datasets; d->name; d++)
		fprintf(out, " %s", d->name);
	fputs("\nExit codes: 0 ok, 1 failed, 2 usage, 3 missing requirement, 5 data differs\n",
		out);
}

static int report(int err)
{
	if (!err)
		return OK;
	fprintf(stderr, "hsmgen: %s\n", gen_error());
	switch (err) {
	case -GEN_USAGE:
		return USAGE;
	case -GEN_MISSING:
		return REQUIREMENT;
	case -GEN_DIFFERS:
		return MISMATCH;
	default:
		return FAILED;
	}
}

static int set_preset(struct options *opt, const char *name)
{
	for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
		if (!strcmp(presets[i].name, name)) {
			opt->preset = &presets[i];
			return 0;
		}
	return gen_fail(-GEN_USAGE, "no preset is called '%s' (quick, default)", name);
}

static int set_seed(struct options *opt, const char *text)
{
	char *end;

	errno = 0;
	opt->seed = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-')
		return gen_fail(-GEN_USAGE, "--seed takes a number, not '%s'", text);
	return 0;
}

static int parse(struct options *opt, int argc, char **argv)
{
	static const struct option table[] = {
		{"preset", required_argument, NULL, 'p'},
		{"out", required_argument, NULL, 'o'},
		{"seed", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c, err = 0;

	while (!err && (c = getopt_long(argc, argv, "p:o:s:h", table, NULL)) != -1) {
		if (c == 'p')
			err = set_preset(opt, optarg);
		else if (c == 's')
			err = set_seed(opt, optarg);
		else if (c == 'o')
			opt->root = optarg;
		else if (c == 'h')
			usage(stdout), exit(OK);
		else
			exit(USAGE); /* getopt_long has said why */
	}
	if (!err && (!opt->root || optind == argc))
		err = gen_fail(-GEN_USAGE, "--out DIR and a DATASET are needed; see --help");
	return err;
}

static int generate(int argc, char **argv)
{
	struct options opt = {.preset = &presets[0], .seed = DEFAULT_SEED};
	int err = parse(&opt, argc, argv);

	if (!err && mkdir(opt.root, 0755) && errno != EEXIST)
		err = gen_fail(-errno, "create %s", opt.root);
	for (int i = optind; i < argc && !err; i++)
		err = gen_dataset_make(opt.root, argv[i], opt.preset, opt.seed);
	return report(err);
}

static int verify(int argc, char **argv)
{
	if (argc < 4)
		return report(gen_fail(-GEN_USAGE, "verify takes a list of sums and a tree"));
	return report(gen_verify(argv[2], argv[3], argv + 4, argc - 4));
}

int main(int argc, char **argv)
{
	/* A zip member's time is local time. */
	setenv("TZ", "UTC0", 1);
	tzset();
	umask(022);
	if (argc > 1 && !strcmp(argv[1], "verify"))
		return verify(argc, argv);
	return generate(argc, argv);
}
