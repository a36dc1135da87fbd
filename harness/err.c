/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/err.h"

#include <stdarg.h>
#include <stdio.h>

static char err_text[1024];

int bench_err(int err, const char *fmt, ...)
{
	char text[sizeof(err_text)];
	va_list ap;

	/* Through a copy: an argument may be the previous sentence. */
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(err_text, sizeof(err_text), "%s", text);
	return -err;
}

const char *bench_err_text(void)
{
	return err_text;
}

void bench_say(const char *fmt, ...)
{
	va_list ap;

	fputs("hsmbench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}
