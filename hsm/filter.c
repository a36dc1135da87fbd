/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/err.h"
#include "hsm/origin.h"

/* A path an origin could list: components that are names. */
static bool is_plain_path(const char *path, size_t len)
{
	const char *end = path + len;

	while (path < end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		size_t n = (size_t)((slash ? slash : end) - path);

		if (hsm_name_check(path, n) || (slash && slash + 1 == end))
			return false;
		path += n + !!slash;
	}
	return len > 0;
}

int hsm_filter_set_subtree(struct hsm_filter *f, const char *path)
{
	size_t len;

	while (*path == '/')
		path++;
	len = strlen(path);
	while (len && path[len - 1] == '/')
		len--;
	if (len >= PATH_MAX || !is_plain_path(path, len))
		return hsm_err(EINVAL,
			"subtree '%s' is not a path below the origin's root; use for example "
			"debian/dists",
			path);
	f->subtree = path;
	f->subtree_len = (unsigned int)len;
	return 0;
}

int hsm_filter_add(struct hsm_filter *f, const char *pattern, bool include)
{
	const char *text = pattern, *slash;

	if (*pattern == '/')
		pattern++;
	slash = strchr(pattern, '/');
	if (!*pattern || *pattern == '/' || strstr(pattern, "//") || strstr(pattern, "**"))
		return hsm_err(EINVAL,
			"pattern '%s' is empty or has '//' or '**', which have no meaning here",
			text);
	if (f->rules == HSM_FILTER_RULES)
		return hsm_err(EINVAL, "more than %d --include and --exclude options",
			HSM_FILTER_RULES);
	f->rule[f->rules++] = (struct hsm_filter_rule){
		.pattern = pattern,
		.include = include,
		.anchored = pattern != text || (slash && slash[1]),
	};
	return 0;
}

/* 1 above the subtree, 0 at or below it, -1 apart from it. */
static int side_of_subtree(const struct hsm_filter *f, const char *path, size_t len)
{
	size_t n = f->subtree_len;

	if (len < n && !memcmp(path, f->subtree, len) && f->subtree[len] == '/')
		return 1;
	return len >= n && !memcmp(path, f->subtree, n) && (len == n || path[n] == '/') ? 0
											: -1;
}

/*
 * @path ends in a slash if it is a directory: a pattern for directories only then matches
 * with its own. The others are matched without it.
 */
static bool matches(const struct hsm_filter_rule *rule, char *path, size_t len, bool is_dir)
{
	bool dirs_only = rule->pattern[strlen(rule->pattern) - 1] == '/';
	const char *name = path;

	if (dirs_only && !is_dir)
		return false;
	path[len] = dirs_only ? '/' : 0;
	path[len + 1] = 0;
	if (!rule->anchored) {
		char *slash = memrchr(path, '/', len);

		name = slash ? slash + 1 : path;
	}
	return !fnmatch(rule->pattern, name, FNM_PATHNAME);
}

bool hsm_filter_keeps(const struct hsm_filter *f, const char *path, bool is_dir)
{
	char copy[PATH_MAX + 2];
	size_t len = strlen(path);
	int side = f->subtree ? side_of_subtree(f, path, len) : 0;

	if (side || (f->subtree && len == f->subtree_len))
		return side >= 0 && is_dir;
	if (len >= PATH_MAX)
		return true; /* refused elsewhere, and said so */
	memcpy(copy, path, len + 1);
	for (unsigned int i = 0; i < f->rules; i++)
		if (matches(&f->rule[i], copy, len, is_dir))
			return f->rule[i].include;
	return true;
}

void hsm_filter_listing(const struct hsm_filter *f, const char *dir, struct hsm_listing *l)
{
	char path[PATH_MAX + 512];
	size_t n = 0;

	if (!f->subtree && !f->rules)
		return;
	for (size_t i = 0; i < l->count; i++) {
		snprintf(path, sizeof(path), "%s%s%s", dir, *dir ? "/" : "", l->entry[i].name);
		if (hsm_filter_keeps(f, path, S_ISDIR(l->entry[i].mode)))
			l->entry[n++] = l->entry[i];
	}
	l->count = n;
}
