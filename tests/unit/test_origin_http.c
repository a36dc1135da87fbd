/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The HTTP origin against a server that answers as told, also wrongly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "fault_answers.h"
#include "origin_get.h"

static struct hsm_stats *stats;

static struct hsm_options options(void)
{
	return (struct hsm_options){
		.connections = 8, .workers = 2, .retries = 2, .timeout_ns = HSM_NSEC};
}

static struct hsm_origin *open_with(const struct hsm_options *opt)
{
	struct hsm_origin *o;
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", server.port);
	atomic_store(&hits, 0);
	assert_int_equal(hsm_origin_open(url, opt, stats, &o), 0);
	return o;
}

static struct hsm_origin *open_origin(void)
{
	struct hsm_options opt = options();

	return open_with(&opt);
}

/* ---- fetches ---- */

static int get_range(
	struct hsm_origin *o, struct get *g, const char *path, uint64_t offset, uint64_t length)
{
	get_start(o, g, path, offset, length, SIZE);
	get_wait(g);
	assert_int_equal(g->done, 1);
	assert_false(g->out_of_order);
	assert_memory_equal(g->bytes, content + offset, g->have);
	if (!g->err)
		assert_int_equal(g->have, length);
	else
		assert_true(strlen(g->text) > 0);
	return g->err;
}

static int fetch(const char *path, uint64_t offset, uint64_t length)
{
	struct hsm_origin *o = open_origin();
	struct get g = {0};
	int err = get_range(o, &g, path, offset, length);

	get_release(&g);
	o->ops->close(o);
	return err;
}

static void test_whole_and_ranges(void **state)
{
	struct hsm_origin *o = open_origin();
	static const struct {
		uint64_t offset, length;
		bool ranged;
	} cases[] = {{0, SIZE, false}, {0, 1, true}, {SIZE - 1, 1, true}, {1, SIZE - 1, true},
		{0, 4096, true}, {123456, 654321, true}};

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(cases); i++) {
		struct get g = {0};

		assert_int_equal(get_range(o, &g, "ok", cases[i].offset, cases[i].length), 0);
		assert_string_equal(g.f.validator, ETAG);
		assert_int_equal(g.f.mtime_ns, MTIME);
		assert_int_equal(!!strstr(last_headers, "Range: bytes="), cases[i].ranged);
		assert_null(strstr(last_headers, "Accept-Encoding"));
		get_release(&g);
	}
	o->ops->close(o);
}

static void test_path_is_encoded(void **state)
{
	(void)state;
	assert_int_equal(fetch("a b/c#?%", 0, 100), 0);
}

static void test_validators(void **state)
{
	static const struct {
		const char *path, *validator;
		int64_t mtime_ns;
		int want;
	} cases[] = {
		{"ok", ETAG, MTIME, 0},
		{"ok", ETAG, HSM_MTIME_UNKNOWN, 0},
		{"ok", "", MTIME, 0},
		{"v2", ETAG, MTIME, -ESTALE},
		{"ok", "", MTIME + HSM_NSEC, -ESTALE},
		{"ok", ETAG, MTIME - HSM_NSEC, -ESTALE},
		{"chunked", ETAG, MTIME, -ESTALE},
		{"chunked", "", MTIME, 0},
	};
	struct hsm_origin *o = open_origin();

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(cases); i++) {
		for (unsigned int whole = 0; whole < 2; whole++) {
			struct get g = {.f.mtime_ns = cases[i].mtime_ns};
			int err;

			strcpy(g.f.validator, cases[i].validator);
			err = get_range(
				o, &g, cases[i].path, whole ? 0 : 10, whole ? SIZE : 5000);
			assert_int_equal(err, cases[i].want);
			if (err)
				assert_int_equal(g.have, 0);
			get_release(&g);
		}
	}
	o->ops->close(o);
}

static void test_if_range(void **state)
{
	struct hsm_origin *o = open_origin();
	struct get strong = {.f.validator = ETAG}, weak = {.f.validator = "W/" ETAG};

	(void)state;
	assert_int_equal(get_range(o, &strong, "ok", 5, 10), 0);
	assert_non_null(strstr(last_headers, "If-Range: " ETAG "\r\n"));
	assert_int_equal(get_range(o, &weak, "ok", 5, 10), -ESTALE);
	assert_null(strstr(last_headers, "If-Range"));
	get_release(&strong);
	get_release(&weak);
	o->ops->close(o);
}

static void test_stale(void **state)
{
	static const char *const gone[] = {"404", "410", "412", "416", "other-total"};
	struct hsm_origin *o;
	struct get g = {0};

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(gone); i++)
		assert_int_equal(fetch(gone[i], 100, 200), -ESTALE);
	assert_int_equal(fetch("longer", 0, SIZE), -ESTALE);
	o = open_origin();
	get_start(o, &g, "ok", 0, SIZE - 1, SIZE - 1);
	assert_int_equal(get_wait(&g), -ESTALE);
	assert_int_equal(g.have, 0);
	get_release(&g);
	o->ops->close(o);
}

