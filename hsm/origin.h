/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_ORIGIN_H
#define HSM_ORIGIN_H
/*
 * Where bytes come from. One vtable, three implementations: a local directory
 * (origin_mirror.c), HTTP (origin_http.c) and a decorator that adds a fixed latency and
 * bandwidth to either (origin_delay.c).
 *
 * A path is relative to the origin's root, '/'-separated, without leading slash, "" for the
 * root, in the raw bytes of the file name (a backend does its own URL encoding). An origin is hostile:
 * whatever it sends is checked here (names by hsm_name_check(), sizes, ranges, validators).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "hsm/options.h"
#include "hsm/stats.h"

#define HSM_VALIDATOR_MAX 128 /* longest ETag kept, including the NUL */
#define HSM_MTIME_UNKNOWN INT64_MIN

/* One name in a directory. Strings belong to the listing. */
struct hsm_entry {
	const char *name;
	const char *target; /* symbolic link target, else NULL */
	uint64_t size; /* bytes; exact when a listing is handed out */
	int64_t mtime_ns; /* since the epoch, or HSM_MTIME_UNKNOWN */
	mode_t mode; /* S_IFREG, S_IFDIR or S_IFLNK plus permission bits */
	bool size_exact; /* backend-internal: false = the index rounded it */
	bool mtime_exact; /* false: to the minute or in an unknown time zone; learned at first fetch */
	bool ask; /* set by who calls ask(): look at this one; stays set where nothing was learned */
	const char *validator; /* only from ask(): as in struct hsm_fetch, "" = it has none */
};

/* A directory's entries, owned. Grown by hsm_listing_add(). */
struct hsm_listing {
	struct hsm_entry *entry;
	size_t count;
	size_t room;
	void *arena; /* backing store of the strings */
	size_t left_out; /* names that are there but cannot be stubs */
};

void hsm_listing_release(struct hsm_listing *l);

/*
 * Appends a copy of @e; -EINVAL if the name is refused (see hsm_name_check), -ENOMEM,
 * -E2BIG past HSM_LISTING_MAX entries. Duplicates are removed by hsm_listing_finish().
 */
#define HSM_LISTING_MAX (16u << 20)
int hsm_listing_add(struct hsm_listing *l, const struct hsm_entry *e);

/* A copy of @text that lives as long as the listing; NULL when out of memory. */
const char *hsm_listing_keep(struct hsm_listing *l, const char *text);

/* The entry of this name in a finished listing, or NULL. */
struct hsm_entry *hsm_listing_find(const struct hsm_listing *l, const char *name);

/* Sorts by name and drops duplicates (the first one added wins). */
int hsm_listing_finish(struct hsm_listing *l);

/* 0 if @name can be created in a directory: not "", ".", "..", no '/', no NUL, at most 255 bytes. */
int hsm_name_check(const char *name, size_t len);

/*
 * One range request. Embedded in the caller's own structure, borrowed by the origin from
 * fetch() until done() is called; done() is called exactly once, from a thread of the origin,
 * and is the last use. data() is called zero or more times before it, in order of offset
 * without gaps, from the same thread.
 */
struct hsm_fetch {
	const char *path; /* in; must stay valid until done() */
	uint64_t offset; /* in: first byte */
	uint64_t length; /* in: bytes wanted, > 0, offset + length <= size */
	uint64_t size; /* in: the whole object's size as the stub has it */
	int64_t mtime_ns; /* in: expected, or HSM_MTIME_UNKNOWN to accept any; out: learned */
	char validator[HSM_VALIDATOR_MAX]; /* in: expected ETag, "" accepts any; out: learned */
	/* Bytes [offset, offset + length). A negative errno aborts the request with it. */
	int (*data)(struct hsm_fetch *f, uint64_t offset, const void *bytes, size_t length);
	/*
	 * @err: 0 = every byte was delivered; -EIO origin failed or lied (after retries); -ESTALE
	 * the object is not the one the stub describes (size, validator, mtime or gone: 404/410);
	 * -ECANCELED the origin is closing; or what data() returned. A sentence is in hsm_err_text()
	 * of the calling thread.
	 */
	void (*done)(struct hsm_fetch *f, int err);
	void *priv; /* the backend's */
	struct hsm_fetch *next; /* the backend's */
};

struct hsm_origin;

struct hsm_origin_ops {
	const char *scheme;

	/* Blocking. 0 if the root is a directory that can be listed, else negative errno + text. */
	int (*probe)(struct hsm_origin *o);

	/*
	 * Blocking; any thread, many at a time. Fills @ret (released by the caller also after
	 * an error). Every size in it is exact. -ENOENT, -ENOTDIR, -EIO, -E2BIG.
	 */
	int (*list)(struct hsm_origin *o, const char *path, struct hsm_listing *ret);

	/*
	 * Blocking; any thread. What the files of directory @path with .ask set are now: size,
	 * mtime and validator, as a fetch would meet them. One that is not there any more is no
	 * error, it stays marked. -EIO and the like: nothing is known of those still marked.
	 */
	int (*ask)(struct hsm_origin *o, const char *path, struct hsm_listing *l);

	/* Never blocks; any thread. done() reports every error. */
	void (*fetch)(struct hsm_origin *o, struct hsm_fetch *f);

	/*
	 * Any thread, never blocks: lists, probes and fetches in flight and to come end with
	 * -ECANCELED, soon. The only call left afterwards is close().
	 */
	void (*cancel)(struct hsm_origin *o);

	/* Ends every request with -ECANCELED, then frees. No call may be in flight but fetches. */
	void (*close)(struct hsm_origin *o);
};

struct hsm_origin {
	const struct hsm_origin_ops *ops;
	struct hsm_stats *
		stats; /* borrowed; backends count lists, heads, fetches, retries, errors, bytes */
	/* NULL, or what a thread that calls done() may call when it is about to wait for more. */
	void (*_Atomic idle)(void *arg);
	void *idle_arg;
};

/* At most once, before the first fetch. */
static inline void hsm_origin_set_idle(struct hsm_origin *o, void (*idle)(void *arg), void *arg)
{
	o->idle_arg = arg;
	o->idle = idle;
}

static inline void hsm_origin_idle(struct hsm_origin *o)
{
	void (*idle)(void *arg) = o->idle;

	if (idle)
		idle(o->idle_arg);
}

/*
 * Opens @spec: a directory or an http:// or https:// URL (a trailing slash is implied), and
 * wraps it in the decorator when @opt asks for latency or bandwidth. @stats and the strings of @opt are borrowed.
 * Does not touch the network; call ops->probe() for that. Free with ops->close().
 */
int hsm_origin_open(const char *spec, const struct hsm_options *opt, struct hsm_stats *stats,
	struct hsm_origin **ret_origin);

/* The backends. hsm_origin_delay_new takes @inner: closing the decorator closes it. */
int hsm_origin_mirror_open(const char *dir, const struct hsm_options *opt,
	struct hsm_stats *stats, struct hsm_origin **ret_origin);
int hsm_origin_http_open(const char *url, const struct hsm_options *opt,
	struct hsm_stats *stats, struct hsm_origin **ret_origin);
int hsm_origin_delay_new(struct hsm_origin *inner, uint64_t latency_ns, uint64_t bytes_per_s,
	struct hsm_origin **ret_origin);

#endif
