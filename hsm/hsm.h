/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_HSM_H
#define HSM_HSM_H
/*
 * The caching HSM as its front-ends see it. CACHE/data is the tree users read; CACHE/meta holds
 * lock, journal, staging area and control socket. What an object is (stub, partial, complete, local)
 * is bound to its inode by trusted.hsm* xattrs; identity across this interface is a descriptor.
 *
 * All calls are thread safe unless they say otherwise. Errors: negative errno, a sentence in
 * hsm_err_text() of the calling thread. Callbacks given here are called from threads of the
 * core with no lock of the core held; they must not block on a fill.
 */
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "hsm/err.h"
#include "hsm/options.h"
#include "hsm/stats.h"

struct hsm;
struct hsm_file;

/* What a front-end wants to know. Every member may be NULL. @fd is borrowed, open on the inode. */
struct hsm_frontend {
	const char *name; /* the program; shown by status */
	void *ctx; /* first argument of all calls below */
	/* Every byte of the regular file is present (also: local, nothing to fill). */
	void (*file_complete)(void *ctx, int fd);
	/*
	 * The regular file, in its first state, is about to get a name in the directory. Nonzero
	 * (negative errno): it gets none, the directory is not complete.
	 */
	int (*file_publish)(void *ctx, int dirfd, int fd);
	/* A directory without its names is about to become visible under its own name. */
	void (*dir_publish)(void *ctx, int dirfd);
	/* The directory (in namespace mode ahead: and each directory in it) has its names. */
	void (*dir_complete)(void *ctx, int dirfd);
	/*
	 * A refresh takes the inode out of its directory, perhaps open and with missing bytes. For a
	 * front-end that watches files by their directory: from now on the inode itself is watched.
	 * Negative errno: not now.
	 */
	int (*file_arm)(void *ctx, int fd);
	/*
	 * The bytes of the inode are about to be given back, under a write lease: nobody has it open.
	 * What the front-end remembers of "complete" must be gone when this returns, and be learned
	 * anew only with a descriptor (not O_PATH) open on the inode. -EBUSY: not now. NULL: it
	 * cannot be done behind this front-end, eviction refuses.
	 */
	int (*file_evict)(void *ctx, int fd);
	/*
	 * For a front-end that learns of changes after they were made: when this returns 0, of every one
	 * to the file made before, hsm_fd_written() has returned. Called under the lease of an
	 * eviction or a refresh, if there is one; -EBUSY, also when that is being broken: not now.
	 */
	int (*file_settle)(void *ctx, int fd);
	/* Has somebody opened the inode for writing through the front-end? Else the core can tell. */
	bool (*file_written)(void *ctx, int fd);
	/* A refresh has made, replaced or removed @name in @dirfd. */
	void (*name_changed)(void *ctx, int dirfd, const char *name);
	/*
	 * Done callbacks may put off what they tell a user until the thread they are called in calls
	 * this: some answers together cost less than one after the other. A thread that has called
	 * it does so again before each wait for its next work; others never do. NULL: never called.
	 */
	void (*flush)(void *ctx);
	/* Adds the front-end's members to the object that `hsmctl --json status` prints. */
	void (*status)(void *ctx, json_t *into);
	/* Somebody asked for the daemon to end (hsmctl stop). Called once; must not block. */
	void (*stop)(void *ctx);
	/* CACHE/meta/lock, locked already and borrowed: of a process that died. 0: none. */
	int lock_fd;
};

/*
 * Opens or creates the cache, takes its lock, opens and probes the origin, replays the journal
 * of a daemon that died, starts the threads. @origin NULL: what the cache was made with.
 * All I/O of the core goes through a private clone of the mount (open_tree(2)), see
 * hsm_mount_fd(). -EBUSY: another daemon has the cache; -ENOTDIR, -EACCES, -EPERM, -EOPNOTSUPP (file
 * system without trusted xattrs or file handles), -EXDEV (cache belongs to another origin), ...
 */
int hsm_open(const char *origin, const char *cache, const struct hsm_options *opt,
	const struct hsm_frontend *fe, struct hsm **ret_hsm);

/*
 * For a front-end that must set up (marks, mount) between opening and the first new name:
 * called after that. Opens the control socket. Blocks until there is what the namespace mode
 * promises before anybody looked: the names of the root (ahead), of the whole tree (eager).
 */
