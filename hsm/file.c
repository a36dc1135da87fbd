/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of active files: those with missing chunks that somebody uses. It owns their one
 * descriptor and their journal slot, made in load.c. Their state goes back to the inode in stamp.c; what is
 * fetched, and for whom, is in fill.c and request.c; what users change, in change.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "hsm/core.h"
#include "hsm/util.h"

static struct hsm_shard *shard_of(struct hsm *h, uint64_t ino)
{
	return &h->shard[ino % HSM_FILE_SHARDS];
}

static pthread_mutex_t *state_lock_of(struct hsm *h, uint64_t ino)
{
	return &h->state_lock[ino % HSM_STATE_LOCKS];
}

void hsm_state_lock(struct hsm *h, uint64_t ino)
{
	pthread_mutex_lock(state_lock_of(h, ino));
}

void hsm_state_unlock(struct hsm *h, uint64_t ino)
{
	pthread_mutex_unlock(state_lock_of(h, ino));
}

static struct hsm_file **bucket_of(struct hsm_shard *s, uint64_t ino)
{
	return &s->head[(ino / HSM_FILE_SHARDS) % HSM_ARRAY_SIZE(s->head)];
}

/* Shard lock held. */
static struct hsm_file *find(struct hsm_shard *s, uint64_t ino)
{
	struct hsm_file *f = *bucket_of(s, ino);

	while (f && f->ino != ino)
		f = f->hash_next;
	return f;
}

/* Shard lock held. */
static void unhash(struct hsm_shard *s, struct hsm_file *f)
{
	struct hsm_file **p = bucket_of(s, f->ino);

	while (*p != f)
		p = &(*p)->hash_next;
	*p = f->hash_next;
}

/* 1: @f is now in the table; 0: *ret_other, already there, got a reference. */
static int insert(struct hsm *h, struct hsm_file *f, struct hsm_file **ret_other)
{
	struct hsm_shard *s = shard_of(h, f->ino);
	struct hsm_file *other;

	pthread_mutex_lock(&s->lock);
	other = find(s, f->ino);
	if (other) {
		other->refs++;
	} else {
		f->hash_next = *bucket_of(s, f->ino);
		*bucket_of(s, f->ino) = f;
	}
	pthread_mutex_unlock(&s->lock);
	*ret_other = other;
	return !other;
}

/* 1: *ret_file is ready; 0: nothing to fill. The first to come loads, the others wait for it. */
static int activate(struct hsm *h, int fd, uint64_t ino, struct hsm_file **ret_file)
{
	struct hsm_file *f, *other;
	struct hsm_handle handle;
	int r = hsm_file_new(h, fd, ino, &handle, &f);

	if (r)
		return r;
	pthread_mutex_lock(&f->lock);
	if (!insert(h, f, &other)) {
		pthread_mutex_unlock(&f->lock);
		hsm_file_free(f);
		*ret_file = other;
		return 1;
	}
	r = hsm_file_load(f, &handle);
	f->ready = r > 0 ? 1 : -1;
	pthread_mutex_unlock(&f->lock);
	if (r > 0)
		*ret_file = f;
	else
		hsm_file_put(f);
	return r;
}

struct hsm_file *hsm_file_lookup(struct hsm *h, uint64_t ino)
{
	struct hsm_shard *s = shard_of(h, ino);
	struct hsm_file *f;

	pthread_mutex_lock(&s->lock);
	f = find(s, ino);
	if (f)
		f->refs++;
	pthread_mutex_unlock(&s->lock);
	return f;
}

static int get_once(struct hsm *h, int fd, uint64_t ino, struct hsm_file **ret_file)
{
	struct hsm_state state;
	int r;

	*ret_file = hsm_file_lookup(h, ino);
	if (*ret_file)
		return 1;
	r = hsm_inode_load_incomplete(h, fd, &state);
	if (r <= 0)
		return r;
	r = activate(h, fd, ino, ret_file);
	if (r == -EAGAIN)
		hsm_keeper_press(h);
	return r;
}

bool hsm_file_ready(struct hsm_file *f)
{
	if (!f->ready) {
		pthread_mutex_lock(&f->lock);
		pthread_mutex_unlock(&f->lock);
	}
	return f->ready > 0;
}

struct hsm_file *hsm_file_find(struct hsm *h, uint64_t ino)
{
	struct hsm_file *f = hsm_file_lookup(h, ino);

	if (f && !hsm_file_ready(f)) {
		hsm_file_put(f);
		f = NULL;
	}
	return f;
}

/* A btrfs snapshot has the stubs of its subvolume, numbers and all, as they were. */
static int refuse_snapshot(struct hsm *h, int fd)
{
	struct hsm_state state;
	int r = hsm_inode_load_incomplete(h, fd, &state);

	return r <= 0 ? r : hsm_err(EIO, "%s: a stub in a snapshot is not filled", state.path);
}

int hsm_file_get(struct hsm *h, int fd, struct hsm_file **ret_file)
{
	struct hsm_file *f;
	struct stat st;
	int r;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	if (st.st_dev != h->cache.dev)
		return refuse_snapshot(h, fd);
	for (;;) {
		r = get_once(h, fd, st.st_ino, &f);
		if (r <= 0)
			return r;
		if (hsm_file_ready(f))
			break;
		hsm_file_put(f);
	}
	if ((uint64_t)st.st_size < f->fill_end)
		hsm_file_cut(f, (uint64_t)st.st_size);
	*ret_file = f;
	return 1;
}

void hsm_file_ref(struct hsm_file *f)
{
	struct hsm_shard *s = shard_of(f->h, f->ino);

	pthread_mutex_lock(&s->lock);
	f->refs++;
	pthread_mutex_unlock(&s->lock);
}

