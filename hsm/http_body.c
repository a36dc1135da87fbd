/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is accepted as an answer: headers, the verdict on them, the body. A fetch's bytes are
 * handed on only after its header has proved that they are the ones asked for.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hsm/err.h"
#include "hsm/http.h"
#include "hsm/http_date.h"
#include "hsm/index.h"
#include "hsm/util.h"

#define BUFFER_BYTES	   (256u << 10)
#define REFUSED_BODY_MAX   (64u << 10) /* read to keep the connection; more is cheaper to cut */
#define RETRY_AFTER_MAX_NS (30 * (uint64_t)HSM_NSEC)

int hsm_http_fail(struct hsm_http_slot *s, int err, bool again, const char *fmt, ...)
{
	va_list ap;

	if (s->err)
		return s->err;
	s->err = err;
	s->again = again;
	va_start(ap, fmt);
	vsnprintf(s->text, sizeof(s->text), fmt, ap);
	va_end(ap);
	return err;
}

/* ---- headers ---- */

void hsm_http_answer_reset(struct hsm_http_answer *a)
{
	a->status = 0;
	a->length = -1;
	a->mtime_ns = HSM_MTIME_UNKNOWN;
	a->has_range = false;
	a->retry_after_ns = 0;
	a->etag[0] = a->type[0] = '\0';
}

static bool digits(const char **p, uint64_t *ret)
{
	char *end;

	if (**p < '0' || **p > '9')
		return false;
	errno = 0;
	*ret = strtoull(*p, &end, 10);
	*p = end;
	return !errno && *ret <= INT64_MAX;
}

static void on_content_range(struct hsm_http_answer *a, const char *p)
{
	if (strncasecmp(p, "bytes ", 6) != 0)
		return;
	p += 6;
	if (!digits(&p, &a->first) || *p++ != '-' || !digits(&p, &a->last) || *p++ != '/')
		return;
	a->has_range = digits(&p, &a->total) && !*p;
}

static void on_content_length(struct hsm_http_answer *a, const char *p)
{
	uint64_t n;

	if (digits(&p, &n) && !*p)
		a->length = (int64_t)n;
}

static void on_etag(struct hsm_http_answer *a, const char *p)
{
	/* One that cannot be kept in full is none. */
	if (strlen(p) < sizeof(a->etag))
		strcpy(a->etag, p);
}

static void on_last_modified(struct hsm_http_answer *a, const char *p)
{
	hsm_http_date(p, &a->mtime_ns);
}

static void on_retry_after(struct hsm_http_answer *a, const char *p)
{
	int64_t date_ns, wait_ns = 0;
	uint64_t s;

	if (digits(&p, &s))
		wait_ns = (int64_t)HSM_MIN(s, 3600U) * HSM_NSEC;
	else if (!hsm_http_date(p, &date_ns))
		wait_ns = date_ns - (int64_t)time(NULL) * HSM_NSEC;
	if (wait_ns > 0)
		a->retry_after_ns = HSM_MIN((uint64_t)wait_ns, RETRY_AFTER_MAX_NS);
}

static void on_content_type(struct hsm_http_answer *a, const char *p)
{
	size_t len = strcspn(p, "; \t");

	if (len < sizeof(a->type)) {
		memcpy(a->type, p, len);
		a->type[len] = '\0';
	}
}

static const struct {
	const char *name;
	size_t len;
	void (*set)(struct hsm_http_answer *a, const char *value);
} known[] = {
	{"content-range", 13, on_content_range},
	{"content-length", 14, on_content_length},
	{"content-type", 12, on_content_type},
	{"etag", 4, on_etag},
	{"last-modified", 13, on_last_modified},
	{"retry-after", 11, on_retry_after},
};

/* @len: of the line, without its end. */
static void read_header(struct hsm_http_answer *a, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *value;
	char copy[256];

	if (!colon)
		return;
	for (size_t i = 0; i < HSM_ARRAY_SIZE(known); i++) {
		if ((size_t)(colon - line) != known[i].len ||
			strncasecmp(line, known[i].name, known[i].len) != 0)
			continue;
		value = colon + 1;
		while (value < line + len && (*value == ' ' || *value == '\t'))
			value++;
		len -= (size_t)(value - line);
		if (len >= sizeof(copy) || memchr(value, '\0', len))
			return;
		memcpy(copy, value, len);
		copy[len] = '\0';
		known[i].set(a, copy);
		return;
	}
}

size_t hsm_http_on_header(char *line, size_t one, size_t n, void *slot)
{
	struct hsm_http_slot *s = slot;
	size_t len = n;

	(void)one;
	s->idle_ticks = 0;
	while (len && strchr("\r\n \t", line[len - 1]))
		len--;
	/* A status line: what came before was an interim answer. */
	if (len > 5 && !memcmp(line, "HTTP/", 5)) {
		const char *code = memchr(line, ' ', len);

		hsm_http_answer_reset(&s->answer);
		s->answer.status = code ? strtol(code, NULL, 10) : 0;
	} else {
		read_header(&s->answer, line, len);
	}
	return n;
}

