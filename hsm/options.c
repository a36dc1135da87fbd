/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The option table shared by all programs, the parser over getopt_long(3), and the parsers of
 * sizes and durations. A front-end's own rows are appended; nothing here knows what they are.
 */
#include "hsm/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "hsm/err.h"
#include "hsm/util.h"

#define ROWS_MAX 64

int hsm_parse_bytes(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "kmgtpe";
	double value, scale = 1;
	const char *unit;
	char *end;

	errno = 0;
	value = strtod(text, &end);
	if (end == text || errno || !(value >= 0))
		return hsm_err(
			EINVAL, "'%s' is not a size; use for example 64K or 1.5GiB", text);
	unit = *end ? strchr(units, *end | 0x20) : NULL;
	if (unit) {
		scale = ldexp(1, 10 * (int)(unit - units + 1));
		end++;
		if (*end == 'i')
			end++;
	}
	if (*end == 'B')
		end++;
	if (*end || value * scale >= ldexp(1, 63))
		return hsm_err(
			EINVAL, "'%s' is not a size; use for example 64K or 1.5GiB", text);
	*ret_bytes = (uint64_t)(value * scale);
	return 0;
}

int hsm_parse_duration(const char *text, uint64_t *ret_ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"", 1e9}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9},
		{"h", 3600e9}};
	double value;
	char *end;

	errno = 0;
	value = strtod(text, &end);
	if (end == text || errno || !(value >= 0))
		return hsm_err(
			EINVAL, "'%s' is not a time; use for example 250us, 10ms or 5s", text);
	for (size_t i = 0; i < HSM_ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].name) || value * units[i].ns >= ldexp(1, 62))
			continue;
		*ret_ns = (uint64_t)(value * units[i].ns);
		return 0;
	}
	return hsm_err(EINVAL, "'%s' is not a time; use for example 250us, 10ms or 5s", text);
}

void hsm_options_default(struct hsm_options *opt)
{
	*opt = (struct hsm_options){
		.chunk_bytes = 64 << 10,
		.readahead_bytes = 8 << 20,
		.connections = 16,
		.workers = 8,
		.retries = 3,
		.timeout_ns = 30 * HSM_NSEC,
		.sync_ns = 10 * HSM_NSEC,
		.names = HSM_NS_LAZY,
	};
}

static int parse_count(const char *text, unsigned int min, unsigned int max, unsigned int *ret)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (end == text || *end || errno || *text == '-' || value < min || value > max)
		return hsm_err(EINVAL, "'%s' is not a number from %u to %u", text, min, max);
	*ret = (unsigned int)value;
	return 0;
}

static int set_chunk(void *target, const char *value)
{
	struct hsm_options *opt = target;
	uint64_t bytes;
	int r = hsm_parse_bytes(value, &bytes);

	if (r)
		return r;
	if (bytes < 4096 || bytes > (64 << 20) || bytes & (bytes - 1))
		return hsm_err(
			EINVAL, "chunk size '%s' is not a power of two from 4K to 64M", value);
	opt->chunk_bytes = bytes;
	return 0;
}

static int set_readahead(void *target, const char *value)
{
	return hsm_parse_bytes(value, &((struct hsm_options *)target)->readahead_bytes);
}

static int set_connections(void *target, const char *value)
{
	return parse_count(value, 1, 1024, &((struct hsm_options *)target)->connections);
}

static int set_workers(void *target, const char *value)
{
	return parse_count(value, 1, 256, &((struct hsm_options *)target)->workers);
}

static int set_retries(void *target, const char *value)
{
	return parse_count(value, 0, 100, &((struct hsm_options *)target)->retries);
}

static int set_timeout(void *target, const char *value)
{
	return hsm_parse_duration(value, &((struct hsm_options *)target)->timeout_ns);
}

static int set_latency(void *target, const char *value)
{
	return hsm_parse_duration(value, &((struct hsm_options *)target)->latency_ns);
}

static int set_bandwidth(void *target, const char *value)
{
	return hsm_parse_bytes(value, &((struct hsm_options *)target)->bandwidth);
}

static int set_sync(void *target, const char *value)
{
	return hsm_parse_duration(value, &((struct hsm_options *)target)->sync_ns);
}

static int set_watermark(struct hsm_watermark *mark, const char *text)
{
	char *end;
	double percent = strtod(text, &end);
	uint64_t bytes;

	if (end != text && !strcmp(end, "%")) {
		if (!(percent > 0 && percent < 100))
			return hsm_err(
				EINVAL, "'%s' is not a percentage between 0 and 100", text);
		*mark = (struct hsm_watermark){(uint64_t)(percent * 100), true};
		return 0;
	}
	if (hsm_parse_bytes(text, &bytes) || !bytes)
		return hsm_err(EINVAL,
			"'%s' is no watermark; use a size as 500G or a percentage as 90%%",
			text);
	*mark = (struct hsm_watermark){bytes, false};
	return 0;
}

