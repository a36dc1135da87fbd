/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is done with one event: find out what range is meant and ask the core. Nothing here fills,
 * or waits for the network or for a fill: whatever needs that is answered later by the core's
 * callback. So an event raised by this very process (a library that maps a certificate file on the
 * watched file system, a mirror origin there) always finds a reader free.
 *
 * A read and an mmap(2) look the same: one event with the range, rounded to pages. Where that
 * matters, widen.c looks at the caller.
 */
#include "fan_hsm/events.h"

#include <errno.h>
#include <string.h>

#include "fan_hsm/access_perm.h"
#include "fan_hsm/answer.h"
#include "fan_hsm/caller.h"
#include "fan_hsm/crowd.h"
#include "fan_hsm/deny.h"
#include "fan_hsm/fanotify_compat.h"
#include "fan_hsm/marks.h"
#include "fan_hsm/outbox.h"
#include "fan_hsm/widen.h"
#include "hsm/state.h"
#include "hsm/util.h"

/* Which record comes first depends on the group's flags and the kernel: look at all. */
static struct fan_hsm_range event_range(const struct fanotify_event_metadata *m)
{
	const char *end = (const char *)m + m->event_len;
	const char *p = (const char *)m + m->metadata_len;

	while (end - p >= (ptrdiff_t)sizeof(struct fanotify_event_info_header)) {
		const struct fanotify_event_info_range *info = (const void *)p;

		if (info->hdr.len < sizeof(info->hdr) || info->hdr.len > end - p)
			break;
		if (info->hdr.info_type == FAN_EVENT_INFO_TYPE_RANGE &&
			info->hdr.len >= sizeof(*info))
			return (struct fan_hsm_range){info->offset, info->count};
		p += info->hdr.len;
	}
	return (struct fan_hsm_range){0, 0};
}

static void finish_file(struct fan_hsm_event *e, int err)
{
	if (err)
		fan_hsm_event_finish(e, err);
	else
		fan_hsm_outbox_allow(e);
}

static void file_done(void *arg, int err)
{
	finish_file(arg, err);
}

/*
 * A file without state stays without: the core gives a stub its state before anybody can see it. The
 * state is read once more when the mark is there, so that not even a mistake in that makes zeros.
 */
static void ignore_from_now(struct fan_hsm *fan, int fd, bool changes_too)
{
	fan_hsm_marks_file_whole(fan, fd, changes_too);
	if (fan_hsm_deny_if_stub(fan->cache_id, fd))
		fan_hsm_marks_file_rearm(fan, fd);
}

static bool is_local(const struct fan_hsm *fan, int fd)
{
	struct hsm_state state;
	int r = hsm_state_load(fd, &state);

	return r == -ENODATA || (!r && state.cache_id != fan->cache_id);
}

/*
 * Answer first: the process waits for that, not for the mark. But not for a local file: its first
 * write would be told, too, and all that are made beside the cache would pay for it.
 */
static void answer_whole(struct fan_hsm *fan, struct fan_hsm_event *e)
{
	int fd = fan_hsm_event_fd(e);
	bool local = is_local(fan, fd);

	fan_hsm_event_set_op(e, FAN_HSM_OP_FILE_WHOLE);
	if (fan_hsm_crowd_is(fan_hsm_answers_pending(fan->answers))) {
		ignore_from_now(fan, fd, local);
		fan_hsm_event_finish(e, 0);
		return;
	}
	if (local)
		ignore_from_now(fan, fd, true);
	if (!fan_hsm_event_answer(e, 0))
		return;
	if (!local)
		ignore_from_now(fan, fd, false);
	fan_hsm_event_end(fd);
}

/* To the core, which calls back; unless the caller is one that must not wait. */
static void fill_file(struct fan_hsm *fan, struct fan_hsm_event *e, pid_t tid, int fd,
	struct fan_hsm_range range, enum hsm_fill_why why)
{
	int r;

	if (fan_hsm_caller_is_own(tid) || fan_hsm_answers_full(fan->answers)) {
		fan_hsm_event_finish(e, fan_hsm_caller_is_own(tid) ? -EIO : -EBUSY);
		return;
	}
	fan_hsm_event_set_op(e, FAN_HSM_OP_FILE_FILL);
	r = hsm_fd_fill(fan->h, fd, range.offset, range.length, why, file_done, e);
	if (r == 0)
		return;
	if (r == 2) {
		answer_whole(fan, e);
		return;
	}
	if (r == 1)
		fan_hsm_event_set_op(e, FAN_HSM_OP_FILE_HIT);
	finish_file(e, r < 0 ? r : 0);
}

/* Something of the file is missing, or was when it was looked up. */
static void ask_file(struct fan_hsm *fan, struct fan_hsm_event *e, pid_t tid,
	struct hsm_file *file, struct fan_hsm_range range)
{
	enum hsm_fill_why why = HSM_FILL_READ;
	int fd = fan_hsm_event_fd(e);
	bool fill;

