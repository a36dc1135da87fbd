/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_HTTP_URL_H
#define HSM_HTTP_URL_H
/*
 * URLs: the origin's root taken apart once, the URL of a path below it, and the way back from
 * a link of an index page to a file name. Parsing and resolving is libcurl's.
 */
#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

/* A string that grows. Zero-initialised; free(text) when done. */
struct hsm_http_buf {
	char *text;
	size_t len, room;
};

/* Makes room for @more bytes behind len. 0 or -ENOMEM. */
int hsm_http_buf_grow(struct hsm_http_buf *b, size_t more);

struct hsm_http_root {
	char *url; /* ends in '/', without user information */
	size_t len;
	char *site; /* "scheme://host:port" */
	char *user; /* from the URL, decoded, or NULL */
	char *password;
};

/* -EINVAL + text if @text is not an http(s) URL of a directory. */
int hsm_http_root_parse(const char *text, struct hsm_http_root *ret_root);
void hsm_http_root_release(struct hsm_http_root *r);

/*
 * The URL of @dir/@name below the root into @b (both in raw bytes, either may be ""); with a
 * trailing slash if @slash. 0 or -ENOMEM.
 */
int hsm_http_root_join(const struct hsm_http_root *r, const char *dir, const char *name,
	bool slash, struct hsm_http_buf *b);

/* Have both URLs the same scheme, host and port? */
bool hsm_http_same_site(const struct hsm_http_root *r, const char *url);

/* An index page, the base its links are resolved against. */
struct hsm_http_page {
	CURLU *base;
	char *site;
	struct hsm_http_buf path; /* canonical encoding, ends in '/' */
	struct hsm_http_buf scratch;
};

/* @url: where the page came from, after redirects. -EINVAL, -ENOMEM. */
int hsm_http_page_open(const char *url, struct hsm_http_page *ret_page);
void hsm_http_page_release(struct hsm_http_page *p);

#define HSM_HTTP_NAME_ROOM 256

enum hsm_http_link {
	HSM_LINK_OTHER, /* elsewhere: parent, sort order, another site, deeper, ... */
	HSM_LINK_REFUSED, /* a child, but of a name that must not be created */
	HSM_LINK_FILE,
	HSM_LINK_DIR,
};

/* What @href on @page is; @name gets the child's raw name. */
enum hsm_http_link hsm_http_page_link(
	struct hsm_http_page *page, const char *href, char name[HSM_HTTP_NAME_ROOM]);

#endif
