/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One directory in a refresh: the listing of the origin against the names in the tree. Each change
 * is one step for users and for a crash, and a refresh that was killed is made good by the next.
 * Nothing is changed before the whole listing is here.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/refresh.h"
#include "hsm/util.h"

typedef void (*each_name_fn)(void *arg, int dirfd, const char *name);

/* Reads the directory through a description of its own: btrfs fixes the end when it is opened. */
static int for_each_name(struct hsm *h, int dirfd, each_name_fn fn, void *arg)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_NOATIME | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!dir) {
		int r = -errno;

		hsm_util_close_fd(&fd);
		return r;
	}
	while (!h->closing && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			fn(arg, dirfd, e->d_name);
	closedir(dir);
	return 0;
}

/*
 * Before the first change: is the mtime the origin's, so that it is to come back? That is noted on
 * the directory, or a refresh killed half-way would leave its own time.
 */
static void begin_change(struct hsm_refresh_dir *d)
{
	struct stat st;

	if (d->changed)
		return;
	d->changed = true;
	d->keeps_mtime = d->state.flags & HSM_S_UPDATING ||
			 (d->state.mtime_ns && !fstat(d->fd, &st) &&
				 hsm_timespec_to_ns(st.st_mtim) == d->state.mtime_ns);
	if (d->keeps_mtime && !(d->state.flags & HSM_S_UPDATING))
		hsm_dir_update(d->h, d->fd, HSM_S_UPDATING, 0, HSM_MTIME_UNKNOWN);
}

static void end_change(struct hsm_refresh_dir *d)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};

	if (!d->changed || !d->keeps_mtime)
		return;
	if (d->state.mtime_ns) {
		times[1] = hsm_ns_to_timespec(d->state.mtime_ns);
		futimens(d->fd, times);
	}
	hsm_dir_update(d->h, d->fd, 0, HSM_S_UPDATING, HSM_MTIME_UNKNOWN);
}

static void conflict(struct hsm_refresh_dir *d, const char *name, const char *why)
{
	hsm_refresh_conflict(d->run, d->state.path, name, why);
}

static void error(struct hsm_refresh_dir *d, const char *name, int r)
{
	hsm_refresh_error(
		d->run, d->state.path, name, r == -EIO ? hsm_err_text() : strerror(-r));
}

/* ---- what has gone ---- */

/* A file or link that the origin has no more. True: it is not there any more. */
static bool remove_object(struct hsm_refresh_dir *d, struct hsm_refresh_object *o)
{
	int r = -EBUSY;

	begin_change(d);
	if (!S_ISREG(o->st.st_mode) || !hsm_refresh_object_modified(d->h, o, NULL))
		r = hsm_refresh_object_remove(d->h, o, d->tmp);
	if (!r)
		hsm_refresh_changed(d->run, o->dirfd, o->name, &d->run->totals.removed);
	else if (r != -EBUSY && r != -ENOENT)
		error(d, o->name, r);
	return !r || r == -ENOENT;
}

static bool remove_tree(struct hsm_refresh_dir *d, struct hsm_refresh_object *dir);

struct prune {
	struct hsm_refresh_dir *d;
	const struct hsm_refresh_object *dir;
};

static void prune_name(void *arg, int dirfd, const char *name)
{
	auto_free struct hsm_refresh_object *o = malloc(sizeof(*o));
	const struct prune *p = arg;

	if (!o || hsm_refresh_object_open(p->d->h, dirfd, p->dir->state.path, name, o))
		return;
	if (o->ours && S_ISDIR(o->st.st_mode))
		remove_tree(p->d, o);
	else if (o->ours)
		remove_object(p->d, o);
	hsm_refresh_object_close(o);
}

static bool remove_dir(struct hsm_refresh_dir *d, const struct hsm_refresh_object *dir)
{
	if (unlinkat(dir->dirfd, dir->name, AT_REMOVEDIR))
		return errno == ENOENT;
	hsm_refresh_changed(d->run, dir->dirfd, dir->name, &d->run->totals.removed);
	return true;
}

