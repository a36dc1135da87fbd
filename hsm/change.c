/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What users do to files of the HSM. A changed inode keeps its identity, and what is missing of it
 * still comes from the origin as it was; what the user touched never does, and the inode is
 * neither evicted nor refreshed.
 *
 * Who writes the state of an inode: its active object, under the object's locks, if there is one;
 * else whoever holds the state lock of its number. An object reads the state when it is in the table,
 * under that lock, so it cannot miss what was written before nor be overwritten later.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/core.h"
#include "hsm/util.h"

/* Ended first: if it is what has begun a moment later, nothing was under way in between. */
uint64_t hsm_attr_mark(struct hsm *h)
{
	uint64_t ended = h->touches_ended, begun = h->touches_begun;

	return ended == begun ? begun : UINT64_MAX;
}

bool hsm_attr_settled(struct hsm *h, uint64_t mark)
{
	return mark != UINT64_MAX && h->touches_begun == mark;
}

void hsm_file_lock(struct hsm_file *f)
{
	pthread_mutex_lock(&f->write_lock);
}

void hsm_file_unlock(struct hsm_file *f)
{
	pthread_mutex_unlock(&f->write_lock);
}

/* The object that owns the state, referenced; NULL: there is none, and the state lock is held. */
static struct hsm_file *object_or_lock(struct hsm *h, uint64_t ino)
{
	struct hsm_file *f;

	for (;;) {
		hsm_state_lock(h, ino);
		f = hsm_file_lookup(h, ino);
		if (!f)
			return NULL;
		hsm_state_unlock(h, ino);
		if (hsm_file_ready(f))
			return f;
		/* Found to have nothing to fill: it is about to leave the table. */
		hsm_file_put(f);
		sched_yield();
	}
}

/* ---- marking ---- */

/* What it has is stamped as his from now on, not with an epoch that may be lost. */
int hsm_file_modified(struct hsm_file *f)
{
	int r = 0;

	pthread_mutex_lock(&f->lock);
	if (!(f->state.flags & HSM_S_MODIFIED)) {
		f->state.flags |= HSM_S_MODIFIED;
		f->stamped = false;
		r = hsm_state_store(f->fd, &f->state);
		if (r)
			f->state.flags &= (uint8_t)~HSM_S_MODIFIED;
		hsm_file_stored(f);
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}

/* State lock held. The data is on the disk: what the xattrs claim is true for good. */
static int store_forever(int fd, struct hsm_state *state, const struct hsm_epochs *e)
{
	uint32_t count = hsm_chunkmap_count(state->size, state->chunk_shift), epoch;
	uint8_t map[HSM_CHUNKMAP_BYTES];
	int r = 0;

	if (state->flags & HSM_S_COMPLETE && hsm_epoch_trusted(e, state->epoch))
		state->epoch = HSM_EPOCH_FOREVER;
	else if (count <= HSM_CHUNKMAP_CHUNKS && !hsm_state_load_map(fd, map, count, &epoch) &&
		 hsm_epoch_trusted(e, epoch))
		r = hsm_state_store_map(fd, map, count, HSM_EPOCH_FOREVER);
	return r ? r : hsm_state_store(fd, state);
}

/* Does the inode claim bytes that a power cut could take? */
static bool is_durable(struct hsm *h, int fd, const struct hsm_state *state)
{
	uint32_t count = hsm_chunkmap_count(state->size, state->chunk_shift), epoch;
	uint8_t map[HSM_CHUNKMAP_BYTES];

	if (state->kind != HSM_KIND_FILE)
		return true;
	if (state->flags & HSM_S_COMPLETE)
		return hsm_epoch_durable(&h->epochs, state->epoch);
	return count > HSM_CHUNKMAP_CHUNKS || hsm_state_load_map(fd, map, count, &epoch) ||
	       hsm_epoch_durable(&h->epochs, epoch);
}

/* State lock held. 1: the data must go to the disk first. */
static int modify_inactive(struct hsm *h, int fd, bool synced)
{
	struct hsm_state state;
	int r = hsm_inode_state(h, fd, &state);

	if (r == -ENODATA || r == -EOPNOTSUPP)
		return 0;
	if (r || state.flags & HSM_S_MODIFIED)
		return r;
	if (!synced && !is_durable(h, fd, &state))
		return 1;
	state.flags |= HSM_S_MODIFIED;
	return synced ? store_forever(fd, &state, &h->epochs) : hsm_state_store(fd, &state);
}

int hsm_fd_modified(struct hsm *h, int fd)
{
	bool synced = false;
	struct hsm_file *f;
	struct stat st;
	int r;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_dev != h->cache.dev)
		return 0;
	for (;;) {
		f = object_or_lock(h, st.st_ino);
		if (f) {
			r = hsm_file_modified(f);
			hsm_file_put(f);
			return r;
		}
		r = modify_inactive(h, fd, synced);
		hsm_state_unlock(h, st.st_ino);
		if (r <= 0)
			return r;
		/* Not under the lock: others load their files meanwhile. */
		if (fdatasync(fd))
			return -errno;
		synced = true;
	}
}

