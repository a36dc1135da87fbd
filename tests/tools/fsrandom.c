/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fsrandom: random operations on one file, against a model of it in memory.
 *
 *   fsrandom [-n OPERATIONS] [-s SEED] [-l BYTES] [-f ORIGINAL] [-x NAME,...] FILE
 *
 *   -l  the largest size the file may get (1 MiB)
 *   -f  FILE is there, and its content is to be that of ORIGINAL; else a new file is made
 *   -x  leave these operations out
 *
 * The same seed makes the same operations. The file is reached through three descriptors (plain, O_APPEND, and
 * one that is opened and closed all the time) and a mapping that stays. Prints how often each operation was
 * done; after a mismatch the last operations, and exit code 1; 2 for misuse.
 */
#include "tests/tools/fsrandom_model.h"

#include <getopt.h>

/* ---- operations ---- */

/* A descriptor for one operation: often one just opened. */
static int borrow(int flags)
{
	return one_in(4) ? (int)must("open", open(f.path, flags | O_CLOEXEC)) : f.fd;
}

static void give_back(int fd)
{
	if (fd != f.fd)
		must("close", close(fd));
}

static void do_read(void)
{
	off_t at = random_offset(f.size + PAGE);
	long length = random_length(PIECE_MAX);
	int fd = borrow(O_RDONLY);

	describe("read %lld + %ld", (long long)at, length);
	must_be("read", pread(fd, f.piece, (size_t)length, at), clip(at, length));
	compare("read", f.piece, at, clip(at, length));
	give_back(fd);
}

static void do_write(void)
{
	off_t at = random_offset(one_in(4) ? f.max : f.size + PAGE);
	long length = random_length(f.max - at);
	int fd;

	if (length <= 0)
		return;
	fd = borrow(O_WRONLY);
	describe("write %lld + %ld", (long long)at, length);
	random_piece(length);
	must_be("write", pwrite(fd, f.piece, (size_t)length, at), length);
	model_write(at, f.piece, length);
	give_back(fd);
}

static void do_append(void)
{
	long length = random_length(PIECE_MAX / 8);

	if (f.size + length > f.max)
		return;
	describe("append %ld at %lld", length, (long long)f.size);
	random_piece(length);
	must_be("append", write(f.append_fd, f.piece, (size_t)length), length);
	model_write(f.size, f.piece, length);
}

static void do_truncate(void)
{
	off_t size = one_in(3) ? below(f.max)
			       : f.size - below(f.size < PIECE_MAX ? f.size : PIECE_MAX);

	describe("truncate %lld", (long long)size);
	if (one_in(2))
		must("truncate", truncate(f.path, size));
	else
		must("ftruncate", ftruncate(f.fd, size));
	model_resize(size);
	check_size(f.fd);
}

static char *map_range(off_t at, long length, int prot, off_t *ret_start, size_t *ret_bytes)
{
	char *map;

	*ret_start = at / PAGE * PAGE;
	*ret_bytes = (size_t)(at + length - *ret_start);
	map = mmap(NULL, *ret_bytes, prot, MAP_SHARED, f.fd, *ret_start);
	if (map == MAP_FAILED)
		mismatch("mmap: %s", strerror(errno));
	return map;
}

static void do_mmap_read(void)
{
	off_t at = random_offset(f.size), start;
	long length = clip(at, random_length(PIECE_MAX));
	size_t bytes;
	char *map;

	if (!length)
		return;
	describe("mmap read %lld + %ld", (long long)at, length);
	map = map_range(at, length, PROT_READ, &start, &bytes);
	compare("mmap read", map + (at - start), at, length);
	munmap(map, bytes);
}

static void do_mmap_write(void)
{
	off_t at = random_offset(f.size), start;
	long length = clip(at, random_length(PIECE_MAX));
	size_t bytes;
	char *map;

	if (!length)
		return;
	describe("mmap write %lld + %ld", (long long)at, length);
	map = map_range(at, length, PROT_READ | PROT_WRITE, &start, &bytes);
	random_piece(length);
	memcpy(map + (at - start), f.piece, (size_t)length);
	model_write(at, f.piece, length);
	f.mapped_dirty = true;
	if (one_in(3))
		must("msync", msync(map, bytes, one_in(2) ? MS_SYNC : MS_ASYNC));
	munmap(map, bytes);
}

/* The mapping that stays: what is done to the file by other means must show in it. */
static void do_kept_map(void)
{
	off_t at;
	long length;

	if (f.map && one_in(10)) {
		munmap(f.map, f.map_bytes);
		f.map = NULL;
	}
	if (!f.map && f.size) {
		f.map_bytes = (size_t)f.max;
		f.map = mmap(NULL, f.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f.fd, 0);
		if (f.map == MAP_FAILED)
			mismatch("mmap: %s", strerror(errno));
	}
	at = random_offset(f.size);
	length = clip(at, random_length(PIECE_MAX));
	if (!length)
		return;
	describe("kept mapping %lld + %ld", (long long)at, length);
	compare("kept mapping", f.map + at, at, length);
	if (one_in(2))
		return;
	random_piece(length);
	memcpy(f.map + at, f.piece, (size_t)length);
	model_write(at, f.piece, length);
	f.mapped_dirty = true;
}

