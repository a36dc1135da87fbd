/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_FILTER_H
#define HSM_FILTER_H
/*
 * Which names of the origin are managed. The rules, as users of rsync know them:
 *
 *   The first rule that matches decides; a name that none matches is included. What is below an
 *   excluded directory is never seen, so no rule can bring it back.
 *   A pattern is that of fnmatch(3) with FNM_PATHNAME: '*' and '?' do not match a slash.
 *   A slash at its end: only directories match, and the slash itself does not count.
 *   Any other slash: it is matched against the path relative to the origin's root (one slash
 *   in front does no more than that). No other slash: against the last component.
 *
 * A subtree is a directory: it and all below it are subject to the rules, the directories that lead
 * to it are kept as they are, and all else is out.
 */
#include <stdbool.h>

struct hsm_listing;

#define HSM_FILTER_RULES 64

struct hsm_filter_rule {
	const char *pattern; /* without a slash in front */
	bool include;
	bool anchored; /* against the path, not the last component */
};

/* All zero: everything is kept. Strings are borrowed. */
struct hsm_filter {
	const char *subtree; /* NULL = the whole origin */
	unsigned int subtree_len;
	unsigned int rules;
	struct hsm_filter_rule rule[HSM_FILTER_RULES];
};

/* -EINVAL + text: empty, "." or ".." in it, or (add) "**", an empty component, too many rules. */
int hsm_filter_set_subtree(struct hsm_filter *f, const char *path);
int hsm_filter_add(struct hsm_filter *f, const char *pattern, bool include);

/* @path relative to the root, no slash at either end; what it is below was asked before. */
bool hsm_filter_keeps(const struct hsm_filter *f, const char *path, bool is_dir);

/* Drops what is not kept from the entries of directory @dir (a path as above, "" = the root). */
void hsm_filter_listing(const struct hsm_filter *f, const char *dir, struct hsm_listing *l);

#endif
