/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_HTTP_H
#define HSM_HTTP_H
/*
 * Inside the HTTP backend. origin_http.c: the vtable; http_list.c: listings, one call per page and
 * per file of unknown size; http_engine.c: threads that run transfers; http_transfer.c: one
 * transfer from request to verdict, with redirects and retries; http_body.c: what is accepted
 * as its answer.
 *
 * A request waits in the queue of an engine until a slot is free, and keeps the slot until its
 * end, also while it backs off: an origin in trouble is not asked for more.
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "hsm/http_url.h"
#include "hsm/options.h"
#include "hsm/origin.h"

#define HSM_HTTP_ENGINES_MAX 4
#define HSM_HTTP_TEXT	     512

/* What a transfer needs of an answer's header. */
struct hsm_http_answer {
	long status;
	int64_t length; /* Content-Length, -1 = none */
	int64_t mtime_ns; /* Last-Modified or HSM_MTIME_UNKNOWN */
	uint64_t first, last; /* Content-Range */
	uint64_t total;
	bool has_range; /* a well-formed Content-Range with a total */
	uint64_t retry_after_ns; /* 0 = not given */
	char etag[HSM_VALIDATOR_MAX];
	char type[64];
};

enum hsm_http_want {
	HSM_HTTP_PAGE,
	HSM_HTTP_HEAD,
	HSM_HTTP_LENGTH, /* a GET cut off after its header: Apache tells no length of 0 in a HEAD */
};

/* Anything but a fetch. Borrowed from submit until end(). */
struct hsm_http_call {
	struct hsm_http_call *next;
	const char *dir; /* raw path */
	const char *name; /* below dir, or "" */
	enum hsm_http_want want;
	bool slash; /* ends in one, as the URL of a directory */
	bool no_slash; /* the root without its own */
	unsigned int retries;
	struct hsm_http_buf body; /* out, owned by the caller */
	size_t body_max;
	struct hsm_http_answer answer; /* out */
	char *url; /* out, owned by the caller: where the answer came from */
	char text[HSM_HTTP_TEXT]; /* out: the sentence of an error */
	void (*end)(struct hsm_http_call *c, int err); /* on an engine's thread */
	void *arg;
};

enum hsm_http_state { HSM_SLOT_FREE, HSM_SLOT_RUNNING, HSM_SLOT_BACKOFF };

/* One transfer and what is kept from one to the next. Only its engine's thread touches it. */
struct hsm_http_slot {
	struct hsm_http_engine *engine;
	struct hsm_http_slot *next; /* free, or dirty: has bytes in the buffer */
	CURL *easy;
	enum hsm_http_state state;
	struct hsm_fetch *fetch; /* one of these two */
	struct hsm_http_call *call;
	struct hsm_http_buf url;
	bool foreign; /* redirected off the origin's site: no credentials, no headers */
	bool dirty;
	unsigned int redirects, tries, idle_ticks;
	uint64_t wake_ns; /* end of the backoff */

	/* This attempt. */
	struct hsm_http_answer answer;
	bool ranged; /* a Range was asked for */
	bool judged; /* the answer's header was looked at */
	bool stopped; /* all that was wanted is here, the rest is not taken */
	bool again; /* err may pass */
	int err;
	uint64_t skip; /* bytes of a whole body before those wanted */
	uint64_t refused_body; /* bytes of a body nobody wants */

	uint64_t taken; /* of the fetch: bytes accepted in order, delivered or in the buffer */
	char *buffer;
	size_t buffered;

	char range[48];
	char if_range[HSM_VALIDATOR_MAX + 16];
	struct curl_slist if_range_node;
	char error[CURL_ERROR_SIZE];
	char text[HSM_HTTP_TEXT];
};

struct hsm_http_engine {
	struct hsm_http *http;
	pthread_t thread;
	bool started;
	CURLM *multi;
	int epoll_fd, wake_fd;

	/* Only the thread. */
	struct hsm_http_slot *slot, *free, *dirty;
	unsigned int slots, busy, backoffs;
	unsigned int
		held; /* rounds since a transfer ended without a look for more to do; 0 none did */
	bool call_next; /* which queue has its turn */
	uint64_t curl_due_ns; /* libcurl's timer */
	uint64_t tick_ns; /* next look for stalled transfers */

	pthread_mutex_t lock; /* the rest; a leaf */
	struct hsm_fetch *fetch_head, **fetch_tail;
	struct hsm_http_call *call_head, **call_tail;
	bool asleep; /* needs a write to wake_fd */
	bool cancelled, stop;
	atomic_uint load; /* requests queued or in a slot; not under the lock */
};

struct hsm_http {
	struct hsm_origin origin;
	struct hsm_http_root root;
	char *user, *password, *cacert, *proxy;
	struct curl_slist *headers;
	struct hsm_filter filter; /* no size is asked for what it leaves out */
	bool insecure;
	unsigned int connections, retries;
	uint64_t timeout_ns;
	atomic_bool warned_ranges;
	unsigned int engines;
	struct hsm_http_engine engine[HSM_HTTP_ENGINES_MAX];
};

/* http_engine.c */
int hsm_http_engines_start(struct hsm_http *h);
void hsm_http_engines_cancel(struct hsm_http *h);
void hsm_http_engines_stop(struct hsm_http *h);
void hsm_http_submit_fetch(struct hsm_http *h, struct hsm_fetch *f);
void hsm_http_submit_call(struct hsm_http *h, struct hsm_http_call *c);
/* The request of @s is over: the slot is free. */
void hsm_http_slot_put(struct hsm_http_slot *s);

/* http_transfer.c; all on the engine's thread */
int hsm_http_slot_init(struct hsm_http_slot *s, struct hsm_http_engine *e);
void hsm_http_slot_release(struct hsm_http_slot *s);
/* Begins the request in s->fetch or s->call. */
void hsm_http_transfer_begin(struct hsm_http_slot *s);
/* The next try after a backoff. */
void hsm_http_transfer_resume(struct hsm_http_slot *s);
/* libcurl is done with it. */
void hsm_http_transfer_ended(struct hsm_http_slot *s, CURLcode code);
/* Ends it now, whatever its state. @err: -ECANCELED, or what data() returned. */
void hsm_http_transfer_abort(struct hsm_http_slot *s, int err);

/* http_body.c; all on the engine's thread */
void hsm_http_answer_reset(struct hsm_http_answer *a);
/* Records the verdict on this attempt, unless there is one. @again: it may pass. Returns err. */
int hsm_http_fail(struct hsm_http_slot *s, int err, bool again, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
size_t hsm_http_on_header(char *line, size_t one, size_t n, void *slot);
size_t hsm_http_on_body(char *bytes, size_t one, size_t n, void *slot);
/* Looks at the answer's header once it is complete; sets the slot's verdict. */
void hsm_http_judge(struct hsm_http_slot *s);
/* Hands the buffered bytes to data(). 0 or what it returned. */
int hsm_http_flush(struct hsm_http_slot *s);

/* http_list.c; blocking, on the caller's thread */
int hsm_http_probe(struct hsm_origin *o);
int hsm_http_list(struct hsm_origin *o, const char *path, struct hsm_listing *ret);
int hsm_http_ask(struct hsm_origin *o, const char *path, struct hsm_listing *l);

static inline bool hsm_http_is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 ||
	       status == 308;
}

#endif
