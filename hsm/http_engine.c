/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that run transfers: each has a libcurl multi handle driven by epoll, its share of the
 * connections as slots, and a queue. Requests go to the engine with the least to do. Nothing
 * here sleeps but in epoll_wait(); what has to wait is a slot with a time.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "hsm/err.h"
#include "hsm/http.h"
#include "hsm/util.h"

#define NEVER	    UINT64_MAX
#define LARGE_BYTES (4ULL << 20)
#define HELD_ROUNDS 4
#define STALL_TICKS 8 /* the stall timeout is seen with this resolution */

static uint64_t tick_length(const struct hsm_http_engine *e)
{
	return HSM_MAX(e->http->timeout_ns / STALL_TICKS, 1000000ULL);
}

/* ---- queues ---- */

static struct hsm_http_engine *least_loaded(struct hsm_http *h)
{
	struct hsm_http_engine *best = &h->engine[0];
	unsigned int least = atomic_load_explicit(&best->load, memory_order_relaxed);

	for (unsigned int i = 1; i < h->engines && least; i++) {
		struct hsm_http_engine *e = &h->engine[i];
		unsigned int load = atomic_load_explicit(&e->load, memory_order_relaxed);

		if (load < least) {
			least = load;
			best = e;
		}
	}
	return best;
}

/*
 * Parts of one large object go to one engine: they end up in one file, whose inode lock two threads
 * would only fight for. The path's address is the same as long as the file is in use.
 */
static struct hsm_http_engine *engine_for(struct hsm_http *h, const struct hsm_fetch *f)
{
	if (f->size < LARGE_BYTES)
		return least_loaded(h);
	return &h->engine[((uintptr_t)f->path >> 8) % h->engines];
}

static void wake(struct hsm_http_engine *e)
{
	const uint64_t one = 1;

	/* Can only fail if the counter is full: then the thread is awake anyway. */
	if (write(e->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* Ends the lock taken by the caller. */
static void queued(struct hsm_http_engine *e)
{
	bool asleep = e->asleep;

	e->asleep = false;
	pthread_mutex_unlock(&e->lock);
	if (asleep)
		wake(e);
}

void hsm_http_submit_fetch(struct hsm_http *h, struct hsm_fetch *f)
{
	struct hsm_http_engine *e = engine_for(h, f);

	atomic_fetch_add_explicit(&e->load, 1, memory_order_relaxed);
	f->next = NULL;
	pthread_mutex_lock(&e->lock);
	*e->fetch_tail = f;
	e->fetch_tail = &f->next;
	queued(e);
}

void hsm_http_submit_call(struct hsm_http *h, struct hsm_http_call *c)
{
	struct hsm_http_engine *e = least_loaded(h);

	atomic_fetch_add_explicit(&e->load, 1, memory_order_relaxed);
	c->next = NULL;
	pthread_mutex_lock(&e->lock);
	*e->call_tail = c;
	e->call_tail = &c->next;
	queued(e);
}

static void pop_fetch(struct hsm_http_engine *e, struct hsm_http_slot *s)
{
	s->fetch = e->fetch_head;
	e->fetch_head = s->fetch->next;
	if (!e->fetch_head)
		e->fetch_tail = &e->fetch_head;
}

static void pop_call(struct hsm_http_engine *e, struct hsm_http_slot *s)
{
	s->call = e->call_head;
	e->call_head = s->call->next;
	if (!e->call_head)
		e->call_tail = &e->call_head;
}

/* Gives the next request to @s; false if there is none. Calls and fetches take turns. */
static bool pop(struct hsm_http_engine *e, struct hsm_http_slot *s)
{
	if (!e->call_head && !e->fetch_head)
		return false;
	if (e->call_head && (e->call_next || !e->fetch_head))
		pop_call(e, s);
	else
		pop_fetch(e, s);
	e->call_next = !s->call;
	return true;
}

void hsm_http_slot_put(struct hsm_http_slot *s)
{
	struct hsm_http_engine *e = s->engine;

	s->state = HSM_SLOT_FREE;
	s->fetch = NULL;
	s->call = NULL;
	s->next = e->free;
	e->free = s;
	e->busy--;
	atomic_fetch_sub_explicit(&e->load, 1, memory_order_relaxed);
}

static void begin(struct hsm_http_engine *e, struct hsm_http_slot *s, bool cancelled)
{
	if (!e->busy++)
		e->tick_ns = hsm_now_ns() + tick_length(e);
	if (cancelled)
		hsm_http_transfer_abort(s, -ECANCELED);
	else
		hsm_http_transfer_begin(s);
}

/* Fills the free slots from the queue. Afterwards a submit wakes the thread if that would help. */
static void start_queued(struct hsm_http_engine *e)
{
	bool more = true, cancelled;

	while (e->free && more) {
		struct hsm_http_slot *s = e->free;

		pthread_mutex_lock(&e->lock);
		more = pop(e, s);
		e->asleep = !more;
		cancelled = e->cancelled;
		pthread_mutex_unlock(&e->lock);
		if (!more)
			break;
		e->free = s->next;
		s->next = NULL;
		begin(e, s, cancelled);
	}
}

/* ---- libcurl's events ---- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct hsm_http_engine *e = arg;
	struct epoll_event ev = {.data.fd = fd};

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
		curl_multi_assign(e->multi, fd, NULL);
		return 0;
	}
	ev.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (epoll_ctl(e->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev))
		return -1;
	if (!known)
		curl_multi_assign(e->multi, fd, e);
	return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct hsm_http_engine *e = arg;

	(void)multi;
	e->curl_due_ns = ms < 0 ? NEVER : ms ? hsm_now_ns() + (uint64_t)ms * 1000000 : 0;
	return 0;
}

/* Bytes do not stay behind while the thread waits for more. */
static void flush_dirty(struct hsm_http_engine *e)
{
	while (e->dirty) {
		struct hsm_http_slot *s = e->dirty;
		int err;

		e->dirty = s->next;
		s->next = NULL;
		s->dirty = false;
		err = hsm_http_flush(s);
		if (err)
			hsm_http_transfer_abort(s, err);
	}
}

static void action(struct hsm_http_engine *e, curl_socket_t fd, int events)
{
	int running;

	curl_multi_socket_action(e->multi, fd, events, &running);
	flush_dirty(e);
}

static void run_curl_timer(struct hsm_http_engine *e)
{
	if (e->curl_due_ns == NEVER || (e->curl_due_ns && e->curl_due_ns > hsm_now_ns()))
		return;
	e->curl_due_ns = NEVER;
	action(e, CURL_SOCKET_TIMEOUT, 0);
}

static void run_events(struct hsm_http_engine *e, const struct epoll_event *ev, int n)
{
	for (int i = 0; i < n; i++) {
		uint64_t count;
		int bits = 0;

		if (ev[i].data.fd == e->wake_fd) {
			/* Emptied for the next epoll_wait(); the queue tells what there is. */
			if (read(e->wake_fd, &count, sizeof(count)) < 0)
				continue;
			continue;
		}
		if (ev[i].events & (EPOLLIN | EPOLLHUP))
			bits |= CURL_CSELECT_IN;
		if (ev[i].events & EPOLLOUT)
			bits |= CURL_CSELECT_OUT;
		if (ev[i].events & EPOLLERR)
			bits |= CURL_CSELECT_ERR;
		action(e, ev[i].data.fd, bits);
	}
}

/* Returns how many there were. */
static unsigned int take_finished(struct hsm_http_engine *e)
{
	unsigned int n = 0;
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(e->multi, &left))) {
		struct hsm_http_slot *s;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&s);
		hsm_http_transfer_ended(s, code);
		n++;
	}
	if (n && !e->held && e->busy)
		e->held = 1;
	return n;
}

