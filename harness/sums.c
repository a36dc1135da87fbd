/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/sums.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xxhash.h>

#include "harness/err.h"
#include "harness/util.h"

#define READ_BYTES (256u << 10)
#define SAMPLE	   64 /* files looked at by bench_sums_resident() */
#define SYS_CACHE  451 /* cachestat(2), Linux 6.5; not in the headers of Debian 12 */

static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == '\\' && s[1]) {
			s++;
			*to++ = *s == 'n' ? '\n' : *s;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* Cuts @line into its parts in place. */
static int parse(char *line, struct bench_sum *ret)
{
	char *end;

	ret->xxh64 = strtoull(line, &end, 16);
	if (end != line + 16 || strncmp(end, "  ", 2))
		return -EINVAL;
	ret->bytes = strtoull(end + 2, &end, 10);
	if (strncmp(end, "  ", 2) || !end[2] || end[2] == '\n')
		return -EINVAL;
	ret->path = end + 2;
	ret->path[strcspn(ret->path, "\n")] = '\0';
	unescape(ret->path);
	return 0;
}

static bool matches(const char *path, char *const *patterns)
{
	if (!patterns)
		return true;
	for (size_t i = 0; patterns[i]; i++)
		if (fnmatch(patterns[i], path, 0) == 0)
			return true;
	return false;
}

static void add(struct bench_sums *s, const struct bench_sum *sum)
{
	/* Room doubles: a power of two is full. */
	if ((s->count & (s->count - 1)) == 0)
		s->sum = bench_realloc(s->sum, (s->count ? s->count * 2 : 1) * sizeof(*s->sum));
	s->sum[s->count] = *sum;
	s->sum[s->count++].path = bench_strdup(sum->path);
	s->bytes += sum->bytes;
}

int bench_sums_load(const char *path, char *const *patterns, struct bench_sums *ret_sums)
{
	auto_file FILE *f = fopen(path, "re");
	auto_free char *line = NULL;
	struct bench_sums s = {0};
	size_t room = 0, number = 0;

	if (!f)
		return bench_err(errno, "cannot open %s: %s", path, strerror(errno));
	while (getline(&line, &room, f) > 0) {
		struct bench_sum sum;

		number++;
		if (parse(line, &sum) < 0) {
			bench_sums_release(&s);
			return bench_err(EINVAL, "%s:%zu: not a checksum line", path, number);
		}
		if (matches(sum.path, patterns))
			add(&s, &sum);
	}
	*ret_sums = s;
	return 0;
}

void bench_sums_release(struct bench_sums *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->sum[i].path);
	free(s->sum);
	*s = (struct bench_sums){0};
}

static int list_dir(const char *path)
{
	DIR *d = opendir(path);

	if (!d)
		return bench_err(errno, "cannot list %s: %s", path, strerror(errno));
	errno = 0;
	while (readdir(d))
		;
	if (errno) {
		int err = errno;

		closedir(d);
		return bench_err(err, "cannot list %s: %s", path, strerror(err));
	}
	closedir(d);
	return 0;
}

/* Lists the directories of @path that are not also above @previous, top down. */
static int list_above(const char *tree, const char *path, const char *previous)
{
	size_t same = 0;

	while (path[same] && path[same] == previous[same])
		same++;
	if (!*previous) {
		int ret = list_dir(tree);

		if (ret < 0)
			return ret;
	}
	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		auto_free char *dir = NULL;
		int ret;

		if ((size_t)(p - path) < same)
			continue;
		dir = bench_fmt("%s/%.*s", tree, (int)(p - path), path);
		ret = list_dir(dir);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int bench_sums_list(const struct bench_sums *s, const char *tree)
{
	const char *previous = "";
	int ret = 0;

	for (size_t i = 0; i < s->count && ret == 0; i++) {
		ret = list_above(tree, s->sum[i].path, previous);
		previous = s->sum[i].path;
	}
	return ret;
}

static int hash_fd(int fd, XXH64_state_t *state, uint64_t *ret_bytes)
{
	static char buf[READ_BYTES];
	uint64_t bytes = 0;
	ssize_t n;

	XXH64_reset(state, 0);
	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		XXH64_update(state, buf, (size_t)n);
		bytes += (uint64_t)n;
	}
	*ret_bytes = bytes;
	return 0;
}

static int verify_one(const struct bench_sum *sum, const char *path, XXH64_state_t *state)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	uint64_t bytes = 0;
	int ret = fd < 0 ? -errno : hash_fd(fd, state, &bytes);

	if (ret < 0)
		return bench_err(-ret, "cannot read %s: %s", path, strerror(-ret));
	if (bytes != sum->bytes)
		return bench_err(EILSEQ, "%s has %llu bytes, the origin has %llu", path,
			(unsigned long long)bytes, (unsigned long long)sum->bytes);
	if (XXH64_digest(state) != sum->xxh64)
		return bench_err(EILSEQ, "content of %s differs from the origin", path);
	return 0;
}

int bench_sums_verify(const struct bench_sums *s, const char *tree)
{
	XXH64_state_t *state = XXH64_createState();
	const char *previous = "";
	int ret = state ? 0 : bench_err(ENOMEM, "out of memory");

	for (size_t i = 0; i < s->count && ret == 0; i++) {
		auto_free char *path = bench_fmt("%s/%s", tree, s->sum[i].path);

		ret = list_above(tree, s->sum[i].path, previous);
		if (ret == 0)
			ret = verify_one(&s->sum[i], path, state);
		previous = s->sum[i].path;
	}
	XXH64_freeState(state);
	return ret;
}

/* Pages of @fd in the page cache, or -errno. */
static long long cached_pages(int fd)
{
	struct {
		uint64_t offset, length;
	} range = {0, 0}; /* length 0 = to the end */
	struct {
		uint64_t cache, dirty, writeback, evicted, recently_evicted;
	} stat = {0};

	if (syscall(SYS_CACHE, fd, &range, &stat, 0) < 0)
		return -errno;
	return (long long)stat.cache;
}

int bench_sums_resident(const struct bench_sums *s, const char *tree, uint64_t *ret_pages)
{
	size_t step = s->count / SAMPLE + 1;
	uint64_t pages = 0;

	for (size_t i = 0; i < s->count; i += step) {
		auto_free char *path = bench_fmt("%s/%s", tree, s->sum[i].path);
		auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		long long n = fd < 0 ? -errno : cached_pages(fd);

		if (n == -ENOSYS)
			return bench_err(EOPNOTSUPP, "this kernel has no cachestat(2)");
		if (n < 0)
			return bench_err((int)-n, "cannot look at the pages of %s: %s", path,
				strerror((int)-n));
		pages += (uint64_t)n;
	}
	*ret_pages = pages;
	return 0;
}