	if (hsm_file_present(file, range.offset, range.length))
		fill = fan_hsm_widen_hit(fan, file, tid, &range, &why);
	else
		fill = fan_hsm_widen(fan, file, tid, &range, &why);
	if (fill) {
		fill_file(fan, e, tid, fd, range, why);
		return;
	}
	/* Keeps read-ahead going. */
	if (hsm_file_present(file, range.offset, range.length))
		hsm_file_fill(file, range.offset, range.length, why, NULL, NULL);
	fan_hsm_event_set_op(e, FAN_HSM_OP_FILE_HIT);
	finish_file(e, 0);
}

/* The same with events that do not say what is read. */
static void ask_in_order(
	struct fan_hsm *fan, struct fan_hsm_event *e, pid_t tid, struct hsm_file *file)
{
	struct fan_hsm_range range;
	int r = fan_hsm_access_perm(file, tid, &range);

	if (r == 0) {
		fill_file(fan, e, tid, fan_hsm_event_fd(e), range, HSM_FILL_READ);
		return;
	}
	fan_hsm_event_set_op(e, FAN_HSM_OP_FILE_HIT);
	fan_hsm_event_finish(e, r < 0 ? r : 0);
}

/* No place for another active file now: what is missing will be seen when there is one. */
static void ask_unknown(
	struct fan_hsm *fan, struct fan_hsm_event *e, pid_t tid, struct fan_hsm_range range)
{
	enum hsm_fill_why why;

	if (fan->own->events == FAN_HSM_ACCESS_PERM)
		fan_hsm_event_finish(e, -EBUSY);
	else if (fan_hsm_widen(fan, NULL, tid, &range, &why))
		fill_file(fan, e, tid, fan_hsm_event_fd(e), range, why);
	else
		fan_hsm_event_finish(e, 0);
}

static void handle_file(struct fan_hsm *fan, const struct fanotify_event_metadata *m,
	struct fan_hsm_event *e, bool serving)
{
	struct fan_hsm_range range = event_range(m);
	struct hsm_file *file;
	int r;

	if (!serving) {
		fan_hsm_event_finish(e, fan_hsm_deny_if_stub(fan->cache_id, m->fd));
		return;
	}
	r = hsm_file_get(fan->h, m->fd, &file);
	if (r > 0) {
		if (hsm_file_is_complete(file))
			answer_whole(fan, e);
		else if (fan->own->events == FAN_HSM_ACCESS_PERM)
			ask_in_order(fan, e, m->pid, file);
		else
			ask_file(fan, e, m->pid, file, range);
		hsm_file_put(file);
	} else if (r == 0) {
		answer_whole(fan, e);
	} else if (r == -EAGAIN) {
		ask_unknown(fan, e, m->pid, range);
	} else {
		fan_hsm_event_finish(e, r);
	}
}

static void dir_done(void *arg, int err)
{
	fan_hsm_event_finish(arg, err);
}

static void fill_dir(struct fan_hsm *fan, struct fan_hsm_event *e, int fd)
{
	int r;

	fan_hsm_event_set_op(e, FAN_HSM_OP_DIR_FILL);
	r = hsm_dir_fill(fan->h, fd, dir_done, e);
	if (r == 0)
		return;
	if (r < 0) {
		fan_hsm_event_finish(e, r);
		return;
	}
	fan_hsm_event_set_op(e, FAN_HSM_OP_DIR_HIT);
	if (!fan_hsm_event_answer(e, 0))
		return;
	fan_hsm_marks_dir_complete(fan, fd);
	fan_hsm_event_end(fd);
}

static void handle_dir(struct fan_hsm *fan, const struct fanotify_event_metadata *m,
	struct fan_hsm_event *e, bool serving)
{
	fan_hsm_event_set_op(e, FAN_HSM_OP_DIR_NOWAIT);
	if (!serving || fan_hsm_caller_is_own(m->pid))
		fan_hsm_event_finish(e, fan_hsm_deny_if_stub(fan->cache_id, m->fd));
	else if (fan_hsm_answers_full(fan->answers))
		fan_hsm_event_finish(
			e, fan_hsm_deny_if_stub(fan->cache_id, m->fd) ? -EBUSY : 0);
	else
		fill_dir(fan, e, m->fd);
}

bool fan_hsm_count_and_log(_Atomic uint64_t *counter)
{
	uint64_t n = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) + 1;

	return !(n & (n - 1));
}

/* The kernel has answered these itself: without a descriptor there is nothing to answer with. */
static void handle_trouble(struct fan_hsm *fan, const struct fanotify_event_metadata *m)
{
	if (m->mask & FAN_Q_OVERFLOW) {
		if (fan_hsm_count_and_log(&fan->count.overflows))
			hsm_log(HSM_LOG_ERROR,
				"event queue overflow: readers may have seen holes");
	} else if (fan_hsm_count_and_log(&fan->count.fd_errors)) {
		hsm_log(HSM_LOG_ERROR,
			"an event without descriptor was denied by the kernel: %s",
			strerror(-m->fd));
	}
}

void fan_hsm_event_handle(struct fan_hsm *fan, int group,
	const struct fanotify_event_metadata *m, uint64_t now_ns, bool serving)
{
	struct fan_hsm_event *e;

	if (m->fd < 0) {
		handle_trouble(fan, m);
		return;
	}
	e = fan_hsm_event_begin(fan->answers, group, m->fd, now_ns);
	if (group == fan->data_group)
		handle_file(fan, m, e, serving);
	else
		handle_dir(fan, m, e, serving);
}
