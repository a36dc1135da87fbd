/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Index pages: those in tests/data/index were served by nginx 1.22, Apache 2.4 and lighttpd 1.4
 * over one directory of odd names; the hostile ones are written here. Run from the top directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/err.h"
#include "hsm/http_date.h"
#include "hsm/index.h"
#include "hsm/util.h"

#define PAGES	  "tests/data/index/"
#define PAGE_URL  "http://127.0.0.1:18081/tree/"
#define UNI	  "\xc3\xbcn\xc3\xaf-"
#define FIVE(s)	  s s s s s
#define FORTY_UNI FIVE(UNI UNI UNI UNI UNI UNI UNI UNI)
#define DIGITS	  "0123456789"
#define NAME_255  FIVE(FIVE("xxxxxxxxxx")) "xxxxx"

/* What the directory held: the size is the position, the time 1600000000 s plus the position. */
static const char *const files[] = {"plain.txt", "with space", " leading space",
	"trailing space ", "caf\xc3\xa9.txt", "latin1-\xe9", "100%", "%41", "%2e%2e",
	"hash#tag", "query?x=1", "plus+plus", "a&b", "&amp;", "dq\"quote", "sq'quote",
	"<b>bold<", "new\nline", "tab\tx", ".hidden", "..double", "...", "a:b",
	"http:", "back\\slash", "semi;colon", "star*", "[br]", "{cu}", "~tilde", "-", "?C=N",
	"#", NULL /* 255 times x */,
	"long-name-" DIGITS DIGITS DIGITS DIGITS DIGITS DIGITS ".tar.gz", FORTY_UNI,
	"\x01"
	"ctl",
	"\x7f"
	"del",
	"\xf0\x9f\x98\x80", "index of", "1.2K", "22-Nov-2026 17:39 5"};
static const char *const dirs[] = {
	"dir", "dir with space", "d%ir", "d#ir", "d\xc3\xa9", ".hid"};

static char *load(const char *name, size_t *ret_len)
{
	char path[256], *text = malloc(1 << 20);
	FILE *f;

	snprintf(path, sizeof(path), PAGES "%s", name);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(text);
	*ret_len = fread(text, 1, 1 << 20, f);
	fclose(f);
	return text;
}

static int parse_at(const char *url, const char *text, size_t len, struct hsm_listing *l,
	uint64_t *ret_refused)
{
	struct hsm_http_page page;
	int err;

	*ret_refused = 0;
	assert_int_equal(hsm_http_page_open(url, &page), 0);
	err = hsm_index_html(text, len, &page, l, ret_refused);
	hsm_http_page_release(&page);
	if (!err)
		err = hsm_listing_finish(l);
	return err;
}

static const struct hsm_entry *find(const struct hsm_listing *l, const char *name)
{
	for (size_t i = 0; i < l->count; i++)
		if (!strcmp(l->entry[i].name, name))
			return &l->entry[i];
	return NULL;
}

struct server {
	const char *page, *empty;
	bool json, hides_dots, exact;
	bool times; /* to the minute, or (JSON) exact */
	size_t count; /* of names: also those of links, large files, a FIFO */
};

static const struct server servers[] = {
	{"nginx.html", "nginx-empty.html", false, true, true, true, 49},
	{"nginx-rounded.html", "nginx-rounded-empty.html", false, true, true, true, 49},
	{"nginx.json", "nginx-empty.json", true, true, true, true, 47},
	{"apache-fancy.html", "apache-fancy-empty.html", false, false, true, true, 51},
	{"apache-table.html", "apache-table-empty.html", false, false, true, true, 51},
	{"apache-plain.html", "apache-plain-empty.html", false, false, false, false, 51},
	{"lighttpd.html", "lighttpd-empty.html", false, false, false, true, 52},
};

static int parse_page(
	const struct server *s, const char *name, struct hsm_listing *l, uint64_t *ret_refused)
{
	size_t len;
	auto_free char *text = load(name, &len);
	int err;

	if (!s->json)
		return parse_at(PAGE_URL, text, len, l, ret_refused);
	*ret_refused = 0;
	err = hsm_index_json(text, len, l, ret_refused);
	return err ? err : hsm_listing_finish(l);
}

