/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_LINE_H
#define BENCH_LINE_H
/* A line of runs.jsonl while it is being made. */
#include <jansson.h>
#include <stdbool.h>

#include "harness/cell.h"

/* "status" is ok until something says otherwise. New reference. */
json_t *bench_line_new(const struct bench_cell *cell, const struct bench_step *step,
	enum bench_run_state state);

/* Sets status and reason unless the line has failed already: the first reason counts. */
void bench_line_status(json_t *line, const char *status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds to "checks"; one that is not ok fails the line. */
void bench_line_check(json_t *line, const char *name, bool ok, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

bool bench_line_ok(const json_t *line);

#endif
