/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/recover.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fan_hsm/deny.h"
#include "fan_hsm/events.h"
#include "fan_hsm/fan_hsm.h"
#include "fan_hsm/fanotify_compat.h"
#include "hsm/util.h"

int fan_hsm_group_index(const struct fan_hsm_shared *s, int group)
{
	for (int i = 0; i < FAN_HSM_GROUPS_MAX; i++)
		if (s->group[i] == group)
			return i;
	return 0;
}

/* Which record comes first depends on the group's flags and the kernel: look at all. */
static const struct fanotify_event_info_range *range_of(const struct fanotify_event_metadata *m)
{
	const char *end = (const char *)m + m->event_len;
	const char *p = (const char *)m + m->metadata_len;

	while (end - p >= (ptrdiff_t)sizeof(struct fanotify_event_info_header)) {
		const struct fanotify_event_info_range *info = (const void *)p;

		if (info->hdr.len < sizeof(info->hdr) || info->hdr.len > end - p)
			break;
		if (info->hdr.info_type == FAN_EVENT_INFO_TYPE_RANGE &&
			info->hdr.len >= sizeof(*info))
			return info;
		p += info->hdr.len;
	}
	return NULL;
}

/* Several reader threads. */
static void raise_high(struct fan_hsm_shared *s, uint32_t high)
{
	uint32_t old = atomic_load_explicit(&s->high, memory_order_relaxed);

	while (old < high && !atomic_compare_exchange_weak(&s->high, &old, high))
		;
}

uint32_t fan_hsm_slots_high(const struct fan_hsm_shared *s)
{
	return HSM_MIN(atomic_load(&s->high), s->limit);
}

void fan_hsm_slot_take(
	struct fan_hsm_shared *s, int group_index, const struct fanotify_event_metadata *m)
{
	const struct fanotify_event_info_range *range = range_of(m);
	struct fan_hsm_event *e = &s->slot[m->fd];

	e->mask = m->mask;
	e->tid = m->pid;
	e->group = group_index;
	e->ranged = range != NULL;
	e->offset = range ? range->offset : 0;
	e->length = range ? range->count : 0;
	raise_high(s, (uint32_t)m->fd + 1);
	atomic_store_explicit(&e->state, FAN_HSM_SLOT_TAKEN, memory_order_release);
}

