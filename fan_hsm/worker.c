/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that serves: what the core tells, signals, the order of starting and of ending.
 * Marks exist before the first name does, and readers run until the core has ended every wait.
 */
#include "fan_hsm/worker.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fan_hsm/answer.h"
#include "fan_hsm/changes.h"
#include "fan_hsm/exposed.h"
#include "fan_hsm/group.h"
#include "fan_hsm/log.h"
#include "fan_hsm/marks.h"
#include "fan_hsm/outbox.h"
#include "fan_hsm/readers.h"
#include "fan_hsm/status.h"
#include "hsm/util.h"

/* How long fills that somebody waits for may still take when the daemon is asked to end. */
#define GRACE_NS (2 * HSM_NSEC)
#define TICK_NS	 (10 * 1000 * 1000)

/* In CACHE/meta while a daemon serves. An empty file: making and removing it raises no event. */
#define SERVING "meta/serving"

static sem_t stop_wanted;
static _Atomic bool started; /* hsm_start() has returned */
static _Atomic bool joining; /* the thread for signals is to end, it is no request to stop */

/* ---- what the core tells ---- */

static int file_settle(void *ctx, int fd)
{
	return fan_hsm_changes_settle(ctx, fd);
}

static void flush(void *ctx)
{
	(void)ctx;
	fan_hsm_outbox_flush();
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

static const struct hsm_frontend callbacks = {
	.name = "fan_hsm",
	.file_complete = fan_hsm_marks_file_complete,
	.file_publish = fan_hsm_marks_file_publish,
	.dir_publish = fan_hsm_marks_dir_publish,
	.dir_complete = fan_hsm_marks_dir_complete,
	.file_arm = fan_hsm_marks_file_arm,
	.file_evict = fan_hsm_marks_file_evict,
	.file_settle = file_settle,
	.name_changed = fan_hsm_marks_name_changed,
	.flush = flush,
	.status = status,
	.stop = stop,
};

/* ---- the supervisor ---- */

bool fan_hsm_worker_is_orphan(const struct fan_hsm *fan)
{
	return fan->own->supervise && getppid() != atomic_load(&fan->shared->supervisor);
}

/* How the start went. */
static void report(struct fan_hsm *fan, int code, const char *text)
{
	struct fan_hsm_shared *s = fan->shared;

	if (!fan->own->supervise) {
		hsm_daemon_ready(code, text);
		return;
	}
	snprintf(s->text, sizeof(s->text), "%s", text ? text : "");
	atomic_store(&s->code, code);
	atomic_store(&s->serving, !code);
	if (!fan_hsm_worker_is_orphan(fan))
		kill(atomic_load(&s->supervisor), SIGUSR2);
}

/* ---- ending ---- */

static void wait_for_answers(struct fan_hsm *fan, uint64_t most_ns)
{
	uint64_t end_ns = hsm_now_ns() + most_ns;

	while (fan_hsm_answers_pending(fan->answers) && hsm_now_ns() < end_ns)
		nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
}

/*
 * No process stays blocked, and none that asked before the groups close reads a hole. What waits
 * longer than the grace is denied before the core is closed: the core joins its threads,
 * and one of them may be waiting for a process that waits for us. A supervisor closes the groups
 * itself, by ending: it shares our descriptors.
 */
static void end_service(struct fan_hsm *fan)
{
	unsigned int left;

	fan_hsm_readers_leave_core(fan);
	wait_for_answers(fan, GRACE_NS);
	left = fan_hsm_answers_fail_all(fan->answers, -EIO);
	if (left)
		hsm_log(HSM_LOG_WARN, "%u waiting accesses are denied (EIO): ending", left);
	unlinkat(hsm_mount_fd(fan->h), SERVING, 0);
	fan_hsm_changes_stop(fan);
	fan_hsm_marks_stop(fan);
	hsm_close(fan->h);
	fan_hsm_changes_free(fan);
	atomic_store(&fan->shared->reading, false);
	fan_hsm_readers_stop(fan);
	atomic_store(&fan->shared->ended, true);
	if (!fan->own->supervise)
		fan_hsm_groups_close(fan);
}

/*
 * The tree is still being built in hsm_start(), which cannot be interrupted. The core
 * survives the death of its process, so only the waiting readers need care.
 */
static void __attribute__((noreturn)) end_while_starting(struct fan_hsm *fan)
{
	fan_hsm_readers_leave_core(fan);
	fan_hsm_answers_fail_all(fan->answers, -EIO);
	fan_hsm_readers_stop(fan);
	report(fan, HSM_EXIT_INTERRUPTED, "fan_hsm: ended by a signal while starting");
	_exit(HSM_EXIT_INTERRUPTED);
}

/* ---- signals ---- */

static void log_status(struct fan_hsm *fan)
{
	json_t *json = hsm_status_json(fan->h);
	auto_free char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (text)
		fan_hsm_log(HSM_LOG_INFO, text);
	json_decref(json);
}

void fan_hsm_worker_block_signals(void)
{
	static const int blocked[] = {
		SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGCHLD};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < HSM_ARRAY_SIZE(blocked); i++)
		sigaddset(&set, blocked[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* SIGHUP is what the kernel sends when the supervisor dies; a terminal sends it, too. */
static void hangup(struct fan_hsm *fan)
{
	if (fan_hsm_worker_is_orphan(fan))
		hsm_log(HSM_LOG_ERROR, "the supervisor is dead: serving goes on, but the next "
				       "death will not be repaired; restart fan_hsm soon");
}

static void *signal_main(void *arg)
{
	struct fan_hsm *fan = arg;
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGHUP);
	do {
		if (sigwait(&set, &sig))
			sig = 0;
		if (sig == SIGUSR1 && atomic_load(&started))
			log_status(fan);
		if (sig == SIGHUP)
			hangup(fan);
	} while (sig != SIGTERM && sig != SIGINT);
	if (atomic_load(&joining))
		return NULL;
	atomic_store(&fan->shared->ending, true);
	if (!atomic_load(&started))
		end_while_starting(fan);
	sem_post(&stop_wanted);
	return NULL;
}

static int start_signals(struct fan_hsm *fan, pthread_t *ret_thread)
{
	int r = pthread_create(ret_thread, NULL, signal_main, fan);

	return r ? hsm_err(r, "cannot start a thread: %s", strerror(r)) : 0;
}

/* Also when it was not a signal that ended the daemon. */
static void end_signals(pthread_t thread)
{
	atomic_store(&joining, true);
	pthread_kill(thread, SIGTERM);
	pthread_join(thread, NULL);
}

/* ---- starting ---- */

/* One that was not ended in order has left its note. */
static void note_serving(struct fan_hsm *fan)
{
	int fd = openat(
		hsm_mount_fd(fan->h), SERVING, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST && !atomic_load(&fan->shared->marked))
		hsm_log(HSM_LOG_WARN, "the last fan_hsm here was not ended in order: what was "
				      "read between its end and now may have been zeros");
	hsm_util_close_fd(&fd);
}

/*
 * The cache stays locked while there is no worker: hsmctl would take it for idle and evict, but
 * the marks are in force. The supervisor keeps this descriptor.
 */
static void keep_lock(struct fan_hsm *fan)
{
	int fd;

	if (!fan->own->supervise || atomic_load(&fan->shared->lock) > 0)
		return;
	fd = fcntl(hsm_lock_fd(fan->h), F_DUPFD_CLOEXEC, 3);
	if (fd >= 0)
		atomic_store(&fan->shared->lock, fd);
}

/* Marks that are in the groups already, since these outlived a worker, are not made again. */
static int mark(struct fan_hsm *fan, const char *cache)
{
	int r;

	fan->marks_kept = atomic_load(&fan->shared->marked);
	r = fan_hsm_changes_start(fan, cache);
	if (!r)
		r = fan_hsm_marks_start(fan, cache);
	if (r)
		return r;
	fan_hsm_readers_serve(fan);
	return fan_hsm_marks_walk(fan);
}

static int start_service(struct fan_hsm *fan, const char *cache, pthread_t *ret_signals)
{
	bool again = atomic_load(&fan->shared->marked);
	int r = mark(fan, cache);

	if (!r)
		r = start_signals(fan, ret_signals);
	if (r)
		return r;
	r = again ? 0 : fan_hsm_exposed_repair(fan);
	if (!r)
		r = hsm_start(fan->h);
	atomic_store(&started, true);
	if (r)
		end_signals(*ret_signals);
	else
		atomic_store(&fan->shared->marked, true);
	return r;
}

/*
 * After a failure hsm_err_text() may be that of ending: keep the first one. With a supervisor
 * whose groups are in use already what waits is left to it.
 */
static int fail(struct fan_hsm *fan, int code, bool opened)
{
	char text[512];

	snprintf(text, sizeof(text), "fan_hsm: %s", hsm_err_text());
	if (!atomic_load(&fan->shared->marked)) {
		if (opened)
			end_service(fan);
		else
			fan_hsm_readers_stop(fan);
	}
	report(fan, code, text);
	return code;
}

static int serve(struct fan_hsm *fan, const char *cache)
{
	pthread_t signals;
	int r = start_service(fan, cache, &signals);

	if (r)
		return fail(fan, HSM_EXIT_REQUIREMENT, true);
	report(fan, 0, NULL);
	hsm_log(HSM_LOG_INFO, "serving %s/data", cache);
	while (sem_wait(&stop_wanted) && errno == EINTR)
		;
	end_signals(signals);
	end_service(fan);
	return HSM_EXIT_OK;
}

int fan_hsm_worker_run(struct fan_hsm *fan, const char *origin, const char *cache)
{
	struct hsm_frontend frontend = callbacks;
	int r;

	frontend.ctx = fan;
	frontend.lock_fd = atomic_load(&fan->shared->lock);
	fan->pid = getpid();
	sem_init(&stop_wanted, 0, 0);
	atomic_store(&fan->phase, FAN_HSM_STARTING);
	fan->cache_id = fan->shared->cache_id;
	r = fan_hsm_answers_new(fan->shared, &fan->answers);
	if (!r)
		r = fan_hsm_readers_start(fan, fan->own->readers);
	if (!r)
		r = hsm_open(origin, cache, fan->opt, &frontend, &fan->h);
	if (r)
		return fail(fan, HSM_EXIT_REQUIREMENT, false);
	fan->cache_id = fan->shared->cache_id = hsm_cache_id(fan->h);
	keep_lock(fan);
	note_serving(fan);
	r = serve(fan, cache);
	fan_hsm_answers_free(fan->answers);
	return r;
}
