/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One directory: its listing from the origin turned into names in the cache. A large listing is
 * split over the workers, each with its own name in the staging area.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/core.h"
#include "hsm/util.h"

#define PART	    512 /* entries a worker takes at a time */
#define HELPERS_MAX 4

/* Shared by the thread that populates and the workers that help it. */
struct batch {
	struct hsm *h;
	int dirfd;
	const char *path;
	const struct hsm_listing *listing;
	_Atomic size_t next; /* first entry nobody has taken */
	_Atomic bool subdirs;
	_Atomic int err;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t left;
	bool closed; /* too late to join: only .refs may be touched */
	unsigned int inside; /* helpers at work */
	unsigned int refs; /* the owner and every helper's task */
};

struct helper {
	struct hsm_task task;
	struct batch *batch;
};

static void count_entry(struct batch *b, const struct hsm_entry *e, int r)
{
	struct hsm *h = b->h;

	if (!r && S_ISREG(e->mode))
		hsm_stats_add(h->stats, HSM_C_STUBS_CREATED, 1);
	if (S_ISDIR(e->mode))
		b->subdirs = true;
	if (r == -ENAMETOOLONG || r == -EINVAL) {
		hsm_stats_add(h->stats, HSM_C_NAMES_REFUSED, 1);
		hsm_log(HSM_LOG_WARN, "/%s: the name %.64s of the origin is refused: %s",
			b->path, e->name, strerror(-r));
	} else if (r && r != -EEXIST) {
		b->err = hsm_err(-r, "/%s/%.64s cannot be created in the cache: %s", b->path,
			e->name, strerror(-r));
	}
}

static void work(struct batch *b, int home)
{
	struct hsm *h = b->h;
	size_t from, to;
	char tmp[32];

	snprintf(tmp, sizeof(tmp), "%x", atomic_fetch_add(&h->stage_serial, 1));
	while (!b->err && !h->closing) {
		from = atomic_fetch_add(&b->next, PART);
		to = HSM_MIN(from + PART, b->listing->count);
		if (from >= to)
			break;
		for (; from < to && !b->err; from++) {
			const struct hsm_entry *e = &b->listing->entry[from];

			count_entry(b, e, hsm_stub_create(h, b->dirfd, b->path, e, home, tmp));
		}
	}
}

/* Lock held on entry, not on return. */
static void unref(struct batch *b)
{
	bool last = !--b->refs;

	pthread_mutex_unlock(&b->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->left);
	free(b);
}

static void help(struct hsm_task *task)
{
	struct helper *helper = hsm_container_of(task, struct helper, task);
	struct batch *b = helper->batch;

	free(helper);
	pthread_mutex_lock(&b->lock);
	if (!b->closed) {
		b->inside++;
		pthread_mutex_unlock(&b->lock);
		work(b, hsm_stub_nursery(b->h, b->dirfd));
		pthread_mutex_lock(&b->lock);
		if (!--b->inside)
			pthread_cond_signal(&b->left);
	}
	unref(b);
}

/* Asks idle workers to join in. One that comes too late finds the batch closed. */
static void call_helpers(struct batch *b)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t wanted = HSM_MIN(b->listing->count / (4 * PART), (size_t)HELPERS_MAX);

	wanted = HSM_MIN(wanted, (size_t)HSM_MAX(cpus - 1, 0));
	while (wanted--) {
		struct helper *helper = malloc(sizeof(*helper));

		if (!helper)
			return;
		*helper = (struct helper){{help, NULL}, b};
		pthread_mutex_lock(&b->lock);
		b->refs++;
		pthread_mutex_unlock(&b->lock);
		hsm_pool_submit(b->h->pool, &helper->task, true);
	}
}

static int create_all(struct hsm *h, int dirfd, const char *path,
	const struct hsm_listing *listing, bool *ret_subdirs)
{
	struct batch *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->h = h;
	b->dirfd = dirfd;
	b->path = path;
	b->listing = listing;
	b->refs = 1;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->left, NULL);
	call_helpers(b);
	work(b, dirfd);
	pthread_mutex_lock(&b->lock);
	b->closed = true;
	while (b->inside)
		pthread_cond_wait(&b->left, &b->lock);
	r = b->err;
	if (!r && b->next < listing->count)
		r = -ECANCELED;
	*ret_subdirs = b->subdirs;
	unref(b);
	return r;
}

/* The names are there: give the directory back the origin's mtime, then say so on it. */
static int mark_populated(struct hsm *h, int dirfd, bool subdirs)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
	uint8_t flags = HSM_S_NAMES;
	struct hsm_state state;
	int r = hsm_state_load(dirfd, &state);

	if (r)
		return r;
	if (state.mtime_ns) {
		times[1] = hsm_ns_to_timespec(state.mtime_ns);
		futimens(dirfd, times);
	}
	/* Eager goes on to all of them by itself. */
	if (!subdirs || h->opt.names == HSM_NS_EAGER)
		flags |= HSM_S_DEEP;
	r = hsm_dir_update(h, dirfd, flags, 0, HSM_MTIME_UNKNOWN);
	if (r)
		return hsm_err(
			-r, "/%s: its state cannot be written: %s", state.path, strerror(-r));
	hsm_stats_add(h->stats, HSM_C_DIRS_POPULATED, 1);
	return 0;
}

int hsm_names_create(struct hsm *h, int dirfd, const char *path, bool *ret_subdirs)
{
	struct hsm_listing listing = {0};
	bool subdirs = false;
	int r = h->origin->ops->list(h->origin, path, &listing);

	hsm_filter_listing(&h->opt.filter, path, &listing);
	if (!r)
		r = create_all(h, dirfd, path, &listing, &subdirs);
	if (!r)
		r = mark_populated(h, dirfd, subdirs);
	hsm_listing_release(&listing);
	if (!r)
		*ret_subdirs = subdirs;
	return r;
}
