/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_EXEC_H
#define BENCH_EXEC_H
/* Runs shell commands in a process group of their own, with a time limit, and measures them. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BENCH_OUT_MAX_BYTES \
	(1u << 20) /* of a command's output kept; the rest is counted only */

struct bench_exec {
	const char *shell; /* in: for sh -c */
	const char *cwd; /* in: NULL = as is */
	const char *out_path; /* in: file for stdout, NULL = dropped */
	size_t out_max_bytes; /* in: how much of it is kept, 0 = BENCH_OUT_MAX_BYTES */
	const char *err_path; /* in: file for stderr (appended), NULL = dropped */
	bool merge; /* in: stderr goes where stdout goes */
	uint64_t timeout_ns; /* in: then SIGKILL to the group */
	const char *stacks_path; /* in: after a timeout, kernel stacks of the session's tasks */
	bool unstoppable; /* in: not ended by the first SIGINT */

	uint64_t start_wall_ns; /* out: just before the command could start */
	uint64_t start_ns; /* out: the same, monotonic */
	uint64_t end_ns; /* out: when it had exited */
	uint64_t first_byte_ns; /* out: monotonic, first byte on stdout; 0 = none */
	uint64_t out_bytes; /* out: on stdout */
	uint64_t user_ns, sys_ns; /* out: of the command and the children it waited for */
	int code; /* out: exit code, 128 + signal if killed */
	bool timed_out, interrupted;
	bool stuck; /* out: did not even end after SIGKILL; its group is `pgid` */
	pid_t pgid;
};

/* 0 = the command ended, see code; -errno + text if it could not be started or is stuck. */
int bench_exec_run(struct bench_exec *e);

/*
 * Runs @shell, returns its exit code; stdout and stderr, cut at BENCH_OUT_MAX_BYTES, as owned
 * text in *ret_out. -errno + text: not started, or -ETIMEDOUT; *ret_out is untouched.
 */
int bench_exec_output(const char *shell, uint64_t timeout_ns, char **ret_out);

/* Waits until @pidfd has ended; false after @ns. */
bool bench_exec_wait_pidfd(int pidfd, uint64_t ns);

#endif
