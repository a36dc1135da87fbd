/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H
#include "harness/session.h"

/*
 * Parses the options of run and bench. 0; 1 = help was printed; -EINVAL + text. Leaves argv
 * as it is.
 */
int bench_run_options(int argc, char **argv, struct bench_session_options *ret_opt);

/*
 * Plans and runs everything. *ret_results: path of the result set, owned, NULL if none was
 * made. Returns the exit code; has printed what went wrong.
 */
int bench_run(
	const struct bench_session_options *opt, int argc, char **argv, char **ret_results);

#endif
