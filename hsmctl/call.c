/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reaching the HSM: through the control socket of its daemon, else by opening the idle cache. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "hsm/control.h"
#include "hsm/util.h"
#include "hsmctl/hsmctl.h"

#define STOP_WAIT_MS 120000

static void on_line(void *arg, json_t *line)
{
	struct hsmctl *ctl = arg;
	json_t *code = json_object_get(line, "code");
	const char *text = json_string_value(json_object_get(line, "text"));
	const char *path = json_string_value(json_object_get(line, "path"));

	if (code) {
		json_decref(ctl->answer);
		ctl->answer = json_incref(line);
		ctl->code = (int)json_integer_value(code);
		if (text)
			fprintf(stderr, "hsmctl: %s\n", text);
	} else {
		fprintf(stderr, "hsmctl: %s: %s\n", path && *path ? path : "/",
			text ? text : "");
	}
}

/* Nobody remembers anything of an idle cache. */
static int file_evict(void *ctx, int fd)
{
	(void)ctx;
	(void)fd;
	return 0;
}

static int run_idle(struct hsmctl *ctl, json_t *request)
{
	const struct hsm_frontend fe = {.name = "hsmctl", .file_evict = file_evict};
	struct hsm_options opt;
	struct hsm *h;
	int r;

	hsm_options_default(&opt);
	r = hsm_open(NULL, ctl->cache, &opt, &fe, &h);
	if (r) {
		fprintf(stderr, "hsmctl: %s\n", hsm_err_text());
		return HSM_EXIT_REQUIREMENT;
	}
	hsm_control_run(h, request, on_line, ctl);
	hsm_close(h);
	return ctl->code;
}

int hsmctl_call(struct hsmctl *ctl, const char *command)
{
	json_t *request = json_pack("{ss so sb sI}", "command", command, "path",
		json_stringn_nocheck(ctl->path, strlen(ctl->path)), "data", ctl->data,
		"to_free", (json_int_t)ctl->to_free);
	int r = hsm_control_call(ctl->cache, request, on_line, ctl), code;

	if (!r) {
		code = ctl->code;
	} else if (r == -ECONNREFUSED || r == -ENOENT) {
		code = run_idle(ctl, request);
	} else {
		fprintf(stderr, "hsmctl: %s\n", hsm_err_text());
		code = HSM_EXIT_REQUIREMENT;
	}
	json_decref(request);
	return code;
}

/* The daemon holds the lock until everything is closed. */
static int wait_unlocked(const char *cache)
{
	char path[4096];
	auto_fd int fd = -1;

	snprintf(path, sizeof(path), "%s/meta/lock", cache);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	for (int ms = 0; fd >= 0 && ms < STOP_WAIT_MS; ms += 10) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return 0;
		usleep(10000);
	}
	return fd < 0 ? -errno : -ETIMEDOUT;
}

int hsmctl_stop(struct hsmctl *ctl)
{
	json_t *request = json_pack("{ss}", "command", "stop");
	int r = hsm_control_call(ctl->cache, request, on_line, ctl);

	json_decref(request);
	if (r == -ECONNREFUSED || r == -ENOENT) {
		fprintf(stderr, "hsmctl: no daemon serves cache %s\n", ctl->cache);
		return HSM_EXIT_FAILED;
	}
	if (r) {
		fprintf(stderr, "hsmctl: %s\n", hsm_err_text());
		return HSM_EXIT_REQUIREMENT;
	}
	r = ctl->code ? 0 : wait_unlocked(ctl->cache);
	if (r) {
		fprintf(stderr,
			"hsmctl: the daemon of %s has not ended after %d s; see its log\n",
			ctl->cache, STOP_WAIT_MS / 1000);
		return HSM_EXIT_FAILED;
	}
	return ctl->code;
}
