/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "harness/err.h"

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * BENCH_NSEC + (uint64_t)ts.tv_nsec;
}

uint64_t bench_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bench_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

void bench_sleep_ns(uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / BENCH_NSEC),
		.tv_nsec = (long)(ns % BENCH_NSEC),
	};

	nanosleep(&ts, NULL);
}

static void *must(void *p)
{
	if (p)
		return p;
	bench_say("out of memory; `hsmbench clean` removes what is left behind");
	exit(BENCH_EXIT_FAILED);
}

void *bench_alloc(size_t bytes)
{
	return must(calloc(1, bytes ? bytes : 1));
}

void *bench_realloc(void *p, size_t bytes)
{
	return must(realloc(p, bytes));
}

char *bench_strdup(const char *s)
{
	return must(strdup(s));
}

char *bench_fmt(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return must(n < 0 ? NULL : text);
}

size_t bench_strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

void bench_strv_add(char ***v, const char *s)
{
	size_t n = bench_strv_len(*v);

	*v = bench_realloc(*v, (n + 2) * sizeof(**v));
	(*v)[n] = bench_strdup(s);
	(*v)[n + 1] = NULL;
}

void bench_strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

bool bench_strv_has(char *const *v, const char *s)
{
	for (size_t i = 0; v && v[i]; i++)
		if (!strcmp(v[i], s))
			return true;
	return false;
}

char **bench_strv_split(const char *text, const char *separators)
{
	auto_free char *copy = bench_strdup(text);
	char **v = NULL;
	char *save = NULL;

	for (char *p = strtok_r(copy, separators, &save); p;
		p = strtok_r(NULL, separators, &save))
		bench_strv_add(&v, p);
	return v;
}

bool bench_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool is_program(const char *path)
{
	return access(path, X_OK) == 0;
}

char *bench_which(const char *program)
{
	const char *path = getenv("PATH");
	char **dirs, *found = NULL;

	if (strchr(program, '/'))
		return is_program(program) ? bench_strdup(program) : NULL;
	dirs = bench_strv_split(path ? path : "/usr/bin:/bin", ":");
	/* mkfs and friends live in sbin, which is not in every PATH. */
	bench_strv_add(&dirs, "/usr/sbin");
	bench_strv_add(&dirs, "/sbin");
	for (size_t i = 0; dirs[i] && !found; i++) {
		found = bench_fmt("%s/%s", dirs[i], program);
		if (!is_program(found)) {
			free(found);
			found = NULL;
		}
	}
	bench_strv_free(dirs);
	return found;
}

int bench_parse_bytes(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	unsigned int shift = 0;
	uint64_t value;
	const char *unit;
	char *end;

	if (!isdigit((unsigned char)*text))
		return bench_err(EINVAL, "'%s' is not a size such as 512M or 8GiB", text);
	errno = 0;
	value = strtoull(text, &end, 10);
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned int)(unit - units + 1);
		end++;
	}
	if (errno || (*end && strcasecmp(end, "iB") && strcasecmp(end, "B")) ||
		value > UINT64_MAX >> shift)
		return bench_err(EINVAL, "'%s' is not a size such as 512M or 8GiB", text);
	*ret_bytes = value << shift;
	return 0;
}
