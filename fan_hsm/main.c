/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fan_hsm: options, the order of starting and the order of ending. Marks exist before the first
 * name does, and readers run until the core has ended every wait.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fan_hsm/answer.h"
#include "fan_hsm/dirs.h"
#include "fan_hsm/events.h"
#include "fan_hsm/group.h"
#include "fan_hsm/log.h"
#include "fan_hsm/status.h"
#include "hsm/hsm.h"
#include "hsm/util.h"

/* How long fills that somebody waits for may still take when the daemon is asked to end. */
#define GRACE_NS (2 * HSM_NSEC)
#define TICK_NS	 (10 * 1000 * 1000)

#define READERS_DEFAULT 1
#define READERS_LIMIT	32

struct own_options {
	unsigned int readers;
};

static struct fan_hsm fan;
static sem_t stop_wanted;
static _Atomic bool started; /* hsm_start() has returned */

static int set_readers(void *target, const char *value)
{
	unsigned long n;
	char *end;

	n = strtoul(value, &end, 10);
	if (end == value || *end || *value == '-' || n < 1 || n > READERS_LIMIT)
		return hsm_err(EINVAL, "--readers '%s' is not a number from 1 to %d", value,
			READERS_LIMIT);
	((struct own_options *)target)->readers = (unsigned int)n;
	return 0;
}

static int set_marks(void *target, const char *value)
{
	(void)target;
	if (strcmp(value, "fs"))
		return hsm_err(EINVAL, "--marks '%s' is not one of: fs", value);
	return 0;
}

static const struct hsm_option own_rows[] = {
	{0, "readers", "N", "threads that read file events (1)", set_readers},
	{0, "marks", "SCHEME", "what is watched: fs = the cache's file system", set_marks},
	{0},
};

/* ---- what the core tells ---- */

static void file_complete(void *ctx, int fd)
{
	fan_hsm_mark_ignore(ctx, fd);
}

static void dir_publish(void *ctx, int dirfd)
{
	fan_hsm_mark_dir(ctx, dirfd);
}

static void dir_complete(void *ctx, int dirfd)
{
	fan_hsm_unmark_dir(ctx, dirfd);
}

static void status(void *ctx, json_t *into)
{
	fan_hsm_status(ctx, into);
}

/* One way to end, also while the tree is being built. */
static void stop(void *ctx)
{
	(void)ctx;
	kill(getpid(), SIGTERM);
}

static const struct hsm_frontend frontend = {
	.name = "fan_hsm",
	.ctx = &fan,
	.file_complete = file_complete,
	.dir_publish = dir_publish,
	.dir_complete = dir_complete,
	.status = status,
	.stop = stop,
};

/* ---- ending ---- */

static void wait_for_answers(uint64_t most_ns)
{
	uint64_t end_ns = hsm_now_ns() + most_ns;

	while (fan_hsm_answers_pending(fan.answers) && hsm_now_ns() < end_ns)
		nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
}

/*
 * No process stays blocked, and none that asked before the groups close reads a hole. What waits
 * longer than the grace is denied before the core is closed: the core joins its threads,
 * and one of them may be waiting for a process that waits for us.
 */
static void end_service(void)
{
	unsigned int left;

	fan_hsm_readers_leave_core(&fan);
	wait_for_answers(GRACE_NS);
	left = fan_hsm_answers_fail_all(fan.answers, -EIO);
	if (left)
		hsm_log(HSM_LOG_WARN, "%u waiting accesses are denied (EIO): ending", left);
	hsm_close(fan.h);
	fan_hsm_readers_stop(&fan);
	fan_hsm_groups_close(&fan);
}

/*
 * The tree is still being built in hsm_start(), which cannot be interrupted. The core
 * survives the death of its process, so only the waiting readers need care.
 */
static void __attribute__((noreturn)) end_while_starting(void)
{
	fan_hsm_readers_leave_core(&fan);
	fan_hsm_answers_fail_all(fan.answers, -EIO);
	fan_hsm_readers_stop(&fan);
	hsm_daemon_ready(HSM_EXIT_INTERRUPTED, "fan_hsm: ended by a signal while starting");
	_exit(HSM_EXIT_INTERRUPTED);
}

/* ---- signals ---- */

static void log_status(void)
{
	json_t *json = hsm_status_json(fan.h);
	auto_free char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (text)
		fan_hsm_log(HSM_LOG_INFO, text);
	json_decref(json);
}

static void signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGUSR2);
	sigaddset(set, SIGPIPE);
}

