/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Going to the background: the command returns only once the daemon serves, with its exit code.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "hsm/hsm.h"
#include "hsm/util.h"

struct ready {
	int code;
	char text[512];
};

static int ready_fd = -1;
static bool in_background;

/* The parent: waits for the child's word and ends with it. */
static void __attribute__((noreturn)) report_and_exit(int fd, pid_t child)
{
	struct ready ready;
	ssize_t n;

	do {
		n = read(fd, &ready, sizeof(ready));
	} while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(ready)) {
		int status = 0;

		waitpid(child, &status, 0);
		fprintf(stderr, "the daemon ended before it served (%s %d)\n",
			WIFSIGNALED(status) ? "signal" : "exit code",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		_exit(HSM_EXIT_FAILED);
	}
	ready.text[sizeof(ready.text) - 1] = 0;
	if (ready.code)
		fprintf(stderr, "%s\n", ready.text);
	_exit(ready.code);
}

/* `ulimit -f` of who starts the daemon is not for the files of others: EFBIG, at worst, not the end. */
static void lift_file_size(void)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	if (getrlimit(RLIMIT_FSIZE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);
}

int hsm_daemon_start(bool foreground)
{
	int pipe_fd[2];
	pid_t child;

	lift_file_size();
	if (foreground)
		return 0;
	if (pipe2(pipe_fd, O_CLOEXEC))
		return hsm_err(errno, "pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		return hsm_err(errno, "fork: %s", strerror(errno));
	if (child) {
		close(pipe_fd[1]);
		report_and_exit(pipe_fd[0], child);
	}
	close(pipe_fd[0]);
	ready_fd = pipe_fd[1];
	in_background = true;
	setsid();
	return 0;
}

static void detach_stdio(void)
{
	auto_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (chdir("/"))
		return;
}

void hsm_daemon_ready(int code, const char *text)
{
	struct ready ready = {.code = code};

	if (!in_background) {
		if (code)
			fprintf(stderr, "%s\n", text);
		return;
	}
	if (ready_fd < 0)
		return;
	snprintf(ready.text, sizeof(ready.text), "%s", text ? text : "");
	if (write(ready_fd, &ready, sizeof(ready)) < 0)
		hsm_log(HSM_LOG_WARN, "telling the starting command failed: %s",
			strerror(errno));
	close(ready_fd);
	ready_fd = -1;
	if (!code)
		detach_stdio();
}

int hsm_daemon_ready_fd(void)
{
	return ready_fd;
}
