/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/release.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "harness/err.h"
#include "harness/knob.h"
#include "harness/loopfs.h"
#include "harness/mounts.h"
#include "harness/proc.h"
#include "harness/trace.h"
#include "harness/util.h"

#define GRACE_NS (2 * BENCH_NSEC)

static int release_dir(const char *path)
{
	char *mounted;
	int ret = 0;

	while (ret == 0 && (mounted = bench_mount_below(path))) {
		ret = bench_mount_end(mounted);
		free(mounted);
	}
	return ret < 0 ? ret : bench_rmtree(path);
}

static int release_pid(const char *value)
{
	unsigned long long start = 0;
	int pid = 0;

	sscanf(value, "%d %llu", &pid, &start);
	if (!start || bench_proc_start(pid) != start)
		return 0;
	return bench_proc_end(pid, GRACE_NS);
}

static int release_loop(const char *value)
{
	const char *space = strchr(value, ' ');
	auto_free char *dev = bench_fmt("%.*s", (int)strcspn(value, " "), value);

	return space ? bench_loop_detach(dev, space + 1) : 0;
}

static const struct {
	const char *kind;
	int (*release)(const char *value);
} kinds[] = {
	{BENCH_HELD_DIR, release_dir},
	{BENCH_HELD_KNOB, bench_knob_put_back},
	{BENCH_HELD_LOOP, release_loop},
	{BENCH_HELD_MOUNT, bench_mount_end},
	{BENCH_HELD_PID, release_pid},
	{BENCH_HELD_TRACE, bench_trace_remove},
};

static int release_top(struct bench_state *s)
{
	size_t top = bench_state_count(s) - 1;
	const char *kind = bench_state_kind(s, top);
	int ret = 0;

	for (size_t i = 0; i < BENCH_ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].kind, kind))
			ret = kinds[i].release(bench_state_value(s, top));
	if (ret == 0)
		bench_state_pop(s);
	return ret;
}

int bench_release(struct bench_state *s, size_t keep, uint64_t grace_ns)
{
	/* A process that does not end may still wait for a FUSE mount that is aborted below. */
	bench_proc_end_tagged(bench_state_session(s), grace_ns);
	while (bench_state_count(s) > keep) {
		int ret = release_top(s);

		if (ret < 0)
			return ret;
	}
	return bench_proc_end_tagged(bench_state_session(s), 0);
}

static int release_file(const char *path, unsigned int *found)
{
	struct bench_state *s;
	int ret = bench_state_open(path, &s);

	if (ret == -EBUSY || ret == -ENOENT)
		return 0;
	if (ret < 0)
		return ret;
	(*found)++;
	ret = bench_release(s, 0, GRACE_NS);
	bench_state_close(s);
	return ret;
}

int bench_release_dead(const char *dir, unsigned int *ret_found)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int ret = 0;

	*ret_found = 0;
	while (d && (e = readdir(d))) {
		auto_free char *path = bench_fmt("%s/%s", dir, e->d_name);
		const char *dot = strrchr(e->d_name, '.');
		int err = 0;

		if (dot && !strcmp(dot, ".state"))
			err = release_file(path, ret_found);
		ret = err < 0 ? err : ret;
	}
	if (d)
		closedir(d);
	return ret;
}
