/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/shared.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "hsm/err.h"
#include "hsm/util.h"

#define MAGIC		0x31646572616873ull
#define DESCRIPTORS_MAX (1u << 20)
#define DESCRIPTORS_MIN 256u /* the shares of answer.c, and what the core opens, need so many */

unsigned int fan_hsm_shared_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim))
		return 1024;
	lim.rlim_cur = HSM_MIN(lim.rlim_max, DESCRIPTORS_MAX);
	if (setrlimit(RLIMIT_NOFILE, &lim) && getrlimit(RLIMIT_NOFILE, &lim))
		return 1024;
	return (unsigned int)HSM_MIN(lim.rlim_cur, DESCRIPTORS_MAX);
}

static size_t bytes_for(unsigned int limit)
{
	return sizeof(struct fan_hsm_shared) + limit * sizeof(struct fan_hsm_event);
}

static struct fan_hsm_shared *map(int fd, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

int fan_hsm_shared_new(unsigned int limit, struct fan_hsm_shared **ret_shared, int *ret_fd)
{
	auto_fd int fd = memfd_create("fan_hsm", MFD_CLOEXEC);
	struct fan_hsm_shared *s = NULL;

	if (limit < DESCRIPTORS_MIN)
		return hsm_err(EMFILE,
			"the limit of open files is %u; at least %u are needed (ulimit -n)",
			limit, DESCRIPTORS_MIN);
	if (fd >= 0 && !ftruncate(fd, (off_t)bytes_for(limit)))
		s = map(fd, bytes_for(limit));
	if (!s)
		return hsm_err(errno, "memory for %u events: %s", limit, strerror(errno));
	s->magic = MAGIC;
	s->bytes_header = sizeof(*s);
	s->bytes_batch = sizeof(s->batch[0]);
	s->bytes_slot = sizeof(s->slot[0]);
	s->limit = limit;
	for (unsigned int i = 0; i < FAN_HSM_GROUPS_MAX; i++)
		s->group[i] = -1;
	s->change_group = -1;
	*ret_shared = s;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static bool is_ours(const struct fan_hsm_shared *s, size_t bytes)
{
	return s->magic == MAGIC && s->bytes_header == sizeof(*s) &&
	       s->bytes_batch == sizeof(s->batch[0]) && s->bytes_slot == sizeof(s->slot[0]) &&
	       bytes == bytes_for(s->limit);
}

int fan_hsm_shared_map(int fd, struct fan_hsm_shared **ret_shared)
{
	struct fan_hsm_shared *s;
	struct stat st;

	if (fstat(fd, &st) || st.st_size < (off_t)sizeof(*s))
		return hsm_err(EPROTO, "the memory of the fan_hsm before is not understood");
	s = map(fd, (size_t)st.st_size);
	if (!s)
		return hsm_err(errno, "memory of the fan_hsm before: %s", strerror(errno));
	if (is_ours(s, (size_t)st.st_size)) {
		*ret_shared = s;
		return 0;
	}
	munmap(s, (size_t)st.st_size);
	return hsm_err(EPROTO,
		"what is left of fan_hsm was made by another version: end it with "
		"hsmctl stop, or stop its service, first");
}

void fan_hsm_shared_release(struct fan_hsm_shared *s)
{
	if (s)
		munmap(s, bytes_for(s->limit));
}

bool fan_hsm_shared_lives(pid_t pid)
{
	auto_fd int fd = pid > 0 ? pidfd_open(pid, 0) : -1;
	struct pollfd p = {fd, POLLIN, 0};

	return fd >= 0 && poll(&p, 1, 0) == 0;
}
