/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/http_url.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "hsm/err.h"
#include "hsm/origin.h"
#include "hsm/util.h"

int hsm_http_buf_grow(struct hsm_http_buf *b, size_t more)
{
	size_t room = b->room ? b->room : 256;
	char *text;

	if (b->room - b->len >= more)
		return 0;
	while (room - b->len < more)
		room *= 2;
	text = realloc(b->text, room);
	if (!text)
		return -ENOMEM;
	b->text = text;
	b->room = room;
	return 0;
}

/* Appends @len raw bytes of a path, escaping all but '/' and what RFC 3986 2.3 calls unreserved. */
static int append_encoded(struct hsm_http_buf *b, const char *raw, size_t len)
{
	static const char hex[] = "0123456789ABCDEF";

	if (hsm_http_buf_grow(b, 3 * len + 2))
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)raw[i];

		if ((c < 0x80 && isalnum(c)) || (c && strchr("/-._~", c))) {
			b->text[b->len++] = (char)c;
			continue;
		}
		b->text[b->len++] = '%';
		b->text[b->len++] = hex[c >> 4];
		b->text[b->len++] = hex[c & 15];
	}
	b->text[b->len] = '\0';
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of an encoded path; a '%' that starts no escape stands for itself. */
static char decode_byte(const char **p)
{
	int high, low;

	if (**p == '%') {
		high = hex_digit((*p)[1]);
		low = high < 0 ? -1 : hex_digit((*p)[2]);
		if (low >= 0) {
			*p += 3;
			return (char)(high << 4 | low);
		}
	}
	return *(*p)++;
}

/*
 * Decodes one segment of a path into @name. Returns the first byte after it, or NULL if it
 * does not fit (then the name is too long for a file, too).
 */
static const char *decode_segment(const char *p, char *name, size_t room, size_t *ret_len)
{
	size_t len = 0;

	while (*p && *p != '/') {
		if (len + 1 >= room)
			return NULL;
		name[len++] = decode_byte(&p);
	}
	name[len] = '\0';
	*ret_len = len;
	return p;
}

/* The path in the one spelling append_encoded() has, so that two can be compared. */
static int canonical(const char *path, struct hsm_http_buf *b)
{
	b->len = 0;
	while (*path) {
		const char *p = path;
		char c = decode_byte(&p);

		/* An encoded slash must not become a real one. */
		if (c == '/' && p - path > 1) {
			if (hsm_http_buf_grow(b, 4))
				return -ENOMEM;
			memcpy(b->text + b->len, "%2F", 4);
			b->len += 3;
		} else if (append_encoded(b, &c, 1)) {
			return -ENOMEM;
		}
		path = p;
	}
	return 0;
}

static char *site_of(CURLU *u)
{
	char *scheme = NULL, *host = NULL, *port = NULL, *site = NULL;

	if (!curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
		!curl_url_get(u, CURLUPART_HOST, &host, 0) &&
		!curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
		asprintf(&site, "%s://%s:%s", scheme, host, port) < 0)
		site = NULL;
	for (char *c = site; c && *c; c++)
		*c = (char)tolower((unsigned char)*c);
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	return site;
}

static CURLU *parse(const char *text)
{
	CURLU *u = curl_url();

	if (u && curl_url_set(u, CURLUPART_URL, text, CURLU_PATH_AS_IS | CURLU_ALLOW_SPACE)) {
		curl_url_cleanup(u);
		u = NULL;
	}
	return u;
}

bool hsm_http_same_site(const struct hsm_http_root *r, const char *url)
{
	CURLU *u = parse(url);
	char *site = u ? site_of(u) : NULL;
	bool same = site && !strcmp(site, r->site);

	free(site);
	curl_url_cleanup(u);
	return same;
}

/* A part of the URL, decoded, malloc'ed, NULL if it has none; the part is then dropped. */
static char *take_part(CURLU *u, CURLUPart part)
{
	char *text = NULL, *copy;

	if (curl_url_get(u, part, &text, CURLU_URLDECODE))
		return NULL;
	copy = strdup(text);
	curl_free(text);
	curl_url_set(u, part, NULL, 0);
	return copy;
}

static int add_slash(CURLU *u)
{
	char *path = NULL;
	auto_free char *longer = NULL;
	int err = 0;

	if (curl_url_get(u, CURLUPART_PATH, &path, 0))
		return -ENOMEM;
	if (path[strlen(path) - 1] != '/') {
		if (asprintf(&longer, "%s/", path) < 0) {
			longer = NULL;
			err = -ENOMEM;
		} else if (curl_url_set(u, CURLUPART_PATH, longer, 0)) {
			err = -EINVAL;
		}
	}
	curl_free(path);
	return err;
}

static bool is_http_scheme(CURLU *u)
{
	char *scheme = NULL;
	bool is;

	if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0))
		return false;
	is = !strcasecmp(scheme, "http") || !strcasecmp(scheme, "https");
	curl_free(scheme);
	return is;
}

static bool has_part(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool has = !curl_url_get(u, part, &text, 0);

	curl_free(text);
	return has;
}

static int fill_root(CURLU *u, struct hsm_http_root *r)
{
	char *url = NULL;
	int err = add_slash(u);

	if (err)
		return err;
	r->user = take_part(u, CURLUPART_USER);
	r->password = take_part(u, CURLUPART_PASSWORD);
	r->site = site_of(u);
	if (curl_url_get(u, CURLUPART_URL, &url, 0))
		return -EINVAL;
	r->url = strdup(url);
	curl_free(url);
	if (!r->url || !r->site)
		return -ENOMEM;
	r->len = strlen(r->url);
	return 0;
}

