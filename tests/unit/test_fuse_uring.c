/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replies from a thread that is not the ring's: into the entry, and handed over with one wake-up. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "fuse_hsm/fs.h"
#include "fuse_hsm/ring.h"
#include "fuse_hsm/uring.h"

struct fixture {
	struct fuse_hsm_ring ring;
	struct fuse_hsm_entry entry[2];
	struct fuse_uring_req_header header[2];
	char *payload[2];
};

static int set_up(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	pthread_mutex_init(&f->ring.lock, NULL);
	f->ring.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (int n = 0; n < 2; n++) {
		f->payload[n] = test_calloc(1, FUSE_HSM_REQUEST_BYTES + 1);
		f->entry[n] = (struct fuse_hsm_entry){
			.ring = &f->ring,
			.unique = (uint64_t)n * 2 + 2,
			.header = &f->header[n],
			.payload = f->payload[n],
		};
	}
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->ring.event);
	pthread_mutex_destroy(&f->ring.lock);
	test_free(f->payload[0]);
	test_free(f->payload[1]);
	test_free(f);
	return 0;
}

static const struct fuse_out_header *out_of(const struct fixture *f, int n)
{
	return (const void *)f->header[n].in_out;
}

static void reply(struct fixture *f, int n, int error, void *data, size_t bytes)
{
	struct fuse_out_header out = {.error = error, .unique = f->entry[n].unique};
	struct iovec iov[2] = {{&out, sizeof(out)}, {data, bytes}};

	fuse_hsm_ring_reply(&f->entry[n], iov, data ? 2 : 1);
}

static void test_an_error_has_no_payload(void **state)
{
	struct fixture *f = *state;

	reply(f, 0, -ENOENT, NULL, 0);
	assert_int_equal(out_of(f, 0)->error, -ENOENT);
	assert_int_equal(out_of(f, 0)->unique, 2);
	assert_int_equal(out_of(f, 0)->len, sizeof(struct fuse_out_header));
	assert_int_equal(f->header[0].ring_ent_in_out.payload_sz, 0);
}

static void test_parts_follow_each_other(void **state)
{
	struct fixture *f = *state;
	struct fuse_out_header out = {.unique = 2};
	char first[] = "one ", second[] = "two";
	struct iovec iov[] = {{&out, sizeof(out)}, {first, 4}, {second, 3}};

	fuse_hsm_ring_reply(&f->entry[0], iov, 3);
	assert_memory_equal(f->payload[0], "one two", 7);
	assert_int_equal(f->header[0].ring_ent_in_out.payload_sz, 7);
	assert_int_equal(out_of(f, 0)->len, sizeof(out) + 7);
	assert_int_equal(out_of(f, 0)->error, 0);
}

/* What a handler wrote into the room it was given is there already. */
static void test_data_in_place_stays(void **state)
{
	struct fixture *f = *state;

	memset(f->payload[0], 'x', FUSE_HSM_REQUEST_BYTES);
	reply(f, 0, 0, f->payload[0], FUSE_HSM_REQUEST_BYTES);
	assert_int_equal(f->header[0].ring_ent_in_out.payload_sz, FUSE_HSM_REQUEST_BYTES);
	assert_int_equal(f->payload[0][0], 'x');
	assert_int_equal(f->payload[0][FUSE_HSM_REQUEST_BYTES - 1], 'x');
}

static void test_too_much_is_an_error(void **state)
{
	struct fixture *f = *state;
	static char data[FUSE_HSM_REQUEST_BYTES + 1] = "x";

	reply(f, 0, 0, data, sizeof(data));
	assert_int_equal(out_of(f, 0)->error, -EIO);
	assert_int_equal(f->header[0].ring_ent_in_out.payload_sz, 0);
	assert_int_equal(f->payload[0][0], 0);
}

static void test_one_wake_up_for_all(void **state)
{
	struct fixture *f = *state;
	uint64_t count = 0;

	reply(f, 0, 0, NULL, 0);
	reply(f, 1, 0, NULL, 0);
	assert_int_equal(read(f->ring.event, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	assert_ptr_equal(f->ring.replies, &f->entry[1]);
	assert_ptr_equal(f->ring.replies->next, &f->entry[0]);
	assert_null(f->ring.replies->next->next);
}

static void test_no_room_outside_of_a_ring(void **state)
{
	(void)state;
	assert_null(fuse_hsm_uring_room());
	fuse_hsm_uring_give_away();
	assert_null(fuse_hsm_uring_room());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_an_error_has_no_payload, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_parts_follow_each_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_data_in_place_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_much_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_wake_up_for_all, set_up, tear_down),
		cmocka_unit_test(test_no_room_outside_of_a_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
