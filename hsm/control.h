/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_CONTROL_H
#define HSM_CONTROL_H
/*
 * The commands of hsmctl, the same through the control socket of a daemon or on an idle cache.
 *
 * Protocol on CACHE/meta/control (a stream socket, root only): the client sends one JSON object in
 * a line, {"command": "status" | "stop" | "populate" | "verify" | "evict" | "refresh", "path": "...",
 * "data": bool, "to_free": bytes}; the daemon answers with any number of {"path": ..., "text": ...}
 * lines and last one with a "code" (enum hsm_exit), for status together with "status": {...}, for
 * verify, evict and refresh with "totals".
 */
#include <jansson.h>

#include "hsm/hsm.h"

/* One answer line; borrowed. */
typedef void (*hsm_answer_fn)(void *arg, json_t *line);

/* Runs @request; calls @answer for every line, the last one with "code". */
void hsm_control_run(struct hsm *h, json_t *request, hsm_answer_fn answer, void *arg);

/*
 * Sends @request to the daemon of @cache. -ECONNREFUSED or -ENOENT: no daemon there (a
 * stale socket counts as none). Other errors + text.
 */
int hsm_control_call(const char *cache, json_t *request, hsm_answer_fn answer, void *arg);

#endif
