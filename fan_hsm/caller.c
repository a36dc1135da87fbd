/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks at a thread that waits for an answer: its system call and arguments, and where those point
 * to memory or to a descriptor's position, that too. The thread cannot go on meanwhile, so
 * all of it belongs together, unless a signal kills it; then nobody needs the result.
 */
#include "fan_hsm/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include <linux/falloc.h>

#include "hsm/util.h"

/* An event is in the queue a moment before its thread is asleep. */
#define ASLEEP_TRIES  100
#define ASLEEP_YIELDS 60
#define ASLEEP_NS     (50 * 1000)

#define SEEN 8

/* __X32_SYSCALL_BIT: numbers of yet another table. No other number is that large. */
#define X32_BIT 0x40000000

#define IOV_LIMIT 1024

enum reads { READS_NOT, READ_AT, READ_AT_POINTER, READ_POSITION, READ_VECTOR, READ_VECTOR_AT };

/*
 * One row a system call. Which argument has the offset and the length is in the order of the kernel's
 * prototypes; the descriptor that is read is argument .fd.
 */
struct call_row {
	int nr;
	uint8_t doing, reads;
	uint8_t fd, offset, length;
	bool compat; /* arguments of a 32-bit call: offsets in two halves, short vectors */
};

#define MAPS(name)                                       \
	{                                                \
		.nr = (name), .doing = FAN_HSM_DOING_MAP \
	}
#define CUTS(name)                                       \
	{                                                \
		.nr = (name), .doing = FAN_HSM_DOING_CUT \
	}
#define READS(name, ...)                  \
	{                                 \
		.nr = (name), __VA_ARGS__ \
	}

static const struct call_row rows[] = {
	READS(SYS_read, .reads = READ_POSITION, .length = 2),
	READS(SYS_pread64, .reads = READ_AT, .length = 2, .offset = 3),
	READS(SYS_readv, .reads = READ_VECTOR),
	READS(SYS_preadv, .reads = READ_VECTOR_AT, .offset = 3),
	READS(SYS_preadv2, .reads = READ_VECTOR_AT, .offset = 3),
	READS(SYS_sendfile, .reads = READ_AT_POINTER, .fd = 1, .offset = 2, .length = 3),
	READS(SYS_splice, .reads = READ_AT_POINTER, .offset = 1, .length = 4),
	READS(SYS_copy_file_range, .reads = READ_AT_POINTER, .offset = 1, .length = 4),
	MAPS(SYS_mmap),
	MAPS(SYS_execve),
	MAPS(SYS_execveat),
	CUTS(SYS_truncate),
	CUTS(SYS_ftruncate),
	{.nr = SYS_fallocate, .doing = FAN_HSM_DOING_MOVE, .offset = 1},
#ifdef __x86_64__
	/*
	 * The numbers of i386. procfs does not say whose number it shows; but none of these is, as
	 * a 64-bit number, a system call that raises an event, nor the other way round.
	 */
	READS(3, .reads = READ_POSITION, .length = 2, .compat = true),
	READS(180, .reads = READ_AT, .length = 2, .offset = 3, .compat = true),
	READS(145, .reads = READ_VECTOR, .compat = true),
	READS(333, .reads = READ_VECTOR_AT, .offset = 3, .compat = true),
	READS(378, .reads = READ_VECTOR_AT, .offset = 3, .compat = true),
	MAPS(90),
	MAPS(192),
	MAPS(11),
	MAPS(358),
	CUTS(92),
	CUTS(93),
	CUTS(193),
	CUTS(194),
	{.nr = 324, .doing = FAN_HSM_DOING_MOVE, .offset = 1, .compat = true},
#endif
};

struct call {
	pid_t tid;
	long nr;
	uint64_t arg[6], sp, pc;
};

bool fan_hsm_caller_is_own(pid_t tid)
{
	return tid > 0 && !tgkill(getpid(), tid, 0);
}

/* ---- /proc/TID ---- */