/*
 * A directory that the origin has no more: what is the origin's in it goes, and then the directory, if
 * nothing is left in it. rmdir(2) decides that, so no name made meanwhile is lost. One that stays has
 * no names to wait for any more. True: gone.
 */
static bool remove_tree(struct hsm_refresh_dir *d, struct hsm_refresh_object *dir)
{
	struct prune p = {d, dir};

	begin_change(d);
	if (remove_dir(d, dir))
		return true;
	for_each_name(d->h, dir->fd, prune_name, &p);
	if (remove_dir(d, dir))
		return true;
	hsm_dir_update(d->h, dir->fd, HSM_S_NAMES | HSM_S_GONE, 0, HSM_MTIME_UNKNOWN);
	return false;
}

static void vanished(struct hsm_refresh_dir *d, struct hsm_refresh_object *o)
{
	if (!o->ours)
		return;
	if (S_ISDIR(o->st.st_mode)) {
		if (!remove_tree(d, o))
			conflict(d, o->name,
				"gone from the origin; kept for what users have in it");
	} else if (!remove_object(d, o)) {
		conflict(d, o->name, "gone from the origin; kept because a user changes it");
	}
}

/* ---- what is on both sides ---- */

/*
 * The directory does not have the names of all directories in it any more. Until it has, who opens it
 * waits for them, as at its first time, in the namespace mode that promises them.
 */
static void promise_deep(struct hsm_refresh_dir *d)
{
	begin_change(d);
	hsm_dir_update(d->h, d->fd, 0, HSM_S_DEEP, HSM_MTIME_UNKNOWN);
	if (d->h->opt.names == HSM_NS_AHEAD && d->h->fe.dir_publish)
		d->h->fe.dir_publish(d->h->fe.ctx, d->fd);
}

/* What the origin has now is made under a name of ours, and then takes the place of the old. */
static void replace(
	struct hsm_refresh_dir *d, struct hsm_refresh_object *o, const struct hsm_entry *e)
{
	int r;

	begin_change(d);
	if (S_ISDIR(e->mode))
		promise_deep(d);
	r = hsm_stub_stage(d->h, d->fd, d->state.path, e, d->tmp);
	if (!r) {
		r = hsm_refresh_object_replace(d->h, o, e, d->tmp);
		if (r && r != -EIO)
			unlinkat(d->h->cache.stage_fd, d->tmp,
				S_ISDIR(e->mode) ? AT_REMOVEDIR : 0);
	}
	if (r == -EBUSY)
		conflict(d, e->name, "changed on the origin, and a user changes it; kept");
	else if (r && r != -ENOENT)
		error(d, e->name, r);
	if (r)
		return;
	if (S_ISREG(e->mode))
		hsm_stats_add(d->h->stats, HSM_C_STUBS_CREATED, 1);
	if (S_ISDIR(e->mode)) /* to be treated as a new one from here on */
		d->seen[e - d->listing.entry] = false;
	hsm_refresh_changed(d->run, d->fd, e->name, &d->run->totals.replaced);
}

/* -1 the listing cannot tell. */
static int content_changed(struct hsm *h, const struct hsm_state *s, const struct hsm_entry *e)
{
	bool learned = s->validator[0] || s->flags & HSM_S_MTIME_EXACT;
	bool partial = !(s->flags & HSM_S_COMPLETE) || !hsm_epoch_trusted(&h->epochs, s->epoch);

	if (e->size != s->size)
		return 1;
	if (e->mtime_exact && s->flags & HSM_S_MTIME_EXACT) {
		if (e->mtime_ns != s->mtime_ns)
			return 1;
		/* What is missing can only be fetched under the validator known. */
		return partial && s->validator[0] ? -1 : 0;
	}
	if (learned)
		return -1;
	/* Nothing of it was fetched: two looks at the index. */
	return e->mtime_ns != HSM_MTIME_UNKNOWN && !e->mtime_exact &&
	       e->mtime_ns != s->mtime_ns;
}

