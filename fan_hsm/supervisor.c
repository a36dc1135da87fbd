/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor. It shares its table of descriptors with the worker (CLONE_FILES), so the
 * descriptors of events outlive the worker, with their numbers: the next one begins again with
 * just these, and no number can come back in between and be answered by mistake. Everything else the
 * dead worker had open (sockets, the cache's lock, leases, its mount) is closed once it is reaped: then
 * no thread of it is in the kernel any more.
 */
#include "fan_hsm/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fan_hsm/caretaker.h"
#include "fan_hsm/guard.h"
#include "fan_hsm/hang.h"
#include "fan_hsm/log.h"
#include "fan_hsm/notify.h"
#include "fan_hsm/recover.h"
#include "fan_hsm/shared.h"
#include "fan_hsm/takeover.h"
#include "fan_hsm/worker.h"
#include "hsm/util.h"

#define TICK_MS 1000

/* So many deaths in so short a time: something kills each worker at once. */
#define LOOP_DEATHS 30
#define LOOP_NS	    (10 * HSM_NSEC)
#define BACKOFF_MIN HSM_NSEC
#define BACKOFF_MAX (60 * HSM_NSEC)

/* A first start is given up after so many deaths by a signal. */
#define FIRST_TRIES 3

struct supervisor {
	struct fan_hsm *fan;
	struct fan_hsm_shared *s;
	const char *origin, *cache;
	int signals; /* signalfd */
	int memory; /* the memfd */
	int takeover;
	bool told; /* hsm_daemon_ready() */
	unsigned int tries; /* starts since one served */
	uint64_t deaths[LOOP_DEATHS]; /* a ring of times */
	unsigned int death_count;
	uint64_t backoff_ns;
	uint64_t guard_ns; /* last look at it */
	struct fan_hsm_hang hang;
};

/* ---- the worker's birth ---- */

struct birth {
	struct supervisor *v;
	int code;
};

static void *worker_main(void *arg)
{
	struct birth *b = arg;

	b->code = fan_hsm_worker_run(b->v->fan, b->v->origin, b->v->cache);
	return NULL;
}

/*
 * The C library did not see the clone: it still takes this thread for the supervisor's. A fresh
 * thread is what it says it is, so all of the worker runs in one.
 */
static void __attribute__((noreturn)) worker_process(struct supervisor *v)
{
	struct birth b = {.v = v, .code = HSM_EXIT_FAILED};
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGHUP);
	fan_hsm_log_open(v->fan->opt->foreground, v->fan->opt->verbose);
	if (!pthread_create(&thread, NULL, worker_main, &b))
		pthread_join(thread, NULL);
	fflush(NULL);
	_exit(b.code);
}

/* The kernel notes the pid before the child runs: whoever looks finds it, or no child. */
static pid_t clone_sharing_files(_Atomic int32_t *ret_pid)
{
	unsigned long flags = CLONE_FILES | CLONE_PARENT_SETTID | SIGCHLD;

	return (pid_t)syscall(SYS_clone, flags, NULL, (int32_t *)ret_pid, NULL, NULL);
}

/* Each process has its own socket for syslog: the number of the other's may be reused any time. */
static int start_worker(struct supervisor *v)
{
	struct fan_hsm_shared *s = v->s;
	pid_t pid;

	atomic_store(&s->serving, false);
	atomic_store(&s->reading, false);
	atomic_store(&s->code, 0);
	v->hang = (struct fan_hsm_hang){0};
	v->tries++;
	fan_hsm_log_close();
	pid = clone_sharing_files(&s->worker);
	if (!pid)
		worker_process(v);
	fan_hsm_log_open(v->fan->opt->foreground, v->fan->opt->verbose);
	if (pid < 0)
		return hsm_err(errno, "starting a worker: %s", strerror(errno));
	return 0;
}

/* ---- the worker's death ---- */

/* True: it is reaped, *ret_status tells how it ended. Its pid is forgotten before it can come back. */
static bool reap(struct supervisor *v, int *ret_status)
{
	pid_t pid = atomic_load(&v->s->worker);
	siginfo_t info = {0};

	if (!pid || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) ||
		!info.si_pid)
		return false;
	atomic_store(&v->s->worker, 0);
	return waitpid(pid, ret_status, 0) == pid;
}

