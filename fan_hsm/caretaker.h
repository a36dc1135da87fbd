/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FAN_HSM_CARETAKER_H
#define FAN_HSM_CARETAKER_H
/*
 * What supervisor and guard do while there is no worker: answer events (deny.h) and hsmctl, on the
 * worker's control socket. One thread, never blocks on a client for long.
 */
#include "fan_hsm/shared.h"

struct fan_hsm_caretaker {
	struct fan_hsm_shared *shared;
	const char *cache; /* absolute */
	int hand_over; /* the memfd: a new fan_hsm may take over; -1: it may not */
	int listen_fd; /* -1: no socket could be made; events are answered all the same */
};

enum fan_hsm_care {
	FAN_HSM_CARE_NONE,
	FAN_HSM_CARE_SIGNAL, /* the signalfd is readable */
	FAN_HSM_CARE_STOP, /* hsmctl stop */
	FAN_HSM_CARE_HANDED, /* another fan_hsm serves now */
};

/* All but the caretaker itself is borrowed until _close. */
void fan_hsm_caretaker_open(struct fan_hsm_caretaker *c, struct fan_hsm_shared *shared,
	const char *cache, int hand_over);
void fan_hsm_caretaker_close(struct fan_hsm_caretaker *c);

/* Waits for something to do, @timeout_ms at most (-1: for ever), and does it. */
enum fan_hsm_care fan_hsm_caretaker_wait(
	struct fan_hsm_caretaker *c, int signal_fd, int timeout_ms);

#endif
