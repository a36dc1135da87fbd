/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_FAULT_ANSWERS_H
#define TESTS_FAULT_ANSWERS_H
/* What the server of test_origin_http.c answers, right and wrong, by path. */
#include "fault_server.h"
#include "hsm/util.h"

#define SIZE  1000000ULL
#define ETAG  "\"v1\""
#define DATE  "Sun, 06 Nov 1994 08:49:37 GMT"
#define MTIME (784111777 * HSM_NSEC)

static struct fault_server server, other;
static char content[SIZE];
static atomic_uint hits; /* requests of the paths that count them */
static char last_headers[4096]; /* of the latest request, under the server's lock */
static char other_headers[4096];

static bool send_object(struct fault_request *r, const char *etag)
{
	if (r->ranged) {
		fault_print(r->fd,
			"HTTP/1.1 206 OK\r\nContent-Length: %llu\r\nContent-Range: bytes %llu-%llu/%llu\r\n"
			"ETag: %s\r\nLast-Modified: " DATE "\r\n\r\n",
			r->last - r->first + 1, r->first, r->last, SIZE, etag);
		return fault_write(r->fd, content + r->first, r->last - r->first + 1);
	}
	fault_print(r->fd,
		"HTTP/1.1 200 OK\r\nContent-Length: %llu\r\nETag: %s\r\nLast-Modified: " DATE
		"\r\n\r\n",
		SIZE, etag);
	return r->head || fault_write(r->fd, content, SIZE);
}

static bool send_status(struct fault_request *r, const char *status)
{
	return fault_print(r->fd, "HTTP/1.1 %s\r\nContent-Length: 5\r\n\r\n%s", status,
		r->head ? "" : "sorry");
}

static bool send_page(struct fault_request *r, const char *type, const char *page)
{
	return fault_print(r->fd,
		"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", type,
		strlen(page), r->head ? "" : page);
}

/* 206 with the header of one range and the bytes of it. */
static bool send_range(
	struct fault_request *r, const char *range, uint64_t from, uint64_t length)
{
	fault_print(r->fd,
		"HTTP/1.1 206 OK\r\nContent-Length: %llu\r\nContent-Range: %s\r\n\r\n",
		(unsigned long long)length, range);
	return fault_write(r->fd, content + from, length);
}

/* Promises all, sends half, hangs up. */
static bool send_half(struct fault_request *r)
{
	uint64_t n = r->ranged ? r->last - r->first + 1 : SIZE, from = r->ranged ? r->first : 0;

	if (r->ranged)
		fault_print(r->fd,
			"HTTP/1.1 206 OK\r\nContent-Length: %llu\r\nETag: " ETAG
			"\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
			(unsigned long long)n, r->first, r->last, SIZE);
	else
		fault_print(r->fd,
			"HTTP/1.1 200 OK\r\nContent-Length: %llu\r\nETag: " ETAG "\r\n\r\n",
			(unsigned long long)n);
	fault_write(r->fd, content + from, n / 2);
	return false;
}

