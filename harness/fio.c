/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/fio.h"

#include <errno.h>
#include <string.h>

#include "harness/err.h"
#include "harness/metrics.h"
#include "harness/util.h"

static const char *const directions[] = {"read", "write", "trim"};

struct bin {
	long long ns, count;
};

/* Latencies of one or more jobs; kept sorted by fold(). */
struct bins {
	struct bin *bin;
	size_t count;
	long long total;
};

int bench_fio_expand(const char *job, const struct bench_vars *vars, const char *to)
{
	auto_free char *text = NULL;
	auto_free char *expanded = NULL;
	int ret = bench_file_read(job, &text);

	if (ret == 0)
		ret = bench_vars_expand(vars, text, &expanded);
	return ret < 0 ? ret : bench_file_write(to, expanded);
}

static void add_bin(struct bins *b, long long ns, long long count)
{
	b->bin = bench_realloc(b->bin, (b->count + 1) * sizeof(*b->bin));
	b->bin[b->count++] = (struct bin){ns, count};
	b->total += count;
}

static int compare_bins(const void *a, const void *b)
{
	const struct bin *x = a, *y = b;

	return (x->ns > y->ns) - (x->ns < y->ns);
}

/* Sorts and adds up bins of the same latency. */
static void fold(struct bins *b)
{
	size_t to = 0;

	if (!b->count)
		return;
	qsort(b->bin, b->count, sizeof(*b->bin), compare_bins);
	for (size_t i = 1; i < b->count; i++) {
		if (b->bin[i].ns == b->bin[to].ns)
			b->bin[to].count += b->bin[i].count;
		else
			b->bin[++to] = b->bin[i];
	}
	b->count = to + 1;
}

static void read_bins(const json_t *object, struct bins *b)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value)
		add_bin(b, strtoll(key, NULL, 10), json_integer_value(value));
}

static double percentile(const struct bins *b, double fraction)
{
	double want = fraction * (double)b->total;
	long long seen = 0;

	for (size_t i = 0; i < b->count; i++) {
		seen += b->bin[i].count;
		if ((double)seen >= want)
			return (double)b->bin[i].ns;
	}
	return 0;
}

static json_t *bins_json(const struct bins *b)
{
	json_t *list = json_array();

	for (size_t i = 0; i < b->count; i++)
		json_array_append_new(list, json_pack("[I, I]", (json_int_t)b->bin[i].ns,
						    (json_int_t)b->bin[i].count));
	return json_pack("{s:s, s:o}", "unit", "ns", "bins", list);
}

/* One direction over all jobs. */
static void read_direction(const json_t *jobs, const char *name, struct bins *all, double *bw,
	double *iops, json_t *hist)
{
	struct bins own = {0};
	const json_t *job;
	size_t i;

	json_array_foreach (jobs, i, job) {
		const json_t *dir = json_object_get(job, name);
		const json_t *lat = json_object_get(dir, "clat_ns");

		*bw += json_number_value(json_object_get(dir, "bw_bytes"));
		*iops += json_number_value(json_object_get(dir, "iops"));
		read_bins(json_object_get(lat, "bins"), &own);
	}
	fold(&own);
	for (size_t k = 0; k < own.count; k++)
		add_bin(all, own.bin[k].ns, own.bin[k].count);
	if (own.total)
		json_object_set_new(hist, name, bins_json(&own));
	free(own.bin);
}

static void add_latencies(json_t *metrics, const struct bins *b)
{
	if (!b->total)
		return;
	bench_metrics_add(metrics, "lat_p50", percentile(b, 0.5));
	if (b->total >= 1000)
		bench_metrics_add(metrics, "lat_p99", percentile(b, 0.99));
	if (b->total >= 10000)
		bench_metrics_add(metrics, "lat_p999", percentile(b, 0.999));
}

static int job_error(const json_t *jobs)
{
	const json_t *job;
	size_t i;

	json_array_foreach (jobs, i, job) {
		int err = (int)json_integer_value(json_object_get(job, "error"));

		if (err)
			return bench_err(EIO, "fio job %s: %s",
				json_string_value(json_object_get(job, "jobname")),
				strerror(err));
	}
	return 0;
}

static int read_jobs(const json_t *jobs, json_t *metrics, json_t *hist)
{
	struct bins all = {0};
	double bw = 0, iops = 0;
	int ret = job_error(jobs);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < BENCH_ARRAY_SIZE(directions); i++)
		read_direction(jobs, directions[i], &all, &bw, &iops, hist);
	fold(&all);
	bench_metrics_add(metrics, "bw", bw);
	bench_metrics_add(metrics, "iops", iops);
	add_latencies(metrics, &all);
	free(all.bin);
	return 0;
}

int bench_fio_parse(const char *path, json_t *metrics, json_t *hist)
{
	json_error_t err;
	json_t *root = json_load_file(path, 0, &err);
	const json_t *jobs = json_object_get(root, "jobs");
	int ret;

	if (!json_array_size(jobs))
		ret = bench_err(EINVAL, "%s is no output of fio: %s", path, err.text);
	else
		ret = read_jobs(jobs, metrics, hist);
	json_decref(root);
	return ret;
}