/* The text of a file of the thread; as a string. */
static int read_proc(pid_t tid, const char *name, char *text, size_t bytes)
{
	char path[64];
	auto_fd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, bytes - 1);
	if (n < 0)
		return -errno;
	text[n] = 0;
	return 0;
}

static void wait_a_moment(int try)
{
	if (try < ASLEEP_YIELDS)
		sched_yield();
	else
		nanosleep(&(struct timespec){.tv_nsec = ASLEEP_NS}, NULL);
}

/* "running", or "-1 SP PC", or "NUMBER ARG1 ... ARG6 SP PC". */
static int parse_call(char *text, struct call *c)
{
	uint64_t *const field[] = {&c->arg[0], &c->arg[1], &c->arg[2], &c->arg[3], &c->arg[4],
		&c->arg[5], &c->sp, &c->pc};
	char *p = text, *end;

	c->nr = strtol(p, &end, 10);
	if (end == p)
		return -EAGAIN;
	if (c->nr < 0 || c->nr & X32_BIT)
		return -ENOTSUP;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(field); i++) {
		p = end;
		*field[i] = strtoull(p, &end, 16);
		if (end == p)
			return -ENOTSUP;
	}
	return 0;
}

/*
 * Descriptors of /proc/TID/syscall stay open: a third of the time. One of a thread that ended
 * reads ESRCH, also when its number is another thread's by now.
 */
static _Thread_local struct seen {
	pid_t tid;
	int fd;
} seen[SEEN];

static int open_call(struct seen *s, pid_t tid)
{
	char path[64];

	if (s->tid)
		close(s->fd);
	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	s->fd = open(path, O_RDONLY | O_CLOEXEC);
	s->tid = s->fd < 0 ? 0 : tid;
	return s->fd < 0 ? -errno : 0;
}

static int read_call(pid_t tid, char *text, size_t bytes)
{
	struct seen *s = &seen[tid % SEEN];
	ssize_t n = s->tid == tid ? pread(s->fd, text, bytes - 1, 0) : -1;
	int r;

	if (n < 0) {
		r = open_call(s, tid);
		if (r)
			return r;
		n = pread(s->fd, text, bytes - 1, 0);
	}
	if (n < 0)
		return -errno;
	text[n] = 0;
	return 0;
}

static int look(pid_t tid, struct call *c)
{
	char text[256];
	int r = -EAGAIN;

	if (tid <= 0) /* of a process that is not in our PID namespace */
		return -ENOTSUP;
	c->tid = tid;
	for (int try = 0; r == -EAGAIN && try < ASLEEP_TRIES; try++) {
		if (try)
			wait_a_moment(try);
		r = read_call(tid, text, sizeof(text));
		if (!r)
			r = parse_call(text, c);
	}
	return r;
}

/* Threads without user space; what stands there as their system call is somebody else's. */
static bool is_kernel_thread(const struct call *c)
{
	return !c->sp && !c->pc;
}

static bool is_uring_worker(pid_t tid)
{
	char name[32];

	return !read_proc(tid, "comm", name, sizeof(name)) &&
	       !strncmp(name, "iou-wrk", strlen("iou-wrk"));
}

static const struct call_row *row_of(const struct call *c)
{
	for (size_t i = 0; i < HSM_ARRAY_SIZE(rows); i++)
		if (rows[i].nr == c->nr)
			return &rows[i];
	return NULL;
}

/* ---- what it does ---- */

/* Killed while it waited: nothing is too little for it. */
static bool is_gone(pid_t tid)
{
	return tid > 0 && syscall(SYS_tkill, tid, 0) && errno == ESRCH;
}

enum fan_hsm_doing fan_hsm_caller_doing(pid_t tid)
{
	const struct call_row *row;
	struct call c;

