/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/outbox.h"

#include "fan_hsm/crowd.h"

static _Thread_local struct {
	bool promised; /* the thread calls fan_hsm_outbox_flush() before it waits */
	unsigned int count;
	struct fan_hsm_event *event[FAN_HSM_ALLOW_MAX];
} outbox;

void fan_hsm_outbox_flush(void)
{
	unsigned int count = outbox.count;

	outbox.promised = true;
	if (!count)
		return;
	outbox.count = 0;
	fan_hsm_events_allow(outbox.event, count);
}

void fan_hsm_outbox_allow(struct fan_hsm_event *e)
{
	/* A crowd is not for this thread to wake. */
	if (!outbox.promised || fan_hsm_crowd_is(fan_hsm_event_pending(e))) {
		fan_hsm_event_finish(e, 0);
		return;
	}
	outbox.event[outbox.count++] = e;
	if (outbox.count == FAN_HSM_ALLOW_MAX)
		fan_hsm_outbox_flush();
}
