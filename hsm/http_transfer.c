/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One transfer from request to verdict: sets libcurl's handle up, follows redirects itself (so
 * that no header or password of the user reaches another site), retries what may pass, reports
 * the end exactly once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hsm/err.h"
#include "hsm/http.h"
#include "hsm/util.h"

#define REDIRECTS_MAX  5
#define BACKOFF_NS     (100 * 1000000ULL) /* the first; doubles */
#define BACKOFF_MAX_NS (10 * (uint64_t)HSM_NSEC)
#define SMALL_BYTES    (16L << 10)
#define SMALL_RECEIVE  (32L << 10) /* a small file and its header at once */
#define RECEIVE_BYTES  (512L << 10)

/* ---- the handle ---- */

static void set_constant(CURL *easy, const struct hsm_http *h)
{
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
	curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "libhsm/" HSM_VERSION);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(h->timeout_ns / 1000000));
	curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	/* "" and not NULL: what a daemon does must not hang on the environment it was started in. */
	curl_easy_setopt(easy, CURLOPT_PROXY, h->proxy ? h->proxy : "");
	if (h->cacert)
		curl_easy_setopt(easy, CURLOPT_CAINFO, h->cacert);
	if (h->insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

static void set_credentials(struct hsm_http_slot *s)
{
	const struct hsm_http *h = s->engine->http;

	curl_easy_setopt(s->easy, CURLOPT_USERNAME, s->foreign ? NULL : h->user);
	curl_easy_setopt(s->easy, CURLOPT_PASSWORD, s->foreign ? NULL : h->password);
}

int hsm_http_slot_init(struct hsm_http_slot *s, struct hsm_http_engine *e)
{
	*s = (struct hsm_http_slot){.engine = e, .easy = curl_easy_init()};
	if (!s->easy)
		return -ENOMEM;
	set_constant(s->easy, e->http);
	set_credentials(s);
	curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
	curl_easy_setopt(s->easy, CURLOPT_ERRORBUFFER, s->error);
	curl_easy_setopt(s->easy, CURLOPT_HEADERFUNCTION, hsm_http_on_header);
	curl_easy_setopt(s->easy, CURLOPT_HEADERDATA, s);
	curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, hsm_http_on_body);
	curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
	return 0;
}

void hsm_http_slot_release(struct hsm_http_slot *s)
{
	curl_easy_cleanup(s->easy);
	free(s->url.text);
	free(s->buffer);
}

/* Only a strong validator may be used with ranges (RFC 9110 13.1.5). */
static bool is_strong(const char *etag)
{
	size_t len = strlen(etag);

	return len >= 2 && etag[0] == '"' && etag[len - 1] == '"';
}

