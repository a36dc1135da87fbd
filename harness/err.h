/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_ERR_H
#define BENCH_ERR_H
/*
 * Functions of the harness return 0 or positive on success, a negative errno on failure, and
 * leave one sentence: what failed, on which object, why, what to do. Only commands print it.
 */

/* Exit codes of hsmbench. */
enum bench_exit {
	BENCH_EXIT_OK = 0,
	BENCH_EXIT_FAILED = 1, /* some cell failed */
	BENCH_EXIT_USAGE = 2,
	BENCH_EXIT_REQUIREMENT = 3, /* privilege, kernel, program, space */
	BENCH_EXIT_INTERRUPTED = 4,
	BENCH_EXIT_MISMATCH = 5, /* content read through an engine differs from the origin */
};

/* Stores the sentence and returns -err. @err: positive errno. */
int bench_err(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The last sentence, "" if none. Valid until the next bench_err(). */
const char *bench_err_text(void);

/* Prints "hsmbench: " and one line on stderr. */
void bench_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
