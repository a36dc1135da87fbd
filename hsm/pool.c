/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct hsm_pool {
	pthread_mutex_t lock; /* everything below */
	pthread_cond_t work;
	struct hsm_task *head, **tail;
	bool ending;
	unsigned int threads;
	pthread_t thread[];
};

static void *worker(void *arg)
{
	struct hsm_pool *p = arg;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct hsm_task *t = p->head;

		if (!t) {
			if (p->ending)
				break;
			pthread_cond_wait(&p->work, &p->lock);
			continue;
		}
		p->head = t->next;
		if (!p->head)
			p->tail = &p->head;
		pthread_mutex_unlock(&p->lock);
		t->run(t);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int hsm_pool_new(unsigned int threads, struct hsm_pool **ret_pool)
{
	struct hsm_pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->thread[0]));
	int r;

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->tail = &p->head;
	for (; p->threads < threads; p->threads++) {
		r = pthread_create(&p->thread[p->threads], NULL, worker, p);
		if (r) {
			hsm_pool_free(p);
			return -r;
		}
	}
	*ret_pool = p;
	return 0;
}

void hsm_pool_free(struct hsm_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned int i = 0; i < p->threads; i++)
		pthread_join(p->thread[i], NULL);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void hsm_pool_submit(struct hsm_pool *p, struct hsm_task *task, bool first)
{
	pthread_mutex_lock(&p->lock);
	task->next = NULL;
	if (first) {
		task->next = p->head;
		if (!p->head)
			p->tail = &task->next;
		p->head = task;
	} else {
		*p->tail = task;
		p->tail = &task->next;
	}
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}
