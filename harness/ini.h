/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_INI_H
#define BENCH_INI_H
/*
 * Manifest files. `[section]`, `name = value`, comments are whole lines that start with # or ;
 * (also indented ones). A value continues on indented lines, joined by a newline. `;` inside
 * a value is kept. A line has at most 198 bytes, a section or name 49.
 */

/* @value borrowed. Negative errno + text stops the parse. */
typedef int (*bench_ini_fn)(
	void *ctx, const char *section, const char *name, const char *value);

/*
 * Calls @fn once per key with its joined value. -errno + text that starts with "PATH:LINE: ".
 */
int bench_ini_parse(const char *path, bench_ini_fn fn, void *ctx);

#endif
