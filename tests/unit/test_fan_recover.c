/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is found in the memory of a worker that died, at each point where it can die between read(2)
 * and the answer; and that exactly the descriptors of those events stay open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fan_hsm/fanotify_compat.h"
#include "fan_hsm/recover.h"
#include "hsm/util.h"

#define LIMIT 256

static struct fan_hsm_shared *shared(void)
{
	struct fan_hsm_shared *s;
	int fd;

	assert_int_equal(fan_hsm_shared_new(LIMIT, &s, &fd), 0);
	close(fd);
	return s;
}

/* One event as the kernel writes it, with a range or without. Returns its bytes. */
static uint32_t put(
	struct fan_hsm_batch *b, uint32_t at, int fd, uint64_t mask, uint64_t offset)
{
	struct fanotify_event_metadata *m = (void *)(b->bytes + at);
	struct fanotify_event_info_range *r = (void *)(m + 1);

	*m = (struct fanotify_event_metadata){.event_len = sizeof(*m),
		.vers = FANOTIFY_METADATA_VERSION,
		.metadata_len = sizeof(*m),
		.mask = mask,
		.fd = fd,
		.pid = 1000 + fd};
	if (offset == UINT64_MAX)
		return m->event_len;
	m->event_len += sizeof(*r);
	*r = (struct fanotify_event_info_range){
		.hdr = {.info_type = FAN_EVENT_INFO_TYPE_RANGE, .len = sizeof(*r)},
		.offset = offset,
		.count = 4096};
	return m->event_len;
}

static int state_of(struct fan_hsm_shared *s, int fd)
{
	return atomic_load(&s->slot[fd].state);
}

/* Killed right after the kernel's copy: nothing but the buffer says so, not even its length. */
static void events_are_found_in_the_buffer(void **unused)
{
	struct fan_hsm_shared *s = shared();
	struct fan_hsm_batch *b = &s->batch[3];
	uint32_t at = 0;

	(void)unused;
	b->group = 1;
	at += put(b, at, 20, FAN_PRE_ACCESS, 8192);
	at += put(b, at, -EMFILE, FAN_PRE_ACCESS, 0);
	at += put(b, at, 21, FAN_OPEN_PERM, UINT64_MAX);
	at += put(b, at, 22, FAN_MODIFY, UINT64_MAX);
	put(b, at, 23, FAN_PRE_ACCESS, 0);
	assert_int_equal(fan_hsm_recover_collect(s), 4);
	for (int fd = 20; fd < 24; fd++) {
		assert_int_equal(state_of(s, fd), FAN_HSM_SLOT_LEFT);
		assert_int_equal(s->slot[fd].group, 1);
		assert_int_equal(s->slot[fd].tid, 1000 + fd);
	}
	assert_true(s->slot[20].ranged && s->slot[20].offset == 8192);
	assert_int_equal(s->slot[20].length, 4096);
	assert_false(s->slot[21].ranged);
	assert_int_equal(s->slot[22].mask, FAN_MODIFY);
	assert_int_equal(fan_hsm_slots_high(s), 24);
	/* Nothing is left for a second look, but what the slots say. */
	assert_int_equal(b->bytes[0], 0);
	assert_int_equal(fan_hsm_recover_collect(s), 4);
	fan_hsm_shared_release(s);
}

/* The full buffer has no event_len 0 behind the last event. */
static void a_full_buffer_ends(void **unused)
{
	struct fan_hsm_shared *s = shared();
	uint32_t at = 0;
	int fd = 10;

	(void)unused;
	while (at + 48 <= FAN_HSM_BATCH_BYTES)
		at += put(&s->batch[0], at, fd++ % LIMIT, FAN_PRE_ACCESS, 0);
	assert_int_equal(at, FAN_HSM_BATCH_BYTES);
	assert_int_equal(fan_hsm_recover_collect(s), LIMIT);
	fan_hsm_shared_release(s);
}

