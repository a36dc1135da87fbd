/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_LOG_H
#define FAN_HSM_LOG_H
#include <stdbool.h>

#include "hsm/err.h"

/*
 * Where messages go: stderr in the foreground, syslog else. @verbose: 0 warnings, 1 info, 2
 * debug. Safe to use from a thread that answers events: opens no file afterwards.
 */
void fan_hsm_log_open(bool foreground, unsigned int verbose);

/* Gives up the descriptor for messages, until _open. */
void fan_hsm_log_close(void);

/* hsm_log_fn; texts of any length. */
void fan_hsm_log(enum hsm_log_level level, const char *text);

#endif
