/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * posixcheck: what POSIX and the manual pages say about files, as small tests that run on any
 * directory. This file runs them; they are in posix/, one file a subject.
 *
 *   posixcheck [-l] DIRECTORY [PART-OF-NAME...]     -l: list the names
 *
 * Prints a line a test, "ok NAME", "skip NAME (why)" or "not ok NAME (FILE:LINE) what", after "note NAME
 * text" for things a file system may choose. Run on two file systems, the outputs up to the
 * closing bracket say where they differ. Exit code 1 if a test failed, 2 for misuse.
 */
#include "tests/tools/posix/posix.h"

#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>

#define TESTS_MAX	  1000
#define LIMIT_S		  60
#define EXIT_TEST_FAILED  1
#define EXIT_TEST_SKIPPED 77

static const struct pc_test *tests[TESTS_MAX];
static size_t test_count;

/* Shared with the processes of a test. */
static struct report {
	char text[512];
	char notes[4096];
} * report;

void pc_register(const struct pc_test *test)
{
	if (test_count < TESTS_MAX)
		tests[test_count++] = test;
}

/* ---- what a test says ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void pc_fail(const char *file, int line, const char *fmt, ...)
{
	int used =
		snprintf(report->text, sizeof(report->text), "(%s:%d) ", base_name(file), line);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(report->text + used, sizeof(report->text) - (size_t)used, fmt, ap);
	va_end(ap);
	_exit(EXIT_TEST_FAILED);
}

void pc_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(report->text, sizeof(report->text), fmt, ap);
	va_end(ap);
	_exit(EXIT_TEST_SKIPPED);
}

void pc_note(const char *fmt, ...)
{
	size_t used = strlen(report->notes);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(report->notes + used, sizeof(report->notes) - used - 1, fmt, ap);
	va_end(ap);
	strcat(report->notes, "\n");
}

void pc_note_call(const char *what, long result)
{
	pc_note("%s: %s", what, result < 0 ? strerrorname_np(errno) : "works");
}

long pc_ok(const char *file, int line, const char *what, long result)
{
	if (result < 0)
		pc_fail(file, line, "%s: %s", what, strerrorname_np(errno));
	return result;
}

void pc_fails(const char *file, int line, const char *what, long result, int want)
{
	if (result >= 0)
		pc_fail(file, line, "%s: worked, not %s", what, strerrorname_np(want));
	if (errno != want)
		pc_fail(file, line, "%s: %s, not %s", what, strerrorname_np(errno),
			strerrorname_np(want));
}

void pc_is(const char *file, int line, const char *what, long long got, long long want)
{
	if (got != want)
		pc_fail(file, line, "%s: %lld (0%llo), not %lld (0%llo)", what, got, got, want,
			want);
}

void pc_true(const char *file, int line, const char *what, bool holds)
{
	if (!holds)
		pc_fail(file, line, "not so: %s", what);
}

/* ---- running ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	if (remove(path))
		fprintf(stderr, "posixcheck: %s: %s\n", path, strerror(errno));
	return 0;
}

/* In the child. */
static void __attribute__((noreturn)) run_inside(const struct pc_test *t, const char *dir)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	alarm(LIMIT_S);
	umask(022);
	if (mkdir(dir, 0755) || chdir(dir))
		pc_fail(__FILE__, __LINE__, "%s: %s", dir, strerrorname_np(errno));
	t->run();
	_exit(0);
}

static void print_notes(const char *name)
{
	char *next = report->notes, *line;

	while ((line = strsep(&next, "\n")))
		if (*line)
			printf("note %s %s\n", name, line);
}

/* True unless it failed. */
static bool print_verdict(const char *name, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	print_notes(name);
	if (code == EXIT_TEST_SKIPPED)
		printf("skip %s (%s)\n", name, report->text);
	else if (WIFSIGNALED(status))
		printf("not ok %s (signal %d) after %d s at most\n", name, WTERMSIG(status),
			LIMIT_S);
	else
		printf("%s %s%s%s\n", code ? "not ok" : "ok", name, code ? " " : "",
			code ? report->text : "");
	fflush(stdout);
	return code == 0 || code == EXIT_TEST_SKIPPED;
}

/* The name shown: "rename/over_directory". */
static void test_name(const struct pc_test *t, char *into, size_t bytes)
{
	const char *base = base_name(t->file);

	snprintf(into, bytes, "%.*s/%s", (int)strcspn(base, "."), base, t->name);
}

static bool run_test(const struct pc_test *t, const char *name, const char *root)
{
	char dir[PATH_MAX];
	int status;
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s/%s", root, t->name);
	memset(report, 0, sizeof(*report));
	pid = fork();
	if (!pid)
		run_inside(t, dir);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("posixcheck: fork");
		return false;
	}
	kill(-pid, SIGKILL);
	nftw(dir, remove_one, 32, FTW_DEPTH | FTW_PHYS);
	return print_verdict(name, status);
}

static bool is_wanted(const char *name, char **parts)
{
	if (!*parts)
		return true;
	for (; *parts; parts++)
		if (strstr(name, *parts))
			return true;
	return false;
}

static int by_name(const void *a, const void *b)
{
	char x[256], y[256];

	test_name(*(const struct pc_test *const *)a, x, sizeof(x));
	test_name(*(const struct pc_test *const *)b, y, sizeof(y));
	return strcmp(x, y);
}

static int run_all(const char *root, char **parts, bool list)
{
	char name[256];
	int failed = 0;

	qsort(tests, test_count, sizeof(*tests), by_name);
	for (size_t n = 0; n < test_count; n++) {
		test_name(tests[n], name, sizeof(name));
		if (!is_wanted(name, parts))
			continue;
		if (list)
			puts(name);
		else if (!run_test(tests[n], name, root))
			failed = 1;
	}
	return failed;
}

int main(int argc, char **argv)
{
	bool list = argc > 1 && !strcmp(argv[1], "-l");

	argv += 1 + list;
	if (argc < 2 || (!list && !*argv)) {
		fprintf(stderr, "usage: posixcheck [-l] DIRECTORY [PART-OF-NAME...]\n");
		return 2;
	}
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	if (report == MAP_FAILED) {
		perror("posixcheck: mmap");
		return 2;
	}
	signal(SIGXFSZ, SIG_IGN);
	return run_all(list ? "" : argv[0], argv + !list, list);
}
