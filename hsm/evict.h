/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_EVICT_H
#define HSM_EVICT_H
/*
 * Eviction inside the core: one run over some inodes (evict.c), and choosing them by age, on demand
 * or between watermarks (evict_lru.c).
 */
#include <signal.h>

#include "hsm/core.h"

/* What can be done with an inode. Negative: errno. */
enum hsm_evict_verdict {
	HSM_EVICT_YES, /* has bytes, and the origin has the same */
	HSM_EVICT_EMPTY, /* has none, or no name any more */
	HSM_EVICT_OPEN, /* somebody uses it */
	HSM_EVICT_MODIFIED, /* differs from what the origin had, or cannot be told from it */
	HSM_EVICT_LOCAL, /* never was the origin's */
};

/* A run: one at a time, in one thread from begin to end. */
struct hsm_evict {
	struct hsm *h;
	hsm_report_fn report;
	void *report_arg;
	struct hsm_evict_totals totals;
	struct hsm_slot *slot; /* in the journal: the mtime of the file at hand */
	sigset_t signals; /* the thread's mask before */
};

/* Waits for another run. -EOPNOTSUPP: the front-end cannot; -EBUSY: no place in the journal. + text */
int hsm_evict_begin(
	struct hsm *h, hsm_report_fn report, void *report_arg, struct hsm_evict *ret_run);
void hsm_evict_end(struct hsm_evict *e);

/* Without a lease, so the answer may be old. @ret_st, @ret_state: as found (may be undefined). */
int hsm_evict_check(struct hsm *h, int fd, struct stat *ret_st, struct hsm_state *ret_state);

/*
 * Gives the bytes of an inode back. Nobody in this process may have it open. Counts in
 * .totals, reports errors for @path. HSM_EVICT_YES: done.
 */
int hsm_evict_inode(struct hsm_evict *e, const struct hsm_handle *handle, const char *path);

/* The watermarks: starts and ends their thread, if they are set. */
int hsm_evictor_start(struct hsm *h);
void hsm_evictor_stop(struct hsm *h);

#endif