static void set_range(struct hsm_http_slot *s)
{
	const struct hsm_fetch *f = s->fetch;
	struct curl_slist *headers = s->foreign ? NULL : s->engine->http->headers;
	uint64_t first = f->offset + s->taken, last = f->offset + f->length - 1;

	s->ranged = first > 0 || last + 1 < f->size;
	if (s->ranged) {
		snprintf(s->range, sizeof(s->range), "%llu-%llu", (unsigned long long)first,
			(unsigned long long)last);
		if (is_strong(f->validator)) {
			snprintf(
				s->if_range, sizeof(s->if_range), "If-Range: %s", f->validator);
			s->if_range_node = (struct curl_slist){s->if_range, headers};
			headers = &s->if_range_node;
		}
	}
	curl_easy_setopt(s->easy, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(s->easy, CURLOPT_RANGE, s->ranged ? s->range : NULL);
	curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(s->easy, CURLOPT_BUFFERSIZE,
		last - first < SMALL_BYTES ? SMALL_RECEIVE : RECEIVE_BYTES);
}

static void set_call(struct hsm_http_slot *s)
{
	bool head = s->call->want == HSM_HTTP_HEAD;

	s->ranged = false;
	curl_easy_setopt(s->easy, head ? CURLOPT_NOBODY : CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(s->easy, CURLOPT_RANGE, NULL);
	curl_easy_setopt(
		s->easy, CURLOPT_HTTPHEADER, s->foreign ? NULL : s->engine->http->headers);
	curl_easy_setopt(s->easy, CURLOPT_BUFFERSIZE,
		s->call->want == HSM_HTTP_PAGE ? RECEIVE_BYTES : SMALL_RECEIVE);
}

/* ---- the end ---- */

static void finish(struct hsm_http_slot *s, int err)
{
	struct hsm_stats *stats = s->engine->http->origin.stats;
	struct hsm_fetch *f = s->fetch;
	struct hsm_http_call *c = s->call;

	if (err && err != -ECANCELED)
		hsm_stats_add(stats, HSM_C_ORIGIN_ERRORS, 1);
	if (c) {
		c->answer = s->answer;
		memcpy(c->text, s->text, sizeof(c->text));
		if (!err && c->want == HSM_HTTP_PAGE)
			c->url = strdup(s->url.text);
	}
	if (err)
		hsm_err(-err, "%s", s->text);
	/* First, so that what done() asks for next finds the slot free. */
	hsm_http_slot_put(s);
	if (f)
		f->done(f, err);
	else
		c->end(c, err);
}

/* Doubles with each try, plus or minus a half so that failed requests do not come back as one. */
static uint64_t backoff_ns(const struct hsm_http_slot *s)
{
	uint64_t ns = HSM_MIN(BACKOFF_NS << HSM_MIN(s->tries, 10U), BACKOFF_MAX_NS);
	uint64_t x = (hsm_now_ns() ^ (uintptr_t)s) * 0x9e3779b97f4a7c15ULL >> 32;

	ns = ns / 2 + x % ns;
	return HSM_MAX(ns, s->answer.retry_after_ns);
}

static bool may_retry(const struct hsm_http_slot *s)
{
	return s->again && s->tries < (s->call ? s->call->retries : s->engine->http->retries);
}

static void back_off(struct hsm_http_slot *s)
{
	s->wake_ns = hsm_now_ns() + backoff_ns(s);
	s->tries++;
	s->state = HSM_SLOT_BACKOFF;
	s->engine->backoffs++;
	hsm_stats_add(s->engine->http->origin.stats, HSM_C_ORIGIN_RETRIES, 1);
	hsm_log(HSM_LOG_DEBUG, "try %u failed, trying again: %s", s->tries, s->text);
}

static void settle(struct hsm_http_slot *s)
{
	if (s->err && may_retry(s))
		back_off(s);
	else
		finish(s, s->err);
}

/* ---- attempts ---- */

static void attempt(struct hsm_http_slot *s)
{
	bool was_foreign = s->foreign;

	s->judged = s->stopped = s->again = false;
	s->err = 0;
	s->idle_ticks = 0;
	s->skip = s->refused_body = 0;
	s->error[0] = s->text[0] = '\0';
	hsm_http_answer_reset(&s->answer);
	s->foreign = s->redirects && !hsm_http_same_site(&s->engine->http->root, s->url.text);
	if (s->foreign != was_foreign)
		set_credentials(s);
	if (s->fetch)
		set_range(s);
	else
		set_call(s);
	curl_easy_setopt(s->easy, CURLOPT_URL, s->url.text);
	if (curl_multi_add_handle(s->engine->multi, s->easy)) {
		hsm_http_fail(s, -ENOMEM, false, "%s: cannot start the request", s->url.text);
		finish(s, s->err);
		return;
	}
	s->state = HSM_SLOT_RUNNING;
}

void hsm_http_transfer_resume(struct hsm_http_slot *s)
{
	const struct hsm_http_root *root = &s->engine->http->root;
	const struct hsm_http_call *c = s->call;
	int err;

	s->redirects = 0;
	if (c)
		err = hsm_http_root_join(root, c->dir, c->name, c->slash, &s->url);
	else
		err = hsm_http_root_join(root, s->fetch->path, "", false, &s->url);
	if (err) {
		finish(s, err);
		return;
	}
	if (c && c->no_slash)
		s->url.text[s->url.len - 1] = '\0';
	attempt(s);
}

void hsm_http_transfer_begin(struct hsm_http_slot *s)
{
	s->tries = 0;
	s->taken = 0;
	s->buffered = 0;
	s->text[0] = '\0';
	hsm_http_transfer_resume(s);
}

static int set_url(struct hsm_http_slot *s, const char *url)
{
	size_t len = strlen(url);

	s->url.len = 0;
	if (hsm_http_buf_grow(&s->url, len + 1))
		return -ENOMEM;
	memcpy(s->url.text, url, len + 1);
	s->url.len = len;
	return 0;
}

/* True if the request goes on at another place. */
static bool redirected(struct hsm_http_slot *s)
{
	char *to = NULL;

	if (!hsm_http_is_redirect(s->answer.status))
		return false;
	curl_easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &to);
	if (!to || (strncasecmp(to, "http://", 7) != 0 && strncasecmp(to, "https://", 8) != 0))
		hsm_http_fail(s, -EIO, false, "%s: redirected to what is no http(s) URL",
			s->url.text);
	else if (s->redirects >= REDIRECTS_MAX)
		hsm_http_fail(s, -EIO, false, "%s: redirected more than %d times", s->url.text,
			REDIRECTS_MAX);
	else if (set_url(s, to))
		hsm_http_fail(s, -ENOMEM, false, "out of memory");
	else
		s->redirects++;
	return !s->err;
}

/* What libcurl's failure means: an errno, and whether it may pass. */
static void judge_code(struct hsm_http_slot *s, CURLcode code)
{
	const char *why = s->error[0] ? s->error : curl_easy_strerror(code);
	const char *url = s->url.text;
	long os = 0;

	curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &os);
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		hsm_http_fail(s, s->call ? -EHOSTUNREACH : -EIO, true, "%s: %s", url, why);
		break;
	case CURLE_COULDNT_CONNECT:
		hsm_http_fail(s, s->call ? -(os ? (int)os : EHOSTUNREACH) : -EIO, true,
			"%s: %s", url, why);
		break;
	case CURLE_OPERATION_TIMEDOUT:
		hsm_http_fail(s, s->call ? -ETIMEDOUT : -EIO, true, "%s: no answer in %g s",
			url, (double)s->engine->http->timeout_ns / HSM_NSEC);
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		hsm_http_fail(s, s->call ? -EACCES : -EIO, false,
			"%s: %s; give the server's authority with --cacert", url, why);
		break;
	case CURLE_OUT_OF_MEMORY:
		hsm_http_fail(s, -ENOMEM, false, "%s: out of memory", url);
		break;
	default:
		hsm_http_fail(s, -EIO, true, "%s: %s", url, why);
	}
}

