/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_TAKEOVER_H
#define FAN_HSM_TAKEOVER_H
/*
 * How groups and memory go from a guard to a new fan_hsm: over the control socket. The new one sends
 * {"command": "takeover"}, gets one line with the descriptors (SCM_RIGHTS: memory, then groups), and
 * sends one byte when it serves. Until then the guard stands by.
 */
#include "fan_hsm/fan_hsm.h"
#include "fan_hsm/shared.h"

#define FAN_HSM_TAKEOVER "takeover"

/* Guard: 0 or negative errno. */
int fan_hsm_takeover_send(int client, const struct fan_hsm_shared *s, int memory);

/*
 * New fan_hsm: fills in @fan's groups and shared memory and returns 1, *ret_client is the connection; 0: there is
 * no guard. Negative errno + text: there is one, and it cannot be taken over from.
 */
int fan_hsm_takeover_ask(struct fan_hsm *fan, const char *cache, int *ret_client);

/* It serves: the guard may go. Closes *client; does nothing if it is -1. */
void fan_hsm_takeover_done(int *client);

/*
 * Groups and memory that another process made become those of @fan, which takes the descriptors
 * (@count: memory, then groups). Only for the same options: 0, -EPROTO or -EEXIST + text.
 */
int fan_hsm_takeover_adopt(struct fan_hsm *fan, const int *fds, unsigned int count);

/* The options that decide what is marked, as fan_hsm_shared.setup. */
void fan_hsm_takeover_setup(const struct fan_hsm *fan, char *text, size_t room);

#endif
