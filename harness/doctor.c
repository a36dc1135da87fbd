/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One line per check: name, ok/warn/lack/FAIL, what was found and what to do. `doctor NAME...`
 * runs only these; engines probe with it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "harness/catalog.h"
#include "harness/cmd.h"
#include "harness/err.h"
#include "harness/exec.h"
#include "harness/state.h"
#include "harness/util.h"

#ifndef FAN_PRE_ACCESS
#define FAN_PRE_ACCESS 0x00100000 /* Linux 6.14 */
#endif

#define NOFILE_MIN     4096
#define FREE_MIN_BYTES (4ULL << 30)
#define FREE_ADVISED   (16ULL << 30)
#define ENABLE_URING   "/sys/module/fuse/parameters/enable_uring"

#define FEATURES_TIMEOUT_NS (5 * BENCH_NSEC)

/* LACK: fit for work, but not for the engines that ask for it. */
enum verdict { OK, WARN, LACK, BAD };

struct finding {
	enum verdict verdict;
	char *text; /* owned */
};

static struct finding found(enum verdict verdict, char *text)
{
	return (struct finding){verdict, text};
}

static const char *work_dir(void)
{
	const char *tmp = getenv("TMPDIR");

	return tmp && *tmp ? tmp : "/var/tmp";
}

static struct finding check_root(void)
{
	if (geteuid() == 0)
		return found(OK, bench_strdup("running as root"));
	return found(BAD, bench_strdup("not root; mounting and fanotify need it: use sudo"));
}

static struct finding check_fuse(void)
{
	auto_fd int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return found(OK, bench_strdup("/dev/fuse can be opened"));
	return found(
		BAD, bench_fmt("cannot open /dev/fuse: %s; modprobe fuse", strerror(errno)));
}

/*
 * What the daemon says of a feature, in its line "NAME yes|no REASON"; the reason is owned, ""
 * if there is none.
 */
static bool ask_feature(const char *name, char **ret_reason)
{
	auto_free char *bin = bench_catalog_bin();
	auto_free char *shell = bench_fmt("'%s/fuse_hsm' --features", bin);
	auto_free char *head = bench_fmt("%s ", name);
	auto_free char *out = NULL;
	char *line, *save = NULL;
	int code = bench_exec_output(shell, FEATURES_TIMEOUT_NS, &out);

	for (line = code == 0 ? strtok_r(out, "\n", &save) : NULL; line;
		line = strtok_r(NULL, "\n", &save)) {
		const char *answer = line + strlen(head);

		if (strncmp(line, head, strlen(head)))
			continue;
		*ret_reason = bench_strdup(answer + strcspn(answer, " "));
		memmove(*ret_reason, *ret_reason + strspn(*ret_reason, " "),
			strlen(*ret_reason + strspn(*ret_reason, " ")) + 1);
		return !strncmp(answer, "yes", 3);
	}
	*ret_reason = bench_fmt("fuse_hsm does not say whether it can do %s", name);
	return false;
}

static struct finding check_fuse_passthrough(void)
{
	auto_free char *reason = NULL;

	if (ask_feature("passthrough", &reason))
		return found(OK, bench_strdup("the kernel can read complete files by itself"));
	return found(LACK, bench_fmt("no FUSE passthrough: %s", reason));
}

/* That it is switched off is no lack: the engines that need it switch it on. */
static struct finding check_fuse_uring(void)
{
	auto_free char *reason = NULL;
	bool can = ask_feature("uring", &reason);

	if (!bench_exists(ENABLE_URING))
		return found(LACK, bench_strdup("no FUSE over io_uring; needs Linux 6.14"));
	if (can)
		return found(OK, bench_strdup("FUSE over io_uring works"));
	if (strstr(reason, "enable_uring"))
		return found(OK, bench_strdup("FUSE over io_uring is there, off until needed"));
	return found(LACK, bench_fmt("no FUSE over io_uring: %s", reason));
}

/*
 * Pre-content events on a file of its own: a mark on anything larger would stop the machine's
 * I/O.
 */
static struct finding check_fanotify(void)
{
	const char *dir = work_dir();
	auto_fd int group =
		fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
	auto_free char *path = bench_fmt("%s/hsmbench-doctor-XXXXXX", dir);
	auto_fd int file = -1;
	int ret, err;

	if (group < 0)
		return found(BAD, bench_fmt("no pre-content group: %s; needs root and "
					    "CONFIG_FANOTIFY_ACCESS_PERMISSIONS",
					  strerror(errno)));
	file = mkostemp(path, O_CLOEXEC);
	if (file < 0)
		return found(
			BAD, bench_fmt("cannot make a file in %s: %s", dir, strerror(errno)));
	ret = fanotify_mark(group, FAN_MARK_ADD, FAN_PRE_ACCESS, AT_FDCWD, path);
	err = errno;
	unlink(path);
	if (ret == 0)
		return found(OK, bench_strdup("pre-content events work"));
	if (err == EINVAL)
		return found(BAD, bench_strdup("no FAN_PRE_ACCESS; needs Linux 6.14 or later"));
	return found(BAD,
		bench_fmt("no pre-content events in %s: %s; set TMPDIR to ext4, xfs or btrfs",
			dir, strerror(err)));
}

static struct finding check_loop(void)
{
	auto_fd int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (fd >= 0 && ioctl(fd, LOOP_CTL_GET_FREE) >= 0)
		return found(OK, bench_strdup("a loop device is free"));
	return found(BAD, bench_fmt("no loop device: %s; modprobe loop", strerror(errno)));
}

