/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/guard.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "fan_hsm/caretaker.h"
#include "fan_hsm/log.h"
#include "fan_hsm/recover.h"
#include "fan_hsm/shared.h"
#include "hsm/util.h"

/* The events of a dead worker are in the shared memory only; all else it had open is not ours. */
static void close_others(const struct fan_hsm *fan)
{
	int keep[FAN_HSM_GROUPS_MAX + 2] = {fan->shared_fd, fan->shared->change_group};

	memcpy(keep + 2, fan->shared->group, sizeof(fan->shared->group));
	fan_hsm_recover_sweep(NULL, keep, HSM_ARRAY_SIZE(keep));
}

static void __attribute__((noreturn)) leave(const char *why)
{
	hsm_log(HSM_LOG_INFO, "guard: %s", why);
	_exit(0);
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

/* Until it and all its threads are gone. @parent: who it was when we were born, 0 = no matter. */
static void outlive(pid_t pid, pid_t parent, int signals)
{
	auto_fd int fd = pid > 0 ? pidfd_open(pid, 0) : -1;
	struct pollfd p[2] = {{fd, POLLIN, 0}, {signals, POLLIN, 0}};

	if (fd < 0 || (parent && getppid() != parent))
		return;
	while (!p[0].revents) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents)
			leave("ended by a signal");
	}
}

static void __attribute__((noreturn))
watch_over(struct fan_hsm *fan, const char *cache, int signals)
{
	struct fan_hsm_caretaker c;
	unsigned int left;

	fan_hsm_recover_collect(fan->shared);
	left = fan_hsm_recover_deny(fan->shared, false);
	hsm_log(HSM_LOG_ERROR,
		"supervisor and worker are dead, %u waiting accesses are denied: what is not "
		"complete is denied (EIO) until fan_hsm is started again",
		left);
	fan_hsm_caretaker_open(&c, fan->shared, cache, fan->shared_fd);
	for (;;) {
		switch (fan_hsm_caretaker_wait(&c, signals, -1)) {
		case FAN_HSM_CARE_HANDED:
			leave("a new fan_hsm serves");
		case FAN_HSM_CARE_SIGNAL:
		case FAN_HSM_CARE_STOP:
			fan_hsm_caretaker_close(&c);
			leave("asked to end");
		default:
			break;
		}
	}
}

static void __attribute__((noreturn))
guard(struct fan_hsm *fan, const char *cache, pid_t parent)
{
	struct fan_hsm_shared *s = fan->shared;
	int signals;

	close_others(fan);
	fan_hsm_log_open(fan->opt->foreground, fan->opt->verbose);
	signals = open_signals();
	outlive(parent, parent, signals);
	outlive(atomic_load(&s->worker), 0, signals);
	if (atomic_load(&s->ended) || atomic_load(&s->guard) != getpid())
		leave("no longer needed");
	watch_over(fan, cache, signals);
}

void fan_hsm_guard_start(struct fan_hsm *fan, const char *cache)
{
	pid_t parent = getpid(), pid;

	fan_hsm_log_close();
	pid = fork();
	if (!pid) {
		atomic_store(&fan->shared->guard, getpid());
		guard(fan, cache, parent);
	}
	fan_hsm_log_open(fan->opt->foreground, fan->opt->verbose);
	if (pid < 0)
		hsm_log(HSM_LOG_ERROR, "no guard: fork: %s", strerror(errno));
	else
		atomic_store(&fan->shared->guard, pid);
}

bool fan_hsm_guard_is_dead(struct fan_hsm_shared *s)
{
	pid_t pid = atomic_load(&s->guard);

	return pid <= 0 || waitpid(pid, NULL, WNOHANG);
}