/* The same with what ask() learned, by the rules by which a fetch would be refused. */
static bool answer_changed(const struct hsm_state *s, const struct hsm_entry *e)
{
	bool known = s->flags & HSM_S_MTIME_EXACT && e->mtime_exact;
	bool same_time = known && e->mtime_ns == s->mtime_ns;

	if (e->size != s->size || (known && !same_time))
		return true;
	return s->validator[0] && strcmp(s->validator, e->validator) &&
	       (e->validator[0] || !same_time);
}

static void compare_file(
	struct hsm_refresh_dir *d, struct hsm_refresh_object *o, struct hsm_entry *e)
{
	int changed = e->validator ? answer_changed(&o->state, e)
				   : content_changed(d->h, &o->state, e);

	if (!changed)
		return;
	if (changed < 0)
		e->ask = d->asked = true;
	else if (hsm_refresh_object_modified(d->h, o, e))
		conflict(d, e->name, "changed on the origin and by a user; kept");
	else
		replace(d, o, e);
}

static void compare_link(
	struct hsm_refresh_dir *d, struct hsm_refresh_object *o, const struct hsm_entry *e)
{
	char target[4096];
	ssize_t n = readlinkat(o->fd, "", target, sizeof(target) - 1);

	if (n < 0)
		return;
	target[n] = 0;
	if (strcmp(target, e->target))
		replace(d, o, e);
}

/* Its own names are compared when it has its turn; here only what its parent's listing tells. */
static void compare_dir(
	struct hsm_refresh_dir *d, struct hsm_refresh_object *o, const struct hsm_entry *e)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, hsm_ns_to_timespec(e->mtime_ns)};
	int64_t mtime_ns = hsm_timespec_to_ns(o->st.st_mtim);

	if (o->state.flags & HSM_S_GONE)
		hsm_dir_update(d->h, o->fd, 0, HSM_S_GONE, HSM_MTIME_UNKNOWN);
	if (e->mtime_ns == HSM_MTIME_UNKNOWN || e->mtime_ns == o->state.mtime_ns)
		return;
	if (mtime_ns == o->state.mtime_ns)
		futimens(o->fd, times);
	hsm_dir_update(d->h, o->fd, 0, 0, e->mtime_ns);
	if (d->h->fe.name_changed)
		d->h->fe.name_changed(d->h->fe.ctx, d->fd, e->name);
}

/* A file became a directory, or the like. */
static void compare_kinds(
	struct hsm_refresh_dir *d, struct hsm_refresh_object *o, struct hsm_entry *e)
{
	if (S_ISDIR(o->st.st_mode)) {
		if (remove_tree(d, o))
			d->seen[e - d->listing.entry] = false;
		else
			conflict(d, e->name,
				"a directory no more on the origin; kept for what users have in it");
	} else if (S_ISREG(o->st.st_mode) && hsm_refresh_object_modified(d->h, o, NULL)) {
		conflict(d, e->name, "changed on the origin and by a user; kept");
	} else {
		replace(d, o, e);
	}
}

static void compare(
	struct hsm_refresh_dir *d, struct hsm_refresh_object *o, struct hsm_entry *e)
{
	if (!o->ours)
		conflict(d, e->name, "on the origin, but the name is a user's here; kept");
	else if ((o->st.st_mode & S_IFMT) != (e->mode & S_IFMT))
		compare_kinds(d, o, e);
	else if (S_ISREG(e->mode))
		compare_file(d, o, e);
	else if (S_ISLNK(e->mode))
		compare_link(d, o, e);
	else
		compare_dir(d, o, e);
}

static void look_at_name(void *arg, int dirfd, const char *name)
{
	struct hsm_refresh_dir *d = arg;
	struct hsm_entry *e = hsm_listing_find(&d->listing, name);
	struct hsm_refresh_object o;
	int r;

	if (e && d->seen[e - d->listing.entry])
		return;
	r = hsm_refresh_object_open(d->h, dirfd, d->state.path, name, &o);
	if (r) {
		if (r != -ENOENT)
			error(d, name, r);
		return;
	}
	if (e) {
		d->seen[e - d->listing.entry] = true;
		compare(d, &o, e);
	} else if (!d->listing.left_out) {
		vanished(d, &o);
	}
	hsm_refresh_object_close(&o);
}

