/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hsm/err.h"
#include "hsm/origin.h"
#include "hsm/util.h"

#define BLOCK_BYTES (64u << 10)
#define NAME_BYTES  255 /* NAME_MAX of every Linux file system this runs on */

/* The arena: strings are packed into blocks that never move. */
struct block {
	struct block *next;
	size_t used, room;
	char bytes[];
};

int hsm_name_check(const char *name, size_t len)
{
	if (len == 0 || len > NAME_BYTES)
		return -EINVAL;
	if (memchr(name, '/', len) || memchr(name, '\0', len))
		return -EINVAL;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return -EINVAL;
	return 0;
}

void hsm_listing_release(struct hsm_listing *l)
{
	struct block *b = l->arena;

	while (b) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
	free(l->entry);
	*l = (struct hsm_listing){0};
}

static char *keep_string(struct hsm_listing *l, const char *text, size_t len)
{
	struct block *b = l->arena;
	char *copy;

	if (!b || b->room - b->used <= len) {
		size_t room = HSM_MAX((size_t)BLOCK_BYTES, len + 1);

		b = malloc(sizeof(*b) + room);
		if (!b)
			return NULL;
		*b = (struct block){.next = l->arena, .room = room};
		l->arena = b;
	}
	copy = b->bytes + b->used;
	memcpy(copy, text, len);
	copy[len] = '\0';
	b->used += len + 1;
	return copy;
}

const char *hsm_listing_keep(struct hsm_listing *l, const char *text)
{
	return keep_string(l, text, strlen(text));
}

static int compare_name(const void *name, const void *entry)
{
	return strcmp(name, ((const struct hsm_entry *)entry)->name);
}

struct hsm_entry *hsm_listing_find(const struct hsm_listing *l, const char *name)
{
	return l->count ? bsearch(name, l->entry, l->count, sizeof(*l->entry), compare_name)
			: NULL;
}

static int make_room(struct hsm_listing *l)
{
	size_t room = l->room ? l->room * 2 : 64;
	struct hsm_entry *entry;

	if (l->count < l->room)
		return 0;
	if (l->count >= HSM_LISTING_MAX)
		return hsm_err(E2BIG, "more than %u names in one directory", HSM_LISTING_MAX);
	entry = realloc(l->entry, room * sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	l->entry = entry;
	l->room = room;
	return 0;
}

int hsm_listing_add(struct hsm_listing *l, const struct hsm_entry *e)
{
	size_t len = strlen(e->name);
	struct hsm_entry copy = *e;
	int err = hsm_name_check(e->name, len);

	if (!err)
		err = make_room(l);
	if (err)
		return err;
	copy.name = keep_string(l, e->name, len);
	if (e->target)
		copy.target = keep_string(l, e->target, strlen(e->target));
	if (!copy.name || (e->target && !copy.target))
		return -ENOMEM;
	l->entry[l->count++] = copy;
	return 0;
}

/* Equal names: the one added first is the smaller. */
static int compare(const void *a, const void *b)
{
	const struct hsm_entry *x = *(const struct hsm_entry *const *)a;
	const struct hsm_entry *y = *(const struct hsm_entry *const *)b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x > y) - (x < y);
}

int hsm_listing_finish(struct hsm_listing *l)
{
	auto_free const struct hsm_entry **order = NULL;
	struct hsm_entry *sorted;
	size_t n = 0;

	if (l->count < 2)
		return 0;
	order = malloc(l->count * sizeof(const struct hsm_entry *));
	sorted = malloc(l->count * sizeof(*sorted));
	if (!order || !sorted) {
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < l->count; i++)
		order[i] = &l->entry[i];
	qsort(order, l->count, sizeof(const struct hsm_entry *), compare);
	for (size_t i = 0; i < l->count; i++)
		if (!n || strcmp(sorted[n - 1].name, order[i]->name) != 0)
			sorted[n++] = *order[i];
	free(l->entry);
	l->entry = sorted;
	l->room = l->count;
	l->count = n;
	return 0;
}
