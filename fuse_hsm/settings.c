/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "fuse_hsm/fs.h"
#include "hsm/util.h"

#define THREADS_MAX 256
#define DEPTH_MAX   1024
#define URING_FLAG  "/sys/module/fuse/parameters/enable_uring"

/* What the command line said, before it is known which row of the mode table it changes. */
struct given {
	struct fuse_hsm_settings *settings;
	char *list; /* all -o, joined; owned */
	unsigned int threads, uring_depth; /* 0 = not given */
	uint64_t attr_timeout_ns, entry_timeout_ns; /* UINT64_MAX = not given */
	int readdirplus; /* -1 = not given */
};

/* ---- options of our own ---- */

/* Adds @word to a comma list, owned; NULL = empty. */
static int append(char **list, const char *word)
{
	char *joined = NULL;

	if (asprintf(&joined, "%s%s%s", *list ? *list : "", *list ? "," : "", word) < 0)
		return -ENOMEM;
	free(*list);
	*list = joined;
	return 0;
}

static int set_mount_option(void *target, const char *value)
{
	return append(&((struct given *)target)->list, value);
}

static int set_mode(void *target, const char *value)
{
	struct given *g = target;
	const struct fuse_hsm_mode *m = fuse_hsm_mode_find(value);

	if (!m)
		return hsm_err(EINVAL,
			"mode '%s' is not one of base, opt, default, passthrough", value);
	g->settings->mode = *m;
	return 0;
}

static int set_uring(void *target, const char *value)
{
	(void)value;
	((struct given *)target)->settings->uring = true;
	return 0;
}

static int set_inodes(void *target, const char *value)
{
	if (strcmp(value, "handle") && strcmp(value, "fd"))
		return hsm_err(EINVAL, "inodes '%s' is not one of handle, fd", value);
	((struct given *)target)->settings->pin_fds = !strcmp(value, "fd");
	return 0;
}

static int set_threads(void *target, const char *value)
{
	char *end;
	long n = strtol(value, &end, 10);

	if (*end || end == value || n < 1 || n > THREADS_MAX)
		return hsm_err(
			EINVAL, "'%s' threads: use a number from 1 to %d", value, THREADS_MAX);
	((struct given *)target)->threads = (unsigned int)n;
	return 0;
}

static int set_uring_depth(void *target, const char *value)
{
	char *end;
	long n = strtol(value, &end, 10);

	if (*end || end == value || n < 1 || n > DEPTH_MAX)
		return hsm_err(EINVAL, "uring-depth '%s': use a number from 1 to %d", value,
			DEPTH_MAX);
	((struct given *)target)->uring_depth = (unsigned int)n;
	return 0;
}

static int set_attr_timeout(void *target, const char *value)
{
	return hsm_parse_duration(value, &((struct given *)target)->attr_timeout_ns);
}

static int set_entry_timeout(void *target, const char *value)
{
	return hsm_parse_duration(value, &((struct given *)target)->entry_timeout_ns);
}

static int set_readdirplus(void *target, const char *value)
{
	static const char *const names[] = {"off", "auto", "always"};

	for (int n = 0; n < (int)HSM_ARRAY_SIZE(names); n++) {
		if (!strcmp(value, names[n])) {
			((struct given *)target)->readdirplus = n;
			return 0;
		}
	}
	return hsm_err(EINVAL, "readdirplus '%s' is not one of off, auto, always", value);
}

static int set_cache(void *target, const char *value)
{
	((struct given *)target)->settings->cache = value;
	return 0;
}

static int set_features(void *target, const char *value)
{
	(void)value;
	((struct given *)target)->settings->features = true;
	return 0;
}

