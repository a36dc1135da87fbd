/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text of one event, after the print format in events/fuse/<event>/format of Linux 6.18:
 *
 *   <task>-<pid> [<cpu>] <flags> <seconds>.<microseconds>: fuse_request_send: connection <dev>
 *       req <unique> opcode <n> (<name>) len <bytes>
 *   ... fuse_request_end: connection <dev> req <unique> len <bytes> error <errno>
 *
 * Events of different processors can be read in another order than they happened, so the two of a
 * request are put together whichever comes first.
 */
#include "harness/requests.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "harness/hist.h"
#include "harness/opcode.h"
#include "harness/util.h"

#define TYPES	 64 /* opcodes; the last takes all above */
#define OPEN_MAX 4096 /* half requests remembered; the oldest gives way */

struct half {
	uint64_t unique, ns;
	unsigned int opcode; /* of a send */
	bool end, error; /* of an end */
};

struct type {
	uint64_t errors;
	struct bench_hist *hist; /* NULL: none was seen */
};

struct bench_requests {
	struct type type[TYPES];
	struct half half[OPEN_MAX]; /* oldest first */
	size_t halves;
	uint64_t dropped; /* halves that gave way */
};

struct bench_requests *bench_requests_new(void)
{
	return bench_alloc(sizeof(struct bench_requests));
}

void bench_requests_free(struct bench_requests *r)
{
	for (size_t i = 0; r && i < TYPES; i++)
		free(r->type[i].hist);
	free(r);
}

/* Nanoseconds of the "SECONDS.MICROSECONDS" that ends at @end of @line. */
static bool parse_stamp(const char *line, const char *end, uint64_t *ret_ns)
{
	unsigned long long seconds, micros;
	const char *begin = end;

	while (begin > line && begin[-1] != ' ')
		begin--;
	if (sscanf(begin, "%llu.%6llu:", &seconds, &micros) != 2)
		return false;
	*ret_ns = seconds * BENCH_NSEC + micros * 1000;
	return true;
}

static bool parse(const char *line, struct half *ret_h)
{
	static const char send[] = ": fuse_request_send: ", end[] = ": fuse_request_end: ";
	const char *at = strstr(line, send);
	unsigned long long unique;
	struct half h = {0};
	int error = 0;

	if (at && sscanf(at + strlen(send), "connection %*u req %llu opcode %u", &unique,
			  &h.opcode) != 2)
		return false;
	if (!at) {
		at = strstr(line, end);
		h.end = true;
		if (!at || sscanf(at + strlen(end), "connection %*u req %llu len %*u error %d",
				   &unique, &error) != 2)
			return false;
	}
	h.unique = unique;
	h.error = error < 0;
	if (!parse_stamp(line, at, &h.ns))
		return false;
	*ret_h = h;
	return true;
}

static void forget_half(struct bench_requests *r, size_t i)
{
	r->halves--;
	memmove(&r->half[i], &r->half[i + 1], (r->halves - i) * sizeof(r->half[0]));
}

static void remember_half(struct bench_requests *r, const struct half *h)
{
	if (r->halves == OPEN_MAX) {
		forget_half(r, 0);
		r->dropped++;
	}
	r->half[r->halves++] = *h;
}

static void record(struct bench_requests *r, const struct half *send, const struct half *end)
{
	struct type *t = &r->type[send->opcode < TYPES ? send->opcode : TYPES - 1];

	if (!t->hist)
		t->hist = bench_alloc(sizeof(*t->hist));
	bench_hist_add(t->hist, end->ns > send->ns ? end->ns - send->ns : 0, 1);
	t->errors += end->error;
}

void bench_requests_line(struct bench_requests *r, const char *line)
{
	struct half h;

	if (!parse(line, &h))
		return;
	for (size_t i = r->halves; i > 0; i--) {
		const struct half *other = &r->half[i - 1];

		if (other->unique != h.unique || other->end == h.end)
			continue;
		record(r, h.end ? other : &h, h.end ? &h : other);
		forget_half(r, i - 1);
		return;
	}
	remember_half(r, &h);
}

uint64_t bench_requests_unmatched(const struct bench_requests *r)
{
	return r->halves + r->dropped;
}

static json_t *type_json(const struct bench_hist *h, uint64_t errors)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:o}", "count", (json_int_t)h->total, "errors",
		(json_int_t)errors, "p50_ns", (json_int_t)bench_hist_percentile_ns(h, 0.5),
		"p99_ns", (json_int_t)bench_hist_percentile_ns(h, 0.99), "hist",
		bench_hist_json(h));
}

json_t *bench_requests_json(const struct bench_requests *r)
{
	json_t *all = json_object();

	for (unsigned int i = 0; i < TYPES; i++) {
		auto_free char *number = bench_fmt("%u", i);
		const char *name = bench_opcode_name(i);

		if (r->type[i].hist)
			json_object_set_new(all, name ? name : number,
				type_json(r->type[i].hist, r->type[i].errors));
	}
	return all;
}

static json_int_t errors_of(const json_t *type)
{
	return json_integer_value(json_object_get(type, "errors"));
}

/* Samples of the bin @ns; the bins of a daemon's table are few and in order. */
static json_int_t bin_count(const json_t *bins, json_int_t ns)
{
	const json_t *bin;
	size_t i;

	json_array_foreach (bins, i, bin)
		if (json_integer_value(json_array_get(bin, 0)) == ns)
			return json_integer_value(json_array_get(bin, 1));
	return 0;
}

/* NULL if nothing was added. */
static json_t *delta_json(const json_t *before, const json_t *after)
{
	auto_free struct bench_hist *h = bench_alloc(sizeof(*h));
	const json_t *old = json_object_get(before, "hist_ns"), *bin;
	size_t i;

	json_array_foreach (json_object_get(after, "hist_ns"), i, bin) {
		json_int_t ns = json_integer_value(json_array_get(bin, 0));
		json_int_t n = json_integer_value(json_array_get(bin, 1)) - bin_count(old, ns);

		if (ns >= 0 && n > 0)
			bench_hist_add(h, (uint64_t)ns, (uint64_t)n);
	}
	return h->total ? type_json(h, (uint64_t)(errors_of(after) - errors_of(before))) : NULL;
}

json_t *bench_requests_delta(const json_t *before, const json_t *after)
{
	json_t *all = json_object(), *type;
	const char *key;

	json_object_foreach ((json_t *)after, key, type) {
		json_t *delta = delta_json(json_object_get(before, key), type);
		auto_free char *name = bench_strdup(key);

		for (char *c = name; *c; c++)
			*c = (char)toupper((unsigned char)*c);
		if (delta)
			json_object_set_new(all, name, delta);
	}
	return all;
}

/* The number after @name at the beginning of a line. */
static uint64_t stat_of(const char *stats, const char *name)
{
	for (const char *line = stats; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, strlen(name)))
			return strtoull(line + strlen(name), NULL, 10);
	}
	return 0;
}

uint64_t bench_requests_lost(const char *stats)
{
	return stat_of(stats, "overrun: ") + stat_of(stats, "commit overrun: ") +
	       stat_of(stats, "dropped events: ");
}