/* ---- time ---- */

/*
 * Counts ticks instead of comparing clocks: a thread held up in data() by a slow disk must
 * not take its own pause for the origin's.
 */
static void find_stalled(struct hsm_http_engine *e, uint64_t now)
{
	if (!e->busy || now < e->tick_ns)
		return;
	e->tick_ns = now + tick_length(e);
	for (unsigned int i = 0; i < e->slots; i++) {
		struct hsm_http_slot *s = &e->slot[i];

		if (s->state == HSM_SLOT_RUNNING && ++s->idle_ticks > STALL_TICKS)
			hsm_http_transfer_ended(s, CURLE_OPERATION_TIMEDOUT);
	}
}

static void end_backoffs(struct hsm_http_engine *e, uint64_t now)
{
	for (unsigned int i = 0; e->backoffs && i < e->slots; i++) {
		struct hsm_http_slot *s = &e->slot[i];

		if (s->state == HSM_SLOT_BACKOFF && s->wake_ns <= now) {
			e->backoffs--;
			hsm_http_transfer_resume(s);
		}
	}
}

static int wait_ms(const struct hsm_http_engine *e)
{
	uint64_t due = e->curl_due_ns, now;

	if (e->busy)
		due = HSM_MIN(due, e->tick_ns);
	for (unsigned int i = 0; e->backoffs && i < e->slots; i++)
		if (e->slot[i].state == HSM_SLOT_BACKOFF)
			due = HSM_MIN(due, e->slot[i].wake_ns);
	if (due == NEVER)
		return -1;
	now = hsm_now_ns();
	return due <= now ? 0 : (int)HSM_MIN(HSM_DIV_UP(due - now, 1000000), 1000000ULL);
}

static void abort_all(struct hsm_http_engine *e)
{
	for (unsigned int i = 0; i < e->slots; i++) {
		struct hsm_http_slot *s = &e->slot[i];

		if (s->state == HSM_SLOT_BACKOFF)
			e->backoffs--;
		if (s->state != HSM_SLOT_FREE)
			hsm_http_transfer_abort(s, -ECANCELED);
	}
}

