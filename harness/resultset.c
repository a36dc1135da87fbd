/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owns reading a result set and sorting its runs into cells. Does no arithmetic on the values and
 * no printing: stats.c and the report do.
 */
#include "harness/resultset.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/err.h"
#include "harness/util.h"

#define NATIVE "native" /* the engine that is no engine: the file system itself */

const json_t *bench_resultset_at(const json_t *object, const char *path)
{
	char key[64];

	while (object && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, path, n);
		key[n] = '\0';
		object = json_object_get(object, key);
		path += n + (path[n] == '.');
	}
	return object;
}

const char *bench_resultset_text(const json_t *object, const char *path)
{
	const char *text = json_string_value(bench_resultset_at(object, path));

	return text ? text : "";
}

int bench_resultset_compare_states(const char *a, const char *b)
{
	static const char *const order[] = {"cold-origin", "cold-cache", "warm"};
	size_t i = 0, j = 0;

	while (i < BENCH_ARRAY_SIZE(order) && strcmp(a, order[i]))
		i++;
	while (j < BENCH_ARRAY_SIZE(order) && strcmp(b, order[j]))
		j++;
	return i != j ? (i < j ? -1 : 1) : strcmp(a, b);
}

static enum bench_result_status status_of(const json_t *line)
{
	const char *status = bench_resultset_text(line, "status");

	if (!strcmp(status, "ok"))
		return BENCH_RESULT_OK;
	return strcmp(status, "skipped") ? BENCH_RESULT_FAILED : BENCH_RESULT_SKIPPED;
}

static const char *reason_of(const json_t *line)
{
	const char *reason = bench_resultset_text(line, "reason");

	return *reason ? reason : bench_resultset_text(line, "status");
}

static bool same_cell(const struct bench_result_cell *c, const json_t *line)
{
	return !strcmp(c->step, bench_resultset_text(line, "step")) &&
	       !strcmp(c->state, bench_resultset_text(line, "state")) &&
	       !strcmp(c->engine, bench_resultset_text(line, "engine")) &&
	       !strcmp(c->workload, bench_resultset_text(line, "workload"));
}

static struct bench_result_cell *cell_for(struct bench_resultset *set, const json_t *line)
{
	const char *group = bench_resultset_text(line, "group");
	struct bench_result_cell *c;

	for (size_t i = 0; i < set->cell_count; i++)
		if (same_cell(&set->cell[i], line))
			return &set->cell[i];
	set->cell = bench_realloc(set->cell, (set->cell_count + 1) * sizeof(*set->cell));
	c = &set->cell[set->cell_count];
	*c = (struct bench_result_cell){
		.workload = bench_resultset_text(line, "workload"),
		.step = bench_resultset_text(line, "step"),
		.state = bench_resultset_text(line, "state"),
		.engine = bench_resultset_text(line, "engine"),
		.title = "",
		.main = "",
		.order = set->cell_count++,
	};
	c->group = *group ? group : c->workload;
	return c;
}

/* A resumed session repeats the blocks it could not finish: the later line of a block counts. */
static struct bench_result_run *run_for(struct bench_result_cell *c, long long block)
{
	for (size_t i = 0; i < c->run_count; i++)
		if (c->run[i].block == block)
			return &c->run[i];
	c->run = bench_realloc(c->run, (c->run_count + 1) * sizeof(*c->run));
	return &c->run[c->run_count++];
}

static void add_line(struct bench_resultset *set, json_t *line)
{
	struct bench_result_cell *c = cell_for(set, line);
	long long block = json_integer_value(json_object_get(line, "block"));

	*run_for(c, block) =
		(struct bench_result_run){status_of(line), reason_of(line), block, line};
	if (!*c->title)
		c->title = bench_resultset_text(line, "title");
	if (!*c->main)
		c->main = bench_resultset_text(line, "main");
	set->run_count++;
}

static bool is_run(const json_t *line)
{
	static const char *const needed[] = {"workload", "engine", "status"};

	for (size_t i = 0; i < BENCH_ARRAY_SIZE(needed); i++)
		if (!*bench_resultset_text(line, needed[i]))
			return false;
	return json_is_integer(json_object_get(line, "block"));
}

static void read_line(struct bench_resultset *set, const char *text, size_t bytes)
{
	json_t *line = json_loadb(text, bytes, 0, NULL);
	bool ended = bytes && text[bytes - 1] == '\n';

	if (strspn(text, " \t\r\n") < bytes) {
		set->torn = !line && !ended;
		set->dropped_lines += !set->torn && !is_run(line);
	}
	if (is_run(line) && json_is_true(json_object_get(line, "traced"))) {
		json_array_append(set->traced, line);
	} else if (is_run(line) && !json_is_true(json_object_get(line, "warmup"))) {
		json_array_append(set->lines, line);
		add_line(set, line);
	}
	json_decref(line);
}

