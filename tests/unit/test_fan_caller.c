/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is told about a thread that waits for an answer, of real threads that wait for one: each
 * row is a system call, done by a thread on a marked file while this one looks at it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/falloc.h>

#include "fan_hsm/caller.h"
#include "fan_hsm/fanotify_compat.h"

#define SIZE 65536

static int group = -1, file = -1, other = -1, pipe_fd[2];
static char *low; /* memory that a 32-bit address reaches */

/* ---- what the thread does ---- */

static void do_read(void)
{
	lseek(file, 5000, SEEK_SET);
	assert_int_equal(read(file, low, 300), 300);
}

static void do_pread(void)
{
	assert_int_equal(pread(file, low, 300, 7000), 300);
}

static void do_readv(void)
{
	struct iovec v[2] = {{low, 100}, {low, 250}};

	lseek(file, 6000, SEEK_SET);
	assert_int_equal(readv(file, v, 2), 350);
}

static void do_preadv(void)
{
	struct iovec v[2] = {{low, 100}, {low, 250}};

	assert_int_equal(preadv(file, v, 2, 9000), 350);
}

static void do_preadv2(void)
{
	struct iovec v = {low, 100};

	lseek(file, 6500, SEEK_SET);
	assert_int_equal(preadv2(file, &v, 1, -1, 0), 100);
}

static void do_sendfile(void)
{
	off_t offset = 8000;

	assert_int_equal(sendfile(other, file, &offset, 500), 500);
}

static void do_sendfile_position(void)
{
	lseek(file, 4321, SEEK_SET);
	assert_int_equal(sendfile(other, file, NULL, 500), 500);
}

static void do_splice(void)
{
	off_t offset = 12000;

	assert_int_equal(splice(file, &offset, pipe_fd[1], NULL, 600, 0), 600);
	assert_int_equal(read(pipe_fd[0], low, 600), 600);
}

static void do_copy(void)
{
	off_t offset = 1000, to = 0;

	assert_int_equal(copy_file_range(file, &offset, other, &to, 700, 0), 700);
}

static void do_mmap(void)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	munmap(p, 4096);
}

static void do_ftruncate(void)
{
	assert_int_equal(ftruncate(file, SIZE), 0);
}

static void do_truncate(void)
{
	assert_int_equal(truncate("fan_caller.tmp", SIZE), 0);
}

static void do_allocate(void)
{
	assert_int_equal(fallocate(file, 0, 0, 4096), 0);
}

static void do_collapse(void)
{
	fallocate(file, FALLOC_FL_COLLAPSE_RANGE, 0, 4096);
}

static void do_insert(void)
{
	fallocate(file, FALLOC_FL_INSERT_RANGE, 0, 4096);
}

static void do_write(void)
{
	assert_int_equal(pwrite(file, low, 10, 0), 10);
}

#ifdef __x86_64__
/* The kernel's 32-bit door is open to 64-bit programs, too. False: built without. */
static long call32(long nr, long a, long b, long c, long d, long e)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)r;
}

static void do_read32(void)
{
	lseek(file, 5000, SEEK_SET);
	assert_int_equal(call32(3, file, (long)low, 300, 0, 0), 300);
}

static void do_pread32(void)
{
	assert_int_equal(call32(180, file, (long)low, 300, 7000, 0), 300);
}

static void do_preadv32(void)
{
	uint32_t *v = (uint32_t *)(low + 4096);

	v[0] = v[2] = (uint32_t)(uintptr_t)low;
	v[1] = 100;
	v[3] = 50;
	assert_int_equal(call32(333, file, (long)v, 2, 9000, 0), 150);
}

static void do_mmap32(void)
{
	long r = call32(192, 0, 4096, PROT_READ, MAP_PRIVATE, file);

	assert_true(r < -4095 || r > 0); /* argument 6 is %ebp: whatever, page 0 or not */
}

static void do_ftruncate32(void)
{
	assert_int_equal(call32(93, file, SIZE, 0, 0, 0), 0);
}

static void do_insert32(void)
{
	call32(324, file, FALLOC_FL_INSERT_RANGE, 0, 0, 4096);
}
#endif

/* ---- what is seen ---- */

struct row {
	const char *name;
	void (*run)(void);
	enum fan_hsm_doing doing;
	int64_t offset; /* -1: no range can be told */
	uint64_t length;
};