static int set_evict_high(void *target, const char *value)
{
	return set_watermark(&((struct hsm_options *)target)->evict_high, value);
}

static int set_evict_low(void *target, const char *value)
{
	return set_watermark(&((struct hsm_options *)target)->evict_low, value);
}

/* The low mark is nine tenths of the high one, or what the user says. */
static int check_watermarks(struct hsm_options *opt)
{
	const struct hsm_watermark *high = &opt->evict_high;
	struct hsm_watermark *low = &opt->evict_low;

	if (!high->value)
		return low->value ? hsm_err(EINVAL, "--evict-low needs --evict-high") : 0;
	if (!low->value)
		*low = (struct hsm_watermark){high->value / 10 * 9, high->percent};
	if (low->percent != high->percent)
		return hsm_err(EINVAL,
			"--evict-high and --evict-low must both be sizes or both percentages");
	if (low->value > high->value)
		return hsm_err(EINVAL, "--evict-low is above --evict-high");
	return 0;
}

static int set_stubs(void *target, const char *value)
{
	struct hsm_options *opt = target;

	if (!strcmp(value, "sparse"))
		opt->stubs = HSM_STUBS_SPARSE;
	else if (!strcmp(value, "prealloc"))
		opt->stubs = HSM_STUBS_PREALLOC;
	else
		return hsm_err(EINVAL, "stubs '%s' is not one of sparse, prealloc", value);
	return 0;
}

static int set_namespace(void *target, const char *value)
{
	static const char *const names[] = {"lazy", "ahead", "eager"};

	for (unsigned int i = 0; i < HSM_ARRAY_SIZE(names); i++) {
		if (!strcmp(value, names[i])) {
			((struct hsm_options *)target)->names = (enum hsm_namespace)i;
			return 0;
		}
	}
	return hsm_err(EINVAL, "namespace '%s' is not one of lazy, ahead, eager", value);
}

static int set_refresh(void *target, const char *value)
{
	return hsm_parse_duration(value, &((struct hsm_options *)target)->refresh_ns);
}

static int set_subtree(void *target, const char *value)
{
	return hsm_filter_set_subtree(&((struct hsm_options *)target)->filter, value);
}

static int set_include(void *target, const char *value)
{
	return hsm_filter_add(&((struct hsm_options *)target)->filter, value, true);
}

static int set_exclude(void *target, const char *value)
{
	return hsm_filter_add(&((struct hsm_options *)target)->filter, value, false);
}

static int set_insecure(void *target, const char *value)
{
	(void)value;
	((struct hsm_options *)target)->insecure = true;
	return 0;
}

static int set_cacert(void *target, const char *value)
{
	((struct hsm_options *)target)->cacert = value;
	return 0;
}

static int set_proxy(void *target, const char *value)
{
	((struct hsm_options *)target)->proxy = value;
	return 0;
}

static int set_user(void *target, const char *value)
{
	((struct hsm_options *)target)->user = value;
	return 0;
}

static int set_header(void *target, const char *value)
{
	struct hsm_options *opt = target;

	if (opt->headers == HSM_HEADERS_MAX)
		return hsm_err(EINVAL, "more than %d --header options", HSM_HEADERS_MAX);
	if (!strchr(value, ':') || strpbrk(value, "\r\n"))
		return hsm_err(EINVAL, "header '%s' is not 'Name: value'", value);
	opt->header[opt->headers++] = value;
	return 0;
}

static int set_foreground(void *target, const char *value)
{
	(void)value;
	((struct hsm_options *)target)->foreground = true;
	return 0;
}

static int set_verbose(void *target, const char *value)
{
	(void)value;
	((struct hsm_options *)target)->verbose++;
	return 0;
}

static int set_help(void *target, const char *value)
{
	(void)value;
	((struct hsm_options *)target)->help = true;
	return 0;
}

static int set_version(void *target, const char *value)
{
	(void)value;
	((struct hsm_options *)target)->version = true;
	return 0;
}