	if (look(tid, &c))
		return is_gone(tid) ? FAN_HSM_DOING_OTHER : FAN_HSM_DOING_UNKNOWN;
	if (is_kernel_thread(&c))
		return is_uring_worker(tid) ? FAN_HSM_DOING_WORKER : FAN_HSM_DOING_OTHER;
	row = row_of(&c);
	if (!row)
		return FAN_HSM_DOING_OTHER;
	if (row->doing == FAN_HSM_DOING_MOVE &&
		!(c.arg[1] & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)))
		return FAN_HSM_DOING_OTHER;
	return (enum fan_hsm_doing)row->doing;
}

bool fan_hsm_caller_maps(pid_t tid)
{
	enum fan_hsm_doing doing = fan_hsm_caller_doing(tid);

	return doing == FAN_HSM_DOING_MAP || doing == FAN_HSM_DOING_UNKNOWN;
}

/* ---- what it reads ---- */

static int read_memory(pid_t tid, uint64_t address, void *into, size_t bytes)
{
	struct iovec local = {into, bytes};
	struct iovec remote = {(void *)(uintptr_t)address, bytes};

	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)bytes ? 0 : -ENOTSUP;
}

static int descriptor_position(pid_t tid, int fd, uint64_t *ret_offset)
{
	char name[32], text[256];
	unsigned long long pos;

	snprintf(name, sizeof(name), "fdinfo/%d", fd);
	if (read_proc(tid, name, text, sizeof(text)) || sscanf(text, "pos: %llu", &pos) != 1)
		return -ENOTSUP;
	*ret_offset = pos;
	return 0;
}

static int vector_length(const struct call *c, const struct call_row *row, uint64_t *ret_length)
{
	uint64_t count = c->arg[2], sum = 0;
	struct iovec wide[IOV_LIMIT];
	struct {
		uint32_t base, len;
	} narrow[IOV_LIMIT];

	if (!count || count > IOV_LIMIT)
		return -ENOTSUP;
	if (row->compat ? read_memory(c->tid, c->arg[1], narrow, count * sizeof(narrow[0]))
			: read_memory(c->tid, c->arg[1], wide, count * sizeof(wide[0])))
		return -ENOTSUP;
	for (uint64_t i = 0; i < count; i++)
		sum += row->compat ? narrow[i].len : wide[i].iov_len;
	*ret_length = sum;
	return 0;
}

static int range_length(const struct call *c, const struct call_row *row, uint64_t *ret_length)
{
	if (row->reads == READ_VECTOR || row->reads == READ_VECTOR_AT)
		return vector_length(c, row, ret_length);
	*ret_length = c->arg[row->length];
	return 0;
}

static uint64_t offset_argument(const struct call *c, const struct call_row *row)
{
	uint64_t low = c->arg[row->offset];

	return row->compat ? (uint32_t)low | c->arg[row->offset + 1] << 32 : low;
}

static int range_offset(const struct call *c, const struct call_row *row, uint64_t *ret_offset)
{
	uint64_t offset;

	switch (row->reads) {
	case READ_AT:
	case READ_VECTOR_AT:
		offset = offset_argument(c, row);
		if (offset != UINT64_MAX) { /* preadv2: -1 is the position */
			*ret_offset = offset;
			return 0;
		}
		break;
	case READ_AT_POINTER:
		if (c->arg[row->offset])
			return read_memory(
				c->tid, c->arg[row->offset], ret_offset, sizeof(*ret_offset));
		break;
	}
	return descriptor_position(c->tid, (int)c->arg[row->fd], ret_offset);
}

int fan_hsm_caller_range(pid_t tid, uint64_t *ret_offset, uint64_t *ret_length)
{
	const struct call_row *row;
	uint64_t offset, length;
	struct call c;

	if (look(tid, &c) || is_kernel_thread(&c))
		return -ENOTSUP;
	row = row_of(&c);
	if (!row || row->reads == READS_NOT)
		return -ENOTSUP;
	if (range_length(&c, row, &length) || range_offset(&c, row, &offset))
		return -ENOTSUP;
	*ret_offset = offset;
	*ret_length = length;
	return 0;
}
