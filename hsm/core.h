/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_CORE_H
#define HSM_CORE_H
/* Private to libhsm: what its modules share. See docs/locking.md for the order of the locks. */

#include <pthread.h>
#include <stdbool.h>

#include "hsm/epoch.h"
#include "hsm/handle.h"
#include "hsm/hsm.h"
#include "hsm/journal.h"
#include "hsm/origin.h"
#include "hsm/pool.h"
#include "hsm/state.h"

#define HSM_FILE_SHARDS 64
#define HSM_STREAMS	4
#define HSM_NURSERIES	4
#define HSM_STATE_LOCKS 16

/* The cache directory: descriptors on a private mount clone, the lock. */
struct hsm_cache {
	int root_fd; /* CACHE */
	int data_fd; /* CACHE/data, the users' tree */
	int meta_fd; /* CACHE/meta */
	int stage_fd; /* CACHE/meta/stage, names that are not published yet */
	int nursery_fd[HSM_NURSERIES]; /* directories in it, see hsm_stub_create() */
	int lock_fd;
	dev_t dev;
	uint64_t id; /* in the state of every inode of this cache */
	bool fresh; /* CACHE/meta was made by this hsm_cache_open() */
	char *path; /* absolute, as users see it */
};

/* A reader that waits for chunks [first, end). Freed after done(). */
struct hsm_waiter {
	struct hsm_waiter *next;
	uint32_t first, end;
	hsm_done_fn done;
	void *arg;
	int err;
};

/* A sequential reader: how far it has been served, and the window that runs ahead of it. */
struct hsm_stream {
	uint32_t end; /* chunks before this one were asked for */
	uint32_t window; /* chunks; 0 = only one read seen */
	uint32_t used; /* age, for replacement */
	_Atomic uint32_t
		marker; /* reading this chunk starts the next window; UINT32_MAX none */
};

/* A request to the origin for chunks [first, end) of one file. */
struct hsm_request {
	struct hsm_fetch fetch; /* first member */
	struct hsm_file *file;
	struct hsm_request *next;
	uint32_t first, end;
	uint32_t filled_end; /* chunks before this one are present */
	bool tail_ours; /* see hsm_keep_write() */
};

/*
 * A file with missing chunks that somebody uses. At most one per inode, found by inode number:
 * .fd keeps the inode, so the number cannot be reused meanwhile.
 */
struct hsm_file {
	struct hsm *h;
	uint64_t ino;
	struct hsm_file *hash_next; /* shard lock */
	unsigned int refs; /* shard lock */
	uint64_t idle_since_ns; /* shard lock; when refs became 0 */
	_Atomic int ready; /* 0 being loaded, 1 usable, -1 nothing to fill after all */
	_Atomic bool stamped; /* the xattrs have all that .map has */

	/* Fixed while active. */
	int fd;
	uint32_t count;
	unsigned int shift;
	uint64_t size;
	struct hsm_slot *slot;
	uint8_t *map; /* slot->map; bits only ever get set */

	_Atomic uint32_t present; /* bits set in .map */
	_Atomic uint64_t
		fill_end; /* as in the state; only ever gets smaller, under both locks */
	_Atomic bool complete;

	pthread_mutex_t write_lock; /* one write and its mtime at a time; taken before .lock */
	int64_t left_mtime_ns; /* write_lock; as the state has it, or the core left it last */
	bool distrusted; /* write_lock; it had another mtime once: what is missing may be a user's */
	bool kept; /* write_lock; it was, and that was said */
	pthread_mutex_t lock; /* all below */
	struct hsm_state state; /* .validator, .mtime_ns learned at the first fetch */
	struct hsm_waiter *waiters;
	struct hsm_request *requests;
	unsigned int request_count;
	struct hsm_stream stream[HSM_STREAMS];
	uint32_t stream_clock;
};

struct hsm_shard {
	pthread_mutex_t lock;
	struct hsm_file *head[64];
} __attribute__((aligned(64)));

/* The last fills by inode number, for a user's change that met one; entries may be torn. */
#define HSM_RECENT 256
struct hsm_recent {
	_Atomic uint64_t ino;
	_Atomic int64_t mtime_ns; /* as put back */
	_Atomic int64_t ctime_ns; /* of the core's last change */
};