static const struct hsm_option own_options[] = {
	{0, "mode", "MODE", "base, opt, default or passthrough, see below (default)", set_mode},
	{0, "uring", NULL, "requests over io_uring", set_uring},
	{0, "uring-depth", "N", "requests of a CPU that may wait in its ring (64)",
		set_uring_depth},
	{0, "inodes", "HOW", "what keeps an inode: handle, or an open fd (handle)", set_inodes},
	{0, "threads", "N", "threads that take requests (the mode's)", set_threads},
	{0, "attr-timeout", "TIME", "how long the kernel keeps attributes (the mode's)",
		set_attr_timeout},
	{0, "entry-timeout", "TIME", "how long the kernel keeps names (the mode's)",
		set_entry_timeout},
	{0, "readdirplus", "WHEN", "names with attributes: off, auto, always (the mode's)",
		set_readdirplus},
	{0, "cache", "CACHE", "the cache, where only ORIGIN and MOUNTPOINT are given",
		set_cache},
	{'o', "mount", "OPTIONS",
		"comma list: mount options, and any long option above or below",
		set_mount_option},
	{0, "features", NULL, "print which modes work here, and exit", set_features},
	{0},
};

/* ---- the comma list of -o ---- */

/* What mount(8) and fstab(5) mean for themselves. */
static bool is_for_mount(const char *word)
{
	static const char *const words[] = {"defaults", "auto", "noauto", "user", "nouser",
		"users", "owner", "group", "nofail", "_netdev"};

	if (!strncmp(word, "x-", 2) || !strncmp(word, "X-", 2) || !strncmp(word, "comment=", 8))
		return true;
	for (size_t n = 0; n < HSM_ARRAY_SIZE(words); n++)
		if (!strcmp(word, words[n]))
			return true;
	return false;
}

static int keep_mount_option(struct fuse_hsm_settings *s, const char *word)
{
	if (!strcmp(word, "ro") || !strcmp(word, "rw"))
		s->read_only = word[1] == 'o';
	return append(&s->mount_options, word);
}

/* @word may be one of ours: name, or name=value. */
static int take_word(struct given *g, char *word)
{
	char *value = strchr(word, '=');
	int r;

	if (!*word || is_for_mount(word))
		return 0;
	if (value)
		*value = 0;
	r = hsm_options_set(&g->settings->hsm, own_options, g, word, value ? value + 1 : NULL);
	if (r)
		return HSM_MIN(r, 0);
	if (value)
		*value = '=';
	return keep_mount_option(g->settings, word);
}

/* Ends the first word of @list in place, at a comma without backslash; returns the rest. */
static char *cut_word(char *list)
{
	for (; *list; list++) {
		if (*list == '\\' && list[1])
			list++;
		else if (*list == ',')
			break;
	}
	if (!*list)
		return NULL;
	*list = 0;
	return list + 1;
}

static int take_list(struct given *g)
{
	char *word, *next;
	int r = 0;

	/* Their values point into it. */
	g->settings->words = hsm_take_ptr(g->list);
	for (word = g->settings->words; word && !r; word = next) {
		next = cut_word(word);
		r = take_word(g, word);
	}
	return r;
}

/* ---- all of it ---- */

static void apply_to_mode(const struct given *g)
{
	struct fuse_hsm_mode *m = &g->settings->mode;

	if (g->threads)
		m->threads = g->threads;
	if (g->uring_depth)
		m->uring_depth = g->uring_depth;
	if (g->attr_timeout_ns != UINT64_MAX)
		m->attr_timeout_ns = g->attr_timeout_ns;
	if (g->entry_timeout_ns != UINT64_MAX)
		m->entry_timeout_ns = g->entry_timeout_ns;
	if (g->readdirplus >= 0)
		m->readdirplus = (enum fuse_hsm_readdirplus)g->readdirplus;
}

static int take_positional(struct fuse_hsm_settings *s, int count, char **words)
{
	if (s->cache && count == 2) {
		s->origin = words[0];
		s->mountpoint = words[1];
		return 0;
	}
	if (s->cache)
		return hsm_err(
			EINVAL, "with --cache it needs ORIGIN and MOUNTPOINT; see --help");
	if (count != 3)
		return hsm_err(EINVAL, "needs ORIGIN, CACHE and MOUNTPOINT; see --help");
	s->origin = words[0];
	s->cache = words[1];
	s->mountpoint = words[2];
	return 0;
}

