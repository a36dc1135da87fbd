/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "hsm/err.h"
#include "hsm/http_date.h"
#include "hsm/index.h"
#include "hsm/util.h"

/* An element is a name of at most 255 bytes, six characters each, and three short members. */
#define ELEMENT_MAX 8192

struct reader {
	const char *p, *end;
	struct hsm_listing *listing;
	uint64_t refused;
	char name[HSM_HTTP_NAME_ROOM];
	char window[2 * ELEMENT_MAX];
};

static void skip_space(struct reader *r)
{
	while (r->p < r->end && memchr(" \t\r\n", *r->p, 4))
		r->p++;
}

static bool take_char(struct reader *r, char c)
{
	skip_space(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

/*
 * nginx copies names byte by byte, whether they are UTF-8 or not; jansson takes UTF-8 only. Such
 * an element is read as if each byte above 127 were a Latin-1 character, and to_bytes()
 * turns its name back.
 */
static size_t widen(struct reader *r)
{
	size_t len = HSM_MIN((size_t)(r->end - r->p), (size_t)ELEMENT_MAX), n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)r->p[i];

		if (c >= 0x80)
			r->window[n++] = (char)(0xc0 | c >> 6);
		r->window[n++] = (char)(c < 0x80 ? c : (0x80 | (c & 0x3f)));
	}
	return n;
}

static size_t to_bytes(struct reader *r, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n < sizeof(r->name) - 1; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c == 0xc2 || c == 0xc3) && i + 1 < len)
			c = (unsigned char)((c & 3) << 6 | (text[++i] & 0x3f));
		r->name[n++] = (char)c;
	}
	r->name[n] = '\0';
	return n;
}

/* How many bytes of the page the first @len bytes of the window stand for. */
static size_t narrow(const struct reader *r, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)r->window[i] & 0xc0) != 0x80;
	return n;
}

static int fill_entry(json_t *o, struct hsm_entry *e)
{
	const char *type = json_string_value(json_object_get(o, "type"));
	const char *mtime = json_string_value(json_object_get(o, "mtime"));
	json_t *size = json_object_get(o, "size");

	*e = (struct hsm_entry){.mtime_ns = HSM_MTIME_UNKNOWN};
	if (!type)
		return -EINVAL;
	if (mtime && !hsm_http_date(mtime, &e->mtime_ns))
		e->mtime_exact = true;
	if (!strcmp(type, "directory")) {
		e->mode = S_IFDIR | 0755;
		e->size_exact = true;
		return 0;
	}
	if (strcmp(type, "file") != 0)
		return -EINVAL;
	e->mode = S_IFREG | 0644;
	if (!size)
		return 0;
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return -EINVAL;
	e->size = (uint64_t)json_integer_value(size);
	e->size_exact = true;
	return 0;
}

/* @wide: the element went through widen(). */
static int add(struct reader *r, json_t *o, bool wide)
{
	json_t *member = json_object_get(o, "name");
	const char *name = json_string_value(member);
	size_t len = name ? json_string_length(member) : 0;
	struct hsm_entry e;
	int err;

	if (name && wide) {
		len = to_bytes(r, name, len);
		name = r->name;
	}
	if (!name || hsm_name_check(name, len) || fill_entry(o, &e)) {
		r->refused++;
		return 0;
	}
	e.name = name;
	err = hsm_listing_add(r->listing, &e);
	return err;
}

static int element(struct reader *r)
{
	size_t room = HSM_MIN((size_t)(r->end - r->p), (size_t)ELEMENT_MAX);
	const size_t flags = JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL | JSON_DECODE_ANY;
	json_error_t e;
	json_t *o = json_loadb(r->p, room, flags, &e);
	bool wide = !o;
	size_t used;
	int err;

	if (!o)
		o = json_loadb(r->window, widen(r), flags, &e);
	if (!o)
		return hsm_err(EIO, "the index is not valid JSON: %s", e.text);
	used = wide ? narrow(r, (size_t)e.position) : (size_t)e.position;
	r->p += used;
	err = add(r, o, wide);
	json_decref(o);
	return err;
}

int hsm_index_json(
	const char *text, size_t len, struct hsm_listing *listing, uint64_t *ret_refused)
{
	struct reader r = {.p = text, .end = text + len, .listing = listing};
	bool more;
	int err = 0;

	if (!take_char(&r, '['))
		return hsm_err(EIO, "the index is JSON, but not an array of entries");
	more = !take_char(&r, ']');
	while (more && !err) {
		skip_space(&r);
		err = element(&r);
		if (!err && !take_char(&r, ',')) {
			if (!take_char(&r, ']'))
				err = hsm_err(EIO, "the JSON index ends early");
			more = false;
		}
	}
	*ret_refused += r.refused;
	return err;
}
