/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/origin.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "hsm/err.h"

static bool is_http(const char *spec)
{
	return !strncasecmp(spec, "http://", 7) || !strncasecmp(spec, "https://", 8);
}

/* "scheme://..." other than http(s): better refused than taken for a directory's name. */
static bool is_foreign_url(const char *spec)
{
	const char *colon = strstr(spec, "://");

	return colon && colon > spec && !memchr(spec, '/', (size_t)(colon - spec));
}

int hsm_origin_open(const char *spec, const struct hsm_options *opt, struct hsm_stats *stats,
	struct hsm_origin **ret_origin)
{
	struct hsm_origin *o;
	int err;

	if (is_http(spec))
		err = hsm_origin_http_open(spec, opt, stats, &o);
	else if (is_foreign_url(spec))
		err = hsm_err(EINVAL,
			"origin %s: only http:// and https:// URLs and local "
			"directories are known",
			spec);
	else
		err = hsm_origin_mirror_open(spec, opt, stats, &o);
	if (err)
		return err;
	if (opt->latency_ns || opt->bandwidth) {
		struct hsm_origin *slow;

		err = hsm_origin_delay_new(o, opt->latency_ns, opt->bandwidth, &slow);
		if (err) {
			o->ops->close(o);
			return err;
		}
		o = slow;
	}
	*ret_origin = o;
	return 0;
}
