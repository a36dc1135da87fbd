/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/knob.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "harness/err.h"
#include "harness/util.h"

/* Unlike bench_file_write() it neither creates nor truncates: not every such file allows it. */
static int set(const char *path, const char *value)
{
	auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = (ssize_t)strlen(value);

	if (fd < 0)
		return bench_err(errno, "cannot open %s: %s", path, strerror(errno));
	if (write(fd, value, (size_t)len) == len)
		return 0;
	return bench_err(
		errno ? errno : EIO, "cannot set %s to %s: %s", path, value, strerror(errno));
}

static int set_held(struct bench_state *held, const char *path, const char *value)
{
	auto_free char *old = bench_file_line(path);
	auto_free char *item = bench_fmt("%s %s", path, old);
	int ret;

	if (!*old)
		return bench_err(ENOENT, "this kernel has no %s", path);
	if (!strcmp(old, value))
		return 0;
	ret = bench_state_push(held, BENCH_HELD_KNOB, item);
	return ret < 0 ? ret : set(path, value);
}

int bench_knob_set_all(struct bench_state *held, const char *words)
{
	char **word = bench_strv_split(words, " \t\n");
	int ret = 0;

	for (size_t i = 0; word && word[i] && ret == 0; i++) {
		char *equals = strchr(word[i], '=');

		if (!equals) {
			ret = bench_err(EINVAL, "'%s' is not PATH=VALUE", word[i]);
			break;
		}
		*equals = '\0';
		ret = set_held(held, word[i], equals + 1);
	}
	bench_strv_free(word);
	return ret;
}

int bench_knob_put_back(const char *item)
{
	const char *space = strchr(item, ' ');
	auto_free char *path = bench_fmt("%.*s", (int)strcspn(item, " "), item);

	return space && bench_exists(path) ? set(path, space + 1) : 0;
}
