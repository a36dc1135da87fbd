/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/workload.h"

#include <errno.h>
#include <string.h>

#include "harness/err.h"
#include "harness/ini.h"
#include "harness/util.h"

#define SPACES		   " \t\n,"
#define DEVICE_BYTES	   (8ULL << 30)
#define DEFAULT_TIMEOUT_NS (300 * BENCH_NSEC)

const char *const bench_state_names[BENCH_STATES] = {"cold-origin", "cold-cache", "warm"};

/* A key that is stored as text: where it goes. */
struct text_key {
	const char *name;
	size_t offset;
};

static const struct text_key workload_text[] = {
	{"name", offsetof(struct bench_workload, name)},
	{"title", offsetof(struct bench_workload, title)},
	{"group", offsetof(struct bench_workload, group)},
	{"input", offsetof(struct bench_workload, input)},
};

static const struct text_key step_text[] = {
	{"title", offsetof(struct bench_step, title)},
	{"run", offsetof(struct bench_step, run)},
	{"job", offsetof(struct bench_step, job)},
	{"main", offsetof(struct bench_step, main)},
	{"ops", offsetof(struct bench_step, ops)},
	{"prepare", offsetof(struct bench_step, prepare)},
	{"cleanup", offsetof(struct bench_step, cleanup)},
	{"files", offsetof(struct bench_step, files)},
	{"accept", offsetof(struct bench_step, accept)},
};

/* True if @name is one of @keys; its text is stored in @object. */
static bool set_text(const struct text_key *keys, size_t count, void *object, const char *name,
	const char *value)
{
	for (size_t i = 0; i < count; i++) {
		char **field = (char **)((char *)object + keys[i].offset);

		if (strcmp(keys[i].name, name))
			continue;
		free(*field);
		*field = bench_strdup(value);
		return true;
	}
	return false;
}

static void set_list(char ***list, const char *value)
{
	bench_strv_free(*list);
	*list = bench_strv_split(value, SPACES);
}

static int set_bool(bool *ret, const char *value)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return bench_err(EINVAL, "'%s' is neither yes nor no", value);
	*ret = !strcmp(value, "yes");
	return 0;
}

static int set_states(struct bench_step *s, const char *value)
{
	char **names = bench_strv_split(value, SPACES);
	int ret = 0;

	s->states = 0;
	for (size_t i = 0; names && names[i] && ret == 0; i++) {
		unsigned int k = 0;

		while (k < BENCH_STATES && strcmp(names[i], bench_state_names[k]))
			k++;
		if (k == BENCH_STATES)
			ret = bench_err(EINVAL, "unknown state '%s'", names[i]);
		else
			s->states |= 1u << k;
	}
	bench_strv_free(names);
	return ret;
}

static int set_timeout(struct bench_step *s, const char *value)
{
	char *end;
	unsigned long seconds = strtoul(value, &end, 10);

	if (!seconds || *end)
		return bench_err(EINVAL, "timeout '%s' is not a number of seconds", value);
	s->timeout_ns = seconds * BENCH_NSEC;
	return 0;
}

static void add_override(struct bench_step *s, const char *key, const char *run)
{
	s->override = bench_realloc(s->override, (s->overrides + 1) * sizeof(*s->override));
	s->override[s->overrides++] = (struct bench_override){
		.key = bench_strdup(key),
		.run = bench_strdup(run),
	};
}

static int step_kind(struct bench_step *s, const char *value)
{
	if (strcmp(value, "command") && strcmp(value, "fio"))
		return bench_err(EINVAL, "kind '%s' is neither command nor fio", value);
	s->kind = strcmp(value, "fio") ? BENCH_STEP_COMMAND : BENCH_STEP_FIO;
	return 0;
}

static int step_names(struct bench_step *s, const char *value)
{
	if (strcmp(value, "cold") && strcmp(value, "known"))
		return bench_err(EINVAL, "names '%s' is neither cold nor known", value);
	s->names = strcmp(value, "cold") ? BENCH_NAMES_KNOWN : BENCH_NAMES_COLD;
	return 0;
}

static int step_key(struct bench_step *s, const char *name, const char *value)
{
	bool reads = true;
	int ret;

	if (set_text(step_text, BENCH_ARRAY_SIZE(step_text), s, name, value))
		return 0;
	if (!strncmp(name, "run.", 4)) {
		add_override(s, name + 4, value);
		return 0;
	}
	if (!strcmp(name, "metrics") || !strcmp(name, "needs")) {
		set_list(*name == 'm' ? &s->metrics : &s->needs, value);
		return 0;
	}
	if (!strcmp(name, "kind"))
		return step_kind(s, value);
	if (!strcmp(name, "states"))
		return set_states(s, value);
	if (!strcmp(name, "names"))
		return step_names(s, value);
	if (!strcmp(name, "timeout"))
		return set_timeout(s, value);
	if (!strcmp(name, "restart"))
		return set_bool(&s->restart, value);
	if (!strcmp(name, "reads")) {
		ret = set_bool(&reads, value);
		s->no_reads = !reads;
		return ret;
	}
	return bench_err(EINVAL, "unknown key '%s' in a step", name);
}