static void judge_end(struct hsm_http_slot *s, CURLcode code)
{
	int err = hsm_http_flush(s);

	if (err) {
		s->err = 0;
		hsm_http_fail(s, err, false, "%s", hsm_err_text());
		return;
	}
	if (s->err || s->stopped)
		return;
	if (code) {
		judge_code(s, code);
		return;
	}
	if (!s->judged)
		hsm_http_judge(s);
	if (!s->err && s->fetch && s->taken < s->fetch->length)
		hsm_http_fail(s, -EIO, true, "%s: the body ended after %llu of %llu bytes",
			s->url.text, (unsigned long long)s->taken,
			(unsigned long long)s->fetch->length);
}

void hsm_http_transfer_ended(struct hsm_http_slot *s, CURLcode code)
{
	curl_multi_remove_handle(s->engine->multi, s->easy);
	if (!code && redirected(s)) {
		attempt(s);
		return;
	}
	judge_end(s, code);
	settle(s);
}

void hsm_http_transfer_abort(struct hsm_http_slot *s, int err)
{
	if (s->state == HSM_SLOT_RUNNING)
		curl_multi_remove_handle(s->engine->multi, s->easy);
	if (err == -ECANCELED)
		snprintf(s->text, sizeof(s->text), "the origin is closing");
	else
		snprintf(s->text, sizeof(s->text), "%s", hsm_err_text());
	finish(s, err);
}
