/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A whole tree of names: directories are populated in parallel, each when its parent is done. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "hsm/core.h"
#include "hsm/util.h"

struct tree {
	struct hsm *h;
	pthread_mutex_t lock; /* all below */
	pthread_cond_t empty;
	unsigned int nodes; /* directories not done */
	int err; /* the first one */
};

struct node {
	struct hsm_task task; /* first member */
	struct tree *tree;
	struct hsm_handle handle;
};

static void add_node(struct tree *t, int dirfd);

static void drop_node(struct node *n, int err)
{
	struct tree *t = n->tree;

	free(n);
	pthread_mutex_lock(&t->lock);
	if (err && !t->err)
		t->err = err;
	if (!--t->nodes)
		pthread_cond_signal(&t->empty);
	pthread_mutex_unlock(&t->lock);
}

static void add_subdir(struct tree *t, int dirfd, const struct dirent *e)
{
	auto_fd int fd = -1;

	if ((e->d_type != DT_DIR && e->d_type != DT_UNKNOWN) || !strcmp(e->d_name, ".") ||
		!strcmp(e->d_name, ".."))
		return;
	fd = openat(
		dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	if (fd >= 0)
		add_node(t, fd);
}

/* The node's names exist: on to the directories among them. */
static void descend(struct hsm_task *task)
{
	struct node *n = hsm_container_of(task, struct node, task);
	int fd = hsm_handle_open(n->tree->h->cache.data_fd, &n->handle, O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir)
		hsm_util_close_fd(&fd);
	while (dir && !n->tree->h->closing && (e = readdir(dir)))
		add_subdir(n->tree, dirfd(dir), e);
	if (dir)
		closedir(dir);
	drop_node(n, 0);
}

static void names_done(void *arg, int err)
{
	struct node *n = arg;

	if (err)
		drop_node(n, err);
	else
		hsm_pool_submit(n->tree->h->pool, &n->task, true);
}

static void add_node(struct tree *t, int dirfd)
{
	struct node *n = malloc(sizeof(*n));
	int r;

	if (!n)
		return;
	*n = (struct node){.task.run = descend, .tree = t};
	pthread_mutex_lock(&t->lock);
	t->nodes++;
	pthread_mutex_unlock(&t->lock);
	r = hsm_handle_of(dirfd, &n->handle);
	if (!r)
		r = hsm_dir_join(t->h, dirfd, true, names_done, n);
	if (r)
		names_done(n, HSM_MIN(r, 0));
}

int hsm_tree_populate(struct hsm *h, int dirfd)
{
	struct tree t = {.h = h,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.empty = PTHREAD_COND_INITIALIZER,
		.nodes = 1};

	add_node(&t, dirfd);
	pthread_mutex_lock(&t.lock);
	t.nodes--;
	while (t.nodes)
		pthread_cond_wait(&t.empty, &t.lock);
	pthread_mutex_unlock(&t.lock);
	return t.err;
}
