/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/caller.h"

#include <errno.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>

int fuse_hsm_caller_init(void)
{
	int bits = prctl(PR_GET_SECUREBITS);

	if (bits < 0 || prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP))
		return -errno;
	return 0;
}

/* Threads are born with one umask between them. */
static int own_umask(void)
{
	static __thread bool owned;

	if (!owned && unshare(CLONE_FS))
		return -errno;
	owned = true;
	return 0;
}

/* The group first: with another user id the call would need CAP_SETGID, which is kept, too. */
int fuse_hsm_caller_begin(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	int r = own_umask();

	if (r)
		return r;
	umask(ctx->umask & 0777);
	if (ctx->gid)
		setfsgid(ctx->gid);
	if (ctx->uid)
		setfsuid(ctx->uid);
	return 0;
}

/* Stubs are made with the origin's mode, by whichever thread: outside of this it is 0. */
void fuse_hsm_caller_end(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	if (ctx->uid)
		setfsuid(0);
	if (ctx->gid)
		setfsgid(0);
	umask(0);
}