/* ---- times that a fill put back ---- */

void hsm_file_filled(struct hsm_file *f, int64_t mtime_ns)
{
	struct hsm_recent *r = &f->h->recent[f->ino % HSM_RECENT];

	f->left_mtime_ns = mtime_ns;
	r->mtime_ns = mtime_ns;
	r->ino = f->ino;
	hsm_file_stored(f);
}

/* Looking at it makes the file system give the next change another ctime. */
void hsm_file_stored(struct hsm_file *f)
{
	struct hsm_recent *r = &f->h->recent[f->ino % HSM_RECENT];
	struct stat st;

	if (r->ino == f->ino && !fstat(f->fd, &st))
		r->ctime_ns = hsm_timespec_to_ns(st.st_ctim);
}

/*
 * Has a fill put the mtime back after the user's write? Then the last change of the inode is the
 * core's; a user who put the mtime back himself has changed it later. No fill is at work.
 */
static bool met_a_fill(struct hsm *h, const struct stat *st)
{
	const struct hsm_recent *r = &h->recent[st->st_ino % HSM_RECENT];

	return r->ino == st->st_ino && r->mtime_ns == hsm_timespec_to_ns(st->st_mtim) &&
	       r->ctime_ns == hsm_timespec_to_ns(st->st_ctim);
}

static int repair_mtime(struct hsm *h, int fd)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
	struct hsm_file *f;
	struct stat st;
	int r = 0;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_dev != h->cache.dev)
		return 0;
	f = hsm_file_find(h, st.st_ino);
	if (f)
		pthread_mutex_lock(&f->write_lock);
	if (!fstat(fd, &st) && met_a_fill(h, &st) && futimens(fd, times))
		r = -errno;
	if (f) {
		pthread_mutex_unlock(&f->write_lock);
		hsm_file_put(f);
	}
	return r;
}

/* The mark is what counts; a time that cannot be set is no reason to go without. */
int hsm_fd_written(struct hsm *h, int fd, bool wrote)
{
	int late = wrote ? repair_mtime(h, fd) : 0, r = hsm_fd_modified(h, fd);

	return r ? r : late;
}

/* ---- on the disk ---- */

int hsm_fd_sync(struct hsm *h, int fd, bool data_only)
{
	struct hsm_file *f;
	struct stat st;
	int r = 0;

	if (fstat(fd, &st))
		return -errno;
	f = S_ISREG(st.st_mode) && st.st_dev == h->cache.dev ? hsm_file_find(h, st.st_ino)
							     : NULL;
	if (f) {
		r = hsm_file_settle(f);
		hsm_file_put(f);
	}
	/* What was stamped just now goes with it: xattrs are in the same log. */
	if (data_only && !f ? fdatasync(fd) : fsync(fd))
		return -errno;
	return r;
}

/* ---- cutting ---- */