/* Closes what the dead worker had open. Returns how many events it left. */
static unsigned int clear_up(struct supervisor *v)
{
	int keep[FAN_HSM_GROUPS_MAX + 6] = {
		v->signals, v->memory, v->takeover, hsm_daemon_ready_fd(), v->s->change_group};
	unsigned int found = fan_hsm_recover_collect(v->s);

	keep[FAN_HSM_GROUPS_MAX + 5] = atomic_load(&v->s->lock);
	memcpy(keep + 5, v->s->group, sizeof(v->s->group));
	fan_hsm_log_close();
	fan_hsm_recover_sweep(v->s, keep, HSM_ARRAY_SIZE(keep));
	fan_hsm_log_open(v->fan->opt->foreground, v->fan->opt->verbose);
	return found;
}

static bool is_loop(struct supervisor *v)
{
	uint64_t now = hsm_now_ns(), *oldest = &v->deaths[v->death_count++ % LOOP_DEATHS];
	bool loop = v->death_count > LOOP_DEATHS && now - *oldest < LOOP_NS;

	*oldest = now;
	return loop;
}

static const char *how(int status, char *text, size_t room)
{
	if (WIFSIGNALED(status))
		snprintf(text, room, "signal %d", WTERMSIG(status));
	else
		snprintf(text, room, "exit code %d", WEXITSTATUS(status));
	return text;
}

/* ---- signals and time ---- */

static void worker_signal(struct supervisor *v, int sig)
{
	pid_t pid = atomic_load(&v->s->worker);

	if (pid > 0)
		kill(pid, sig);
}

