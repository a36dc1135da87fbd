/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/environ.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "harness/err.h"
#include "harness/exec.h"
#include "harness/loopfs.h"
#include "harness/util.h"

#define ASK_TIMEOUT_NS (20 * BENCH_NSEC)

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* Takes @text; what is not UTF-8 becomes null. */
static void set_text(json_t *object, const char *name, char *text)
{
	json_t *json = json_string(text);

	json_object_set_new(object, name, json ? json : json_null());
	free(text);
}

/* First line of what a shell command prints, "" if it fails; owned. */
static char *ask(const char *shell)
{
	auto_free char *out = NULL;

	if (bench_exec_output(shell, ASK_TIMEOUT_NS, &out) != 0)
		return bench_strdup("");
	return bench_fmt("%.*s", (int)strcspn(out, "\n"), out);
}

static void set_sha256(json_t *object, const char *name, const char *path)
{
	auto_free char *shell = bench_fmt("sha256sum '%s' 2>/dev/null | cut -d' ' -f1", path);

	set_text(object, name, ask(shell));
}

static json_t *tool_json(const struct bench_session *s)
{
	json_t *tool = json_pack("{s:s, s:s, s:s}", "name", "hsmbench", "version", HSM_VERSION,
		"compiler", COMPILER);
	auto_free char *commit = bench_fmt("git -C '%s' rev-parse HEAD 2>/dev/null", s->home);
	auto_free char *dirty =
		bench_fmt("git -C '%s' status --porcelain 2>/dev/null", s->home);
	auto_free char *changes = ask(dirty);
	auto_free char *lib = bench_fmt("%s/../libhsm.a", s->bin);
	static const char *const programs[] = {"fuse_hsm", "fan_hsm", "hsmctl", "hsmbench"};

	set_text(tool, "commit", ask(commit));
	json_object_set_new(tool, "dirty", json_boolean(*changes));
	set_sha256(tool, "libhsm_sha256", lib);
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(programs); i++) {
		auto_free char *path = bench_fmt("%s/%s", s->bin, programs[i]);
		auto_free char *name = bench_fmt("%s_sha256", programs[i]);

		set_sha256(tool, name, path);
	}
	return tool;
}

/* It may be linked into the daemon, so only the daemon knows. */
static char *libfuse_version(const struct bench_session *s)
{
	auto_free char *shell =
		bench_fmt("('%s/fuse_hsm' --version; '%s/fuse_hsm' --features) 2>/dev/null | "
			  "sed -n 's/.*libfuse \\([0-9][0-9.]*\\).*/\\1/p'",
			s->bin, s->bin);

	return ask(shell);
}

static json_t *versions_json(const struct bench_session *s)
{
	static const struct {
		const char *name, *shell;
	} asks[] = {
		{"libcurl", "curl --version | sed -n '1s/.*libcurl.\\([0-9.]*\\).*/\\1/p'"},
		{"nginx", "nginx -v 2>&1 | sed 's/.*: //'"},
		{"fio", "fio --version"},
		{"gnuplot", "gnuplot --version"},
		{"tar", "tar --version"},
		{"unzip", "unzip -v"},
		{"mkfs_xfs", "mkfs.xfs -V"},
		{"mkfs_ext4", "mkfs.ext4 -V 2>&1"},
		{"mkfs_btrfs", "mkfs.btrfs -V"},
		{"libc", "getconf GNU_LIBC_VERSION"},
		{"os", ". /etc/os-release && echo \"$PRETTY_NAME\""},
	};
	json_t *versions = json_object();

	for (size_t i = 0; i < BENCH_ARRAY_SIZE(asks); i++)
		set_text(versions, asks[i].name, ask(asks[i].shell));
	set_text(versions, "libfuse", libfuse_version(s));
	return versions;
}

static json_t *kernel_json(void)
{
	json_t *kernel = json_object();
	struct utsname u;

	uname(&u);
	set_text(kernel, "release", bench_strdup(u.release));
	set_text(kernel, "version", bench_strdup(u.version));
	set_text(kernel, "machine", bench_strdup(u.machine));
	set_text(kernel, "cmdline", bench_file_line("/proc/cmdline"));
	json_object_set_new(kernel, "taint",
		json_integer(bench_file_number("/proc/sys/kernel/tainted", -1)));
	return kernel;
}

