/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ORIGINSRV_RULES_H
#define ORIGINSRV_RULES_H
/* The control file of originsrv: rules, how often each was used, which one applies. */
#include <fnmatch.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULES_MAX 256

static const char *control_path;

struct rule {
	char fault[32];
	char text[256]; /* the argument as written */
	long long number[2];
	unsigned long used; /* how often it matched, this time included */
};

/* Use counts by rule text, protected by used_lock. */
static pthread_mutex_t used_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	char line[512];
	unsigned long used;
} used_rule[RULES_MAX];

static unsigned long count_use(const char *line)
{
	unsigned long used = 0;

	pthread_mutex_lock(&used_lock);
	for (int i = 0; i < RULES_MAX; i++) {
		if (used_rule[i].used && strcmp(used_rule[i].line, line))
			continue;
		snprintf(used_rule[i].line, sizeof(used_rule[i].line), "%s", line);
		used = ++used_rule[i].used;
		break;
	}
	pthread_mutex_unlock(&used_lock);
	return used;
}

/* A rule that was used up or whose time has not come does not match. */
static bool rule_applies(const struct rule *r)
{
	if (!strcmp(r->fault, "status") || !strcmp(r->fault, "stall"))
		return !r->number[1] || r->used <= (unsigned long)r->number[1];
	if (!strcmp(r->fault, "etag"))
		return r->used > (unsigned long)r->number[0];
	return true;
}

/* The first rule for @path. False: none, serve honestly. */
static bool find_rule(const char *path, struct rule *ret)
{
	FILE *f = control_path ? fopen(control_path, "re") : NULL;
	char line[512], glob[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		struct rule r = {0};
		int n = sscanf(
			line, "%255s %31s %255s %lld", glob, r.fault, r.text, &r.number[1]);

		if (n < 2 || *glob == '#' || fnmatch(glob, path, 0))
			continue;
		r.number[0] = atoll(r.text);
		r.used = count_use(line);
		found = rule_applies(&r);
		if (found)
			*ret = r;
	}
	if (f)
		fclose(f);
	return found;
}

static bool control_refuses(void)
{
	FILE *f = control_path ? fopen(control_path, "re") : NULL;
	char line[512], fault[32] = "";
	bool refuse = false;

	while (f && !refuse && fgets(line, sizeof(line), f))
		refuse = sscanf(line, "%*255s %31s", fault) == 1 && !strcmp(fault, "refuse");
	if (f)
		fclose(f);
	return refuse;
}

static bool is_fault(const struct rule *r, const char *fault)
{
	return r && !strcmp(r->fault, fault);
}

#endif