/* Ranges that wait for a free place in the table of active files. */
struct hsm_pending {
	struct hsm_pending *next;
	int fd; /* borrowed */
	uint64_t offset, length;
	enum hsm_fill_why why;
	hsm_done_fn done;
	void *arg;
};

struct hsm {
	struct hsm_options opt;
	struct hsm_frontend fe;
	struct hsm_cache cache;
	struct hsm_epochs epochs;
	struct hsm_journal journal;
	struct hsm_stats *stats;
	struct hsm_origin *origin;
	char *origin_spec;
	struct hsm_pool *pool;
	struct hsm_shard shard[HSM_FILE_SHARDS];
	pthread_mutex_t state_lock[HSM_STATE_LOCKS]; /* by inode number, see change.c */
	uint64_t started_ns;

	pthread_mutex_t pending_lock; /* .pending_* */
	struct hsm_pending *pending_head, **pending_tail;

	pthread_mutex_t dir_lock; /* directory jobs, see dir.c */
	pthread_cond_t dir_idle;
	struct hsm_dirjob *dirjobs[256];
	unsigned int dirjob_count;

	_Atomic uint64_t touches_begun, touches_ended; /* see hsm_attr_mark() */
	struct hsm_recent recent[HSM_RECENT];
	_Atomic bool closing;
	_Atomic unsigned int stage_serial;

	pthread_mutex_t keeper_lock; /* all of the keeper */
	pthread_cond_t keeper_cond;
	pthread_t keeper;
	bool keeper_runs;
	bool keeper_pressed; /* the table of active files is full */

	pthread_mutex_t refresh_lock; /* all of refreshing */
	pthread_cond_t refresh_change;
	bool refreshing; /* one at a time */
	pthread_t refresher; /* the schedule */
	bool refresher_runs;

	struct hsm_control *control;
	struct hsm_evictor *evictor; /* NULL: no watermarks */
	pthread_mutex_t evict_lock; /* one run of eviction at a time */
};

/* cache.c */
void hsm_cache_init(struct hsm_cache *c);
/* @lock_fd: the lock as somebody holds it already, duplicated; 0: takes it. */
int hsm_cache_open(struct hsm_cache *c, const char *path, int lock_fd);
void hsm_cache_close(struct hsm_cache *c);
/* Removes what hsm_cache_open() made in a fresh cache: the daemon did not come to serve it. */
void hsm_cache_discard(struct hsm_cache *c);

/*
 * The origin the cache is for: @spec NULL reads what is stored, else it must be the one
 * stored, if any. *ret_spec is owned. -EXDEV: bound to another. _set_ stores it.
 */
int hsm_cache_get_origin(struct hsm_cache *c, const char *spec, char **ret_spec);
int hsm_cache_set_origin(struct hsm_cache *c, const char *spec);

/* load.c */
/*
 * An object of the inode behind @fd with one reference, its descriptor open on the private mount, not in the
 * table. *ret_handle is the inode's. -EBUSY: somebody keeps a lease on it.
 */
int hsm_file_new(struct hsm *h, int fd, uint64_t ino, struct hsm_handle *ret_handle,
	struct hsm_file **ret_file);
/*
 * f->lock held, the only object of its inode: what the xattrs say now is final. 1: has its map and a
 * journal slot; 0: nothing to fill; -EAGAIN: no slot.
 */
int hsm_file_load(struct hsm_file *f, const struct hsm_handle *handle);
void hsm_file_free(struct hsm_file *f);

/* inode.c */
/* hsm_state_load() for this cache only: an inode of another one is local here (-ENODATA). */
int hsm_inode_state(struct hsm *h, int fd, struct hsm_state *ret_state);
/*
 * 1 = *ret_state describes a file with missing chunks (without HSM_S_COMPLETE: an old claim that
 * is not believed is gone); 0 = nothing to fill.
 */
int hsm_inode_load_incomplete(struct hsm *h, int fd, struct hsm_state *ret_state);