static void test_passing_faults(void **state)
{
	uint64_t before = hsm_stats_get(stats, HSM_C_ORIGIN_RETRIES);

	(void)state;
	assert_int_equal(fetch("twice500", 5, 5000), 0);
	assert_int_equal(hsm_stats_get(stats, HSM_C_ORIGIN_RETRIES), before + 2);
	assert_int_equal(fetch("half-then-rest", 0, SIZE), 0);
	assert_int_equal(fetch("half-then-rest", 17, 100001), 0);
}

/* The second half is not of the version of the first. */
static void test_changed_while_resuming(void **state)
{
	(void)state;
	assert_int_equal(fetch("next-version", 0, SIZE), -ESTALE);
}

static void test_lasting_faults(void **state)
{
	static const char *const broken[] = {"500", "garbage", "shifted"};

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(broken); i++) {
		assert_int_equal(fetch(broken[i], 100, 200), -EIO);
		assert_int_equal(atomic_load(&hits), 3); /* once and two retries */
	}
	assert_int_equal(fetch("half", 0, SIZE), -EIO);
	assert_int_equal(fetch("no-range", 10, 10), -EIO);
	assert_int_equal(fetch("403", 0, 10), -EIO);
	assert_int_equal(atomic_load(&hits), 1);
}

static void test_retry_after(void **state)
{
	uint64_t start = hsm_now_ns();

	(void)state;
	assert_int_equal(fetch("retry-after", 0, SIZE), 0);
	assert_true(hsm_now_ns() - start >= (uint64_t)HSM_NSEC);
}

static void test_ranges_ignored(void **state)
{
	(void)state;
	assert_int_equal(fetch("whole", 0, 10), 0);
	assert_int_equal(fetch("whole", 123456, 1000), 0);
	assert_int_equal(fetch("whole", SIZE - 10, 10), 0);
	assert_int_equal(fetch("chunked", 5, 50), 0);
	assert_int_equal(fetch("chunked", SIZE - 5, 5), 0);
}

static void test_refused_connection(void **state)
{
	struct hsm_options opt = options();
	struct hsm_origin *o;
	struct get g = {0};

	(void)state;
	/* Port 1 of loopback: nobody listens there. */
	assert_int_equal(hsm_origin_open("http://127.0.0.1:1/", &opt, stats, &o), 0);
	assert_int_equal(o->ops->probe(o), -ECONNREFUSED);
	assert_non_null(strstr(hsm_err_text(), "refused"));
	assert_int_equal(get_range(o, &g, "x", 0, 10), -EIO);
	get_release(&g);
	o->ops->close(o);
}

static void test_stall(void **state)
{
	struct hsm_options opt = options();
	struct hsm_origin *o;
	struct get g = {0}, slow = {0};
	uint64_t start = hsm_now_ns(), took;

	(void)state;
	opt.retries = 1;
	o = open_with(&opt);
	assert_int_equal(get_range(o, &g, "nothing", 0, 10), -EIO);
	took = hsm_now_ns() - start;
	assert_int_equal(atomic_load(&hits), 2);
	assert_true(took >= 2 * (uint64_t)HSM_NSEC && took < 10 * (uint64_t)HSM_NSEC);
	/* Slow, but never silent for the timeout. */
	assert_int_equal(get_range(o, &slow, "slow", 0, SIZE), 0);
	get_release(&g);
	get_release(&slow);
	o->ops->close(o);
}

static void test_redirects(void **state)
{
	(void)state;
	assert_int_equal(fetch("hop", 7, 1000), 0);
	assert_int_equal(fetch("hop", 0, SIZE), 0);
	assert_int_equal(fetch("loop", 0, 10), -EIO);
	assert_int_equal(atomic_load(&hits), 6);
	assert_int_equal(fetch("to-file", 0, 10), -EIO);
}

static void test_credentials_stay(void **state)
{
	struct hsm_options opt = options();
	struct hsm_origin *o;
	struct get g = {0}, h = {0};

	(void)state;
	opt.user = "joe:secret";
	opt.header[0] = "X-Key: 4711";
	opt.headers = 1;
	opt.connections = 1; /* one handle for all */
	o = open_with(&opt);
	assert_int_equal(get_range(o, &g, "elsewhere", 0, 10), 0);
	assert_non_null(strstr(last_headers, "Authorization: Basic am9lOnNlY3JldA=="));
	assert_non_null(strstr(last_headers, "X-Key: 4711"));
	assert_non_null(strstr(other_headers, "GET /ok"));
	assert_null(strstr(other_headers, "Authorization"));
	assert_null(strstr(other_headers, "X-Key"));
	assert_int_equal(get_range(o, &h, "ok", 0, 10), 0);
	assert_non_null(strstr(last_headers, "Authorization"));
	assert_non_null(strstr(last_headers, "X-Key: 4711"));
	get_release(&g);
	get_release(&h);
	o->ops->close(o);
}

