/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Giving back the bytes of one inode. It owns the order in which that is safe:
 *
 *   1. the core's own object is dropped, so that the journal says nothing of the inode;
 *   2. a write lease: nobody has it open, or mapped; who opens it from now on waits;
 *   3. the front-end forgets that the file was complete, and tells what changes it knows of;
 *   4. the lease once more, for who was about to open it; everything is checked again;
 *   5. the mtime is noted in the journal, for a daemon that is killed from here on;
 *   6. the state: no map, not complete. From here on all of it is missing;
 *   7. the bytes: a hole of the whole size, in pieces; then the mtime is put back;
 *   8. the lease goes with the descriptor.
 *
 * Killed anywhere, the state never claims bytes that are gone. The same holds for a power cut without
 * any sync, because 6 and 7 are both metadata: xfs, ext4 (with a journal) and btrfs make a later
 * transaction durable only together with the earlier ones.
 *
 * Who opens the file meanwhile breaks the lease: before 6 the run leaves the file alone, in 7
 * it ends after the piece at hand. What it has not punched then is filled over.
 */
#include "hsm/evict.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/util.h"

/* Dirty pages of a piece are written before it can go: short, because an opener may wait. */
#define PIECE_BYTES	(64ull << 20)
#define SLOT_TRIES	100
#define SLOT_PAUSE_USEC 50000

/* ---- a run ---- */

static struct hsm_slot *take_slot(struct hsm *h)
{
	struct hsm_slot *slot;

	for (int n = 0; !(slot = hsm_journal_take(&h->journal)) && n < SLOT_TRIES; n++) {
		hsm_keeper_press(h);
		usleep(SLOT_PAUSE_USEC);
	}
	if (slot)
		memset(slot->map, 0, sizeof(slot->map));
	return slot;
}

int hsm_evict_begin(
	struct hsm *h, hsm_report_fn report, void *report_arg, struct hsm_evict *ret_run)
{
	struct hsm_slot *slot;
	sigset_t sigio;

	if (!h->fe.file_evict)
		return hsm_err(EOPNOTSUPP, "%s: this front-end cannot evict yet", h->fe.name);
	pthread_mutex_lock(&h->evict_lock);
	slot = take_slot(h);
	if (!slot) {
		pthread_mutex_unlock(&h->evict_lock);
		return hsm_err(EBUSY, "too many files are in use for an eviction; try again");
	}
	*ret_run = (struct hsm_evict){
		.h = h, .report = report, .report_arg = report_arg, .slot = slot};
	sigemptyset(&sigio);
	sigaddset(&sigio, SIGIO);
	pthread_sigmask(SIG_BLOCK, &sigio, &ret_run->signals);
	return 0;
}

void hsm_evict_end(struct hsm_evict *e)
{
	const struct timespec now = {0};
	sigset_t sigio;

	sigemptyset(&sigio);
	sigaddset(&sigio, SIGIO);
	while (sigtimedwait(&sigio, NULL, &now) > 0)
		;
	pthread_sigmask(SIG_SETMASK, &e->signals, NULL);
	hsm_journal_give(&e->h->journal, e->slot);
	pthread_mutex_unlock(&e->h->evict_lock);
}

/* ---- may it go? ---- */

/* What users write changes the mtime; a time the origin does not tell proves nothing. */
static bool is_as_fetched(const struct stat *st, const struct hsm_state *state)
{
	return !(state->flags & HSM_S_MODIFIED) && state->fill_end == state->size &&
	       (uint64_t)st->st_size == state->size && state->mtime_ns &&
	       hsm_timespec_to_ns(st->st_mtim) == state->mtime_ns;
}

int hsm_evict_check(struct hsm *h, int fd, struct stat *ret_st, struct hsm_state *ret_state)
{
	int r;

	if (fstat(fd, ret_st))
		return -errno;
	if (!S_ISREG(ret_st->st_mode) || !ret_st->st_nlink || !ret_st->st_blocks)
		return HSM_EVICT_EMPTY;
	r = hsm_inode_state(h, fd, ret_state);
	if (r == -ENODATA || r == -EOPNOTSUPP)
		return HSM_EVICT_LOCAL;
	if (r)
		return r;
	if (ret_state->kind != HSM_KIND_FILE)
		return HSM_EVICT_LOCAL;
	if (!is_as_fetched(ret_st, ret_state))
		return HSM_EVICT_MODIFIED;
	/* A long xattr counts as a block. */
	if (lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO)
		return HSM_EVICT_EMPTY;
	return HSM_EVICT_YES;
}

