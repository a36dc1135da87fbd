/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/err.h"

#include <stdarg.h>
#include <stdio.h>

static __thread char err_text[1024];
static hsm_log_fn log_fn;
static enum hsm_log_level log_max;

int hsm_err(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err_text, sizeof(err_text), fmt, ap);
	va_end(ap);
	return -err;
}

const char *hsm_err_text(void)
{
	return err_text;
}

void hsm_log_to(hsm_log_fn fn, enum hsm_log_level max)
{
	log_fn = fn;
	log_max = max;
}

void hsm_log(enum hsm_log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!log_fn || level > log_max)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_fn(level, text);
}
