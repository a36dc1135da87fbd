/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/caretaker.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "fan_hsm/deny.h"
#include "fan_hsm/recover.h"
#include "fan_hsm/status.h"
#include "fan_hsm/takeover.h"
#include "hsm/hsm.h"
#include "hsm/util.h"

#define CLIENT_NS HSM_NSEC

static int open_meta(const char *cache)
{
	auto_fd int dir = open(cache, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? -1 : openat(dir, "meta", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void open_socket(struct fan_hsm_caretaker *c)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_fd int meta = open_meta(c->cache);
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* The path may be longer than sun_path. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control", meta);
	unlinkat(meta, "control", 0);
	if (meta < 0 || fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
		fchmodat(meta, "control", 0600, 0) || listen(fd, 4)) {
		hsm_log(HSM_LOG_WARN, "control socket of %s: %s", c->cache, strerror(errno));
		return;
	}
	c->listen_fd = hsm_take_fd(fd);
}

static void close_socket(struct fan_hsm_caretaker *c, bool unlink)
{
	auto_fd int meta = open_meta(c->cache);

	if (c->listen_fd >= 0 && unlink)
		unlinkat(meta, "control", 0);
	hsm_util_close_fd(&c->listen_fd);
	c->listen_fd = -1;
}

void fan_hsm_caretaker_open(struct fan_hsm_caretaker *c, struct fan_hsm_shared *shared,
	const char *cache, int hand_over)
{
	*c = (struct fan_hsm_caretaker){
		.shared = shared, .cache = cache, .hand_over = hand_over, .listen_fd = -1};
	open_socket(c);
}

void fan_hsm_caretaker_close(struct fan_hsm_caretaker *c)
{
	close_socket(c, true);
}

/* One line in time, or NULL. */
static json_t *request(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint64_t end_ns = hsm_now_ns() + CLIENT_NS, now;
	char text[1024];
	size_t have = 0;

	while (have < sizeof(text) && (now = hsm_now_ns()) < end_ns) {
		ssize_t n;

		if (poll(&p, 1, (int)((end_ns - now) / 1000000) + 1) <= 0)
			continue;
		n = read(fd, text + have, sizeof(text) - have);
		if (n <= 0)
			return NULL;
		have += (size_t)n;
		if (memchr(text, '\n', have))
			return json_loadb(text, have, JSON_DISABLE_EOF_CHECK, NULL);
	}
	return NULL;
}

/* Takes @line. */
static void reply(int fd, json_t *line)
{
	auto_free char *text = json_dumps(line, JSON_COMPACT);

	if (text) {
		send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
		send(fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	json_decref(line);
}

static json_t *status(const struct fan_hsm_caretaker *c)
{
	json_t *o = json_pack("{ss ss ss si ss}", "program", "fan_hsm", "version", HSM_VERSION,
		"cache", c->cache, "pid", (int)getpid(), "state",
		"no worker: what is not complete is denied");

	fan_hsm_status_supervisor(c->shared, true, o);
	return json_pack("{si so}", "code", HSM_EXIT_OK, "status", o);
}

/*
 * The other side has groups and memory now and makes ready to serve. Its word ends our duty; its
 * death gives it back, with what it may have left unanswered.
 */
static enum fan_hsm_care hand_over(struct fan_hsm_caretaker *c, int client, int signal_fd)
{
	struct pollfd p[2] = {{.fd = client, .events = POLLIN}, {signal_fd, POLLIN, 0}};
	int32_t group[FAN_HSM_GROUPS_MAX], change_group = c->shared->change_group;
	char word;

	memcpy(group, c->shared->group, sizeof(group));
	if (fan_hsm_takeover_send(client, c->shared, c->hand_over))
		return FAN_HSM_CARE_NONE;
	close_socket(c, false);
	while (poll(p, 2, -1) < 0 || !(p[0].revents | p[1].revents))
		;
	if (p[1].revents)
		return FAN_HSM_CARE_SIGNAL;
	if (read(client, &word, 1) == 1)
		return FAN_HSM_CARE_HANDED;
	hsm_log(HSM_LOG_ERROR, "who took over has died: what is not complete is denied again");
	memcpy(c->shared->group, group, sizeof(group));
	c->shared->change_group = change_group;
	fan_hsm_recover_collect(c->shared);
	fan_hsm_recover_deny(c->shared, false);
	open_socket(c);
	return FAN_HSM_CARE_NONE;
}

static enum fan_hsm_care serve_client(struct fan_hsm_caretaker *c, int signal_fd)
{
	auto_fd int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	json_t *r = fd < 0 ? NULL : request(fd);
	enum fan_hsm_care care = FAN_HSM_CARE_NONE;
	const char *command = "";

	json_unpack(r, "{s:s}", "command", &command);
	if (!strcmp(command, "status")) {
		reply(fd, status(c));
	} else if (!strcmp(command, "stop")) {
		reply(fd, json_pack("{si si}", "code", HSM_EXIT_OK, "pid", (int)getpid()));
		care = FAN_HSM_CARE_STOP;
	} else if (!strcmp(command, FAN_HSM_TAKEOVER) && c->hand_over >= 0) {
		care = hand_over(c, fd, signal_fd);
	} else if (*command) {
		reply(fd, json_pack("{si ss}", "code", HSM_EXIT_FAILED, "text",
				  "fan_hsm has no worker: only status and stop"));
	}
	json_decref(r);
	return care;
}

enum fan_hsm_care fan_hsm_caretaker_wait(
	struct fan_hsm_caretaker *c, int signal_fd, int timeout_ms)
{
	struct pollfd p[FAN_HSM_GROUPS_MAX + 2] = {
		{signal_fd, POLLIN, 0}, {c->listen_fd, POLLIN, 0}};

	for (int i = 0; i < FAN_HSM_GROUPS_MAX; i++)
		p[2 + i] = (struct pollfd){c->shared->group[i], POLLIN, 0};
	if (poll(p, HSM_ARRAY_SIZE(p), timeout_ms) <= 0)
		return FAN_HSM_CARE_NONE;
	if (p[0].revents)
		return FAN_HSM_CARE_SIGNAL;
	fan_hsm_deny_queued(c->shared);
	return p[1].revents ? serve_client(c, signal_fd) : FAN_HSM_CARE_NONE;
}
