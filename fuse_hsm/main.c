/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuse_hsm: the HSM as a FUSE mount. This file owns the daemon's life: options, checks, the order in
 * which things start, signals, and the order in which they end.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include "fuse_hsm/fs.h"
#include "fuse_hsm/mount.h"
#include "fuse_hsm/serve.h"
#include "fuse_hsm/settings.h"
#include "hsm/util.h"

/* How long a busy mount is waited for at the end. */
#define PATIENCE_NS (3 * HSM_NSEC)

static struct fuse_hsm_fs fs;
static char *mount_path; /* absolute, owned */
static dev_t mount_dev;
static sem_t stop_wanted;
static _Atomic bool started; /* hsm_start() has returned */
static bool log_to_stderr;

/* ---- messages ---- */

static void log_line(enum hsm_log_level level, const char *text)
{
	static const int priority[] = {
		[HSM_LOG_ERROR] = LOG_ERR,
		[HSM_LOG_WARN] = LOG_WARNING,
		[HSM_LOG_INFO] = LOG_INFO,
		[HSM_LOG_DEBUG] = LOG_DEBUG,
	};

	if (log_to_stderr)
		fprintf(stderr, "fuse_hsm: %s\n", text);
	else
		syslog(priority[level], "%s", text);
}

static void open_log(const struct hsm_options *opt)
{
	log_to_stderr = opt->foreground;
	if (!opt->foreground)
		openlog("fuse_hsm", LOG_PID, LOG_DAEMON);
	hsm_log_to(log_line, (enum hsm_log_level)HSM_MIN(
				     HSM_LOG_WARN + opt->verbose, (unsigned int)HSM_LOG_DEBUG));
}

static int complain(int code, const char *text)
{
	fprintf(stderr, "fuse_hsm: %s\n", text);
	return code;
}

static void log_status(void)
{
	json_t *json = hsm_status_json(fs.hsm);
	auto_free char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (text)
		log_line(HSM_LOG_INFO, text);
	json_decref(json);
}

/* ---- what the core tells ---- */

static void want_stop(void)
{
	sem_post(&stop_wanted);
}

static void on_stop(void *ctx)
{
	(void)ctx;
	want_stop();
}

/* Its bytes go: who opens it next asks the core again. */
static int on_file_evict(void *ctx, int fd)
{
	(void)ctx;
	fuse_hsm_inode_unmark_fd(fs.inodes, fd, FUSE_HSM_I_COMPLETE);
	return 0;
}

static void on_status(void *ctx, json_t *into)
{
	fuse_hsm_fs_status(ctx, into);
}

static bool on_file_written(void *ctx, int fd)
{
	return fuse_hsm_files_written(ctx, fd);
}

static void on_name_changed(void *ctx, int dirfd, const char *name)
{
	fuse_hsm_fs_name_changed(ctx, dirfd, name);
}

static const struct hsm_frontend frontend = {
	.name = "fuse_hsm",
	.ctx = &fs,
	.file_evict = on_file_evict,
	.file_written = on_file_written,
	.name_changed = on_name_changed,
	.status = on_status,
	.stop = on_stop,
};

/* ---- signals ---- */