/* Being filled, a file has another mtime for a moment: that is not a change. */
static int check_idle(struct hsm *h, int fd)
{
	struct hsm_state state = {0};
	struct stat st;
	int r = hsm_evict_check(h, fd, &st, &state);

	if (r == HSM_EVICT_YES || (r == HSM_EVICT_MODIFIED && !(state.flags & HSM_S_MODIFIED)))
		return hsm_file_drop(h, st.st_ino) ? r : HSM_EVICT_OPEN;
	return r;
}

/* ---- under the lease ---- */

/* Breaking it signals this thread, which has the signal blocked, and nobody else. */
static int take_lease(int fd)
{
	struct f_owner_ex owner = {F_OWNER_TID, gettid()};

	if (fcntl(fd, F_SETOWN_EX, &owner) || fcntl(fd, F_SETLEASE, F_WRLCK))
		return -errno;
	return 0;
}

static bool has_lease(int fd)
{
	return fcntl(fd, F_GETLEASE) == F_WRLCK;
}

static void note_mtime(struct hsm_slot *slot, const struct hsm_handle *handle,
	const struct stat *st, const struct hsm_state *state)
{
	slot->size = state->size;
	slot->shift = state->chunk_shift;
	slot->count = hsm_chunkmap_count(state->size, state->chunk_shift);
	slot->handle = *handle;
	slot->saved_mtime_ns = hsm_timespec_to_ns(st->st_mtim);
	slot->writing = 1;
	__atomic_store_n(&slot->used, 1, __ATOMIC_RELEASE);
}

static void forget_mtime(struct hsm_slot *slot)
{
	__atomic_store_n(&slot->used, 0, __ATOMIC_RELEASE);
	slot->writing = 0;
}

/* The map first: a complete file may have an old one. */
static int forget_bytes(int fd, struct hsm_state *state)
{
	int r = hsm_state_drop_map(fd);

	if (r || !(state->flags & HSM_S_COMPLETE))
		return r;
	state->flags &= (uint8_t)~HSM_S_COMPLETE;
	return hsm_state_store(fd, state);
}

static int punch(int fd, uint64_t size)
{
	for (uint64_t at = 0; at < size && has_lease(fd); at += PIECE_BYTES)
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
			    (off_t)PIECE_BYTES))
			return -errno;
	return 0;
}

static int evict_bytes(struct hsm_evict *e, int fd, const struct hsm_handle *handle,
	const struct stat *st, struct hsm_state *state)
{
	struct timespec times[2] = {st->st_atim, st->st_mtim}; /* see write_data() */
	int r;

	note_mtime(e->slot, handle, st, state);
	e->h->touches_begun++;
	r = forget_bytes(fd, state);
	if (!r)
		r = punch(fd, state->size);
	if (futimens(fd, times) && !r)
		r = -errno;
	e->h->touches_ended++;
	forget_mtime(e->slot);
	return r;
}

static void count_evicted(struct hsm_evict *e, int fd, const struct stat *before)
{
	uint64_t freed = 0;
	struct stat after;

	if (!fstat(fd, &after) && after.st_blocks < before->st_blocks)
		freed = (uint64_t)(before->st_blocks - after.st_blocks) * 512;
	e->totals.files++;
	e->totals.bytes += freed;
	hsm_stats_add(e->h->stats, HSM_C_FILES_EVICTED, 1);
	hsm_stats_add(e->h->stats, HSM_C_BYTES_EVICTED, freed);
}

/*
 * An open(2) under way that the lease did not meet yet may have missed what the front-end has just
 * set up on the inode: taking the lease again fails while there is one.
 */
static int make_sure(struct hsm *h, int fd)
{
	int r = h->fe.file_evict(h->fe.ctx, fd);

	if (!r && h->fe.file_settle)
		r = h->fe.file_settle(h->fe.ctx, fd);
	if (!r)
		r = has_lease(fd) ? take_lease(fd) : -EBUSY;
	return r == -EBUSY || r == -EAGAIN ? HSM_EVICT_OPEN : r;
}

static int evict_leased(struct hsm_evict *e, int fd, const struct hsm_handle *handle)
{
	struct hsm_state state;
	struct stat st;
	int r = hsm_evict_check(e->h, fd, &st, &state);

	if (!r)
		r = make_sure(e->h, fd);
	if (!r)
		r = hsm_evict_check(e->h, fd, &st, &state);
	if (!r && !has_lease(fd))
		r = HSM_EVICT_OPEN;
	if (!r)
		r = evict_bytes(e, fd, handle, &st, &state);
	if (!r)
		count_evicted(e, fd, &st);
	return r;
}

