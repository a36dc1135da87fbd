/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hsm/err.h"
#include "hsm/http.h"
#include "hsm/util.h"

static void http_fetch(struct hsm_origin *o, struct hsm_fetch *f)
{
	struct hsm_http *h = hsm_container_of(o, struct hsm_http, origin);

	hsm_stats_add(o->stats, HSM_C_ORIGIN_FETCHES, 1);
	hsm_http_submit_fetch(h, f);
}

static void http_cancel(struct hsm_origin *o)
{
	hsm_http_engines_cancel(hsm_container_of(o, struct hsm_http, origin));
}

static void http_close(struct hsm_origin *o)
{
	struct hsm_http *h = hsm_container_of(o, struct hsm_http, origin);

	hsm_http_engines_stop(h);
	hsm_http_root_release(&h->root);
	curl_slist_free_all(h->headers);
	free(h->user);
	free(h->password);
	free(h->cacert);
	free(h->proxy);
	free(h);
}

static const struct hsm_origin_ops http_ops = {
	.scheme = "http",
	.probe = hsm_http_probe,
	.list = hsm_http_list,
	.ask = hsm_http_ask,
	.fetch = http_fetch,
	.cancel = http_cancel,
	.close = http_close,
};

/* A header that would end the line early could smuggle in a request. */
static int add_header(struct hsm_http *h, const char *line)
{
	struct curl_slist *longer;

	if (!strchr(line, ':') || strpbrk(line, "\r\n"))
		return hsm_err(EINVAL, "header '%s': want 'Name: value'", line);
	longer = curl_slist_append(h->headers, line);
	if (!longer)
		return -ENOMEM;
	h->headers = longer;
	return 0;
}

static int copy_string(const char *from, char **ret)
{
	if (!from)
		return 0;
	*ret = strdup(from);
	return *ret ? 0 : -ENOMEM;
}

/* --user wins over what the URL has. */
static int set_user(struct hsm_http *h, const char *user)
{
	const char *colon = user ? strchr(user, ':') : NULL;
	int err;

	if (!user) {
		err = copy_string(h->root.user, &h->user);
		return err ? err : copy_string(h->root.password, &h->password);
	}
	h->user = strndup(user, colon ? (size_t)(colon - user) : strlen(user));
	h->password = strdup(colon ? colon + 1 : "");
	return h->user && h->password ? 0 : -ENOMEM;
}

static int configure(struct hsm_http *h, const struct hsm_options *opt)
{
	int err = set_user(h, opt->user);

	h->filter = opt->filter;
	h->insecure = opt->insecure;
	h->retries = opt->retries;
	h->connections = HSM_MAX(opt->connections, 1U);
	h->timeout_ns = opt->timeout_ns ? opt->timeout_ns : 30 * (uint64_t)HSM_NSEC;
	if (!err)
		err = copy_string(opt->cacert, &h->cacert);
	if (!err)
		err = copy_string(opt->proxy, &h->proxy);
	for (unsigned int i = 0; i < opt->headers && !err; i++)
		err = add_header(h, opt->header[i]);
	return err;
}

static void curl_start(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

int hsm_origin_http_open(const char *url, const struct hsm_options *opt,
	struct hsm_stats *stats, struct hsm_origin **ret_origin)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct hsm_http *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	pthread_once(&once, curl_start);
	h->origin = (struct hsm_origin){.ops = &http_ops, .stats = stats};
	err = hsm_http_root_parse(url, &h->root);
	if (!err)
		err = configure(h, opt);
	if (!err)
		err = hsm_http_engines_start(h);
	if (err) {
		http_close(&h->origin);
		return err;
	}
	*ret_origin = &h->origin;
	return 0;
}