static void check_file(const struct server *s, const struct hsm_listing *l, size_t i)
{
	char longest[256] = {0};
	const char *name = files[i];
	int64_t sec = 1600000000 + (int64_t)i;
	const struct hsm_entry *e;

	memset(longest, 'x', 255);
	if (!name)
		name = longest;
	e = find(l, name);
	if (s->hides_dots && name[0] == '.') {
		assert_null(e);
		return;
	}
	if (!e)
		fail_msg("%s: no '%s'", s->page, name);
	assert_true(S_ISREG(e->mode));
	assert_int_equal(e->mode & 07777, 0644);
	assert_int_equal(e->size_exact, s->exact);
	if (s->exact)
		assert_int_equal(e->size, i);
	assert_int_equal(e->mtime_exact, s->json);
	if (!s->times)
		assert_int_equal(e->mtime_ns, HSM_MTIME_UNKNOWN);
	else if (s->json)
		assert_int_equal(e->mtime_ns, sec * HSM_NSEC);
	else if (e->mtime_ns != sec * HSM_NSEC) /* lighttpd has seconds */
		assert_int_equal(e->mtime_ns, sec / 60 * 60 * HSM_NSEC);
}

static void test_servers(void **state)
{
	(void)state;
	for (size_t k = 0; k < HSM_ARRAY_SIZE(servers); k++) {
		const struct server *s = &servers[k];
		struct hsm_listing l = {0};
		uint64_t refused;

		assert_int_equal(parse_page(s, s->page, &l, &refused), 0);
		for (size_t i = 0; i < HSM_ARRAY_SIZE(files); i++)
			check_file(s, &l, i);
		for (size_t i = 0; i < HSM_ARRAY_SIZE(dirs); i++) {
			const struct hsm_entry *e = find(&l, dirs[i]);

			assert_int_equal(!e, s->hides_dots && dirs[i][0] == '.');
			assert_true(!e || (S_ISDIR(e->mode) && e->size_exact));
		}
		assert_int_equal(l.count, s->count);
		assert_int_equal(refused, s->json ? 2 : 0);
		assert_null(find(&l, ".."));
		assert_null(find(&l, "Parent Directory"));
		hsm_listing_release(&l);
	}
}

static void test_large_sizes(void **state)
{
	(void)state;
	for (size_t k = 0; k < HSM_ARRAY_SIZE(servers); k++) {
		struct hsm_listing l = {0};
		const struct hsm_entry *e;
		uint64_t refused;

		assert_int_equal(parse_page(&servers[k], servers[k].page, &l, &refused), 0);
		e = find(&l, "big");
		assert_non_null(e);
		/* The rest round it: 5.0G. */
		assert_int_equal(e->size_exact, k == 0 || servers[k].json);
		if (e->size_exact)
			assert_int_equal(e->size, 5ULL << 30);
		hsm_listing_release(&l);
	}
}

static void test_empty_directories(void **state)
{
	(void)state;
	for (size_t k = 0; k < HSM_ARRAY_SIZE(servers); k++) {
		struct hsm_listing l = {0};
		uint64_t refused;

		assert_int_equal(parse_page(&servers[k], servers[k].empty, &l, &refused), 0);
		assert_int_equal(l.count, 0);
		assert_int_equal(refused, 0);
		hsm_listing_release(&l);
	}
}

/* @want: the name that must come out (a directory if it ends in '/'), NULL = none. */
static void check_link(const char *href, const char *want, unsigned int want_refused)
{
	static char html[64 << 10];
	struct hsm_listing l = {0};
	char got[300] = "";
	uint64_t refused;

	snprintf(html, sizeof(html),
		"<title>Index of /</title><pre><a href=\"%s\">x</a>  22-Nov-2026 17:39  7\n",
		href);
	assert_int_equal(
		parse_at("http://host:80/a%20b/c/", html, strlen(html), &l, &refused), 0);
	if (l.count)
		snprintf(got, sizeof(got), "%s%s", l.entry[0].name,
			S_ISDIR(l.entry[0].mode) ? "/" : "");
	assert_string_equal(got, want ? want : "");
	assert_int_equal(refused, want_refused);
	hsm_listing_release(&l);
}

