/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_REPORT_REQUESTS_H
#define BENCH_REPORT_REQUESTS_H
#include "harness/page.h"
#include "harness/resultset.h"

/* The FUSE requests of each traced run, as kernel and daemon saw them; nothing without one. */
void bench_report_requests(const struct bench_resultset *set, struct bench_page *page);

#endif