static void test_data_fails(void **state)
{
	struct hsm_origin *o = open_origin();
	static const uint64_t lengths[] = {100, SIZE};

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(lengths); i++) {
		struct get g = {.fail_with = -ENOSPC};

		assert_int_equal(get_range(o, &g, "ok", 0, lengths[i]), -ENOSPC);
		assert_string_equal(g.text, "data() failed");
		get_release(&g);
	}
	o->ops->close(o);
}

static void test_many_at_once(void **state)
{
	enum { N = 2000 };
	struct hsm_origin *o = open_origin();
	struct get *g = calloc(N, sizeof(*g));
	unsigned int before = atomic_load(&server.connections);

	(void)state;
	assert_non_null(g);
	for (unsigned int i = 0; i < N; i++)
		get_start(o, &g[i], "ok", i * 400, 4096, SIZE);
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(get_wait(&g[i]), 0);
		assert_int_equal(g[i].have, 4096);
		assert_false(g[i].out_of_order);
		assert_memory_equal(g[i].bytes, content + i * 400, 4096);
		get_release(&g[i]);
	}
	/* Kept alive, and never more than allowed. */
	assert_in_range(atomic_load(&server.connections) - before, 1, 8);
	free(g);
	o->ops->close(o);
}

static void test_close_cancels(void **state)
{
	enum { N = 100 };
	struct hsm_origin *o = open_origin();
	struct get *g = calloc(N, sizeof(*g));
	uint64_t start;

	(void)state;
	assert_non_null(g);
	/* Some wait for the server, some back off, the rest are queued. */
	for (unsigned int i = 0; i < N; i++)
		get_start(o, &g[i], i % 2 ? "nothing" : "500", 0, 10, SIZE);
	usleep(50000);
	start = hsm_now_ns();
	o->ops->close(o);
	assert_true(hsm_now_ns() - start < (uint64_t)HSM_NSEC);
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(g[i].done, 1);
		assert_int_equal(g[i].err, -ECANCELED);
		get_release(&g[i]);
	}
	free(g);
}

static void *list_nothing(void *arg)
{
	struct hsm_origin *o = arg;
	struct hsm_listing l = {0};
	int err = o->ops->list(o, "nothing", &l);

	hsm_listing_release(&l);
	return (void *)(intptr_t)err;
}

static bool hang(struct fault_server *s, struct fault_request *r)
{
	(void)s;
	return send_nothing(r);
}

static void test_cancel_ends_lists(void **state)
{
	struct hsm_options opt = options();
	struct fault_server silent;
	struct hsm_origin *o;
	pthread_t thread;
	void *err;
	char url[64];

	(void)state;
	opt.timeout_ns = 60 * (uint64_t)HSM_NSEC;
	assert_int_equal(fault_start(&silent, hang), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", silent.port);
	assert_int_equal(hsm_origin_open(url, &opt, stats, &o), 0);
	assert_int_equal(pthread_create(&thread, NULL, list_nothing, o), 0);
	usleep(100000);
	o->ops->cancel(o);
	pthread_join(thread, &err);
	assert_int_equal((intptr_t)err, -ECANCELED);
	o->ops->close(o);
	fault_stop(&silent);
}

/* ---- listings ---- */

static int list(const char *path, struct hsm_listing *l)
{
	struct hsm_origin *o = open_origin();
	int err;

	*l = (struct hsm_listing){0};
	err = o->ops->list(o, path, l);
	o->ops->close(o);
	return err;
}

static void test_list_with_heads(void **state)
{
	struct hsm_listing l;
	uint64_t heads = hsm_stats_get(stats, HSM_C_ORIGIN_HEADS);
	uint64_t refused = hsm_stats_get(stats, HSM_C_NAMES_REFUSED);

	(void)state;
	assert_int_equal(list("rounded", &l), 0);
	assert_int_equal(l.count, 4);
	assert_string_equal(l.entry[0].name, "a");
	assert_int_equal(l.entry[0].size, SIZE);
	assert_int_equal(l.entry[0].mtime_ns, MTIME);
	assert_true(l.entry[0].mtime_exact);
	assert_string_equal(l.entry[1].name, "d");
	assert_true(S_ISDIR(l.entry[1].mode));
	assert_string_equal(l.entry[2].name, "exact");
	assert_int_equal(l.entry[2].size, 12);
	assert_false(l.entry[2].mtime_exact);
	assert_string_equal(l.entry[3].name, "nolength");
	assert_int_equal(l.entry[3].size, 0);
	assert_int_equal(hsm_stats_get(stats, HSM_C_ORIGIN_HEADS), heads + 3);
	assert_int_equal(hsm_stats_get(stats, HSM_C_NAMES_REFUSED), refused + 2);
	hsm_listing_release(&l);
}

static void test_list_json(void **state)
{
	struct hsm_listing l;
	uint64_t heads = hsm_stats_get(stats, HSM_C_ORIGIN_HEADS);

	(void)state;
	assert_int_equal(list("json", &l), 0);
	assert_int_equal(l.count, 1);
	assert_int_equal(l.entry[0].size, 5);
	assert_int_equal(hsm_stats_get(stats, HSM_C_ORIGIN_HEADS), heads);
	hsm_listing_release(&l);
}

static void test_list_errors(void **state)
{
	static const struct {
		const char *path;
		int want;
	} cases[] = {{"missing", -ENOENT}, {"text", -ENOTDIR}, {"html", -ENOTDIR},
		{"denied", -EACCES}, {"broken", -EIO}, {"hop", -EIO}};

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(cases); i++) {
		struct hsm_listing l;

		assert_int_equal(list(cases[i].path, &l), cases[i].want);
		assert_true(strlen(hsm_err_text()) > 0);
		hsm_listing_release(&l);
	}
}

