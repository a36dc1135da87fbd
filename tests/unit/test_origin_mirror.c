/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local directory as origin, and the decorator that slows any origin down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "origin_get.h"

#define BIG (3 * (1 << 20) + 5)

static char dir[64] = "/tmp/test_mirror_XXXXXX";
static int dir_fd;
static struct hsm_stats *stats;
static char content[BIG];

static void put_file(const char *name, size_t size)
{
	auto_fd int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, size), size);
}

static struct hsm_origin *open_slow(uint64_t latency_ns, uint64_t bandwidth)
{
	struct hsm_options opt = {
		.connections = 4, .latency_ns = latency_ns, .bandwidth = bandwidth};
	struct hsm_origin *o;

	assert_int_equal(hsm_origin_open(dir, &opt, stats, &o), 0);
	assert_int_equal(o->ops->probe(o), 0);
	return o;
}

static struct hsm_origin *open_origin(void)
{
	return open_slow(0, 0);
}

static int get_range(struct hsm_origin *o, struct get *g, const char *path, uint64_t offset,
	uint64_t length, uint64_t size)
{
	get_start(o, g, path, offset, length, size);
	get_wait(g);
	assert_int_equal(g->done, 1);
	assert_false(g->out_of_order);
	if (!g->err)
		assert_int_equal(g->have, length);
	else
		assert_true(strlen(g->text) > 0);
	return g->err;
}

static int fetch(const char *path, uint64_t offset, uint64_t length, uint64_t size)
{
	struct hsm_origin *o = open_origin();
	struct get g = {0};
	int err = get_range(o, &g, path, offset, length, size);

	if (!err)
		assert_memory_equal(g.bytes, content + offset, length);
	get_release(&g);
	o->ops->close(o);
	return err;
}

static const struct hsm_entry *find(const struct hsm_listing *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (!strcmp(l->entry[i].name, name))
			return &l->entry[i];
	return NULL;
}

static void test_list(void **state)
{
	static const char *const names[] = {"plain", "new\nline", "caf\xc3\xa9", "latin1-\xe9",
		"%2e%2e", "a b", "...", "#?"};
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = -5, .tv_nsec = 123456789}};
	uint64_t refused = hsm_stats_get(stats, HSM_C_NAMES_REFUSED);
	struct hsm_origin *o = open_origin();
	struct hsm_listing l = {0};
	const struct hsm_entry *e;

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "list", 0755), 0);
	assert_int_equal(mkdirat(dir_fd, "list/sub", 0750), 0);
	assert_int_equal(symlinkat("../anywhere", dir_fd, "list/link"), 0);
	assert_int_equal(mkfifoat(dir_fd, "list/fifo", 0600), 0);
	for (size_t i = 0; i < HSM_ARRAY_SIZE(names); i++) {
		char path[64];

		snprintf(path, sizeof(path), "list/%s", names[i]);
		put_file(path, i);
		assert_int_equal(utimensat(dir_fd, path, times, 0), 0);
	}
	assert_int_equal(o->ops->list(o, "list", &l), 0);
	assert_int_equal(l.count, HSM_ARRAY_SIZE(names) + 2);
	for (size_t i = 0; i < HSM_ARRAY_SIZE(names); i++) {
		e = find(&l, names[i]);
		assert_non_null(e);
		assert_int_equal(e->size, i);
		assert_int_equal(e->mode, S_IFREG | 0640);
		assert_int_equal(e->mtime_ns, -5 * HSM_NSEC + 123456789);
		assert_true(e->size_exact && e->mtime_exact);
	}
	assert_int_equal(find(&l, "sub")->mode, S_IFDIR | 0750);
	assert_true(S_ISLNK(find(&l, "link")->mode));
	assert_string_equal(find(&l, "link")->target, "../anywhere");
	assert_null(find(&l, "fifo"));
	assert_int_equal(hsm_stats_get(stats, HSM_C_NAMES_REFUSED), refused + 1);
	hsm_listing_release(&l);
	o->ops->close(o);
}

