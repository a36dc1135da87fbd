/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "harness/err.h"

static volatile sig_atomic_t arrived;
static int event_fd = -1;

static void on_signal(int sig)
{
	int saved = errno;
	uint64_t one = 1;

	(void)sig;
	arrived = arrived + 1;
	if (arrived > 2)
		_exit(BENCH_EXIT_INTERRUPTED);
	if (write(event_fd, &one, sizeof(one)) < 0)
		_exit(BENCH_EXIT_INTERRUPTED);
	errno = saved;
}

void bench_signals_install(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	if (event_fd < 0)
		event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGHUP, SIG_IGN);
}

int bench_signals_count(void)
{
	return arrived;
}

int bench_signals_fd(void)
{
	return event_fd;
}
