/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listings over HTTP: the page of a directory, then one HEAD for each file whose size the page
 * rounds, as many at a time as there are connections.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "hsm/err.h"
#include "hsm/http.h"
#include "hsm/index.h"
#include "hsm/util.h"

/* ---- one call, waited for ---- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t ended; /* done is set, under lock */
	bool done;
	int err;
};

static void on_ended(struct hsm_http_call *c, int err)
{
	struct waiter *w = c->arg;

	pthread_mutex_lock(&w->lock);
	w->err = err;
	w->done = true;
	pthread_cond_signal(&w->ended);
	pthread_mutex_unlock(&w->lock);
}

static int run_call(struct hsm_http *h, struct hsm_http_call *c)
{
	struct waiter w = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

	c->end = on_ended;
	c->arg = &w;
	hsm_http_submit_call(h, c);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.ended, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_mutex_destroy(&w.lock);
	pthread_cond_destroy(&w.ended);
	return w.err ? hsm_err(-w.err, "%s", c->text) : 0;
}

/* ---- sizes the page rounds, and what ask() wants to know ---- */

struct head;

struct heads {
	struct hsm_http *http;
	const char *dir;
	struct hsm_listing *listing;
	bool asked; /* for ask(): those marked, and no entry goes */
	pthread_mutex_t
		lock; /* the rest; held while submitting, an engine's lock nests in it */
	pthread_cond_t idle; /* running became 0 */
	size_t next; /* first entry not looked at */
	unsigned int running;
	uint64_t dropped;
	int err;
	char text[HSM_HTTP_TEXT];
};

struct head {
	struct hsm_http_call call;
	struct heads *batch;
	struct hsm_entry *entry;
};

static bool is_wanted(const struct heads *b, const struct hsm_entry *e)
{
	return b->asked ? e->ask : !e->size_exact;
}

/* Sends @head for the next file of unknown size; false if there is none. Lock held. */
static bool next_head(struct heads *b, struct head *head)
{
	struct hsm_listing *l = b->listing;

	while (b->next < l->count && !is_wanted(b, &l->entry[b->next]))
		b->next++;
	if (b->err || b->next == l->count)
		return false;
	head->entry = &l->entry[b->next++];
	head->call.name = head->entry->name;
	head->call.want = HSM_HTTP_HEAD;
	hsm_stats_add(b->http->origin.stats, HSM_C_ORIGIN_HEADS, 1);
	hsm_http_submit_call(b->http, &head->call);
	return true;
}

/* A file that is listed but not served, or has no length, cannot be a stub: it is left out. */
static void drop(struct heads *b, struct hsm_entry *e, const char *why)
{
	if (b->asked)
		return;
	e->mode = 0;
	b->dropped++;
	hsm_log(HSM_LOG_WARN, "left out of the tree: %s", why);
}

static void learn(struct heads *b, struct head *head)
{
	const struct hsm_http_answer *a = &head->call.answer;
	struct hsm_entry *e = head->entry;

	if (a->length < 0) {
		char why[HSM_HTTP_TEXT];

		snprintf(
			why, sizeof(why), "'%s': the server does not tell its length", e->name);
		drop(b, e, why);
		return;
	}
	e->size = (uint64_t)a->length;
	e->size_exact = true;
	if (a->mtime_ns != HSM_MTIME_UNKNOWN) {
		e->mtime_ns = a->mtime_ns;
		e->mtime_exact = true;
	}
	if (!b->asked)
		return;
	e->validator = hsm_listing_keep(b->listing, a->etag);
	e->ask = !e->validator;
}

static void on_head(struct hsm_http_call *c, int err)
{
	struct head *head = c->arg;
	struct heads *b = head->batch;

	if (!err && c->answer.length < 0 && c->want == HSM_HTTP_HEAD) {
		c->want = HSM_HTTP_LENGTH;
		hsm_http_submit_call(b->http, c);
		return;
	}
	pthread_mutex_lock(&b->lock);
	if (!err) {
		learn(b, head);
	} else if (err == -ENOENT) {
		drop(b, head->entry, c->text);
	} else if (!b->err) {
		b->err = err;
		memcpy(b->text, c->text, sizeof(b->text));
	}
	if (!next_head(b, head) && !--b->running)
		pthread_cond_signal(&b->idle);
	pthread_mutex_unlock(&b->lock);
}

