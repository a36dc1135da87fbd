/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does the same random operations to a file and to its model, a copy on an ordinary file system, and
 * compares what each says: results, errors, every byte read, sizes. Starts from whatever is in
 * the two files, so that the file can be a stub of which nothing has been fetched.
 *
 *   modelops [-n OPERATIONS] [-s SEED] [-m MAXSIZE] [-c OPERATIONS BETWEEN CLOSES] FILE MODEL
 *
 * Exit code 1 and a line on stderr at the first difference.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONGEST ((size_t)200000)

struct sides {
	const char *path[2]; /* the file, its model */
	int fd[2];
	uint64_t random, max_size;
	unsigned int number; /* of the operation */
	const char *what;
	off_t offset;
	size_t length;
};

static unsigned char buffer[2][LONGEST];

static uint64_t next_random(struct sides *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

static void __attribute__((noreturn, format(printf, 2, 3)))
differ(const struct sides *s, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "modelops: %s: operation %u, %s of %zu at %lld: %s\n", s->path[0],
		s->number, s->what, s->length, (long long)s->offset, text);
	exit(1);
}

/* Both must have said the same. */
static bool same_result(const struct sides *s, const int64_t result[2], const int err[2])
{
	if (result[0] != result[1] || (result[0] < 0 && err[0] != err[1]))
		differ(s, "%lld (%s), the model %lld (%s)", (long long)result[0],
			result[0] < 0 ? strerror(err[0]) : "ok", (long long)result[1],
			result[1] < 0 ? strerror(err[1]) : "ok");
	return result[0] >= 0;
}

static off_t size_of(struct sides *s, int side)
{
	struct stat st;

	if (fstat(s->fd[side], &st))
		differ(s, "fstat: %s", strerror(errno));
	return st.st_size;
}

static off_t same_size(struct sides *s)
{
	off_t size = size_of(s, 0), model = size_of(s, 1);

	if (size != model)
		differ(s, "size %lld, the model %lld", (long long)size, (long long)model);
	return size;
}

static void same_bytes(struct sides *s, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (buffer[0][i] != buffer[1][i])
			differ(s, "byte %lld is %02x, the model's %02x",
				(long long)s->offset + (long long)i, buffer[0][i],
				buffer[1][i]);
}

static void pick_range(struct sides *s, off_t within)
{
	s->offset = within > 0 ? (off_t)(next_random(s) % (uint64_t)within) : 0;
	s->length = next_random(s) % (next_random(s) % 4 ? 20000 : LONGEST) + 1;
	if (!(next_random(s) % 4))
		s->offset &= ~4095;
}

/* ---- operations ---- */

static void do_read(struct sides *s)
{
	int64_t result[2];
	int err[2];

	pick_range(s, same_size(s) + 4096);
	for (int n = 0; n < 2; n++) {
		result[n] = pread(s->fd[n], buffer[n], s->length, s->offset);
		err[n] = errno;
	}
	if (same_result(s, result, err))
		same_bytes(s, (size_t)result[0]);
}

static void fill_buffer(struct sides *s)
{
	uint64_t r = next_random(s) | 1;

	for (size_t i = 0; i < s->length; i++)
		buffer[0][i] = (unsigned char)(r * (i + 1) >> 11);
}

static void do_write(struct sides *s)
{
	int64_t result[2];
	int err[2];

	pick_range(s, next_random(s) % 8 ? same_size(s) + 1 : (off_t)s->max_size);
	fill_buffer(s);
	for (int n = 0; n < 2; n++) {
		result[n] = pwrite(s->fd[n], buffer[0], s->length, s->offset);
		err[n] = errno;
	}
	same_result(s, result, err);
}

