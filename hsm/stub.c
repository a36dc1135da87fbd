/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making names. An object gets its size, mode, times, state and (by the front-end) its mark
 * before it has a name users can see: a name appears only when its stub is complete. Files are
 * made nameless (O_TMPFILE) and linked, which leaves nothing behind after a crash and does
 * not take the file system's rename lock; directories and symbolic links are made in
 * CACHE/meta/stage and renamed. A name that is there already stays as it is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/core.h"
#include "hsm/util.h"

static int join_path(char *out, const char *dir, const char *name)
{
	int n = snprintf(out, HSM_PATH_MAX + 1, "%s%s%s", dir, *dir ? "/" : "", name);

	return n > HSM_PATH_MAX ? -ENAMETOOLONG : 0;
}

static int64_t wall_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return hsm_timespec_to_ns(now);
}

/*
 * The times an object begins with are those in its state, so that what a user sets later can be
 * told from them. A directory without a known time keeps the one of its last change.
 */
static int64_t first_mtime_ns(const struct hsm_entry *e)
{
	if (e->mtime_ns != HSM_MTIME_UNKNOWN)
		return e->mtime_ns;
	return S_ISDIR(e->mode) ? 0 : wall_clock_ns();
}

static void init_state(struct hsm *h, struct hsm_state *state, const struct hsm_entry *e)
{
	state->kind = S_ISDIR(e->mode)	 ? HSM_KIND_DIR
		      : S_ISLNK(e->mode) ? HSM_KIND_LINK
					 : HSM_KIND_FILE;
	state->flags = e->mtime_exact ? HSM_S_MTIME_EXACT : 0;
	state->epoch = 0;
	state->cache_id = h->cache.id;
	state->fill_end = 0;
	state->chunk_shift = 0;
	state->size = 0;
	state->mtime_ns = first_mtime_ns(e);
	state->validator[0] = 0;
	if (state->kind != HSM_KIND_FILE)
		return;
	state->size = state->fill_end = e->size;
	state->chunk_shift = (uint8_t)hsm_chunkmap_shift(
		e->size, (unsigned int)__builtin_ctzll(h->opt.chunk_bytes));
	if (!e->size)
		state->flags |= HSM_S_COMPLETE;
}

static int set_times(int fd, const struct hsm_state *state)
{
	struct timespec times[2];

	if (!state->mtime_ns && state->kind == HSM_KIND_DIR)
		return 0;
	times[0] = times[1] = hsm_ns_to_timespec(state->mtime_ns);
	return futimens(fd, times) ? -errno : 0;
}

/* Extents that are not written yet read as zeros too, but are no holes to a tool that looks for some. */
static int set_size(struct hsm *h, int fd, uint64_t size)
{
	if (!size)
		return 0;
	if (h->opt.stubs == HSM_STUBS_PREALLOC)
		return fallocate(fd, 0, 0, (off_t)size) ? -errno : 0;
	return ftruncate(fd, (off_t)size) ? -errno : 0;
}

/* Allocated in @home, linked as @at/@name; @dirfd: where its name will be seen. */
static int make_file(struct hsm *h, int dirfd, int at, const char *name, int home,
	const struct hsm_entry *e, const struct hsm_state *state)
{
	auto_fd int fd = openat(home, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, e->mode & 07777);
	int r;

	if (fd < 0)
		return -errno;
	r = hsm_state_store(fd, state);
	if (!r)
		r = set_size(h, fd, e->size);
	if (!r)
		r = set_times(fd, state);
	if (!r && h->fe.file_publish && e->size)
		r = h->fe.file_publish(h->fe.ctx, dirfd, fd);
	if (!r && linkat(fd, "", at, name, AT_EMPTY_PATH))
		r = -errno;
	return r;
}