/* Not every file system has every mode; the first time says so. */
static bool allocate(const char *name, int mode, off_t at, long length)
{
	static int missing;

	if (length <= 0 || (missing & (1 << mode)))
		return false;
	describe("%s %lld + %ld", name, (long long)at, length);
	if (!fallocate(f.fd, mode, at, length))
		return true;
	if (errno != EOPNOTSUPP)
		mismatch("%s: %s", name, strerror(errno));
	printf("%s is not supported\n", name);
	missing |= 1 << mode;
	return false;
}

static void do_allocate(void)
{
	bool keep = one_in(2);
	off_t at = random_offset(f.size + PIECE_MAX);
	long length = random_length(f.max - at);

	if (!allocate(keep ? "allocate keep" : "allocate", keep ? FALLOC_FL_KEEP_SIZE : 0, at,
		    length))
		return;
	if (!keep && at + length > f.size)
		model_resize(at + length);
	check_size(f.fd);
}

static void do_punch(void)
{
	off_t at = random_offset(f.size);
	long length = random_length(f.max - at);

	if (allocate("punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length))
		memset(f.model + at, 0, (size_t)clip(at, length));
}

static void do_zero(void)
{
	bool keep = one_in(2);
	off_t at = random_offset(f.size);
	long length = random_length(f.max - at);

	if (!allocate(keep ? "zero keep" : "zero",
		    FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), at, length))
		return;
	memset(f.model + at, 0, (size_t)clip(at, length));
	if (!keep && at + length > f.size)
		model_resize(at + length);
	check_size(f.fd);
}

static void do_copy(void)
{
	off_t from = random_offset(f.size), to = random_offset(f.size), a = from, b = to;
	long length = clip(from, random_length(PIECE_MAX)), done = 0;

	if (to + length > f.max || (from < to + length && to < from + length))
		return;
	describe("copy %lld + %ld to %lld", (long long)from, length, (long long)to);
	while (done < length) {
		long n = must("copy",
			copy_file_range(f.fd, &a, f.fd, &b, (size_t)(length - done), 0));

		if (!n)
			mismatch("copy stopped after %ld", done);
		model_write(to + done, f.model + from + done, n);
		done += n;
	}
}

static void do_sync(void)
{
	describe("sync");
	must("fsync", one_in(2) ? fsync(f.fd) : fdatasync(f.fd));
}

/* The pages kept so far are not to be had any more. */
static void do_forget_pages(void)
{
	describe("forget pages");
	must("fsync", fsync(f.fd));
	posix_fadvise(f.fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void open_all(int flags)
{
	f.fd = (int)must("open", open(f.path, O_RDWR | O_CLOEXEC | flags, 0644));
	f.append_fd = (int)must("open", open(f.path, O_WRONLY | O_APPEND | O_CLOEXEC));
}

static void close_all(void)
{
	must("close", close(f.fd));
	must("close", close(f.append_fd));
}

static void do_reopen(void)
{
	bool empty = one_in(30);

	describe(empty ? "reopen empty" : "reopen");
	if (f.map)
		munmap(f.map, f.map_bytes);
	f.map = NULL;
	close_all();
	open_all(empty ? O_TRUNC : 0);
	if (empty)
		model_resize(0);
	check_size(f.fd);
}

static void do_rename(void)
{
	char to[PATH_MAX];
	size_t length = strlen(f.path);

	describe("rename");
	snprintf(to, sizeof(to), "%s", f.path);
	if (length > 2 && !strcmp(f.path + length - 2, ".r"))
		to[length - 2] = 0;
	else
		snprintf(to + length, sizeof(to) - length, ".r");
	must("rename", rename(f.path, to));
	memcpy(f.path, to, sizeof(to));
	check_size(f.fd);
}

/* What is said to be a hole must be zeros. */
static void check_hole(off_t at, off_t end)
{
	for (off_t n = at; n < end; n++)
		if (f.model[n])
			mismatch("SEEK_DATA skips data at %lld", (long long)n);
}

/*
 * One end of a thing is the start of the other. Linux asks a FUSE server for holes without giving it
 * the pages that only mappings have changed: those are written first.
 */
static void do_seek(void)
{
	off_t at = random_offset(f.size + PAGE), data, hole;
	int error;

	if (f.mapped_dirty)
		must("fsync", fsync(f.fd));
	f.mapped_dirty = false;
	data = lseek(f.fd, at, SEEK_DATA);
	error = errno;
	describe("seek %lld: data at %lld", (long long)at, (long long)data);
	if (data < 0 && error != ENXIO)
		mismatch("SEEK_DATA: %s", strerror(error));
	if (data >= f.size || (data >= 0 && data < at))
		mismatch("SEEK_DATA from %lld gave %lld", (long long)at, (long long)data);
	check_hole(at, data < 0 ? f.size : data);
	if (data < 0)
		return;
	hole = must("SEEK_HOLE", lseek(f.fd, data, SEEK_HOLE));
	if (hole <= data || hole > f.size)
		mismatch("SEEK_HOLE from %lld gave %lld", (long long)data, (long long)hole);
}

/* Aligned pieces past the cache of pages. */
static void do_direct(void)
{
	int fd = open(f.path, O_RDWR | O_DIRECT | O_CLOEXEC);
	off_t at = below(f.size) / PAGE * PAGE;
	long length = (1 + below(8)) * PAGE;

	if (fd < 0 && errno == EINVAL)
		return;
	must("open", fd);
	if (one_in(2) && at + length <= f.max) {
		describe("direct write %lld + %ld", (long long)at, length);
		random_piece(length);
		must_be("direct write", pwrite(fd, f.piece, (size_t)length, at), length);
		model_write(at, f.piece, length);
	} else {
		describe("direct read %lld + %ld", (long long)at, length);
		must_be("direct read", pread(fd, f.piece, (size_t)length, at),
			clip(at, length));
		compare("direct read", f.piece, at, clip(at, length));
	}
	must("close", close(fd));
}

static struct operation {
	const char *name;
	void (*run)(void);
	int weight; /* of the sum of all; 0 = left out */
	long count;
} operations[] = {
	{"read", do_read, 20, 0},
	{"write", do_write, 20, 0},
	{"append", do_append, 6, 0},
	{"truncate", do_truncate, 6, 0},
	{"mmap_read", do_mmap_read, 8, 0},
	{"mmap_write", do_mmap_write, 8, 0},
	{"kept_map", do_kept_map, 6, 0},
	{"allocate", do_allocate, 4, 0},
	{"punch", do_punch, 5, 0},
	{"zero", do_zero, 4, 0},
	{"copy", do_copy, 5, 0},
	{"sync", do_sync, 1, 0},
	{"forget_pages", do_forget_pages, 1, 0},
	{"reopen", do_reopen, 3, 0},
	{"rename", do_rename, 2, 0},
	{"seek", do_seek, 4, 0},
	{"direct", do_direct, 3, 0},
};

/* ---- the run ---- */

static struct operation *choose(void)
{
	long sum = 0, at;
	size_t n = 0;

	for (size_t k = 0; k < ROWS(operations); k++)
		sum += operations[k].weight;
	at = below(sum);
	while (at >= operations[n].weight)
		at -= operations[n++].weight;
	return &operations[n];
}

static void leave_out(char *names)
{
	for (char *name; (name = strsep(&names, ","));) {
		size_t n = 0;

		while (n < ROWS(operations) && strcmp(operations[n].name, name))
			n++;
		if (n == ROWS(operations)) {
			fprintf(stderr, "fsrandom: no operation '%s'\n", name);
			exit(2);
		}
		operations[n].weight = 0;
	}
}

static void load_model(const char *original)
{
	int fd = open(original, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, f.model, (size_t)f.max);

	if (n < 0) {
		fprintf(stderr, "fsrandom: %s: %s\n", original, strerror(errno));
		exit(2);
	}
	close(fd);
	f.size = n;
}

static void prepare(const char *original)
{
	f.model = calloc(1, (size_t)f.max + PAGE);
	f.piece = aligned_alloc((size_t)PAGE, (size_t)(PIECE_MAX + PAGE));
	if (!f.model || !f.piece) {
		fprintf(stderr, "fsrandom: out of memory\n");
		exit(2);
	}
	if (original)
		load_model(original);
	open_all(original ? 0 : O_CREAT | O_TRUNC);
	check_size(f.fd);
}

static void run(long steps)
{
	for (f.step = 1; f.step <= steps; f.step++) {
		struct operation *op = choose();

		describe("%s: nothing to do", op->name);
		op->run();
		op->count++;
		if (f.step % CHECK_ALL == 0)
			check_all();
	}
	f.step = steps;
	do_reopen();
	check_all();
	close_all();
}

int main(int argc, char **argv)
{
	const char *original = NULL;
	uint64_t seed = 1;
	long steps = 10000;
	int c;

	f.max = 1 << 20;
	while ((c = getopt(argc, argv, "n:s:l:f:x:")) != -1) {
		switch (c) {
		case 'n':
			steps = atol(optarg);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 10);
			break;
		case 'l':
			f.max = atol(optarg);
			break;
		case 'f':
			original = optarg;
			break;
		case 'x':
			leave_out(optarg);
			break;
		default:
			return 2;
		}
	}
	if (argc != optind + 1) {
		fprintf(stderr, "usage: fsrandom [-n N] [-s SEED] [-l BYTES] [-f ORIGINAL] "
				"[-x NAME,...] FILE\n");
		return 2;
	}
	snprintf(f.path, sizeof(f.path), "%s", argv[optind]);
	f.random = seed * 0x9e3779b97f4a7c15ULL + 1;
	prepare(original);
	run(steps);
	for (size_t n = 0; n < ROWS(operations); n++)
		printf("%s %ld%s", operations[n].name, operations[n].count,
			n + 1 < ROWS(operations) ? ", " : "\n");
	return 0;
}
