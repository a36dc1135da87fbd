/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "harness/err.h"
#include "harness/util.h"

#define HEADER "hsmbench-state 1 "

struct held {
	char *kind, *value;
};

struct bench_state {
	int fd;
	char *path, *session;
	struct held *held;
	size_t count;
};

char *bench_state_dir(void)
{
	const char *dir = getenv("HSMBENCH_RUN");

	return bench_strdup(dir && *dir ? dir : "/run/hsmbench");
}

static void keep(struct bench_state *s, const char *kind, const char *value)
{
	s->held = bench_realloc(s->held, (s->count + 1) * sizeof(*s->held));
	s->held[s->count++] = (struct held){bench_strdup(kind), bench_strdup(value)};
}

static void drop(struct bench_state *s)
{
	s->count--;
	free(s->held[s->count].kind);
	free(s->held[s->count].value);
}

static void free_state(struct bench_state *s)
{
	while (s->count)
		drop(s);
	free(s->held);
	free(s->path);
	free(s->session);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

/* One write(2) per line: a killed writer leaves whole lines. */
static int append(struct bench_state *s, const char *line)
{
	size_t len = strlen(line);

	if (write(s->fd, line, len) == (ssize_t)len)
		return 0;
	return bench_err(errno ? errno : EIO, "cannot write %s: %s", s->path, strerror(errno));
}

static struct bench_state *new_state(const char *path, int flags)
{
	struct bench_state *s = bench_alloc(sizeof(*s));

	s->path = bench_strdup(path);
	s->fd = open(path, flags | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
	return s;
}

int bench_state_new(const char *dir, const char *session, struct bench_state **ret_s)
{
	auto_free char *path = bench_fmt("%s/%s.state", dir, session);
	auto_free char *head = bench_fmt("%s%s\n", HEADER, session);
	struct bench_state *s;
	int ret = bench_mkdirs(dir);

	if (ret < 0)
		return ret;
	s = new_state(path, O_CREAT | O_EXCL);
	s->session = bench_strdup(session);
	if (s->fd < 0 || flock(s->fd, LOCK_EX | LOCK_NB) < 0)
		ret = bench_err(errno, "cannot create %s: %s", path, strerror(errno));
	else
		ret = append(s, head);
	if (ret < 0)
		free_state(s);
	else
		*ret_s = s;
	return ret;
}

/* Replays the lines "+KIND VALUE" and "-" over the stack. */
static int replay(struct bench_state *s, char *text)
{
	char *save = NULL;
	char *line = strtok_r(text, "\n", &save);

	if (!line || strncmp(line, HEADER, strlen(HEADER)))
		return bench_err(
			EINVAL, "%s is not a state file of hsmbench; remove it", s->path);
	s->session = bench_strdup(line + strlen(HEADER));
	while ((line = strtok_r(NULL, "\n", &save))) {
		char *space = strchr(line, ' ');

		if (line[0] == '-' && s->count) {
			drop(s);
		} else if (line[0] == '+' && space) {
			*space = '\0';
			keep(s, line + 1, space + 1);
		}
	}
	return 0;
}

int bench_state_open(const char *path, struct bench_state **ret_s)
{
	struct bench_state *s = new_state(path, 0);
	auto_free char *text = NULL;
	int ret;

	if (s->fd < 0)
		ret = bench_err(errno, "cannot open %s: %s", path, strerror(errno));
	else if (flock(s->fd, LOCK_EX | LOCK_NB) < 0)
		ret = bench_err(EBUSY, "%s belongs to a running hsmbench", path);
	else
		ret = bench_file_read(path, &text);
	if (ret == 0)
		ret = replay(s, text);
	if (ret < 0)
		free_state(s);
	else
		*ret_s = s;
	return ret;
}

void bench_state_close(struct bench_state *s)
{
	if (!s)
		return;
	if (!s->count)
		unlink(s->path);
	free_state(s);
}

const char *bench_state_session(const struct bench_state *s)
{
	return s->session;
}

size_t bench_state_count(const struct bench_state *s)
{
	return s->count;
}

int bench_state_push(struct bench_state *s, const char *kind, const char *value)
{
	auto_free char *line = bench_fmt("+%s %s\n", kind, value);
	int ret;

	if (strchr(value, '\n'))
		return bench_err(EINVAL, "a path with a newline cannot be used here");
	ret = append(s, line);
	if (ret == 0)
		keep(s, kind, value);
	return ret;
}

const char *bench_state_kind(const struct bench_state *s, size_t i)
{
	return s->held[i].kind;
}

const char *bench_state_value(const struct bench_state *s, size_t i)
{
	return s->held[i].value;
}

void bench_state_pop(struct bench_state *s)
{
	if (!s->count)
		return;
	append(s, "-\n");
	drop(s);
}
