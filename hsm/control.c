/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket: one thread accepts, one per client runs its command. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "hsm/control.h"
#include "hsm/core.h"
#include "hsm/util.h"

#define CLIENTS_MAX   8
#define REQUEST_BYTES 8192

struct hsm_control {
	int listen_fd;
	int end_fd; /* eventfd: the threads are to end */
	pthread_t thread;
	pthread_mutex_t lock; /* .clients */
	pthread_cond_t left;
	unsigned int clients;
};

struct client {
	struct hsm *h;
	int fd;
};

struct answer {
	hsm_answer_fn fn;
	void *arg;
};

static void report_line(void *arg, const char *path, const char *text)
{
	struct answer *a = arg;
	json_t *line = json_pack(
		"{so ss}", "path", json_stringn_nocheck(path, strlen(path)), "text", text);

	if (line)
		a->fn(a->arg, line);
	json_decref(line);
}

static void last_line(struct answer *a, int code, const char *key, json_t *value)
{
	json_t *line = json_pack("{si}", "code", code);

	if (key)
		json_object_set_new(line, key, value);
	a->fn(a->arg, line);
	json_decref(line);
}

static void run_verify(struct hsm *h, const char *path, struct answer *a)
{
	struct hsm_verify_totals t = {0};
	int r = hsm_verify(h, path, report_line, a, &t);
	int code = t.mismatches	   ? HSM_EXIT_MISMATCH
		   : r || t.errors ? HSM_EXIT_FAILED
				   : HSM_EXIT_OK;

	last_line(a, code, "totals",
		json_pack("{sI sI sI sI sI sI}", "files", (json_int_t)t.files, "chunks",
			(json_int_t)t.chunks, "bytes", (json_int_t)t.bytes, "changed",
			(json_int_t)t.changed, "mismatches", (json_int_t)t.mismatches, "errors",
			(json_int_t)t.errors));
}

static void run_evict(struct hsm *h, const char *path, uint64_t to_free, struct answer *a)
{
	struct hsm_evict_totals t = {0};
	int r = to_free ? hsm_evict_to_free(h, to_free, report_line, a, &t)
			: hsm_evict_path(h, path, report_line, a, &t);
	json_t *line = json_pack("{si s{sI sI sI sI sI sI}}", "code",
		r || t.errors ? HSM_EXIT_FAILED : HSM_EXIT_OK, "totals", "files",
		(json_int_t)t.files, "bytes", (json_int_t)t.bytes, "skipped_open",
		(json_int_t)t.skipped_open, "skipped_modified", (json_int_t)t.skipped_modified,
		"skipped_local", (json_int_t)t.skipped_local, "errors", (json_int_t)t.errors);

	if (r == -EOPNOTSUPP || (r == -EBUSY && to_free) || r == -ENOSPC)
		json_object_set_new(line, "text", json_string(hsm_err_text()));
	a->fn(a->arg, line);
	json_decref(line);
}

static void run_refresh(struct hsm *h, const char *path, struct answer *a)
{
	struct hsm_refresh_totals t = {0};
	int r = hsm_refresh(h, path, report_line, a, &t);

	last_line(a, r || t.errors ? HSM_EXIT_FAILED : HSM_EXIT_OK, "totals",
		json_pack("{sI sI sI sI sI sI}", "dirs", (json_int_t)t.dirs, "added",
			(json_int_t)t.added, "removed", (json_int_t)t.removed, "replaced",
			(json_int_t)t.replaced, "conflicts", (json_int_t)t.conflicts, "errors",
			(json_int_t)t.errors));
}

void hsm_control_run(struct hsm *h, json_t *request, hsm_answer_fn fn, void *arg)
{
	const char *command = "", *path = "";
	struct answer a = {fn, arg};
	json_int_t to_free = 0;
	int data = 0, r;

	if (json_unpack(request, "{s:s, s?s, s?b, s?I}", "command", &command, "path", &path,
		    "data", &data, "to_free", &to_free) ||
		to_free < 0) {
		last_line(&a, HSM_EXIT_USAGE, "text", json_string("malformed request"));
	} else if (!strcmp(command, "status")) {
		last_line(&a, HSM_EXIT_OK, "status", hsm_status_json(h));
	} else if (!strcmp(command, "populate")) {
		r = hsm_walk_populate(h, path, data, report_line, &a);
		last_line(&a, r ? HSM_EXIT_FAILED : HSM_EXIT_OK, NULL, NULL);
	} else if (!strcmp(command, "verify")) {
		run_verify(h, path, &a);
	} else if (!strcmp(command, "evict")) {
		run_evict(h, path, (uint64_t)to_free, &a);
	} else if (!strcmp(command, "refresh")) {
		run_refresh(h, path, &a);
	} else if (!strcmp(command, "stop") && h->fe.stop) {
		last_line(&a, HSM_EXIT_OK, "pid", json_integer(getpid()));
		h->fe.stop(h->fe.ctx);
	} else {
		last_line(&a, HSM_EXIT_USAGE, "text", json_string("unknown command"));
	}
}

static void send_line(void *arg, json_t *line)
{
	int fd = *(int *)arg;
	auto_free char *text = json_dumps(line, JSON_COMPACT);
	struct iovec iov[2] = {{text, text ? strlen(text) : 0}, {(char *)"\n", 1}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	/* A client that went away is its own affair. */
	if (text)
		(void)!sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static json_t *read_request(int fd, int end_fd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = end_fd, .events = POLLIN}};
	char text[REQUEST_BYTES];
	size_t have = 0;

	while (have < sizeof(text)) {
		ssize_t n;

		if (poll(p, 2, 10000) <= 0 || p[1].revents)
			return NULL;
		n = read(fd, text + have, sizeof(text) - have);
		if (n <= 0)
			return NULL;
		have += (size_t)n;
		if (memchr(text, '\n', have))
			return json_loadb(
				text, have, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL);
	}
	return NULL;
}

