/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The clock of a measured command starts when the forked child is released into exec, so that
 * the fork of the harness is not part of it, and stops when its pidfd says that it has
 * exited.
 */
#include "harness/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "harness/err.h"
#include "harness/proc.h"
#include "harness/signals.h"
#include "harness/util.h"

#define KILL_WAIT_NS (5 * BENCH_NSEC)
#define PIPE_BYTES   (1 << 20)

struct child {
	pid_t pid;
	int pidfd;
	int out; /* read end of stdout */
	int go; /* a byte releases the child */
	int out_file; /* where stdout is kept, -1 = nowhere */
	size_t kept;
};

static int open_append(const char *path)
{
	return open(path ? path : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static void child_main(const struct bench_exec *e, int go, int out) __attribute__((noreturn));

static void child_main(const struct bench_exec *e, int go, int out)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int err = e->merge ? out : open_append(e->err_path);
	char byte;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGHUP, SIG_DFL);
	if (in < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(126);
	if (e->cwd && chdir(e->cwd) < 0)
		_exit(126);
	if (read(go, &byte, 1) != 1)
		_exit(126); /* the harness died */
	execl("/bin/sh", "sh", "-c", e->shell, (char *)NULL);
	_exit(127);
}

static void close_child(struct child *c)
{
	if (c->pidfd >= 0)
		close(c->pidfd);
	if (c->out >= 0)
		close(c->out);
	if (c->go >= 0)
		close(c->go);
	if (c->out_file >= 0)
		close(c->out_file);
}

static int spawn(const struct bench_exec *e, struct child *c)
{
	int go[2] = {-1, -1}, out[2] = {-1, -1};

	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		goto fail;
	fcntl(out[0], F_SETPIPE_SZ, PIPE_BYTES);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	c->pid = fork();
	if (c->pid < 0)
		goto fail;
	if (c->pid == 0) {
		close(go[1]);
		child_main(e, go[0], out[1]);
	}
	setpgid(c->pid, c->pid); /* both sides, so that neither can be early */
	close(go[0]);
	close(out[1]);
	c->go = go[1];
	c->out = out[0];
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	return 0;
fail:
	for (int i = 0; i < 2; i++) {
		bench_util_close_fd(&go[i]);
		bench_util_close_fd(&out[i]);
	}
	return bench_err(errno, "cannot start '%s': %s", e->shell, strerror(errno));
}

static void keep(const struct bench_exec *e, struct child *c, const char *bytes, size_t n)
{
	size_t room = (e->out_max_bytes ? e->out_max_bytes : BENCH_OUT_MAX_BYTES) - c->kept;

	if (c->out_file < 0 || !room)
		return;
	n = n < room ? n : room;
	if (write(c->out_file, bytes, n) > 0)
		c->kept += n;
}

/* Takes what the pipe holds; closes it at its end. */
static void drain(struct bench_exec *e, struct child *c)
{
	static char buf[PIPE_BYTES];
	ssize_t n;

	while ((n = read(c->out, buf, sizeof(buf))) > 0) {
		if (!e->first_byte_ns)
			e->first_byte_ns = bench_now_ns();
		e->out_bytes += (size_t)n;
		keep(e, c, buf, (size_t)n);
	}
	if (n == 0) {
		close(c->out);
		c->out = -1;
	}
}

/* True once the child has exited. Returns early (false) on the time limit or an interrupt. */
static bool watch(struct bench_exec *e, struct child *c)
{
	uint64_t deadline = e->start_ns + e->timeout_ns;

	for (;;) {
		uint64_t now = bench_now_ns();
		struct pollfd fds[3] = {
			{.fd = c->pidfd, .events = POLLIN},
			{.fd = c->out, .events = POLLIN},
			{.fd = e->unstoppable ? -1 : bench_signals_fd(), .events = POLLIN},
		};
		int ms = now < deadline ? (int)((deadline - now) / BENCH_MSEC) + 1 : 0;

		if (poll(fds, 3, ms) < 0 && errno != EINTR)
			return false;
		if (fds[0].revents) {
			e->end_ns = bench_now_ns();
			return true;
		}
		if (fds[1].revents && c->out >= 0)
			drain(e, c);
		e->interrupted =
			fds[2].revents || (e->unstoppable && bench_signals_count() > 1);
		e->timed_out = bench_now_ns() >= deadline;
		if (e->interrupted || e->timed_out)
			return false;
	}
}

bool bench_exec_wait_pidfd(int pidfd, uint64_t ns)
{
	uint64_t deadline = bench_now_ns() + ns;
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};
	uint64_t now;

	while ((now = bench_now_ns()) < deadline)
		if (poll(&fd, 1, (int)((deadline - now) / BENCH_MSEC) + 1) > 0)
			return true;
	return false;
}

