/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fan_hsm/status.h"

#include "fan_hsm/answer.h"
#include "fan_hsm/changes.h"
#include "fan_hsm/marks_dir.h"
#include "fan_hsm/shared.h"
#include "fan_hsm/worker.h"

static void add_number(json_t *into, const char *name, uint64_t value)
{
	json_object_set_new(into, name, json_integer((json_int_t)value));
}

static json_t *marks_json(struct fan_hsm *fan)
{
	const struct fan_hsm_counters *c = &fan->count;
	json_t *o = json_object();

	json_object_set_new(o, "scheme", json_string(fan_hsm_marks_names[fan->own->marks]));
	json_object_set_new(o, "event", json_string(fan_hsm_events_names[fan->own->events]));
	add_number(o, "ignore_set", c->set[FAN_HSM_MARK_IGNORE]);
	add_number(o, "dir_set", c->set[FAN_HSM_MARK_NAMES]);
	add_number(o, "dir_removed", c->removed[FAN_HSM_MARK_NAMES]);
	add_number(o, "parent_set", c->set[FAN_HSM_MARK_PARENT]);
	add_number(o, "parent_removed", c->removed[FAN_HSM_MARK_PARENT]);
	add_number(o, "parents", fan_hsm_marks_dir_count(fan));
	add_number(o, "file_set", c->set[FAN_HSM_MARK_FILE]);
	add_number(o, "file_removed", c->removed[FAN_HSM_MARK_FILE]);
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
	add_number(o, "files", w->files);
	add_number(o, "marked", w->marked);
	add_number(o, "ns", w->ns);
	return o;
}

/* Of a process that may have died since it wrote its id. */
static json_t *pid_json(int32_t pid)
{
	return fan_hsm_shared_lives(pid) ? json_integer(pid) : json_null();
}

void fan_hsm_status_supervisor(const struct fan_hsm_shared *s, bool here, json_t *into)
{
	json_t *o = json_object(), *pids = json_object();

	json_object_set_new(
		pids, "supervisor", here ? pid_json(atomic_load(&s->supervisor)) : json_null());
	json_object_set_new(pids, "worker", pid_json(atomic_load(&s->worker)));
	json_object_set_new(pids, "guard", pid_json(atomic_load(&s->guard)));
	json_object_set_new(o, "pids", pids);
	add_number(o, "restarts", s->restarts);
	add_number(o, "redone", s->redone);
	add_number(o, "abandoned", s->abandoned);
	add_number(o, "denied", s->denied);
	add_number(o, "allowed", s->allowed);
	json_object_set_new(into, "supervisor", o);
}

void fan_hsm_status(struct fan_hsm *fan, json_t *into)
{
	fan_hsm_answers_status(fan->answers, into);
	fan_hsm_changes_status(fan, into);
	json_object_set_new(into, "marks", marks_json(fan));
	json_object_set_new(into, "trouble", trouble_json(&fan->count));
	json_object_set_new(into, "walk", walk_json(&fan->walk));
	if (fan->own->supervise)
		fan_hsm_status_supervisor(fan->shared, !fan_hsm_worker_is_orphan(fan), into);
}