static struct finding check_tools(void)
{
	static const char *const needed[] = {"nginx", "mkfs.xfs", "mkfs.ext4", "mkfs.btrfs",
		"fio", "gnuplot", "tar", "unzip", "curl", "find"};
	char *missing = bench_strdup("");

	for (size_t i = 0; i < BENCH_ARRAY_SIZE(needed); i++) {
		auto_free char *path = bench_which(needed[i]);
		char *longer;

		if (path)
			continue;
		longer = bench_fmt("%s %s", missing, needed[i]);
		free(missing);
		missing = longer;
	}
	if (!*missing) {
		free(missing);
		return found(OK, bench_strdup("all programs are there"));
	}
	return found(WARN, bench_fmt("missing:%s; run `make deps`", missing));
}

static struct finding check_space(void)
{
	struct statvfs v;
	uint64_t bytes;

	if (statvfs(work_dir(), &v) < 0)
		return found(
			BAD, bench_fmt("cannot look at %s: %s", work_dir(), strerror(errno)));
	bytes = (uint64_t)v.f_bavail * v.f_frsize;
	return found(bytes < FREE_MIN_BYTES ? BAD
		     : bytes < FREE_ADVISED ? WARN
					    : OK,
		bench_fmt("%llu GiB free in %s%s", (unsigned long long)(bytes >> 30),
			work_dir(),
			bytes < FREE_ADVISED ? "; 16 GiB are advised, see run --work" : ""));
}

static struct finding check_nofile(void)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_NOFILE, &limit);
	return found(limit.rlim_max < NOFILE_MIN ? WARN : OK,
		bench_fmt("at most %llu open files%s", (unsigned long long)limit.rlim_max,
			limit.rlim_max < NOFILE_MIN ? "; ulimit -Hn 65536" : ""));
}

static struct finding check_load(void)
{
	double load = 0, cpus = (double)sysconf(_SC_NPROCESSORS_ONLN);
	bool busy;

	if (getloadavg(&load, 1) != 1)
		return found(WARN, bench_strdup("no load average"));
	busy = load > cpus / 2;
	return found(busy ? WARN : OK, bench_fmt("load %.2f on %.0f CPUs%s", load, cpus,
					       busy ? "; wait until the machine is idle" : ""));
}

static struct finding check_leftovers(void)
{
	auto_free char *dir = bench_state_dir();
	unsigned int dead = 0, alive = 0;
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		auto_free char *path = bench_fmt("%s/%s", dir, e->d_name);
		struct bench_state *s;
		int ret;

		if (e->d_name[0] == '.')
			continue;
		ret = bench_state_open(path, &s);
		alive += ret == -EBUSY;
		dead += ret == 0;
		if (ret == 0)
			bench_state_close(s);
	}
	if (d)
		closedir(d);
	if (dead)
		return found(WARN, bench_fmt("%u dead session%s; hsmbench clean", dead,
					   dead == 1 ? "" : "s"));
	if (alive)
		return found(WARN, bench_strdup("another hsmbench is running"));
	return found(OK, bench_strdup("nothing left behind"));
}

static const struct check {
	const char *name;
	struct finding (*run)(void);
} checks[] = {
	{"root", check_root},
	{"fuse", check_fuse},
	{"fuse-passthrough", check_fuse_passthrough},
	{"fuse-uring", check_fuse_uring},
	{"fanotify", check_fanotify},
	{"loop", check_loop},
	{"tools", check_tools},
	{"space", check_space},
	{"nofile", check_nofile},
	{"load", check_load},
	{"leftovers", check_leftovers},
};

static bool run_check(const struct check *c)
{
	static const char *const words[] = {"ok", "warn", "lack", "FAIL"};
	struct finding f = c->run();

	printf("%-16s %-4s  %s\n", c->name, words[f.verdict], f.text);
	free(f.text);
	return f.verdict != BAD;
}

static const struct check *find_check(const char *name)
{
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(checks); i++)
		if (!strcmp(checks[i].name, name))
			return &checks[i];
	bench_say("no check '%s'; `hsmbench doctor` names them", name);
	return NULL;
}

/*
 * Only the sentences, or that of the first check that says no: the reason of an engine. Exit
 * code.
 */
static int run_named(char **names)
{
	auto_free char *text = bench_strdup("");

	for (; *names; names++) {
		const struct check *c = find_check(*names);
		struct finding f = c ? c->run() : found(BAD, NULL);
		char *longer = c ? bench_fmt("%s%s\n", text, f.text) : NULL;

		if (f.verdict >= LACK) {
			if (c)
				puts(f.text);
			free(f.text);
			free(longer);
			return c ? BENCH_EXIT_REQUIREMENT : BENCH_EXIT_USAGE;
		}
		free(f.text);
		free(text);
		text = longer;
	}
	fputs(text, stdout);
	return BENCH_EXIT_OK;
}

int bench_cmd_doctor(int argc, char **argv)
{
	bool good = true;

	if (argc > 1 && argv[1][0] == '-') {
		puts("usage: hsmbench doctor [CHECK...]");
		return strcmp(argv[1], "--help") ? BENCH_EXIT_USAGE : BENCH_EXIT_OK;
	}
	if (argc > 1)
		return run_named(argv + 1);
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(checks); i++)
		good &= run_check(&checks[i]);
	return good ? BENCH_EXIT_OK : BENCH_EXIT_REQUIREMENT;
}
