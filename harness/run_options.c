/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "harness/err.h"
#include "harness/loopfs.h"
#include "harness/plan.h"
#include "harness/run.h"
#include "harness/util.h"

#define BLOCKS_MAX 1000

static const char help[] =
	"usage: hsmbench %s [options]\n"
	"  -w, --workloads GLOB,...  by name or tag (default: all)\n"
	"  -e, --engines GLOB,...    by name (default: those that `hsmbench list` does\n"
	"                            not mark, if they can run here)\n"
	"      --fs xfs|ext4|btrfs   test file system (default xfs)\n"
	"      --preset NAME         quick (3 blocks, small input, no verdicts; default),\n"
	"                            default (10 blocks), publish (20 blocks)\n"
	"      --blocks N            instead of the preset's\n"
	"      --seed N              order of runs (default: drawn and recorded)\n"
	"  -o, --output DIR          result set (default: results/local/TIME)\n"
	"      --work DIR            where images are made (default: $TMPDIR or /var/tmp)\n"
	"      --data DIR            input made by hsmgen (default: build/data/PRESET)\n"
	"      --keep                stop at the first failed cell and leave it up;\n"
	"                            `hsmbench clean` removes it\n"
	"      --trace               one more block at the end, in which the kernel's side of\n"
	"                            each FUSE request is recorded; in no other table\n"
	"  -h, --help\n"
	"exit codes: 0 ok, 1 some cell failed, 2 usage, 3 missing requirement,\n"
	"            4 interrupted, 5 content differs from the origin\n";

enum {
	OPT_FS = 256,
	OPT_PRESET,
	OPT_BLOCKS,
	OPT_SEED,
	OPT_WORK,
	OPT_DATA,
	OPT_KEEP,
	OPT_TRACE
};

static const struct option options[] = {
	{"workloads", required_argument, NULL, 'w'},
	{"engines", required_argument, NULL, 'e'},
	{"fs", required_argument, NULL, OPT_FS},
	{"preset", required_argument, NULL, OPT_PRESET},
	{"blocks", required_argument, NULL, OPT_BLOCKS},
	{"seed", required_argument, NULL, OPT_SEED},
	{"output", required_argument, NULL, 'o'},
	{"work", required_argument, NULL, OPT_WORK},
	{"data", required_argument, NULL, OPT_DATA},
	{"keep", no_argument, NULL, OPT_KEEP},
	{"trace", no_argument, NULL, OPT_TRACE},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static const struct {
	const char *name;
	unsigned int blocks;
} presets[] = {{"quick", 3}, {"default", 10}, {"publish", 20}};

static int number(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || value < min || value > max)
		return bench_err(EINVAL, "--%s '%s' is not a number from %llu to %llu", name,
			text, (unsigned long long)min, (unsigned long long)max);
	*ret = value;
	return 0;
}

static int set_preset(struct bench_session_options *o, const char *name)
{
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(presets); i++)
		if (!strcmp(presets[i].name, name)) {
			o->preset = presets[i].name;
			return 0;
		}
	return bench_err(EINVAL, "preset '%s' is none of quick, default, publish", name);
}

static int set_blocks(struct bench_session_options *o, const char *text)
{
	uint64_t blocks;
	int ret = number("blocks", text, 1, BLOCKS_MAX, &blocks);

	if (ret == 0)
		o->blocks = (unsigned int)blocks;
	return ret;
}

static int set_option(struct bench_session_options *o, int opt, const char *value)
{
	switch (opt) {
	case 'w':
		o->workloads = value;
		return 0;
	case 'e':
		o->engines = value;
		return 0;
	case 'o':
		o->out = value;
		return 0;
	case OPT_FS:
		o->fs = value;
		return bench_loopfs_check(value);
	case OPT_PRESET:
		return set_preset(o, value);
	case OPT_BLOCKS:
		return set_blocks(o, value);
	case OPT_SEED:
		return number("seed", value, 0, BENCH_SEED_MAX, &o->seed);
	case OPT_WORK:
		o->work = value;
		return 0;
	case OPT_DATA:
		o->data = value;
		return 0;
	case OPT_KEEP:
		o->keep = true;
		return 0;
	case OPT_TRACE:
		o->trace = true;
		return 0;
	}
	return bench_err(EINVAL, "bad option; see --help");
}

static void set_default_blocks(struct bench_session_options *o)
{
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(presets); i++)
		if (!o->blocks && !strcmp(presets[i].name, o->preset))
			o->blocks = presets[i].blocks;
}

int bench_run_options(int argc, char **argv, struct bench_session_options *ret_opt)
{
	struct bench_session_options o = {
		.fs = "xfs",
		.preset = "quick",
		.seed = bench_plan_seed(),
	};
	int opt, ret = 0;

	optind = 0;
	opterr = 0;
	while (ret == 0 && (opt = getopt_long(argc, argv, "w:e:o:h", options, NULL)) != -1) {
		if (opt == 'h') {
			printf(help, argv[0]);
			return 1;
		}
		if (opt == '?')
			ret = bench_err(EINVAL, "bad option or missing value '%s'; see --help",
				argv[optind - 1]);
		else
			ret = set_option(&o, opt, optarg);
	}
	if (ret == 0 && optind < argc)
		ret = bench_err(EINVAL, "'%s' is not an option; see --help", argv[optind]);
	if (ret < 0)
		return ret;
	set_default_blocks(&o);
	*ret_opt = o;
	return 0;
}
