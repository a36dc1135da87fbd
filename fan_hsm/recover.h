/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_RECOVER_H
#define FAN_HSM_RECOVER_H
/*
 * The events that a dead worker left unanswered: finding them, beginning again with them, or denying
 * them. Nothing here may run while a worker lives, but for what says so.
 */
#include <stddef.h>
#include <sys/fanotify.h>

#include "fan_hsm/shared.h"

/* Somebody waits for an answer. */
#define FAN_HSM_PERMISSION \
	(FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_OPEN_EXEC_PERM | FAN_PRE_ACCESS)

struct fan_hsm;

/* Worker: index of the group with this descriptor; 0 if there is none. */
int fan_hsm_group_index(const struct fan_hsm_shared *s, int group);

/* Worker: puts an event that was just read into the slot of its descriptor. */
void fan_hsm_slot_take(
	struct fan_hsm_shared *s, int group_index, const struct fanotify_event_metadata *m);

/* No slot from here on was ever used. */
uint32_t fan_hsm_slots_high(const struct fan_hsm_shared *s);

/* Worker: one answer as the kernel knows it. 0 or negative errno; -ENOENT: it has one. */
int fan_hsm_respond(int group, int fd, uint32_t response);

/* Every unanswered event is in a slot, LEFT, and no batch holds any. Returns how many. */
unsigned int fan_hsm_recover_collect(struct fan_hsm_shared *s);

/*
 * Closes every descriptor but the @count ones in @keep (sorted here), 0 to 2 and those of
 * events in slots (@s NULL: not these).
 */
void fan_hsm_recover_sweep(const struct fan_hsm_shared *s, int *keep, size_t count);

/*
 * Answers all that is LEFT. @open: their descriptors are there (and closed then), so what has
 * nothing to fill is allowed; else all is denied EIO. Returns how many were denied.
 */
unsigned int fan_hsm_recover_deny(struct fan_hsm_shared *s, bool open);

/* Reader thread, while the core is not open: leaves the event for fan_hsm_recover_redo(). */
void fan_hsm_recover_leave(struct fan_hsm_shared *s, int fd);

/*
 * Worker: begins with each event that is LEFT; not @serving: without the core, which denies what has
 * something to fill. Returns how many they were. Beside running readers.
 */
unsigned int fan_hsm_recover_redo(struct fan_hsm *fan, bool serving);

#endif
