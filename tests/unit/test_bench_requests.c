/* SPDX-License-Identifier: GPL-2.0-or-later */
/* FUSE requests from the kernel's trace text and from a daemon's table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "harness/hist.h"
#include "harness/opcode.h"
#include "harness/requests.h"
#include "harness/util.h"

static void feed(struct bench_requests *r, const char *const *lines)
{
	for (; *lines; lines++)
		bench_requests_line(r, *lines);
}

static long long number(const json_t *types, const char *type, const char *member)
{
	return json_integer_value(json_object_get(json_object_get(types, type), member));
}

/* Lines as Linux 6.18 prints them; one task has a name that could mislead. */
static const char *const canned[] = {
	"# tracer: nop",
	"             tar-4711    [001] .....  1234.500000: fuse_request_send: connection 55 req 12 "
	"opcode 1 (FUSE_LOOKUP) len 48 ",
	" a 1.5: [000] b-17      [000] .....  1234.500010: fuse_request_send: connection 55 req 14 "
	"opcode 15 (FUSE_READ) len 80 ",
	"        fuse_hsm-99      [000] .....  1234.500030: fuse_request_end: connection 55 req 12 "
	"len 16 error -2",
	"CPU:1 [LOST 3 EVENTS]",
	"        fuse_hsm-99      [000] d.s..  1235.000010: fuse_request_end: connection 55 req 14 "
	"len 4112 error 0\n",
	"        fuse_hsm-99      [000] .....  1235.000020: fuse_request_send: connection 55 req 16 "
	"opcode 53 (0x35) len 80 ",
	"        fuse_hsm-99      [000] .....  1235.000027: fuse_request_end: connection 55 req 16 "
	"len 80 error 0",
	NULL,
};

static void test_lines(void **state)
{
	struct bench_requests *r = bench_requests_new();
	json_t *json;

	(void)state;
	feed(r, canned);
	json = bench_requests_json(r);
	assert_int_equal(json_object_size(json), 3);
	assert_int_equal(number(json, "LOOKUP", "count"), 1);
	assert_int_equal(number(json, "LOOKUP", "errors"), 1);
	/* A bin is at most 1/64 of its value wide. */
	assert_in_range(number(json, "LOOKUP", "p50_ns"), 29500, 30500);
	assert_int_equal(number(json, "READ", "errors"), 0);
	assert_in_range(number(json, "READ", "p99_ns"), 492000000, 508000000);
	assert_in_range(number(json, "COPY_FILE_RANGE_64", "p50_ns"), 6900, 7100);
	assert_int_equal(bench_requests_unmatched(r), 0);
	json_decref(json);
	bench_requests_free(r);
}

/* What is read of two processors need not be in the order of time. */
static void test_end_first(void **state)
{
	struct bench_requests *r = bench_requests_new();
	json_t *json;

	(void)state;
	for (int i = 5; i >= 0; i--)
		bench_requests_line(r, canned[i]);
	json = bench_requests_json(r);
	assert_int_equal(number(json, "LOOKUP", "count"), 1);
	assert_in_range(number(json, "LOOKUP", "p50_ns"), 29500, 30500);
	assert_int_equal(number(json, "READ", "count"), 1);
	assert_int_equal(bench_requests_unmatched(r), 0);
	json_decref(json);
	bench_requests_free(r);
}

static void test_halves(void **state)
{
	struct bench_requests *r = bench_requests_new();
	json_t *json;

	(void)state;
	bench_requests_line(r, canned[1]); /* never answered */
	bench_requests_line(r, canned[5]); /* sent before */
	json = bench_requests_json(r);
	assert_int_equal(json_object_size(json), 0);
	assert_int_equal(bench_requests_unmatched(r), 2);
	json_decref(json);
	bench_requests_free(r);
}

static void test_garbage(void **state)
{
	static const char *const garbage[] = {
		"",
		": fuse_request_send: ",
		": fuse_request_end: connection 1 req 2 len 3 error 4",
		" 1.2: fuse_request_send: connection 1 req x opcode 1",
		" x.y: fuse_request_send: connection 1 req 2 opcode 1 (FUSE_LOOKUP) len 1",
		" 1.000002: fuse_request_sent: connection 1 req 2 opcode 1 (FUSE_LOOKUP) len 1",
		NULL,
	};
	struct bench_requests *r = bench_requests_new();

	(void)state;
	feed(r, garbage);
	assert_int_equal(bench_requests_unmatched(r), 0);
	bench_requests_free(r);
}