static int read_runs(struct bench_resultset *set)
{
	auto_free char *path = bench_fmt("%s/runs.jsonl", set->dir);
	auto_file FILE *f = fopen(path, "re");
	auto_free char *text = NULL;
	size_t room = 0;
	ssize_t bytes;

	if (!f)
		return bench_err(errno, "cannot open %s: %s; is %s a result set?", path,
			strerror(errno), set->dir);
	while ((bytes = getline(&text, &room, f)) >= 0)
		read_line(set, text, (size_t)bytes);
	if (ferror(f))
		return bench_err(EIO, "cannot read %s: %s", path, strerror(errno));
	return 0;
}

static int read_json(const char *dir, const char *name, json_t **ret)
{
	auto_free char *path = bench_fmt("%s/%s", dir, name);
	json_error_t error;

	if (!bench_exists(path)) {
		*ret = json_object();
		return 0;
	}
	*ret = json_load_file(path, 0, &error);
	if (!*ret)
		return bench_err(EINVAL, "%s, line %d: %s", path, error.line, error.text);
	return 0;
}

static size_t step_order(const struct bench_resultset *set, const struct bench_result_cell *c)
{
	size_t order = c->order;

	for (size_t i = 0; i < set->cell_count; i++) {
		const struct bench_result_cell *other = &set->cell[i];

		if (!strcmp(other->workload, c->workload) && !strcmp(other->step, c->step) &&
			other->order < order)
			order = other->order;
	}
	return order;
}

static int compare_cells(const void *a, const void *b)
{
	const struct bench_result_cell *x = a, *y = b;
	int diff = strcmp(x->group, y->group);

	if (!diff)
		diff = strcmp(x->workload, y->workload);
	if (!diff)
		diff = (x->order > y->order) - (x->order < y->order);
	if (!diff)
		diff = bench_resultset_compare_states(x->state, y->state);
	return diff ? diff : strcmp(x->engine, y->engine);
}

static void sort_cells(struct bench_resultset *set)
{
	auto_free size_t *order = bench_alloc(set->cell_count * sizeof(*order));

	for (size_t i = 0; i < set->cell_count; i++)
		order[i] = step_order(set, &set->cell[i]);
	for (size_t i = 0; i < set->cell_count; i++)
		set->cell[i].order = order[i];
	if (set->cell_count)
		qsort(set->cell, set->cell_count, sizeof(*set->cell), compare_cells);
}

static bool cell_has_engine(const struct bench_resultset *set, const char *engine)
{
	for (size_t i = 0; i < set->cell_count; i++)
		if (!strcmp(set->cell[i].engine, engine))
			return true;
	return false;
}

static void add_engine(struct bench_resultset *set, const char *engine)
{
	if (!engine || !cell_has_engine(set, engine))
		return;
	for (size_t i = 0; i < set->engine_count; i++)
		if (!strcmp(set->engine[i], engine))
			return;
	set->engine =
		bench_realloc(set->engine, (set->engine_count + 1) * sizeof(*set->engine));
	set->engine[set->engine_count++] = engine;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Engines of a plan or manifest: an array of names or of objects with a name. */
static void add_planned(struct bench_resultset *set, const json_t *object)
{
	const json_t *list = json_object_get(object, "engines"), *item;
	size_t i;

	json_array_foreach (list, i, item)
		add_engine(set, json_is_string(item) ? json_string_value(item)
						     : bench_resultset_text(item, "name"));
}

static void order_engines(struct bench_resultset *set)
{
	size_t planned;

	add_engine(set, NATIVE);
	add_planned(set, set->plan);
	add_planned(set, set->manifest);
	planned = set->engine_count;
	for (size_t i = 0; i < set->cell_count; i++)
		add_engine(set, set->cell[i].engine);
	if (set->engine_count > planned)
		qsort(set->engine + planned, set->engine_count - planned, sizeof(*set->engine),
			compare_texts);
	set->base = set->engine_count ? set->engine[0] : "";
}

static const char *name_of_dir(const char *dir)
{
	const char *slash = strrchr(dir, '/');

	return slash && slash[1] ? slash + 1 : dir;
}

static void name_set(struct bench_resultset *set)
{
	static const char *const keys[] = {"id", "session"};

	for (size_t i = 0; i < BENCH_ARRAY_SIZE(keys) && !set->id; i++) {
		const char *id = bench_resultset_text(set->manifest, keys[i]);

		set->id = *id ? id : NULL;
	}
	if (!set->id && json_array_size(set->lines))
		set->id = bench_resultset_text(json_array_get(set->lines, 0), "session");
	if (!set->id || !*set->id)
		set->id = name_of_dir(set->dir);
}

int bench_resultset_open(const char *dir, struct bench_resultset **ret_set)
{
	struct bench_resultset *set = bench_alloc(sizeof(*set));
	int err;

	set->dir = bench_strdup(dir);
	set->lines = json_array();
	set->traced = json_array();
	err = read_json(dir, "manifest.json", &set->manifest);
	if (!err)
		err = read_json(dir, "plan.json", &set->plan);
	if (!err)
		err = read_runs(set);
	if (err) {
		bench_resultset_free(set);
		return err;
	}
	sort_cells(set);
	order_engines(set);
	name_set(set);
	*ret_set = set;
	return 0;
}

void bench_resultset_free(struct bench_resultset *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->cell_count; i++)
		free(set->cell[i].run);
	free(set->cell);
	free(set->engine);
	json_decref(set->manifest);
	json_decref(set->plan);
	json_decref(set->lines);
	json_decref(set->traced);
	free((char *)set->dir);
	free(set);
}

