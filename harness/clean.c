/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "harness/cmd.h"
#include "harness/err.h"
#include "harness/release.h"
#include "harness/util.h"

int bench_cmd_clean(int argc, char **argv)
{
	auto_free char *dir = bench_state_dir();
	unsigned int found = 0;

	(void)argv;
	if (argc > 1) {
		fputs("usage: hsmbench clean\n"
		      "Ends what sessions that were killed left running and mounted.\n",
			stdout);
		return BENCH_EXIT_USAGE;
	}
	if (bench_release_dead(dir, &found) < 0) {
		bench_say("%s", bench_err_text());
		return BENCH_EXIT_FAILED;
	}
	printf("%u dead session%s removed\n", found, found == 1 ? "" : "s");
	return BENCH_EXIT_OK;
}
