/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/wait.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "fuse_hsm/uring.h"
#include "hsm/util.h"

#define INLINE_BYTES ((size_t)128 << 10)

static void put(struct fuse_hsm_wait *w)
{
	if (--w->refs)
		return;
	if (w->release)
		w->release(w);
	free(w);
}

static int resume(struct fuse_hsm_wait *w)
{
	int r = w->err;

	pthread_rwlock_rdlock(&w->fs->core_lock);
	if (!r)
		r = w->fs->closing ? -ECANCELED : w->resume(w);
	pthread_rwlock_unlock(&w->fs->core_lock);
	return r;
}

static void reply(struct hsm_task *task)
{
	struct fuse_hsm_wait *w = hsm_container_of(task, struct fuse_hsm_wait, task);

	/* Also waits for an interrupt handler that is running for this request right now. */
	fuse_req_interrupt_func(w->req, NULL, NULL);
	fuse_hsm_end(w->fs, w->req, w->op, w->received_ns, resume(w));
	put(w);
}

struct fuse_hsm_wait *fuse_hsm_wait_new(
	struct fuse_hsm_fs *fs, fuse_req_t req, enum fuse_hsm_op op, const char *name)
{
	size_t name_bytes = name ? strlen(name) + 1 : 0;
	struct fuse_hsm_wait *w = calloc(1, sizeof(*w) + name_bytes);

	if (!w)
		return NULL;
	fuse_hsm_uring_give_away();
	w->task.run = reply;
	w->fs = fs;
	w->req = req;
	w->op = op;
	w->received_ns = fuse_hsm_received_ns;
	w->refs = 2;
	if (name)
		memcpy(w->name, name, name_bytes);
	return w;
}

static void end(struct fuse_hsm_wait *w, int err, bool at_once)
{
	if (atomic_exchange(&w->ended, true))
		return;
	w->err = err;
	if (at_once)
		reply(&w->task);
	else
		hsm_pool_submit(w->fs->pool, &w->task, false);
}

/*
 * Called by a thread of the core, which has other requests to look after. A short read is answered
 * on the spot: copying it costs less than waking a thread that does.
 */
void fuse_hsm_wait_done(void *arg, int err)
{
	struct fuse_hsm_wait *w = arg;

	end(w, err, w->op == FUSE_HSM_OP_READ && w->size <= INLINE_BYTES);
	put(w);
}

/*
 * The kernel tells of any signal, but a signal with a handler must not make open(2) fail on what
 * looks like a disk. A task that dies has SIGKILL pending for itself, whatever killed it.
 */
static bool is_dying(pid_t tid)
{
	char path[32], line[128];
	uint64_t pending = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	in = fopen(path, "re");
	if (!in)
		return true;
	while (fgets(line, sizeof(line), in))
		if (sscanf(line, "SigPnd: %" SCNx64, &pending) == 1)
			break;
	fclose(in);
	return pending & UINT64_C(1) << (SIGKILL - 1);
}

/* Called by libfuse with the request locked, so reply() cannot have freed it. */
static void interrupted(fuse_req_t req, void *arg)
{
	if (is_dying(fuse_req_ctx(req)->pid))
		end(arg, -EINTR, false);
}

int fuse_hsm_wait_start(struct fuse_hsm_wait *w)
{
	int r;

	fuse_req_interrupt_func(w->req, interrupted, w);
	r = w->begin(w);
	if (r)
		fuse_hsm_wait_done(w, r > 0 ? 0 : r);
	return FUSE_HSM_PENDING;
}
