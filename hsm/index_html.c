/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HTML indexes through gumbo. The tree is walked once, in document order: each link that
 * is a child opens an entry, the text up to the next link holds its columns. Works for <pre>, <table>
 * and <ul> alike, because all of them print name, time, size in this order.
 *
 * gumbo allocates from an arena with a budget, as a hostile page of 1 MiB can make an HTML5
 * parser build a tree of terabytes, and free it by recursion. When the budget of memory
 * or time is spent, the allocator jumps out of the parser: gumbo keeps nothing but that memory.
 */
#include <ctype.h>
#include <errno.h>
#include <gumbo.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "hsm/err.h"
#include "hsm/http_date.h"
#include "hsm/index.h"
#include "hsm/util.h"

#define BLOCK_BYTES   (1u << 20)
#define BUDGET_NS     (10 * (uint64_t)HSM_NSEC)
#define BUDGET_FACTOR 32 /* times the page; a real index needs about 12 */
#define COLUMN_BYTES  128

struct block {
	struct block *next;
	char bytes[];
};

struct arena {
	struct block *block;
	size_t used, room; /* of the first block */
	size_t total, limit; /* bytes */
	uint64_t deadline_ns;
	unsigned int calls;
	jmp_buf spent;
};

static void *arena_block(struct arena *a, size_t size)
{
	size_t room = HSM_MAX(size, (size_t)BLOCK_BYTES);
	struct block *b;

	if (room > a->limit - a->total)
		longjmp(a->spent, E2BIG);
	b = malloc(sizeof(*b) + room);
	if (!b)
		longjmp(a->spent, ENOMEM);
	b->next = a->block;
	a->block = b;
	a->total += room;
	a->room = room;
	a->used = size;
	return b->bytes;
}

static void *arena_alloc(void *arg, size_t size)
{
	struct arena *a = arg;

	size = HSM_ALIGN_UP(size, sizeof(max_align_t));
	if (!(++a->calls % 64) && hsm_now_ns() > a->deadline_ns)
		longjmp(a->spent, E2BIG);
	if (size > a->room - a->used)
		return arena_block(a, size);
	a->used += size;
	return a->block->bytes + a->used - size;
}

static void arena_keep(void *arg, void *p)
{
	(void)arg;
	(void)p;
}

static void arena_release(struct arena *a)
{
	while (a->block) {
		struct block *next = a->block->next;

		free(a->block);
		a->block = next;
	}
}

struct walk {
	struct hsm_http_page *page;
	struct hsm_listing *listing;
	uint64_t refused;
	bool is_index;
	unsigned int in_link; /* <a> elements around the current node */
	bool open; /* an entry waits for its columns */
	struct hsm_entry entry;
	char name[HSM_HTTP_NAME_ROOM];
	char column[COLUMN_BYTES];
	size_t column_len;
};

/* Collects text with each run of white space as one blank. */
static void collect(struct walk *w, const char *text)
{
	for (; *text && w->column_len < COLUMN_BYTES - 1; text++) {
		bool blank = isspace((unsigned char)*text) || !strncmp(text, "\xc2\xa0", 2);

		if (!blank)
			w->column[w->column_len++] = *text;
		else if (w->column_len && w->column[w->column_len - 1] != ' ')
			w->column[w->column_len++] = ' ';
	}
	w->column[w->column_len] = '\0';
}

/* All digits is a size in bytes; "1.2K" and "-" are not. */
static bool exact_size(const char *p, uint64_t *ret_size)
{
	char *end;

	if (!isdigit((unsigned char)*p))
		return false;
	errno = 0;
	*ret_size = strtoull(p, &end, 10);
	return !errno && *ret_size <= INT64_MAX && (!*end || *end == ' ');
}

/* "[/] TIME SIZE ..."; a number without a time before it may be anything. */
static void read_columns(struct walk *w)
{
	const char *p = w->column;

	if (*p == '/')
		p++;
	while (*p == ' ')
		p++;
	p = hsm_http_index_time(p, &w->entry.mtime_ns);
	if (!p || S_ISDIR(w->entry.mode))
		return;
	while (*p == ' ')
		p++;
	w->entry.size_exact = exact_size(p, &w->entry.size);
}

static int close_entry(struct walk *w)
{
	if (!w->open)
		return 0;
	w->open = false;
	read_columns(w);
	return hsm_listing_add(w->listing, &w->entry);
}