const struct bench_result_cell *bench_resultset_cell(const struct bench_resultset *set,
	const char *workload, const char *step, const char *state, const char *engine)
{
	for (size_t i = 0; i < set->cell_count; i++) {
		const struct bench_result_cell *c = &set->cell[i];

		if (!strcmp(c->step, step) && !strcmp(c->state, state) &&
			!strcmp(c->engine, engine) && !strcmp(c->workload, workload))
			return c;
	}
	return NULL;
}

int bench_resultset_rebase(struct bench_resultset *set, const char *engine)
{
	size_t at = 0;

	while (at < set->engine_count && strcmp(set->engine[at], engine))
		at++;
	if (at == set->engine_count)
		return bench_err(ENOENT, "%s has no run of engine '%s'", set->dir, engine);
	engine = set->engine[at];
	memmove(set->engine + 1, set->engine, at * sizeof(*set->engine));
	set->engine[0] = engine;
	set->base = engine;
	return 0;
}

size_t bench_resultset_count(
	const struct bench_result_cell *cell, enum bench_result_status status)
{
	size_t count = 0;

	for (size_t i = 0; i < cell->run_count; i++)
		count += cell->run[i].status == status;
	return count;
}

bool bench_resultset_inapplicable(const struct bench_result_cell *cell)
{
	static const char said[] = "not applicable";

	if (bench_resultset_count(cell, BENCH_RESULT_SKIPPED) < cell->run_count)
		return false;
	if (!strcmp(cell->engine, NATIVE) && !strcmp(cell->state, "cold-origin"))
		return true;
	return cell->run_count && !strncmp(cell->run[0].reason, said, strlen(said));
}

static const json_t *metric_of(const struct bench_result_run *run, const char *name)
{
	const json_t *metrics = json_object_get(run->line, "metrics"), *metric;
	size_t i;

	json_array_foreach (metrics, i, metric)
		if (!strcmp(bench_resultset_text(metric, "name"), name) &&
			json_is_number(json_object_get(metric, "value")))
			return metric;
	return NULL;
}

static double value_of(const json_t *metric)
{
	return json_number_value(json_object_get(metric, "value"));
}

/* What the operation cost in all: the native engine has no daemon, others may have no client part. */
static double cpu_of(const struct bench_result_run *run, const json_t **ret_metric)
{
	static const char *const parts[] = {"user", "sys", "daemon_cpu"};
	double sum = 0;

	*ret_metric = metric_of(run, "sys");
	for (size_t i = 0; *ret_metric && i < BENCH_ARRAY_SIZE(parts); i++) {
		const json_t *part = metric_of(run, parts[i]);

		sum += part ? value_of(part) : 0;
	}
	return sum;
}

size_t bench_resultset_values(const struct bench_result_cell *cell, const char *metric,
	double *ret_values, const json_t **ret_metric)
{
	bool cpu = !strcmp(metric, "cpu");
	size_t n = 0;

	for (size_t i = 0; i < cell->run_count; i++) {
		const struct bench_result_run *run = &cell->run[i];
		const json_t *m = NULL;
		double value;

		if (run->status != BENCH_RESULT_OK)
			continue;
		if (cpu)
			value = cpu_of(run, &m);
		else if ((m = metric_of(run, metric)))
			value = value_of(m);
		if (!m)
			continue;
		ret_values[n++] = value;
		if (ret_metric)
			*ret_metric = m;
	}
	return n;
}

size_t bench_resultset_hist(
	const struct bench_result_cell *cell, const char *name, struct bench_hist *h)
{
	size_t runs = 0;

	for (size_t i = 0; i < cell->run_count; i++) {
		const json_t *hists = json_object_get(cell->run[i].line, "hist");

		if (cell->run[i].status == BENCH_RESULT_OK &&
			!bench_hist_read(h, json_object_get(hists, name)))
			runs++;
	}
	return runs;
}
