/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_CALLER_H
#define FUSE_HSM_CALLER_H
/*
 * Making names on behalf of whoever asked: owner, group and umask of the caller, so that the file
 * system below applies set-group-id directories and default ACLs as it would to the caller itself.
 * Permissions were checked by the kernel (default_permissions); the capabilities stay the daemon's.
 */
#include <fuse_lowlevel.h>

/*
 * Once, before the threads that handle requests exist: changing ids must not cost them their
 * capabilities. 0 or -errno.
 */
int fuse_hsm_caller_init(void);

/*
 * From _begin to _end what this thread creates belongs to the caller of @req. Nothing else may be
 * done in between. 0, or -errno and nothing to end.
 */
int fuse_hsm_caller_begin(fuse_req_t req);
void fuse_hsm_caller_end(fuse_req_t req);

#endif
