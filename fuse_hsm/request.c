/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>

#include "fuse_hsm/fs.h"
#include "fuse_hsm/uring.h"
#include "hsm/util.h"

__thread uint64_t fuse_hsm_received_ns;

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void make_scratch_key(void)
{
	pthread_key_create(&scratch_key, free);
}

char *fuse_hsm_scratch(void)
{
	static __thread char *mine;
	char *room = fuse_hsm_uring_room();

	if (room)
		return room;
	if (!mine) {
		pthread_once(&scratch_once, make_scratch_key);
		mine = aligned_alloc(4096, FUSE_HSM_REQUEST_BYTES);
		pthread_setspecific(scratch_key, mine);
	}
	return mine;
}

/* What a reader may be told: ending is an I/O error to it, and "try again" would be a lie. */
static int errno_for_user(int err)
{
	return err == ECANCELED || err == EAGAIN ? EIO : err;
}

void fuse_hsm_end(struct fuse_hsm_fs *fs, fuse_req_t req, enum fuse_hsm_op op,
	uint64_t received_ns, int result)
{
	if (result == FUSE_HSM_PENDING)
		return;
	if (result < 0)
		fuse_reply_err(req, errno_for_user(-result));
	hsm_optable_record(fs->requests, op, hsm_now_ns() - received_ns, result);
}
