/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Read-ahead from the origin. A file has a few streams; a read that starts near the end of one
 * continues it and doubles its window, any other read replaces the oldest and gets just
 * what it asked for. Front-ends deliver reads out of order (kernel readahead, many threads), so
 * "near" is a distance, not equality. The next window starts when a marker in the middle
 * of the last one is read, so that a sequential reader never waits once it is under way.
 */
#include "hsm/core.h"
#include "hsm/util.h"

#define NEAR_BYTES (1u << 20)
#define FIRST_BYTES \
	(256u << 10) /* window of the first read at offset 0 and of the second read */
#define REQUESTS_AHEAD 4

static uint32_t to_chunks(const struct hsm_file *f, uint64_t bytes)
{
	uint64_t chunks = HSM_DIV_UP(bytes, 1ull << f->shift);

	return (uint32_t)HSM_MIN(chunks, (uint64_t)f->count);
}

static struct hsm_stream *find_stream(struct hsm_file *f, uint32_t first)
{
	uint32_t near = to_chunks(f, NEAR_BYTES);

	for (unsigned int i = 0; i < HSM_STREAMS; i++) {
		struct hsm_stream *s = &f->stream[i];
		uint32_t back = s->window + near;

		if (s->end && first + back >= s->end && first <= s->end + near)
			return s;
	}
	return NULL;
}

static struct hsm_stream *oldest_stream(struct hsm_file *f)
{
	struct hsm_stream *oldest = &f->stream[0];

	for (unsigned int i = 1; i < HSM_STREAMS; i++)
		if (f->stream[i].used < oldest->used)
			oldest = &f->stream[i];
	return oldest;
}

/* Moves the stream's end behind @end plus its window and sets the marker. */
static uint32_t extend(struct hsm_file *f, struct hsm_stream *s, uint32_t end)
{
	uint64_t ahead = (uint64_t)HSM_MAX(end, s->end) + s->window;

	s->end = (uint32_t)HSM_MIN(ahead, (uint64_t)f->count);
	s->marker = s->window && s->end < f->count ? s->end - s->window / 2 - 1 : UINT32_MAX;
	return s->end;
}

uint32_t hsm_stream_miss(struct hsm_file *f, uint32_t first, uint32_t end)
{
	uint32_t max = to_chunks(f, f->h->opt.readahead_bytes);
	uint32_t start = HSM_MIN(to_chunks(f, FIRST_BYTES), max);
	struct hsm_stream *s = find_stream(f, first);

	if (!max)
		return end;
	if (s) {
		s->window = HSM_MIN(s->window ? 2 * s->window : start, max);
		if (s->end > end + max)
			s->end = end;
	} else {
		s = oldest_stream(f);
		s->end = end;
		s->window = first ? 0 : start;
	}
	s->used = ++f->stream_clock;
	return extend(f, s, end);
}

void hsm_stream_hit(struct hsm_file *f, uint32_t first, uint32_t end)
{
	for (unsigned int i = 0; i < HSM_STREAMS; i++) {
		struct hsm_stream *s = &f->stream[i];
		uint32_t marker = atomic_load_explicit(&s->marker, memory_order_relaxed), from;

		if (marker < first || marker >= end)
			continue;
		pthread_mutex_lock(&f->lock);
		if (s->marker == marker) {
			from = s->end;
			s->window =
				HSM_MIN(2 * s->window, to_chunks(f, f->h->opt.readahead_bytes));
			s->used = ++f->stream_clock;
			hsm_request_range(f, from, extend(f, s, from), REQUESTS_AHEAD);
		}
		pthread_mutex_unlock(&f->lock);
	}
}
