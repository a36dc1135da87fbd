/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that users changed. Permission events cannot tell: they come before the change, look the same
 * for a read, and stop when a file is complete. So every write, and every close of a file that was
 * open for writing (for stores to mappings), queues a notification, which this thread takes to
 * the core: from then on the inode is marked as changed, whatever its mtime says.
 *
 * The events carry file handles, not descriptors (see group.c; on a subvolume of btrfs it is the other way round), so a truncation is told, too; those
 * of the core itself, for which a mount-wide ignore mark is not looked at, are known by the pid.
 *
 * The queue is in order. fan_hsm_changes_settle() truncates a file of its own, the sentinel: when that
 * is told, so is all that happened before. Under a write lease it cannot deadlock: the thread
 * that opens the leased file waits, but who settles sees that the lease is being broken.
 */
#include "fan_hsm/changes.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "fan_hsm/events.h"
#include "fan_hsm/fanotify_compat.h"
#include "fan_hsm/group.h"
#include "fan_hsm/marks.h"
#include "fan_hsm/shared.h"
#include "hsm/handle.h"
#include "hsm/state.h"
#include "hsm/util.h"

#define SETTLE_NS (2 * HSM_NSEC)
#define LOOK_NS	  (HSM_NSEC / 1000)

struct fan_hsm_changes {
	struct fan_hsm *fan;
	pthread_t thread;
	_Atomic bool quit;
	int sentinel;
	struct hsm_handle sentinel_handle;
	ino_t sentinel_ino;

	pthread_mutex_t settling; /* one at a time */
	pthread_mutex_t lock; /* all below */
	pthread_cond_t told;
	bool outstanding; /* the sentinel is queued: another event would be merged with it */
	uint8_t length; /* of the sentinel, 0 or 1 */

	_Atomic uint64_t events, marked, failed, gone;
};