/* An idle object stays for the next event on its file, until hsm_files_expire(). */
static void put(struct hsm_file *f, bool keep_idle)
{
	struct hsm *h = f->h;
	struct hsm_shard *s = shard_of(h, f->ino);
	bool last;

	pthread_mutex_lock(&s->lock);
	last = !--f->refs;
	if (last && f->stamped && (!keep_idle || f->complete || f->ready < 0)) {
		unhash(s, f);
	} else if (last) {
		f->idle_since_ns = hsm_now_ns();
		last = false;
	}
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	hsm_file_free(f);
	hsm_pending_retry(h);
}

void hsm_file_put(struct hsm_file *f)
{
	put(f, true);
}

unsigned int hsm_files_max(struct hsm *h)
{
	return h->journal.slots;
}

bool hsm_file_is_complete(struct hsm_file *f)
{
	return f->complete;
}

bool hsm_file_is_empty(struct hsm_file *f)
{
	return !f->present;
}

/* Shard lock held: an idle object old enough, referenced now; NULL if none. */
static struct hsm_file *grab_idle(struct hsm_shard *s, uint64_t before_ns)
{
	for (size_t b = 0; b < HSM_ARRAY_SIZE(s->head); b++) {
		for (struct hsm_file *f = s->head[b]; f; f = f->hash_next) {
			if (f->refs || f->idle_since_ns > before_ns)
				continue;
			f->refs++;
			return f;
		}
	}
	return NULL;
}

unsigned int hsm_files_expire(struct hsm *h, uint64_t age_ns)
{
	uint64_t before_ns = hsm_now_ns() - age_ns;

	for (unsigned int i = 0; i < HSM_FILE_SHARDS; i++) {
		struct hsm_shard *s = &h->shard[i];
		struct hsm_file *f;
		int r = 0;

		/* A stamp that fails leaves the object in place, and its slot in use. */
		while (!r) {
			pthread_mutex_lock(&s->lock);
			f = grab_idle(s, before_ns);
			pthread_mutex_unlock(&s->lock);
			if (!f)
				break;
			r = hsm_file_stamp(f);
			put(f, false);
		}
	}
	return hsm_journal_in_use(&h->journal);
}

bool hsm_file_is_active(struct hsm *h, uint64_t ino)
{
	struct hsm_shard *s = shard_of(h, ino);
	bool active;

	pthread_mutex_lock(&s->lock);
	active = find(s, ino);
	pthread_mutex_unlock(&s->lock);
	return active;
}

bool hsm_file_drop(struct hsm *h, uint64_t ino)
{
	struct hsm_shard *s = shard_of(h, ino);
	struct hsm_file *f = hsm_file_lookup(h, ino);
	bool idle;

	if (!f)
		return true;
	pthread_mutex_lock(&s->lock);
	idle = f->refs == 1 && f->ready > 0;
	pthread_mutex_unlock(&s->lock);
	if (idle && hsm_file_stamp(f))
		idle = false;
	put(f, !idle);
	return idle;
}

/* Shard lock held: an object with chunks its xattrs do not know, referenced; NULL if none. */
static struct hsm_file *grab_unstamped(struct hsm_shard *s)
{
	for (size_t b = 0; b < HSM_ARRAY_SIZE(s->head); b++) {
		for (struct hsm_file *f = s->head[b]; f; f = f->hash_next) {
			if (f->stamped || f->ready <= 0)
				continue;
			f->refs++;
			return f;
		}
	}
	return NULL;
}

void hsm_files_stamp_all(struct hsm *h)
{
	for (unsigned int i = 0; i < HSM_FILE_SHARDS; i++) {
		struct hsm_shard *s = &h->shard[i];
		struct hsm_file *f;

		/* Bounded: a file that is being filled is unstamped again at once. */
		for (unsigned int n = 0; n < HSM_ARRAY_SIZE(s->head); n++) {
			pthread_mutex_lock(&s->lock);
			f = grab_unstamped(s);
			pthread_mutex_unlock(&s->lock);
			if (!f)
				break;
			hsm_file_stamp(f);
			hsm_file_put(f);
		}
	}
}

int hsm_files_init(struct hsm *h)
{
	for (unsigned int i = 0; i < HSM_FILE_SHARDS; i++)
		pthread_mutex_init(&h->shard[i].lock, NULL);
	for (unsigned int i = 0; i < HSM_STATE_LOCKS; i++)
		pthread_mutex_init(&h->state_lock[i], NULL);
	return 0;
}

void hsm_files_release(struct hsm *h)
{
	if (h->journal.slot)
		hsm_files_expire(h, 0);
	for (unsigned int i = 0; i < HSM_FILE_SHARDS; i++)
		pthread_mutex_destroy(&h->shard[i].lock);
	for (unsigned int i = 0; i < HSM_STATE_LOCKS; i++)
		pthread_mutex_destroy(&h->state_lock[i]);
}

json_t *hsm_files_json(struct hsm *h)
{
	unsigned int active = 0, idle = 0;

	for (unsigned int i = 0; i < HSM_FILE_SHARDS; i++) {
		struct hsm_shard *s = &h->shard[i];

		pthread_mutex_lock(&s->lock);
		for (size_t b = 0; b < HSM_ARRAY_SIZE(s->head); b++)
			for (struct hsm_file *f = s->head[b]; f; f = f->hash_next)
				f->refs ? active++ : idle++;
		pthread_mutex_unlock(&s->lock);
	}
	return json_pack("{sI sI sI}", "active", (json_int_t)active, "idle", (json_int_t)idle,
		"slots", (json_int_t)h->journal.slots);
}