static const struct row rows[] = {
	{"read", do_read, FAN_HSM_DOING_OTHER, 5000, 300},
	{"pread", do_pread, FAN_HSM_DOING_OTHER, 7000, 300},
	{"readv", do_readv, FAN_HSM_DOING_OTHER, 6000, 350},
	{"preadv", do_preadv, FAN_HSM_DOING_OTHER, 9000, 350},
	{"preadv2 at the position", do_preadv2, FAN_HSM_DOING_OTHER, 6500, 100},
	{"sendfile", do_sendfile, FAN_HSM_DOING_OTHER, 8000, 500},
	{"sendfile at the position", do_sendfile_position, FAN_HSM_DOING_OTHER, 4321, 500},
	{"splice", do_splice, FAN_HSM_DOING_OTHER, 12000, 600},
	{"copy_file_range", do_copy, FAN_HSM_DOING_OTHER, 1000, 700},
	{"mmap", do_mmap, FAN_HSM_DOING_MAP, -1, 0},
	{"ftruncate", do_ftruncate, FAN_HSM_DOING_CUT, -1, 0},
	{"truncate", do_truncate, FAN_HSM_DOING_CUT, -1, 0},
	{"fallocate", do_allocate, FAN_HSM_DOING_OTHER, -1, 0},
	{"collapse", do_collapse, FAN_HSM_DOING_MOVE, -1, 0},
	{"insert", do_insert, FAN_HSM_DOING_MOVE, -1, 0},
	{"pwrite", do_write, FAN_HSM_DOING_OTHER, -1, 0},
#ifdef __x86_64__
	{"read, 32 bits", do_read32, FAN_HSM_DOING_OTHER, 5000, 300},
	{"pread, 32 bits", do_pread32, FAN_HSM_DOING_OTHER, 7000, 300},
	{"preadv, 32 bits", do_preadv32, FAN_HSM_DOING_OTHER, 9000, 150},
	{"mmap2, 32 bits", do_mmap32, FAN_HSM_DOING_MAP, -1, 0},
	{"ftruncate, 32 bits", do_ftruncate32, FAN_HSM_DOING_CUT, -1, 0},
	{"insert, 32 bits", do_insert32, FAN_HSM_DOING_MOVE, -1, 0},
#endif
};

static void *thread_main(void *arg)
{
	((const struct row *)arg)->run();
	return NULL;
}

/* The next event; answered as soon as @row was compared with what is seen. */
static void look_and_allow(const struct row *row)
{
	struct fanotify_event_metadata m[8];
	uint64_t offset = 0, length = 0;
	ssize_t n = read(group, m, sizeof(m));
	enum fan_hsm_doing doing;
	int r;

	assert_true(n >= (ssize_t)sizeof(m[0]));
	doing = fan_hsm_caller_doing(m->pid);
	r = fan_hsm_caller_range(m->pid, &offset, &length);
	assert_true(fan_hsm_caller_is_own(m->pid));
	write(group, &(struct fanotify_response){m->fd, FAN_ALLOW}, 8);
	close(m->fd);
	if (doing != row->doing || r != (row->offset < 0 ? -ENOTSUP : 0) ||
		(!r && (offset != (uint64_t)row->offset || length != row->length)))
		fail_msg("%s: doing %d, range %d: %llu + %llu", row->name, doing, r,
			(unsigned long long)offset, (unsigned long long)length);
	assert_int_equal(doing == FAN_HSM_DOING_MAP, row->doing == FAN_HSM_DOING_MAP);
}

static void test_rows(void **state)
{
	pthread_t thread;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
#ifdef __x86_64__
		if (strstr(rows[i].name, "32 bits") && call32(20, 0, 0, 0, 0, 0) != getpid())
			continue;
#endif
		pthread_create(&thread, NULL, thread_main, (void *)&rows[i]);
		look_and_allow(&rows[i]);
		pthread_join(thread, NULL);
	}
}

static void test_others(void **state)
{
	uint64_t offset, length;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(pause());
	assert_false(fan_hsm_caller_is_own(pid));
	assert_false(fan_hsm_caller_is_own(0));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(fan_hsm_caller_doing(pid), FAN_HSM_DOING_OTHER);
	assert_false(fan_hsm_caller_maps(pid));
	assert_int_equal(fan_hsm_caller_doing(0), FAN_HSM_DOING_UNKNOWN);
	assert_true(fan_hsm_caller_maps(0));
	assert_int_equal(fan_hsm_caller_range(pid, &offset, &length), -ENOTSUP);
	/* kthreadd: in no system call, though procfs shows number 0. */
	assert_int_equal(fan_hsm_caller_doing(2), FAN_HSM_DOING_OTHER);
	assert_int_equal(fan_hsm_caller_range(2, &offset, &length), -ENOTSUP);
}

static int setup(void **state)
{
	(void)state;
	group = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_REPORT_TID | FAN_CLOEXEC, O_RDONLY);
	file = open("fan_caller.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
	other = open("fan_caller.out", O_RDWR | O_CREAT | O_TRUNC, 0600);
	low = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
		-1, 0);
	if (file < 0 || other < 0 || low == MAP_FAILED || pipe(pipe_fd))
		return -1;
	if (pwrite(file, low, SIZE, 0) != SIZE)
		return -1;
	if (group >= 0 && !fanotify_mark(group, FAN_MARK_ADD, FAN_PRE_ACCESS, file, NULL)) {
		/* What is open is as it was when it was opened. */
		close(file);
		file = open("fan_caller.tmp", O_RDWR);
		return 0;
	}
	group = -1;
	return 0;
}

static void test_without(void **state)
{
	(void)state;
	skip(); /* no pre-content events here: not root, an older kernel or another file system */
}

static int teardown(void **state)
{
	(void)state;
	unlink("fan_caller.tmp");
	unlink("fan_caller.out");
	return 0;
}

int main(void)
{
	const struct CMUnitTest with[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_others),
	};
	const struct CMUnitTest without[] = {cmocka_unit_test(test_without)};
	int r;

	setup(NULL);
	r = group >= 0 ? cmocka_run_group_tests(with, NULL, NULL)
		       : cmocka_run_group_tests(without, NULL, NULL);
	teardown(NULL);
	return r;
}