/* file.c */
/* While it is held the xattrs of an inode without an active object belong to the caller. */
void hsm_state_lock(struct hsm *h, uint64_t ino);
void hsm_state_unlock(struct hsm *h, uint64_t ino);
int hsm_files_init(struct hsm *h);
void hsm_files_release(struct hsm *h);
void hsm_file_ref(struct hsm_file *f);
/* The object in the table, referenced, perhaps still being loaded; NULL if there is none. */
struct hsm_file *hsm_file_lookup(struct hsm *h, uint64_t ino);
/* Waits for who loads it. False: nothing to fill after all; the object owns nothing. */
bool hsm_file_ready(struct hsm_file *f);
/* The active object of the inode, with a reference, loaded; or NULL: none is made. */
struct hsm_file *hsm_file_find(struct hsm *h, uint64_t ino);
/* Is there an object, used or idle? */
bool hsm_file_is_active(struct hsm *h, uint64_t ino);
/* Stamps and frees an idle object. False: somebody uses it. */
bool hsm_file_drop(struct hsm *h, uint64_t ino);
/* Frees idle objects older than @age_ns, stamping them; returns how many slots stay in use. */
unsigned int hsm_files_expire(struct hsm *h, uint64_t age_ns);
/* No place for another active file: lets the keeper free idle ones now. */
void hsm_keeper_press(struct hsm *h);
void hsm_files_stamp_all(struct hsm *h);
/* Active files by state, for status. */
json_t *hsm_files_json(struct hsm *h);

/* stamp.c */
/* Every chunk is present: stamps, and tells the front-end once. */
void hsm_file_finish(struct hsm_file *f);
/* Writes xattrs for what became present since the last stamp; blocks for the disk if MODIFIED. */
int hsm_file_stamp(struct hsm_file *f);
/* Stamps a file that a user changed, so that a sync that follows keeps what is his. */
int hsm_file_settle(struct hsm_file *f);
/* Journal replay: merges a slot of a dead daemon into the inode's xattrs. */
void hsm_file_replay(void *hsm, const struct hsm_slot *slot);

/* keep.c */
/*
 * Writes bytes of the origin at @offset of a file that a user may have written to unseen: data that is
 * there and is not the core's own, half of an earlier try, stays. @appended: where bytes begin that
 * are a user's for sure, behind all of the origin's; 0: there are none. *tail_ours, carried from one
 * part of a request to the next (at first false): what precedes @offset in its block is the core's.
 * 0; 1: something was kept; negative errno.
 */
int hsm_keep_write(int fd, const char *bytes, size_t length, uint64_t offset, uint64_t appended,
	bool *tail_ours);
/* pwrite(2), all of it. */
int hsm_keep_pwrite(int fd, const char *bytes, size_t length, uint64_t offset);

/* change.c */
/* As hsm_fd_modified() for an active file; write_lock may be held. */
int hsm_file_modified(struct hsm_file *f);
/* write_lock held: a fill has put the mtime back. */
void hsm_file_filled(struct hsm_file *f, int64_t mtime_ns);
/* The core has changed the inode in another way. */
void hsm_file_stored(struct hsm_file *f);
/* The user made the file shorter: what lay behind @size never comes back from the origin. */
void hsm_file_cut(struct hsm_file *f, uint64_t size);

/* request.c */
/* f->lock held: starts what the waiters need, within the limits; the rest when a request ends. */
void hsm_requests_schedule(struct hsm_file *f);
/* f->lock held: asks for [first, end) where neither present nor requested, up to @limit requests. */
void hsm_request_range(struct hsm_file *f, uint32_t first, uint32_t end, unsigned int limit);

/* stream.c */
/* f->lock held: a read of chunks [first, end) had to wait. Returns where its read-ahead ends. */
uint32_t hsm_stream_miss(struct hsm_file *f, uint32_t first, uint32_t end);
/* No lock: a read of present chunks; starts the next window when it passes a marker. */
void hsm_stream_hit(struct hsm_file *f, uint32_t first, uint32_t end);

/* fill.c */
/* As hsm_dir_fill_wait(), but in no mode more than the directory's own names. */
int hsm_dir_names_wait(struct hsm *h, int dirfd);
/* f->lock held: takes the waiters that are satisfied, or hit by @err on [first, end). */
struct hsm_waiter *hsm_waiters_take(struct hsm_file *f, uint32_t first, uint32_t end, int err);
/* No lock held: calls and frees them. */
void hsm_waiters_call(struct hsm_waiter *list);
/* A place in the table of active files became free. */
void hsm_pending_retry(struct hsm *h);
void hsm_pending_cancel(struct hsm *h);