static void test_list_errors(void **state)
{
	struct hsm_origin *o = open_origin();
	static const struct {
		const char *path;
		int want;
	} cases[] = {{"nothing", -ENOENT}, {"file", -ENOTDIR}, {"..", -ENOENT},
		{"/etc", -ENOENT}, {"out", -ENOTDIR}, {"out/etc", -ENOENT},
		{"file/x", -ENOTDIR}};

	(void)state;
	put_file("file", 1);
	assert_int_equal(symlinkat("/", dir_fd, "out"), 0);
	for (size_t i = 0; i < HSM_ARRAY_SIZE(cases); i++) {
		struct hsm_listing l = {0};

		assert_int_equal(o->ops->list(o, cases[i].path, &l), cases[i].want);
		assert_int_equal(l.count, 0);
		hsm_listing_release(&l);
	}
	o->ops->close(o);
}

static void test_fetch(void **state)
{
	static const struct {
		uint64_t offset, length;
	} ranges[] = {{0, BIG}, {0, 1}, {BIG - 1, 1}, {1 << 20, 1 << 20}, {12345, 2222222}};

	(void)state;
	put_file("big", BIG);
	for (size_t i = 0; i < HSM_ARRAY_SIZE(ranges); i++)
		assert_int_equal(fetch("big", ranges[i].offset, ranges[i].length, BIG), 0);
	assert_int_equal(mkdirat(dir_fd, "deep", 0755), 0);
	put_file("deep/caf\xc3\xa9 %2f#\n", 100);
	assert_int_equal(fetch("deep/caf\xc3\xa9 %2f#\n", 10, 90, 100), 0);
}

static void test_outside_is_stale(void **state)
{
	(void)state;
	put_file("inside", 10);
	assert_int_equal(symlinkat("inside", dir_fd, "alias"), 0);
	assert_int_equal(symlinkat("/etc", dir_fd, "etc"), 0);
	assert_int_equal(mkfifoat(dir_fd, "pipe", 0600), 0);
	assert_int_equal(fetch("inside", 0, 10, 10), 0);
	assert_int_equal(fetch("alias", 0, 10, 10), -ESTALE);
	assert_int_equal(fetch("etc/passwd", 0, 10, 10), -ESTALE);
	assert_int_equal(fetch("../../etc/passwd", 0, 10, 10), -ESTALE);
	assert_int_equal(fetch("/etc/passwd", 0, 10, 10), -ESTALE);
	assert_int_equal(fetch("nothing", 0, 10, 10), -ESTALE);
	assert_int_equal(fetch("inside/x", 0, 10, 10), -ESTALE);
	assert_int_equal(fetch("pipe", 0, 10, 10), -ESTALE);
	assert_int_equal(fetch("etc", 0, 10, 10), -ESTALE);
	assert_int_equal(fetch(".", 0, 10, 10), -ESTALE);
}

static void test_changed_is_stale(void **state)
{
	const struct timespec times[2] = {{.tv_sec = 7}, {.tv_sec = 7}};
	struct hsm_origin *o = open_origin();
	struct get g = {0}, again = {0}, later = {0}, touched = {.f.mtime_ns = 8 * HSM_NSEC};

	(void)state;
	put_file("changing", 1000);
	assert_int_equal(utimensat(dir_fd, "changing", times, 0), 0);
	assert_int_equal(get_range(o, &g, "changing", 0, 500, 1000), 0);
	assert_int_equal(g.f.mtime_ns, 7 * HSM_NSEC);
	assert_true(strlen(g.f.validator) > 0);
	memcpy(again.f.validator, g.f.validator, sizeof(again.f.validator));
	memcpy(later.f.validator, g.f.validator, sizeof(later.f.validator));
	assert_int_equal(get_range(o, &again, "changing", 500, 500, 1000), 0);
	assert_int_equal(get_range(o, &touched, "changing", 0, 500, 1000), -ESTALE);
	/* The same size and time, but written since: the change time tells. */
	put_file("changing", 1000);
	assert_int_equal(utimensat(dir_fd, "changing", times, 0), 0);
	assert_int_equal(get_range(o, &later, "changing", 500, 500, 1000), -ESTALE);
	assert_int_equal(later.have, 0);
	get_release(&g);
	get_release(&again);
	get_release(&later);
	get_release(&touched);
	o->ops->close(o);
	assert_int_equal(fetch("changing", 0, 999, 999), -ESTALE);
	assert_int_equal(fetch("changing", 0, 1001, 1001), -ESTALE);
}

