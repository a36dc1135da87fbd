/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inode table over a real directory (TMPDIR, or where the test runs): counts, inode numbers that
 * are used again, descriptors instead of handles, descriptors of directories, threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "fuse_hsm/dirfd.h"
#include "fuse_hsm/inode.h"
#include "hsm/util.h"

#define FILES	    500u
#define REUSE_TRIES 2000

struct fixture {
	char dir[256];
	int fd;
	bool pin_fds;
	struct fuse_hsm_inodes *t;
	struct fuse_hsm_dirfds *d;
};

static int start(void **state, bool pin_fds)
{
	struct fixture *x = calloc(1, sizeof(*x));

	/* open_by_handle_at(2) is for root. */
	if (geteuid()) {
		free(x);
		exit(77);
	}
	snprintf(x->dir, sizeof(x->dir), "%s/inode-XXXXXX",
		getenv("TMPDIR") ? getenv("TMPDIR") : ".");
	assert_non_null(mkdtemp(x->dir));
	x->fd = open(x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	x->pin_fds = pin_fds;
	assert_int_equal(fuse_hsm_inodes_new(x->fd, x->fd, pin_fds, &x->t), 0);
	assert_int_equal(fuse_hsm_dirfds_new(x->t, &x->d), 0);
	*state = x;
	return 0;
}

static int with_handles(void **state)
{
	return start(state, false);
}

static int with_fds(void **state)
{
	return start(state, true);
}

static int teardown(void **state)
{
	struct fixture *x = *state;
	char command[300];

	fuse_hsm_dirfds_free(x->d);
	fuse_hsm_inodes_free(x->t);
	close(x->fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", x->dir);
	assert_int_equal(system(command), 0);
	free(x);
	return 0;
}

static void make_file(const struct fixture *x, const char *name)
{
	int fd = openat(x->fd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, name, strlen(name)), strlen(name));
	close(fd);
}

static struct fuse_hsm_inode *look_up(const struct fixture *x, int dirfd, const char *name)
{
	struct fuse_hsm_inode *i;
	struct stat attr, real;

	assert_int_equal(fuse_hsm_inode_lookup(x->t, dirfd, name, &attr, &i), 0);
	if (*name)
		assert_int_equal(fstatat(dirfd, name, &real, AT_SYMLINK_NOFOLLOW), 0);
	else
		assert_int_equal(fstat(dirfd, &real), 0);
	assert_int_equal(attr.st_ino, real.st_ino);
	assert_int_equal(fuse_hsm_inode_type(i), real.st_mode & S_IFMT);
	return i;
}

static uint64_t known(const struct fixture *x)
{
	uint64_t inodes, bytes;

	fuse_hsm_inodes_count(x->t, &inodes, &bytes);
	return inodes;
}

static bool is_file(const struct fixture *x, const struct fuse_hsm_inode *i, const char *name)
{
	char text[64] = "";
	auto_fd int fd = fuse_hsm_inode_open(x->t, i, O_RDONLY);

	return fd >= 0 && read(fd, text, sizeof(text) - 1) >= 0 && !strcmp(text, name);
}

static unsigned int open_fds(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* ---- both kinds ---- */

static void counts(void **state)
{
	struct fixture *x = *state;
	struct fuse_hsm_inode *i;
	fuse_ino_t id;

	make_file(x, "a");
	i = look_up(x, x->fd, "a");
	id = fuse_hsm_inode_id(x->t, i);
	assert_ptr_equal(look_up(x, x->fd, "a"), i);
	assert_ptr_equal(fuse_hsm_inode_find(x->t, id), i);
	assert_true(is_file(x, i, "a"));
	fuse_hsm_inode_forget(x->t, id, 1);
	assert_ptr_equal(fuse_hsm_inode_find(x->t, id), i);
	fuse_hsm_inode_forget(x->t, id, 1);
	assert_true(fuse_hsm_inode_is_gone(x->t, fuse_hsm_inode_find(x->t, id)));
	assert_int_equal(known(x), 0);
	/* Too much and too late are harmless. */
	fuse_hsm_inode_forget(x->t, id, 1);
	look_up(x, x->fd, "a");
	fuse_hsm_inode_forget(x->t, id, 1000);
	assert_int_equal(known(x), 0);
}

static void ids_are_inode_numbers(void **state)
{
	struct fixture *x = *state;
	struct stat st;

	make_file(x, "a");
	assert_int_equal(fstatat(x->fd, "a", &st, 0), 0);
	assert_int_equal(fuse_hsm_inode_id(x->t, look_up(x, x->fd, "a")), st.st_ino);
}

static void the_root(void **state)
{
	struct fixture *x = *state;
	struct fuse_hsm_inode *root = fuse_hsm_inode_find(x->t, FUSE_ROOT_ID);
	auto_fd int fd = fuse_hsm_inode_open(x->t, root, O_RDONLY | O_DIRECTORY);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(x->fd, &st), 0);
	/* Found by a name or by a descriptor it is the root still, and generation 0. */
	assert_ptr_equal(look_up(x, fd, ""), root);
	assert_ptr_equal(look_up(x, fd, "."), root);
	assert_int_equal(fuse_hsm_inode_id(x->t, root), FUSE_ROOT_ID);
	assert_int_equal(root->generation, 0);
	fuse_hsm_inode_forget(x->t, FUSE_ROOT_ID, 5);
	assert_ptr_equal(fuse_hsm_inode_find(x->t, FUSE_ROOT_ID), root);
	/* Its number is not its id. */
	assert_true(fuse_hsm_inode_is_gone(x->t, fuse_hsm_inode_find(x->t, st.st_ino)));
}

static void what_is_not_known(void **state)
{
	struct fixture *x = *state;
	struct fuse_hsm_inode *i = fuse_hsm_inode_find(x->t, 123456789);
	struct fuse_hsm_dirfd *dirfd;

	assert_non_null(i);
	assert_int_equal(fuse_hsm_inode_open(x->t, i, O_PATH), -ESTALE);
	assert_int_equal(fuse_hsm_dirfd_get(x->d, i, &dirfd), -ESTALE);
	assert_int_equal(fuse_hsm_inode_type(i), 0);
	fuse_hsm_inode_forget(x->t, 123456789, 1);
}

static void errors(void **state)
{
	struct fixture *x = *state;
	struct fuse_hsm_inode *i;
	struct stat attr;
	auto_fd int proc = open("/proc", O_RDONLY | O_DIRECTORY);

	assert_int_equal(fuse_hsm_inode_lookup(x->t, x->fd, "none", &attr, &i), -ENOENT);
	assert_int_not_equal(fuse_hsm_inode_lookup(x->t, proc, "", &attr, &i), 0);
	assert_int_not_equal(fuse_hsm_inode_lookup(x->t, proc, "self", &attr, &i), 0);
	assert_int_equal(known(x), 0);
}

static void symbolic_links(void **state)
{
	struct fixture *x = *state;
	struct fuse_hsm_inode *i;
	char target[16] = "";
	auto_fd int fd = -1;

	assert_int_equal(symlinkat("nowhere", x->fd, "l"), 0);
	i = look_up(x, x->fd, "l");
	assert_int_equal(fuse_hsm_inode_type(i), S_IFLNK);
	fd = fuse_hsm_inode_open(x->t, i, O_PATH | O_NOFOLLOW);
	assert_true(fd >= 0);
	assert_int_equal(readlinkat(fd, "", target, sizeof(target)), 7);
	assert_string_equal(target, "nowhere");
	assert_int_equal(fuse_hsm_inode_open(x->t, i, O_RDONLY), -ELOOP);
	assert_ptr_equal(look_up(x, fd, ""), i);
}

static void by_descriptor(void **state)
{
	struct fixture *x = *state;
	auto_fd int fd = -1;
	struct fuse_hsm_inode *i;
	fuse_ino_t id = 0;

	make_file(x, "a");
	fd = openat(x->fd, "a", O_RDWR);
	assert_false(fuse_hsm_inode_known(x->t, fd, &id));
	assert_false(fuse_hsm_inode_unmark_fd(x->t, fd, FUSE_HSM_I_COMPLETE));
	i = look_up(x, x->fd, "a");
	assert_true(fuse_hsm_inode_known(x->t, fd, &id));
	assert_int_equal(id, fuse_hsm_inode_id(x->t, i));
	fuse_hsm_inode_mark(i, FUSE_HSM_I_COMPLETE);
	assert_true(fuse_hsm_inode_unmark_fd(x->t, fd, FUSE_HSM_I_COMPLETE));
	assert_false(fuse_hsm_inode_unmark_fd(x->t, fd, FUSE_HSM_I_COMPLETE));
	assert_true(fuse_hsm_inode_known(x->t, x->fd, &id));
	assert_int_equal(id, FUSE_ROOT_ID);
}

static void rename_and_link_do_not_matter(void **state)
{
	struct fixture *x = *state;
	struct fuse_hsm_inode *i;

	make_file(x, "a");
	i = look_up(x, x->fd, "a");
	assert_int_equal(renameat(x->fd, "a", x->fd, "b"), 0);
	assert_int_equal(linkat(x->fd, "b", x->fd, "c", 0), 0);
	assert_ptr_equal(look_up(x, x->fd, "b"), i);
	assert_ptr_equal(look_up(x, x->fd, "c"), i);
	assert_true(is_file(x, i, "a"));
}

static void directory_descriptors(void **state)
{
	struct fixture *x = *state;
	struct fuse_hsm_inode *i;
	struct fuse_hsm_dirfd *dirfd;
	unsigned int before;
	auto_fd int fd = -1;

	assert_int_equal(mkdirat(x->fd, "d", 0755), 0);
	i = look_up(x, x->fd, "d");
	before = open_fds();
	assert_int_equal(fuse_hsm_dirfd_get(x->d, i, &dirfd), 0);
	fuse_hsm_dirfd_put(dirfd);
	assert_int_equal(open_fds(), before + 1);
	fd = openat(x->fd, "d", O_PATH);
	assert_int_equal(unlinkat(x->fd, "d", AT_REMOVEDIR), 0);
	/* The one that was given replaces it, until it is forgotten. */
	fuse_hsm_inode_removed(x->t, i->ino, hsm_take_fd(fd));
	assert_in_range(open_fds(), before, before + 1);
	fd = fuse_hsm_inode_open(x->t, i, O_RDONLY);
	assert_true(fd >= 0);
	hsm_util_close_fd(&fd);
	fuse_hsm_inode_forget(x->t, fuse_hsm_inode_id(x->t, i), 1);
	assert_in_range(open_fds(), before - 1, before);
	assert_int_equal(mkdirat(x->fd, "e", 0755), 0);
	before = open_fds();
	i = look_up(x, x->fd, "e");
	assert_int_equal(fuse_hsm_dirfd_get(x->d, i, &dirfd), 0);
	fuse_hsm_dirfd_put(dirfd);
	assert_in_range(open_fds(), before + 1, before + 2);
	fuse_hsm_inode_forget(x->t, fuse_hsm_inode_id(x->t, i), 1);
	assert_int_equal(open_fds(), before);
}

static void tables_grow_and_shrink(void **state)
{
	struct fixture *x = *state;
	fuse_ino_t id[FILES];
	uint64_t inodes, bytes, before;
	char name[16];

	fuse_hsm_inodes_count(x->t, &inodes, &before);
	for (unsigned int n = 0; n < FILES; n++) {
		snprintf(name, sizeof(name), "f%u", n);
		make_file(x, name);
		id[n] = fuse_hsm_inode_id(x->t, look_up(x, x->fd, name));
	}
	assert_int_equal(known(x), FILES);
	for (unsigned int n = 0; n < FILES; n++) {
		snprintf(name, sizeof(name), "f%u", n);
		assert_true(is_file(x, fuse_hsm_inode_find(x->t, id[n]), name));
	}
	for (unsigned int n = 0; n < FILES; n++)
		fuse_hsm_inode_forget(x->t, id[n], 1);
	fuse_hsm_inodes_count(x->t, &inodes, &bytes);
	assert_int_equal(inodes, 0);
	assert_in_range(bytes, before, before + 64 * 8192);
}

/* ---- a number that is used again ---- */

/* A new file with the inode number of one that was deleted; false if there is no getting one. */
static bool reuse_number(const struct fixture *x, ino_t wanted, const char *name)
{
	for (unsigned int n = 0; n < REUSE_TRIES; n++) {
		struct stat st;

		make_file(x, name);
		assert_int_equal(fstatat(x->fd, name, &st, 0), 0);
		if (st.st_ino == wanted)
			return true;
		assert_int_equal(unlinkat(x->fd, name, 0), 0);
		if (n % 100 == 99)
			syncfs(x->fd);
	}
	return false;
}

static void number_used_again(void **state)
{
	struct fixture *x = *state;
	struct fuse_hsm_inode *old, *new;
	uint32_t old_generation;
	fuse_ino_t id;

	make_file(x, "old");
	old = look_up(x, x->fd, "old");
	look_up(x, x->fd, "old");
	id = fuse_hsm_inode_id(x->t, old);
	old_generation = old->generation;
	fuse_hsm_inode_mark(old, FUSE_HSM_I_COMPLETE);
	assert_int_equal(unlinkat(x->fd, "old", 0), 0);
	if (!reuse_number(x, id, "new"))
		skip();
	/* Until somebody looks, the id is that of the old one, and that is gone. */
	assert_int_equal(fuse_hsm_inode_open(x->t, old, O_PATH), -ESTALE);
	new = look_up(x, x->fd, "new");
	assert_int_equal(fuse_hsm_inode_id(x->t, new), id);
	assert_int_not_equal(new->generation, old_generation);
	assert_false(fuse_hsm_inode_is(new, FUSE_HSM_I_COMPLETE));
	assert_true(is_file(x, new, "new"));
	assert_int_equal(known(x), 1);
	/* The two lookups of the old one are forgotten: the new one stays; then it goes. */
	fuse_hsm_inode_forget(x->t, id, 2);
	assert_ptr_equal(fuse_hsm_inode_find(x->t, id), new);
	fuse_hsm_inode_forget(x->t, id, 1);
	assert_int_equal(known(x), 0);
}

static void descriptor_of_a_reused_number(void **state)
{
	struct fixture *x = *state;
	auto_fd int fd = -1;
	fuse_ino_t id, found;

	make_file(x, "old");
	id = fuse_hsm_inode_id(x->t, look_up(x, x->fd, "old"));
	assert_int_equal(unlinkat(x->fd, "old", 0), 0);
	if (!reuse_number(x, id, "new"))
		skip();
	/* The new file was never looked up. */
	fd = openat(x->fd, "new", O_RDWR);
	assert_false(fuse_hsm_inode_known(x->t, fd, &found));
	assert_false(fuse_hsm_inode_unmark_fd(x->t, fd, FUSE_HSM_I_COMPLETE));
}

static void pinned_numbers_are_not_used_again(void **state)
{
	struct fixture *x = *state;
	struct fuse_hsm_inode *i;

	make_file(x, "old");
	i = look_up(x, x->fd, "old");
	assert_int_equal(unlinkat(x->fd, "old", 0), 0);
	assert_false(reuse_number(x, fuse_hsm_inode_id(x->t, i), "new"));
	assert_true(is_file(x, i, "old"));
}

/* ---- reviving ---- */

static void revive(void **state)
{
	struct fixture *x = *state;
	struct fuse_hsm_inode *i;
	uint32_t generation;
	fuse_ino_t id;
	int fd;

	if (!fuse_hsm_inodes_can_export(x->t))
		skip();
	make_file(x, "a");
	i = look_up(x, x->fd, "a");
	id = fuse_hsm_inode_id(x->t, i);
	generation = i->generation;
	fuse_hsm_inode_forget(x->t, id, 1);
	fd = fuse_hsm_inode_revive(x->t, id);
	assert_true(fd >= 0);
	i = look_up(x, fd, "");
	close(fd);
	assert_int_equal(fuse_hsm_inode_id(x->t, i), id);
	assert_int_equal(i->generation, generation);
	assert_true(is_file(x, i, "a"));
	/* Deleted, although something still holds it. */
	fd = openat(x->fd, "a", O_RDONLY);
	assert_int_equal(unlinkat(x->fd, "a", 0), 0);
	assert_int_equal(fuse_hsm_inode_revive(x->t, id), -ESTALE);
	close(fd);
	assert_int_equal(fuse_hsm_inode_revive(x->t, id), -ESTALE);
	assert_int_equal(fuse_hsm_inode_revive(x->t, 0), -ESTALE);
	assert_int_equal(fuse_hsm_inode_revive(x->t, UINT64_MAX), -ESTALE);
}

static void directories_elsewhere_are_not_revived(void **state)
{
	struct fixture *x = *state;
	struct stat st, above;
	int fd;

	if (!fuse_hsm_inodes_can_export(x->t))
		skip();
	assert_int_equal(mkdirat(x->fd, "d", 0755), 0);
	assert_int_equal(mkdirat(x->fd, "d/e", 0755), 0);
	assert_int_equal(fstatat(x->fd, "d/e", &st, 0), 0);
	fd = fuse_hsm_inode_revive(x->t, st.st_ino);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(fstat(x->fd, &st), 0);
	assert_int_equal(fstatat(x->fd, "..", &above, 0), 0);
	if (above.st_dev == st.st_dev)
		assert_int_equal(fuse_hsm_inode_revive(x->t, above.st_ino), -ESTALE);
}

/* ---- descriptors ---- */

static void descriptors_are_given_back(void **state)
{
	struct fixture *x = *state;
	unsigned int before = open_fds();
	struct fuse_hsm_inode *i;

	make_file(x, "a");
	i = look_up(x, x->fd, "a");
	look_up(x, x->fd, "a");
	assert_int_equal(open_fds(), before + 1);
	fuse_hsm_inode_forget(x->t, fuse_hsm_inode_id(x->t, i), 2);
	assert_int_equal(open_fds(), before);
}

/* What is pinned for a file that is being written must not hold it open for writing. */
static void pinned_is_not_open(void **state)
{
	struct fixture *x = *state;
	struct fuse_hsm_inode *i;
	int fd = openat(x->fd, "run", O_CREAT | O_RDWR | O_CLOEXEC, 0755);

	assert_int_equal(write(fd, "#!/bin/true\n", 12), 12);
	i = look_up(x, fd, "");
	close(fd);
	fd = fuse_hsm_inode_open(x->t, i, O_RDONLY);
	assert_int_equal(fcntl(fd, F_SETLEASE, F_RDLCK), 0);
	close(fd);
}

static void too_many_descriptors(void **state)
{
	struct fixture *x = *state;
	struct rlimit saved, low;
	struct fuse_hsm_inodes *t;
	struct fuse_hsm_inode *i;
	struct stat attr;
	char name[16];
	int r = 0;
	unsigned int n;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
	low = (struct rlimit){.rlim_cur = 200, .rlim_max = saved.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	low.rlim_max = 200;
	if (setrlimit(RLIMIT_NOFILE, &low))
		skip();
	assert_int_equal(fuse_hsm_inodes_new(x->fd, x->fd, true, &t), 0);
	for (n = 0; n < 200 && !r; n++) {
		snprintf(name, sizeof(name), "f%u", n);
		make_file(x, name);
		r = fuse_hsm_inode_lookup(t, x->fd, name, &attr, &i);
	}
	assert_int_equal(r, -EMFILE);
	/* What is known stays known, what is forgotten makes room, and some are left. */
	assert_int_equal(fuse_hsm_inode_lookup(t, x->fd, "f0", &attr, &i), 0);
	fuse_hsm_inode_forget(t, fuse_hsm_inode_id(t, i), 2);
	assert_int_equal(fuse_hsm_inode_lookup(t, x->fd, name, &attr, &i), 0);
	assert_in_range(n, 100, 151);
	fuse_hsm_inodes_free(t);
	setrlimit(RLIMIT_NOFILE, &saved);
}

/* ---- threads ---- */

#define THREADS	   4
#define HAMMERINGS 20000

struct hammer {
	const struct fixture *x;
	pthread_t thread;
	unsigned int seed;
	unsigned int errors;
};

static void hammer_once(struct hammer *h)
{
	const struct fixture *x = h->x;
	struct fuse_hsm_inode *i;
	struct stat attr;
	fuse_ino_t id;
	char name[16];
	int fd;

	h->seed = h->seed * 1103515245 + 12345;
	snprintf(name, sizeof(name), "f%u", (h->seed >> 16) % 8);
	if (fuse_hsm_inode_lookup(x->t, x->fd, name, &attr, &i)) {
		h->errors++;
		return;
	}
	id = attr.st_ino;
	h->errors += fuse_hsm_inode_find(x->t, id) != i || fuse_hsm_inode_id(x->t, i) != id;
	fuse_hsm_inode_mark(i, FUSE_HSM_I_COMPLETE);
	if (!(h->seed >> 24 & 7)) {
		fd = fuse_hsm_inode_open(x->t, i, O_PATH);
		h->errors += fd < 0;
		h->errors += !fuse_hsm_inode_known(x->t, fd, &id);
		fuse_hsm_inode_unmark_fd(x->t, fd, FUSE_HSM_I_COMPLETE);
		hsm_util_close_fd(&fd);
	}
	fuse_hsm_inode_forget(x->t, id, 1);
}

static void *hammer(void *arg)
{
	for (unsigned int n = 0; n < HAMMERINGS; n++)
		hammer_once(arg);
	return NULL;
}

static void threads(void **state)
{
	struct fixture *x = *state;
	struct hammer h[THREADS] = {0};
	char name[16];

	for (unsigned int n = 0; n < 8; n++) {
		snprintf(name, sizeof(name), "f%u", n);
		make_file(x, name);
	}
	for (unsigned int n = 0; n < THREADS; n++) {
		h[n].x = x;
		h[n].seed = n + 1;
		assert_int_equal(pthread_create(&h[n].thread, NULL, hammer, &h[n]), 0);
	}
	for (unsigned int n = 0; n < THREADS; n++) {
		pthread_join(h[n].thread, NULL);
		assert_int_equal(h[n].errors, 0);
	}
	assert_int_equal(known(x), 0);
}

/* Names that are replaced all the time, their numbers used again, while others look them up. */
static void *replace(void *arg)
{
	struct hammer *h = arg;
	char name[16];

	for (unsigned int n = 0; n < HAMMERINGS / 4; n++) {
		snprintf(name, sizeof(name), "f%u", n % 8);
		unlinkat(h->x->fd, name, 0);
		make_file(h->x, name);
	}
	return NULL;
}

static void *look_and_forget(void *arg)
{
	struct hammer *h = arg;
	struct fuse_hsm_inode *i;
	struct stat attr;
	char name[16];
	int r;

	for (unsigned int n = 0; n < HAMMERINGS; n++) {
		snprintf(name, sizeof(name), "f%u", n * 5 % 8);
		r = fuse_hsm_inode_lookup(h->x->t, h->x->fd, name, &attr, &i);
		h->errors += r && r != -ENOENT && r != -ESTALE;
		if (!r)
			fuse_hsm_inode_forget(h->x->t, attr.st_ino, 1);
	}
	return NULL;
}

static void threads_and_reuse(void **state)
{
	struct fixture *x = *state;
	struct hammer h[THREADS] = {0};

	for (unsigned int n = 0; n < THREADS; n++) {
		h[n].x = x;
		assert_int_equal(pthread_create(&h[n].thread, NULL,
					 n ? look_and_forget : replace, &h[n]),
			0);
	}
	for (unsigned int n = 0; n < THREADS; n++) {
		pthread_join(h[n].thread, NULL);
		assert_int_equal(h[n].errors, 0);
	}
	assert_int_equal(known(x), 0);
}

#define both(test)                                                              \
	cmocka_unit_test_setup_teardown(test, with_handles, teardown),          \
	{                                                                       \
		.name = #test "_fd", .test_func = test, .setup_func = with_fds, \
		.teardown_func = teardown                                       \
	}
#define handles(test) cmocka_unit_test_setup_teardown(test, with_handles, teardown)
#define fds(test)     cmocka_unit_test_setup_teardown(test, with_fds, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		both(counts),
		both(ids_are_inode_numbers),
		both(the_root),
		both(what_is_not_known),
		both(errors),
		both(symbolic_links),
		both(by_descriptor),
		both(rename_and_link_do_not_matter),
		both(directory_descriptors),
		both(tables_grow_and_shrink),
		handles(number_used_again),
		handles(descriptor_of_a_reused_number),
		fds(pinned_numbers_are_not_used_again),
		handles(revive),
		handles(directories_elsewhere_are_not_revived),
		fds(descriptors_are_given_back),
		fds(pinned_is_not_open),
		both(threads),
		both(threads_and_reuse),
		fds(too_many_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