static void do_append(struct sides *s)
{
	int64_t result[2];
	int err[2];

	pick_range(s, 1);
	s->offset = same_size(s);
	if ((uint64_t)s->offset > s->max_size)
		return;
	fill_buffer(s);
	for (int n = 0; n < 2; n++) {
		int fd = open(s->path[n], O_WRONLY | O_APPEND | O_CLOEXEC);

		result[n] = write(fd, buffer[0], s->length);
		err[n] = errno;
		close(fd);
	}
	same_result(s, result, err);
}

/* Maps the page-aligned range around the one picked; false if there is nothing to map. */
static bool map_both(struct sides *s, int prot, unsigned char *ret_map[2])
{
	off_t size = same_size(s);

	pick_range(s, size);
	s->offset &= ~4095;
	if (s->offset + (off_t)s->length > size)
		s->length = (size_t)(size - s->offset);
	if (!s->length)
		return false;
	for (int n = 0; n < 2; n++) {
		ret_map[n] = mmap(NULL, s->length, prot, MAP_SHARED, s->fd[n], s->offset);
		if (ret_map[n] == MAP_FAILED)
			differ(s, "mmap: %s", strerror(errno));
	}
	return true;
}

static void do_map_read(struct sides *s)
{
	unsigned char *map[2];

	if (!map_both(s, PROT_READ, map))
		return;
	for (int n = 0; n < 2; n++) {
		memcpy(buffer[n], map[n], s->length);
		munmap(map[n], s->length);
	}
	same_bytes(s, s->length);
}

static void do_map_write(struct sides *s)
{
	bool sync = next_random(s) % 2;
	unsigned char *map[2];

	if (!map_both(s, PROT_READ | PROT_WRITE, map))
		return;
	fill_buffer(s);
	for (int n = 0; n < 2; n++) {
		memcpy(map[n], buffer[0], s->length);
		if (sync && msync(map[n], s->length, MS_SYNC))
			differ(s, "msync: %s", strerror(errno));
		munmap(map[n], s->length);
	}
}

static void do_truncate(struct sides *s)
{
	int64_t result[2];
	int err[2];

	s->length = 0;
	s->offset = (off_t)(next_random(s) %
			    (next_random(s) % 4 ? (uint64_t)same_size(s) + 1 : s->max_size));
	for (int n = 0; n < 2; n++) {
		result[n] = ftruncate(s->fd[n], s->offset);
		err[n] = errno;
	}
	same_result(s, result, err);
}