/* stub.c */
/*
 * Makes @e and publishes it as dirfd/name; @tmp: a name for the caller's use in the staging
 * directory. @dirpath: remote path of the directory. @home: where a file's inode is allocated:
 * @dirfd, or, for threads that would get into each other's way there, one of the nurseries
 * (xfs places directories, and with them their files, in allocation groups in turn).
 * -EEXIST: the name is taken, by a local object or an earlier try.
 */
int hsm_stub_create(struct hsm *h, int dirfd, const char *dirpath, const struct hsm_entry *e,
	int home, const char *tmp);
/* The same, left in the staging directory as @tmp; nothing is there after an error. */
int hsm_stub_stage(struct hsm *h, int dirfd, const char *dirpath, const struct hsm_entry *e,
	const char *tmp);
/* The nursery that is farthest from @dirfd. */
int hsm_stub_nursery(struct hsm *h, int dirfd);
int hsm_stage_clean(struct hsm *h);

/* populate.c */
/*
 * Lists the directory and makes its names; sets HSM_S_NAMES. Blocks for the origin.
 * *ret_subdirs: it has directories in it.
 */
int hsm_names_create(struct hsm *h, int dirfd, const char *path, bool *ret_subdirs);

/* dir.c */
/*
 * Adds a waiter to the directory's job, made if there is none. @names_only: its own names will do.
 * 1: nothing left to do; 0: @done will be called; negative: failed at once.
 */
int hsm_dir_join(struct hsm *h, int dirfd, bool names_only, hsm_done_fn done, void *arg);
void hsm_dirs_drain(struct hsm *h);
/* Changes the state of a directory as one step: flags, and the mtime unless HSM_MTIME_UNKNOWN. */
int hsm_dir_update(
	struct hsm *h, int dirfd, uint8_t set_flags, uint8_t clear_flags, int64_t mtime_ns);

/* tree.c */
/* The names of the directory and of everything below it. Blocks. First error, all tried. */
int hsm_tree_populate(struct hsm *h, int dirfd);

/* walk.c */
/*
 * Names below @path (relative to the tree, "" = all of it), with @data also the bytes of
 * every file. Each failure is reported; the result is the first one.
 */
int hsm_walk_populate(
	struct hsm *h, const char *path, bool data, hsm_report_fn report, void *arg);
/* Opens @path below the tree as it is, asking the origin for nothing. O_RDONLY or -errno. */
int hsm_walk_open_there(struct hsm *h, const char *path);
/* Opens @path below the tree, populating the directories on the way. O_RDONLY or -errno. */
int hsm_walk_open(struct hsm *h, const char *path);

/* Calls @visit for each regular file below @dirfd (which it takes), in no order. */
typedef int (*hsm_visit_fn)(void *arg, int fd, const char *path);
int hsm_walk_files(int dirfd, const char *path, hsm_visit_fn visit, void *arg);

/* verify.c */
struct hsm_verify_totals {
	uint64_t files, chunks, bytes, changed, mismatches, errors;
};
/*
 * Compares every present chunk below @path with the origin. 0 also when there are mismatches:
 * see @ret_totals. A file that a user changed is reported, counted as changed and not compared; one
 * of another size that is not marked so is a mismatch.
 */
int hsm_verify(struct hsm *h, const char *path, hsm_report_fn report, void *arg,
	struct hsm_verify_totals *ret_totals);

/* refresh.c */
struct hsm_refresh_totals {
	uint64_t dirs, added, removed, replaced, conflicts, errors;
};
/*
 * Lists every populated directory at and below @path (relative to the tree) again and makes names and
 * files what the origin has now; what users changed stays and is reported. Blocks; one
 * at a time. 0 also when there were errors in some directories: see @ret_totals. -ENOENT,
 * -ENOTDIR: @path; -ECANCELED: closing.
 */
int hsm_refresh(struct hsm *h, const char *path, hsm_report_fn report, void *arg,
	struct hsm_refresh_totals *ret_totals);
/* The schedule of --refresh. _stop also ends a refresh that a client waits for; h->closing is set. */
int hsm_refresher_start(struct hsm *h);
void hsm_refresher_stop(struct hsm *h);

/* control.c */
int hsm_control_open(struct hsm *h);
void hsm_control_close(struct hsm *h);

#endif