static int evict_open(struct hsm_evict *e, int fd, const struct hsm_handle *handle)
{
	int r = check_idle(e->h, fd);

	if (r)
		return r;
	r = take_lease(fd);
	if (r)
		return r == -EAGAIN || r == -EBUSY ? HSM_EVICT_OPEN : r;
	r = evict_leased(e, fd, handle);
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return r;
}

static int evict_handle(struct hsm_evict *e, const struct hsm_handle *handle)
{
	auto_fd int fd = hsm_handle_open(
		e->h->cache.data_fd, handle, O_RDWR | O_NONBLOCK | O_NOATIME | O_LARGEFILE);

	if (fd == -ESTALE || fd == -ENOENT)
		return HSM_EVICT_EMPTY;
	if (fd == -EAGAIN || fd == -ETXTBSY)
		return HSM_EVICT_OPEN;
	return fd < 0 ? fd : evict_open(e, fd, handle);
}

int hsm_evict_inode(struct hsm_evict *e, const struct hsm_handle *handle, const char *path)
{
	int r = evict_handle(e, handle);

	if (r < 0) {
		e->totals.errors++;
		e->report(e->report_arg, path, strerror(-r));
	}
	e->totals.skipped_open += r == HSM_EVICT_OPEN;
	e->totals.skipped_modified += r == HSM_EVICT_MODIFIED;
	e->totals.skipped_local += r == HSM_EVICT_LOCAL;
	return r;
}

/* ---- by path ---- */

/* A visit has the file open, so its eviction waits for the next visit, or the end. */
struct by_path {
	struct hsm_evict run;
	struct hsm_handle handle;
	char *path; /* owned; NULL: none waits */
	int last; /* verdict on the last one */
};

static void evict_waiting(struct by_path *b)
{
	if (!b->path)
		return;
	b->last = hsm_evict_inode(&b->run, &b->handle, b->path);
	free(b->path);
	b->path = NULL;
}

static int visit(void *arg, int fd, const char *path)
{
	struct by_path *b = arg;
	int r;

	evict_waiting(b);
	r = hsm_handle_of(fd, &b->handle);
	if (!r)
		b->path = strdup(path);
	if (!r && !b->path)
		r = -ENOMEM;
	return r ? r : b->run.h->closing ? -ECANCELED : 0;
}

/* Asked for by name, what is kept is worth a word. */
static int explain(const struct by_path *b, const char *path)
{
	static const char *const why[] = {[HSM_EVICT_OPEN] = "in use",
		[HSM_EVICT_MODIFIED] = "changed locally",
		[HSM_EVICT_LOCAL] = "local, the origin does not have it"};

	if (b->last < 0)
		return b->last;
	if (b->last == HSM_EVICT_YES || b->last == HSM_EVICT_EMPTY)
		return 0;
	b->run.report(b->run.report_arg, path, why[b->last]);
	return -EBUSY;
}

static int evict_file(struct by_path *b, int fd, const char *path)
{
	int r = visit(b, fd, path);

	close(fd);
	evict_waiting(b);
	return r ? r : explain(b, path);
}

/* Takes @fd. */
static int evict_tree_or_file(struct by_path *b, int fd, const char *path)
{
	struct stat st;
	int r;

	if (fstat(fd, &st)) {
		r = -errno;
		close(fd);
		return r;
	}
	if (!S_ISDIR(st.st_mode))
		return evict_file(b, fd, path);
	r = hsm_walk_files(fd, path, visit, b);
	evict_waiting(b);
	return r ? r : b->run.totals.errors ? -EIO : 0;
}

int hsm_evict_path(struct hsm *h, const char *path, hsm_report_fn report, void *arg,
	struct hsm_evict_totals *ret_totals)
{
	struct by_path b = {.path = NULL};
	int fd, r = hsm_evict_begin(h, report, arg, &b.run);

	if (r)
		return r;
	path += strspn(path, "/");
	fd = hsm_walk_open_there(h, path);
	if (fd < 0) {
		r = fd;
		report(arg, path, strerror(-r));
	} else {
		r = evict_tree_or_file(&b, fd, path);
	}
	hsm_evict_end(&b.run);
	*ret_totals = b.run.totals;
	return r;
}
