/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_SAMPLE_SET_H
#define TESTS_SAMPLE_SET_H
/*
 * Writes a result set with known medians and seeded noise, as a run of the harness would leave it.
 * The figures are invented, which is what makes them checkable.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/hist.h"
#include "harness/util.h"

struct sample_options {
	unsigned int blocks;
	const char *const *engines; /* NULL-terminated; factor of the i-th is 1 + i/4 */
	double noise; /* standard deviation of log(value) */
	bool failures; /* some cells fail, some are skipped */
	bool fio; /* with the fio group */
	bool torn; /* the last line is cut short */
};

struct sample_step {
	const char *group, *workload, *step, *title, *main;
	double cost; /* ns, or bytes/s where main is bw */
	double first_line, fetched;
};

static const struct sample_step sample_steps[] = {
	{"find", "find", "find", "walk and stat 100,000 files", "wall", 4e8, 2e6, 9e6},
	{"fio", "fio", "seqread-128k-1j", "sequential, 128 KiB, 1 job", "bw", 2e9, 0, 3e8},
	{"fio", "fio", "randread-4k-4j", "random, 4 KiB, 4 jobs", "bw", 3e8, 0, 2e8},
	{"tar", "tar", "list", "list a tarball", "wall", 8e8, 3e6, 2e8},
	{"tar", "tar", "create", "archive 20,000 files", "wall", 3e9, 0, 1e8},
	{"tar", "tar", "extract", "extract a tarball", "wall", 6e9, 0, 2e8},
	{"unzip", "unzip", "list", "list a zip", "wall", 9e6, 4e5, 3e6},
	{"unzip", "unzip", "test", "unzip -t", "wall", 4e9, 1e6, 5e8},
};

static const char *const sample_states[] = {"cold-origin", "cold-cache", "warm"};

static const char *const sample_three[] = {"native", "fuse-default", "fan-fs", NULL};

static uint64_t sample_seed;