int fan_hsm_respond(int group, int fd, uint32_t response)
{
	struct fanotify_response r = {.fd = fd, .response = response};
	ssize_t n;

	do {
		n = write(group, &r, sizeof(r));
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(r) ? 0 : n < 0 ? -errno : -EIO;
}

/* ---- after the death of a worker ---- */

/*
 * A slot that is in use already is that of the same event: its descriptor cannot have been closed,
 * so its number was not given to another one.
 */
static void collect_event(struct fan_hsm_shared *s, const struct fan_hsm_batch *b,
	const struct fanotify_event_metadata *m)
{
	if (m->fd < 0 || (uint32_t)m->fd >= s->limit)
		return;
	if (atomic_load(&s->slot[m->fd].state) == FAN_HSM_SLOT_FREE)
		fan_hsm_slot_take(s, (int)b->group, m);
}

/*
 * The dead thread's read(2) may have returned in the kernel only: how much it brought is seen from
 * the buffer itself, which was all zeros.
 */
static void collect_batch(struct fan_hsm_shared *s, struct fan_hsm_batch *b)
{
	uint32_t at = atomic_load(&b->done);

	while (at + sizeof(struct fanotify_event_metadata) <= sizeof(b->bytes)) {
		const struct fanotify_event_metadata *m = (const void *)(b->bytes + at);

		if (m->event_len < sizeof(*m) || m->event_len > sizeof(b->bytes) - at)
			break;
		collect_event(s, b, m);
		at += m->event_len;
		atomic_store(&b->done, at);
	}
	memset(b->bytes, 0, sizeof(b->bytes));
	atomic_store(&b->done, 0);
}

unsigned int fan_hsm_recover_collect(struct fan_hsm_shared *s)
{
	unsigned int found = 0;
	uint32_t high;

	for (unsigned int i = 0; i < FAN_HSM_READERS_MAX; i++)
		collect_batch(s, &s->batch[i]);
	high = fan_hsm_slots_high(s);
	for (uint32_t fd = 0; fd < high; fd++) {
		struct fan_hsm_event *e = &s->slot[fd];

		if (atomic_load(&e->state) == FAN_HSM_SLOT_FREE)
			continue;
		atomic_store(&e->state, FAN_HSM_SLOT_LEFT);
		found++;
	}
	return found;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void close_between(int first, int last)
{
	if (first <= last)
		close_range((unsigned int)first, (unsigned int)last, 0);
}

/* Both the slots and @keep are in order: the gaps are closed. */
void fan_hsm_recover_sweep(const struct fan_hsm_shared *s, int *keep, size_t count)
{
	int high = s ? (int)fan_hsm_slots_high(s) : 0, next = 3;
	size_t k = 0;

	qsort(keep, count, sizeof(*keep), by_number);
	for (int fd = 3; fd < high; fd++) {
		while (k < count && keep[k] < fd)
			k++;
		if (atomic_load(&s->slot[fd].state) == FAN_HSM_SLOT_FREE &&
			(k == count || keep[k] != fd))
			continue;
		close_between(next, fd - 1);
		next = fd + 1;
	}
	for (; k < count; k++) {
		if (keep[k] < next)
			continue;
		close_between(next, keep[k] - 1);
		next = keep[k] + 1;
	}
	close_between(next, INT_MAX);
}

/* True: denied. */
static bool deny_slot(struct fan_hsm_shared *s, int fd, bool open)
{
	struct fan_hsm_event *e = &s->slot[fd];
	int err = 0;

	if (e->mask & FAN_HSM_PERMISSION) {
		err = open ? fan_hsm_deny_if_stub(s->cache_id, fd) : -EIO;
		fan_hsm_respond(s->group[e->group], fd, err ? FAN_DENY_ERRNO(EIO) : FAN_ALLOW);
	}
	atomic_store(&e->state, FAN_HSM_SLOT_FREE);
	if (open)
		close(fd);
	return err;
}

unsigned int fan_hsm_recover_deny(struct fan_hsm_shared *s, bool open)
{
	uint32_t high = fan_hsm_slots_high(s);
	unsigned int denied = 0;

	for (uint32_t fd = 0; fd < high; fd++)
		if (atomic_load(&s->slot[fd].state) != FAN_HSM_SLOT_FREE)
			denied += deny_slot(s, (int)fd, open);
	atomic_fetch_add(&s->abandoned, denied);
	return denied;
}

/* ---- the new worker ---- */

void fan_hsm_recover_leave(struct fan_hsm_shared *s, int fd)
{
	atomic_store(&s->slot[fd].state, FAN_HSM_SLOT_LEFT);
}

static void redo(struct fan_hsm *fan, int fd, bool serving)
{
	struct {
		struct fanotify_event_metadata m;
		struct fanotify_event_info_range range;
	} again = {0};
	struct fan_hsm_event *e = &fan->shared->slot[fd];
	int group = fan->shared->group[e->group];

	again.m = (struct fanotify_event_metadata){.event_len = sizeof(again.m),
		.vers = FANOTIFY_METADATA_VERSION,
		.metadata_len = sizeof(again.m),
		.mask = e->mask,
		.fd = fd,
		.pid = e->tid};
	if (e->ranged) {
		again.m.event_len = sizeof(again);
		again.range.hdr.info_type = FAN_EVENT_INFO_TYPE_RANGE;
		again.range.hdr.len = sizeof(again.range);
		again.range.offset = e->offset;
		again.range.count = e->length;
	}
	/* No answer, no begin: the slot is free before the descriptor's number can come back. */
	if (!(e->mask & FAN_HSM_PERMISSION))
		atomic_store(&e->state, FAN_HSM_SLOT_FREE);
	fan_hsm_event_handle(fan, group, &again.m, hsm_now_ns(), serving);
}

unsigned int fan_hsm_recover_redo(struct fan_hsm *fan, bool serving)
{
	uint32_t high = fan_hsm_slots_high(fan->shared);
	unsigned int count = 0;

	for (uint32_t fd = 0; fd < high; fd++) {
		uint8_t left = FAN_HSM_SLOT_LEFT;

		if (!atomic_compare_exchange_strong(
			    &fan->shared->slot[fd].state, &left, FAN_HSM_SLOT_TAKEN))
			continue;
		redo(fan, (int)fd, serving);
		count++;
	}
	atomic_fetch_add(&fan->shared->redone, count);
	return count;
}
