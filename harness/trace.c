/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owns the tracefs instance and the thread that empties it. Each processor has a buffer of its
 * own; the thread reads trace_pipe, which merges them, while the command runs.
 */
#include "harness/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "harness/err.h"
#include "harness/mounts.h"
#include "harness/requests.h"
#include "harness/util.h"

#define BUFFERS_KIB   (64u << 10) /* of all processors together */
#define PAUSE_NS      (2 * BENCH_MSEC)
#define SETTLE_NS     (100 * BENCH_MSEC)
#define BUSY_WAIT_NS  (5 * BENCH_NSEC)
#define LINE_MAX_SIZE 1024

struct bench_trace {
	char *path; /* of the instance */
	int pipe; /* trace_pipe, -1 while stopped */
	unsigned int connection;
	uint64_t lost_before;
	struct bench_requests *requests; /* of the thread while it runs */
	pthread_t thread;
	_Atomic bool stopping;
	char line[LINE_MAX_SIZE]; /* the beginning of one that has not been read to its end */
	size_t used;
};

static int write_in(const struct bench_trace *t, const char *name, const char *text)
{
	auto_free char *path = bench_fmt("%s/%s", t->path, name);

	return bench_file_write(path, text);
}

static int mount_tracefs(struct bench_state *held, const char *path)
{
	int ret = bench_mkdirs(path);

	if (ret == 0)
		ret = bench_state_push(held, BENCH_HELD_MOUNT, path);
	if (ret == 0 &&
		mount("none", path, "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		ret = bench_err(EOPNOTSUPP, "requests cannot be traced: no tracefs: %s",
			strerror(errno));
	return ret;
}

static int make_instance(struct bench_state *held, const char *path)
{
	auto_free char *events = bench_fmt("%s/events/fuse/fuse_request_end", path);
	int ret = bench_state_push(held, BENCH_HELD_TRACE, path);

	if (ret < 0)
		return ret;
	if (mkdir(path, 0700) < 0)
		return bench_err(EOPNOTSUPP,
			"requests cannot be traced: no instance of tracefs: %s",
			strerror(errno));
	if (!bench_exists(events))
		return bench_err(EOPNOTSUPP,
			"requests cannot be traced: this kernel has no tracepoint fuse_request_end");
	return 0;
}

/* Only ever one in a process, so its number names it. */
int bench_trace_new(struct bench_state *held, const char *dir, struct bench_trace **ret_t)
{
	auto_free char *root = bench_fmt("%s/tracing", dir);
	auto_free char *size = bench_fmt(
		"%lu", BUFFERS_KIB / (unsigned long)sysconf(_SC_NPROCESSORS_CONF) + 64);
	struct bench_trace *t = bench_alloc(sizeof(*t));
	int ret;

	t->path = bench_fmt("%s/instances/hsmbench-%d", root, getpid());
	t->pipe = -1;
	ret = mount_tracefs(held, root);
	if (ret == 0)
		ret = make_instance(held, t->path);
	if (ret == 0)
		ret = write_in(t, "tracing_on", "0");
	if (ret == 0)
		ret = write_in(t, "buffer_size_kb", size);
	if (ret == 0)
		ret = write_in(t, "trace_clock", "mono");
	if (ret < 0)
		bench_trace_free(t);
	else
		*ret_t = t;
	return ret;
}

static void take_byte(struct bench_trace *t, char byte)
{
	if (byte != '\n') {
		/* No line is that long; what is cut is no event of ours. */
		t->used -= t->used == LINE_MAX_SIZE - 1;
		t->line[t->used++] = byte;
		return;
	}
	t->line[t->used] = '\0';
	t->used = 0;
	bench_requests_line(t->requests, t->line);
}

/* Once stopped, what is there is read to its end. */
static void *read_pipe(void *arg)
{
	struct bench_trace *t = arg;
	static char buf[1 << 16];

	for (;;) {
		bool last = t->stopping;
		ssize_t n = read(t->pipe, buf, sizeof(buf));

		for (ssize_t i = 0; i < n; i++)
			take_byte(t, buf[i]);
		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		if (last || (n < 0 && errno != EAGAIN))
			return NULL;
		bench_sleep_ns(PAUSE_NS);
	}
}

static uint64_t lost_events(const struct bench_trace *t)
{
	auto_free char *pattern = bench_fmt("%s/per_cpu/cpu*/stats", t->path);
	uint64_t lost = 0;
	glob_t g;

	if (glob(pattern, 0, NULL, &g))
		return 0;
	for (size_t i = 0; i < g.gl_pathc; i++) {
		auto_free char *stats = NULL;

		if (bench_file_read(g.gl_pathv[i], &stats) == 0)
			lost += bench_requests_lost(stats);
	}
	globfree(&g);
	return lost;
}

static int enable_event(const struct bench_trace *t, const char *event)
{
	auto_free char *filter = bench_fmt("events/fuse/%s/filter", event);
	auto_free char *enable = bench_fmt("events/fuse/%s/enable", event);
	auto_free char *text = bench_fmt("connection == %u", t->connection);
	int ret = write_in(t, filter, text);

	return ret < 0 ? ret : write_in(t, enable, "1");
}

/* The connection is the device number of the mount, whose major is 0. */
static int find_connection(const char *mnt, unsigned int *ret_connection)
{
	struct bench_mount m;
	bool fuse;

	if (!bench_mount_find(mnt, &m))
		return bench_err(ENOENT, "nothing to trace: nothing is mounted at %s", mnt);
	fuse = !strncmp(m.type, "fuse", 4);
	*ret_connection = m.dev_minor;
	bench_mount_release(&m);
	return fuse ? 0 : bench_err(EINVAL, "nothing to trace: %s is no FUSE mount", mnt);
}

static int open_pipe(struct bench_trace *t)
{
	auto_free char *path = bench_fmt("%s/trace_pipe", t->path);

	t->pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return t->pipe < 0 ? bench_err(errno, "cannot open %s: %s", path, strerror(errno)) : 0;
}

/* With all signals blocked: they are for the thread that waits for the command. */
static int start_thread(struct bench_trace *t)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&t->thread, NULL, read_pipe, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err ? bench_err(err, "cannot start a thread: %s", strerror(err)) : 0;
}

