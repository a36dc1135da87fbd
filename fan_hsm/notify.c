/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "fan_hsm/shared.h"
#include "fan_hsm/takeover.h"
#include "hsm/util.h"

/* In the order of fan_hsm_takeover_adopt(). */
static const char *const names[2 + FAN_HSM_GROUPS_MAX] = {
	"fan-memory", "fan-changes", "fan-data", "fan-names"};

static int place_of(const char *name)
{
	for (size_t i = 0; i < HSM_ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return (int)i;
	return -1;
}

static unsigned int sort_fds(char **found, int count, int *fds)
{
	unsigned int have = 0;

	for (size_t i = 0; i < HSM_ARRAY_SIZE(names); i++)
		fds[i] = -1;
	for (int i = 0; i < count; i++) {
		int place = place_of(found[i]);

		if (place >= 0 && fds[place] < 0)
			fds[place] = SD_LISTEN_FDS_START + i;
		free(found[i]);
	}
	while (have < HSM_ARRAY_SIZE(names) && fds[have] >= 0)
		have++;
	return have;
}

int fan_hsm_notify_take(struct fan_hsm *fan)
{
	int fds[HSM_ARRAY_SIZE(names)];
	char **found = NULL;
	int count = sd_listen_fds_with_names(1, &found);
	unsigned int have;

	if (count <= 0)
		return count < 0 ? hsm_err(-count, "descriptors of the service manager: %s",
					   strerror(-count))
				 : 0;
	have = sort_fds(found, count, fds);
	free(found);
	return have ? fan_hsm_takeover_adopt(fan, fds, have) : 0;
}

static void store(const char *name, int fd)
{
	char text[64];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	if (sd_pid_notify_with_fds(0, 0, text, &fd, 1) < 0)
		hsm_log(HSM_LOG_WARN, "the service manager did not take %s", name);
}

void fan_hsm_notify_store(const struct fan_hsm_shared *s, int memory)
{
	if (!getenv("NOTIFY_SOCKET"))
		return;
	store(names[0], memory);
	store(names[1], s->change_group);
	for (int i = 0; i < FAN_HSM_GROUPS_MAX && s->group[i] >= 0; i++)
		store(names[2 + i], s->group[i]);
}

void fan_hsm_notify_ready(void)
{
	sd_notify(0, "READY=1");
}

void fan_hsm_notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

/* 0: no watchdog. */
static uint64_t watchdog_us(void)
{
	static uint64_t usec;
	static bool known;

	if (!known && sd_watchdog_enabled(0, &usec) <= 0)
		usec = 0;
	known = true;
	return usec;
}

void fan_hsm_notify_alive(void)
{
	if (watchdog_us())
		sd_notify(0, "WATCHDOG=1");
}

int fan_hsm_notify_tick_ms(int most)
{
	uint64_t usec = watchdog_us();

	return usec ? (int)HSM_MIN((uint64_t)most, usec / 3000 + 1) : most;
}
