/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of active files: those with missing chunks that somebody uses. It owns their one
 * descriptor and their journal slot. Their state goes back to the inode in stamp.c; what is
 * fetched, and for whom, is in fill.c and request.c; what users change, in change.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "hsm/core.h"
#include "hsm/util.h"

#define LEASE_TRIES   25
#define LEASE_WAIT_NS (2 * 1000 * 1000)

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

static void file_free(struct hsm_file *f)
{
	if (f->slot)
		hsm_journal_give(&f->h->journal, f->slot);
	hsm_util_close_fd(&f->fd);
	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->write_lock);
	free(f);
}

/* What of the file is present; of one chunk there is no map: it is complete, or has nothing. */
static int load_map(struct hsm_file *f)
{
	uint32_t epoch = 0;
	int r;

	memset(f->map, 0, hsm_chunkmap_bytes(f->count));
	if (f->count == 1)
		return 0;
	r = hsm_state_load_map(f->fd, f->map, f->count, &epoch);
	if (r && r != -ENODATA && r != -EBADMSG)
		return r;
	if (r || !hsm_epoch_trusted(&f->h->epochs, epoch))
		memset(f->map, 0, hsm_chunkmap_bytes(f->count));
	return 0;
}

/* Loads the map and takes a journal slot; from here on the slot's map is the truth. */
static int attach_slot(struct hsm_file *f, const struct hsm_handle *handle)
{
	int r;

	f->slot = hsm_journal_take(&f->h->journal);
	if (!f->slot)
		return -EAGAIN;
	f->map = f->slot->map;
	r = load_map(f);
	if (r)
		return r;
	f->present = hsm_chunkmap_weight(f->map, f->count);
	f->slot->size = f->size;
	f->slot->count = f->count;
	f->slot->shift = f->shift;
	f->slot->handle = *handle;
	__atomic_store_n(&f->slot->used, 1, __ATOMIC_RELEASE);
	return 0;
}

static bool is_complete(struct hsm *h, const struct hsm_state *state)
{
	return (state->flags & HSM_S_COMPLETE) && hsm_epoch_trusted(&h->epochs, state->epoch);
}

/*
 * Opening for writing breaks the leases that users have on a file, and would wait for them to give
 * them back, for up to fs.lease-break-time (45 s): perhaps for the very reader that waits for us. Our own
 * are gone in a moment.
 */
static int open_for_writing(struct hsm *h, const struct hsm_handle *handle)
{
	int fd = -EAGAIN;

	for (int try = 0; fd == -EAGAIN && try < LEASE_TRIES; try++) {
		if (try)
			nanosleep(&(struct timespec){.tv_nsec = LEASE_WAIT_NS}, NULL);
		fd = hsm_handle_open(h->cache.data_fd, handle,
			O_RDWR | O_NOATIME | O_LARGEFILE | O_NONBLOCK);
	}
	return fd == -EAGAIN ? hsm_err(EBUSY, "somebody holds a lease on the file") : fd;
}

/* Opens the inode behind @fd on the private mount. */
static int file_new(struct hsm *h, int fd, uint64_t ino, struct hsm_handle *ret_handle,
	struct hsm_file **ret_file)
{
	struct hsm_file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->write_lock, NULL);
	f->h = h;
	f->ino = ino;
	f->refs = 1;
	f->stamped = true;
	for (unsigned int i = 0; i < HSM_STREAMS; i++)
		f->stream[i].marker = UINT32_MAX;
	f->fd = -1;
	r = hsm_handle_of(fd, ret_handle);
	if (!r)
		f->fd = open_for_writing(h, ret_handle);
	if (r || f->fd < 0) {
		r = r ? r : f->fd;
		file_free(f);
		return r;
	}
	*ret_file = f;
	return 0;
}

int hsm_inode_state(struct hsm *h, int fd, struct hsm_state *ret_state)
{
	int r = hsm_state_load(fd, ret_state);

	return r || ret_state->cache_id == h->cache.id ? r : -ENODATA;
}

/* @r, of loading the state; return value as hsm_inode_load_incomplete(). */
static int judge_state(struct hsm *h, int r, struct hsm_state *ret_state)
{
	if (r == -ENODATA || r == -EOPNOTSUPP)
		return 0;
	if (r == -EBADMSG)
		return hsm_err(EIO, "inode with a %s that is not understood", HSM_XATTR_STATE);
	if (r)
		return r;
	if (ret_state->kind != HSM_KIND_FILE || is_complete(h, ret_state))
		return 0;
	if (hsm_chunkmap_count(ret_state->size, ret_state->chunk_shift) > HSM_CHUNKMAP_CHUNKS)
		return hsm_err(EIO, "%s: more chunks than a map holds", ret_state->path);
	/* Of an epoch that is not believed: it must not become true with the next stamp. */
	ret_state->flags &= (uint8_t)~HSM_S_COMPLETE;
	return 1;
}

int hsm_inode_load_incomplete(struct hsm *h, int fd, struct hsm_state *ret_state)
{
	return judge_state(h, hsm_inode_state(h, fd, ret_state), ret_state);
}

int hsm_missing_at(struct hsm *h, int dirfd, const char *name, uint64_t ino)
{
	struct hsm_state state;
	int r = hsm_state_load_at(dirfd, name, &state);
	struct hsm_file *f;

	if (!r && state.cache_id != h->cache.id)
		return 0;
	r = judge_state(h, r, &state);
	/* The state of a file that a user changed follows a little later. */
	f = r > 0 && ino ? hsm_file_find(h, ino) : NULL;
	if (f) {
		r = !f->complete;
		hsm_file_put(f);
	}
	return r;
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

/* f->lock held, the only object of its inode: what the xattrs say now is final. */
static int load(struct hsm_file *f, const struct hsm_handle *handle)
{
	int r;

	hsm_state_lock(f->h, f->ino);
	r = hsm_inode_load_incomplete(f->h, f->fd, &f->state);
	hsm_state_unlock(f->h, f->ino);
	if (r <= 0)
		return r;
	f->size = f->state.size;
	f->shift = f->state.chunk_shift;
	f->count = hsm_chunkmap_count(f->size, f->shift);
	f->fill_end = f->state.fill_end;
	f->left_mtime_ns = f->state.mtime_ns;
	r = attach_slot(f, handle);
	return r ? r : 1;
}

/* 1: *ret_file is ready; 0: nothing to fill. The first to come loads, the others wait for it. */
static int activate(struct hsm *h, int fd, uint64_t ino, struct hsm_file **ret_file)
{
	struct hsm_file *f, *other;
	struct hsm_handle handle;
	int r = file_new(h, fd, ino, &handle, &f);

	if (r)
		return r;
	pthread_mutex_lock(&f->lock);
	if (!insert(h, f, &other)) {
		pthread_mutex_unlock(&f->lock);
		file_free(f);
		*ret_file = other;
		return 1;
	}
	r = load(f, &handle);
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
	file_free(f);
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

int hsm_file_fd(struct hsm_file *f)
{
	return f->fd;
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
