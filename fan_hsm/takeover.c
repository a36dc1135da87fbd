/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "hsm/util.h"

#define FDS_MAX	 (2 + FAN_HSM_GROUPS_MAX)
#define WAIT_SEC 5

union rights {
	struct cmsghdr header;
	char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int fan_hsm_takeover_send(int client, const struct fan_hsm_shared *s, int memory)
{
	static const char line[] = "{\"code\":0}\n";
	struct iovec iov = {(char *)line, sizeof(line) - 1};
	union rights rights = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &rights};
	int fds[FDS_MAX] = {memory, s->change_group}, count = 2;

	for (int i = 0; i < FAN_HSM_GROUPS_MAX && s->group[i] >= 0; i++)
		fds[count++] = s->group[i];
	msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
	rights.header.cmsg_level = SOL_SOCKET;
	rights.header.cmsg_type = SCM_RIGHTS;
	rights.header.cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(&rights.header), fds, count * sizeof(int));
	return sendmsg(client, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int call(const char *cache)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = WAIT_SEC};
	auto_fd int dir = open(cache, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const char ask[] = "{\"command\":\"" FAN_HSM_TAKEOVER "\"}\n";

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/meta/control",
		dir);
	if (dir < 0 || fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) < 0)
		return -1;
	return hsm_take_fd(fd);
}

/* A worker answers, too: that it does not know the command. Then there are no descriptors. */
static unsigned int receive(int client, int *fds)
{
	char line[256];
	struct iovec iov = {line, sizeof(line)};
	union rights rights = {0};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &rights,
		.msg_controllen = sizeof(rights)};
	struct cmsghdr *c;
	size_t bytes;

	if (recvmsg(client, &msg, MSG_CMSG_CLOEXEC) <= 0)
		return 0;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return 0;
	bytes = HSM_MIN(c->cmsg_len - CMSG_LEN(0), FDS_MAX * sizeof(int));
	memcpy(fds, CMSG_DATA(c), bytes);
	return (unsigned int)(bytes / sizeof(int));
}

void fan_hsm_takeover_setup(const struct fan_hsm *fan, char *text, size_t room)
{
	snprintf(text, room, "--marks %s --events %s", fan_hsm_marks_names[fan->own->marks],
		fan_hsm_events_names[fan->own->events]);
}

/* The service manager may have been told to leave a worker alone. Its number may be another's now. */
static bool is_alive(const struct fan_hsm_shared *s)
{
	pid_t pid = atomic_load(&s->worker);
	char path[32], comm[16] = "";
	auto_fd int fd = -1;

	if (!fan_hsm_shared_lives(pid))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, comm, sizeof(comm) - 1) > 0 && !strncmp(comm, "fan_hsm", 7);
}

int fan_hsm_takeover_adopt(struct fan_hsm *fan, const int *fds, unsigned int count)
{
	char setup[sizeof(fan->shared->setup)];
	struct fan_hsm_shared *s;
	int r;

	if (count < FDS_MAX)
		return hsm_err(EPROTO, "what is left of fan_hsm is not understood");
	r = fan_hsm_shared_map(fds[0], &s);
	if (r)
		return r;
	fan_hsm_takeover_setup(fan, setup, sizeof(setup));
	if (is_alive(s)) {
		fan_hsm_shared_release(s);
		return hsm_err(EBUSY, "the fan_hsm before still serves; end it first");
	}
	if (strcmp(setup, s->setup)) {
		r = hsm_err(EEXIST,
			"what is left of fan_hsm was started with %s: start it so, or end "
			"it with hsmctl stop first",
			s->setup);
		fan_hsm_shared_release(s);
		return r;
	}
	for (unsigned int i = 0; i < FAN_HSM_GROUPS_MAX; i++)
		s->group[i] = fds[i + 2];
	s->change_group = fds[1];
	for (unsigned int i = 1; i < count; i++)
		fcntl(fds[i], F_SETFL, 0); /* its last reader may have wanted O_NONBLOCK */
	/* Nobody lived: hsmctl may have evicted what is marked as complete. Files are asked for again. */
	if (fan->own->marks == FAN_HSM_MARKS_FS || fan->own->marks == FAN_HSM_MARKS_MOUNT)
		fanotify_mark(s->group[0], FAN_MARK_FLUSH, 0, AT_FDCWD, "/");
	else
		atomic_store(&s->marked, false); /* or marked again: their stubs need theirs */
	atomic_store(&s->lock, 0);
	fan->data_group = s->group[0];
	fan->dir_group = s->group[1];
	fan->change_group = s->change_group;
	fan->changes_by_fd = s->changes_by_fd;
	fan->shared = s;
	fan->shared_fd = fds[0];
	return 1;
}

int fan_hsm_takeover_ask(struct fan_hsm *fan, const char *cache, int *ret_client)
{
	auto_fd int client = call(cache);
	int fds[FDS_MAX], r;
	unsigned int count = client < 0 ? 0 : receive(client, fds);

	if (!count)
		return 0;
	r = fan_hsm_takeover_adopt(fan, fds, count);
	if (r > 0)
		*ret_client = hsm_take_fd(client);
	return r;
}

void fan_hsm_takeover_done(int *client)
{
	if (*client < 0)
		return;
	(void)!write(*client, "", 1);
	close(*client);
	*client = -1;
}
