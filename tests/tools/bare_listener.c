/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The least a pre-content listener can do: read events in batches, answer allow, close. The
 * reference for the round trip of an event. Like every daemon it has a session of its own: with
 * autogroup scheduling a switch between sessions costs about 1 us more than one inside a session.
 *
 *   bare_listener [-i] PATH     -i: mark the inode, else the file system of PATH
 *
 * Prints "ready" once marked, and the number of events when it is ended by SIGTERM or SIGINT.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fan_hsm/fanotify_compat.h"

static volatile sig_atomic_t ended;

static void end(int sig)
{
	(void)sig;
	ended = 1;
}

static int fail(const char *what)
{
	fprintf(stderr, "bare_listener: %s: %s\n", what, strerror(errno));
	return 3;
}

static unsigned long answer_batch(int group, const char *batch, ssize_t bytes)
{
	const struct fanotify_event_metadata *m = (const void *)batch;
	unsigned long count = 0;

	for (; FAN_EVENT_OK(m, bytes); m = FAN_EVENT_NEXT(m, bytes)) {
		struct fanotify_response r = {.fd = m->fd, .response = FAN_ALLOW};

		if (m->fd < 0)
			continue;
		if (write(group, &r, sizeof(r)) < 0)
			perror("bare_listener: answer");
		close(m->fd);
		count++;
	}
	return count;
}

int main(int argc, char **argv)
{
	bool inode = argc > 1 && !strcmp(argv[1], "-i");
	char batch[16384] __attribute__((aligned(8)));
	struct sigaction act = {.sa_handler = end};
	unsigned long count = 0;
	int group;

	if (argc != 2 + inode) {
		fprintf(stderr, "usage: bare_listener [-i] PATH\n");
		return 2;
	}
	if (setsid() < 0)
		fprintf(stderr, "bare_listener: no session of its own, events look cheaper\n");
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	group = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_UNLIMITED_QUEUE |
				      FAN_UNLIMITED_MARKS | FAN_CLOEXEC | FAN_REPORT_FD_ERROR,
		O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME);
	if (group < 0)
		return fail("fanotify_init");
	if (fanotify_mark(group, FAN_MARK_ADD | (inode ? 0 : FAN_MARK_FILESYSTEM),
		    FAN_PRE_ACCESS, AT_FDCWD, argv[1 + inode]))
		return fail(argv[1 + inode]);
	puts("ready");
	fflush(stdout);
	while (!ended) {
		ssize_t n = read(group, batch, sizeof(batch));

		if (n > 0)
			count += answer_batch(group, batch, n);
		else if (errno != EINTR)
			return fail("read");
	}
	printf("%lu events\n", count);
	return 0;
}