static void *serve(void *arg)
{
	struct client *client = arg;
	struct hsm_control *c = client->h->control;
	json_t *request = read_request(client->fd, c->end_fd);

	if (request)
		hsm_control_run(client->h, request, send_line, &client->fd);
	json_decref(request);
	close(client->fd);
	free(client);
	pthread_mutex_lock(&c->lock);
	c->clients--;
	pthread_cond_broadcast(&c->left);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static void start_client(struct hsm *h, int fd)
{
	struct client *client = malloc(sizeof(*client));
	struct hsm_control *c = h->control;
	pthread_attr_t attr;
	pthread_t thread;
	int r = -1;

	pthread_mutex_lock(&c->lock);
	if (client && c->clients < CLIENTS_MAX) {
		*client = (struct client){h, fd};
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		r = pthread_create(&thread, &attr, serve, client);
		pthread_attr_destroy(&attr);
		c->clients += !r;
	}
	pthread_mutex_unlock(&c->lock);
	if (r) {
		free(client);
		close(fd);
	}
}

static void *accept_clients(void *arg)
{
	struct hsm *h = arg;
	struct hsm_control *c = h->control;
	struct pollfd p[2] = {
		{.fd = c->listen_fd, .events = POLLIN}, {.fd = c->end_fd, .events = POLLIN}};

	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		int fd;

		if (p[1].revents)
			break;
		fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			start_client(h, fd);
	}
	return NULL;
}

/* The socket's path may be longer than sun_path: it is named through a directory descriptor. */
static void socket_address(int meta_fd, struct sockaddr_un *ret_address)
{
	ret_address->sun_family = AF_UNIX;
	snprintf(ret_address->sun_path, sizeof(ret_address->sun_path),
		"/proc/self/fd/%d/control", meta_fd);
}

int hsm_control_open(struct hsm *h)
{
	struct hsm_control *c = calloc(1, sizeof(*c));
	struct sockaddr_un address;
	int r;

	if (!c)
		return -ENOMEM;
	h->control = c;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->left, NULL);
	c->end_fd = eventfd(0, EFD_CLOEXEC);
	c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socket_address(h->cache.meta_fd, &address);
	unlinkat(h->cache.meta_fd, "control", 0);
	if (c->end_fd < 0 || c->listen_fd < 0 ||
		bind(c->listen_fd, (struct sockaddr *)&address, sizeof(address)) ||
		fchmodat(h->cache.meta_fd, "control", 0600, 0) ||
		listen(c->listen_fd, CLIENTS_MAX))
		r = hsm_err(errno, "control socket %s/meta/control: %s", h->cache.path,
			strerror(errno));
	else
		r = -pthread_create(&c->thread, NULL, accept_clients, h);
	if (r) {
		hsm_util_close_fd(&c->listen_fd);
		hsm_util_close_fd(&c->end_fd);
		free(c);
		h->control = NULL;
	}
	return r;
}

void hsm_control_close(struct hsm *h)
{
	struct hsm_control *c = h->control;

	if (!c)
		return;
	eventfd_write(c->end_fd, 1);
	pthread_join(c->thread, NULL);
	pthread_mutex_lock(&c->lock);
	while (c->clients)
		pthread_cond_wait(&c->left, &c->lock);
	pthread_mutex_unlock(&c->lock);
	unlinkat(h->cache.meta_fd, "control", 0);
	close(c->listen_fd);
	close(c->end_fd);
	free(c);
	h->control = NULL;
}

static int connect_to(const char *cache)
{
	auto_free char *meta = NULL;
	auto_fd int meta_fd = -1, fd = -1;
	struct sockaddr_un address;

	if (asprintf(&meta, "%s/meta", cache) < 0)
		return -ENOMEM;
	meta_fd = open(meta, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (meta_fd < 0)
		return hsm_err(
			errno, "%s: %s; is this a cache directory?", meta, strerror(errno));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	socket_address(meta_fd, &address);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return hsm_err(errno, "cache %s: control socket: %s", cache, strerror(errno));
	return hsm_take_fd(fd);
}

/* 0 once the line with the code came. */
static int read_answers(FILE *in, hsm_answer_fn answer, void *arg)
{
	auto_free char *text = NULL;
	size_t room = 0;

	while (getline(&text, &room, in) > 0) {
		json_t *line = json_loads(text, JSON_ALLOW_NUL, NULL);
		bool last = json_object_get(line, "code");

		if (!line)
			return hsm_err(EPROTO, "the daemon's answer is not JSON");
		answer(arg, line);
		json_decref(line);
		if (last)
			return 0;
	}
	return hsm_err(EPROTO, "the daemon ended before it answered");
}

int hsm_control_call(const char *cache, json_t *request, hsm_answer_fn answer, void *arg)
{
	int fd = connect_to(cache), r;
	FILE *in;

	if (fd < 0)
		return fd;
	in = fdopen(fd, "r");
	if (!in) {
		close(fd);
		return -ENOMEM;
	}
	send_line(&fd, request);
	r = read_answers(in, answer, arg);
	fclose(in);
	return r;
}
