/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuse_hsm/dirfd.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "hsm/util.h"

#define SLOTS 128

struct slot {
	pthread_mutex_t lock; /* both below */
	const struct fuse_hsm_inode *inode;
	struct fuse_hsm_dirfd *dirfd;
};

struct fuse_hsm_dirfds {
	struct fuse_hsm_inodes *inodes;
	struct slot slot[SLOTS];
};

int fuse_hsm_dirfds_new(struct fuse_hsm_inodes *inodes, struct fuse_hsm_dirfds **ret_dirfds)
{
	struct fuse_hsm_dirfds *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->inodes = inodes;
	for (unsigned int n = 0; n < SLOTS; n++)
		pthread_mutex_init(&d->slot[n].lock, NULL);
	fuse_hsm_inodes_set_dirfds(inodes, d);
	*ret_dirfds = d;
	return 0;
}

void fuse_hsm_dirfds_free(struct fuse_hsm_dirfds *d)
{
	if (!d)
		return;
	for (unsigned int n = 0; n < SLOTS; n++) {
		fuse_hsm_dirfd_put(d->slot[n].dirfd);
		pthread_mutex_destroy(&d->slot[n].lock);
	}
	free(d);
}

/* Inodes are some ten bytes apart: the odd multiplier spreads neighbours over all slots. */
static struct slot *slot_of(struct fuse_hsm_dirfds *d, const struct fuse_hsm_inode *i)
{
	return &d->slot[((uintptr_t)i >> 3) * 0x9e3779b97f4a7c15 >> 57];
}

static int open_dir(struct fuse_hsm_inodes *inodes, const struct fuse_hsm_inode *i,
	struct fuse_hsm_dirfd **ret_dirfd)
{
	struct fuse_hsm_dirfd *dirfd;
	auto_fd int fd = fuse_hsm_inode_open(inodes, i, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		return fd;
	dirfd = malloc(sizeof(*dirfd));
	if (!dirfd)
		return -ENOMEM;
	dirfd->refs = 1;
	dirfd->fd = hsm_take_fd(fd);
	*ret_dirfd = dirfd;
	return 0;
}

static struct fuse_hsm_dirfd *cached(struct slot *s, const struct fuse_hsm_inode *i)
{
	struct fuse_hsm_dirfd *dirfd = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->inode == i) {
		dirfd = s->dirfd;
		dirfd->refs++;
	}
	pthread_mutex_unlock(&s->lock);
	return dirfd;
}

int fuse_hsm_dirfd_get(
	struct fuse_hsm_dirfds *d, struct fuse_hsm_inode *i, struct fuse_hsm_dirfd **ret_dirfd)
{
	struct slot *s = slot_of(d, i);
	struct fuse_hsm_dirfd *dirfd = cached(s, i), *old;
	int r;

	if (!dirfd) {
		r = open_dir(d->inodes, i, &dirfd);
		if (r)
			return r;
		fuse_hsm_inode_mark(i, FUSE_HSM_I_DIRFD);
		dirfd->refs++;
		pthread_mutex_lock(&s->lock);
		old = s->dirfd;
		s->inode = i;
		s->dirfd = dirfd;
		pthread_mutex_unlock(&s->lock);
		fuse_hsm_dirfd_put(old);
	}
	*ret_dirfd = dirfd;
	return 0;
}

void fuse_hsm_dirfd_put(struct fuse_hsm_dirfd *dirfd)
{
	if (!dirfd || --dirfd->refs)
		return;
	close(dirfd->fd);
	free(dirfd);
}

struct fuse_hsm_dirfd *fuse_hsm_dirfd_take(
	struct fuse_hsm_dirfds *d, const struct fuse_hsm_inode *i)
{
	struct slot *s = slot_of(d, i);
	struct fuse_hsm_dirfd *old = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->inode == i) {
		old = s->dirfd;
		s->inode = NULL;
		s->dirfd = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	return old;
}
