/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/page.h"

#include <stdarg.h>
#include <string.h>

#include "harness/util.h"

static void put(struct bench_page *page, const char *text, size_t bytes)
{
	if (bytes > BENCH_PAGE_COLUMNS)
		bytes = BENCH_PAGE_COLUMNS;
	while (bytes && text[bytes - 1] == ' ')
		bytes--;
	for (size_t i = 0; i < bytes; i++) {
		char c = text[i];

		fputc(c >= ' ' && c <= '~' ? c : c == '\t' || c == '\n' ? ' ' : '?', page->out);
	}
	fputc('\n', page->out);
}

static char *format(const char *fmt, va_list ap)
{
	char *text = NULL;

	return vasprintf(&text, fmt, ap) < 0 ? bench_strdup("") : text;
}

void bench_page_line(struct bench_page *page, const char *fmt, ...)
{
	auto_free char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = format(fmt, ap);
	va_end(ap);
	put(page, text, strlen(text));
}

/* Bytes of @text that fit in @room: up to a blank, or all of @room inside a long word. */
static size_t take_words(const char *text, size_t room)
{
	size_t n = strlen(text), cut = room;

	if (n <= room)
		return n;
	while (cut && text[cut] != ' ')
		cut--;
	return cut ? cut : room;
}

/* Columns that some other program had aligned are not aligned here. */
static void squeeze_blanks(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++)
		if (*from != ' ' || from[1] != ' ')
			*to++ = *from;
	*to = '\0';
}

void bench_page_fill(
	struct bench_page *page, const char *head, size_t indent, const char *fmt, ...)
{
	auto_free char *text = NULL;
	const char *rest;
	va_list ap;

	va_start(ap, fmt);
	text = format(fmt, ap);
	va_end(ap);
	squeeze_blanks(text);
	rest = text;
	do {
		auto_free char *line = NULL;
		size_t used = strlen(head) > indent ? strlen(head) + 1 : indent, n;

		rest += strspn(rest, " \n");
		n = take_words(rest, BENCH_PAGE_COLUMNS - used);
		line = bench_fmt("%-*s%.*s", (int)used, head, (int)n, rest);
		put(page, line, strlen(line));
		rest += n;
		head = "";
	} while (*rest);
}