static bool send_chunked(struct fault_request *r, uint64_t n)
{
	fault_print(r->fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (uint64_t at = 0; at < n; at += 50000) {
		fault_print(r->fd, "%x\r\n", 50000);
		if (!fault_write(r->fd, content + at % SIZE, 50000) ||
			!fault_print(r->fd, "\r\n"))
			return false;
	}
	return fault_print(r->fd, "0\r\n\r\n");
}

static bool send_redirect(struct fault_request *r, const char *to)
{
	return fault_print(
		r->fd, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", to);
}

static bool send_redirect_to_other(struct fault_request *r)
{
	char to[64];

	snprintf(to, sizeof(to), "http://127.0.0.1:%u/ok", other.port);
	return send_redirect(r, to);
}

static bool send_next_version(struct fault_request *r)
{
	return atomic_fetch_add(&hits, 1) ? send_object(r, "\"v2\"") : send_half(r);
}

static bool twice_500(struct fault_request *r)
{
	return atomic_fetch_add(&hits, 1) < 2 ? send_status(r, "500 Oops")
					      : send_object(r, ETAG);
}

static bool half_then_rest(struct fault_request *r)
{
	return atomic_fetch_add(&hits, 1) < 2 ? send_half(r) : send_object(r, ETAG);
}

static bool send_retry_after(struct fault_request *r)
{
	if (atomic_fetch_add(&hits, 1))
		return send_object(r, ETAG);
	return fault_print(
		r->fd, "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
}

static bool send_other_total(struct fault_request *r)
{
	char range[64];

	snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", r->first, r->last, SIZE + 1);
	return send_range(r, range, r->first, r->last - r->first + 1);
}

static bool send_shifted(struct fault_request *r)
{
	char range[64];

	atomic_fetch_add(&hits, 1);
	snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", r->first + 1, r->last + 1, SIZE);
	return send_range(r, range, r->first + 1, r->last - r->first + 1);
}

static bool send_whole(struct fault_request *r)
{
	r->ranged = false;
	return send_object(r, ETAG);
}

static bool send_garbage(struct fault_request *r)
{
	atomic_fetch_add(&hits, 1);
	fault_print(r->fd, "this is not HTTP\r\n\r\n");
	return false;
}

static bool send_no_range(struct fault_request *r)
{
	fault_print(r->fd, "HTTP/1.1 206 OK\r\nContent-Length: 10\r\n\r\n0123456789");
	return true;
}

static bool send_nothing(struct fault_request *r)
{
	char c;

	atomic_fetch_add(&hits, 1);
	return recv(r->fd, &c, 1, 0) > 0;
}

static bool send_slowly(struct fault_request *r)
{
	fault_print(r->fd, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", SIZE);
	for (unsigned int i = 0; i < 5; i++) {
		usleep(400000);
		if (!fault_write(r->fd, content + i * (SIZE / 5), SIZE / 5))
			return false;
	}
	return true;
}

static bool send_404(struct fault_request *r)
{
	return send_status(r, "404 Gone fishing");
}

static bool send_410(struct fault_request *r)
{
	return send_status(r, "410 Gone");
}

static bool send_412(struct fault_request *r)
{
	return send_status(r, "412 No");
}

static bool send_416(struct fault_request *r)
{
	return send_status(r, "416 No");
}

static bool send_403(struct fault_request *r)
{
	atomic_fetch_add(&hits, 1);
	return send_status(r, "403 No");
}

static bool send_500(struct fault_request *r)
{
	atomic_fetch_add(&hits, 1);
	return send_status(r, "500 No");
}

static bool send_ok(struct fault_request *r)
{
	return send_object(r, ETAG);
}

static bool send_v2(struct fault_request *r)
{
	return send_object(r, "\"v2\"");
}

static bool send_longer(struct fault_request *r)
{
	return send_chunked(r, SIZE + 100000);
}

static bool send_exactly_chunked(struct fault_request *r)
{
	return send_chunked(r, SIZE);
}

static bool send_loop(struct fault_request *r)
{
	atomic_fetch_add(&hits, 1);
	return send_redirect(r, "/loop");
}

static bool send_hop(struct fault_request *r)
{
	return send_redirect(r, "ok");
}

static bool send_to_file(struct fault_request *r)
{
	return send_redirect(r, "file:///etc/passwd");
}

static bool send_rounded(struct fault_request *r)
{
	return send_page(r, "text/html",
		"<title>Index of /</title><pre><a href=a>a</a> 22-Nov-2026 17:39 1.2K\n"
		"<a href=gone>gone</a> 22-Nov-2026 17:39 1.2K\n"
		"<a href=exact>exact</a> 22-Nov-2026 17:39 12\n"
		"<a href=nolength>nolength</a> 22-Nov-2026 17:39 0K\n"
		"<a href=%2e%2e>x</a>\n<a href=d/>d/</a> 22-Nov-2026 17:39 -\n");
}

static bool send_empty_length(struct fault_request *r)
{
	if (r->head)
		return fault_print(r->fd, "HTTP/1.1 200 OK\r\n\r\n");
	return fault_print(r->fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static bool send_json(struct fault_request *r)
{
	return send_page(r, "application/json",
		"[{\"name\":\"f\",\"type\":\"file\",\"size\":5},{\"name\":\"..\",\"type\":\"file\"}]");
}

static bool send_text(struct fault_request *r)
{
	return send_page(r, "text/plain", "hello");
}

static bool send_html(struct fault_request *r)
{
	return send_page(r, "text/html", "<h1>Welcome</h1><a href=x>x</a>");
}

static const struct {
	const char *path;
	bool (*send)(struct fault_request *r);
} paths[] = {
	{"/ok", send_ok},
	{"/a%20b/c%23%3F%25", send_ok},
	{"/v2", send_v2},
	{"/404", send_404},
	{"/410", send_410},
	{"/412", send_412},
	{"/416", send_416},
	{"/403", send_403},
	{"/500", send_500},
	{"/twice500", twice_500},
	{"/half", send_half},
	{"/half-then-rest", half_then_rest},
	{"/next-version", send_next_version},
	{"/retry-after", send_retry_after},
	{"/other-total", send_other_total},
	{"/shifted", send_shifted},
	{"/whole", send_whole},
	{"/garbage", send_garbage},
	{"/no-range", send_no_range},
	{"/nothing", send_nothing},
	{"/slow", send_slowly},
	{"/chunked", send_exactly_chunked},
	{"/longer", send_longer},
	{"/loop", send_loop},
	{"/hop", send_hop},
	{"/elsewhere", send_redirect_to_other},
	{"/to-file", send_to_file},
	{"/rounded/", send_rounded},
	{"/rounded/a", send_ok},
	{"/rounded/gone", send_404},
	{"/rounded/nolength", send_empty_length},
	{"/json/", send_json},
	{"/text/", send_text},
	{"/html/", send_html},
	{"/hop/", send_to_file},
	{"/denied/", send_403},
	{"/file", send_text},
	{"/broken/", send_500},
};

static bool answer(struct fault_server *s, struct fault_request *r)
{
	pthread_mutex_lock(&s->lock);
	strcpy(s == &server ? last_headers : other_headers, r->text);
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < HSM_ARRAY_SIZE(paths); i++)
		if (!strcmp(paths[i].path, r->path))
			return paths[i].send(r);
	return send_404(r);
}

#endif