/* Writes into the file when the first piece has come, as an editor in place does. */
static int change_meanwhile(
	struct hsm_fetch *f, uint64_t offset, const void *bytes, size_t length)
{
	struct get *g = hsm_container_of(f, struct get, f);

	if (offset == f->offset) {
		auto_fd int fd = openat(dir_fd, "inplace", O_WRONLY | O_CLOEXEC);

		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
		g->out_of_order |= pwrite(fd, "changed", 7, BIG - 7) != 7;
	}
	return get_data(f, offset, bytes, length);
}

/* No byte read after the change is handed on, though the first piece was. */
static void test_changed_between_pieces(void **state)
{
	struct hsm_origin *o = open_origin();
	struct get g = {0};

	(void)state;
	put_file("inplace", BIG);
	g.f.data = change_meanwhile;
	get_start(o, &g, "inplace", 0, BIG, BIG);
	get_wait(&g);
	assert_int_equal(g.err, -ESTALE);
	assert_false(g.out_of_order);
	assert_in_range(g.have, 1, BIG / 2);
	assert_memory_equal(g.bytes, content, g.have);
	get_release(&g);
	o->ops->close(o);
}

/* What ask() says of a file is what a fetch learns; what is not there stays marked. */
static void test_ask(void **state)
{
	struct hsm_origin *o = open_origin();
	struct hsm_listing l = {0};
	struct hsm_entry *e;
	struct get g = {0};

	(void)state;
	assert_int_equal(mkdirat(dir_fd, "ask", 0755), 0);
	put_file("ask/one", 100);
	put_file("ask/two", 200);
	put_file("ask/gone", 300);
	assert_int_equal(o->ops->list(o, "ask", &l), 0);
	assert_int_equal(l.count, 3);
	assert_null(hsm_listing_find(&l, "nothing"));
	hsm_listing_find(&l, "one")->ask = hsm_listing_find(&l, "gone")->ask = true;
	assert_int_equal(unlinkat(dir_fd, "ask/gone", 0), 0);
	put_file("ask/one", 123);
	assert_int_equal(o->ops->ask(o, "ask", &l), 0);
	assert_true(hsm_listing_find(&l, "gone")->ask);
	assert_null(hsm_listing_find(&l, "two")->validator);
	e = hsm_listing_find(&l, "one");
	assert_false(e->ask);
	assert_int_equal(e->size, 123);
	assert_int_equal(get_range(o, &g, "ask/one", 0, 123, 123), 0);
	assert_string_equal(e->validator, g.f.validator);
	assert_int_equal(e->mtime_ns, g.f.mtime_ns);
	get_release(&g);
	assert_int_equal(o->ops->ask(o, "ask/nothing", &l), -ENOENT);
	hsm_listing_release(&l);
	o->ops->close(o);
}

static void test_data_fails(void **state)
{
	struct hsm_origin *o = open_origin();
	struct get g = {.fail_with = -ENOSPC};

	(void)state;
	put_file("full", 10);
	assert_int_equal(get_range(o, &g, "full", 0, 10, 10), -ENOSPC);
	assert_string_equal(g.text, "data() failed");
	get_release(&g);
	o->ops->close(o);
}

static void close_under_load(struct hsm_origin *o)
{
	enum { N = 500 };
	struct get *g = calloc(N, sizeof(*g));
	uint64_t start;

	assert_non_null(g);
	for (unsigned int i = 0; i < N; i++)
		get_start(o, &g[i], "load", 0, 100000, 100000);
	start = hsm_now_ns();
	o->ops->close(o);
	assert_true(hsm_now_ns() - start < 2 * (uint64_t)HSM_NSEC);
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(g[i].done, 1);
		assert_true(g[i].err == 0 || g[i].err == -ECANCELED);
		get_release(&g[i]);
	}
	free(g);
}