static int open_entry(struct walk *w, const char *href)
{
	enum hsm_http_link link;
	int err = close_entry(w);

	if (err)
		return err;
	link = hsm_http_page_link(w->page, href, w->name);
	if (link == HSM_LINK_REFUSED)
		w->refused++;
	if (link != HSM_LINK_FILE && link != HSM_LINK_DIR)
		return 0;
	w->entry = (struct hsm_entry){
		.name = w->name,
		.mtime_ns = HSM_MTIME_UNKNOWN,
		.mode = link == HSM_LINK_DIR ? S_IFDIR | 0755 : S_IFREG | 0644,
		.size_exact = link == HSM_LINK_DIR,
	};
	w->column_len = 0;
	w->column[0] = '\0';
	w->open = true;
	return 0;
}

static bool says_index(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return !strncasecmp(text, "Index of", 8) || !strncasecmp(text, "Directory listing", 17);
}

static bool is_heading(const GumboNode *n)
{
	return n && n->type == GUMBO_NODE_ELEMENT &&
	       (n->v.element.tag == GUMBO_TAG_TITLE || n->v.element.tag == GUMBO_TAG_H1 ||
		       n->v.element.tag == GUMBO_TAG_H2);
}

static bool is_link(const GumboNode *n)
{
	return n->type == GUMBO_NODE_ELEMENT && n->v.element.tag == GUMBO_TAG_A;
}

static int enter(struct walk *w, const GumboNode *n)
{
	GumboAttribute *href;

	if (n->type == GUMBO_NODE_TEXT) {
		if (is_heading(n->parent) && says_index(n->v.text.text))
			w->is_index = true;
	}
	if (n->type == GUMBO_NODE_TEXT || n->type == GUMBO_NODE_WHITESPACE) {
		if (w->open && !w->in_link)
			collect(w, n->v.text.text);
		return 0;
	}
	if (n->type != GUMBO_NODE_ELEMENT)
		return 0;
	if (w->open && !w->in_link)
		collect(w, " ");
	if (!is_link(n))
		return 0;
	w->in_link++;
	href = gumbo_get_attribute(&n->v.element.attributes, "href");
	return href ? open_entry(w, href->value) : 0;
}

static void leave(struct walk *w, const GumboNode *n)
{
	if (is_link(n))
		w->in_link--;
}

static const GumboVector *children(const GumboNode *n)
{
	if (n->type == GUMBO_NODE_DOCUMENT)
		return &n->v.document.children;
	return n->type == GUMBO_NODE_ELEMENT || n->type == GUMBO_NODE_TEMPLATE
		       ? &n->v.element.children
		       : NULL;
}

/* Document order, without recursion: the page decides how deep the tree is. */
static int walk_tree(struct walk *w, const GumboNode *root)
{
	const GumboNode *n = root;
	int err = enter(w, n);

	while (!err) {
		const GumboVector *below = children(n), *beside;

		if (below && below->length) {
			n = below->data[0];
		} else {
			for (;;) {
				leave(w, n);
				if (n == root)
					return close_entry(w);
				beside = children(n->parent);
				if (n->index_within_parent + 1 < beside->length)
					break;
				n = n->parent;
			}
			n = beside->data[n->index_within_parent + 1];
		}
		err = enter(w, n);
	}
	return err;
}

/* NULL if the budget is spent, *ret_err then says on what. */
static GumboOutput *parse(struct arena *a, const char *text, size_t len, int *ret_err)
{
	GumboOptions options = kGumboDefaultOptions;
	int err = setjmp(a->spent);

	if (err) {
		*ret_err = err;
		return NULL;
	}
	options.allocator = arena_alloc;
	options.deallocator = arena_keep;
	options.userdata = a;
	options.max_errors = 0;
	return gumbo_parse_with_options(&options, text, len);
}

int hsm_index_html(const char *text, size_t len, struct hsm_http_page *page,
	struct hsm_listing *listing, uint64_t *ret_refused)
{
	struct walk w = {.page = page, .listing = listing};
	struct arena a = {
		.limit = HSM_MIN(
			64 * (size_t)BLOCK_BYTES + BUDGET_FACTOR * len, (size_t)1 << 30),
		.deadline_ns = hsm_now_ns() + BUDGET_NS,
	};
	int err = 0;
	GumboOutput *out = parse(&a, text, len, &err);

	if (out)
		err = walk_tree(&w, out->document);
	else
		err = hsm_err(err, "the index page is too complex to be one");
	arena_release(&a);
	if (!err && !w.is_index)
		err = hsm_err(ENOTDIR, "the page is HTML, but not a directory index");
	*ret_refused += w.refused;
	return err;
}
