/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

#include "hsm/util.h"

static bool to_stderr;

void fan_hsm_log(enum hsm_log_level level, const char *text)
{
	static const int priority[] = {
		[HSM_LOG_ERROR] = LOG_ERR,
		[HSM_LOG_WARN] = LOG_WARNING,
		[HSM_LOG_INFO] = LOG_INFO,
		[HSM_LOG_DEBUG] = LOG_DEBUG,
	};

	if (to_stderr)
		fprintf(stderr, "fan_hsm: %s\n", text);
	else
		syslog(priority[level], "%s", text);
}

void fan_hsm_log_open(bool foreground, unsigned int verbose)
{
	unsigned int level = HSM_LOG_WARN + verbose;

	to_stderr = foreground;
	if (!foreground) {
		/*
		 * syslog(3) formats the time. With TZ unset it would look at /etc/localtime each
		 * time, and wait for an event of its own if that lies on the watched file system.
		 */
		setenv("TZ", ":/etc/localtime", 0);
		tzset();
		openlog("fan_hsm", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	}
	hsm_log_to(fan_hsm_log, (enum hsm_log_level)HSM_MIN(level, HSM_LOG_DEBUG));
}

void fan_hsm_log_close(void)
{
	if (!to_stderr)
		closelog();
}