/* ---- the verdict ---- */

/* A server may list a name that it then refuses to serve, such as one with control characters. */
static bool unservable(const struct hsm_http_slot *s, long status)
{
	return s->call && s->call->want != HSM_HTTP_PAGE && status >= 400 && status < 500 &&
	       status != 401 && status != 407 && status != 408 && status != 429;
}

static void judge_status(struct hsm_http_slot *s)
{
	long status = s->answer.status;
	const char *url = s->url.text;
	bool fetch = s->fetch;

	if (status == 404 || status == 410 || unservable(s, status))
		hsm_http_fail(s, fetch ? -ESTALE : -ENOENT, false, "%s: not there (%ld)", url,
			status);
	else if (fetch && (status == 412 || status == 416))
		hsm_http_fail(s, -ESTALE, false, "%s: changed (%ld)", url, status);
	else if (status == 401 || status == 403 || status == 407)
		hsm_http_fail(s, fetch ? -EIO : -EACCES, false,
			"%s: the server refuses access (%ld); check --user, and that it lists "
			"directories",
			url, status);
	else if (status == 408 || status == 429 || status >= 500)
		hsm_http_fail(s, -EIO, true, "%s: the server is in trouble (%ld)", url, status);
	else
		hsm_http_fail(s, -EIO, status >= 200 && status < 300,
			"%s: unexpected answer (%ld)", url, status);
}

/* Is it the object the stub describes? Learns what the stub does not know. */
static void judge_validators(struct hsm_http_slot *s)
{
	const struct hsm_http_answer *a = &s->answer;
	struct hsm_fetch *f = s->fetch;
	bool etag_same = f->validator[0] && !strcmp(a->etag, f->validator);
	bool mtime_same = f->mtime_ns != HSM_MTIME_UNKNOWN && a->mtime_ns == f->mtime_ns;

	if (f->validator[0] && !etag_same && (a->etag[0] || !mtime_same))
		hsm_http_fail(s, -ESTALE, false, "%s: changed: ETag %s instead of %s",
			s->url.text, a->etag[0] ? a->etag : "missing", f->validator);
	else if (f->mtime_ns != HSM_MTIME_UNKNOWN && !mtime_same &&
		 a->mtime_ns != HSM_MTIME_UNKNOWN)
		hsm_http_fail(
			s, -ESTALE, false, "%s: changed: another Last-Modified", s->url.text);
	if (s->err)
		return;
	if (!f->validator[0])
		strcpy(f->validator, a->etag);
	if (f->mtime_ns == HSM_MTIME_UNKNOWN)
		f->mtime_ns = a->mtime_ns;
}

static void judge_range(struct hsm_http_slot *s)
{
	const struct hsm_http_answer *a = &s->answer;
	const struct hsm_fetch *f = s->fetch;
	uint64_t first = f->offset + s->taken, last = f->offset + f->length - 1;

	if (!s->ranged || !a->has_range || a->first != first || a->last != last)
		hsm_http_fail(s, -EIO, true, "%s: the server sent another range than %s",
			s->url.text, s->ranged ? s->range : "the whole");
	else if (a->total != f->size)
		hsm_http_fail(s, -ESTALE, false, "%s: changed: %llu bytes instead of %llu",
			s->url.text, (unsigned long long)a->total, (unsigned long long)f->size);
	else if (a->length >= 0 && (uint64_t)a->length != last - first + 1)
		hsm_http_fail(s, -EIO, true, "%s: Content-Length and Content-Range differ",
			s->url.text);
}

/* The whole object, asked for or not. */
static void judge_whole(struct hsm_http_slot *s)
{
	const struct hsm_fetch *f = s->fetch;

	if (s->answer.length >= 0 && (uint64_t)s->answer.length != f->size) {
		hsm_http_fail(s, -ESTALE, false, "%s: changed: %lld bytes instead of %llu",
			s->url.text, (long long)s->answer.length, (unsigned long long)f->size);
		return;
	}
	s->skip = f->offset + s->taken;
	if (s->ranged && !atomic_exchange(&s->engine->http->warned_ranges, true))
		hsm_log(HSM_LOG_WARN,
			"%s: the server ignores ranges: each read transfers the file from its start",
			s->url.text);
}

static void judge_page(struct hsm_http_slot *s)
{
	struct hsm_http_call *c = s->call;

	if (!strcasecmp(s->answer.type, "application/json"))
		c->body_max = HSM_INDEX_JSON_MAX;
	else if (!strcasecmp(s->answer.type, "text/html") ||
		 !strcasecmp(s->answer.type, "application/xhtml+xml"))
		c->body_max = HSM_INDEX_HTML_MAX;
	else
		hsm_http_fail(s, -ENOTDIR, false,
			"%s: answered with %s, not with an index page; is it a file?",
			s->url.text, s->answer.type[0] ? s->answer.type : "no Content-Type");
	if (!s->err && s->answer.length > (int64_t)c->body_max)
		hsm_http_fail(s, -E2BIG, false, "%s: the index is larger than %zu bytes",
			s->url.text, c->body_max);
}

