/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Comparing what the cache has with what the origin has, chunk by chunk. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/core.h"
#include "hsm/util.h"

#define RUN_MAX_BYTES (16ull << 20)

struct verify {
	struct hsm *h;
	hsm_report_fn report;
	void *report_arg;
	struct hsm_verify_totals totals;
};

/* One run of present chunks, fetched and compared as it comes. */
struct compare {
	struct hsm_fetch fetch; /* first member */
	int fd;
	unsigned int shift;
	uint64_t bad_offset; /* first differing byte, UINT64_MAX none */
	pthread_mutex_t lock; /* .ended, .err */
	pthread_cond_t cond;
	bool ended;
	int err;
};

static int compare_data(
	struct hsm_fetch *fetch, uint64_t offset, const void *bytes, size_t length)
{
	struct compare *c = hsm_container_of(fetch, struct compare, fetch);
	const unsigned char *remote = bytes;
	unsigned char local[65536];

	for (size_t at = 0; at < length && c->bad_offset == UINT64_MAX;) {
		size_t want = HSM_MIN(length - at, sizeof(local));
		ssize_t n = pread(c->fd, local, want, (off_t)(offset + at));

		if (n <= 0)
			return n ? -errno : -EIO;
		for (size_t i = 0; i < (size_t)n; i++) {
			if (local[i] != remote[at + i]) {
				c->bad_offset = offset + at + i;
				break;
			}
		}
		at += (size_t)n;
	}
	return 0;
}

static void compare_done(struct hsm_fetch *fetch, int err)
{
	struct compare *c = hsm_container_of(fetch, struct compare, fetch);

	pthread_mutex_lock(&c->lock);
	c->err = err;
	c->ended = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static void report_mismatch(struct verify *v, const char *path, const struct compare *c)
{
	char text[128];

	snprintf(text, sizeof(text), "chunk %llu differs from the origin at byte %llu",
		(unsigned long long)(c->bad_offset >> c->shift),
		(unsigned long long)c->bad_offset);
	v->totals.mismatches++;
	v->report(v->report_arg, path, text);
}

static void compare_run(struct verify *v, const char *path, int fd,
	const struct hsm_state *state, uint64_t offset, uint64_t length)
{
	struct compare c = {.fd = fd,
		.shift = state->chunk_shift,
		.bad_offset = UINT64_MAX,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER};

	c.fetch = (struct hsm_fetch){.path = state->path,
		.offset = offset,
		.length = length,
		.size = state->size,
		.data = compare_data,
		.done = compare_done};
	c.fetch.mtime_ns =
		state->flags & HSM_S_MTIME_EXACT ? state->mtime_ns : HSM_MTIME_UNKNOWN;
	memcpy(c.fetch.validator, state->validator, sizeof(c.fetch.validator));
	v->h->origin->ops->fetch(v->h->origin, &c.fetch);
	pthread_mutex_lock(&c.lock);
	while (!c.ended)
		pthread_cond_wait(&c.cond, &c.lock);
	pthread_mutex_unlock(&c.lock);
	v->totals.bytes += length;
	if (c.bad_offset != UINT64_MAX) {
		report_mismatch(v, path, &c);
	} else if (c.err) {
		v->totals.errors++;
		v->report(v->report_arg, path,
			c.err == -ESTALE ? "the object changed on the origin"
					 : strerror(-c.err));
	}
}

static void compare_chunks(struct verify *v, const char *path, int fd,
	const struct hsm_state *state, const uint8_t *map, uint32_t count)
{
	uint32_t most = (uint32_t)HSM_MAX(RUN_MAX_BYTES >> state->chunk_shift, 1ull), first = 0,
		 end;

	for (; (first = hsm_chunkmap_find(map, first, count, true)) < count; first = end) {
		uint64_t from = (uint64_t)first << state->chunk_shift, to;

		end = hsm_chunkmap_find(map, first, HSM_MIN(count, first + most), false);
		to = HSM_MIN((uint64_t)end << state->chunk_shift, state->size);
		compare_run(v, path, fd, state, from, to - from);
		v->totals.chunks += end - first;
	}
}

/* State lock held, no object: what the xattrs claim and is believed. */
static int load_claims(
	struct hsm *h, int fd, struct hsm_state *state, uint8_t *map, uint32_t count)
{
	int r = hsm_inode_load_incomplete(h, fd, state);
	uint32_t epoch;

	if (r <= 0) {
		memset(map, 0xff, r ? 0 : hsm_chunkmap_bytes(count));
		return r;
	}
	r = hsm_state_load_map(fd, map, count, &epoch);
	if (!r && hsm_epoch_trusted(&h->epochs, epoch))
		return 0;
	memset(map, 0, hsm_chunkmap_bytes(count));
	return r == -ENODATA ? 0 : r;
}

/* The chunks that are there. No object is made for it: there may be more stubs than places. */
static int load_map(struct verify *v, int fd, uint64_t ino, struct hsm_state *state,
	uint8_t *map, uint32_t count)
{
	struct hsm_file *f = hsm_file_find(v->h, ino);
	int r;

	if (f) {
		memcpy(map, f->map, hsm_chunkmap_bytes(count));
		hsm_file_put(f);
		return 0;
	}
	hsm_state_lock(v->h, ino);
	r = load_claims(v->h, fd, state, map, count);
	hsm_state_unlock(v->h, ino);
	return r;
}

static int verify_file(void *arg, int fd, const char *path)
{
	struct verify *v = arg;
	uint8_t map[HSM_CHUNKMAP_BYTES];
	struct hsm_state state;
	uint32_t count;
	struct stat st;
	int r = hsm_inode_state(v->h, fd, &state);

	if (r == -ENODATA)
		return 0; /* local */
	if (r || fstat(fd, &st) || state.kind != HSM_KIND_FILE) {
		v->totals.errors++;
		v->report(v->report_arg, path, "its state cannot be read");
		return 0;
	}
	if (state.flags & HSM_S_MODIFIED) {
		v->totals.changed++;
		v->report(v->report_arg, path, "changed locally");
		return 0;
	}
	v->totals.files++;
	if ((uint64_t)st.st_size != state.size) {
		v->totals.mismatches++;
		v->report(v->report_arg, path, "its size is not the origin's");
		return 0;
	}
	count = hsm_chunkmap_count(state.size, state.chunk_shift);
	r = count > HSM_CHUNKMAP_CHUNKS ? -EBADMSG
					: load_map(v, fd, st.st_ino, &state, map, count);
	if (r) {
		v->totals.errors++;
		v->report(v->report_arg, path, strerror(-r));
	} else {
		compare_chunks(v, path, fd, &state, map, count);
	}
	return v->h->closing ? -ECANCELED : 0;
}

int hsm_verify(struct hsm *h, const char *path, hsm_report_fn report, void *arg,
	struct hsm_verify_totals *ret_totals)
{
	struct verify v = {.h = h, .report = report, .report_arg = arg};
	auto_fd int fd = hsm_walk_open(h, path);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st)) {
		r = fd < 0 ? fd : -errno;
		report(arg, path, strerror(-r));
		return r;
	}
	r = S_ISDIR(st.st_mode) ? hsm_walk_files(hsm_take_fd(fd), path, verify_file, &v)
				: verify_file(&v, fd, path);
	*ret_totals = v.totals;
	return r;
}
