/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hsmctl [options] COMMAND CACHE [PATH]: looks at and steers an HSM, running or idle. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "hsm/err.h"
#include "hsm/options.h"
#include "hsmctl/hsmctl.h"

static int cmd_status(struct hsmctl *ctl)
{
	int code = hsmctl_call(ctl, "status");
	json_t *status = json_object_get(ctl->answer, "status");

	if (code || !status)
		return code;
	if (ctl->json) {
		json_dumpf(status, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		hsmctl_print_status(status);
	}
	return code;
}

static int cmd_populate(struct hsmctl *ctl)
{
	return hsmctl_call(ctl, "populate");
}

/* A command that answers with totals. */
static int call_for_totals(struct hsmctl *ctl, const char *command)
{
	int code = hsmctl_call(ctl, command);
	json_t *totals = json_object_get(ctl->answer, "totals");
	const char *key;
	json_t *value;

	if (!totals)
		return code;
	if (ctl->json) {
		json_dumpf(totals, stdout, JSON_INDENT(2));
		putchar('\n');
		return code;
	}
	json_object_foreach (totals, key, value)
		printf("%-16s %lld\n", key, (long long)json_integer_value(value));
	return code;
}

static int cmd_verify(struct hsmctl *ctl)
{
	return call_for_totals(ctl, "verify");
}

/* Never the whole tree by forgetting the path. */
static int cmd_evict(struct hsmctl *ctl)
{
	if (!*ctl->path == !ctl->to_free) {
		fprintf(stderr,
			"hsmctl: evict needs either PATH (. = everything) or --to-free SIZE\n");
		return HSM_EXIT_USAGE;
	}
	return call_for_totals(ctl, "evict");
}

static int cmd_refresh(struct hsmctl *ctl)
{
	return call_for_totals(ctl, "refresh");
}

static const struct command {
	const char *name;
	const char *args;
	const char *help;
	int (*run)(struct hsmctl *ctl);
	bool takes_path;
} commands[] = {
	{"status", "CACHE", "counters, operations and settings", cmd_status, false},
	{"populate", "CACHE [PATH]", "make the names below PATH, with --data also the bytes",
		cmd_populate, true},
	{"verify", "CACHE [PATH]", "compare what is cached below PATH with the origin",
		cmd_verify, true},
	{"evict", "CACHE [PATH]", "give back cached bytes below PATH, or --to-free SIZE",
		cmd_evict, true},
	{"refresh", "CACHE [PATH]", "make what is below PATH the same as on the origin now",
		cmd_refresh, true},
	{"stop", "CACHE", "end the daemon and wait until it has ended", hsmctl_stop, false},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int usage(FILE *out, int code)
{
	fprintf(out, "Usage: hsmctl [options] COMMAND CACHE [PATH]\n\nCommands:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-9s %-14s %s\n", commands[i].name, commands[i].args,
			commands[i].help);
	fprintf(out,
		"\nOptions:\n"
		"  -j, --json     print JSON\n"
		"  -d, --data     populate: the bytes too, not only the names\n"
		"  -t, --to-free SIZE\n"
		"                 evict: so many bytes, least recently used files first\n"
		"  -h, --help     show this help\n"
		"  -V, --version  show the version\n\n"
		"Exit codes: 0 ok, 1 failed, 2 usage, 3 missing requirement, 5 data differs\n");
	return code;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static int run(struct hsmctl *ctl, int argc, char **argv)
{
	const struct command *c = argc ? find_command(argv[0]) : NULL;
	int code;

	if (!c) {
		fprintf(stderr, "hsmctl: %s%s; see hsmctl --help\n",
			argc ? "unknown command " : "no command given", argc ? argv[0] : "");
		return HSM_EXIT_USAGE;
	}
	if (argc < 2 || argc > (c->takes_path ? 3 : 2)) {
		fprintf(stderr, "hsmctl: usage: hsmctl %s %s\n", c->name, c->args);
		return HSM_EXIT_USAGE;
	}
	ctl->cache = argv[1];
	ctl->path = argc > 2 ? argv[2] : "";
	code = c->run(ctl);
	json_decref(ctl->answer);
	return code;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {{"json", no_argument, NULL, 'j'},
		{"data", no_argument, NULL, 'd'}, {"to-free", required_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0}};
	struct hsmctl ctl = {.path = ""};
	int c;

	while ((c = getopt_long(argc, argv, "jdt:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			ctl.json = true;
			break;
		case 'd':
			ctl.data = true;
			break;
		case 't':
			if (hsm_parse_bytes(optarg, &ctl.to_free)) {
				fprintf(stderr, "hsmctl: %s\n", hsm_err_text());
				return HSM_EXIT_USAGE;
			}
			break;
		case 'h':
			return usage(stdout, HSM_EXIT_OK);
		case 'V':
			printf("hsmctl %s\n", HSM_VERSION);
			return HSM_EXIT_OK;
		default:
			return HSM_EXIT_USAGE;
		}
	}
	return run(&ctl, argc - optind, argv + optind);
}