/* After many losses the oldest halves give way, and are still counted. */
static void test_many_halves(void **state)
{
	struct bench_requests *r = bench_requests_new();
	json_t *json;

	(void)state;
	for (int i = 1; i <= 10000; i++) {
		auto_free char *line = bench_fmt(
			"t-1 [0] ..... 1.%06d: fuse_request_send: connection 1 req %d opcode 3 "
			"(FUSE_GETATTR) len 56",
			i, i);

		bench_requests_line(r, line);
	}
	assert_int_equal(bench_requests_unmatched(r), 10000);
	bench_requests_line(r,
		"t-1 [0] ..... 2.000000: fuse_request_end: connection 1 req 10000 len 9 error 0");
	json = bench_requests_json(r);
	assert_int_equal(number(json, "GETATTR", "count"), 1);
	assert_int_equal(bench_requests_unmatched(r), 9999);
	json_decref(json);
	bench_requests_free(r);
}

static void test_lost(void **state)
{
	static const char stats[] = "entries: 12\noverrun: 340\ncommit overrun: 1\nbytes: 99\n"
				    "oldest event ts: 1.2\nnow ts: 3.4\ndropped events: 5\n"
				    "read events: 6\n";

	(void)state;
	assert_int_equal(bench_requests_lost(stats), 346);
	assert_int_equal(bench_requests_lost("entries: 12\nread events: 3\n"), 0);
	assert_int_equal(bench_requests_lost(""), 0);
}

static void test_delta(void **state)
{
	json_t *before =
		json_loads("{\"read\": {\"count\": 3, \"errors\": 1, "
			   "\"hist_ns\": [[1000, 2], [5000, 1]]}, "
			   "\"open\": {\"count\": 1, \"errors\": 0, \"hist_ns\": [[7, 1]]}}",
			0, NULL);
	json_t *after =
		json_loads("{\"read\": {\"count\": 103, \"errors\": 3, "
			   "\"hist_ns\": [[1000, 2], [5000, 100], [9000, 1]]}, "
			   "\"open\": {\"count\": 1, \"errors\": 0, \"hist_ns\": [[7, 1]]}, "
			   "\"batch_forget\": {\"count\": 2, \"errors\": 0, "
			   "\"hist_ns\": [[20, 2]]}}",
			0, NULL);
	json_t *delta = bench_requests_delta(before, after), *none;

	(void)state;
	assert_int_equal(json_object_size(delta), 2); /* nothing opened */
	assert_int_equal(number(delta, "READ", "count"), 100);
	assert_int_equal(number(delta, "READ", "errors"), 2);
	assert_in_range(number(delta, "READ", "p50_ns"), 4930, 5070);
	assert_int_equal(number(delta, "BATCH_FORGET", "count"), 2);
	assert_int_equal(number(delta, "BATCH_FORGET", "p99_ns"), 20);
	none = bench_requests_delta(NULL, NULL);
	assert_int_equal(json_object_size(none), 0);
	json_decref(none);
	json_decref(delta);
	json_decref(before);
	json_decref(after);
}

/* What is written can be read back, in the bins that all histograms share. */
static void test_hist_json(void **state)
{
	struct bench_hist *a = bench_alloc(sizeof(*a)), *b = bench_alloc(sizeof(*b));
	json_t *json;

	(void)state;
	for (uint64_t ns = 1; ns < 1ULL << 34; ns = ns * 5 / 4 + 1)
		bench_hist_add(a, ns, ns % 7 + 1);
	json = bench_hist_json(a);
	assert_int_equal(bench_hist_read(b, json), 0);
	assert_memory_equal(a, b, sizeof(*a));
	json_decref(json);
	free(a);
	free(b);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(bench_opcode_name(1), "LOOKUP");
	assert_string_equal(bench_opcode_name(47), "COPY_FILE_RANGE");
	assert_string_equal(bench_opcode_name(51), "TMPFILE");
	assert_string_equal(bench_opcode_name(52), "STATX");
	assert_null(bench_opcode_name(0));
	assert_null(bench_opcode_name(7));
	assert_null(bench_opcode_name(4096));
	assert_string_equal(bench_opcode_family("RENAME2"), "RENAME");
	assert_string_equal(bench_opcode_family("READ"), "READ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_end_first),
		cmocka_unit_test(test_halves),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_many_halves),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_hist_json),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
