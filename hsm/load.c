/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making an active file: its descriptor, its state and map, its slot in the journal. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "hsm/core.h"
#include "hsm/util.h"

#define LEASE_TRIES   25
#define LEASE_WAIT_NS (2 * 1000 * 1000)

void hsm_file_free(struct hsm_file *f)
{
	if (f->slot)
		hsm_journal_give(&f->h->journal, f->slot);
	hsm_util_close_fd(&f->fd);
	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->write_lock);
	free(f);
}

/* What of the file is present; of one chunk there is no map: it is complete, or has nothing. */
static int load_map(struct hsm_file *f)
{
	uint32_t epoch = 0;
	int r;

	memset(f->map, 0, hsm_chunkmap_bytes(f->count));
	if (f->count == 1)
		return 0;
	r = hsm_state_load_map(f->fd, f->map, f->count, &epoch);
	if (r && r != -ENODATA && r != -EBADMSG)
		return r;
	if (r || !hsm_epoch_trusted(&f->h->epochs, epoch))
		memset(f->map, 0, hsm_chunkmap_bytes(f->count));
	return 0;
}

/* Loads the map and takes a journal slot; from here on the slot's map is the truth. */
static int attach_slot(struct hsm_file *f, const struct hsm_handle *handle)
{
	int r;

	f->slot = hsm_journal_take(&f->h->journal);
	if (!f->slot)
		return -EAGAIN;
	f->map = f->slot->map;
	r = load_map(f);
	if (r)
		return r;
	f->present = hsm_chunkmap_weight(f->map, f->count);
	f->slot->size = f->size;
	f->slot->count = f->count;
	f->slot->shift = f->shift;
	f->slot->handle = *handle;
	__atomic_store_n(&f->slot->used, 1, __ATOMIC_RELEASE);
	return 0;
}

/*
 * Opening for writing breaks the leases that users have on a file, and would wait for them to give
 * them back, for up to fs.lease-break-time (45 s): perhaps for the very reader that waits for us. Our own
 * are gone in a moment.
 */
static int open_for_writing(struct hsm *h, const struct hsm_handle *handle)
{
	int fd = -EAGAIN;

	for (int try = 0; fd == -EAGAIN && try < LEASE_TRIES; try++) {
		if (try)
			nanosleep(&(struct timespec){.tv_nsec = LEASE_WAIT_NS}, NULL);
		fd = hsm_handle_open(h->cache.data_fd, handle,
			O_RDWR | O_NOATIME | O_LARGEFILE | O_NONBLOCK);
	}
	return fd == -EAGAIN ? hsm_err(EBUSY, "somebody holds a lease on the file") : fd;
}

int hsm_file_new(struct hsm *h, int fd, uint64_t ino, struct hsm_handle *ret_handle,
	struct hsm_file **ret_file)
{
	struct hsm_file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->write_lock, NULL);
	f->h = h;
	f->ino = ino;
	f->refs = 1;
	f->stamped = true;
	for (unsigned int i = 0; i < HSM_STREAMS; i++)
		f->stream[i].marker = UINT32_MAX;
	f->fd = -1;
	r = hsm_handle_of(fd, ret_handle);
	if (!r)
		f->fd = open_for_writing(h, ret_handle);
	if (r || f->fd < 0) {
		r = r ? r : f->fd;
		hsm_file_free(f);
		return r;
	}
	*ret_file = f;
	return 0;
}

int hsm_file_load(struct hsm_file *f, const struct hsm_handle *handle)
{
	int r;

	hsm_state_lock(f->h, f->ino);
	r = hsm_inode_load_incomplete(f->h, f->fd, &f->state);
	hsm_state_unlock(f->h, f->ino);
	if (r <= 0)
		return r;
	f->size = f->state.size;
	f->shift = f->state.chunk_shift;
	f->count = hsm_chunkmap_count(f->size, f->shift);
	f->fill_end = f->state.fill_end;
	f->left_mtime_ns = f->state.mtime_ns;
	r = attach_slot(f, handle);
	return r ? r : 1;
}