static uint64_t timeval_ns(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * BENCH_NSEC + (uint64_t)tv.tv_usec * 1000;
}

static void reap(struct bench_exec *e, struct child *c)
{
	struct rusage ru = {0};
	int status = 0;

	if (wait4(c->pid, &status, 0, &ru) < 0)
		return;
	e->code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	e->user_ns = timeval_ns(ru.ru_utime);
	e->sys_ns = timeval_ns(ru.ru_stime);
}

/* Ends a child that did not end by itself. */
static int end_child(struct bench_exec *e, struct child *c)
{
	if (e->timed_out && e->stacks_path)
		bench_proc_stacks(e->stacks_path);
	kill(-c->pid, SIGKILL);
	if (bench_exec_wait_pidfd(c->pidfd, KILL_WAIT_NS)) {
		e->end_ns = bench_now_ns();
		return 0;
	}
	e->stuck = true;
	return bench_err(
		ETIMEDOUT, "'%s' (pid %d) does not end after SIGKILL", e->shell, c->pid);
}

static int release(struct bench_exec *e, struct child *c)
{
	e->start_wall_ns = bench_wall_ns();
	e->start_ns = bench_now_ns();
	if (write(c->go, "", 1) == 1)
		return 0;
	return bench_err(errno, "cannot start '%s': %s", e->shell, strerror(errno));
}

static int run_child(struct bench_exec *e, struct child *c)
{
	int ret = spawn(e, c);

	if (ret < 0)
		return ret;
	e->pgid = c->pid;
	ret = release(e, c);
	if (ret < 0 || !watch(e, c))
		ret = end_child(e, c);
	if (e->stuck)
		return ret;
	/*
	 * A daemon the command has started left the group; what is still in it is a leftover.
	 * Before reaping, because then the number of the group may be taken by somebody else.
	 */
	kill(-c->pid, SIGKILL);
	if (c->out >= 0)
		drain(e, c);
	reap(e, c);
	return ret;
}

int bench_exec_run(struct bench_exec *e)
{
	struct child c = {.pidfd = -1, .out = -1, .go = -1, .out_file = -1};
	int ret;

	e->first_byte_ns = e->out_bytes = e->user_ns = e->sys_ns = 0;
	e->timed_out = e->interrupted = e->stuck = false;
	if (e->out_path)
		c.out_file = open_append(e->out_path);
	ret = run_child(e, &c);
	close_child(&c);
	return ret;
}

static char *slurp(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = bench_alloc((size_t)size + 1);

	if (size <= 0 || pread(fd, text, (size_t)size, 0) < 0)
		text[0] = '\0';
	return text;
}

int bench_exec_output(const char *shell, uint64_t timeout_ns, char **ret_out)
{
	auto_fd int fd = memfd_create("hsmbench-output", MFD_CLOEXEC);
	auto_free char *path = bench_fmt("/proc/self/fd/%d", fd);
	struct bench_exec e = {
		.shell = shell,
		.out_path = path,
		.merge = true,
		.timeout_ns = timeout_ns,
		.unstoppable = true,
	};
	int ret;

	if (fd < 0)
		return bench_err(errno, "memfd_create: %s", strerror(errno));
	ret = bench_exec_run(&e);
	if (ret < 0)
		return ret;
	if (e.timed_out)
		return bench_err(ETIMEDOUT, "'%s' did not end in %llu s", shell,
			(unsigned long long)(timeout_ns / BENCH_NSEC));
	*ret_out = slurp(fd);
	return e.code;
}
