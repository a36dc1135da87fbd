/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Three callers need more than the range of their event, and one less:
 *
 * mmap, execve: page faults raise no event, nor does mremap(2), which makes a mapping longer: the bytes
 * it then shows were never asked for. --mmap says how much of the file is filled for a mapping.
 *
 * fallocate that collapses or inserts: what lies behind the range moves. A chunk that is missing would
 * be fetched to where it no longer belongs, and where its hole went to zeros would be read.
 *
 * truncate: nothing of what it cuts off is needed. It reports the page that holds the new end, and
 * nothing (count 0, which else means all of the rest) if the new end is that of a page.
 */
#include "fan_hsm/widen.h"

#include <errno.h>

#include "fan_hsm/caller.h"

static const struct fan_hsm_range whole = {0, 0};

/* Is all but @r present? Then there is nothing to widen it with. */
static bool rest_is_present(struct hsm_file *file, const struct fan_hsm_range *r)
{
	if (r->offset && !hsm_file_present(file, 0, r->offset))
		return false;
	return !r->length || hsm_file_present(file, r->offset + r->length, 0);
}

static bool by_doing(enum fan_hsm_doing doing, enum fan_hsm_mmap how, struct fan_hsm_range *r,
	enum hsm_fill_why *ret_why)
{
	switch (doing) {
	case FAN_HSM_DOING_CUT:
		return r->length;
	case FAN_HSM_DOING_WORKER: /* a fallocate is always done by a worker */
		if (how == FAN_HSM_MMAP_STRICT)
			r->length = 0;
		break;
	case FAN_HSM_DOING_MOVE:
		r->length = 0;
		*ret_why = HSM_FILL_ALL;
		break;
	case FAN_HSM_DOING_MAP:
	case FAN_HSM_DOING_UNKNOWN:
		*ret_why = HSM_FILL_MAP;
		if (how != FAN_HSM_MMAP_RANGE)
			*r = whole;
		break;
	case FAN_HSM_DOING_OTHER:
		break;
	}
	return true;
}

bool fan_hsm_widen(const struct fan_hsm *fan, struct hsm_file *file, pid_t tid,
	struct fan_hsm_range *r, enum hsm_fill_why *ret_why)
{
	*ret_why = HSM_FILL_READ;
	if (file && r->length && rest_is_present(file, r))
		return true;
	return by_doing(fan_hsm_caller_doing(tid), fan->own->mmap, r, ret_why);
}

bool fan_hsm_widen_hit(const struct fan_hsm *fan, struct hsm_file *file, pid_t tid,
	struct fan_hsm_range *r, enum hsm_fill_why *ret_why)
{
	if (fan->own->mmap != FAN_HSM_MMAP_STRICT || rest_is_present(file, r))
		return false;
	*ret_why = HSM_FILL_READ;
	by_doing(fan_hsm_caller_doing(tid), fan->own->mmap, r, ret_why);
	return !hsm_file_present(file, r->offset, r->length);
}
