/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/vars.h"

#include <errno.h>
#include <string.h>

#include "harness/err.h"
#include "harness/util.h"

struct var {
	char *name;
	char *value;
};

struct bench_vars {
	const struct bench_vars *parent;
	struct var *var;
	size_t count;
};

struct bench_vars *bench_vars_new(const struct bench_vars *parent)
{
	struct bench_vars *v = bench_alloc(sizeof(*v));

	v->parent = parent;
	return v;
}

void bench_vars_free(struct bench_vars *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->count; i++) {
		free(v->var[i].name);
		free(v->var[i].value);
	}
	free(v->var);
	free(v);
}

static struct var *find(const struct bench_vars *v, const char *name)
{
	for (size_t i = 0; i < v->count; i++)
		if (!strcmp(v->var[i].name, name))
			return &v->var[i];
	return NULL;
}

void bench_vars_set(struct bench_vars *v, const char *name, const char *value)
{
	struct var *var = find(v, name);
	char *copy = bench_strdup(value);

	if (var) {
		free(var->value);
		var->value = copy;
		return;
	}
	v->var = bench_realloc(v->var, (v->count + 1) * sizeof(*v->var));
	v->var[v->count++] = (struct var){.name = bench_strdup(name), .value = copy};
}

const char *bench_vars_get(const struct bench_vars *v, const char *name)
{
	for (; v; v = v->parent) {
		const struct var *var = find(v, name);

		if (var)
			return var->value;
	}
	return NULL;
}

/*
 * Writes the value of the placeholder at @text ("${name}..."); returns the length of the
 * placeholder.
 */
static int expand_one(const struct bench_vars *v, const char *text, FILE *out)
{
	size_t len = strcspn(text + 2, "}");
	auto_free char *name = bench_fmt("%.*s", (int)len, text + 2);
	const char *value = bench_vars_get(v, name);

	if (text[2 + len] != '}')
		return bench_err(EINVAL, "'%s' has a ${ without }", text);
	if (!value)
		return bench_err(
			EINVAL, "unknown placeholder ${%s}; write $${ for a literal ${", name);
	fputs(value, out);
	return (int)len + 3;
}

static int expand(const struct bench_vars *v, const char *text, FILE *out)
{
	while (*text) {
		int n = 1;

		if (!strncmp(text, "$${", 3)) {
			fputs("${", out);
			n = 3;
		} else if (!strncmp(text, "${", 2)) {
			n = expand_one(v, text, out);
			if (n < 0)
				return n;
		} else {
			fputc(*text, out);
		}
		text += n;
	}
	return 0;
}

int bench_vars_expand(const struct bench_vars *v, const char *text, char **ret_text)
{
	char *buf = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&buf, &len);
	int ret;

	if (!out)
		return bench_err(errno, "cannot expand placeholders: %s", strerror(errno));
	ret = expand(v, text, out);
	if (fclose(out) && ret == 0)
		ret = bench_err(ENOMEM, "cannot expand placeholders: out of memory");
	if (ret < 0)
		free(buf);
	else
		*ret_text = buf;
	return ret;
}