static void test_links(void **state)
{
	static const struct {
		const char *href, *want;
		unsigned int refused;
	} links[] = {
		{"file", "file", 0},
		{"dir/", "dir/", 0},
		{"./file", "file", 0},
		{"/a%20b/c/file", "file", 0},
		{"/a b/c/dir/", "dir/", 0},
		{"http://host/a%20b/c/file", "file", 0},
		{"http://HOST:80/%61%20b/c/f", "f", 0},
		{"//host/a%20b/c/file", "file", 0},
		{"../c/file", "file", 0},
		{"a+b", "a+b", 0},
		{"a%zz%4", "a%zz%4", 0},
		{"caf%C3%A9", "caf\xc3\xa9", 0},
		{"%3Fx", "?x", 0},
		{"a%23b#frag", "a#b", 0},
		{"%252e", "%2e", 0},
		{"&lt;&quot;&amp;", "<\"&", 0},
		{"a;b=c", "a;b=c", 0},
		/* Elsewhere. */
		{"", NULL, 0},
		{"?C=N;O=D", NULL, 0},
		{"/", NULL, 0},
		{"../", NULL, 0},
		{"..", NULL, 0},
		{"../other", NULL, 0},
		{"../../../etc/passwd", NULL, 0},
		{".", NULL, 0},
		{"./", NULL, 0},
		{"#top", NULL, 0},
		{"dir/deeper", NULL, 0},
		{"/a%20b/cfile", NULL, 0},
		{"/a%20b/c", NULL, 0},
		{"//other/a%20b/c/f", NULL, 0},
		{"http://evil/a%20b/c/f", NULL, 0},
		{"https://host/a%20b/c/f", NULL, 0},
		{"http://host:81/a%20b/c/f", NULL, 0},
		{"javascript:alert(1)", NULL, 0},
		{"mailto:a@b", NULL, 0},
		{"data:text/html,x", NULL, 0},
		{"ftp://host/c/f", NULL, 0},
		{"file:///etc/passwd", NULL, 0},
		{"file?raw=1", NULL, 0},
		{"http://host@evil/a%20b/c/f", NULL, 0},
		{"/a%20b%2Fc/f", NULL, 0},
		/* Children that must not be created. */
		{"%2e%2e", NULL, 1},
		{"%2E%2e/", NULL, 1},
		{"%2e", NULL, 1},
		{"a%2fb", NULL, 1},
		{"..%2f..%2fetc", NULL, 1},
		{"a%00b", NULL, 1},
		{"%2F", NULL, 1},
		{"/a%20b/c/%2e%2e", NULL, 1},
	};
	char longest[4097];

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(links); i++)
		check_link(links[i].href, links[i].want, links[i].refused);
	memset(longest, 'y', sizeof(longest));
	longest[4096] = '\0';
	check_link(longest, NULL, 1);
	longest[256] = '\0';
	check_link(longest, NULL, 1);
	longest[255] = '\0';
	check_link(longest, longest, 0);
}