/* Both locks held. The chunks behind the cut count as present from now on, also on disk. */
static void apply_cut(struct hsm_file *f, uint64_t size)
{
	int r;

	f->fill_end = f->state.fill_end = size;
	f->state.flags |= HSM_S_MODIFIED;
	for (uint32_t i = hsm_chunkmap_count(size, f->shift); i < f->count; i++)
		f->present += hsm_chunkmap_set(f->map, i);
	if (!size) { /* nothing of it is the origin's: complete, and nothing that could be lost */
		f->state.flags |= HSM_S_COMPLETE;
		f->state.epoch = HSM_EPOCH_FOREVER;
	}
	r = hsm_state_store(f->fd, &f->state);
	/* Else the map follows with the next stamp; bits it lacks only cost a fetch. */
	f->stamped = !size && !r;
	if (r)
		hsm_log(HSM_LOG_ERROR, "%s: its state cannot be written: %s", f->state.path,
			strerror(-r));
	else if (!size)
		hsm_state_drop_map(f->fd);
}

/* write_lock held. Returns those who have all they waited for now. */
static struct hsm_waiter *cut(struct hsm_file *f, uint64_t size)
{
	struct hsm_waiter *list = NULL;

	pthread_mutex_lock(&f->lock);
	if (size < f->fill_end) {
		apply_cut(f, size);
		list = hsm_waiters_take(f, 0, f->count, 0);
	}
	pthread_mutex_unlock(&f->lock);
	return list;
}

/* No lock held. */
static void after_cut(struct hsm_file *f, struct hsm_waiter *list)
{
	hsm_waiters_call(list);
	if (f->present == f->count)
		hsm_file_finish(f);
}

/*
 * Seen by the first event after the cut, which comes before the file can grow again. A write that
 * is under way at the moment of the cut may still be seen behind it.
 */
void hsm_file_cut(struct hsm_file *f, uint64_t size)
{
	struct hsm_waiter *list;

	pthread_mutex_lock(&f->write_lock);
	list = cut(f, size);
	pthread_mutex_unlock(&f->write_lock);
	after_cut(f, list);
}

/*
 * The file first, then the state. Killed in between, the file is shorter than its state says,
 * which the replay of the journal, or after a power cut the first use, takes for the cut it is. The
 * other order would leave a file of full size whose chunks behind the cut count as present.
 */
int hsm_file_truncate(struct hsm_file *f, uint64_t size)
{
	struct hsm_waiter *list = NULL;
	struct stat st;
	int r = 0;

	pthread_mutex_lock(&f->write_lock);
	if (fstat(f->fd, &st) || ftruncate(f->fd, (off_t)size))
		r = -errno;
	else
		list = cut(f, HSM_MIN((uint64_t)st.st_size, size));
	pthread_mutex_unlock(&f->write_lock);
	after_cut(f, list);
	return r;
}

/* State lock held, no object: the same on the xattrs alone. */
static int truncate_inactive(struct hsm *h, int fd, uint64_t size)
{
	struct hsm_state state;
	struct stat st;
	int r = hsm_inode_load_incomplete(h, fd, &state);

	if (r < 0)
		return r;
	if (fstat(fd, &st) || ftruncate(fd, (off_t)size))
		return -errno;
	size = HSM_MIN(size, (uint64_t)st.st_size);
	if (!r || size >= state.fill_end)
		return 0;
	state.fill_end = size;
	state.flags |= HSM_S_MODIFIED;
	return hsm_state_store(fd, &state);
}

int hsm_fd_truncate(struct hsm *h, int fd, uint64_t size)
{
	struct hsm_file *f;
	struct stat st;
	int r = hsm_fd_modified(h, fd);

	if (r || fstat(fd, &st))
		return r ? r : -errno;
	f = object_or_lock(h, st.st_ino);
	if (f) {
		r = hsm_file_truncate(f, size);
		hsm_file_put(f);
		return r;
	}
	r = truncate_inactive(h, fd, size);
	hsm_state_unlock(h, st.st_ino);
	return r;
}
