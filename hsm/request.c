/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests to the origin: which chunks are asked for together, and what happens when their
 * bytes arrive. Each missing chunk is in at most one request, so it is written exactly once.
 * Order of a chunk's life: data to the page cache, mtime put back, bit in the journal's map,
 * readers answered, later the xattrs (file.c), later the disk (epoch.c).
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/core.h"
#include "hsm/util.h"

#define REQUEST_MAX_BYTES (16ull << 20)

static uint64_t chunk_offset(const struct hsm_file *f, uint32_t chunk)
{
	return HSM_MIN((uint64_t)chunk << f->shift, f->size);
}

/*
 * The mtime a user would see without the write: what it is now, unless it is still the index's
 * rounded one and the origin has just told the exact one.
 */
static int64_t mtime_after(
	struct hsm_file *f, const struct hsm_fetch *fetch, struct timespec now)
{
	int64_t mtime_ns = hsm_timespec_to_ns(now);

	pthread_mutex_lock(&f->lock);
	if (!(f->state.flags & HSM_S_MTIME_EXACT) && fetch->mtime_ns != HSM_MTIME_UNKNOWN) {
		f->state.flags |= HSM_S_MTIME_EXACT;
		/* Another value was set by the user, and stays. */
		if (mtime_ns == f->state.mtime_ns)
			mtime_ns = fetch->mtime_ns;
		f->state.mtime_ns = fetch->mtime_ns;
	}
	pthread_mutex_unlock(&f->lock);
	return mtime_ns;
}

/*
 * write_lock held. A file whose mtime is not what the core left may have been written to without
 * an event (while no daemon ran, or through a descriptor older than the marks): from then on each
 * write looks at what is there.
 */
static int write_bytes(struct hsm_file *f, struct hsm_request *r, const void *bytes,
	size_t length, uint64_t offset, uint64_t file_size)
{
	uint64_t appended = file_size > f->fill_end ? f->fill_end : 0;
	int n;

	if (!f->distrusted)
		return hsm_keep_pwrite(f->fd, bytes, length, offset);
	n = hsm_keep_write(f->fd, bytes, length, offset, appended, &r->tail_ours);
	if (n <= 0 || f->kept)
		return HSM_MIN(n, 0);
	f->kept = true;
	hsm_log(HSM_LOG_WARN, "%s was written to unseen: that stays, the rest is the origin's",
		f->state.path);
	return hsm_file_modified(f);
}

/* Writes into the file without changing its size or mtime. A file cut by its user stays cut. */
static int write_data(struct hsm_request *q, uint64_t offset, const void *bytes, size_t length)
{
	struct hsm_file *f = q->file;
	struct timespec times[2];
	struct stat st;
	uint64_t end;
	int r = 0;

	pthread_mutex_lock(&f->write_lock);
	if (fstat(f->fd, &st)) {
		r = -errno;
		goto out;
	}
	end = HSM_MIN((uint64_t)st.st_size, f->fill_end);
	if (offset >= end)
		goto out;
	length = HSM_MIN(length, end - offset);
	/* Behind a front-end that is asked first, what is missing was never written to. */
	f->distrusted |=
		f->h->fe.file_settle && hsm_timespec_to_ns(st.st_mtim) != f->left_mtime_ns;
	f->slot->saved_mtime_ns = mtime_after(f, &q->fetch, st.st_mtim);
	/* Both: the mtime alone is told as a change, to us too, and costs a wake-up (fsnotify_change()). */
	times[0] = st.st_atim;
	times[1] = hsm_ns_to_timespec(f->slot->saved_mtime_ns);
	__atomic_store_n(&f->slot->writing, 1, __ATOMIC_RELEASE);
	f->h->touches_begun++;
	r = write_bytes(f, q, bytes, length, offset, (uint64_t)st.st_size);
	if (futimens(f->fd, times) && !r)
		r = -errno;
	hsm_file_filled(f, f->slot->saved_mtime_ns);
	f->h->touches_ended++;
	__atomic_store_n(&f->slot->writing, 0, __ATOMIC_RELEASE);
out:
	pthread_mutex_unlock(&f->write_lock);
	return r;
}

/* Two first requests in parallel may have met two versions of the object: only one can stay. */
static int check_version(struct hsm_file *f, const struct hsm_fetch *fetch)
{
	int r = 0;

	pthread_mutex_lock(&f->lock);
	if (!f->state.validator[0])
		memcpy(f->state.validator, fetch->validator, sizeof(f->state.validator));
	else if (strcmp(f->state.validator, fetch->validator))
		r = hsm_err(
			ESTALE, "%s changed on the origin while it was fetched", f->state.path);
	pthread_mutex_unlock(&f->lock);
	return r;
}

/* [from, to) hold their data: publish the bits, wake who has all it waited for. */
static void publish(struct hsm_file *f, uint32_t from, uint32_t to)
{
	struct hsm_waiter *list;

	for (uint32_t i = from; i < to; i++)
		f->present += hsm_chunkmap_set(f->map, i);
	f->stamped = false;
	hsm_stats_add(f->h->stats, HSM_C_CHUNKS_FILLED, to - from);
	pthread_mutex_lock(&f->lock);
	list = hsm_waiters_take(f, from, to, 0);
	pthread_mutex_unlock(&f->lock);
	hsm_waiters_call(list);
}

