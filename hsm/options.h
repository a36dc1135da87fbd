/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_OPTIONS_H
#define HSM_OPTIONS_H
/*
 * The options every program shares, one table, same names everywhere. A front-end appends its
 * own rows and hands both to hsm_options_parse().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hsm/filter.h"

/* Exit codes of all four programs. */
enum hsm_exit {
	HSM_EXIT_OK = 0,
	HSM_EXIT_FAILED = 1, /* some cell or item failed */
	HSM_EXIT_USAGE = 2,
	HSM_EXIT_REQUIREMENT = 3, /* privilege, kernel, file system, unreachable origin, lock */
	HSM_EXIT_INTERRUPTED = 4,
	HSM_EXIT_MISMATCH = 5, /* data differs from the origin */
};

/* What a file without its bytes is: holes, or allocated extents that read as zeros. */
enum hsm_stubs { HSM_STUBS_SPARSE, HSM_STUBS_PREALLOC };

enum hsm_namespace { HSM_NS_LAZY, HSM_NS_AHEAD, HSM_NS_EAGER };

#define HSM_HEADERS_MAX 16

/* Where eviction starts or ends. */
struct hsm_watermark {
	uint64_t value; /* 0 = not set */
	bool percent; /* hundredths of a percent of the file system; else bytes of cached files */
};

struct hsm_options {
	uint64_t chunk_bytes; /* smallest chunk, power of two; grows with file size */
	uint64_t readahead_bytes; /* largest window of a sequential reader; 0 = none */
	unsigned int connections; /* to the origin, at most */
	unsigned int workers; /* threads for listings and other blocking work */
	unsigned int retries; /* after the first try */
	uint64_t timeout_ns; /* no byte for so long = a fault */
	uint64_t latency_ns; /* added to each request (decorator) */
	uint64_t bandwidth; /* bytes per second over all requests, 0 = unlimited (decorator) */
	uint64_t sync_ns; /* longest time until what was filled survives a power cut */
	enum hsm_namespace names;
	enum hsm_stubs stubs;
	struct hsm_watermark evict_high, evict_low; /* both of one kind */
	uint64_t
		refresh_ns; /* the tree is compared with the origin so often; 0 = never by itself */
	struct hsm_filter filter; /* which names of the origin are managed */
	bool insecure; /* do not verify TLS */
	const char *cacert; /* PEM file, NULL = system's */
	const char *proxy;
	const char *user; /* name:password */
	const char *header[HSM_HEADERS_MAX];
	unsigned int headers;
	bool foreground;
	bool help, version; /* the program prints and exits 0 */
	unsigned int verbose;
};

void hsm_options_default(struct hsm_options *opt);

/* One row of an option table. @arg NULL = a flag. @set gets @target, returns 0 or -errno + text. */
struct hsm_option {
	char letter; /* 0 = none */
	const char *name;
	const char *arg; /* placeholder in the help, NULL = takes none */
	const char *help; /* one line */
	int (*set)(void *target, const char *value);
};

/*
 * Parses argv with the shared table and @own (terminated by a row without name, may be NULL)
 * whose rows get @own_target. Positional arguments are moved to the end of @argv;
 * *ret_first is the index of the first. -EINVAL + text on a usage error.
 */
int hsm_options_parse(struct hsm_options *opt, const struct hsm_option *own, void *own_target,
	int argc, char **argv, int *ret_first);

/*
 * One option by its long name, for programs that take options in another form too. @value NULL =
 * none given; kept by reference. 1: done; 0: there is no such option; -EINVAL + text.
 */
int hsm_options_set(struct hsm_options *opt, const struct hsm_option *own, void *own_target,
	const char *name, const char *value);

/* The option part of a --help text for both tables; returns an allocated string, owned. */
char *hsm_options_help(const struct hsm_option *own);

/* "64K", "1.5M", "2GiB" -> bytes; "250us", "10ms", "5", "5s" (plain = seconds) -> ns. -EINVAL + text. */
int hsm_parse_bytes(const char *text, uint64_t *ret_bytes);
int hsm_parse_duration(const char *text, uint64_t *ret_ns);

#endif
