/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_ERR_H
#define HSM_ERR_H
/*
 * The library never prints and never exits. A function that fails returns a negative errno and
 * leaves one sentence for the program to print: what failed, on which object, why, what to do.
 */

/* Stores the sentence for this thread and returns -err. @err: positive errno. */
int hsm_err(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The last sentence of this thread, "" if none. Valid until the next hsm_err(). */
const char *hsm_err_text(void);

/* Where the core's background threads report trouble; default: nowhere. Set before threads start. */
enum hsm_log_level { HSM_LOG_ERROR, HSM_LOG_WARN, HSM_LOG_INFO, HSM_LOG_DEBUG };
typedef void (*hsm_log_fn)(enum hsm_log_level level, const char *text);
void hsm_log_to(hsm_log_fn fn, enum hsm_log_level max);
void hsm_log(enum hsm_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