static void *signal_main(void *arg)
{
	sigset_t set;
	int sig;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	do {
		if (sigwait(&set, &sig))
			sig = 0;
		if (sig == SIGUSR1)
			log_status();
	} while (sig != SIGTERM && sig != SIGINT);
	if (!atomic_load(&started))
		end_while_starting();
	sem_post(&stop_wanted);
	return NULL;
}

static int start_signals(pthread_t *ret_thread)
{
	int r = pthread_create(ret_thread, NULL, signal_main, NULL);

	return r ? hsm_err(r, "cannot start a thread: %s", strerror(r)) : 0;
}

/* Also when it was not a signal that ended the daemon. */
static void end_signals(pthread_t thread)
{
	pthread_kill(thread, SIGTERM);
	pthread_join(thread, NULL);
}

/* ---- starting ---- */

static int start_service(unsigned int readers, pthread_t *ret_signals)
{
	int r = fan_hsm_readers_start(&fan, readers);

	if (!r)
		r = fan_hsm_mark_fs(&fan, hsm_data_fd(fan.h));
	if (!r)
		r = fan_hsm_dirs_mark(&fan);
	if (!r)
		r = start_signals(ret_signals);
	if (r)
		return r;
	r = hsm_start(fan.h);
	atomic_store(&started, true);
	if (r)
		end_signals(*ret_signals);
	return r;
}

/* After a failure hsm_err_text() may be that of ending: keep the first one. */
static int fail(int code, bool opened)
{
	char text[512];

	snprintf(text, sizeof(text), "fan_hsm: %s", hsm_err_text());
	if (opened)
		end_service();
	hsm_daemon_ready(code, text);
	return code;
}

static int serve(const struct hsm_options *opt, unsigned int readers, char **argv)
{
	pthread_t signals;
	int r;

	r = hsm_open(argv[0], argv[1], opt, &frontend, &fan.h);
	if (r)
		return fail(HSM_EXIT_REQUIREMENT, false);
	fan.cache_id = hsm_cache_id(fan.h);
	r = start_service(readers, &signals);
	if (r)
		return fail(HSM_EXIT_REQUIREMENT, true);
	hsm_daemon_ready(0, NULL);
	hsm_log(HSM_LOG_INFO, "serving %s/data", argv[1]);
	while (sem_wait(&stop_wanted) && errno == EINTR)
		;
	end_signals(signals);
	end_service();
	return HSM_EXIT_OK;
}

/* What can be refused before anything is created or put into the background. */
static int prepare(const char *cache)
{
	sigset_t set;
	int r = fan_hsm_groups_open(&fan, cache);

	if (!r)
		r = fan_hsm_answers_new(&fan.answers);
	signal_set(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sem_init(&stop_wanted, 0, 0);
	return r;
}

static int usage(int code, const char *text)
{
	auto_free char *rows = code ? NULL : hsm_options_help(own_rows);

	if (code)
		fprintf(stderr, "fan_hsm: %s\n", text);
	else
		printf("usage: fan_hsm [options] ORIGIN CACHE\n"
		       "Serves ORIGIN (a directory or a URL) at CACHE/data.\n%s",
			rows ? rows : "");
	return code;
}

static int parse(
	struct hsm_options *opt, struct own_options *own, int argc, char **argv, int *ret)
{
	hsm_options_default(opt);
	opt->names = HSM_NS_AHEAD;
	*own = (struct own_options){.readers = READERS_DEFAULT};
	return hsm_options_parse(opt, own_rows, own, argc, argv, ret);
}

int main(int argc, char **argv)
{
	struct own_options own;
	struct hsm_options opt;
	int first, code;

	if (parse(&opt, &own, argc, argv, &first))
		return usage(HSM_EXIT_USAGE, hsm_err_text());
	if (opt.help)
		return usage(0, NULL);
	if (opt.version)
		return printf("fan_hsm %s\n", HSM_VERSION) < 0;
	if (argc - first != 2)
		return usage(HSM_EXIT_USAGE, "needs ORIGIN and CACHE; see --help");
	fan.opt = &opt;
	if (prepare(argv[first + 1]))
		return usage(HSM_EXIT_REQUIREMENT, hsm_err_text());
	fan_hsm_log_open(opt.foreground, opt.verbose);
	if (hsm_daemon_start(opt.foreground))
		return usage(HSM_EXIT_FAILED, hsm_err_text());
	fan.pid = getpid();
	code = serve(&opt, own.readers, argv + first);
	fan_hsm_answers_free(fan.answers);
	return code;
}
