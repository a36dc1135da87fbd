/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_VARS_H
#define BENCH_VARS_H
/* The ${name} placeholders of manifests. Scopes nest: run, workload, cell. */

struct bench_vars;

/* @parent (borrowed, may be NULL) is asked for names not set here. */
struct bench_vars *bench_vars_new(const struct bench_vars *parent);
void bench_vars_free(struct bench_vars *v);

/* Sets or replaces; copies both. */
void bench_vars_set(struct bench_vars *v, const char *name, const char *value);

/* Borrowed; NULL if not set. */
const char *bench_vars_get(const struct bench_vars *v, const char *name);

/*
 * Replaces every ${name}; `$${` gives a literal `${`, any other `$` stands for itself. Values
 * are not expanded again. *ret_text is owned. -EINVAL + text for a name nobody set.
 */
int bench_vars_expand(const struct bench_vars *v, const char *text, char **ret_text);

#endif
