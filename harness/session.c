/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "harness/catalog.h"
#include "harness/err.h"
#include "harness/proc.h"
#include "harness/release.h"
#include "harness/util.h"

#define GRACE_NS (5 * BENCH_NSEC)

char *bench_session_raw(const struct bench_session *s, const char *name)
{
	return bench_fmt("%s/raw/%s", s->results, name);
}

int bench_session_write_json(
	const struct bench_session *s, const char *name, const json_t *json)
{
	auto_free char *path = bench_fmt("%s/%s", s->results, name);
	auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd >= 0 && json_dumpfd(json, fd, JSON_INDENT(2)) == 0 && write(fd, "\n", 1) == 1 &&
		fsync(fd) == 0)
		return 0;
	return bench_err(errno ? errno : EIO, "cannot write %s: %s", path, strerror(errno));
}

static void count(struct bench_session *s, const json_t *line)
{
	const char *status = json_string_value(json_object_get(line, "status"));

	if (!strcmp(status, "ok"))
		s->done++;
	else if (!strcmp(status, "skipped"))
		s->skipped++;
	else
		s->failed++;
}

int bench_session_append(struct bench_session *s, const json_t *line)
{
	auto_free char *text = json_dumps(line, JSON_COMPACT);
	auto_free char *whole = bench_fmt("%s\n", text ? text : "{}");
	size_t len = strlen(whole);

	count(s, line);
	/* One write, so that a killed writer leaves whole lines. */
	if (write(s->runs_fd, whole, len) == (ssize_t)len && fdatasync(s->runs_fd) == 0)
		return 0;
	return bench_err(errno ? errno : EIO, "cannot write %s/runs.jsonl: %s", s->results,
		strerror(errno));
}

static char *new_id(void)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[32];
	uint16_t random = 0;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &tm);
	if (getrandom(&random, sizeof(random), 0) < 0)
		random = (uint16_t)getpid();
	return bench_fmt("%s-%04x", text, random);
}

static char *absolute(const char *path)
{
	char cwd[PATH_MAX];

	if (*path == '/' || !getcwd(cwd, sizeof(cwd)))
		return bench_strdup(path);
	return bench_fmt("%s/%s", cwd, path);
}

/* In a source tree below build/ and results/local/, else below /var/tmp and here. */
static void choose_paths(struct bench_session *s)
{
	auto_free char *build = bench_fmt("%s/build", s->home);
	bool tree = bench_exists(build);
	const char *tmp = getenv("TMPDIR");
	auto_free char *work = NULL;

	if (s->opt.data)
		s->data = absolute(s->opt.data);
	else if (tree)
		s->data = bench_fmt("%s/data/%s", build, s->opt.preset);
	else
		s->data = bench_fmt("/var/tmp/hsmbench-data/%s", s->opt.preset);
	if (s->opt.out)
		s->results = absolute(s->opt.out);
	else if (tree)
		s->results = bench_fmt("%s/results/local/%s", s->home, s->id);
	else
		s->results = bench_fmt("hsmbench-results/%s", s->id);
	work = absolute(s->opt.work ? s->opt.work : tmp && *tmp ? tmp : "/var/tmp");
	s->work = bench_fmt("%s/hsmbench-%s", work, s->id);
}

static bool is_empty_dir(const char *path)
{
	DIR *d = opendir(path);
	int entries = 0;

	while (d && readdir(d))
		entries++;
	if (d)
		closedir(d);
	return entries <= 2;
}

static int make_results(struct bench_session *s)
{
	auto_free char *raw = bench_session_raw(s, "");
	auto_free char *runs = bench_fmt("%s/runs.jsonl", s->results);
	int ret;

	if (bench_exists(s->results) && !is_empty_dir(s->results))
		return bench_err(
			EEXIST, "%s is not empty; name a new directory with -o", s->results);
	ret = bench_mkdirs(raw);
	if (ret < 0)
		return ret;
	s->runs_fd = open(runs, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (s->runs_fd < 0)
		return bench_err(errno, "cannot create %s: %s", runs, strerror(errno));
	return 0;
}

static int open_state(struct bench_session *s)
{
	auto_free char *dir = bench_state_dir();
	unsigned int found = 0;
	int ret = bench_release_dead(dir, &found);

	if (found)
		bench_say("cleaned up after %u dead session%s", found, found == 1 ? "" : "s");
	if (ret == 0)
		ret = bench_state_new(dir, s->id, &s->held);
	if (ret == 0)
		ret = bench_state_push(s->held, BENCH_HELD_DIR, s->work);
	return ret < 0 ? ret : bench_mkdirs(s->work);
}

int bench_session_open(struct bench_session *s, const struct bench_session_options *opt)
{
	auto_free char *nginx = NULL;
	int ret;

	*s = (struct bench_session){.opt = *opt, .runs_fd = -1};
	s->id = new_id();
	s->home = bench_catalog_home();
	s->bin = bench_catalog_bin();
	s->vars = bench_vars_new(NULL);
	bench_vars_set(s->vars, "bin", s->bin);
	bench_vars_set(s->vars, "home", s->home);
	choose_paths(s);
	bench_proc_tag(s->id);
	ret = open_state(s);
	if (ret == 0)
		ret = bench_mkdirs(s->data);
	if (ret == 0)
		ret = make_results(s);
	if (ret < 0)
		return ret;
	nginx = bench_fmt("%s/nginx", s->work);
	return bench_origin_start(s->held, nginx, s->data, opt->keep, &s->origin);
}

int bench_session_close(struct bench_session *s)
{
	int ret = 0;

	if (s->held && !s->opt.keep)
		ret = bench_release(s->held, 0, GRACE_NS);
	bench_state_close(s->held);
	bench_vars_free(s->vars);
	if (s->runs_fd >= 0)
		close(s->runs_fd);
	free(s->id);
	free(s->home);
	free(s->bin);
	free(s->data);
	free(s->work);
	free(s->results);
	return ret;
}