static int on_data(struct hsm_fetch *fetch, uint64_t offset, const void *bytes, size_t length)
{
	struct hsm_request *r = hsm_container_of(fetch, struct hsm_request, fetch);
	struct hsm_file *f = r->file;
	uint64_t end = offset + length;
	uint32_t filled;
	int err;

	if (offset == fetch->offset) {
		err = check_version(f, fetch);
		if (err)
			return err;
	}
	err = write_data(r, offset, bytes, length);
	if (err)
		return hsm_err(
			-err, "writing %s into the cache: %s", f->state.path, strerror(-err));
	filled = end == f->size ? f->count : (uint32_t)(end >> f->shift);
	if (filled > r->filled_end) {
		publish(f, r->filled_end, filled);
		r->filled_end = filled;
	}
	return 0;
}

static void unlink_request(struct hsm_file *f, struct hsm_request *r)
{
	struct hsm_request **p = &f->requests;

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	f->request_count--;
}

/* What a reader may be told: errno values every front-end can deliver. */
static int reader_error(int err)
{
	switch (err) {
	case -ENOSPC:
	case -EDQUOT:
	case -ECANCELED:
	case -ENOMEM:
		return err;
	default:
		return -EIO;
	}
}

static void on_done(struct hsm_fetch *fetch, int err)
{
	struct hsm_request *r = hsm_container_of(fetch, struct hsm_request, fetch);
	struct hsm_file *f = r->file;
	struct hsm_waiter *list = NULL;

	if (!err && r->filled_end < r->end)
		err = hsm_err(EIO, "%s: the origin ended early", f->state.path);
	if (err && err != -ECANCELED)
		hsm_log(HSM_LOG_WARN, "%s", hsm_err_text());
	pthread_mutex_lock(&f->lock);
	unlink_request(f, r);
	/* At the end nothing more is started: those who wait for a later request are told now. */
	if (f->h->closing)
		list = hsm_waiters_take(f, 0, f->count, -ECANCELED);
	else if (err)
		list = hsm_waiters_take(f, r->filled_end, r->end, reader_error(err));
	hsm_requests_schedule(f);
	pthread_mutex_unlock(&f->lock);
	hsm_waiters_call(list);
	if (f->present == f->count)
		hsm_file_finish(f);
	hsm_file_put(f);
	free(r);
}

static int start(struct hsm_file *f, uint32_t first, uint32_t end)
{
	struct hsm_request *r = malloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct hsm_request){.file = f, .first = first, .end = end, .filled_end = first};
	r->fetch.path = f->state.path;
	r->fetch.offset = chunk_offset(f, first);
	r->fetch.length = chunk_offset(f, end) - r->fetch.offset;
	r->fetch.size = f->size;
	r->fetch.mtime_ns =
		f->state.flags & HSM_S_MTIME_EXACT ? f->state.mtime_ns : HSM_MTIME_UNKNOWN;
	memcpy(r->fetch.validator, f->state.validator, sizeof(r->fetch.validator));
	r->fetch.data = on_data;
	r->fetch.done = on_done;
	r->next = f->requests;
	f->requests = r;
	f->request_count++;
	hsm_file_ref(f);
	f->h->origin->ops->fetch(f->h->origin, &r->fetch);
	return 0;
}

/* The request that covers @chunk, or the first one that begins before @end; NULL if none. */
static const struct hsm_request *covering(
	const struct hsm_file *f, uint32_t chunk, uint32_t *end)
{
	const struct hsm_request *found = NULL;

	for (const struct hsm_request *r = f->requests; r; r = r->next) {
		if (chunk >= r->first && chunk < r->end)
			found = r;
		else if (r->first > chunk && r->first < *end)
			*end = r->first;
	}
	return found;
}

void hsm_request_range(struct hsm_file *f, uint32_t first, uint32_t end, unsigned int limit)
{
	uint32_t most = (uint32_t)HSM_MAX(REQUEST_MAX_BYTES >> f->shift, 1ull);

	if (f->h->closing)
		return;
	while (first < end && f->request_count < limit) {
		uint32_t stop = end;
		const struct hsm_request *r = covering(f, first, &stop);

		if (r) {
			first = r->end;
			continue;
		}
		if (hsm_chunkmap_test(f->map, first)) {
			first = hsm_chunkmap_find(f->map, first, end, false);
			continue;
		}
		stop = hsm_chunkmap_find(f->map, first, HSM_MIN(stop, first + most), true);
		if (start(f, first, stop))
			return;
		first = stop;
	}
}

void hsm_requests_schedule(struct hsm_file *f)
{
	for (struct hsm_waiter *w = f->waiters; w; w = w->next) {
		if (f->request_count >= f->h->opt.connections)
			return;
		hsm_request_range(f, w->first, w->end, f->h->opt.connections);
	}
}
