/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_HTTP_DATE_H
#define HSM_HTTP_DATE_H
/* The times of HTTP headers and of index pages. */

#include <stdint.h>

/* "Sun, 06 Nov 1994 08:49:37 GMT" and what else RFC 9110 5.6.7 allows. 0 or -EINVAL. */
int hsm_http_date(const char *text, int64_t *ret_ns);

/*
 * The time column of an HTML index at the start of @text: "06-Nov-1994 08:49" (nginx),
 * "1994-11-06 08:49" (Apache), "1994-Nov-06 08:49:37" (lighttpd). They name no zone; taken as
 * UTC. Returns the first byte after it, or NULL if there is no time.
 */
const char *hsm_http_index_time(const char *text, int64_t *ret_ns);

#endif
