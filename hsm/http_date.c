/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/http_date.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "hsm/util.h"

struct civil {
	unsigned int year, month, day, hour, minute, second; /* month and day from 1 */
};

/* Days since 1970-01-01 of the Gregorian calendar, with March as the first month. */
static int64_t days(const struct civil *c)
{
	int64_t y = (int64_t)c->year - (c->month <= 2);
	int64_t era = y / 400, in_era = y % 400;
	unsigned int m = (c->month + 9) % 12;
	int64_t in_year = (153 * m + 2) / 5 + c->day - 1;

	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static int to_ns(const struct civil *c, int64_t *ret_ns)
{
	if (c->year < 1678 || c->year > 2261 || c->month < 1 || c->month > 12 || c->day < 1 ||
		c->day > 31 || c->hour > 23 || c->minute > 59 || c->second > 60)
		return -EINVAL;
	*ret_ns = (days(c) * 86400 + c->hour * 3600 + c->minute * 60 + c->second) * HSM_NSEC;
	return 0;
}

/* Up to @most digits at *@p; false if there is none. */
static bool number(const char **p, unsigned int most, unsigned int *ret)
{
	const char *start = *p;
	unsigned int n = 0;

	while (most-- && isdigit((unsigned char)**p))
		n = n * 10 + (unsigned int)(*(*p)++ - '0');
	*ret = n;
	return *p > start;
}

static bool month_name(const char **p, unsigned int *ret)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
	char m[4] = {0};

	for (unsigned int i = 0; i < 3; i++) {
		if (!isalpha((unsigned char)(*p)[i]))
			return false;
		m[i] = (char)((*p)[i] | 0x20);
	}
	for (unsigned int i = 0; i < 12; i++) {
		if (memcmp(names + i * 3, m, 3) != 0)
			continue;
		*p += 3;
		*ret = i + 1;
		return true;
	}
	return false;
}

static bool literal(const char **p, const char *text)
{
	size_t len = strlen(text);

	if (strncmp(*p, text, len) != 0)
		return false;
	*p += len;
	return true;
}

static bool fixed_date(const char *p, struct civil *c)
{
	if (strlen(p) < 5 || p[3] != ',' || p[4] != ' ')
		return false;
	p += 5;
	return number(&p, 2, &c->day) && literal(&p, " ") && month_name(&p, &c->month) &&
	       literal(&p, " ") && number(&p, 4, &c->year) && literal(&p, " ") &&
	       number(&p, 2, &c->hour) && literal(&p, ":") && number(&p, 2, &c->minute) &&
	       literal(&p, ":") && number(&p, 2, &c->second) && literal(&p, " GMT") && !*p;
}

int hsm_http_date(const char *text, int64_t *ret_ns)
{
	struct civil c;
	time_t t;

	if (fixed_date(text, &c))
		return to_ns(&c, ret_ns);
	t = curl_getdate(text, NULL);
	if (t == -1 || t > INT64_MAX / HSM_NSEC || t < INT64_MIN / HSM_NSEC)
		return -EINVAL;
	*ret_ns = (int64_t)t * HSM_NSEC;
	return 0;
}

const char *hsm_http_index_time(const char *text, int64_t *ret_ns)
{
	const char *p = text;
	struct civil c = {0};
	unsigned int first, last;
	bool year_first;

	if (!number(&p, 4, &first) || !literal(&p, "-"))
		return NULL;
	year_first = p - text == 5;
	if (!number(&p, 2, &c.month) && !month_name(&p, &c.month))
		return NULL;
	if (!literal(&p, "-") || !number(&p, 4, &last) || !literal(&p, " "))
		return NULL;
	c.year = year_first ? first : last;
	c.day = year_first ? last : first;
	if (!number(&p, 2, &c.hour) || !literal(&p, ":") || !number(&p, 2, &c.minute))
		return NULL;
	if (literal(&p, ":") && !number(&p, 2, &c.second))
		return NULL;
	return to_ns(&c, ret_ns) ? NULL : p;
}
