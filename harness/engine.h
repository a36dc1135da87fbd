/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H
/*
 * An engine manifest, harness/engines/NAME.ini, one section:
 *
 *   [engine]
 *   name = fan-fs               default: the file's name
 *   title = fanotify pre-content events
 *   order = 3                   place in lists and tables
 *   tree = ${cache}/data        where users see the files
 *   setup = ...                 shell, before start; fills the tree if there is no daemon
 *   start = ${bin}/fan_hsm ${origin} ${cache}      shell; returns 0 only once serving
 *   status = ${bin}/hsmctl --json status ${cache}  a JSON object with pid and counters
 *   stop = ${bin}/hsmctl stop ${cache}
 *   probe = ...                 shell; exit 0 = can run here, else its first line is the reason
 *   needs = ${bin}/fan_hsm      programs
 *   set = PATH=VALUE ...        files of /proc/sys or /sys, for as long as it runs
 *   trace = yes                 ${mnt} is a FUSE mount whose requests can be traced
 *   extra = yes                 runs only when named: not one of the default engines
 *
 * Placeholders: ${bin} ${origin} (URL) ${origin_dir} (the same as a directory) ${cache} and
 * ${mnt} (empty directories) ${tree} ${log}.
 */
#include <stdbool.h>

#include "harness/vars.h"

struct bench_engine {
	char *name, *title, *tree, *setup, *start, *status, *stop, *probe, *needs, *set;
	int order;
	bool extra, trace;
};

/* *ret_e is owned. -errno + text naming file and line. */
int bench_engine_load(const char *path, struct bench_engine **ret_e);
void bench_engine_free(struct bench_engine *e);

/*
 * Can it run here? 0 = yes; -ENOENT (a program is missing) or -EOPNOTSUPP (the probe said no)
 * + text that is the reason.
 */
int bench_engine_check(const struct bench_engine *e, const struct bench_vars *vars);

#endif