static void test_close_ends_all(void **state)
{
	(void)state;
	put_file("load", 100000);
	close_under_load(open_origin());
	close_under_load(open_slow(60 * (uint64_t)HSM_NSEC / 1000, 0));
	close_under_load(open_slow(0, 100000));
}

/* Fails unless @took is @want, late by 30 % and 100 ms at most. */
static void assert_took(uint64_t took, uint64_t want)
{
	assert_in_range(took, want - want / 20, want + want * 3 / 10 + 100000000);
}

static void test_latency(void **state)
{
	struct hsm_origin *o;
	struct hsm_listing l = {0};
	struct get g = {0};
	uint64_t start;

	(void)state;
	put_file("late", 10);
	o = open_slow(50000000, 0);
	start = hsm_now_ns();
	assert_int_equal(o->ops->list(o, "", &l), 0);
	assert_took(hsm_now_ns() - start, 50000000);
	start = hsm_now_ns();
	assert_int_equal(get_range(o, &g, "late", 0, 10, 10), 0);
	assert_took(hsm_now_ns() - start, 50000000);
	assert_true(strlen(g.f.validator) > 0);
	hsm_listing_release(&l);
	get_release(&g);
	o->ops->close(o);
}

static void test_bandwidth_is_shared(void **state)
{
	static const uint64_t rates[] = {4 << 20, 40 << 20};

	(void)state;
	put_file("wide", BIG);
	for (size_t k = 0; k < HSM_ARRAY_SIZE(rates); k++) {
		struct hsm_origin *o = open_slow(0, rates[k]);
		struct get g[4] = {0};
		uint64_t start = hsm_now_ns(), each = rates[k] / 8;

		for (unsigned int i = 0; i < 4; i++)
			get_start(o, &g[i], "wide", 0, HSM_MIN(each, (uint64_t)BIG), BIG);
		for (unsigned int i = 0; i < 4; i++) {
			assert_int_equal(get_wait(&g[i]), 0);
			assert_memory_equal(g[i].bytes, content, g[i].have);
		}
		assert_took(hsm_now_ns() - start,
			(uint64_t)((double)g[0].have * 4 / (double)rates[k] * 1e9));
		for (unsigned int i = 0; i < 4; i++)
			get_release(&g[i]);
		o->ops->close(o);
	}
}

static void test_many_small(void **state)
{
	enum { N = 3000 };
	struct hsm_origin *o = open_origin();
	struct get *g = calloc(N, sizeof(*g));

	(void)state;
	assert_non_null(g);
	put_file("small", 4096);
	for (unsigned int i = 0; i < N; i++)
		get_start(o, &g[i], "small", 0, 4096, 4096);
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(get_wait(&g[i]), 0);
		assert_memory_equal(g[i].bytes, content, 4096);
		get_release(&g[i]);
	}
	free(g);
	o->ops->close(o);
}

static void test_bad_spec(void **state)
{
	static const struct {
		const char *spec;
		int want;
	} cases[] = {{"/nonexistent/dir", -ENOENT}, {"/etc/passwd", -ENOTDIR}, {"", -ENOENT},
		{"s3://bucket/", -EINVAL}};
	struct hsm_options opt = {.connections = 4};

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(cases); i++) {
		struct hsm_origin *o = NULL;

		assert_int_equal(
			hsm_origin_open(cases[i].spec, &opt, stats, &o), cases[i].want);
		assert_null(o);
		assert_true(strlen(hsm_err_text()) > 0);
	}
}

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)(i * 2654435761U >> 13);
	if (!mkdtemp(dir))
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0 || hsm_stats_new(&stats);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	close(dir_fd);
	hsm_stats_free(stats);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_list_errors),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_outside_is_stale),
		cmocka_unit_test(test_changed_is_stale),
		cmocka_unit_test(test_changed_between_pieces),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_data_fails),
		cmocka_unit_test(test_close_ends_all),
		cmocka_unit_test(test_latency),
		cmocka_unit_test(test_bandwidth_is_shared),
		cmocka_unit_test(test_many_small),
		cmocka_unit_test(test_bad_spec),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