static void close_pipe(struct bench_trace *t)
{
	if (t->pipe >= 0)
		close(t->pipe);
	t->pipe = -1;
	bench_requests_free(t->requests);
	t->requests = NULL;
}

int bench_trace_start(struct bench_trace *t, const char *mnt)
{
	int ret = find_connection(mnt, &t->connection);

	if (ret == 0)
		ret = enable_event(t, "fuse_request_send");
	if (ret == 0)
		ret = enable_event(t, "fuse_request_end");
	if (ret == 0)
		ret = write_in(t, "trace", ""); /* empties it */
	if (ret == 0)
		ret = open_pipe(t);
	if (ret < 0)
		return ret;
	t->lost_before = lost_events(t);
	t->requests = bench_requests_new();
	t->stopping = false;
	t->used = 0;
	ret = write_in(t, "tracing_on", "1");
	if (ret == 0)
		ret = start_thread(t);
	if (ret < 0)
		close_pipe(t);
	return ret;
}

void bench_trace_stop(struct bench_trace *t, json_t *line)
{
	if (t->pipe < 0)
		return;
	bench_sleep_ns(SETTLE_NS);
	write_in(t, "tracing_on", "0");
	t->stopping = true;
	pthread_join(t->thread, NULL);
	json_object_set_new(line, "kernel_requests", bench_requests_json(t->requests));
	json_object_set_new(line, "trace",
		json_pack("{s:I, s:I, s:I}", "connection", (json_int_t)t->connection, "lost",
			(json_int_t)(lost_events(t) - t->lost_before), "unmatched",
			(json_int_t)bench_requests_unmatched(t->requests)));
	close_pipe(t);
}

void bench_trace_free(struct bench_trace *t)
{
	if (!t)
		return;
	close_pipe(t);
	free(t->path);
	free(t);
}

/* Busy as long as a killed owner's descriptor of its trace_pipe is being closed. */
int bench_trace_remove(const char *path)
{
	uint64_t deadline = bench_now_ns() + BUSY_WAIT_NS;

	while (rmdir(path) < 0 && errno != ENOENT) {
		if (errno != EBUSY || bench_now_ns() > deadline)
			return bench_err(errno, "cannot remove %s: %s", path, strerror(errno));
		bench_sleep_ns(PAUSE_NS);
	}
	return 0;
}
