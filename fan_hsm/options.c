/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hsm/err.h"

#define READERS_DEFAULT 1
#define READERS_LIMIT	32

const char *const fan_hsm_marks_names[] = {"fs", "mount", "dir", "inode", NULL};
const char *const fan_hsm_events_names[] = {"pre-access", "access-perm", NULL};
static const char *const mmap_names[] = {"range", "whole", "strict", NULL};

static int set_readers(void *target, const char *value)
{
	unsigned long n;
	char *end;

	n = strtoul(value, &end, 10);
	if (end == value || *end || *value == '-' || n < 1 || n > READERS_LIMIT)
		return hsm_err(EINVAL, "--readers '%s' is not a number from 1 to %d", value,
			READERS_LIMIT);
	((struct fan_hsm_options *)target)->readers = (unsigned int)n;
	return 0;
}

/* Index of @value in @names, or -EINVAL + text. */
static int choice(const char *option, const char *value, const char *const *names)
{
	char list[128] = "";

	for (int i = 0; names[i]; i++) {
		if (!strcmp(value, names[i]))
			return i;
		strcat(strcat(list, i ? ", " : ""), names[i]);
	}
	return hsm_err(EINVAL, "--%s '%s' is not one of: %s", option, value, list);
}

static int set_marks(void *target, const char *value)
{
	int n = choice("marks", value, fan_hsm_marks_names);

	if (n >= 0)
		((struct fan_hsm_options *)target)->marks = (enum fan_hsm_marks)n;
	return n < 0 ? n : 0;
}

static int set_events(void *target, const char *value)
{
	int n = choice("events", value, fan_hsm_events_names);

	if (n >= 0)
		((struct fan_hsm_options *)target)->events = (enum fan_hsm_events)n;
	return n < 0 ? n : 0;
}

static int set_mmap(void *target, const char *value)
{
	int n = choice("mmap", value, mmap_names);

	if (n >= 0)
		((struct fan_hsm_options *)target)->mmap = (enum fan_hsm_mmap)n;
	return n < 0 ? n : 0;
}

static int set_guard(void *target, const char *value)
{
	(void)value;
	((struct fan_hsm_options *)target)->guard = true;
	return 0;
}

static int set_no_supervisor(void *target, const char *value)
{
	(void)value;
	((struct fan_hsm_options *)target)->supervise = false;
	return 0;
}

const struct hsm_option fan_hsm_option_rows[] = {
	{0, "readers", "N", "threads that read file events (1)", set_readers},
	{0, "marks", "SCHEME", "what is watched: fs (default), mount, dir, inode", set_marks},
	{0, "events", "KIND",
		"pre-access (default), or access-perm: the method before Linux 6.14",
		set_events},
	{0, "mmap", "HOW", "a mapping fills: range, whole (default), strict", set_mmap},
	{0, "guard", NULL, "a process that denies stubs when the supervisor is killed",
		set_guard},
	{0, "no-supervisor", NULL, "one process: when it is killed, stubs read as zeros",
		set_no_supervisor},
	{0},
};

void fan_hsm_options_default(struct fan_hsm_options *opt)
{
	*opt = (struct fan_hsm_options){
		.readers = READERS_DEFAULT, .mmap = FAN_HSM_MMAP_WHOLE, .supervise = true};
}
