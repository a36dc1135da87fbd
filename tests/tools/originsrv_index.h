/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ORIGINSRV_INDEX_H
#define ORIGINSRV_INDEX_H
/* Directory indexes as nginx (JSON, HTML) and Apache (sizes rounded) write them. */
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum index_format { INDEX_JSON, INDEX_HTML, INDEX_APACHE };

static enum index_format format;

static void http_date(char *buf, size_t room, time_t t)
{
	struct tm tm;

	strftime(buf, room, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
}

/* As many entries as fit; each is named by its position. */
static ssize_t endless_entries(uint64_t pos, char *buf, size_t max)
{
	const char *date =
		format == INDEX_JSON ? "Mon, 03 Jan 2022 10:00:00 GMT" : "03-Jan-2022 10:00";
	size_t used = 0;
	int n;

	if (!pos)
		return snprintf(buf, max, format == INDEX_JSON ? "[\n" : "<pre>\n");
	while (max - used > 128) {
		if (format == INDEX_JSON)
			n = snprintf(buf + used, max - used,
				"{\"name\":\"e%" PRIu64
				"\",\"type\":\"file\",\"size\":1,\"mtime\":\"%s\"},\n",
				pos + used, date);
		else
			n = snprintf(buf + used, max - used,
				"<a href=\"e%" PRIu64 "\">e</a> %s 1\n", pos + used, date);
		used += (size_t)n;
	}
	return used ? (ssize_t)used : -1;
}

static void put_json_string(FILE *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			fprintf(out, "\\u%04x", *s);
		else
			fputc(*s, out);
	}
}

static void put_url(FILE *out, const char *s)
{
	for (; *s; s++) {
		if ((*s | 0x20) >= 'a' && (*s | 0x20) <= 'z')
			fputc(*s, out);
		else if (*s && strchr("0123456789-._~", *s))
			fputc(*s, out);
		else
			fprintf(out, "%%%02X", (unsigned char)*s);
	}
}

static void put_json_entry(FILE *out, const char *name, const struct stat *st, bool first)
{
	char date[64];

	http_date(date, sizeof(date), st->st_mtime);
	fputs(first ? "{ \"name\":\"" : ",\n{ \"name\":\"", out);
	put_json_string(out, name);
	fprintf(out, "\", \"type\":\"%s\", \"mtime\":\"%s\"",
		S_ISDIR(st->st_mode) ? "directory" : "file", date);
	if (S_ISREG(st->st_mode))
		fprintf(out, ", \"size\":%lld", (long long)st->st_size);
	fputs(" }", out);
}

/* "1.5K" as Apache rounds it. */
static void put_rounded(FILE *out, long long size)
{
	const char *unit = " KMGT";
	double v = (double)size;

	while (v >= 1000 && unit[1]) {
		v /= 1024;
		unit++;
	}
	if (*unit == ' ')
		fprintf(out, "%lld", size);
	else
		fprintf(out, v < 9.95 ? "%.1f%c" : "%.0f%c", v, *unit);
}

static void put_html_entry(FILE *out, const char *name, const struct stat *st)
{
	const char *slash = S_ISDIR(st->st_mode) ? "/" : "";
	bool apache = format == INDEX_APACHE;
	char date[64];
	struct tm tm;

	gmtime_r(&st->st_mtime, &tm);
	strftime(date, sizeof(date), apache ? "%Y-%m-%d %H:%M" : "%d-%b-%Y %H:%M", &tm);
	if (apache)
		fprintf(out, "<img src=\"/icons/%s.gif\" alt=\"[%s]\"> ",
			*slash ? "folder" : "unknown", *slash ? "DIR" : "   ");
	fputs("<a href=\"", out);
	put_url(out, name);
	fprintf(out, "%s\">entry</a>  %s  ", slash, date);
	if (*slash)
		fputc('-', out);
	else if (apache)
		put_rounded(out, st->st_size);
	else
		fprintf(out, "%lld", (long long)st->st_size);
	fputc('\n', out);
}

static void put_index(FILE *out, int dirfd)
{
	DIR *d = fdopendir(dirfd);
	bool first = true;
	struct dirent *e;
	struct stat st;

	if (!d)
		abort();
	fputs(format == INDEX_JSON ? "[\n"
				   : "<html><head><title>Index of /</title></head><body>\n"
				     "<h1>Index of /</h1><hr><pre><a href=\"../\">../</a>\n",
		out);
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
			fstatat(dirfd, e->d_name, &st, 0))
			continue;
		if (format == INDEX_JSON)
			put_json_entry(out, e->d_name, &st, first);
		else
			put_html_entry(out, e->d_name, &st);
		first = false;
	}
	fputs(format == INDEX_JSON ? "\n]\n" : "</pre><hr></body></html>\n", out);
	closedir(d);
}

#endif
