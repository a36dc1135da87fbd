/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_PLOT_DATA_H
#define BENCH_PLOT_DATA_H
/*
 * What gnuplot reads: for a figure NAME, NAME.inc with the variables of the picture (panels, size,
 * labels) and one NAME-PANEL.dat a panel, in which data set i (`index i`) is engine i. Together
 * with the scripts they can be redrawn, or restyled, without the harness.
 */
#include "harness/resultset.h"

struct bench_figure {
	const char *script; /* plots/SCRIPT.gp draws it */
	char *name; /* of .inc, .svg and .png; owned */
};

/*
 * Writes the data of every figure that has any into @dir. What has none is told on stderr.
 * *ret_figures: owned, *ret_count entries. -errno + text.
 */
int bench_plot_export(const struct bench_resultset *set, const char *dir,
	struct bench_figure **ret_figures, size_t *ret_count);
void bench_plot_figures_free(struct bench_figure *figures, size_t count);

/*
 * The parts: bars of a metric (@main_only: of steps that are about elapsed time), and latency
 * percentiles of a cache state. 1 = written, 0 = no data, -errno + text.
 */
int bench_plot_bars(const struct bench_resultset *set, const char *dir, const char *name,
	const char *metric, bool main_only);
int bench_plot_latency(const struct bench_resultset *set, const char *dir, const char *name,
	const char *state);

/* Opens NAME.inc and writes what all figures share: name, engines, result id. NULL + text. */
FILE *bench_plot_open_inc(const struct bench_resultset *set, const char *dir, const char *name);

/* @text with what a gnuplot string cannot hold replaced by '?'; owned. */
char *bench_plot_quote(const char *text);

/* Closes a written file. 0, or -EIO + text if the disk did not take all of it. */
int bench_plot_close(FILE *f, const char *dir, const char *name);

#endif
