/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/status.h"

#include "fan_hsm/answer.h"

static void add_number(json_t *into, const char *name, uint64_t value)
{
	json_object_set_new(into, name, json_integer((json_int_t)value));
}

static json_t *marks_json(const struct fan_hsm_counters *c)
{
	json_t *o = json_object();

	json_object_set_new(o, "scheme", json_string("fs"));
	add_number(o, "ignore_set", c->ignore_set);
	add_number(o, "dir_set", c->dir_set);
	add_number(o, "dir_removed", c->dir_removed);
	add_number(o, "errors", c->mark_errors);
	return o;
}

static json_t *trouble_json(const struct fan_hsm_counters *c)
{
	json_t *o = json_object();

	add_number(o, "fd_errors", c->fd_errors);
	add_number(o, "overflows", c->overflows);
	add_number(o, "read_errors", c->read_errors);
	return o;
}

static json_t *walk_json(const struct fan_hsm_walk *w)
{
	json_t *o = json_object();

	add_number(o, "directories", w->directories);
	add_number(o, "marked", w->marked);
	add_number(o, "ns", w->ns);
	return o;
}

void fan_hsm_status(struct fan_hsm *fan, json_t *into)
{
	fan_hsm_answers_status(fan->answers, into);
	json_object_set_new(into, "marks", marks_json(&fan->count));
	json_object_set_new(into, "trouble", trouble_json(&fan->count));
	json_object_set_new(into, "walk", walk_json(&fan->walk));
}
