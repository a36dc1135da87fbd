/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_PAGE_H
#define BENCH_PAGE_H
/*
 * Text that can be mailed: lines of at most 72 columns of plain ASCII. What comes from outside (a
 * reason, a CPU name) may hold anything: other bytes become '?', long words are broken.
 */
#include <stdio.h>

#define BENCH_PAGE_COLUMNS 72

struct bench_page {
	FILE *out;
};

/* One line without its newline; trailing blanks go, what is past the last column is cut. */
void bench_page_line(struct bench_page *page, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* @head, then @text wrapped, continued lines indented to column @indent. */
void bench_page_fill(struct bench_page *page, const char *head, size_t indent, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));

#endif
