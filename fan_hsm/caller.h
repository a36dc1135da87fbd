/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_CALLER_H
#define FAN_HSM_CALLER_H
/*
 * What the thread that waits for an answer is doing, as procfs tells: /proc/TID/syscall. An event
 * says neither whether it is from mmap(2), nor, when it is FAN_ACCESS_PERM, what range is read. The
 * groups report thread ids (FAN_REPORT_TID). A look costs 2 to 6 us, so none at a range
 * that is there.
 *
 * Needs CAP_SYS_PTRACE. 32-bit callers on x86 are understood, x32 ones are not.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum fan_hsm_doing {
	FAN_HSM_DOING_OTHER, /* reads, writes, is dead: what the event says is all that counts */
	FAN_HSM_DOING_MAP, /* mmap, execve: the event says less than may be read */
	FAN_HSM_DOING_MOVE, /* fallocate that moves all behind the range: collapse, insert */
	FAN_HSM_DOING_CUT, /* truncate, ftruncate */
	FAN_HSM_DOING_WORKER, /* io_uring's worker: any of its requests, perhaps a fallocate */
	FAN_HSM_DOING_UNKNOWN, /* it cannot be told */
};

/* Is it one of this process? One system call that finds nothing. */
bool fan_hsm_caller_is_own(pid_t tid);

/* Waits at most some milliseconds for a thread that is not yet asleep. */
enum fan_hsm_doing fan_hsm_caller_doing(pid_t tid);

/*
 * Is it inside mmap(2), or a system call that maps (execve)? True also if it cannot be told: a fill
 * too much is no harm.
 */
bool fan_hsm_caller_maps(pid_t tid);

/*
 * The range of the file that its system call is about to read. Known for read, pread64, readv,
 * preadv, preadv2, sendfile, splice, copy_file_range: from the arguments and, where they name none,
 * the descriptor's position (/proc/TID/fdinfo). -ENOTSUP: any other, or it cannot be told.
 */
int fan_hsm_caller_range(pid_t tid, uint64_t *ret_offset, uint64_t *ret_length);

#endif
