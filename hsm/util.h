/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_UTIL_H
#define HSM_UTIL_H
/* Scope cleanup, arithmetic and clock helpers shared by the core and its front-ends. */

#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline void hsm_util_close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void hsm_util_free(void *p)
{
	free(*(void **)p);
}

/* `auto_fd int fd = -1;` closes on scope exit; `auto_free char *p = NULL;` frees. */
#define auto_fd	  __attribute__((cleanup(hsm_util_close_fd)))
#define auto_free __attribute__((cleanup(hsm_util_free)))

/* Hands a scope-owned descriptor or pointer to the caller. */
#define hsm_take_fd(fd)        \
	({                     \
		int __fd = fd; \
		fd = -1;       \
		__fd;          \
	})
#define hsm_take_ptr(p)            \
	({                         \
		typeof(p) __p = p; \
		p = NULL;          \
		__p;               \
	})

#define HSM_MIN(a, b)	   ((a) < (b) ? (a) : (b))
#define HSM_MAX(a, b)	   ((a) > (b) ? (a) : (b))
#define HSM_ARRAY_SIZE(a)  (sizeof(a) / sizeof((a)[0]))
#define HSM_DIV_UP(n, d)   (((n) + (d)-1) / (d))
#define HSM_ALIGN_UP(n, a) (HSM_DIV_UP(n, a) * (a))

#define hsm_container_of(ptr, type, member) \
	((type *)((char *)(ptr) - __builtin_offsetof(type, member)))

#define HSM_NSEC 1000000000LL

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t hsm_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * HSM_NSEC + (uint64_t)ts.tv_nsec;
}

static inline struct timespec hsm_ns_to_timespec(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / HSM_NSEC, .tv_nsec = ns % HSM_NSEC};

	if (ts.tv_nsec < 0) {
		ts.tv_sec--;
		ts.tv_nsec += HSM_NSEC;
	}
	return ts;
}

static inline int64_t hsm_timespec_to_ns(struct timespec ts)
{
	return (int64_t)ts.tv_sec * HSM_NSEC + ts.tv_nsec;
}

#endif