/* False once the thread has to end: nothing runs and nothing is queued then. */
static bool obey(struct hsm_http_engine *e)
{
	bool cancelled, stop;

	pthread_mutex_lock(&e->lock);
	cancelled = e->cancelled;
	stop = e->stop;
	pthread_mutex_unlock(&e->lock);
	if (cancelled)
		abort_all(e);
	start_queued(e);
	return !stop;
}

/*
 * After the end of a transfer, what else is there already comes first: done callbacks that were put
 * off (see hsm_origin_idle()) become more for one flush. Not for long, their readers wait.
 */
static int wait_for_events(struct hsm_http_engine *e, struct epoll_event *ev, int max)
{
	int n = 0;

	if (e->held && e->held++ < HELD_ROUNDS)
		n = epoll_wait(e->epoll_fd, ev, max, 0);
	if (n > 0)
		return n;
	e->held = 0;
	hsm_origin_idle(&e->http->origin);
	return epoll_wait(e->epoll_fd, ev, max, wait_ms(e));
}

static void *engine_run(void *arg)
{
	struct hsm_http_engine *e = arg;
	struct epoll_event ev[64];

	while (obey(e)) {
		uint64_t now;
		int n;

		run_curl_timer(e);
		/* Slots that just became free are used before waiting. */
		if (take_finished(e))
			continue;
		n = wait_for_events(e, ev, HSM_ARRAY_SIZE(ev));
		run_events(e, ev, n);
		take_finished(e);
		now = hsm_now_ns();
		find_stalled(e, now);
		end_backoffs(e, now);
	}
	hsm_origin_idle(&e->http->origin);
	return NULL;
}

/* ---- life ---- */

static int engine_open_multi(struct hsm_http_engine *e)
{
	struct epoll_event ev = {.events = EPOLLIN};

	e->multi = curl_multi_init();
	e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!e->multi || e->epoll_fd < 0 || e->wake_fd < 0)
		return hsm_err(ENOMEM, "cannot set up HTTP: %s", strerror(errno));
	curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
	curl_multi_setopt(e->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(e->multi, CURLMOPT_TIMERDATA, e);
	curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, (long)e->slots);
	ev.data.fd = e->wake_fd;
	if (epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->wake_fd, &ev))
		return -errno;
	return 0;
}

static int engine_open_slots(struct hsm_http_engine *e)
{
	e->slot = calloc(e->slots, sizeof(*e->slot));
	if (!e->slot)
		return -ENOMEM;
	for (unsigned int i = 0; i < e->slots; i++) {
		int err = hsm_http_slot_init(&e->slot[i], e);

		if (err)
			return err;
		e->slot[i].next = e->free;
		e->free = &e->slot[i];
	}
	return 0;
}

static int engine_start(struct hsm_http_engine *e)
{
	int err = engine_open_multi(e);

	if (!err)
		err = engine_open_slots(e);
	if (!err)
		err = -pthread_create(&e->thread, NULL, engine_run, e);
	e->started = !err;
	return err;
}

static void engine_release(struct hsm_http_engine *e)
{
	for (unsigned int i = 0; e->slot && i < e->slots; i++)
		hsm_http_slot_release(&e->slot[i]);
	free(e->slot);
	if (e->multi)
		curl_multi_cleanup(e->multi);
	if (e->epoll_fd >= 0)
		close(e->epoll_fd);
	if (e->wake_fd >= 0)
		close(e->wake_fd);
	pthread_mutex_destroy(&e->lock);
}

static unsigned int cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned int)CPU_COUNT(&set);
}

int hsm_http_engines_start(struct hsm_http *h)
{
	unsigned int n = HSM_MIN(HSM_MIN(cpus(), h->connections), HSM_HTTP_ENGINES_MAX);
	int err = 0;

	for (unsigned int i = 0; i < n && !err; i++) {
		struct hsm_http_engine *e = &h->engine[i];

		*e = (struct hsm_http_engine){.http = h, .epoll_fd = -1, .wake_fd = -1};
		e->slots = h->connections / n + (i < h->connections % n);
		e->curl_due_ns = NEVER;
		e->fetch_tail = &e->fetch_head;
		e->call_tail = &e->call_head;
		pthread_mutex_init(&e->lock, NULL);
		h->engines++;
		err = engine_start(e);
	}
	return err;
}

static void tell(struct hsm_http *h, bool stop)
{
	for (unsigned int i = 0; i < h->engines; i++) {
		struct hsm_http_engine *e = &h->engine[i];

		pthread_mutex_lock(&e->lock);
		e->cancelled = true;
		e->stop = stop;
		pthread_mutex_unlock(&e->lock);
		if (e->started)
			wake(e);
	}
}

void hsm_http_engines_cancel(struct hsm_http *h)
{
	tell(h, false);
}

void hsm_http_engines_stop(struct hsm_http *h)
{
	tell(h, true);
	for (unsigned int i = 0; i < h->engines; i++) {
		if (h->engine[i].started)
			pthread_join(h->engine[i].thread, NULL);
		engine_release(&h->engine[i]);
	}
}
