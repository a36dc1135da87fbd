/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_CATALOG_H
#define BENCH_CATALOG_H
/* The engines and workloads there are: HOME/harness/engines and HOME/workloads. */
#include <stddef.h>

#include "harness/engine.h"
#include "harness/workload.h"

struct bench_catalog {
	struct bench_engine **engine; /* in their order */
	size_t engines;
	struct bench_workload **workload; /* by name */
	size_t workloads;
};

/*
 * Directory of this program, and the one with workloads/, harness/engines/ and plots/; owned.
 */
char *bench_catalog_bin(void);
/* $HSMBENCH_HOME, the source tree around the program, or PREFIX/share/hsmbench. */
char *bench_catalog_home(void);

/* Loads every manifest below @home. -errno + text. Free with bench_catalog_release(). */
int bench_catalog_load(const char *home, struct bench_catalog *ret_c);
void bench_catalog_release(struct bench_catalog *c);

/*
 * Keeps what matches one of the comma separated patterns; NULL keeps all workloads, or all
 * engines that are not extra. Workloads match by name or tag. -ENOENT + text if a pattern
 * matches nothing.
 */
int bench_catalog_select(struct bench_catalog *c, const char *workloads, const char *engines);

/* NULL if the programs the workload needs are there, else an owned sentence. */
char *bench_catalog_missing(char *const *needs);

#endif