static int workload_key(struct bench_workload *w, const char *name, const char *value)
{
	if (set_text(workload_text, BENCH_ARRAY_SIZE(workload_text), w, name, value))
		return 0;
	if (!strcmp(name, "tags") || !strcmp(name, "needs")) {
		set_list(*name == 't' ? &w->tags : &w->needs, value);
		return 0;
	}
	if (!strcmp(name, "device_bytes"))
		return bench_parse_bytes(value, &w->device_bytes);
	return bench_err(EINVAL, "unknown key '%s' in [workload]", name);
}

static void add_param(
	struct bench_workload *w, const char *preset, const char *name, const char *value)
{
	w->param = bench_realloc(w->param, (w->params + 1) * sizeof(*w->param));
	w->param[w->params++] = (struct bench_param){
		.preset = bench_strdup(preset),
		.name = bench_strdup(name),
		.value = bench_strdup(value),
	};
}

static struct bench_step *get_step(struct bench_workload *w, const char *name)
{
	struct bench_step *s;

	for (unsigned int i = 0; i < w->steps; i++)
		if (!strcmp(w->step[i].name, name))
			return &w->step[i];
	w->step = bench_realloc(w->step, (w->steps + 1) * sizeof(*w->step));
	s = &w->step[w->steps++];
	*s = (struct bench_step){
		.name = bench_strdup(name),
		.states = (1u << BENCH_STATES) - 1,
		.timeout_ns = DEFAULT_TIMEOUT_NS,
	};
	return s;
}

static int key(void *ctx, const char *section, const char *name, const char *value)
{
	struct bench_workload *w = ctx;

	if (!strcmp(section, "workload"))
		return workload_key(w, name, value);
	if (!strncmp(section, "step ", 5))
		return step_key(get_step(w, section + 5), name, value);
	if (!strncmp(section, "preset ", 7)) {
		add_param(w, section + 7, name, value);
		return 0;
	}
	return bench_err(EINVAL, "unknown section [%s]", section);
}

static void default_text(char **field, const char *value)
{
	if (!*field)
		*field = bench_strdup(value);
}

static int finish_step(struct bench_step *s, const char *path)
{
	default_text(&s->title, s->name);
	default_text(&s->main, s->kind == BENCH_STEP_FIO ? "bw" : "wall");
	if (s->kind == BENCH_STEP_FIO ? !s->job : !s->run && !s->overrides)
		return bench_err(EINVAL, "%s: step %s has no %s", path, s->name,
			s->kind == BENCH_STEP_FIO ? "job" : "run");
	return 0;
}

/* Fills defaults from the path and checks what a manifest must have. */
static int finish(struct bench_workload *w, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	auto_free char *stem = bench_fmt("%.*s", (int)strcspn(base, "."), base);
	int ret = 0;

	w->dir = slash ? bench_fmt("%.*s", (int)(slash - path), path) : bench_strdup(".");
	default_text(&w->name, stem);
	default_text(&w->title, w->name);
	default_text(&w->group, w->name);
	if (!w->input)
		return bench_err(EINVAL, "%s: [workload] has no input", path);
	if (!w->steps)
		return bench_err(EINVAL, "%s: no [step NAME]", path);
	for (unsigned int i = 0; i < w->steps && ret == 0; i++)
		ret = finish_step(&w->step[i], path);
	return ret;
}

int bench_workload_load(const char *path, struct bench_workload **ret_w)
{
	struct bench_workload *w = bench_alloc(sizeof(*w));
	int ret;

	w->device_bytes = DEVICE_BYTES;
	ret = bench_ini_parse(path, key, w);
	if (ret == 0)
		ret = finish(w, path);
	if (ret < 0) {
		bench_workload_free(w);
		return ret;
	}
	*ret_w = w;
	return 0;
}

static void free_step(struct bench_step *s)
{
	free(s->name);
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(step_text); i++)
		free(*(char **)((char *)s + step_text[i].offset));
	for (unsigned int i = 0; i < s->overrides; i++) {
		free(s->override[i].key);
		free(s->override[i].run);
	}
	free(s->override);
	bench_strv_free(s->metrics);
	bench_strv_free(s->needs);
}

void bench_workload_free(struct bench_workload *w)
{
	if (!w)
		return;
	for (unsigned int i = 0; i < w->steps; i++)
		free_step(&w->step[i]);
	for (unsigned int i = 0; i < w->params; i++) {
		free(w->param[i].preset);
		free(w->param[i].name);
		free(w->param[i].value);
	}
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(workload_text); i++)
		free(*(char **)((char *)w + workload_text[i].offset));
	bench_strv_free(w->tags);
	bench_strv_free(w->needs);
	free(w->dir);
	free(w->step);
	free(w->param);
	free(w);
}
