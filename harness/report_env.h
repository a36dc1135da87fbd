/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_REPORT_ENV_H
#define BENCH_REPORT_ENV_H
/* The head of a report: which result set, which machine, which design, how to repeat it. */
#include "harness/page.h"
#include "harness/resultset.h"

void bench_report_env(const struct bench_resultset *set, struct bench_page *page);

#endif
