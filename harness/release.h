/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_RELEASE_H
#define BENCH_RELEASE_H
/* Gives back what a session holds; the one place that does, for live and for dead sessions. */
#include <stddef.h>
#include <stdint.h>

#include "harness/state.h"

/*
 * Ends every process of the session (SIGTERM, after @grace_ns SIGKILL), then releases the
 * items above the @keep lowest, topmost first. An item that cannot be released stays recorded
 * and ends the walk. 0, or the first error + text.
 */
int bench_release(struct bench_state *s, size_t keep, uint64_t grace_ns);

/*
 * Releases every session in @dir (see bench_state_dir()) whose owner is dead. @found counts
 * them. 0, or the last error + text.
 */
int bench_release_dead(const char *dir, unsigned int *ret_found);

#endif
