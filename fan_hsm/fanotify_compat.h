/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_FANOTIFY_COMPAT_H
#define FAN_HSM_FANOTIFY_COMPAT_H
/*
 * What <linux/fanotify.h> of Debian 12 (Linux 6.1) lacks. The numbers are those of the kernel's
 * uapi header; each was exercised on 6.18.
 */
#include <sys/fanotify.h>

#include <linux/types.h>

/* Linux 6.13: an event whose descriptor cannot be opened carries fd = -errno. */
#ifndef FAN_REPORT_FD_ERROR
#define FAN_REPORT_FD_ERROR 0x00002000
#endif

/* Linux 6.14: permission event before the content of a regular file is used or changed. */
#ifndef FAN_PRE_ACCESS
#define FAN_PRE_ACCESS 0x00100000
#endif

/* Linux 6.14: page aligned range the event is about; count 0 = to the end of file. */
#ifndef FAN_EVENT_INFO_TYPE_RANGE
#define FAN_EVENT_INFO_TYPE_RANGE 6

struct fanotify_event_info_range {
	struct fanotify_event_info_header hdr;
	__u32 pad;
	__u64 offset;
	__u64 count;
};
#endif

/*
 * Linux 6.14: deny with an errno in the upper byte. Accepted in a FAN_CLASS_PRE_CONTENT group:
 * EPERM, EIO, EBUSY, ETXTBSY, EAGAIN, ENOSPC, EDQUOT; the rest is refused with EINVAL.
 */
#ifndef FAN_DENY_ERRNO
#define FAN_DENY_ERRNO(err) (FAN_DENY | (((__u32)(err)) & 0xff) << 24)
#endif

/* Linux 6.0; there since the headers of Debian 12, missing in older ones. */
#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x00000200
#endif
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x00000400
#endif
#ifndef FAN_MARK_IGNORE_SURV
#define FAN_MARK_IGNORE_SURV (FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY)
#endif

#endif
