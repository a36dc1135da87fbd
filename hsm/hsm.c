/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening and closing the HSM, and the keeper: the thread that writes stamps of idle files and
 * makes them durable. What happens in between is in file.c (active files), fill.c and request.c
 * (bytes), dir.c and populate.c (names), control.c (hsmctl).
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "hsm/core.h"
#include "hsm/evict.h"
#include "hsm/util.h"

#define SLOTS_MAX 4096u
#define IDLE_NS	  (2 * HSM_NSEC)
#define TICK_NS	  (HSM_NSEC / 2)

/* Each active file has a descriptor, and a front-end may hold one or two for it as well. */
static uint32_t slot_count(void)
{
	struct rlimit limit = {.rlim_cur = 1024};

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	return (uint32_t)HSM_MIN(
		(uint64_t)SLOTS_MAX, HSM_MAX((uint64_t)limit.rlim_cur / 4, 64ull));
}

static int open_epochs(struct hsm *h)
{
	auto_fd int mount_fd = open(h->cache.path, O_PATH | O_CLOEXEC);
	bool same = false;
	int r;

	if (mount_fd < 0)
		return hsm_err(errno, "cache %s: %s", h->cache.path, strerror(errno));
	r = hsm_epochs_open(&h->epochs, h->cache.meta_fd, mount_fd, &same);
	if (r)
		return r;
	return hsm_journal_open(
		&h->journal, h->cache.meta_fd, slot_count(), same, hsm_file_replay, h);
}

static int open_origin(struct hsm *h, const char *spec)
{
	int r = hsm_cache_get_origin(&h->cache, spec, &h->origin_spec);

	if (r)
		return r;
	r = hsm_origin_open(h->origin_spec, &h->opt, h->stats, &h->origin);
	if (r)
		return r;
	hsm_origin_set_idle(h->origin, h->fe.flush, h->fe.ctx);
	r = h->origin->ops->probe(h->origin);
	return r ? r : hsm_cache_set_origin(&h->cache, h->origin_spec);
}

/* Waits for the next tick; false when the keeper is to end. */
static bool keeper_tick(struct hsm *h, bool *ret_pressed)
{
	struct timespec until;
	bool runs;

	clock_gettime(CLOCK_REALTIME, &until);
	until = hsm_ns_to_timespec(hsm_timespec_to_ns(until) + TICK_NS);
	pthread_mutex_lock(&h->keeper_lock);
	if (h->keeper_runs && !h->keeper_pressed)
		pthread_cond_timedwait(&h->keeper_cond, &h->keeper_lock, &until);
	runs = h->keeper_runs;
	*ret_pressed = h->keeper_pressed;
	h->keeper_pressed = false;
	pthread_mutex_unlock(&h->keeper_lock);
	return runs;
}

void hsm_keeper_press(struct hsm *h)
{
	pthread_mutex_lock(&h->keeper_lock);
	h->keeper_pressed = true;
	pthread_cond_signal(&h->keeper_cond);
	pthread_mutex_unlock(&h->keeper_lock);
}

static void sync_all(struct hsm *h)
{
	hsm_files_stamp_all(h);
	if (hsm_epoch_sync(&h->epochs))
		hsm_log(HSM_LOG_ERROR, "%s", hsm_err_text());
}

static void *keeper(void *arg)
{
	struct hsm *h = arg;
	uint64_t synced_ns = hsm_now_ns();
	bool pressed;

	while (keeper_tick(h, &pressed)) {
		hsm_files_expire(h, pressed ? 0 : IDLE_NS);
		hsm_pending_retry(h);
		if (hsm_now_ns() - synced_ns < h->opt.sync_ns)
			continue;
		sync_all(h);
		synced_ns = hsm_now_ns();
	}
	return NULL;
}

static int start_threads(struct hsm *h)
{
	int r = hsm_pool_new(h->opt.workers, &h->pool);

	if (r)
		return hsm_err(-r, "starting threads: %s", strerror(-r));
	h->keeper_runs = true;
	r = pthread_create(&h->keeper, NULL, keeper, h);
	if (r) {
		h->keeper_runs = false;
		return hsm_err(r, "starting threads: %s", strerror(r));
	}
	return 0;
}

static struct hsm *hsm_alloc(const struct hsm_options *opt, const struct hsm_frontend *fe)
{
	struct hsm *h = aligned_alloc(64, HSM_ALIGN_UP(sizeof(*h), 64));

