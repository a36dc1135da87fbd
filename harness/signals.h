/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_SIGNALS_H
#define BENCH_SIGNALS_H
/*
 * SIGINT and SIGTERM ask for an orderly end; a second one shortens every wait, a third exits
 * at once.
 */

/* Installs the handlers, ignores SIGHUP. */
void bench_signals_install(void);

/* How many requests to end have arrived. */
int bench_signals_count(void);

/* Descriptor that polls readable once one has arrived, -1 before bench_signals_install(). */
int bench_signals_fd(void);

#endif
