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

static void init_state(struct hsm *h, struct hsm_state *state, const struct hsm_entry *e)
{
	state->kind = S_ISDIR(e->mode) ? HSM_KIND_DIR : HSM_KIND_FILE;
	state->flags = e->mtime_exact ? HSM_S_MTIME_EXACT : 0;
	state->epoch = 0;
	state->cache_id = h->cache.id;
	state->fill_end = 0;
	state->chunk_shift = 0;
	state->size = 0;
	state->mtime_ns = e->mtime_ns == HSM_MTIME_UNKNOWN ? 0 : e->mtime_ns;
	state->validator[0] = 0;
	if (state->kind == HSM_KIND_DIR)
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

	if (!state->mtime_ns)
		return 0;
	times[0] = times[1] = hsm_ns_to_timespec(state->mtime_ns);
	return futimens(fd, times) ? -errno : 0;
}

static int publish_file(
	int dirfd, int home, const struct hsm_entry *e, const struct hsm_state *state)
{
	auto_fd int fd = openat(home, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, e->mode & 07777);
	int r;

	if (fd < 0)
		return -errno;
	r = hsm_state_store(fd, state);
	if (!r && e->size && ftruncate(fd, (off_t)e->size))
		r = -errno;
	if (!r)
		r = set_times(fd, state);
	if (!r && linkat(fd, "", dirfd, e->name, AT_EMPTY_PATH))
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

static int make_symlink(int stage, const char *tmp, const struct hsm_entry *e)
{
	struct timespec times[2] = {{0}};

	if (symlinkat(e->target, stage, tmp))
		return -errno;
	if (e->mtime_ns != HSM_MTIME_UNKNOWN) {
		times[0] = times[1] = hsm_ns_to_timespec(e->mtime_ns);
		utimensat(stage, tmp, times, AT_SYMLINK_NOFOLLOW);
	}
	return 0;
}

static int publish_staged(struct hsm *h, int dirfd, const struct hsm_entry *e,
	const struct hsm_state *state, const char *tmp)
{
	int stage = h->cache.stage_fd, r;

	if (S_ISDIR(e->mode))
		r = make_dir(h, stage, tmp, e, state);
	else
		r = make_symlink(stage, tmp, e);
	if (!r && renameat2(stage, tmp, dirfd, e->name, RENAME_NOREPLACE))
		r = -errno;
	if (r)
		unlinkat(stage, tmp, S_ISDIR(e->mode) ? AT_REMOVEDIR : 0);
	return r;
}

int hsm_stub_create(struct hsm *h, int dirfd, const char *dirpath, const struct hsm_entry *e,
	int home, const char *tmp)
{
	struct hsm_state state;
	int r = hsm_name_check(e->name, strlen(e->name));

	if (!r)
		r = join_path(state.path, dirpath, e->name);
	if (r)
		return r;
	init_state(h, &state, e);
	if (S_ISREG(e->mode))
		return publish_file(dirfd, home, e, &state);
	if (S_ISDIR(e->mode) || (S_ISLNK(e->mode) && e->target))
		return publish_staged(h, dirfd, e, &state, tmp);
	return -EINVAL;
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

int hsm_stage_clean(struct hsm *h)
{
	int fd = openat(h->cache.stage_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		hsm_util_close_fd(&fd);
		return -errno;
	}
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || e->d_name[0] == 'n') /* the nurseries stay */
			continue;
		if (unlinkat(h->cache.stage_fd, e->d_name, 0) && errno == EISDIR)
			unlinkat(h->cache.stage_fd, e->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
	return 0;
}
