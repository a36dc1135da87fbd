/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The method of 2022, for kernels without FAN_PRE_ACCESS. FAN_ACCESS_PERM has no range, so a file is filled
 * from its front, in the order in which it is read: each event lets the filled part grow by a
 * chunk, or as far as a read goes that begins in it. How far that is, the caller's system call
 * tells. A read elsewhere, and one of which the place cannot be told (execve, io_uring), is
 * denied: allowed, it would return zeros.
 *
 * mmap, write, truncate and fallocate raise no FAN_ACCESS_PERM: see docs/marks.md for what they get.
 */
#include "fan_hsm/access_perm.h"

#include <errno.h>

#include "fan_hsm/caller.h"
#include "hsm/util.h"

#define LOOKS \
	4 /* at a thread that a busy machine does not let fall asleep; each waits a little */

static int caller_range(pid_t tid, uint64_t *ret_offset, uint64_t *ret_length)
{
	int r = -ENOTSUP;

	for (int n = 0; r && n < LOOKS; n++)
		r = fan_hsm_caller_range(tid, ret_offset, ret_length);
	return r;
}

int fan_hsm_access_perm(struct hsm_file *file, pid_t tid, struct fan_hsm_range *ret_range)
{
	uint64_t offset, length, end, prefix, chunk;

	if (caller_range(tid, &offset, &length))
		return -EIO;
	if (!length || offset > INT64_MAX)
		return 1;
	length = HSM_MIN(length, INT64_MAX - offset);
	if (hsm_file_present(file, offset, length))
		return 1;
	end = offset + length;
	prefix = hsm_file_prefix(file, &chunk);
	if (offset > prefix && end > prefix + chunk)
		return -EIO;
	*ret_range = (struct fan_hsm_range){prefix, HSM_MAX(end - prefix, chunk)};
	return 0;
}
