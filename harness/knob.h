/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_KNOB_H
#define BENCH_KNOB_H
/*
 * Files of /proc/sys and /sys whose value a run needs. What was there before is held in the
 * session's state, and put back by bench_release(): also after the session was killed.
 */
#include "harness/state.h"

/* Each word of @words is PATH=VALUE. Those that have the value are left alone. -errno + text. */
int bench_knob_set_all(struct bench_state *held, const char *words);

/* Releases an item "PATH VALUE": writes it. A path that is gone is no error. -errno + text. */
int bench_knob_put_back(const char *item);

#endif