static int check(const struct fuse_hsm_settings *s)
{
	const char *missing = fuse_hsm_mode_missing(&s->mode, s->uring);

	if (missing)
		return hsm_err(EINVAL, "--mode %s%s cannot be used: %s", s->mode.name,
			s->uring ? " --uring" : "", missing);
	return 0;
}

int fuse_hsm_settings_parse(struct fuse_hsm_settings *s, int argc, char **argv)
{
	struct given g = {
		.settings = s,
		.attr_timeout_ns = UINT64_MAX,
		.entry_timeout_ns = UINT64_MAX,
		.readdirplus = -1,
	};
	int first, r;

	*s = (struct fuse_hsm_settings){.mode = *fuse_hsm_mode_find("default")};
	hsm_options_default(&s->hsm);
	r = hsm_options_parse(&s->hsm, own_options, &g, argc, argv, &first);
	if (!r && g.list)
		r = take_list(&g);
	free(g.list);
	if (r || s->hsm.help || s->hsm.version || s->features)
		return r;
	apply_to_mode(&g);
	r = check(s);
	return r ? r : take_positional(s, argc - first, argv + first);
}

void fuse_hsm_settings_release(struct fuse_hsm_settings *s)
{
	free(s->mount_options);
	free(s->words);
}

char *fuse_hsm_settings_help(void)
{
	auto_free char *rows = hsm_options_help(own_options), *modes = fuse_hsm_modes_help();
	char *text = NULL;

	if (!rows || !modes ||
		asprintf(&text,
			"usage: fuse_hsm [options] ORIGIN CACHE MOUNTPOINT\n"
			"       fuse_hsm ORIGIN MOUNTPOINT -o cache=CACHE[,option...]\n"
			"Serves ORIGIN (a directory or a URL) at MOUNTPOINT, keeping what was read in CACHE.\n"
			"%s\nmodes:\n%s",
			rows, modes) < 0)
		return NULL;
	return text;
}

/* ---- features ---- */

/* Why the kernel does not take requests over io_uring now; NULL if it does. */
static const char *uring_missing(void)
{
	auto_fd int fd = open(URING_FLAG, O_RDONLY | O_CLOEXEC);
	char on = 0;

	if (!fuse_hsm_conn_has_custom_io())
		return "libfuse was built without custom I/O; make deps builds one with it";
	if (fd < 0)
		return "the kernel has no FUSE over io_uring (Linux 6.14, CONFIG_FUSE_IO_URING)";
	if (read(fd, &on, 1) != 1 || on != 'Y')
		return "it is switched off; as root: echo Y > " URING_FLAG;
	return NULL;
}

/* The start of the daemon asks the kernel itself; this is what can be told without a mount. */
static const char *passthrough_missing(void)
{
	const char *missing = fuse_hsm_mode_missing(fuse_hsm_mode_find("passthrough"), false);
	unsigned int major = 0, minor = 0;
	struct utsname name;

	if (missing)
		return missing;
	if (!uname(&name) && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
		(major < 6 || (major == 6 && minor < 9)))
		return "the kernel has no FUSE passthrough (Linux 6.9, CONFIG_FUSE_PASSTHROUGH)";
	return NULL;
}

static void feature(FILE *out, const char *name, const char *missing)
{
	fprintf(out, "%s %s%s%s\n", name, missing ? "no" : "yes", missing ? " " : "",
		missing ? missing : "");
}

char *fuse_hsm_settings_features(void)
{
	static const char *const names[] = {"base", "opt", "default"};
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	for (size_t n = 0; n < HSM_ARRAY_SIZE(names); n++)
		feature(out, names[n],
			fuse_hsm_mode_missing(fuse_hsm_mode_find(names[n]), false));
	feature(out, "passthrough", passthrough_missing());
	feature(out, "uring", uring_missing());
	fprintf(out, "libfuse %s\n", fuse_pkgversion());
	fclose(out);
	return text;
}