	if (!h)
		return NULL;
	memset(h, 0, sizeof(*h));
	h->opt = *opt;
	h->fe = *fe;
	hsm_cache_init(&h->cache);
	h->started_ns = hsm_now_ns();
	h->pending_tail = &h->pending_head;
	pthread_mutex_init(&h->pending_lock, NULL);
	pthread_mutex_init(&h->dir_lock, NULL);
	pthread_cond_init(&h->dir_idle, NULL);
	pthread_mutex_init(&h->keeper_lock, NULL);
	pthread_cond_init(&h->keeper_cond, NULL);
	pthread_mutex_init(&h->evict_lock, NULL);
	pthread_mutex_init(&h->refresh_lock, NULL);
	pthread_cond_init(&h->refresh_change, NULL);
	hsm_files_init(h);
	return h;
}

int hsm_open(const char *origin, const char *cache, const struct hsm_options *opt,
	const struct hsm_frontend *fe, struct hsm **ret_hsm)
{
	struct hsm *h = hsm_alloc(opt, fe);
	int r;

	if (!h)
		return -ENOMEM;
	umask(0); /* stubs have the origin's mode, not the daemon's */
	r = hsm_stats_new(&h->stats);
	if (!r)
		r = hsm_cache_open(&h->cache, cache, fe->lock_fd);
	if (!r)
		r = open_origin(h, origin);
	if (!r)
		r = open_epochs(h);
	if (!r)
		r = hsm_stage_clean(h);
	if (!r)
		r = start_threads(h);
	if (r) {
		hsm_cache_discard(&h->cache);
		hsm_close(h);
		return r;
	}
	*ret_hsm = h;
	return 0;
}

int hsm_start(struct hsm *h)
{
	int r = hsm_evictor_start(h);

	if (!r)
		r = hsm_control_open(h);
	if (r)
		return r;
	if (h->opt.names == HSM_NS_EAGER)
		r = hsm_tree_populate(h, h->cache.data_fd);
	else if (h->opt.names == HSM_NS_AHEAD)
		r = hsm_dir_names_wait(h, h->cache.data_fd);
	if (r)
		return hsm_err(-r, "not every directory of the origin could be listed: %s",
			strerror(-r));
	return hsm_refresher_start(h);
}

static void stop_keeper(struct hsm *h)
{
	if (!h->keeper_runs)
		return;
	pthread_mutex_lock(&h->keeper_lock);
	h->keeper_runs = false;
	pthread_cond_signal(&h->keeper_cond);
	pthread_mutex_unlock(&h->keeper_lock);
	pthread_join(h->keeper, NULL);
}

void hsm_close(struct hsm *h)
{
	h->closing = true;
	if (h->origin)
		h->origin->ops->cancel(h->origin);
	hsm_pending_cancel(h);
	hsm_refresher_stop(h);
	hsm_control_close(h);
	hsm_evictor_stop(h);
	stop_keeper(h);
	if (h->pool) {
		hsm_dirs_drain(h);
		hsm_pool_free(h->pool);
	}
	if (h->origin)
		h->origin->ops->close(h->origin);
	if (h->journal.slot)
		sync_all(h);
	hsm_files_release(h);
	hsm_journal_close(&h->journal);
	if (h->epochs.current)
		hsm_epochs_release(&h->epochs);
	hsm_cache_close(&h->cache);
	hsm_stats_free(h->stats);
	free(h->origin_spec);
	pthread_mutex_destroy(&h->pending_lock);
	pthread_mutex_destroy(&h->dir_lock);
	pthread_cond_destroy(&h->dir_idle);
	pthread_mutex_destroy(&h->keeper_lock);
	pthread_cond_destroy(&h->keeper_cond);
	pthread_mutex_destroy(&h->evict_lock);
	pthread_mutex_destroy(&h->refresh_lock);
	pthread_cond_destroy(&h->refresh_change);
	free(h);
}

int hsm_data_fd(struct hsm *h)
{
	return h->cache.data_fd;
}

int hsm_lock_fd(struct hsm *h)
{
	return h->cache.lock_fd;
}

uint64_t hsm_cache_id(struct hsm *h)
{
	return h->cache.id;
}

int hsm_mount_fd(struct hsm *h)
{
	return h->cache.root_fd;
}

struct hsm_stats *hsm_get_stats(struct hsm *h)
{
	return h->stats;
}

json_t *hsm_status_json(struct hsm *h)
{
	static const char *const names[] = {"lazy", "ahead", "eager"};
	json_t *o = json_pack("{ss ss ss ss si sI ss so so}", "program", h->fe.name, "version",
		HSM_VERSION, "cache", h->cache.path, "origin", h->origin_spec, "pid",
		(int)getpid(), "uptime_ns", (json_int_t)(hsm_now_ns() - h->started_ns),
		"namespace", names[h->opt.names], "counters", hsm_stats_json(h->stats), "files",
		hsm_files_json(h));

	if (o && h->fe.status)
		h->fe.status(h->fe.ctx, o);
	return o;
}
