/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H
#include <stdio.h>

#include "harness/resultset.h"

struct bench_report_options {
	const char *against; /* second engine to compare with; NULL: none */
	bool all; /* every metric, not only those a mail needs */
};

/* Writes the report of @set to @out. */
void bench_report_write(const struct bench_resultset *set,
	const struct bench_report_options *options, FILE *out);

/* `hsmbench report [options] DIR`: writes DIR/report.txt and prints it. Exit code. */
int bench_cmd_report(int argc, char **argv);

#endif