/* What stands after a link, and whether that is an exact size. */
static void test_columns(void **state)
{
	static const struct {
		const char *text;
		bool exact;
		uint64_t size;
		bool time;
	} rows[] = {
		{" 22-Nov-2026 17:39  7", true, 7, true},
		{" 2026-11-22 17:39  7 ", true, 7, true},
		{" 2026-Nov-22 17:39:02 7\n", true, 7, true},
		{"<td>2026-11-22 17:39</td><td> 9223372036854775807</td>", true, INT64_MAX,
			true},
		{" 22-Nov-2026 17:39 9223372036854775808", false, 0, true},
		{" 22-Nov-2026 17:39 99999999999999999999999", false, 0, true},
		{" 22-Nov-2026 17:39 -7", false, 0, true},
		{" 22-Nov-2026 17:39 1.2K", false, 0, true},
		{" 22-Nov-2026 17:39 7x", false, 0, true},
		{" 22-Nov-2026 17:39 -", false, 0, true},
		{" 22-Nov-2026 17:39", false, 0, true},
		{" 7", false, 0, false},
		{" 32-Nov-2026 17:39 7", false, 0, false},
		{" 22-Foo-2026 17:39 7", false, 0, false},
		{" 22-Nov-9999 17:39 7", false, 0, false},
		{" 22-Nov-2026 25:39 7", false, 0, false},
		{"", false, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(rows); i++) {
		struct hsm_listing l = {0};
		uint64_t refused;
		char html[512];

		snprintf(html, sizeof(html),
			"<title>Index of /</title><table><tr><td><a href=f>22-Nov-2020 1:1 9</a>"
			"</td>%s%s",
			rows[i].text[0] == '<' ? "" : "<td>", rows[i].text);
		assert_int_equal(parse_at(PAGE_URL, html, strlen(html), &l, &refused), 0);
		assert_int_equal(l.count, 1);
		assert_int_equal(l.entry[0].size_exact, rows[i].exact);
		if (rows[i].exact)
			assert_int_equal(l.entry[0].size, rows[i].size);
		assert_int_equal(l.entry[0].mtime_ns != HSM_MTIME_UNKNOWN, rows[i].time);
		hsm_listing_release(&l);
	}
}

static void test_other_pages(void **state)
{
	static const char *const pages[] = {"", "hello", "<html><a href=x>x</a></html>",
		"<title>My index of things</title><a href=x>",
		"<p>Index of /</p><a href=x>x</a>"};
	static const char *const indexes[] = {"<title>Index of /", "<h1>\n index OF /x</h1>",
		"<h2>Index of /</h2>", "<title>Directory listing for /</title>"};

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(pages); i++) {
		struct hsm_listing l = {0};
		uint64_t refused;

		assert_int_equal(
			parse_at(PAGE_URL, pages[i], strlen(pages[i]), &l, &refused), -ENOTDIR);
		hsm_listing_release(&l);
	}
	for (size_t i = 0; i < HSM_ARRAY_SIZE(indexes); i++) {
		struct hsm_listing l = {0};
		uint64_t refused;

		assert_int_equal(
			parse_at(PAGE_URL, indexes[i], strlen(indexes[i]), &l, &refused), 0);
		hsm_listing_release(&l);
	}
}

/* @unit repeated to @len bytes behind the title of an index; any result will do, in bounded time. */
static void bomb(const char *unit, size_t len)
{
	static const char title[] = "<title>Index of /</title>";
	auto_free char *html = malloc(len + 64);
	size_t n = sizeof(title) - 1, unit_len = strlen(unit);
	struct hsm_listing l = {0};
	uint64_t refused, start = hsm_now_ns();
	int err;

	assert_non_null(html);
	memcpy(html, title, n);
	for (; n + unit_len <= len; n += unit_len)
		memcpy(html + n, unit, unit_len);
	err = parse_at(PAGE_URL, html, n, &l, &refused);
	assert_true(err == 0 || err == -E2BIG);
	assert_true(hsm_now_ns() - start < 60 * (uint64_t)HSM_NSEC);
	hsm_listing_release(&l);
}

static void test_bombs(void **state)
{
	(void)state;
	bomb("<div>", 1 << 20);
	bomb("<a href=x>", 1 << 20);
	bomb("<table><tr><td>", 1 << 18);
	bomb("<b><p>", 1 << 18);
	bomb("<template>", 1 << 18);
	bomb("<!--", 1 << 20);
	bomb("&", 1 << 20);
	bomb("\xff\xfe", 1 << 20);
	bomb("<a href=\"", 1 << 20);
}

/* Each paragraph reopens every <b>: n * n elements of a page of n. */
static void test_quadratic_bomb(void **state)
{
	struct hsm_listing l = {0};
	auto_free char *html = malloc(4 << 20);
	uint64_t refused;
	size_t n;

	(void)state;
	assert_non_null(html);
	n = (size_t)sprintf(html, "<title>Index of /</title><p>");
	for (unsigned int i = 0; i < 20000; i++)
		n += (size_t)sprintf(html + n, "<b x=%u>", i);
	for (unsigned int i = 0; i < 20000; i++)
		n += (size_t)sprintf(html + n, "<p>x");
	assert_int_equal(parse_at(PAGE_URL, html, n, &l, &refused), -E2BIG);
	hsm_listing_release(&l);
}

static int parse_json(const char *text, struct hsm_listing *l, uint64_t *ret_refused)
{
	*ret_refused = 0;
	return hsm_index_json(text, strlen(text), l, ret_refused);
}

