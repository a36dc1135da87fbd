/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hsm/err.h"
#include "hsm/util.h"

/*
 * A store into the mapping can fail, and then is a SIGBUS: btrfs wants space for each page that
 * becomes dirty again, also of a file that is allocated, and a quota may deny it. The store is
 * then repeated into a private copy of the page, which needs nothing of the file system. What is
 * in it dies with the process, and the file, which now has an old page, must not be believed: it
 * loses its name. One journal a process.
 */
#define PAGE_TRIES 100 /* faults of one page; other threads may have been on their way */

static struct hsm_journal *guarded;
static struct sigaction old_action;

/* Async signal safe. */
static bool make_private(struct hsm_journal *j, const char *addr)
{
	size_t page = j->page_bytes, nth = (size_t)(addr - (const char *)j->slot) / page;
	char *at = (char *)j->slot + nth * page;
	bool ok;

	while (__atomic_test_and_set(&j->repairing, __ATOMIC_ACQUIRE))
		;
	ok = j->faults[nth] < PAGE_TRIES;
	if (!j->faults[nth]++)
		ok = mmap(at, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, j->fd,
			     (off_t)(nth * page)) == at;
	if (!j->private_pages++)
		unlinkat(j->meta_fd, "journal", 0);
	__atomic_clear(&j->repairing, __ATOMIC_RELEASE);
	return ok;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	struct hsm_journal *j = guarded;
	const char *addr = info->si_addr, *begin = j ? (const char *)j->slot : NULL;
	int saved = errno;

	(void)context;
	if (!begin || addr < begin || addr >= begin + j->mapped_bytes || !make_private(j, addr))
		sigaction(sig, &old_action, NULL);
	errno = saved;
}

static int guard(struct hsm_journal *j)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	j->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	j->faults = calloc(j->mapped_bytes / j->page_bytes + 1, sizeof(*j->faults));
	if (!j->faults)
		return -ENOMEM;
	guarded = j;
	return sigaction(SIGBUS, &action, &old_action) ? -errno : 0;
}

static void unguard(struct hsm_journal *j)
{
	if (guarded == j)
		sigaction(SIGBUS, &old_action, NULL);
	guarded = NULL;
	free(j->faults);
	hsm_util_close_fd(&j->fd);
}

/* On btrfs pages of a file that is not copied on write need no new space. Only while it is empty. */
static void forbid_copies(int fd)
{
	int flags;

	if (!ioctl(fd, FS_IOC_GETFLAGS, &flags)) {
		flags |= FS_NOCOW_FL;
		ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

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
	if (!st.st_size)
		forbid_copies(fd);
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
		.slots = (uint32_t)((size_t)st.st_size / sizeof(struct hsm_slot)),
		.meta_fd = meta_fd};
	j->mapped_bytes = (size_t)st.st_size;
	j->slot = mmap(NULL, j->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (j->slot == MAP_FAILED) {
		j->slot = NULL;
		return hsm_err(errno, "mapping meta/journal: %s", strerror(errno));
	}
	j->fd = hsm_take_fd(fd);
	j->free = calloc(j->slots, sizeof(*j->free));
	if (!j->free || guard(j)) {
		unguard(j);
		free(j->free);
		munmap(j->slot, j->mapped_bytes);
		j->slot = NULL;
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
	unguard(j);
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