static int probe(const char *path)
{
	struct hsm_options opt = options();
	struct hsm_origin *o;
	char url[128];
	int err;

	snprintf(url, sizeof(url), "http://joe:secret@127.0.0.1:%u/%s", server.port, path);
	assert_int_equal(hsm_origin_open(url, &opt, stats, &o), 0);
	err = o->ops->probe(o);
	if (err)
		assert_null(strstr(hsm_err_text(), "secret"));
	o->ops->close(o);
	return err;
}

static void test_probe(void **state)
{
	(void)state;
	assert_int_equal(probe("json"), 0);
	assert_non_null(strstr(last_headers, "Authorization: Basic am9lOnNlY3JldA=="));
	assert_int_equal(probe("json/"), 0);
	assert_int_equal(probe("file"), -ENOTDIR);
	assert_non_null(strstr(hsm_err_text(), "is a file"));
	assert_int_equal(probe("text"), -ENOTDIR);
	assert_int_equal(probe("missing"), -ENOENT);
	assert_int_equal(probe("denied"), -EACCES);
}

static void test_bad_urls(void **state)
{
	static const char *const bad[] = {"http://", "http:///x", "http://h/?q=1",
		"http://h/#f", "ftp://h/", "http://h:99999/", "gopher://h/"};
	struct hsm_options opt = options();

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(bad); i++) {
		struct hsm_origin *o = NULL;

		assert_int_equal(hsm_origin_open(bad[i], &opt, stats, &o), -EINVAL);
		assert_null(o);
	}
}

static void test_latency(void **state)
{
	struct hsm_options opt = options();
	struct hsm_origin *o;
	struct get g[8] = {0};
	uint64_t start, took;

	(void)state;
	opt.latency_ns = 100000000;
	o = open_with(&opt);
	start = hsm_now_ns();
	for (unsigned int i = 0; i < 8; i++)
		get_start(o, &g[i], "ok", i, 1000, SIZE);
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal(get_wait(&g[i]), 0);
		assert_memory_equal(g[i].bytes, content + i, 1000);
		assert_string_equal(g[i].f.validator, ETAG);
		get_release(&g[i]);
	}
	took = hsm_now_ns() - start;
	/* Each 100 ms late, and all at once: not 800 ms. */
	assert_in_range(took, 100000000, 500000000);
	o->ops->close(o);
}

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		content[i] = (char)(i * 2654435761U >> 13);
	return hsm_stats_new(&stats) || fault_start(&server, answer) ||
	       fault_start(&other, answer);
}

static int tear_down(void **state)
{
	(void)state;
	fault_stop(&server);
	fault_stop(&other);
	hsm_stats_free(stats);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_and_ranges),
		cmocka_unit_test(test_path_is_encoded),
		cmocka_unit_test(test_validators),
		cmocka_unit_test(test_if_range),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_passing_faults),
		cmocka_unit_test(test_changed_while_resuming),
		cmocka_unit_test(test_lasting_faults),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_ranges_ignored),
		cmocka_unit_test(test_refused_connection),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_redirects),
		cmocka_unit_test(test_credentials_stay),
		cmocka_unit_test(test_data_fails),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_close_cancels),
		cmocka_unit_test(test_cancel_ends_lists),
		cmocka_unit_test(test_list_with_heads),
		cmocka_unit_test(test_list_json),
		cmocka_unit_test(test_list_errors),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_bad_urls),
		cmocka_unit_test(test_latency),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
