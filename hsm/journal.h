/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_JOURNAL_H
#define HSM_JOURNAL_H
/*
 * The chunk maps of active files, in a memory-mapped file (CACHE/meta/journal) so that they
 * survive the death of the daemon, though not of the machine. A bit is set here before the reader is
 * answered, so a daemon that comes after a SIGKILL never fetches, and never overwrites,
 * a chunk that a user may have changed since. One slot per active file; last freed is
 * first used, so few pages ever get dirty. A store that the file system has no space for (btrfs)
 * does not end the process; what a SIGKILL then costs is what was noted since the last stamps.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hsm/chunkmap.h"
#include "hsm/handle.h"

struct hsm_slot {
	uint32_t used; /* 1 = the rest is valid */
	uint32_t writing; /* 1 = data is being written, saved_mtime_ns must be put back */
	int64_t saved_mtime_ns;
	uint64_t size;
	uint32_t count; /* chunks */
	uint32_t shift;
	struct hsm_handle handle;
	uint8_t map[HSM_CHUNKMAP_BYTES];
} __attribute__((aligned(64)));

struct hsm_journal {
	struct hsm_slot *slot; /* the mapping */
	size_t mapped_bytes;
	uint32_t slots;
	pthread_mutex_t lock; /* .free, .free_count */
	uint32_t *free;
	uint32_t free_count;
	int fd, meta_fd; /* the file; its directory, borrowed */
	size_t page_bytes;
	uint8_t *faults; /* of each page, while .repairing */
	uint32_t private_pages; /* not 0: the file has lost its name, see journal.c */
	bool repairing;
};

/*
 * Maps the journal with @slots slots, made or resized as needed. @replay is called for each
 * slot a dead daemon left in use when @same_mount; all slots are free afterwards. @meta_fd is
 * borrowed until hsm_journal_close(). Handles SIGBUS until then: one journal a process.
 */
int hsm_journal_open(struct hsm_journal *j, int meta_fd, uint32_t slots, bool same_mount,
	void (*replay)(void *arg, const struct hsm_slot *slot), void *arg);
void hsm_journal_close(struct hsm_journal *j);

/* A slot with everything but its map cleared, not yet .used; NULL when all are in use. */
struct hsm_slot *hsm_journal_take(struct hsm_journal *j);
void hsm_journal_give(struct hsm_journal *j, struct hsm_slot *slot);
uint32_t hsm_journal_in_use(struct hsm_journal *j);

#endif
