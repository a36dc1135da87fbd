/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/hang.h"

#include <sys/ioctl.h>

#include "hsm/err.h"
#include "hsm/util.h"

#define HUNG_NS (30 * HSM_NSEC)

/* Nobody takes what is queued: stopped, spinning, or all its readers dead-locked. */
static bool group_is_still(struct fan_hsm_hang *h, const struct fan_hsm_shared *s, int index)
{
	uint64_t reads = 0, now = hsm_now_ns();
	int queued = 0;

	for (unsigned int i = 0; i < FAN_HSM_READERS_MAX; i++)
		if (s->batch[i].group == (uint32_t)index)
			reads += atomic_load(&s->batch[i].reads);
	if (ioctl(s->group[index], FIONREAD, &queued) || !queued || reads != h->reads[index] ||
		!h->still_since_ns[index])
		h->still_since_ns[index] = now;
	h->reads[index] = reads;
	return now - h->still_since_ns[index] > HUNG_NS;
}

bool fan_hsm_hang_look(struct fan_hsm_hang *h, const struct fan_hsm_shared *s)
{
	for (int i = 0; atomic_load(&s->reading) && i < FAN_HSM_GROUPS_MAX; i++) {
		if (s->group[i] < 0 || !group_is_still(h, s, i))
			continue;
		hsm_log(HSM_LOG_ERROR,
			"the worker took no event for %u s while some are waiting: killing it",
			(unsigned int)(HUNG_NS / HSM_NSEC));
		*h = (struct fan_hsm_hang){0};
		return true;
	}
	return false;
}
