/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/sample.h"

#include "harness/line.h"
#include "harness/metrics.h"
#include "harness/proc.h"
#include "harness/requests.h"
#include "harness/util.h"

#define WARM_READ_MAX_BYTES (2u << 20) /* a warm run may meet this much metadata */

int bench_sample_take(struct bench_cell *cell, const char *raw_path, struct bench_sample *ret_s)
{
	struct bench_sample s = {0};
	int ret = bench_daemon_status(&cell->daemon, raw_path, &s.status);

	if (ret < 0)
		return ret;
	s.requests = bench_origin_requests(&cell->session->origin);
	s.device_bytes = bench_loopfs_read_bytes(&cell->fs);
	s.daemon_cpu_ns = bench_proc_cpu_ns(cell->daemon.pid);
	*ret_s = s;
	return 0;
}

void bench_sample_release(struct bench_sample *s)
{
	json_decref(s->status);
	s->status = NULL;
}

static void add_metrics(const struct bench_cell *cell, const struct bench_sample *before,
	const struct bench_sample *after, json_t *line)
{
	json_t *metrics = json_object_get(line, "metrics");
	const json_t *counters = json_object_get(line, "counters");
	const json_t *fetched = json_object_get(counters, "bytes_fetched");

	bench_metrics_add(metrics, "requests", (double)(after->requests - before->requests));
	if (fetched)
		bench_metrics_add(metrics, "fetched", json_number_value(fetched));
	if (!cell->daemon.pid)
		return;
	bench_metrics_add(
		metrics, "daemon_cpu", (double)(after->daemon_cpu_ns - before->daemon_cpu_ns));
	bench_metrics_add(metrics, "rss", (double)bench_proc_rss_bytes(cell->daemon.pid));
}

/*
 * Something came from the origin. Where the names are known or the manifest counts bytes,
 * content must have.
 */
static void check_cold_origin(const struct bench_step *step, uint64_t requests, json_t *line)
{
	const json_t *counters = json_object_get(line, "counters");
	const json_t *bytes = json_object_get(counters, "bytes_fetched");
	bool content = bench_step_names_known(step) || bench_strv_has(step->metrics, "fetched");

	bench_line_check(line, "state", requests > 0, "%llu requests at the origin",
		(unsigned long long)requests);
	if (bytes && content)
		bench_line_check(line, "fetched", json_integer_value(bytes) > 0,
			"%lld bytes fetched", (long long)json_integer_value(bytes));
}

static void check_local(uint64_t requests, json_t *line)
{
	const json_t *counters = json_object_get(line, "counters");
	long long bytes = json_integer_value(json_object_get(counters, "bytes_fetched"));

	bench_line_check(line, "state", requests == 0 && bytes == 0,
		"%llu requests at the origin, %lld bytes fetched", (unsigned long long)requests,
		bytes);
}

static void check_device(
	const struct bench_step *step, enum bench_run_state state, uint64_t bytes, json_t *line)
{
	bool ok = state == BENCH_WARM ? bytes <= WARM_READ_MAX_BYTES : bytes || step->no_reads;

	bench_line_check(line, "device", ok, "%llu bytes read from the device",
		(unsigned long long)bytes);
}

void bench_sample_compare(struct bench_cell *cell, const struct bench_step *step,
	enum bench_run_state state, const struct bench_sample *before,
	const struct bench_sample *after, json_t *line)
{
	uint64_t requests = after->requests - before->requests;

	json_object_set_new(line, "counters",
		bench_metrics_delta(json_object_get(before->status, "counters"),
			json_object_get(after->status, "counters")));
	if (cell->trace)
		json_object_set_new(line, "daemon_requests",
			bench_requests_delta(json_object_get(before->status, "requests"),
				json_object_get(after->status, "requests")));
	if (json_object_get(after->status, "negotiated"))
		json_object_set(
			line, "negotiated", json_object_get(after->status, "negotiated"));
	add_metrics(cell, before, after, line);
	if (state == BENCH_COLD_ORIGIN) {
		check_cold_origin(step, requests, line);
		return;
	}
	check_local(requests, line);
	check_device(step, state, after->device_bytes - before->device_bytes, line);
}
