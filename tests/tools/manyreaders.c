/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * manyreaders TREE ORIGIN FILES READERS: so many threads, each opens one of TREE/f.0, TREE/f.1, ...,
 * and reads 4 KiB at a place of its own; all at once. What they got is compared with ORIGIN.
 * Prints one line a result, "COUNT WORD": ok, zeros, differs, short, or the errno's name; then
 * "ms LAST", when the last of them was done. Writes "ready" when all threads run; exits with 77 when
 * the machine has no room for so many.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BYTES	4096
#define STEP	4096 /* between the places in one file: a chunk */
#define STACK	(64 * 1024)
#define ERRNOS	4096
#define IS_OK	0
#define ZEROS	(ERRNOS + 1)
#define DIFFERS (ERRNOS + 2)
#define SHORT	(ERRNOS + 3)

static int tree, origin;
static unsigned long files;
static _Atomic unsigned long result[ERRNOS + 4];
static pthread_barrier_t barrier;

static int read_at(int dir, const char *name, off_t at, char *buf)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC), err = 0;
	ssize_t n;

	if (fd < 0)
		return errno;
	n = pread(fd, buf, BYTES, at);
	if (n < 0)
		err = errno;
	else if (n != BYTES)
		err = SHORT;
	close(fd);
	return err;
}

static int judge(const char *got, const char *want)
{
	static const char zeros[BYTES];

	if (!memcmp(got, want, BYTES))
		return IS_OK;
	return memcmp(got, zeros, BYTES) ? DIFFERS : ZEROS;
}

static void *reader(void *arg)
{
	unsigned long i = (unsigned long)arg;
	char name[32], got[BYTES], want[BYTES];
	off_t at = (off_t)(i / files) * STEP;
	int r;

	snprintf(name, sizeof(name), "f.%lu", i % files);
	pthread_barrier_wait(&barrier);
	r = read_at(tree, name, at, got);
	if (!r)
		r = read_at(origin, name, at, want);
	atomic_fetch_add(&result[r ? r : judge(got, want)], 1);
	return NULL;
}

static unsigned long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long)now.tv_sec * 1000 + (unsigned long)now.tv_nsec / 1000000;
}

static const char *word(int r)
{
	switch (r) {
	case IS_OK:
		return "ok";
	case ZEROS:
		return "zeros";
	case DIFFERS:
		return "differs";
	case SHORT:
		return "short";
	default:
		return strerrorname_np(r);
	}
}

static void start(pthread_t *thread, unsigned long count)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (unsigned long i = 0; i < count; i++) {
		int r = pthread_create(&thread[i], &attr, reader, (void *)i);

		if (!r)
			continue;
		fprintf(stderr, "manyreaders: thread %lu: %s\n", i, strerror(r));
		exit(r == EAGAIN ? 77 : 1);
	}
}

int main(int argc, char **argv)
{
	unsigned long count, begin;
	struct rlimit limit;
	pthread_t *thread;

	if (argc != 5)
		return 2;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	tree = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	origin = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	files = strtoul(argv[3], NULL, 10);
	count = strtoul(argv[4], NULL, 10);
	thread = calloc(count, sizeof(*thread));
	if (tree < 0 || origin < 0 || !files || !thread)
		return 2;
	pthread_barrier_init(&barrier, NULL, (unsigned int)count + 1);
	start(thread, count);
	begin = now_ms();
	pthread_barrier_wait(&barrier);
	puts("ready");
	fflush(stdout);
	for (unsigned long i = 0; i < count; i++)
		pthread_join(thread[i], NULL);
	for (int r = 0; r <= SHORT; r++)
		if (result[r])
			printf("%lu %s\n", result[r], word(r));
	printf("ms %lu\n", now_ms() - begin);
	return 0;
}