void hsm_http_judge(struct hsm_http_slot *s)
{
	long status = s->answer.status;

	s->judged = true;
	if (s->fetch && (status == 200 || status == 206)) {
		judge_validators(s);
		if (!s->err && status == 206)
			judge_range(s);
		else if (!s->err)
			judge_whole(s);
	} else if (s->call && status == 200) {
		if (s->call->want == HSM_HTTP_PAGE)
			judge_page(s);
	} else if (!hsm_http_is_redirect(status)) {
		judge_status(s);
	}
}

/* ---- the body ---- */

int hsm_http_flush(struct hsm_http_slot *s)
{
	struct hsm_fetch *f = s->fetch;
	size_t n = s->buffered;

	if (!n)
		return 0;
	s->buffered = 0;
	return f->data(f, f->offset + s->taken - n, s->buffer, n);
}

static void mark_dirty(struct hsm_http_slot *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	s->next = s->engine->dirty;
	s->engine->dirty = s;
}

/*
 * libcurl hands out at most 16 KiB at a time. They are gathered until the buffer is full or the
 * engine has taken all the socket had, so that data() is called with what came in together.
 */
static int gather(struct hsm_http_slot *s, const char *bytes, size_t n)
{
	int err = 0;

	if (!s->buffer)
		s->buffer = malloc(BUFFER_BYTES);
	if (!s->buffer)
		return -ENOMEM;
	if (n > BUFFER_BYTES - s->buffered)
		err = hsm_http_flush(s);
	if (err)
		return err;
	memcpy(s->buffer + s->buffered, bytes, n);
	s->buffered += n;
	s->taken += n;
	mark_dirty(s);
	return 0;
}

static int deliver(struct hsm_http_slot *s, const char *bytes, size_t n)
{
	struct hsm_fetch *f = s->fetch;
	uint64_t at = f->offset + s->taken;

	if (s->buffered || n < f->length - s->taken || n > BUFFER_BYTES)
		return gather(s, bytes, n);
	/* All that is left came at once: no copy. */
	s->taken += n;
	return f->data(f, at, bytes, n);
}

static int take_fetch(struct hsm_http_slot *s, const char *bytes, size_t n)
{
	const struct hsm_fetch *f = s->fetch;
	uint64_t left = f->length - s->taken;
	size_t over = (size_t)HSM_MIN(s->skip, (uint64_t)n);
	int err = 0;

	hsm_stats_add(s->engine->http->origin.stats, HSM_C_BYTES_FETCHED, n);
	s->skip -= over;
	bytes += over;
	n -= over;
	if (n > left && f->offset + f->length == f->size)
		return hsm_http_fail(s, -ESTALE, false, "%s: changed: more than %llu bytes",
			s->url.text, (unsigned long long)f->size);
	if (n && left)
		err = deliver(s, bytes, (size_t)HSM_MIN((uint64_t)n, left));
	if (err)
		return hsm_http_fail(s, err, false, "%s", hsm_err_text());
	/* Of a whole body the rest is not wanted. */
	s->stopped = s->taken == f->length && f->offset + f->length < f->size &&
		     s->answer.status == 200;
	return s->stopped ? -ECANCELED : 0;
}

static int take_page(struct hsm_http_slot *s, const char *bytes, size_t n)
{
	struct hsm_http_call *c = s->call;

	if (c->body.len + n > c->body_max)
		return hsm_http_fail(s, -E2BIG, false, "%s: the index is larger than %zu bytes",
			s->url.text, c->body_max);
	if (hsm_http_buf_grow(&c->body, n + 1))
		return hsm_http_fail(s, -ENOMEM, false, "out of memory");
	memcpy(c->body.text + c->body.len, bytes, n);
	c->body.len += n;
	return 0;
}

/* The text of an error or a redirect: read to keep the connection, up to a point. */
static int take_refused(struct hsm_http_slot *s, size_t n)
{
	s->refused_body += n;
	return s->refused_body > REFUSED_BODY_MAX ? -EIO : 0;
}

size_t hsm_http_on_body(char *bytes, size_t one, size_t n, void *slot)
{
	struct hsm_http_slot *s = slot;
	int err;

	(void)one;
	s->idle_ticks = 0;
	if (!s->judged)
		hsm_http_judge(s);
	if (s->err || hsm_http_is_redirect(s->answer.status))
		err = take_refused(s, n);
	else if (s->fetch)
		err = take_fetch(s, bytes, n);
	else if (s->call->want == HSM_HTTP_PAGE)
		err = take_page(s, bytes, n);
	else
		err = s->stopped = true;
	return err ? CURL_WRITEFUNC_ERROR : n;
}
