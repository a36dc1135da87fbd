/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The least a pre-content listener can do: read events in batches, answer allow, close. The
 * reference for the round trip of an event. Like every daemon it has a session of its own: with
 * autogroup scheduling a switch between sessions costs about 1 us more than one inside a session.
 *
 *   bare_listener [-i] [-t THREADS] PATH
 *
 *   -i  mark the inode, else the file system of PATH
 *   -t  how many threads read and answer (1)
 *
 * Prints "ready" once marked, and the number of events when it is ended by SIGTERM or SIGINT.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
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

static int group;
static _Atomic unsigned long total;

static void *listen_on(void *arg)
{
	char batch[16384] __attribute__((aligned(8)));

	while (!ended) {
		ssize_t n = read(group, batch, sizeof(batch));

		if (n > 0)
			total += answer_batch(group, batch, n);
		else if (errno != EINTR)
			exit(fail("read"));
	}
	return arg;
}

static int usage(void)
{
	fprintf(stderr, "usage: bare_listener [-i] [-t THREADS] PATH\n");
	return 2;
}

/* The signal comes to this thread only; the others end with the process. */
static int serve(long threads)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	for (long i = 1; i < threads; i++) {
		pthread_t thread;

		errno = pthread_create(&thread, NULL, listen_on, NULL);
		if (errno)
			return fail("pthread_create");
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	puts("ready");
	fflush(stdout);
	listen_on(NULL);
	printf("%lu events\n", total);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = end};
	unsigned int where = FAN_MARK_FILESYSTEM;
	long threads = 1;
	int c;

	while ((c = getopt(argc, argv, "it:")) != -1) {
		if (c == 'i')
			where = 0;
		else if (c != 't' || (threads = strtol(optarg, NULL, 10)) < 1)
			return usage();
	}
	if (argc != optind + 1)
		return usage();
	if (setsid() < 0)
		fprintf(stderr, "bare_listener: no session of its own, events look cheaper\n");
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	group = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_UNLIMITED_QUEUE |
				      FAN_UNLIMITED_MARKS | FAN_CLOEXEC | FAN_REPORT_FD_ERROR,
		O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME);
	if (group < 0)
		return fail("fanotify_init");
	if (fanotify_mark(group, FAN_MARK_ADD | where, FAN_PRE_ACCESS, AT_FDCWD, argv[optind]))
		return fail(argv[optind]);
	return serve(threads);
}
