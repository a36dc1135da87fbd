/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSMCTL_HSMCTL_H
#define HSMCTL_HSMCTL_H
/* The sub-commands of hsmctl and what they share. */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct hsmctl {
	const char *cache;
	const char *path; /* "" = the whole tree */
	bool json;
	bool data;
	uint64_t to_free; /* evict: bytes; 0 = by path */
	int code; /* of the last answer line; enum hsm_exit */
	json_t *answer; /* the last answer line, owned */
};

/*
 * Runs @command on the daemon of the cache, or in this process when no daemon has it. Lines
 * about single objects go to stderr as they come. Returns the exit code.
 */
int hsmctl_call(struct hsmctl *ctl, const char *command);

/* Asks the daemon to end and waits until it has. */
int hsmctl_stop(struct hsmctl *ctl);

/* Prints a status object for people. */
void hsmctl_print_status(json_t *status);

#endif