static void run_heads(struct heads *b, struct head *head, unsigned int n)
{
	pthread_mutex_lock(&b->lock);
	for (unsigned int i = 0; i < n; i++) {
		head[i] = (struct head){.batch = b};
		head[i].call.dir = b->dir;

		head[i].call.retries = b->http->retries;
		head[i].call.end = on_head;
		head[i].call.arg = &head[i];
		b->running += next_head(b, &head[i]);
	}
	while (b->running)
		pthread_cond_wait(&b->idle, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

static void compact(struct hsm_listing *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++)
		if (l->entry[i].mode)
			l->entry[n++] = l->entry[i];
	l->count = n;
}

static bool none_wanted(const struct heads *b)
{
	for (size_t i = 0; i < b->listing->count; i++)
		if (is_wanted(b, &b->listing->entry[i]))
			return false;
	return true;
}

static int send_heads(struct hsm_http *h, const char *dir, struct hsm_listing *l, bool asked)
{
	struct heads b = {.http = h, .dir = dir, .listing = l, .asked = asked};
	auto_free struct head *head = NULL;

	if (none_wanted(&b))
		return 0;
	head = calloc(h->connections, sizeof(*head));
	if (!head)
		return -ENOMEM;
	pthread_mutex_init(&b.lock, NULL);
	pthread_cond_init(&b.idle, NULL);
	run_heads(&b, head, h->connections);
	pthread_mutex_destroy(&b.lock);
	pthread_cond_destroy(&b.idle);
	hsm_stats_add(h->origin.stats, HSM_C_NAMES_REFUSED, b.dropped);
	l->left_out += b.dropped;
	compact(l);
	return b.err ? hsm_err(-b.err, "%s", b.text) : 0;
}

/* ---- pages ---- */

static int parse_html(
	const struct hsm_http_call *c, struct hsm_listing *l, uint64_t *ret_refused)
{
	struct hsm_http_page page;
	int err = hsm_http_page_open(c->url, &page);

	if (err)
		return err;
	err = hsm_index_html(
		c->body.text ? c->body.text : "", c->body.len, &page, l, ret_refused);
	hsm_http_page_release(&page);
	return err;
}

static int parse_page(struct hsm_http *h, const struct hsm_http_call *c, struct hsm_listing *l)
{
	uint64_t refused = 0;
	int err;

	if (!c->url)
		return -ENOMEM;
	if (!strcasecmp(c->answer.type, "application/json"))
		err = hsm_index_json(c->body.text, c->body.len, l, &refused);
	else
		err = parse_html(c, l, &refused);
	hsm_stats_add(h->origin.stats, HSM_C_NAMES_REFUSED, refused);
	if (err) {
		char text[HSM_HTTP_TEXT];

		snprintf(text, sizeof(text), "%s", hsm_err_text());
		return hsm_err(-err, "%s: %s", c->url, text);
	}
	return hsm_listing_finish(l);
}

static int get_page(
	struct hsm_http *h, const char *path, unsigned int retries, struct hsm_listing *l)
{
	struct hsm_http_call c = {.dir = path, .name = "", .slash = true, .retries = retries};
	int err;

	hsm_stats_add(h->origin.stats, HSM_C_ORIGIN_LISTS, 1);
	err = run_call(h, &c);
	if (!err)
		err = parse_page(h, &c, l);
	free(c.body.text);
	free(c.url);
	return err;
}

/* The errors a caller can tell apart; the sentence has the rest. */
static int narrow_error(int err)
{
	switch (err) {
	case 0:
	case -ENOENT:
	case -ENOTDIR:
	case -E2BIG:
	case -EACCES:
	case -ENOMEM:
	case -ECANCELED:
		return err;
	default:
		return -EIO;
	}
}

int hsm_http_list(struct hsm_origin *o, const char *path, struct hsm_listing *ret)
{
	struct hsm_http *h = hsm_container_of(o, struct hsm_http, origin);
	int err = get_page(h, path, h->retries, ret);

	hsm_filter_listing(&h->filter, path, ret);
	if (!err)
		err = send_heads(h, path, ret, false);
	return narrow_error(err);
}

int hsm_http_ask(struct hsm_origin *o, const char *path, struct hsm_listing *l)
{
	return narrow_error(
		send_heads(hsm_container_of(o, struct hsm_http, origin), path, l, true));
}

/* Is there something under the URL without its slash? */
static bool is_file(struct hsm_http *h)
{
	struct hsm_http_call c = {
		.dir = "", .name = "", .want = HSM_HTTP_HEAD, .no_slash = true};

	return !run_call(h, &c);
}

int hsm_http_probe(struct hsm_origin *o)
{
	struct hsm_http *h = hsm_container_of(o, struct hsm_http, origin);
	struct hsm_listing l = {0};
	int err = get_page(h, "", HSM_MIN(h->retries, 1U), &l);

	hsm_listing_release(&l);
	if (err == -ENOENT && is_file(h))
		return hsm_err(
			ENOTDIR, "%s is a file; give the URL of a directory", h->root.url);
	if (err == -ENOENT)
		return hsm_err(
			ENOENT, "%s: there is no such directory; check the URL", h->root.url);
	if (err == -ECONNREFUSED)
		return hsm_err(ECONNREFUSED, "%s: connection refused; is the server running?",
			h->root.url);
	return err;
}