static int make_dir(struct hsm *h, int stage, const char *tmp, const struct hsm_entry *e,
	const struct hsm_state *state)
{
	auto_fd int fd = -1;
	int r;

	if (mkdirat(stage, tmp, e->mode & 07777))
		return -errno;
	fd = openat(stage, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = hsm_state_store(fd, state);
	if (!r)
		r = set_times(fd, state);
	if (!r && h->fe.dir_publish)
		h->fe.dir_publish(h->fe.ctx, fd);
	return r;
}

static int make_symlink(
	int stage, const char *tmp, const struct hsm_entry *e, const struct hsm_state *state)
{
	struct timespec times[2];
	auto_fd int fd = -1;

	if (symlinkat(e->target, stage, tmp))
		return -errno;
	fd = openat(stage, tmp, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	times[0] = times[1] = hsm_ns_to_timespec(state->mtime_ns);
	utimensat(stage, tmp, times, AT_SYMLINK_NOFOLLOW);
	return hsm_state_store_link(fd, state);
}

/* Makes @e in the staging directory as @tmp; nothing is left of it after an error. */
static int make_staged(struct hsm *h, int dirfd, const char *tmp, const struct hsm_entry *e,
	const struct hsm_state *state)
{
	int stage = h->cache.stage_fd, r;

	if (S_ISDIR(e->mode))
		r = make_dir(h, stage, tmp, e, state);
	else if (S_ISLNK(e->mode))
		r = make_symlink(stage, tmp, e, state);
	else
		r = make_file(h, dirfd, stage, tmp, dirfd, e, state);
	if (r && r != -EEXIST)
		unlinkat(stage, tmp, S_ISDIR(e->mode) ? AT_REMOVEDIR : 0);
	return r;
}

/* The state a new object begins with; errors as hsm_stub_create(). */
static int begin_state(
	struct hsm *h, const char *dirpath, const struct hsm_entry *e, struct hsm_state *state)
{
	int r = hsm_name_check(e->name, strlen(e->name));

	if (!r)
		r = join_path(state->path, dirpath, e->name);
	if (!r && !S_ISREG(e->mode) && !S_ISDIR(e->mode) && !(S_ISLNK(e->mode) && e->target))
		r = -EINVAL;
	if (!r)
		init_state(h, state, e);
	return r;
}

int hsm_stub_create(struct hsm *h, int dirfd, const char *dirpath, const struct hsm_entry *e,
	int home, const char *tmp)
{
	int stage = h->cache.stage_fd, r;
	struct hsm_state state;

	r = begin_state(h, dirpath, e, &state);
	if (r)
		return r;
	if (S_ISREG(e->mode))
		return make_file(h, dirfd, dirfd, e->name, home, e, &state);
	r = make_staged(h, dirfd, tmp, e, &state);
	if (!r && renameat2(stage, tmp, dirfd, e->name, RENAME_NOREPLACE)) {
		r = -errno;
		unlinkat(stage, tmp, S_ISDIR(e->mode) ? AT_REMOVEDIR : 0);
	}
	return r;
}

int hsm_stub_stage(struct hsm *h, int dirfd, const char *dirpath, const struct hsm_entry *e,
	const char *tmp)
{
	struct hsm_state state;
	int r = begin_state(h, dirpath, e, &state);

	return r ? r : make_staged(h, dirfd, tmp, e, &state);
}

/* The numbers of inodes in other allocation groups differ in their highest bits. */
int hsm_stub_nursery(struct hsm *h, int dirfd)
{
	int best = h->cache.nursery_fd[0];
	ino_t distance = 0;
	struct stat dir, st;

	if (fstat(dirfd, &dir))
		return best;
	for (int i = 0; i < HSM_NURSERIES; i++) {
		if (fstat(h->cache.nursery_fd[i], &st) || (st.st_ino ^ dir.st_ino) <= distance)
			continue;
		distance = st.st_ino ^ dir.st_ino;
		best = h->cache.nursery_fd[i];
	}
	return best;
}

/*
 * A refresh that was killed may have left a user's file here: taken out of the tree in the belief
 * that it was the origin's, and about to be put back.
 */
static bool is_users(int stage, const char *name)
{
	auto_fd int fd =
		openat(stage, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
	struct hsm_state state;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return false;
	r = hsm_state_load(fd, &state);
	return r || state.flags & HSM_S_MODIFIED || (uint64_t)st.st_size != state.size ||
	       (state.flags & HSM_S_MTIME_EXACT &&
		       state.mtime_ns != hsm_timespec_to_ns(st.st_mtim));
}

static void keep(struct hsm_cache *c, const char *name)
{
	char kept[64];

	snprintf(kept, sizeof(kept), "u%lld-%.32s", (long long)wall_clock_ns(), name);
	renameat2(c->stage_fd, name, c->stage_fd, kept, RENAME_NOREPLACE);
	hsm_log(HSM_LOG_WARN, "%s/meta/stage/%s is a file of a user: move it away", c->path,
		kept);
}

static void clean_name(struct hsm_cache *c, const char *name)
{
	if (is_users(c->stage_fd, name))
		keep(c, name);
	else if (unlinkat(c->stage_fd, name, 0) && errno == EISDIR)
		unlinkat(c->stage_fd, name, AT_REMOVEDIR);
}

int hsm_stage_clean(struct hsm *h)
{
	int fd = openat(h->cache.stage_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		hsm_util_close_fd(&fd);
		return -errno;
	}
	while ((e = readdir(dir)))
		/* The nurseries stay, and so does what users lost. */
		if (!strchr(".nu", e->d_name[0]))
			clean_name(&h->cache, e->d_name);
	closedir(dir);
	return 0;
}