static void test_json_errors(void **state)
{
	static const char *const bad[] = {"", "{}", "null", "[", "[{", "[{}", "[{},", "[{} {}]",
		"[,]", "[{\"name\":}]", "<html>",
		"[{\"name\":\"a\",\"type\":\"file\",\"size\":99999999999999999999}]"};

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(bad); i++) {
		struct hsm_listing l = {0};
		uint64_t refused;

		assert_int_equal(parse_json(bad[i], &l, &refused), -EIO);
		assert_true(strlen(hsm_err_text()) > 0);
		hsm_listing_release(&l);
	}
}

static void test_json_refused(void **state)
{
	static const char *const elements[] = {"{}", "[]", "7", "null", "\"x\"", "{\"name\":7}",
		"{\"name\":\"a\"}", "{\"name\":\"a\",\"type\":\"other\"}",
		"{\"name\":\"a\",\"type\":7}", "{\"name\":\"a\",\"type\":\"file\",\"size\":-1}",
		"{\"name\":\"a\",\"type\":\"file\",\"size\":1.5}",
		"{\"name\":\"a\",\"type\":\"file\",\"size\":\"1\"}",
		"{\"name\":\"..\",\"type\":\"file\",\"size\":1}",
		"{\"name\":\".\",\"type\":\"directory\"}",
		"{\"name\":\"\",\"type\":\"directory\"}",
		"{\"name\":\"a/b\",\"type\":\"file\",\"size\":1}",
		"{\"name\":\"a\\u0000b\",\"type\":\"file\",\"size\":1}"};

	(void)state;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(elements); i++) {
		struct hsm_listing l = {0};
		uint64_t refused;
		char text[256];

		snprintf(text, sizeof(text), "[%s,{\"name\":\"z\",\"type\":\"directory\"}]",
			elements[i]);
		assert_int_equal(parse_json(text, &l, &refused), 0);
		assert_int_equal(refused, 1);
		assert_int_equal(l.count, 1);
		assert_string_equal(l.entry[0].name, "z");
		hsm_listing_release(&l);
	}
}

static void test_json_details(void **state)
{
	struct hsm_listing l = {0};
	uint64_t refused;

	(void)state;
	assert_int_equal(
		parse_json(" [ {\"name\":\"a\",\"type\":\"file\",\"mtime\":\"x\"} ,\n"
			   "{\"type\":\"file\",\"size\":3,\"name\":\"\xe9\xe9\\u0001\","
			   "\"mtime\":\"Thu, 01 Jan 1970 00:00:01 GMT\",\"more\":[{}]}]",
			&l, &refused),
		0);
	assert_int_equal(l.count, 2);
	assert_false(l.entry[0].size_exact);
	assert_int_equal(l.entry[0].mtime_ns, HSM_MTIME_UNKNOWN);
	assert_string_equal(l.entry[1].name, "\xe9\xe9\x01");
	assert_int_equal(l.entry[1].mtime_ns, HSM_NSEC);
	assert_true(l.entry[1].mtime_exact);
	hsm_listing_release(&l);
}

static void test_dates(void **state)
{
	int64_t ns = 7;

	(void)state;
	assert_int_equal(hsm_http_date("Sun, 06 Nov 1994 08:49:37 GMT", &ns), 0);
	assert_int_equal(ns, 784111777 * HSM_NSEC);
	assert_int_equal(hsm_http_date("Sunday, 06-Nov-94 08:49:37 GMT", &ns), 0);
	assert_int_equal(ns, 784111777 * HSM_NSEC);
	assert_int_equal(hsm_http_date("Sun Nov  6 08:49:37 1994", &ns), 0);
	assert_int_equal(ns, 784111777 * HSM_NSEC);
	assert_int_equal(hsm_http_date("Thu, 29 Feb 2024 23:59:59 GMT", &ns), 0);
	assert_int_equal(ns, 1709251199 * HSM_NSEC);
	ns = 7;
	assert_int_equal(hsm_http_date("", &ns), -EINVAL);
	assert_int_equal(hsm_http_date("yesterday", &ns), -EINVAL);
	assert_int_equal(hsm_http_date("Sun, 06 Nov 9999 08:49:37 GMT", &ns), -EINVAL);
	assert_int_equal(ns, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_large_sizes),
		cmocka_unit_test(test_empty_directories),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_other_pages),
		cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_quadratic_bomb),
		cmocka_unit_test(test_json_errors),
		cmocka_unit_test(test_json_refused),
		cmocka_unit_test(test_json_details),
		cmocka_unit_test(test_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
