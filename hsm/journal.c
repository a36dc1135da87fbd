/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "hsm/err.h"
#include "hsm/util.h"

/* Allocated, not sparse: a store into a hole on a full disk would be a SIGBUS. */
static int open_file(int meta_fd, uint32_t slots)
{
	auto_fd int fd = openat(meta_fd, "journal", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	off_t want = (off_t)slots * (off_t)sizeof(struct hsm_slot);
	struct stat st;
	int r;

	if (fd < 0)
		return hsm_err(errno, "meta/journal: %s", strerror(errno));
	if (fstat(fd, &st))
		return hsm_err(errno, "meta/journal: %s", strerror(errno));
	if (st.st_size > want)
		want = st.st_size / (off_t)sizeof(struct hsm_slot) *
		       (off_t)sizeof(struct hsm_slot);
	r = posix_fallocate(fd, 0, want);
	if (r)
		return hsm_err(r,
			"meta/journal needs %lld bytes: %s; free space on the cache's file system",
			(long long)want, strerror(r));
	return hsm_take_fd(fd);
}

static void replay_all(struct hsm_journal *j, bool same_mount,
	void (*replay)(void *arg, const struct hsm_slot *slot), void *arg)
{
	for (uint32_t i = 0; i < j->slots; i++) {
		struct hsm_slot *slot = &j->slot[i];

		if (!slot->used)
			continue;
		if (same_mount && slot->count <= HSM_CHUNKMAP_CHUNKS &&
			slot->handle.bytes <= HSM_HANDLE_MAX)
			replay(arg, slot);
		slot->used = 0;
	}
}

int hsm_journal_open(struct hsm_journal *j, int meta_fd, uint32_t slots, bool same_mount,
	void (*replay)(void *arg, const struct hsm_slot *slot), void *arg)
{
	auto_fd int fd = open_file(meta_fd, slots);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		return -errno;
	*j = (struct hsm_journal){
		.slots = (uint32_t)((size_t)st.st_size / sizeof(struct hsm_slot))};
	j->mapped_bytes = (size_t)st.st_size;
	j->slot = mmap(NULL, j->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (j->slot == MAP_FAILED) {
		j->slot = NULL;
		return hsm_err(errno, "mapping meta/journal: %s", strerror(errno));
	}
	j->free = calloc(j->slots, sizeof(*j->free));
	if (!j->free) {
		munmap(j->slot, j->mapped_bytes);
		return -ENOMEM;
	}
	pthread_mutex_init(&j->lock, NULL);
	replay_all(j, same_mount, replay, arg);
	j->slots = HSM_MIN(j->slots, slots);
	for (uint32_t i = j->slots; i-- > 0;)
		j->free[j->free_count++] = i;
	return 0;
}

void hsm_journal_close(struct hsm_journal *j)
{
	if (!j->slot)
		return;
	munmap(j->slot, j->mapped_bytes);
	free(j->free);
	pthread_mutex_destroy(&j->lock);
	j->slot = NULL;
}

struct hsm_slot *hsm_journal_take(struct hsm_journal *j)
{
	struct hsm_slot *slot = NULL;

	pthread_mutex_lock(&j->lock);
	if (j->free_count)
		slot = &j->slot[j->free[--j->free_count]];
	pthread_mutex_unlock(&j->lock);
	if (slot)
		memset(slot, 0, offsetof(struct hsm_slot, map));
	return slot;
}

void hsm_journal_give(struct hsm_journal *j, struct hsm_slot *slot)
{
	__atomic_store_n(&slot->used, 0, __ATOMIC_RELEASE);
	pthread_mutex_lock(&j->lock);
	j->free[j->free_count++] = (uint32_t)(slot - j->slot);
	pthread_mutex_unlock(&j->lock);
}

uint32_t hsm_journal_in_use(struct hsm_journal *j)
{
	uint32_t n;

	pthread_mutex_lock(&j->lock);
	n = j->slots - j->free_count;
	pthread_mutex_unlock(&j->lock);
	return n;
}