int hsm_start(struct hsm *h);

/*
 * Ends waiting fills with -ECANCELED, stops the threads, makes progress durable, unlocks.
 * The front-end must have stopped calling in and given back every hsm_file reference.
 */
void hsm_close(struct hsm *h);

/* Descriptors on the private mount clone, borrowed: CACHE/data, and any one for open_by_handle_at. */
int hsm_data_fd(struct hsm *h);
int hsm_mount_fd(struct hsm *h);

/* CACHE/meta/lock, borrowed; a duplicate keeps the cache locked. */
int hsm_lock_fd(struct hsm *h);

/* The number in the state of each inode of this cache (struct hsm_state.cache_id). */
uint64_t hsm_cache_id(struct hsm *h);

struct hsm_stats *hsm_get_stats(struct hsm *h);
json_t *hsm_status_json(struct hsm *h);

/* ---- directories ---- */

enum hsm_dir_state { HSM_DIR_LOCAL, HSM_DIR_UNPOPULATED, HSM_DIR_NAMES, HSM_DIR_COMPLETE };

/* State of the directory from its xattr: one fgetxattr, no lock, no wait. */
enum hsm_dir_state hsm_dir_state(struct hsm *h, int dirfd);

typedef void (*hsm_done_fn)(void *arg, int err);

/*
 * Makes the names of @dirfd exist (in mode ahead also those one level below). @dirfd may be of
 * any mount and need not outlive the call. Single flight per directory.
 * 1: already there, @done is not called; 0: @done(arg, err) will be called exactly once;
 * negative: failed at once, @done is not called.
 */
int hsm_dir_fill(struct hsm *h, int dirfd, hsm_done_fn done, void *arg);

/* The same, waiting. 0 or negative errno. */
int hsm_dir_fill_wait(struct hsm *h, int dirfd);

/* ---- files ---- */

/* Reasons to fill; decides read-ahead. */
enum hsm_fill_why { HSM_FILL_READ, HSM_FILL_WRITE, HSM_FILL_MAP, HSM_FILL_ALL };

/*
 * The active object of the inode behind @fd (borrowed). 1: *ret_file is a reference, some bytes
 * are missing; 0: nothing to fill, ever (complete, local, not regular), *ret_file untouched;
 * -EAGAIN: too many active objects, try hsm_fd_fill() which waits for a place; -EBUSY: somebody
 * holds a lease that keeps it from being filled; -EIO: a stub in a snapshot, nothing fills it.
 */
int hsm_file_get(struct hsm *h, int fd, struct hsm_file **ret_file);
void hsm_file_put(struct hsm_file *f);

/*
 * Are bytes of @dirfd/@name, whose inode number is @ino (0: not known), missing? 1 yes; 0 no, or nothing
 * that could be filled; negative errno. Does not open it, makes no active object.
 */
int hsm_missing_at(struct hsm *h, int dirfd, const char *name, uint64_t ino);

/* How many active objects there can be; fixed. Who holds some for long leaves places to others. */
unsigned int hsm_files_max(struct hsm *h);

/* Lock-free: are all bytes of the range present? Bytes behind the end of file are. */
bool hsm_file_present(struct hsm_file *f, uint64_t offset, uint64_t length);
bool hsm_file_is_complete(struct hsm_file *f);
/* No chunk of it is there. */
bool hsm_file_is_empty(struct hsm_file *f);

/* Lock-free: how many bytes from the start on are present without a gap; *ret_chunk: its chunk size. */
uint64_t hsm_file_prefix(struct hsm_file *f, uint64_t *ret_chunk);

/*
 * Makes [offset, offset + length) present; @length 0 = to the end of file. Bytes behind the end
 * are ignored. Return value and @done as hsm_dir_fill(); for a range known to be present @done
 * may be NULL, the call then only keeps read-ahead going. A chunk is fetched once however many
 * wait for it. Errors: -EIO (origin failed, lied, or the object changed), -ENOSPC, -EDQUOT,
 * -ECANCELED (closing).
 */
int hsm_file_fill(struct hsm_file *f, uint64_t offset, uint64_t length, enum hsm_fill_why why,
	hsm_done_fn done, void *arg);
int hsm_file_fill_wait(
	struct hsm_file *f, uint64_t offset, uint64_t length, enum hsm_fill_why why);

