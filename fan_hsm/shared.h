/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_SHARED_H
#define FAN_HSM_SHARED_H
/*
 * What outlives a worker: one piece of memory (a memfd) that supervisor, worker and guard map, and
 * that the service manager can keep. It says exactly which events are unanswered.
 *
 * An event is at each moment in one of two places, or in both: in the buffer a reader thread gave to
 * read(2), from the kernel's copy on; and in the slot with its descriptor's number, until it is
 * answered. Both are written by the one thread that read it, slot first, so whoever looks after
 * the death of the worker misses none. Nobody looks while a worker lives.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FAN_HSM_READERS_MAX  64
#define FAN_HSM_BATCH_BYTES  16320 /* 340 file events */
#define FAN_HSM_GROUPS_MAX   2 /* places in fan_hsm_shared.group */
#define FAN_HSM_CHANGE_BYTES 65536

enum fan_hsm_slot_state {
	FAN_HSM_SLOT_FREE,
	FAN_HSM_SLOT_LEFT, /* to be begun with: of a dead worker, or read before the core was open */
	FAN_HSM_SLOT_TAKEN, /* read, not yet begun with */
	FAN_HSM_SLOT_PENDING,
	FAN_HSM_SLOT_ANSWERING, /* claimed; the answer may have been written */
};

struct fan_hsm_answers;

/* One event; its index is its descriptor. Enough to begin again with it. */
struct fan_hsm_event {
	struct fan_hsm_answers *answers; /* of the process that works on it */
	uint64_t begin_ns;
	uint64_t mask;
	uint64_t offset, length; /* the range record, if .ranged */
	int32_t group; /* index in fan_hsm_shared.group */
	int32_t tid; /* who waits */
	_Atomic uint8_t state;
	uint8_t op;
	uint8_t ranged;
};

/* The buffer of one reader thread: events from .done on, to the first with event_len 0. */
struct fan_hsm_batch {
	_Atomic uint32_t done; /* bytes that were taken over */
	uint32_t group;
	_Atomic uint64_t reads; /* read(2) calls that brought events */
	char bytes[FAN_HSM_BATCH_BYTES] __attribute__((aligned(64)));
};

struct fan_hsm_shared {
	uint64_t magic;
	uint32_t bytes_header, bytes_batch,
		bytes_slot; /* a program built otherwise must not use it */
	uint32_t limit; /* slots */
	char setup[64]; /* options that decide what is marked; see fan_hsm_shared_setup() */
	uint64_t cache_id; /* 0: no worker has opened the cache yet */
	int32_t group[FAN_HSM_GROUPS_MAX]; /* those that ask: descriptors, -1 = none */
	int32_t change_group; /* the one that tells; nobody waits for it */
	bool changes_by_fd; /* how */
	_Atomic int32_t
		lock; /* descriptor that keeps the cache locked between workers; 0 = none */
	_Atomic int32_t supervisor, worker, guard; /* process ids, 0 = none */
	_Atomic bool marked; /* the groups have every mark; they survive workers */
	_Atomic bool reading; /* the worker's reader threads run */
	_Atomic bool serving; /* the worker is through its start */
	_Atomic bool ending; /* asked to end: a death is not repaired any more */
	_Atomic bool ended; /* nothing is unanswered, all was given back in order */
	_Atomic int32_t code; /* of a start that failed, + text */
	char text[512];
	_Atomic uint64_t restarts, redone, abandoned; /* abandoned: denied instead of redone */
	_Atomic uint64_t denied, allowed; /* while there was no worker */
	_Atomic uint32_t high; /* no slot from here on was ever used */
	struct fan_hsm_batch batch[FAN_HSM_READERS_MAX];
	/* The same for the one thread that reads what users changed. */
	_Atomic uint32_t changes_done;
	char changes[FAN_HSM_CHANGE_BYTES] __attribute__((aligned(64)));
	struct fan_hsm_event slot[];
};

/*
 * Makes it with @limit slots, nothing in it. Owned until _release; *ret_fd is the memfd, owned by
 * the caller. 0 or negative errno + text.
 */
int fan_hsm_shared_new(unsigned int limit, struct fan_hsm_shared **ret_shared, int *ret_fd);

/* Maps what another process made. -EPROTO: by another version of this program. + text */
int fan_hsm_shared_map(int fd, struct fan_hsm_shared **ret_shared);
void fan_hsm_shared_release(struct fan_hsm_shared *s);

/* Room for every descriptor the process may open: raises the soft limit to the hard one. */
unsigned int fan_hsm_shared_limit(void);

/* Is there such a process, and not only what is left of it for its parent? */
bool fan_hsm_shared_lives(pid_t pid);

#endif
