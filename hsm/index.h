/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_INDEX_H
#define HSM_INDEX_H
/*
 * Index pages of web servers -> listings. Entries get mode, size and time as far as the page
 * tells; size_exact is false where it rounds or says nothing. The pages are hostile.
 */
#include "hsm/http_url.h"
#include "hsm/origin.h"

/* Longest pages parsed: about 2 million names as JSON, 400,000 as HTML. */
#define HSM_INDEX_JSON_MAX (256u << 20)
#define HSM_INDEX_HTML_MAX (64u << 20)

/*
 * nginx, autoindex_format json. The elements are parsed one by one, so that memory does not
 * grow with the page. Names that are refused and objects that describe no file are added to
 * *ret_refused. -EIO + text if it is not such JSON, -E2BIG, -ENOMEM.
 */
int hsm_index_json(
	const char *text, size_t len, struct hsm_listing *listing, uint64_t *ret_refused);

/*
 * nginx, Apache (plain, fancy, table) and lighttpd; names come from the links that resolve to
 * direct children of @page. -ENOTDIR + text if it is some other page (an index says so in its
 * title or heading), -E2BIG if it needs more memory or time than an index of its length can.
 */
int hsm_index_html(const char *text, size_t len, struct hsm_http_page *page,
	struct hsm_listing *listing, uint64_t *ret_refused);

#endif
