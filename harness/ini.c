/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libinih underneath. It cuts lines at 200 bytes without a word and takes " ;" in a value for a
 * comment, which would silently shorten shell commands; the reader here prevents both.
 */
#include "harness/ini.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "harness/err.h"
#include "harness/util.h"

#define SEMICOLON '\x01' /* stands for ';' inside a value on its way through libinih */

struct ini {
	const char *path;
	FILE *file;
	bench_ini_fn fn;
	void *ctx;
	int line;
	int err;
	char *section, *name, *value; /* the key being collected */
	int key_line;
};

static int fail(struct ini *i, int line, const char *why)
{
	if (!i->err)
		i->err = bench_err(EINVAL, "%s:%d: %s", i->path, line, why);
	return i->err;
}

static char *read_line(char *buf, int room, void *stream)
{
	struct ini *i = stream;
	char *start;

	if (i->err || !fgets(buf, room, i->file))
		return NULL;
	i->line++;
	if (!strchr(buf, '\n') && !feof(i->file)) {
		fail(i, i->line, "line too long (198 bytes); continue it on an indented line");
		return NULL;
	}
	start = buf + strspn(buf, " \t");
	for (char *p = *start == ';' ? start + 1 : start; *p; p++)
		if (*p == ';')
			*p = SEMICOLON;
	return buf;
}

/* Hands the collected key over. */
static void flush(struct ini *i)
{
	int ret;

	if (i->name && !i->err) {
		ret = i->fn(i->ctx, i->section, i->name, i->value);
		if (ret < 0)
			i->err = bench_err(
				-ret, "%s:%d: %s", i->path, i->key_line, bench_err_text());
	}
	free(i->section);
	free(i->name);
	free(i->value);
	i->section = i->name = i->value = NULL;
}

static int handler(void *user, const char *section, const char *name, const char *value)
{
	struct ini *i = user;
	auto_free char *text = bench_strdup(value);

	for (char *p = text; *p; p++)
		if (*p == SEMICOLON)
			*p = ';';
	if (i->name && !strcmp(i->name, name) && !strcmp(i->section, section)) {
		char *joined = bench_fmt("%s\n%s", i->value, text);

		free(i->value);
		i->value = joined;
		return 1;
	}
	flush(i);
	i->section = bench_strdup(section);
	i->name = bench_strdup(name);
	i->value = bench_strdup(text);
	i->key_line = i->line;
	return 1;
}

int bench_ini_parse(const char *path, bench_ini_fn fn, void *ctx)
{
	auto_file FILE *file = fopen(path, "re");
	struct ini i = {.path = path, .file = file, .fn = fn, .ctx = ctx};
	int bad;

	if (!file)
		return bench_err(errno, "cannot open %s: %s", path, strerror(errno));
	bad = ini_parse_stream(read_line, &i, handler, &i);
	flush(&i);
	if (bad && !i.err)
		fail(&i, bad, "expected [section] or name = value");
	return i.err;
}
