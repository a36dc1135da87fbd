/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_EPOCH_H
#define HSM_EPOCH_H
/*
 * Durability without an fsync per file. Every "this is present" written to an inode (a stamp)
 * carries the current epoch. hsm_epoch_sync() advances the epoch, waits for stamps in progress,
 * runs syncfs(2), and then records on disk that all older epochs are durable. After a reboot,
 * stamps of epochs that never became durable are not believed: progress is lost,
 * never correctness. While the file system stays mounted the page cache holds the data, so
 * every stamp is believed whatever happened to the daemon. "The same mount" is boot id plus
 * the kernel's unique mount id (statx STATX_MNT_ID_UNIQUE, Linux 6.8).
 *
 * Record: CACHE/meta/epochs, replaced by rename.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* The epoch of what needs no sync to be true. */
#define HSM_EPOCH_FOREVER 0u

struct hsm_epoch_range {
	uint32_t first, last;
};

#define HSM_INCARNATION_SIZE 64

struct hsm_epochs {
	int meta_fd; /* borrowed */
	char incarnation[HSM_INCARNATION_SIZE]; /* boot id and mount id, fixed after open */
	pthread_rwlock_t
		stamping; /* read: a stamp is being written; write: the epoch advances */
	pthread_mutex_t syncing; /* one hsm_epoch_sync() at a time */
	uint32_t current; /* @stamping */
	uint32_t durable; /* written with @syncing held, read by anyone: on disk up to here */
	uint32_t recorded; /* @syncing: .current as the record on disk has it */
	_Atomic bool dirty; /* a stamp was written since the last sync */
	struct hsm_epoch_range *bad; /* fixed after open: never became durable */
	unsigned int bad_count;
};

/*
 * Reads or makes the record. @meta_fd: CACHE/meta, borrowed until release. @mount_fd: any
 * descriptor reached through the user's mount (not a private clone). *ret_same: the
 * last daemon ran on this very mount, so that what it left in memory-mapped files holds.
 */
int hsm_epochs_open(struct hsm_epochs *e, int meta_fd, int mount_fd, bool *ret_same);
void hsm_epochs_release(struct hsm_epochs *e);

/* May a stamp of this epoch be believed? Epoch 0 always (nothing to lose). */
bool hsm_epoch_trusted(const struct hsm_epochs *e, uint32_t epoch);

/* Will a stamp of this epoch still be believed after a power cut now? */
bool hsm_epoch_durable(const struct hsm_epochs *e, uint32_t epoch);

/* Around writing one stamp; returns the epoch to write. Data must be in the page cache before. */
uint32_t hsm_epoch_begin(struct hsm_epochs *e);
void hsm_epoch_end(struct hsm_epochs *e);

/* Makes all finished stamps durable. Nothing to do: 0 at once. Blocks for the disk. */
int hsm_epoch_sync(struct hsm_epochs *e);

#endif
