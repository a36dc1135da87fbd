/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our own loop in place of fuse_session_loop_mt(): the same reads of /dev/fuse, but a fixed number
 * of threads that are never made and ended under load, the time each request arrived, and
 * an end that does not depend on the mount being gone. With rings these threads get what the
 * kernel does not send over a ring.
 */
#include "fuse_hsm/serve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "fuse_hsm/fs.h"
#include "fuse_hsm/uring.h"
#include "hsm/util.h"

#define WAKE_SIGNAL   SIGUSR2
#define WAKE_PAUSE_NS (5 * 1000 * 1000)

struct fuse_hsm_server {
	struct fuse_hsm_fs *fs;
	void (*ended)(void);
	_Atomic bool stopping, told;
	unsigned int threads;
	pthread_t thread[];
};

static void on_wake(int signal)
{
	(void)signal;
}

static void *serve(void *arg)
{
	struct fuse_hsm_server *s = arg;
	struct fuse_session *session = s->fs->session;
	struct fuse_buf buf = {0};
	sigset_t wake;
	int n = 0;

	pthread_setname_np(pthread_self(), "fuse-serve");
	sigemptyset(&wake);
	sigaddset(&wake, WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	while (!s->stopping) {
		n = fuse_session_receive_buf(session, &buf);
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		fuse_hsm_received_ns = hsm_now_ns();
		fuse_session_process_buf(session, &buf);
	}
	free(buf.mem);
	if (!s->stopping && !atomic_exchange(&s->told, true))
		s->ended();
	return NULL;
}

/* No SA_RESTART: read(2) must return. */
static int catch_wake(void)
{
	struct sigaction action = {.sa_handler = on_wake};

	return sigaction(WAKE_SIGNAL, &action, NULL) ? -errno : 0;
}

static int start_threads(struct fuse_hsm_server *s)
{
	int r = catch_wake();

	for (; !r && s->threads < s->fs->mode.threads; s->threads += !r)
		r = -pthread_create(&s->thread[s->threads], NULL, serve, s);
	return r ? hsm_err(-r, "cannot start a thread: %s", strerror(-r)) : 0;
}

int fuse_hsm_server_new(
	struct fuse_hsm_fs *fs, void (*ended)(void), struct fuse_hsm_server **ret_server)
{
	struct fuse_hsm_server *s =
		calloc(1, sizeof(*s) + fs->mode.threads * sizeof(s->thread[0]));
	int r;

	if (!s)
		return hsm_err(ENOMEM, "%s", strerror(ENOMEM));
	s->fs = fs;
	s->ended = ended;
	r = fuse_hsm_conn_open(fs);
	if (!r)
		r = start_threads(s);
	if (r) {
		fuse_hsm_server_stop(s);
		fuse_hsm_server_free(s);
		return r;
	}
	*ret_server = s;
	return 0;
}

/* A signal that comes just before read(2) wakes nobody, so it is repeated. */
static void end_thread(pthread_t thread)
{
	struct timespec pause = hsm_ns_to_timespec(WAKE_PAUSE_NS);

	while (pthread_tryjoin_np(thread, NULL) == EBUSY) {
		pthread_kill(thread, WAKE_SIGNAL);
		nanosleep(&pause, NULL);
	}
}

void fuse_hsm_server_stop(struct fuse_hsm_server *s)
{
	if (!s)
		return;
	s->stopping = true;
	for (; s->threads; s->threads--)
		end_thread(s->thread[s->threads - 1]);
	fuse_hsm_uring_stop(s->fs->conn.uring);
}

void fuse_hsm_server_free(struct fuse_hsm_server *s)
{
	if (!s)
		return;
	fuse_hsm_uring_free(s->fs->conn.uring);
	s->fs->conn.uring = NULL;
	free(s);
}