static void block_signals(void)
{
	static const int list[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};
	sigset_t set;

	sigemptyset(&set);
	for (size_t n = 0; n < HSM_ARRAY_SIZE(list); n++)
		sigaddset(&set, list[n]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* hsm_start() is still making the tree and cannot be told to stop; the cache survives this. */
static void __attribute__((noreturn)) end_while_starting(void)
{
	fuse_hsm_unmount(mount_path, mount_dev, 0);
	hsm_daemon_ready(HSM_EXIT_INTERRUPTED, "fuse_hsm: ended by a signal while starting");
	_exit(HSM_EXIT_INTERRUPTED);
}

static void *watch_signals(void *arg)
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
	if (!started)
		end_while_starting();
	want_stop();
	return NULL;
}

/* Also when it was not a signal that ended the daemon. */
static void end_signals(pthread_t thread)
{
	pthread_kill(thread, SIGTERM);
	pthread_join(thread, NULL);
}

/* ---- the order of things ---- */

/*
 * Requests are served until the mount is gone or given up; then the threads end, then the
 * core ends what waits, and closing the connection ends what is still in the kernel.
 */
static void end_service(struct fuse_hsm_server *server)
{
	if (fuse_hsm_unmount(mount_path, mount_dev, PATIENCE_NS))
		hsm_log(HSM_LOG_ERROR, "%s", hsm_err_text());
	fuse_hsm_server_stop(server);
	fuse_hsm_fs_leave_core(&fs);
	hsm_close(fs.hsm);
	fuse_hsm_fs_release(&fs);
	fuse_hsm_server_free(server);
}

static int start_threads(pthread_t *ret_signals, struct fuse_hsm_server **ret_server)
{
	int r = fuse_hsm_server_new(&fs, want_stop, ret_server);

	if (r)
		return r;
	r = -pthread_create(ret_signals, NULL, watch_signals, NULL);
	return r ? hsm_err(-r, "cannot start a thread: %s", strerror(-r)) : 0;
}

/* Mounted and answering before the names exist, so that nobody waits for a whole eager tree. */
static int start_service(pthread_t *ret_signals, struct fuse_hsm_server **ret_server)
{
	int r = fuse_hsm_mount(&fs, mount_path, &mount_dev);

	if (!r)
		r = start_threads(ret_signals, ret_server);
	if (r)
		return r;
	r = hsm_start(fs.hsm);
	started = true;
	if (r)
		end_signals(*ret_signals);
	return r;
}

/* The first sentence counts, not that of cleaning up. */
static int fail(struct fuse_hsm_server *server, bool opened)
{
	auto_free char *text = NULL;

	if (asprintf(&text, "fuse_hsm: %s", hsm_err_text()) < 0)
		text = NULL;
	if (opened)
		end_service(server);
	hsm_daemon_ready(HSM_EXIT_REQUIREMENT, text ? text : "fuse_hsm: out of memory");
	return HSM_EXIT_REQUIREMENT;
}

static int serve(const struct fuse_hsm_settings *s)
{
	struct fuse_hsm_server *server = NULL;
	pthread_t signals;

	if (hsm_open(s->origin, s->cache, &s->hsm, &frontend, &fs.hsm))
		return fail(NULL, false);
	if (fuse_hsm_fs_init(&fs) || start_service(&signals, &server))
		return fail(server, true);
	hsm_daemon_ready(0, NULL);
	hsm_log(HSM_LOG_INFO, "serving %s", mount_path);
	while (sem_wait(&stop_wanted) && errno == EINTR)
		;
	end_signals(signals);
	end_service(server);
	return HSM_EXIT_OK;
}

/* ---- before anything is changed ---- */

static int check_machine(void)
{
	if (geteuid())
		return hsm_err(EPERM, "mounting and opening by handle need root; run as root");
	if (access("/dev/fuse", F_OK))
		return hsm_err(ENODEV, "/dev/fuse: %s; try modprobe fuse", strerror(errno));
	return 0;
}

static int prepare(struct fuse_hsm_settings *s)
{
	if (check_machine())
		return complain(HSM_EXIT_REQUIREMENT, hsm_err_text());
	fs.attr_timeout_s = (double)s->mode.attr_timeout_ns / HSM_NSEC;
	fs.entry_timeout_s = (double)s->mode.entry_timeout_ns / HSM_NSEC;
	fs.mode = s->mode;
	fs.uring = s->uring;
	fs.pin_fds = s->pin_fds;
	fs.read_only = s->read_only;
	open_log(&s->hsm);
	if (fuse_hsm_mount_check(s->mountpoint, s->cache, &mount_path) ||
		fuse_hsm_session_new(&fs, s->cache, s->mount_options, &fs.session))
		return complain(HSM_EXIT_USAGE, hsm_err_text());
	block_signals();
	sem_init(&stop_wanted, 0, 0);
	return 0;
}

static int show(char *text)
{
	int code = text && fputs(text, stdout) >= 0 ? HSM_EXIT_OK : HSM_EXIT_FAILED;

	free(text);
	return code;
}

static int run(struct fuse_hsm_settings *s, int argc, char **argv)
{
	int code;

	if (fuse_hsm_settings_parse(s, argc, argv))
		return complain(HSM_EXIT_USAGE, hsm_err_text());
	if (s->hsm.help)
		return show(fuse_hsm_settings_help());
	if (s->hsm.version)
		return printf("fuse_hsm %s\n", HSM_VERSION) < 0;
	if (s->features)
		return show(fuse_hsm_settings_features());
	code = prepare(s);
	if (code)
		return code;
	if (hsm_daemon_start(s->hsm.foreground))
		return complain(HSM_EXIT_FAILED, hsm_err_text());
	return serve(s);
}

int main(int argc, char **argv)
{
	struct fuse_hsm_settings s;
	int code = run(&s, argc, argv);

	if (fs.session)
		fuse_hsm_session_free(fs.session);
	free(mount_path);
	fuse_hsm_settings_release(&s);
	return code;
}