static void take_signal(struct supervisor *v)
{
	struct signalfd_siginfo info;

	if (read(v->signals, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGTERM:
	case SIGINT:
		atomic_store(&v->s->ending, true);
		worker_signal(v, SIGTERM);
		break;
	case SIGUSR1:
		worker_signal(v, SIGUSR1);
		break;
	}
}

static void tell_ready(struct supervisor *v, int code)
{
	if (v->told)
		return;
	v->told = true;
	if (!code)
		fan_hsm_notify_ready();
	hsm_daemon_ready(code, v->s->text);
}

/* The worker serves: the guard before us has done its duty, ours begins. */
static void served(struct supervisor *v)
{
	v->tries = 0;
	v->backoff_ns = 0;
	if (v->told)
		return;
	fan_hsm_takeover_done(&v->takeover);
	if (v->fan->own->guard)
		fan_hsm_guard_start(v->fan, v->cache);
	tell_ready(v, 0);
}

static void look_after_guard(struct supervisor *v)
{
	if (!v->told || !v->fan->own->guard || hsm_now_ns() - v->guard_ns < HSM_NSEC)
		return;
	v->guard_ns = hsm_now_ns();
	if (!fan_hsm_guard_is_dead(v->s))
		return;
	hsm_log(HSM_LOG_WARN, "the guard died: starting another");
	fan_hsm_guard_start(v->fan, v->cache);
}

static void tick(struct supervisor *v)
{
	fan_hsm_notify_alive();
	if (atomic_load(&v->s->serving) && v->tries)
		served(v);
	look_after_guard(v);
	if (fan_hsm_hang_look(&v->hang, v->s))
		worker_signal(v, SIGKILL);
}

/* Until the worker has ended. */
static int watch(struct supervisor *v)
{
	struct pollfd p = {.fd = v->signals, .events = POLLIN};
	int status;

	while (!reap(v, &status)) {
		if (poll(&p, 1, fan_hsm_notify_tick_ms(TICK_MS)) > 0)
			take_signal(v);
		tick(v);
	}
	return status;
}

/* ---- without a worker ---- */

/* Answers events itself until the next try. */
static void be_worker(struct supervisor *v)
{
	struct fan_hsm_caretaker c;
	uint64_t end_ns;

	v->backoff_ns = v->backoff_ns ? HSM_MIN(2 * v->backoff_ns, BACKOFF_MAX) : BACKOFF_MIN;
	end_ns = hsm_now_ns() + v->backoff_ns;
	hsm_log(HSM_LOG_ERROR,
		"no worker can be started: what is not complete is denied (EIO); next try in "
		"%u s",
		(unsigned int)(v->backoff_ns / HSM_NSEC));
	fan_hsm_recover_deny(v->s, true);
	fan_hsm_caretaker_open(&c, v->s, v->cache, -1);
	while (!atomic_load(&v->s->ending) && hsm_now_ns() < end_ns) {
		switch (fan_hsm_caretaker_wait(
			&c, v->signals, fan_hsm_notify_tick_ms(TICK_MS))) {
		case FAN_HSM_CARE_SIGNAL:
			take_signal(v);
			break;
		case FAN_HSM_CARE_STOP:
			atomic_store(&v->s->ending, true);
			break;
		default:
			break;
		}
		fan_hsm_notify_alive();
	}
	fan_hsm_caretaker_close(&c);
}

/* ---- the whole ---- */

/* A start that never came to serve, not by a signal: as without a supervisor. */
static bool never_served(const struct supervisor *v, int status)
{
	if (v->told)
		return false;
	return WIFEXITED(status) || v->tries >= FIRST_TRIES;
}

static int give_up(struct supervisor *v, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : HSM_EXIT_FAILED;
	char text[64];

	if (!v->s->text[0])
		snprintf(v->s->text, sizeof(v->s->text),
			"fan_hsm: the worker ended before it served (%s)",
			how(status, text, sizeof(text)));
	tell_ready(v, code ? code : HSM_EXIT_FAILED);
	return code ? code : HSM_EXIT_FAILED;
}

/* A worker that was asked to end and died of something else: nobody is left hanging, or with zeros. */
static int end(struct supervisor *v, int status)
{
	if (!atomic_load(&v->s->ended)) {
		clear_up(v);
		fan_hsm_recover_deny(v->s, true);
		atomic_store(&v->s->ended, true);
	}
	fan_hsm_notify_stopping();
	return WIFSIGNALED(status) ? HSM_EXIT_FAILED : HSM_EXIT_OK;
}

static void mourn(struct supervisor *v, int status)
{
	unsigned int found = clear_up(v);
	char text[64];

	atomic_fetch_add(&v->s->restarts, 1);
	hsm_log(HSM_LOG_ERROR,
		"the worker died (%s), %u events are unanswered: starting another",
		how(status, text, sizeof(text)), found);
}

/* A worker that says it cannot start: its origin is away, say. */
static bool must_wait(struct supervisor *v, int status)
{
	bool loop = is_loop(v);

	if (WIFEXITED(status) && v->s->text[0])
		hsm_log(HSM_LOG_ERROR, "%s", v->s->text);
	return loop || WIFEXITED(status);
}

/* One life of a worker. */
static int life(struct supervisor *v)
{
	int status;

	v->s->text[0] = 0;
	if (start_worker(v)) {
		snprintf(v->s->text, sizeof(v->s->text), "fan_hsm: %s", hsm_err_text());
		return HSM_EXIT_FAILED << 8; /* as waitpid(2) says it */
	}
	status = watch(v);
	if (atomic_load(&v->s->serving) && v->tries)
		served(v);
	return status;
}

static int run(struct supervisor *v)
{
	int status;

	for (;;) {
		status = life(v);
		if (never_served(v, status))
			return give_up(v, status);
		if (atomic_load(&v->s->ending) || atomic_load(&v->s->ended))
			return end(v, status);
		mourn(v, status);
		if (must_wait(v, status))
			be_worker(v);
		if (atomic_load(&v->s->ending))
			return end(v, 0);
	}
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int fan_hsm_supervisor_run(
	struct fan_hsm *fan, const char *origin, const char *cache, int takeover)
{
	struct supervisor v = {.fan = fan,
		.s = fan->shared,
		.origin = origin,
		.cache = cache,
		.signals = open_signals(),
		.memory = fan->shared_fd,
		.takeover = takeover};

	atomic_store(&v.s->supervisor, getpid());
	atomic_store(&v.s->ended, false);
	if (v.signals < 0) {
		snprintf(
			v.s->text, sizeof(v.s->text), "fan_hsm: signalfd: %s", strerror(errno));
		tell_ready(&v, HSM_EXIT_FAILED);
		return HSM_EXIT_FAILED;
	}
	fan_hsm_notify_store(v.s, v.memory);
	return run(&v);
}