int hsm_http_root_parse(const char *text, struct hsm_http_root *ret_root)
{
	struct hsm_http_root r = {0};
	CURLU *u = parse(text);
	int err = -EINVAL;

	/* The text is not repeated in full: it may hold a password. */
	if (!u || !is_http_scheme(u) || strstr(text, ":///"))
		hsm_err(EINVAL,
			"the origin's URL cannot be understood; want http://host[:port]/path/");
	else if (has_part(u, CURLUPART_QUERY) || has_part(u, CURLUPART_FRAGMENT))
		hsm_err(EINVAL,
			"the origin's URL must not have a query (?) or fragment (#); write "
			"them as %%3F and %%23 if they belong to a directory's name");
	else
		err = fill_root(u, &r);
	curl_url_cleanup(u);
	if (err) {
		hsm_http_root_release(&r);
		return err;
	}
	*ret_root = r;
	return 0;
}

void hsm_http_root_release(struct hsm_http_root *r)
{
	free(r->url);
	free(r->site);
	free(r->user);
	free(r->password);
	*r = (struct hsm_http_root){0};
}

int hsm_http_root_join(const struct hsm_http_root *r, const char *dir, const char *name,
	bool slash, struct hsm_http_buf *b)
{
	size_t dir_len = strlen(dir);

	b->len = 0;
	if (hsm_http_buf_grow(b, r->len + 2))
		return -ENOMEM;
	memcpy(b->text, r->url, r->len + 1);
	b->len = r->len;
	if (append_encoded(b, dir, dir_len))
		return -ENOMEM;
	if (dir_len && *name && append_encoded(b, "/", 1))
		return -ENOMEM;
	if (append_encoded(b, name, strlen(name)))
		return -ENOMEM;
	if (slash && b->text[b->len - 1] != '/')
		return append_encoded(b, "/", 1);
	return 0;
}

int hsm_http_page_open(const char *url, struct hsm_http_page *ret_page)
{
	struct hsm_http_page p = {.base = parse(url)};
	char *path = NULL, *slash;
	int err = -EINVAL;

	if (!p.base)
		return hsm_err(EINVAL, "%s: not a URL", url);
	p.site = site_of(p.base);
	if (p.site && !curl_url_get(p.base, CURLUPART_PATH, &path, 0))
		err = canonical(path, &p.path);
	curl_free(path);
	slash = err ? NULL : strrchr(p.path.text, '/');
	if (!slash) {
		hsm_http_page_release(&p);
		return err ? err : -EINVAL;
	}
	/* Links are relative to the directory, whatever the page itself is called. */
	p.path.len = (size_t)(slash - p.path.text) + 1;
	p.path.text[p.path.len] = '\0';
	*ret_page = p;
	return 0;
}

void hsm_http_page_release(struct hsm_http_page *p)
{
	curl_url_cleanup(p->base);
	free(p->site);
	free(p->path.text);
	free(p->scratch.text);
	*p = (struct hsm_http_page){0};
}

/* @rest: what follows the page's own path, encoded. */
static enum hsm_http_link child(const char *rest, char name[HSM_HTTP_NAME_ROOM])
{
	size_t len;
	const char *end;

	if (!*rest)
		return HSM_LINK_OTHER;
	end = decode_segment(rest, name, HSM_HTTP_NAME_ROOM, &len);
	if (!end)
		return strchr(rest, '/') && strchr(rest, '/')[1] ? HSM_LINK_OTHER
								 : HSM_LINK_REFUSED;
	if (end[0] == '/' && end[1])
		return HSM_LINK_OTHER;
	if (hsm_name_check(name, len))
		return HSM_LINK_REFUSED;
	return *end ? HSM_LINK_DIR : HSM_LINK_FILE;
}

/* The long way: absolute URLs and paths, "./x", "../dir/x". */
static enum hsm_http_link resolve(
	struct hsm_http_page *page, const char *href, char name[HSM_HTTP_NAME_ROOM])
{
	enum hsm_http_link link = HSM_LINK_OTHER;
	CURLU *u = curl_url_dup(page->base);
	char *site = NULL, *path = NULL;

	if (u && !curl_url_set(u, CURLUPART_URL, href, CURLU_ALLOW_SPACE) &&
		is_http_scheme(u) && !has_part(u, CURLUPART_QUERY))
		site = site_of(u);
	if (site && !strcmp(site, page->site) && !curl_url_get(u, CURLUPART_PATH, &path, 0) &&
		!canonical(path, &page->scratch) && page->scratch.len >= page->path.len &&
		!memcmp(page->scratch.text, page->path.text, page->path.len))
		link = child(page->scratch.text + page->path.len, name);
	curl_free(path);
	free(site);
	curl_url_cleanup(u);
	return link;
}

enum hsm_http_link hsm_http_page_link(
	struct hsm_http_page *page, const char *href, char name[HSM_HTTP_NAME_ROOM])
{
	const char *special = strpbrk(href, ":/?#");
	bool plain = !special || (*special == '/' && special > href && !special[1]);

	/* Nearly every link is a bare name: no resolving needed. */
	if (plain && href[0] && href[0] != '.')
		return child(href, name);
	if (!strcmp(href, "../") || !strcmp(href, "..") || href[0] == '?' || href[0] == '#')
		return HSM_LINK_OTHER;
	return resolve(page, href, name);
}