/* Of those marked, all at once; then each again by what was learned. */
static void ask_again(struct hsm_refresh_dir *d)
{
	int r = d->h->origin->ops->ask(d->h->origin, d->state.path, &d->listing);

	if (r)
		error(d, "", -EIO);
	for (size_t i = 0; i < d->listing.count && !d->h->closing; i++) {
		struct hsm_entry *e = &d->listing.entry[i];

		if (e->validator && !e->ask) {
			d->seen[i] = false;
			look_at_name(d, d->fd, e->name);
			d->seen[i] = true;
		} else if (e->ask && !r) {
			hsm_refresh_error(d->run, d->state.path, e->name,
				"listed by the origin, but not served; kept");
		}
	}
}

/* ---- what is new ---- */

static void create(struct hsm_refresh_dir *d, const struct hsm_entry *e)
{
	int r;

	begin_change(d);
	r = hsm_stub_create(d->h, d->fd, d->state.path, e, d->fd, d->tmp);
	if (!r && S_ISREG(e->mode))
		hsm_stats_add(d->h->stats, HSM_C_STUBS_CREATED, 1);
	if (!r)
		hsm_refresh_changed(d->run, d->fd, e->name, &d->run->totals.added);
	else if (r == -ENAMETOOLONG || r == -EINVAL)
		hsm_stats_add(d->h->stats, HSM_C_NAMES_REFUSED, 1);
	else if (r != -EEXIST) /* a user was faster: a conflict for the next time */
		error(d, e->name, r);
}

static void keep_promise(struct hsm_refresh_dir *d, size_t i)
{
	auto_fd int fd = openat(d->fd, d->listing.entry[i].name,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	int r = fd < 0 ? 0 : hsm_dir_names_wait(d->h, fd);

	if (r)
		error(d, d->listing.entry[i].name, r);
}

static void create_new(struct hsm_refresh_dir *d)
{
	struct hsm *h = d->h;
	bool dirs = false;

	for (size_t i = 0; i < d->listing.count && !h->closing; i++) {
		bool is_dir = S_ISDIR(d->listing.entry[i].mode);

		if (d->seen[i])
			continue;
		if (is_dir && !dirs)
			promise_deep(d);
		dirs |= is_dir;
		create(d, &d->listing.entry[i]);
	}
	end_change(d);
	if (!dirs || h->opt.names != HSM_NS_AHEAD)
		return;
	for (size_t i = 0; i < d->listing.count && !h->closing; i++)
		if (!d->seen[i] && S_ISDIR(d->listing.entry[i].mode))
			keep_promise(d, i);
	hsm_dir_fill_wait(h, d->fd);
}

/* ---- one directory ---- */

static int fetch_listing(struct hsm_refresh_dir *d)
{
	struct hsm *h = d->h;
	int r = h->origin->ops->list(h->origin, d->state.path, &d->listing);

	if (r)
		return r;
	hsm_filter_listing(&h->opt.filter, d->state.path, &d->listing);
	d->seen = calloc(d->listing.count + 1, sizeof(*d->seen));
	if (!d->seen)
		return -ENOMEM;
	if (d->listing.left_out)
		hsm_refresh_error(d->run, d->state.path, "",
			"the origin lists names that it does not serve: nothing is removed here");
	return 0;
}

static void work(struct hsm_refresh_dir *d)
{
	int r;

	snprintf(d->tmp, sizeof(d->tmp), "r%x", atomic_fetch_add(&d->h->stage_serial, 1));
	if (d->state.flags & HSM_S_UPDATING)
		begin_change(d);
	r = for_each_name(d->h, d->fd, look_at_name, d);
	if (r)
		error(d, "", r);
	if (!r && d->asked)
		ask_again(d);
	if (!r)
		create_new(d);
	else
		end_change(d);
}

int hsm_refresh_one(struct hsm_refresh *run, int fd)
{
	struct hsm_refresh_dir *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->run = run;
	d->h = run->h;
	d->fd = fd;
	r = hsm_state_load(fd, &d->state);
	if (!r)
		r = fetch_listing(d);
	if (!r)
		work(d);
	hsm_listing_release(&d->listing);
	free(d->seen);
	free(d);
	return r;
}