static void count_one(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- one event ---- */

/* The file handle in @m. False: none, or one that is no file's of the cache. */
static bool event_handle(const struct fanotify_event_metadata *m, struct hsm_handle *ret)
{
	const struct fanotify_event_info_fid *info = (const void *)(m + 1);
	const struct file_handle *fh = (const void *)info->handle;

	if (m->event_len < sizeof(*m) + sizeof(*info) + sizeof(*fh) ||
		info->hdr.info_type != FAN_EVENT_INFO_TYPE_FID ||
		fh->handle_bytes > HSM_HANDLE_MAX)
		return false;
	ret->bytes = fh->handle_bytes;
	ret->type = fh->handle_type;
	memcpy(ret->data, fh->f_handle, fh->handle_bytes);
	return true;
}

static bool same_handle(const struct hsm_handle *a, const struct hsm_handle *b)
{
	return a->bytes == b->bytes && a->type == b->type &&
	       !memcmp(a->data, b->data, a->bytes);
}

/* A regular file only: opening a FIFO waits, and opening a device may do anything. */
static int open_regular(const struct fan_hsm *fan, const struct hsm_handle *handle)
{
	int mount = hsm_mount_fd(fan->h);
	auto_fd int path = hsm_handle_open(mount, handle, O_PATH);
	struct stat st;

	if (path < 0)
		return path;
	if (fstat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EISDIR;
	return hsm_handle_open(mount, handle, O_RDONLY | O_NOATIME | O_LARGEFILE);
}

/*
 * Nothing of a user's is in a stub of full length without any data, as long as nothing of it was ever
 * there: somebody has only opened it, or it was truncated when it was made, by a worker that is
 * dead now.
 */
static bool is_blank(const struct fan_hsm *fan, int fd)
{
	struct hsm_state state;
	struct hsm_file *file;
	struct stat st;
	bool blank;

	if (hsm_state_load(fd, &state) || state.kind != HSM_KIND_FILE || fstat(fd, &st) ||
		(uint64_t)st.st_size != state.size || state.fill_end != state.size)
		return false;
	if (lseek(fd, 0, SEEK_DATA) >= 0 || errno != ENXIO ||
		hsm_file_get(fan->h, fd, &file) <= 0)
		return false;
	blank = hsm_file_is_empty(file);
	hsm_file_put(file);
	return blank;
}

/* When there is nothing left to fill and nothing left to learn, the file costs no events any more. */
static void ignore_if_done(struct fan_hsm *fan, int fd)
{
	struct hsm_state state;
	struct hsm_file *file;
	int r = hsm_state_load(fd, &state);

	if (!r && state.cache_id == fan->cache_id && !(state.flags & HSM_S_MODIFIED))
		return;
	r = hsm_file_get(fan->h, fd, &file);
	if (r == 0)
		fan_hsm_marks_file_whole(fan, fd, true);
	else if (r > 0)
		hsm_file_put(file);
}

static void tell(struct fan_hsm_changes *c, int fd, bool wrote)
{
	struct fan_hsm *fan = c->fan;
	int r;

	if (is_blank(fan, fd))
		return;
	r = hsm_fd_written(fan->h, fd, wrote);
	if (!r) {
		count_one(&c->marked);
		ignore_if_done(fan, fd);
	} else if (fan_hsm_count_and_log(&c->failed)) {
		hsm_log(HSM_LOG_ERROR,
			"a file that a user changed cannot be marked so (%s): only its mtime tells",
			strerror(-r));
	}
}

static void sentinel_told(struct fan_hsm_changes *c)
{
	pthread_mutex_lock(&c->lock);
	c->outstanding = false;
	pthread_cond_broadcast(&c->told);
	pthread_mutex_unlock(&c->lock);
}

/* Takes over the descriptor. */
static void handle_fd(struct fan_hsm_changes *c, const struct fanotify_event_metadata *m)
{
	auto_fd int fd = m->fd;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return;
	if (m->pid == c->fan->pid) {
		if (st.st_ino == c->sentinel_ino)
			sentinel_told(c);
		return;
	}
	count_one(&c->events);
	tell(c, fd, m->mask & FAN_MODIFY);
}

static void handle_event(struct fan_hsm_changes *c, const struct fanotify_event_metadata *m)
{
	struct hsm_handle handle;
	auto_fd int fd = -1;

	if (m->mask & FAN_Q_OVERFLOW && fan_hsm_count_and_log(&c->fan->count.overflows))
		hsm_log(HSM_LOG_ERROR, "changes of users were lost: only mtimes tell");
	if (c->fan->changes_by_fd) {
		handle_fd(c, m);
		return;
	}
	if (!event_handle(m, &handle))
		return;
	if (m->pid == c->fan->pid) {
		if (same_handle(&handle, &c->sentinel_handle))
			sentinel_told(c);
		return;
	}
	count_one(&c->events);
	fd = open_regular(c->fan, &handle);
	if (fd >= 0)
		tell(c, fd, m->mask & FAN_MODIFY);
	else if (fd == -ESTALE || fd == -ENOENT)
		count_one(&c->gone);
	else if (fd != -EISDIR && fan_hsm_count_and_log(&c->failed))
		hsm_log(HSM_LOG_ERROR, "a file that a user changed cannot be opened: %s",
			strerror(-fd));
}

/*
 * Up to the first event_len 0: the buffer was all zeros. An event counts as done when the core has
 * been told; a worker that dies before leaves it to the next.
 */
static void handle_batch(struct fan_hsm_changes *c)
{
	struct fan_hsm_shared *s = c->fan->shared;
	uint32_t at = atomic_load(&s->changes_done);

	while (at + sizeof(struct fanotify_event_metadata) <= sizeof(s->changes)) {
		const struct fanotify_event_metadata *m = (const void *)(s->changes + at);

		if (m->event_len < sizeof(*m) || m->event_len > sizeof(s->changes) - at)
			break;
		handle_event(c, m);
		at += m->event_len;
		atomic_store(&s->changes_done, at);
	}
	memset(s->changes, 0, HSM_MIN(at, sizeof(s->changes)));
	atomic_store(&s->changes_done, 0);
}

static void forget_batch(struct fan_hsm_shared *s)
{
	memset(s->changes, 0, sizeof(s->changes));
	atomic_store(&s->changes_done, 0);
}

static void *changes_main(void *arg)
{
	struct fan_hsm_changes *c = arg;
	struct fan_hsm_shared *s = c->fan->shared;

	if (c->fan->changes_by_fd)
		forget_batch(s); /* their descriptors are gone */
	handle_batch(c); /* of a worker that died */
	while (!atomic_load(&c->quit) || c->outstanding) {
		ssize_t n = read(c->fan->change_group, s->changes, sizeof(s->changes));

		if (n < 0 && errno != EINTR) {
			if (fan_hsm_count_and_log(&c->fan->count.read_errors))
				hsm_log(HSM_LOG_ERROR, "reading changes: %s", strerror(errno));
			nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
		}
		if (n > 0)
			handle_batch(c);
	}
	return NULL;
}

/* ---- settling ---- */

/* lock held. Waits until the sentinel is told; -EBUSY when that takes too long. */
static int wait_told(struct fan_hsm_changes *c, uint64_t end_ns, int fd, int lease)
{
	struct timespec until;

	while (c->outstanding) {
		if (hsm_now_ns() > end_ns || (fd >= 0 && fcntl(fd, F_GETLEASE) != lease))
			return -EBUSY;
		until = hsm_ns_to_timespec((int64_t)(hsm_now_ns() + LOOK_NS));
		pthread_cond_timedwait(&c->told, &c->lock, &until);
	}
	return 0;
}

/* lock held. */
static int post(struct fan_hsm_changes *c)
{
	c->outstanding = true;
	c->length = !c->length;
	if (c->fan->changes_by_fd ? pwrite(c->sentinel, "", 1, 0) == 1
				  : !ftruncate(c->sentinel, c->length))
		return 0;
	c->outstanding = false;
	return -errno;
}

int fan_hsm_changes_settle(struct fan_hsm *fan, int fd)
{
	struct fan_hsm_changes *c = fan->changes;
	uint64_t end_ns = hsm_now_ns() + SETTLE_NS;
	int lease = fcntl(fd, F_GETLEASE), r;

	if (!c || atomic_load(&c->quit))
		return -EBUSY;
	pthread_mutex_lock(&c->settling);
	pthread_mutex_lock(&c->lock);
	/* One that was given up on is told before what happened after it. */
	r = wait_told(c, end_ns, fd, lease);
	if (!r)
		r = post(c);
	if (!r)
		r = wait_told(c, end_ns, fd, lease);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->settling);
	return r;
}

/* ---- starting and ending ---- */

void fan_hsm_changes_free(struct fan_hsm *fan)
{
	struct fan_hsm_changes *c = fan->changes;

	fan->changes = NULL;
	if (!c)
		return;
	hsm_util_close_fd(&c->sentinel);
	pthread_mutex_destroy(&c->settling);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->told);
	free(c);
}

