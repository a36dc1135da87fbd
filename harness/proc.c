/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "harness/err.h"
#include "harness/util.h"

#define KILL_WAIT_NS (5 * BENCH_NSEC)
#define POLL_NS	     (2 * BENCH_MSEC)
#define ROUNDS	     5 /* a process may fork while the list is read */

void bench_proc_tag(const char *session)
{
	setenv(BENCH_PROC_TAG, session, 1);
	setenv("LC_ALL", "C", 1);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

uint64_t bench_proc_cpu_ns(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (pid <= 0 || clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * BENCH_NSEC + (uint64_t)ts.tv_nsec;
}

uint64_t bench_proc_rss_bytes(pid_t pid)
{
	auto_free char *path = bench_fmt("/proc/%d/statm", pid);
	auto_free char *line = bench_file_line(path);
	unsigned long long pages = 0;

	sscanf(line, "%*u %llu", &pages);
	return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

/* The fields of /proc/PID/stat after the command name, which may hold anything. */
static bool read_stat(pid_t pid, char *ret_state, uint64_t *ret_start)
{
	auto_free char *path = bench_fmt("/proc/%d/stat", pid);
	auto_free char *line = bench_file_line(path);
	const char *p = strrchr(line, ')');
	unsigned long long start = 0;

	if (!p ||
		sscanf(p + 1,
			" %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
			"%*d %llu",
			ret_state, &start) != 2)
		return false;
	*ret_start = start;
	return true;
}

uint64_t bench_proc_start(pid_t pid)
{
	uint64_t start = 0;
	char state;

	return read_stat(pid, &state, &start) ? start : 0;
}

bool bench_proc_alive(pid_t pid)
{
	uint64_t start;
	char state;

	if (pid <= 0 || !read_stat(pid, &state, &start))
		return false;
	if (state != 'Z' && state != 'X')
		return true;
	waitpid(pid, NULL, WNOHANG);
	return false;
}

static bool wait_gone(pid_t pid, uint64_t ns)
{
	uint64_t deadline = bench_now_ns() + ns;

	while (bench_proc_alive(pid)) {
		if (bench_now_ns() > deadline)
			return false;
		bench_sleep_ns(POLL_NS);
	}
	return true;
}

int bench_proc_end(pid_t pid, uint64_t grace_ns)
{
	if (!bench_proc_alive(pid))
		return 0;
	if (grace_ns) {
		kill(pid, SIGTERM);
		if (wait_gone(pid, grace_ns))
			return 0;
	}
	kill(pid, SIGKILL);
	if (wait_gone(pid, KILL_WAIT_NS))
		return 0;
	return bench_err(ETIMEDOUT, "process %d does not end after SIGKILL", pid);
}

static bool is_tagged(pid_t pid, const char *session)
{
	auto_free char *path = bench_fmt("/proc/%d/environ", pid);
	auto_free char *want = bench_fmt("%s=%s", BENCH_PROC_TAG, session);
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	static char env[1 << 18];
	size_t used = 0;
	ssize_t n;

	while (fd >= 0 && used < sizeof(env) - 1 &&
		(n = read(fd, env + used, sizeof(env) - 1 - used)) > 0)
		used += (size_t)n;
	env[used] = '\0';
	for (size_t at = 0; at < used; at += strlen(env + at) + 1)
		if (!strcmp(env + at, want))
			return true;
	return false;
}

/* Calls @fn for every tagged process; returns how many there are. */
static unsigned int each_tagged(
	const char *session, void (*fn)(pid_t pid, void *ctx), void *ctx)
{
	DIR *proc = opendir("/proc");
	unsigned int count = 0;
	struct dirent *d;

	while (proc && (d = readdir(proc))) {
		pid_t pid = isdigit((unsigned char)d->d_name[0]) ? atoi(d->d_name) : 0;

		if (pid <= 0 || pid == getpid() || !is_tagged(pid, session) ||
			!bench_proc_alive(pid))
			continue;
		count++;
		if (fn)
			fn(pid, ctx);
	}
	if (proc)
		closedir(proc);
	return count;
}

static void send_signal(pid_t pid, void *ctx)
{
	kill(pid, *(int *)ctx);
}

static void wait_one(pid_t pid, void *ctx)
{
	uint64_t deadline = *(uint64_t *)ctx, now = bench_now_ns();

	wait_gone(pid, now < deadline ? deadline - now : 0);
}

static unsigned int signal_tagged(const char *session, int sig, uint64_t wait_ns)
{
	uint64_t deadline = bench_now_ns() + wait_ns;

	if (!each_tagged(session, send_signal, &sig))
		return 0;
	each_tagged(session, wait_one, &deadline);
	return each_tagged(session, NULL, NULL);
}

int bench_proc_end_tagged(const char *session, uint64_t grace_ns)
{
	unsigned int left = 1;

	if (grace_ns)
		left = signal_tagged(session, SIGTERM, grace_ns);
	for (int i = 0; i < ROUNDS && left; i++)
		left = signal_tagged(session, SIGKILL, KILL_WAIT_NS);
	if (!left)
		return 0;
	return bench_err(ETIMEDOUT, "%u processes of session %s do not end after SIGKILL", left,
		session);
}

static void print_file(FILE *out, const char *dir, const char *name)
{
	auto_free char *path = bench_fmt("%s/%s", dir, name);
	auto_free char *text = NULL;

	if (bench_file_read(path, &text) == 0)
		fprintf(out, "%s: %s%s", name, text,
			*text && text[strlen(text) - 1] != '\n' ? "\n" : "");
}

static void print_stacks(pid_t pid, void *ctx)
{
	auto_free char *path = bench_fmt("/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	struct dirent *d;

	while (tasks && (d = readdir(tasks))) {
		auto_free char *dir = bench_fmt("%s/%s", path, d->d_name);

		if (d->d_name[0] == '.')
			continue;
		fprintf(ctx, "== pid %d task %s\n", pid, d->d_name);
		print_file(ctx, dir, "comm");
		print_file(ctx, dir, "wchan");
		print_file(ctx, dir, "syscall");
		print_file(ctx, dir, "stack");
	}
	if (tasks)
		closedir(tasks);
}

void bench_proc_stacks(const char *path)
{
	auto_file FILE *out = fopen(path, "we");
	const char *session = getenv(BENCH_PROC_TAG);

	if (out && session)
		each_tagged(session, print_stacks, out);
}
