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
	/* A directory without its names is about to become visible under its own name. */
	void (*dir_publish)(void *ctx, int dirfd);
	/* The directory (in namespace mode ahead: and each directory in it) has its names. */
	void (*dir_complete)(void *ctx, int dirfd);
	/* Adds the front-end's members to the object that `hsmctl --json status` prints. */
	void (*status)(void *ctx, json_t *into);
	/* Somebody asked for the daemon to end (hsmctl stop). Called once; must not block. */
	void (*stop)(void *ctx);
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

/* The number in the state of each inode of this cache (struct hsm_state.cache_id). */
uint64_t hsm_cache_id(struct hsm *h);

struct hsm_stats *hsm_get_stats(struct hsm *h);
const struct hsm_options *hsm_get_options(struct hsm *h);
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
 * -EAGAIN: too many active objects, try hsm_fd_fill() which waits for a place.
 */
int hsm_file_get(struct hsm *h, int fd, struct hsm_file **ret_file);
void hsm_file_put(struct hsm_file *f);

/* Descriptor O_RDWR on the private mount, borrowed, valid while the reference is held. */
int hsm_file_fd(struct hsm_file *f);

/* Lock-free: are all bytes of the range present? Bytes behind the end of file are. */
bool hsm_file_present(struct hsm_file *f, uint64_t offset, uint64_t length);
bool hsm_file_is_complete(struct hsm_file *f);

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

/* ---- the daemon's life (daemon.c) ---- */

/*
 * Goes to the background unless @foreground; call before any thread exists. The parent waits for
 * hsm_daemon_ready() and exits with its code, printing its text on stderr.
 */
int hsm_daemon_start(bool foreground);

/* Child: tells the parent: @code 0 = serving (detaches from the terminal), else exit code + text. */
void hsm_daemon_ready(int code, const char *text);

#endif