static void do_allocate(struct sides *s)
{
	static const int modes[] = {0, FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
	int mode = modes[next_random(s) % 6], err[2];
	int64_t result[2];

	pick_range(s, same_size(s) + 1);
	for (int n = 0; n < 2; n++) {
		result[n] = fallocate(s->fd[n], mode, s->offset, (off_t)s->length);
		err[n] = errno;
	}
	same_result(s, result, err);
}

static int64_t copy_all(int fd, off_t from, off_t to, size_t length)
{
	int64_t done = 0;

	while ((size_t)done < length) {
		ssize_t n = copy_file_range(fd, &from, fd, &to, length - (size_t)done, 0);

		if (n < 0)
			return -1;
		if (!n)
			break;
		done += n;
	}
	return done;
}

static void do_copy(struct sides *s)
{
	off_t size = same_size(s), to;
	int64_t result[2];
	int err[2];

	pick_range(s, size + 1);
	to = (off_t)(next_random(s) % s->max_size);
	if (s->offset + (off_t)s->length > size)
		s->length = (size_t)(size - s->offset);
	for (int n = 0; n < 2; n++) {
		result[n] = copy_all(s->fd[n], s->offset, to, s->length);
		err[n] = errno;
	}
	same_result(s, result, err);
}

/* Where the model has data there must be data; and no hole behind which data is hidden. */
static void do_seek(struct sides *s)
{
	off_t size = same_size(s), data;

	pick_range(s, size);
	for (s->length = 0; s->offset < size; s->offset++) {
		data = lseek(s->fd[0], s->offset, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			differ(s, "SEEK_DATA: %s", strerror(errno));
		data = data < 0 ? size : data;
		s->length = (size_t)(data - s->offset);
		if (s->length > LONGEST)
			s->length = LONGEST;
		if (pread(s->fd[1], buffer[1], s->length, s->offset) != (ssize_t)s->length)
			differ(s, "short read of the model");
		memset(buffer[0], 0, s->length);
		same_bytes(s, s->length);
		data = lseek(s->fd[0], data, SEEK_HOLE);
		if (data < 0)
			return;
		s->offset = data;
	}
}

static void do_sync(struct sides *s)
{
	s->offset = 0;
	s->length = 0;
	if (next_random(s) % 2 ? fsync(s->fd[0]) : fdatasync(s->fd[0]))
		differ(s, "%s", strerror(errno));
}

static void open_both(struct sides *s, int flags)
{
	for (int n = 0; n < 2; n++) {
		s->fd[n] = open(s->path[n], O_RDWR | O_CLOEXEC | flags);
		if (s->fd[n] < 0) {
			fprintf(stderr, "modelops: %s: %s\n", s->path[n], strerror(errno));
			exit(1);
		}
	}
}

static void do_reopen(struct sides *s)
{
	close(s->fd[0]);
	close(s->fd[1]);
	open_both(s, next_random(s) % 40 ? 0 : O_TRUNC);
}

/* ---- all of it ---- */

static const struct {
	const char *name;
	void (*run)(struct sides *s);
	unsigned int weight;
} operations[] = {
	{"read", do_read, 20},
	{"mapped read", do_map_read, 8},
	{"write", do_write, 20},
	{"append", do_append, 4},
	{"mapped write", do_map_write, 8},
	{"truncate", do_truncate, 3},
	{"fallocate", do_allocate, 8},
	{"copy", do_copy, 6},
	{"seek", do_seek, 4},
	{"fsync", do_sync, 2},
};

static void do_one(struct sides *s)
{
	unsigned int sum = 0, at, n = 0;

	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		sum += operations[i].weight;
	at = (unsigned int)(next_random(s) % sum);
	while (at >= operations[n].weight)
		at -= operations[n++].weight;
	s->what = operations[n].name;
	operations[n].run(s);
}

static void compare_all(struct sides *s)
{
	off_t size = same_size(s);

	s->what = "last read";
	s->length = LONGEST;
	for (s->offset = 0; s->offset < size; s->offset += LONGEST) {
		ssize_t n = pread(s->fd[0], buffer[0], LONGEST, s->offset);

		if (n < 0 || pread(s->fd[1], buffer[1], LONGEST, s->offset) != n)
			differ(s, "%zd bytes", n);
		same_bytes(s, (size_t)n);
	}
}

int main(int argc, char **argv)
{
	struct sides s = {.random = 1, .max_size = 4 << 20};
	unsigned int count = 1000, close_every = 100;
	int option;

	while ((option = getopt(argc, argv, "n:s:m:c:")) > 0) {
		if (option == 'n')
			count = (unsigned int)strtoul(optarg, NULL, 0);
		else if (option == 's')
			s.random = strtoull(optarg, NULL, 0) * 0x9e3779b97f4a7c15 | 1;
		else if (option == 'm')
			s.max_size = strtoull(optarg, NULL, 0);
		else if (option == 'c')
			close_every = (unsigned int)strtoul(optarg, NULL, 0);
	}
	if (argc - optind != 2)
		return fprintf(stderr, "usage: modelops [-n -s -m -c] FILE MODEL\n"), 2;
	s.path[0] = argv[optind];
	s.path[1] = argv[optind + 1];
	s.what = "open";
	open_both(&s, 0);
	for (s.number = 0; s.number < count; s.number++) {
		do_one(&s);
		same_size(&s);
		if (close_every && !((s.number + 1) % close_every))
			do_reopen(&s);
	}
	compare_all(&s);
	return 0;
}
