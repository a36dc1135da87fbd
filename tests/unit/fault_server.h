/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_FAULT_SERVER_H
#define TESTS_FAULT_SERVER_H
/*
 * A small HTTP/1.1 server on a loopback port for tests of the client: one thread per connection;
 * what it answers, right or wrong, is a function of the test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAULT_CONNECTIONS 256

struct fault_request {
	int fd;
	bool head;
	char path[2048];
	char text[4096]; /* the whole header */
	bool ranged;
	unsigned long long first, last;
};

struct fault_server {
	int fd;
	unsigned int port;
	pthread_t thread;
	/* True keeps the connection. */
	bool (*answer)(struct fault_server *s, struct fault_request *r);
	atomic_uint connections, requests;
	pthread_mutex_t lock; /* the rest */
	int open[FAULT_CONNECTIONS];
	pthread_t worker[FAULT_CONNECTIONS];
	unsigned int workers;
	bool stop;
};

struct fault_worker {
	struct fault_server *server;
	unsigned int index;
};

static inline bool fault_write(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL);

		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

static inline bool __attribute__((format(printf, 2, 3)))
fault_print(int fd, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fault_write(fd, text, (size_t)n);
}

/* The value of a header of the request, "" if it has none. */
static inline void fault_header(
	const struct fault_request *r, const char *name, char value[256])
{
	size_t len = strlen(name);
	const char *line = r->text;

	value[0] = '\0';
	while ((line = strchr(line, '\n'))) {
		line++;
		if (!strncasecmp(line, name, len) && line[len] == ':')
			sscanf(line + len + 1, " %255[^\r\n]", value);
	}
}

static inline bool fault_read(int fd, struct fault_request *r)
{
	char value[256], method[16];
	size_t n = 0;

	memset(r, 0, sizeof(*r));
	r->fd = fd;
	while (!strstr(r->text, "\r\n\r\n")) {
		ssize_t got = n < sizeof(r->text) - 1 ? recv(fd, r->text + n, 1, 0) : 0;

		if (got <= 0)
			return false;
		n += (size_t)got;
	}
	if (sscanf(r->text, "%15s %2047s", method, r->path) != 2)
		return false;
	r->head = !strcmp(method, "HEAD");
	fault_header(r, "Range", value);
	r->ranged = sscanf(value, "bytes=%llu-%llu", &r->first, &r->last) == 2;
	return true;
}

static inline void *fault_serve(void *arg)
{
	struct fault_worker *w = arg;
	struct fault_server *s = w->server;
	int fd = s->open[w->index];
	struct fault_request *r = malloc(sizeof(*r));

	while (r && fault_read(fd, r)) {
		atomic_fetch_add(&s->requests, 1);
		if (!s->answer(s, r))
			break;
	}
	pthread_mutex_lock(&s->lock);
	close(fd);
	s->open[w->index] = -1;
	pthread_mutex_unlock(&s->lock);
	free(r);
	free(w);
	return NULL;
}

/* Lock held. */
static inline void fault_accepted(struct fault_server *s, int fd)
{
	struct fault_worker *w = malloc(sizeof(*w));
	int one = 1;

	if (!w || s->stop || s->workers == FAULT_CONNECTIONS) {
		free(w);
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*w = (struct fault_worker){s, s->workers};
	s->open[s->workers] = fd;
	if (pthread_create(&s->worker[s->workers], NULL, fault_serve, w)) {
		free(w);
		close(fd);
		return;
	}
	s->workers++;
}

static inline void *fault_accept(void *arg)
{
	struct fault_server *s = arg;
	int fd;

	while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		atomic_fetch_add(&s->connections, 1);
		pthread_mutex_lock(&s->lock);
		fault_accepted(s, fd);
		pthread_mutex_unlock(&s->lock);
	}
	return NULL;
}

static inline int fault_start(
	struct fault_server *s, bool (*answer)(struct fault_server *s, struct fault_request *r))
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);

	memset(s, 0, sizeof(*s));
	s->answer = answer;
	pthread_mutex_init(&s->lock, NULL);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, len) || listen(s->fd, 256) ||
		getsockname(s->fd, (struct sockaddr *)&a, &len))
		return -errno;
	s->port = ntohs(a.sin_port);
	return -pthread_create(&s->thread, NULL, fault_accept, s);
}

static inline void fault_stop(struct fault_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	shutdown(s->fd, SHUT_RDWR);
	for (unsigned int i = 0; i < s->workers; i++)
		if (s->open[i] >= 0)
			shutdown(s->open[i], SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	for (unsigned int i = 0; i < s->workers; i++)
		pthread_join(s->worker[i], NULL);
	close(s->fd);
	pthread_mutex_destroy(&s->lock);
}

#endif
