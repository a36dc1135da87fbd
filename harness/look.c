/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/look.h"

#include <errno.h>
#include <string.h>

#include "harness/err.h"
#include "harness/exec.h"
#include "harness/util.h"

/* Writes a space and @word quoted for sh(1). */
static void put_word(FILE *out, const char *word)
{
	fputs(" '", out);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc(*word, out);
	}
	fputc('\'', out);
}

/* "hsmbench tree ACTION SUMS TREE PATTERN..." */
static int command_text(const struct bench_cell *cell, const struct bench_step *step,
	const char *action, const char *tree, char **ret_text)
{
	auto_free char *files = NULL;
	char **patterns, *text = NULL;
	size_t len = 0;
	FILE *out;
	int ret = bench_vars_expand(cell->vars, step->files, &files);

	if (ret < 0)
		return ret;
	out = open_memstream(&text, &len);
	if (!out)
		return bench_err(errno, "cannot make a command: %s", strerror(errno));
	fprintf(out, "exec '%s/hsmbench' tree %s", cell->session->bin, action);
	put_word(out, cell->sums);
	put_word(out, tree);
	patterns = bench_strv_split(files, " \t\n,");
	for (size_t i = 0; patterns && patterns[i]; i++)
		put_word(out, patterns[i]);
	bench_strv_free(patterns);
	fclose(out);
	*ret_text = text;
	return 0;
}

static int judge(const struct bench_exec *e, const char *action, const char *out)
{
	if (e->interrupted)
		return bench_err(EINTR, "interrupted");
	if (e->timed_out)
		return bench_err(ETIMEDOUT,
			"%s of the files did not end in %llu s, stacks in %s", action,
			(unsigned long long)(e->timeout_ns / BENCH_NSEC), e->stacks_path);
	if (e->code)
		return bench_err(e->code == BENCH_EXIT_MISMATCH ? EILSEQ : EIO, "%.*s",
			(int)strcspn(out, "\n"), out);
	return 0;
}

int bench_look(const struct bench_cell *cell, const struct bench_step *step, const char *action,
	const char *tree, const char *raw, char **ret_out)
{
	auto_free char *shell = NULL;
	auto_free char *out = NULL;
	auto_free char *out_path = bench_fmt("%s.%s", raw, action);
	auto_free char *stacks = bench_fmt("%s.stacks", raw);
	struct bench_exec e = {
		.out_path = out_path,
		.merge = true,
		.timeout_ns = step->timeout_ns,
		.stacks_path = stacks,
	};
	int ret;

	if (!step->files)
		return 0;
	ret = command_text(cell, step, action, tree, &shell);
	if (ret < 0)
		return ret;
	e.shell = shell;
	ret = bench_exec_run(&e);
	if (ret == 0)
		ret = bench_file_read(out_path, &out);
	if (ret == 0)
		ret = judge(&e, action, out);
	cell->session->mismatch |= ret == -EILSEQ;
	if (ret < 0)
		return ret;
	unlink(out_path);
	if (ret_out) {
		*ret_out = out;
		out = NULL;
	}
	return 0;
}