/* Killed in the middle of a batch: before .done nothing is looked at, it may be answered. */
static void what_was_taken_over_is_not_taken_twice(void **unused)
{
	struct fan_hsm_shared *s = shared();
	struct fan_hsm_batch *b = &s->batch[0];
	uint32_t first = put(b, 0, 30, FAN_PRE_ACCESS, 0);
	uint32_t second = put(b, first, 31, FAN_PRE_ACCESS, 0);

	(void)unused;
	put(b, first + second, 32, FAN_PRE_ACCESS, 0);
	/* 30 was answered; 31 is in its slot, with another range than the buffer would say; 32 not. */
	atomic_store(&b->done, first);
	fan_hsm_slot_take(s, 0, (void *)(b->bytes + first));
	s->slot[31].offset = 77;
	atomic_store(&s->slot[31].state, FAN_HSM_SLOT_PENDING);
	assert_int_equal(fan_hsm_recover_collect(s), 2);
	assert_int_equal(state_of(s, 30), FAN_HSM_SLOT_FREE);
	assert_int_equal(state_of(s, 31), FAN_HSM_SLOT_LEFT);
	assert_int_equal(s->slot[31].offset, 77);
	assert_int_equal(state_of(s, 32), FAN_HSM_SLOT_LEFT);
	fan_hsm_shared_release(s);
}

/* Claimed, but was the answer written? It is done again: twice does no harm. */
static void a_claimed_answer_is_redone(void **unused)
{
	struct fan_hsm_shared *s = shared();

	(void)unused;
	put(&s->batch[0], 0, 40, FAN_PRE_ACCESS, 0);
	fan_hsm_slot_take(s, 0, (void *)s->batch[0].bytes);
	memset(s->batch[0].bytes, 0, 64);
	atomic_store(&s->slot[40].state, FAN_HSM_SLOT_ANSWERING);
	assert_int_equal(fan_hsm_recover_collect(s), 1);
	assert_int_equal(state_of(s, 40), FAN_HSM_SLOT_LEFT);
	fan_hsm_shared_release(s);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void sweep_in_child(struct fan_hsm_shared *s)
{
	int keep[] = {70, -1, 12, 40};

	for (int fd = 3; fd < 100; fd++)
		dup2(0, fd);
	fan_hsm_recover_sweep(s, keep, HSM_ARRAY_SIZE(keep));
	for (int fd = 0; fd < 100; fd++) {
		bool want = fd < 3 || fd == 12 || fd == 40 || fd == 70 || fd == 11 ||
			    fd == 41 || fd == 50;

		if (is_open(fd) != want)
			_exit(fd + 1);
	}
	_exit(0);
}

static void all_but_the_events_is_closed(void **unused)
{
	struct fan_hsm_shared *s = shared();
	int status = -1;
	pid_t pid;

	(void)unused;
	put(&s->batch[0], 0, 11, FAN_PRE_ACCESS, 0);
	put(&s->batch[1], 0, 41, FAN_PRE_ACCESS, 0);
	put(&s->batch[2], 0, 50, FAN_PRE_ACCESS, 0);
	assert_int_equal(fan_hsm_recover_collect(s), 3);
	pid = fork();
	if (!pid)
		sweep_in_child(s);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fan_hsm_shared_release(s);
}

static void memory_of_another_version_is_refused(void **unused)
{
	struct fan_hsm_shared *s, *other;
	int fd;

	(void)unused;
	assert_int_equal(fan_hsm_shared_new(LIMIT, &s, &fd), 0);
	assert_int_equal(fan_hsm_shared_map(fd, &other), 0);
	s->limit = LIMIT;
	assert_int_equal(other->limit, LIMIT);
	fan_hsm_shared_release(other);
	s->bytes_slot++;
	assert_int_equal(fan_hsm_shared_map(fd, &other), -EPROTO);
	s->bytes_slot--;
	s->limit++;
	assert_int_equal(fan_hsm_shared_map(fd, &other), -EPROTO);
	s->limit--;
	fan_hsm_shared_release(s);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_int_equal(fan_hsm_shared_map(fd, &other), -EPROTO);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_found_in_the_buffer),
		cmocka_unit_test(a_full_buffer_ends),
		cmocka_unit_test(what_was_taken_over_is_not_taken_twice),
		cmocka_unit_test(a_claimed_answer_is_redone),
		cmocka_unit_test(all_but_the_events_is_closed),
		cmocka_unit_test(memory_of_another_version_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
