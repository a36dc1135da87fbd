/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an inode says of itself in its xattrs, judged by the epochs of this cache. */
#include <errno.h>

#include "hsm/core.h"
#include "hsm/util.h"

static bool is_complete(struct hsm *h, const struct hsm_state *state)
{
	return (state->flags & HSM_S_COMPLETE) && hsm_epoch_trusted(&h->epochs, state->epoch);
}

int hsm_inode_state(struct hsm *h, int fd, struct hsm_state *ret_state)
{
	int r = hsm_state_load(fd, ret_state);

	return r || ret_state->cache_id == h->cache.id ? r : -ENODATA;
}

/* @r, of loading the state; return value as hsm_inode_load_incomplete(). */
static int judge_state(struct hsm *h, int r, struct hsm_state *ret_state)
{
	if (r == -ENODATA || r == -EOPNOTSUPP)
		return 0;
	if (r == -EBADMSG)
		return hsm_err(EIO, "inode with a %s that is not understood", HSM_XATTR_STATE);
	if (r)
		return r;
	if (ret_state->kind != HSM_KIND_FILE || is_complete(h, ret_state))
		return 0;
	if (hsm_chunkmap_count(ret_state->size, ret_state->chunk_shift) > HSM_CHUNKMAP_CHUNKS)
		return hsm_err(EIO, "%s: more chunks than a map holds", ret_state->path);
	/* Of an epoch that is not believed: it must not become true with the next stamp. */
	ret_state->flags &= (uint8_t)~HSM_S_COMPLETE;
	return 1;
}

int hsm_inode_load_incomplete(struct hsm *h, int fd, struct hsm_state *ret_state)
{
	return judge_state(h, hsm_inode_state(h, fd, ret_state), ret_state);
}

int hsm_missing_at(struct hsm *h, int dirfd, const char *name, uint64_t ino)
{
	struct hsm_state state;
	int r = hsm_state_load_at(dirfd, name, &state);
	struct hsm_file *f;

	if (!r && state.cache_id != h->cache.id)
		return 0;
	r = judge_state(h, r, &state);
	/* The state of a file that a user changed follows a little later. */
	f = r > 0 && ino ? hsm_file_find(h, ino) : NULL;
	if (f) {
		r = !f->complete;
		hsm_file_put(f);
	}
	return r;
}