static double sample_uniform(void)
{
	uint64_t z = sample_seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

static double sample_noise(double sd)
{
	return exp(
		sd * sqrt(-2 * log(1 - sample_uniform())) * cos(2 * M_PI * sample_uniform()));
}

/* What the median of a cell is without noise: the state divides by 1, 10, 40. */
static double sample_value(const struct sample_step *s, int state, int engine)
{
	double factor = 1 + engine / 4.0, speed = state == 2 ? 40 : state == 1 ? 10 : 1;

	return strcmp(s->main, "bw") ? s->cost * factor / speed : s->cost / factor * speed / 40;
}

static void sample_metric(
	FILE *f, const char *name, const char *unit, const char *better, double value)
{
	fprintf(f, ",{\"name\":\"%s\",\"unit\":\"%s\",\"better\":\"%s\",\"value\":%.0f}", name,
		unit, better, value);
}

static void sample_metrics(FILE *f, const struct sample_options *o, const struct sample_step *s,
	int state, int engine)
{
	double value = sample_value(s, state, engine) * sample_noise(o->noise);
	bool bw = !strcmp(s->main, "bw");

	fprintf(f, "{\"name\":\"%s\",\"unit\":\"%s\",\"better\":\"%s\",\"value\":%.0f}",
		s->main, bw ? "bytes/s" : "ns", bw ? "more" : "less", value);
	sample_metric(f, "user", "ns", "less", 5e7 * sample_noise(o->noise));
	sample_metric(f, "sys", "ns", "less", 1e8 * (1 + engine) * sample_noise(o->noise));
	if (engine)
		sample_metric(f, "daemon_cpu", "ns", "less", 7e7 * sample_noise(o->noise));
	if (s->first_line > 0)
		sample_metric(f, "first_line", "ns", "less",
			s->first_line * (state ? 1 : 20) * sample_noise(o->noise));
	if (engine)
		sample_metric(f, "fetched", "bytes", "less", state ? 0 : s->fetched);
	if (bw) {
		sample_metric(f, "lat_p50", "ns", "less", 9000 * (1 + engine / 4.0));
		sample_metric(f, "lat_p99", "ns", "less",
			90000 * (1 + engine / 4.0) * sample_noise(o->noise));
	}
}

static void sample_hist(FILE *f, const struct sample_options *o, int state, int engine)
{
	struct bench_hist *h = bench_alloc(sizeof(*h));
	const char *comma = "";

	for (int i = 0; i < 5000; i++)
		bench_hist_add(h,
			(uint64_t)(9000 * (3 - state) * (1 + engine / 4.0) * sample_noise(0.4) *
				   (sample_uniform() < 0.01 ? 20 : 1) * sample_noise(o->noise)),
			1);
	fprintf(f, ",\"hist\":{\"read\":{\"unit\":\"ns\",\"bins\":[");
	for (unsigned int i = 0; i < BENCH_HIST_BINS; i++)
		if (h->count[i]) {
			fprintf(f, "%s[%llu,%llu]", comma,
				(unsigned long long)bench_hist_middle_ns(i),
				(unsigned long long)h->count[i]);
			comma = ",";
		}
	fprintf(f, "]}}");
	free(h);
}

/* The status of a run, and why: fan-fs fails one block of tar create, and all of unzip test. */
static const char *sample_status(const struct sample_options *o, const struct sample_step *s,
	const char *engine, unsigned int block, const char **ret_reason)
{
	*ret_reason = "";
	if (!o->failures || strcmp(engine, "fan-fs"))
		return "ok";
	if (!strcmp(s->step, "create") && block == 1) {
		*ret_reason =
			"exit code 2: tar: Caf\xc3\xa9: Cannot open: Input/output error, after "
			"which nothing else in the archive could be read by tar at all";
		return "failed";
	}
	if (!strcmp(s->step, "test")) {
		*ret_reason = "unzip is not installed";
		return "skipped";
	}
	return "ok";
}

static void sample_line(FILE *f, const struct sample_options *o, const struct sample_step *s,
	int state, int engine, unsigned int block)
{
	const char *name = o->engines[engine], *reason;
	const char *status = sample_status(o, s, name, block, &reason);

	fprintf(f,
		"{\"schema\":1,\"session\":\"20250101T120000Z-sample-0001\",\"cell\":\"%s/%s/%u\","
		"\"block\":%u,\"position\":%d,\"workload\":\"%s\",\"step\":\"%s\",\"engine\":\"%s\","
		"\"state\":\"%s\",\"status\":\"%s\",\"reason\":\"%s\",\"start_wall_ns\":1,"
		"\"start_ns\":1,\"end_ns\":2,\"counters\":{},\"raw\":\"\",\"main\":\"%s\","
		"\"title\":\"%s\",\"group\":\"%s\",\"checks\":[{\"name\":\"state\",\"ok\":true,"
		"\"detail\":\"\"}],\"metrics\":[",
		s->workload, name, block, block, engine, s->workload, s->step, name,
		sample_states[state], status, reason, s->main, s->title, s->group);
	if (!strcmp(status, "ok"))
		sample_metrics(f, o, s, state, engine);
	fprintf(f, "]");
	if (!strcmp(s->main, "bw") && !strcmp(status, "ok"))
		sample_hist(f, o, state, engine);
	fprintf(f, "}\n");
}

static void sample_runs(FILE *f, const struct sample_options *o)
{
	for (unsigned int block = 1; block <= o->blocks; block++)
		for (size_t s = 0; s < BENCH_ARRAY_SIZE(sample_steps); s++)
			for (int state = 0; state < 3; state++)
				for (int e = 0; o->engines[e]; e++)
					if ((state || e) &&
						(o->fio || strcmp(sample_steps[s].main, "bw")))
						sample_line(f, o, &sample_steps[s], state, e,
							block);
	if (o->torn)
		fprintf(f, "{\"schema\":1,\"session\":\"2025");
}

/* Writes manifest.json, plan.json and runs.jsonl into the existing @dir. */
static inline void sample_write(const char *dir, const struct sample_options *o)
{
	auto_free char *runs = bench_fmt("%s/runs.jsonl", dir);
	auto_free char *manifest = bench_fmt("%s/manifest.json", dir);
	auto_free char *plan = bench_fmt("%s/plan.json", dir);
	FILE *f = fopen(runs, "we");

	sample_seed = 42;
	if (!f)
		abort();
	sample_runs(f, o);
	fclose(f);
	bench_file_write(manifest,
		"{\"schema\":1,\"id\":\"20250101T120000Z-sample-0001\",\"command\":[\"hsmbench\","
		"\"run\",\"--preset\",\"default\"],\"kernel\":{\"release\":\"6.18.0\"},"
		"\"cpu\":{\"count\":2,\"model\":\"Example CPU\"},"
		"\"memory\":{\"total_bytes\":8589934592}}\n");
	bench_file_write(plan,
		"{\"schema\":1,\"seed\":7,\"engines\":[\"native\",\"fuse-default\",\"fan-fs\"]}\n");
}

#endif
