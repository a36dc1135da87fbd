/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing the state of active files back to their inodes (a stamp), and the same for what a dead
 * daemon left in the journal.
 *
 * The stamp of a file nobody changed carries the current epoch: after a power cut it may not be
 * believed, and its chunks are fetched again. A file that a user changed cannot lose that way what
 * was his: its data goes to the disk first, and its stamp is then true for good (epoch 0).
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/core.h"
#include "hsm/util.h"

/* f->lock held. @map: what is present, as of @epoch. One chunk needs no map, see file.c. */
static int store(struct hsm_file *f, const uint8_t *map, uint32_t epoch)
{
	int r = 0;

	f->state.epoch = epoch;
	if (hsm_chunkmap_weight(map, f->count) == f->count) {
		f->state.flags |= HSM_S_COMPLETE;
		r = hsm_state_store(f->fd, &f->state);
		if (!r && f->count > 1)
			hsm_state_drop_map(f->fd);
	} else {
		if (f->count > 1)
			r = hsm_state_store_map(f->fd, map, f->count, epoch);
		if (!r)
			r = hsm_state_store(f->fd, &f->state);
	}
	hsm_file_stored(f);
	return r;
}

static int stamp_failed(struct hsm_file *f, int r)
{
	f->stamped = false;
	hsm_log(HSM_LOG_ERROR, "%s: its state cannot be written: %s", f->state.path,
		strerror(-r));
	return r;
}

/* f->lock held. The epoch is taken after the data went to the page cache. */
static int stamp_plain(struct hsm_file *f)
{
	struct hsm_epochs *e = &f->h->epochs;
	uint32_t epoch = hsm_epoch_begin(e);
	int r;

	/* Before reading the map: a bit set meanwhile makes it false again. */
	f->stamped = true;
	r = store(f, f->map, epoch);
	hsm_epoch_end(e);
	return r ? stamp_failed(f, r) : 0;
}

/* write_lock held: one at a time, and no cut between reading the map and writing it. */
static int stamp_synced(struct hsm_file *f)
{
	uint8_t map[HSM_CHUNKMAP_BYTES];
	int r = 0;

	f->stamped = true;
	memcpy(map, f->map, hsm_chunkmap_bytes(f->count));
	if (fdatasync(f->fd))
		r = -errno;
	pthread_mutex_lock(&f->lock);
	if (!r) {
		hsm_epoch_begin(&f->h->epochs);
		r = store(f, map, HSM_EPOCH_FOREVER);
		hsm_epoch_end(&f->h->epochs);
	}
	if (r)
		stamp_failed(f, r);
	pthread_mutex_unlock(&f->lock);
	return r;
}

int hsm_file_stamp(struct hsm_file *f)
{
	bool modified;
	int r = 0;

	pthread_mutex_lock(&f->lock);
	modified = f->state.flags & HSM_S_MODIFIED;
	if (!modified && !f->stamped)
		r = stamp_plain(f);
	pthread_mutex_unlock(&f->lock);
	if (!modified)
		return r;
	pthread_mutex_lock(&f->write_lock);
	if (!f->stamped)
		r = stamp_synced(f);
	pthread_mutex_unlock(&f->write_lock);
	return r;
}

static bool is_modified(struct hsm_file *f)
{
	bool modified;

	pthread_mutex_lock(&f->lock);
	modified = f->state.flags & HSM_S_MODIFIED;
	pthread_mutex_unlock(&f->lock);
	return modified;
}

int hsm_file_settle(struct hsm_file *f)
{
	return is_modified(f) ? hsm_file_stamp(f) : 0;
}

void hsm_file_finish(struct hsm_file *f)
{
	struct hsm *h = f->h;

	/* Who is waited for here must not wait for the disk: the keeper stamps a changed file. */
	if (!is_modified(f) && hsm_file_stamp(f))
		return; /* stays active; the keeper tries again */
	if (atomic_exchange(&f->complete, true))
		return;
	hsm_stats_add(h->stats, HSM_C_FILES_COMPLETED, 1);
	if (h->fe.file_complete)
		h->fe.file_complete(h->fe.ctx, f->fd);
}

/* The daemon died between a user's cut and noting it. */
static int merge_cut(int fd, struct hsm_state *state, uint8_t *map, uint32_t count)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if ((uint64_t)st.st_size < state->fill_end) {
		state->fill_end = (uint64_t)st.st_size;
		state->flags |= HSM_S_MODIFIED;
	}
	for (uint32_t i = hsm_chunkmap_count(state->fill_end, state->chunk_shift); i < count;
		i++)
		hsm_chunkmap_set(map, i);
	return state->flags & HSM_S_MODIFIED && fdatasync(fd) ? -errno : 0;
}

static int store_merged(
	struct hsm *h, int fd, struct hsm_state *state, const uint8_t *map, uint32_t count)
{
	uint32_t epoch = hsm_epoch_begin(&h->epochs);
	int r = 0;

	if (state->flags & HSM_S_MODIFIED)
		epoch = HSM_EPOCH_FOREVER;
	state->epoch = epoch;
	if (hsm_chunkmap_weight(map, count) == count)
		state->flags |= HSM_S_COMPLETE;
	else
		r = hsm_state_store_map(fd, map, count, epoch);
	if (!r)
		r = hsm_state_store(fd, state);
	hsm_epoch_end(&h->epochs);
	return r;
}

/* The inode's own map may be newer than the slot (stamped, then more chunks): the union counts. */
static int merge_slot(struct hsm *h, int fd, const struct hsm_slot *slot)
{
	uint8_t map[HSM_CHUNKMAP_BYTES] = {0};
	struct hsm_state state;
	uint32_t epoch = 0;
	int r = hsm_inode_load_incomplete(h, fd, &state);

	if (r <= 0)
		return r;
	if (state.size != slot->size || state.chunk_shift != slot->shift ||
		hsm_chunkmap_count(state.size, state.chunk_shift) != slot->count)
		return -EBADMSG;
	if (hsm_state_load_map(fd, map, slot->count, &epoch) ||
		!hsm_epoch_trusted(&h->epochs, epoch))
		memset(map, 0, sizeof(map));
	for (uint32_t i = 0; i < hsm_chunkmap_bytes(slot->count); i++)
		map[i] |= slot->map[i];
	r = merge_cut(fd, &state, map, slot->count);
	return r ? r : store_merged(h, fd, &state, map, slot->count);
}

void hsm_file_replay(void *hsm, const struct hsm_slot *slot)
{
	struct hsm *h = hsm;
	auto_fd int fd = hsm_handle_open(h->cache.data_fd, &slot->handle, O_RDWR | O_NOATIME);
	struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT}, hsm_ns_to_timespec(slot->saved_mtime_ns)};
	int r;

	if (fd < 0)
		return; /* the file is gone, and its slot with it */
	if (slot->writing)
		futimens(fd, times);
	r = merge_slot(h, fd, slot);
	if (r < 0)
		hsm_log(HSM_LOG_WARN, "journal: a half-filled file loses its progress: %s",
			strerror(-r));
}
