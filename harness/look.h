/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_LOOK_H
#define BENCH_LOOK_H
/*
 * Looking at the files of a step through the engine, in a child with a time limit; see
 * tree_cmd.c.
 */
#include "harness/cell.h"

/*
 * Runs `hsmbench tree ACTION` on the step's files below @tree. A step without files has
 * nothing to look at: 0. *ret_out (may be NULL) is what it printed, owned, set on success.
 * @raw: stem of the path for output and stacks. -EILSEQ + text: content differs, which the
 * session remembers; -EINTR: interrupted; -ETIMEDOUT; -EIO: everything else.
 */
int bench_look(const struct bench_cell *cell, const struct bench_step *step, const char *action,
	const char *tree, const char *raw, char **ret_out);

#endif