static const struct hsm_option shared[] = {
	{0, "chunk", "SIZE", "smallest unit fetched, power of two (64K)", set_chunk},
	{0, "readahead", "SIZE", "largest window of a sequential reader, 0 = none (8M)",
		set_readahead},
	{0, "connections", "N", "connections to the origin at most (16)", set_connections},
	{0, "workers", "N", "threads for listings and other blocking work (8)", set_workers},
	{0, "retries", "N", "tries after the first one when the origin fails (3)", set_retries},
	{0, "timeout", "TIME", "no byte from the origin for so long is a fault (30s)",
		set_timeout},
	{0, "latency", "TIME", "add this to every request to the origin", set_latency},
	{0, "bandwidth", "SIZE", "bytes per second from the origin at most", set_bandwidth},
	{0, "namespace", "MODE", "when names appear: lazy, ahead or eager", set_namespace},
	{0, "stubs", "KIND", "files without bytes: sparse (default) or prealloc", set_stubs},
	{0, "evict-high", "SIZE|N%", "evict when the cache holds more, or the disk is as full",
		set_evict_high},
	{0, "evict-low", "SIZE|N%", "down to this (nine tenths of the high mark)",
		set_evict_low},
	{0, "refresh", "TIME", "compare the tree with the origin so often, 0 = never (0)",
		set_refresh},
	{0, "subtree", "PATH", "only this directory of the origin", set_subtree},
	{0, "include", "PATTERN", "keep such names (repeatable, first match decides)",
		set_include},
	{0, "exclude", "PATTERN", "leave such names out (repeatable, first match decides)",
		set_exclude},
	{0, "sync", "TIME", "what is filled survives a power cut after so long (10s)",
		set_sync},
	{0, "user", "NAME:PASSWORD", "credentials for the origin", set_user},
	{0, "header", "LINE", "add 'Name: value' to requests (repeatable)", set_header},
	{0, "proxy", "URL", "HTTP proxy", set_proxy},
	{0, "cacert", "FILE", "CA certificates to trust (PEM)", set_cacert},
	{0, "insecure", NULL, "do not verify TLS certificates", set_insecure},
	{'f', "foreground", NULL, "stay in the foreground, log to stderr", set_foreground},
	{'v', "verbose", NULL, "log more (repeatable)", set_verbose},
	{'h', "help", NULL, "show this help", set_help},
	{'V', "version", NULL, "show the version", set_version},
	{0},
};

struct row {
	const struct hsm_option *option;
	void *target;
};

static unsigned int add_rows(
	const struct hsm_option *table, void *target, struct row *rows, unsigned int count)
{
	for (; table && table->name && count < ROWS_MAX; table++)
		rows[count++] = (struct row){table, target};
	return count;
}

/* Translates the rows for getopt_long; val is the row number + 256 or the letter. */
static void build_getopt(
	const struct row *rows, unsigned int count, struct option *longs, char *shorts)
{
	*shorts++ = ':';
	for (unsigned int i = 0; i < count; i++) {
		const struct hsm_option *o = rows[i].option;

		longs[i] = (struct option){
			o->name, o->arg ? required_argument : no_argument, NULL, 256 + (int)i};
		if (!o->letter)
			continue;
		*shorts++ = o->letter;
		if (o->arg)
			*shorts++ = ':';
	}
	*shorts = 0;
}

static const struct row *find_row(const struct row *rows, unsigned int count, int c)
{
	if (c >= 256)
		return &rows[c - 256];
	for (unsigned int i = 0; i < count; i++)
		if (rows[i].option->letter == c)
			return &rows[i];
	return NULL;
}

static int usage_error(int c, const char *word)
{
	if (c == ':')
		return hsm_err(EINVAL, "option '%s' needs a value; see --help", word);
	return hsm_err(EINVAL, "unknown option '%s'; see --help", word);
}

int hsm_options_parse(struct hsm_options *opt, const struct hsm_option *own, void *own_target,
	int argc, char **argv, int *ret_first)
{
	struct option longs[ROWS_MAX + 1] = {0};
	char shorts[2 * ROWS_MAX + 2];
	struct row rows[ROWS_MAX];
	unsigned int count = add_rows(shared, opt, rows, 0);
	int c, r;

	count = add_rows(own, own_target, rows, count);
	build_getopt(rows, count, longs, shorts);
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct row *row = find_row(rows, count, c);

		if (c == '?' || c == ':' || !row)
			return usage_error(c, argv[optind - 1]);
		r = row->option->set(row->target, optarg);
		if (r)
			return r;
	}
	*ret_first = optind;
	return check_watermarks(opt);
}

int hsm_options_set(struct hsm_options *opt, const struct hsm_option *own, void *own_target,
	const char *name, const char *value)
{
	struct row rows[ROWS_MAX];
	unsigned int count = add_rows(shared, opt, rows, 0);
	int r;

	count = add_rows(own, own_target, rows, count);
	for (unsigned int i = 0; i < count; i++) {
		const struct hsm_option *o = rows[i].option;

		if (strcmp(o->name, name))
			continue;
		if (!o->arg != !value)
			return hsm_err(EINVAL, "option '%s' %s; see --help", name,
				value ? "takes no value" : "needs a value");
		r = o->set(rows[i].target, value);
		return r ? r : 1;
	}
	return 0;
}

static void help_rows(FILE *out, const struct hsm_option *table)
{
	for (; table && table->name; table++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%c%s --%s%s%s", table->letter ? "-" : " ",
			table->letter ? table->letter : ' ', table->letter ? "," : " ",
			table->name, table->arg ? " " : "", table->arg ? table->arg : "");
		fprintf(out, "  %-27s %s\n", left, table->help);
	}
}

char *hsm_options_help(const struct hsm_option *own)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	help_rows(out, own);
	help_rows(out, shared);
	fclose(out);
	return text;
}
