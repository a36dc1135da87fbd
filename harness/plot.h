/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

/*
 * `hsmbench plot [options] DIR`: exports DIR/plots/ and draws every figure with data as SVG and
 * PNG. Exit code: 3 without gnuplot or its scripts, 1 if nothing could be drawn.
 */
int bench_cmd_plot(int argc, char **argv);

#endif
