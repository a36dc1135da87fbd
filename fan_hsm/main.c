/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fan_hsm: options, and what comes before any process is made: groups and shared memory, new, from a
 * guard, or from the service manager. Then supervisor.c, or without one worker.c.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fan_hsm/group.h"
#include "fan_hsm/log.h"
#include "fan_hsm/notify.h"
#include "fan_hsm/recover.h"
#include "fan_hsm/shared.h"
#include "fan_hsm/supervisor.h"
#include "fan_hsm/takeover.h"
#include "fan_hsm/worker.h"
#include "hsm/util.h"

static struct fan_hsm fan = {
	.data_group = -1, .dir_group = -1, .change_group = -1, .shared_fd = -1};

static int usage(int code, const char *text)
{
	auto_free char *rows = code ? NULL : hsm_options_help(fan_hsm_option_rows);

	if (code)
		fprintf(stderr, "fan_hsm: %s\n", text);
	else
		printf("usage: fan_hsm [options] ORIGIN CACHE\n"
		       "Serves ORIGIN (a directory or a URL) at CACHE/data.\n%s",
			rows ? rows : "");
	return code;
}

static int parse(
	struct hsm_options *opt, struct fan_hsm_options *own, int argc, char **argv, int *ret)
{
	hsm_options_default(opt);
	opt->names = HSM_NS_AHEAD;
	fan_hsm_options_default(own);
	return hsm_options_parse(opt, fan_hsm_option_rows, own, argc, argv, ret);
}

static int open_new(const char *cache)
{
	int r = fan_hsm_groups_open(&fan, cache);

	if (!r)
		r = fan_hsm_shared_new(fan_hsm_shared_limit(), &fan.shared, &fan.shared_fd);
	if (r)
		return r;
	fan.shared->group[0] = fan.data_group;
	fan.shared->group[1] = fan.dir_group;
	fan.shared->change_group = fan.change_group;
	fan.shared->changes_by_fd = fan.changes_by_fd;
	fan_hsm_takeover_setup(&fan, fan.shared->setup, sizeof(fan.shared->setup));
	return 0;
}

/*
 * What can be refused before anything is created or put into the background. The descriptors of
 * events that the dead left unanswered are gone when their groups come from a guard or the
 * service manager: these can only be denied, before the numbers come back.
 */
static int prepare(const char *cache, int *ret_takeover)
{
	int r = fan_hsm_notify_take(&fan);

	if (!r)
		r = fan_hsm_takeover_ask(&fan, cache, ret_takeover);
	if (r <= 0)
		return r ? r : open_new(cache);
	fan_hsm_shared_limit();
	fan_hsm_recover_collect(fan.shared);
	fan_hsm_recover_deny(fan.shared, false);
	return 0;
}

/* A later worker starts where the daemon stands, in "/". */
static const char *absolute(const char *path, char *room)
{
	return !strstr(path, "://") && realpath(path, room) ? room : path;
}

static int serve(const char *origin, const char *cache, int takeover)
{
	if (fan.own->supervise)
		return fan_hsm_supervisor_run(&fan, origin, cache, takeover);
	fan_hsm_takeover_done(&takeover);
	return fan_hsm_worker_run(&fan, origin, cache);
}

static int run(const char *origin, const char *cache)
{
	char origin_path[PATH_MAX], cache_path[PATH_MAX];
	int takeover = -1, code;

	origin = absolute(origin, origin_path);
	cache = absolute(cache, cache_path);
	if (prepare(cache, &takeover))
		return usage(HSM_EXIT_REQUIREMENT, hsm_err_text());
	fan_hsm_worker_block_signals();
	fan_hsm_log_open(fan.opt->foreground, fan.opt->verbose);
	if (hsm_daemon_start(fan.opt->foreground))
		return usage(HSM_EXIT_FAILED, hsm_err_text());
	code = serve(origin, cache, takeover);
	fan_hsm_shared_release(fan.shared);
	return code;
}

int main(int argc, char **argv)
{
	struct fan_hsm_options own;
	struct hsm_options opt;
	int first;

	if (parse(&opt, &own, argc, argv, &first))
		return usage(HSM_EXIT_USAGE, hsm_err_text());
	if (opt.help)
		return usage(0, NULL);
	if (opt.version)
		return printf("fan_hsm %s\n", HSM_VERSION) < 0;
	if (argc - first != 2)
		return usage(HSM_EXIT_USAGE, "needs ORIGIN and CACHE; see --help");
	fan.opt = &opt;
	fan.own = &own;
	return run(argv[first], argv[first + 1]);
}