/* The same file on the users' mount, from which also a change with a descriptor is told. */
static int see_as_user(struct fan_hsm_changes *c, const char *cache)
{
	auto_fd int dir = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -errno : hsm_handle_open(dir, &c->sentinel_handle, O_RDWR);

	if (fd < 0)
		return fd;
	close(c->sentinel);
	c->sentinel = fd;
	return 0;
}

/* Without a name, on the private mount; its own mark, because not every scheme covers it. */
static int make_sentinel(struct fan_hsm_changes *c, const char *cache)
{
	int mount = hsm_mount_fd(c->fan->h), r;
	struct stat st;

	c->sentinel = openat(mount, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (c->sentinel < 0)
		return -errno;
	if (fanotify_mark(c->fan->change_group, FAN_MARK_ADD, FAN_MODIFY, c->sentinel, NULL))
		return -errno;
	if (fstat(c->sentinel, &st))
		return -errno;
	c->sentinel_ino = st.st_ino;
	r = hsm_handle_of(c->sentinel, &c->sentinel_handle);
	return r || !c->fan->changes_by_fd ? r : see_as_user(c, cache);
}

static struct fan_hsm_changes *changes_new(struct fan_hsm *fan)
{
	struct fan_hsm_changes *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return NULL;
	c->fan = fan;
	c->sentinel = -1;
	pthread_mutex_init(&c->settling, NULL);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->told, &attr);
	pthread_condattr_destroy(&attr);
	return c;
}

int fan_hsm_changes_start(struct fan_hsm *fan, const char *cache)
{
	struct fan_hsm_changes *c = changes_new(fan);
	int r;

	if (!c)
		return hsm_err(ENOMEM, "no memory for the changes of users");
	fan->changes = c;
	r = make_sentinel(c, cache);
	if (!r)
		r = -pthread_create(&c->thread, NULL, changes_main, c);
	if (!r)
		return 0;
	fan_hsm_changes_free(fan);
	return hsm_err(-r, "cannot watch what users change: %s", strerror(-r));
}

void fan_hsm_changes_stop(struct fan_hsm *fan)
{
	struct fan_hsm_changes *c = fan->changes;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	atomic_store(&c->quit, true);
	if (!c->outstanding && post(c))
		pthread_cancel(c->thread);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
}

/* ---- status ---- */

static void add_number(json_t *into, const char *name, const _Atomic uint64_t *value)
{
	json_object_set_new(into, name,
		json_integer((json_int_t)atomic_load_explicit(value, memory_order_relaxed)));
}

void fan_hsm_changes_status(struct fan_hsm *fan, json_t *into)
{
	const struct fan_hsm_changes *c = fan->changes;
	json_t *o;

	if (!c)
		return;
	o = json_object();
	add_number(o, "events", &c->events);
	add_number(o, "marked", &c->marked);
	add_number(o, "gone", &c->gone);
	add_number(o, "failed", &c->failed);
	json_object_set_new(into, "changes", o);
}