static json_t *cpu_json(void)
{
	json_t *cpu = json_object();

	set_text(cpu, "model",
		ask("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1"));
	json_object_set_new(cpu, "count", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	set_text(cpu, "governor",
		bench_file_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
	set_text(cpu, "smt", bench_file_line("/sys/devices/system/cpu/smt/active"));
	set_text(cpu, "clocksource",
		bench_file_line(
			"/sys/devices/system/clocksource/clocksource0/current_clocksource"));
	set_text(cpu, "virtualization",
		ask("systemd-detect-virt 2>/dev/null || (grep -q '^flags.* hypervisor' "
		    "/proc/cpuinfo && echo virtual machine)"));
	return cpu;
}

static json_t *memory_json(void)
{
	json_t *memory = json_object();
	auto_free char *kib = ask("sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo");
	auto_free char *swap =
		ask("sed -n 's/^SwapTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo");

	json_object_set_new(memory, "total_bytes", json_integer(atoll(kib) * 1024));
	json_object_set_new(memory, "swap_bytes", json_integer(atoll(swap) * 1024));
	set_text(memory, "thp", bench_file_line("/sys/kernel/mm/transparent_hugepage/enabled"));
	return memory;
}

static json_t *storage_json(const struct bench_session *s)
{
	json_t *storage = json_object();
	const char *options = bench_loopfs_options(s->opt.fs);
	auto_free char *shell =
		bench_fmt("df --output=source,fstype '%s' | tail -n 1", s->work);

	set_text(storage, "fs", bench_strdup(s->opt.fs));
	set_text(storage, "device", bench_strdup("loop"));
	set_text(storage, "backing", ask(shell));
	set_text(storage, "mkfs", bench_strdup(bench_loopfs_mkfs(s->opt.fs)));
	set_text(storage, "mount_options",
		bench_fmt("noatime%s%s", *options ? "," : "", options));
	return storage;
}

static json_t *sysctl_json(void)
{
	static const char *const names[] = {
		"fs/fanotify/max_queued_events",
		"fs/fanotify/max_user_groups",
		"fs/fanotify/max_user_marks",
		"fs/fanotify/watchdog_timeout",
		"fs/nr_open",
		"kernel/randomize_va_space",
		"vm/dirty_background_bytes",
		"vm/dirty_background_ratio",
		"vm/dirty_bytes",
		"vm/dirty_ratio",
		"vm/vfs_cache_pressure",
	};
	json_t *sysctl = json_object();
	struct rlimit limit = {0};

	for (size_t i = 0; i < BENCH_ARRAY_SIZE(names); i++) {
		auto_free char *path = bench_fmt("/proc/sys/%s", names[i]);

		if (bench_exists(path))
			json_object_set_new(
				sysctl, names[i], json_integer(bench_file_number(path, -1)));
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	json_object_set_new(sysctl, "nofile", json_integer((json_int_t)limit.rlim_cur));
	return sysctl;
}

/* Tells machines apart without naming them. */
static char *hashed_host(void)
{
	char name[256] = "";

	gethostname(name, sizeof(name) - 1);
	return bench_fmt("%016llx", (unsigned long long)XXH64(name, strlen(name), 0));
}

static char *start_time(void)
{
	time_t now = time(NULL);
	char text[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return bench_strdup(text);
}

json_t *bench_environ_json(const struct bench_session *s, int argc, char **argv)
{
	json_t *m = json_pack("{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema", 1,
		"id", s->id, "tool", tool_json(s), "versions", versions_json(s), "kernel",
		kernel_json(), "cpu", cpu_json(), "memory", memory_json(), "storage",
		storage_json(s), "sysctl", sysctl_json());
	json_t *command = json_array();

	json_array_append_new(command, json_string("hsmbench"));
	for (int i = 0; i < argc; i++) {
		json_t *word = json_string(argv[i]);

		json_array_append_new(command, word ? word : json_null());
	}
	json_object_set_new(m, "command", command);
	set_text(m, "preset", bench_strdup(s->opt.preset));
	json_object_set_new(m, "seed", json_integer((json_int_t)s->opt.seed));
	json_object_set_new(m, "trace", json_boolean(s->opt.trace));
	set_text(m, "start", start_time());
	set_text(m, "host", hashed_host());
	return m;
}