/*
 * hsm_file_get + hsm_file_fill + hsm_file_put for one request on any descriptor of the
 * inode. @fd must stay open until @done. 2: nothing to fill ever (complete or local);
 * 1: this range is present; 0: @done will be called; negative: failed at once.
 */
int hsm_fd_fill(struct hsm *h, int fd, uint64_t offset, uint64_t length, enum hsm_fill_why why,
	hsm_done_fn done, void *arg);

/* ---- what users change (change.c) ---- */

/*
 * Between these two the core neither writes into the file nor touches its times; for a front-end
 * that writes, sets times or reads attributes. Not held over a fill, nor over another call here.
 */
void hsm_file_lock(struct hsm_file *f);
void hsm_file_unlock(struct hsm_file *f);

/*
 * While the core fills or evicts a file its mtime is wrong for a moment. Attributes read between a
 * mark and a true hsm_attr_settled() are of no such moment, of whatever file. Two loads, no lock.
 */
uint64_t hsm_attr_mark(struct hsm *h);
bool hsm_attr_settled(struct hsm *h, uint64_t mark);

/*
 * The user is about to change the file behind @fd (0 if it is no regular one): nothing of the origin overwrites it, eviction
 * and refresh leave it alone. @fd: any descriptor but O_PATH, to stay open until the change is
 * made: it keeps eviction away. Cheap when it was marked or is local; blocks for the disk when the
 * file was filled within the last --sync seconds. -ENOSPC, -EIO: it must not be changed.
 */
int hsm_fd_modified(struct hsm *h, int fd);

/*
 * The same when the user has changed the file already. With @wrote, and not only had it open for
 * writing, if just then a fill put the mtime back, the file gets the time of the call.
 */
int hsm_fd_written(struct hsm *h, int fd, bool wrote);

/*
 * fsync(2), or with @data_only fdatasync(2), such that after a power cut nothing of the origin
 * overwrites what was synced. @fd: any descriptor but O_PATH.
 */
int hsm_fd_sync(struct hsm *h, int fd, bool data_only);

/*
 * ftruncate(2) of a file with missing chunks: bytes cut off never come back from the origin, what
 * it grows by is zeros. One step for fills and other callers, and for a daemon that is killed in
 * it. The file counts as modified if something was cut off.
 */
int hsm_file_truncate(struct hsm_file *f, uint64_t size);

/* hsm_fd_modified() and that for any regular file, active or not; @fd is open for writing. */
int hsm_fd_truncate(struct hsm *h, int fd, uint64_t size);

/* ---- eviction (evict.c, evict_lru.c) ---- */

/* About one object, @path relative to the tree; from the thread of the call. */
typedef void (*hsm_report_fn)(void *arg, const char *path, const char *text);

struct hsm_evict_totals {
	uint64_t files, bytes; /* given back */
	uint64_t skipped_open, skipped_modified, skipped_local; /* files kept, and why */
	uint64_t errors;
};

/*
 * Gives back the bytes of the file, or of all files below the directory, @path ("" = the whole
 * tree). Only what the origin still has as it was fetched, and nobody has open or mapped; names,
 * sizes, modes and mtimes stay. One run at a time, others wait. Errors are reported, all
 * is tried. -EOPNOTSUPP: the front-end has no file_evict; -ENOENT, ...; for a single
 * file that is kept -EBUSY, and reported.
 */
int hsm_evict_path(struct hsm *h, const char *path, hsm_report_fn report, void *arg,
	struct hsm_evict_totals *ret_totals);

/* The same for files used least recently, until @bytes are free. -ENOSPC: not so many could be. */
int hsm_evict_to_free(struct hsm *h, uint64_t bytes, hsm_report_fn report, void *arg,
	struct hsm_evict_totals *ret_totals);

/* ---- the daemon's life (daemon.c) ---- */

/*
 * Goes to the background unless @foreground; call before any thread exists. The parent waits for
 * hsm_daemon_ready() and exits with its code, printing its text on stderr.
 */
int hsm_daemon_start(bool foreground);

/* Child: tells the parent: @code 0 = serving (detaches from the terminal), else exit code + text. */
void hsm_daemon_ready(int code, const char *text);

/* Child: the descriptor it needs for that; -1 if none (any more). */
int hsm_daemon_ready_fd(void);

#endif
