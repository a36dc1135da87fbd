/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_LIST_H
#define FUSE_HSM_LIST_H
/* A list of objects that embed a link, with its own lock; for what must be found at the end. */
#include <pthread.h>

struct fuse_hsm_link {
	struct fuse_hsm_link *next, *prev;
};

struct fuse_hsm_list {
	pthread_mutex_t lock;
	struct fuse_hsm_link *first; /* lock, and the links */
};

static inline void fuse_hsm_list_add(struct fuse_hsm_list *list, struct fuse_hsm_link *link)
{
	pthread_mutex_lock(&list->lock);
	link->prev = NULL;
	link->next = list->first;
	if (link->next)
		link->next->prev = link;
	list->first = link;
	pthread_mutex_unlock(&list->lock);
}

static inline void fuse_hsm_list_del(struct fuse_hsm_list *list, struct fuse_hsm_link *link)
{
	pthread_mutex_lock(&list->lock);
	if (link->prev)
		link->prev->next = link->next;
	else
		list->first = link->next;
	if (link->next)
		link->next->prev = link->prev;
	pthread_mutex_unlock(&list->lock);
}

#endif
