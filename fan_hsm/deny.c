/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/deny.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "fan_hsm/fanotify_compat.h"
#include "fan_hsm/recover.h"
#include "hsm/state.h"
#include "hsm/util.h"

int fan_hsm_deny_if_stub(uint64_t cache_id, int fd)
{
	struct hsm_state state;
	int r = hsm_state_load(fd, &state);

	if (r == -ENODATA || (!r && state.cache_id != cache_id))
		return 0;
	if (r)
		return -EIO;
	if (state.kind == HSM_KIND_DIR)
		return state.flags & HSM_S_NAMES ? 0 : -EIO;
	return state.flags & HSM_S_COMPLETE ? 0 : -EIO;
}

static void answer(struct fan_hsm_shared *s, int group, const struct fanotify_event_metadata *m)
{
	int err;

	if (m->fd < 0)
		return;
	if (m->mask & FAN_HSM_PERMISSION) {
		err = fan_hsm_deny_if_stub(s->cache_id, m->fd);
		fan_hsm_respond(group, m->fd, err ? FAN_DENY_ERRNO(EIO) : FAN_ALLOW);
		atomic_fetch_add(err ? &s->denied : &s->allowed, 1);
	}
	close(m->fd);
}

/* Through a batch, as a worker does: who comes after this process finds what it left. */
static void deny_group(struct fan_hsm_shared *s, int index)
{
	struct fan_hsm_batch *b = &s->batch[0];
	const struct fanotify_event_metadata *m = (const void *)b->bytes;
	struct pollfd p = {.fd = s->group[index], .events = POLLIN};
	ssize_t n;

	if (p.fd < 0 || poll(&p, 1, 0) != 1)
		return;
	b->group = (uint32_t)index;
	n = read(p.fd, b->bytes, sizeof(b->bytes));
	for (ssize_t left = n; FAN_EVENT_OK(m, left); m = FAN_EVENT_NEXT(m, left)) {
		answer(s, p.fd, m);
		atomic_fetch_add(&b->done, m->event_len);
	}
	if (n > 0)
		memset(b->bytes, 0, (size_t)n);
	atomic_store(&b->done, 0);
}

void fan_hsm_deny_queued(struct fan_hsm_shared *s)
{
	for (int i = 0; i < FAN_HSM_GROUPS_MAX; i++)
		deny_group(s, i);
}
