/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a system call on a file costs, in nanoseconds, for files that are to be compared:
 *
 *   pread            4 KiB at a fixed offset of a file that is open, from the page cache
 *   open_read_close  open(2), the same pread(2), close(2)
 *
 * Whether a call raises an event is a property of the file (for example one whose first bytes are
 * present but which is not complete), so the cost of an event is measured by naming such
 * a file. The files take turns in every round, and each round starts with another one, so
 * that slow changes of the machine hit all of them alike.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES 4096
#define CALLS_MAX  (1ul << 30)

struct options {
	unsigned long rounds;
	unsigned long sample_us;
	off_t offset;
};

struct subject {
	const char *path;
	int fd;
};

struct op {
	const char *name;
	int (*call)(const struct subject *s, off_t offset);
};

/* One file under one operation. */
struct series {
	unsigned long calls; /* per sample */
	double *ns; /* per call, one a round */
};

static char buffer[READ_BYTES];

static int call_pread(const struct subject *s, off_t offset)
{
	return pread(s->fd, buffer, sizeof(buffer), offset) < 0 ? -errno : 0;
}

static int call_open_read_close(const struct subject *s, off_t offset)
{
	int fd = open(s->path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = pread(fd, buffer, sizeof(buffer), offset);
	if (close(fd) || n < 0)
		return -errno;
	return 0;
}

static const struct op ops[] = {
	{"pread", call_pread},
	{"open_read_close", call_open_read_close},
};

#define OPS (sizeof(ops) / sizeof(ops[0]))

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void __attribute__((noreturn)) die(const char *what, int err)
{
	fprintf(stderr, "syscost: %s: %s\n", what, strerror(err));
	exit(1);
}

static uint64_t sample_ns(
	const struct op *op, const struct subject *s, off_t offset, unsigned long calls)
{
	uint64_t begin = now_ns();

	for (unsigned long i = 0; i < calls; i++) {
		int r = op->call(s, offset);

		if (r)
			die(s->path, -r);
	}
	return now_ns() - begin;
}

/* Doubles the number of calls until a sample is long enough for the clock; warms up, too. */
static unsigned long calibrate(
	const struct op *op, const struct subject *s, const struct options *opt)
{
	unsigned long calls = 16;

	while (calls < CALLS_MAX &&
		sample_ns(op, s, opt->offset, calls) < opt->sample_us * 1000)
		calls *= 2;
	return calls;
}

static void measure(const struct op *op, const struct subject *subjects, struct series *series,
	unsigned int count, const struct options *opt)
{
	for (unsigned int i = 0; i < count; i++)
		series[i].calls = calibrate(op, &subjects[i], opt);
	for (unsigned long round = 0; round < opt->rounds; round++) {
		for (unsigned int turn = 0; turn < count; turn++) {
			unsigned int i = (unsigned int)((turn + round) % count);
			struct series *s = &series[i];

			s->ns[round] =
				(double)sample_ns(op, &subjects[i], opt->offset, s->calls) /
				(double)s->calls;
		}
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *sorted, unsigned long count)
{
	return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

static void print_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void print_series(const struct op *op, struct series *s, const struct options *opt)
{
	qsort(s->ns, opt->rounds, sizeof(*s->ns), compare);
	printf(", \"%s\": {\"median\": %.1f, \"min\": %.1f, \"calls\": %lu}", op->name,
		median(s->ns, opt->rounds), s->ns[0], s->calls);
}

static void print(const struct subject *subjects, struct series *series, unsigned int count,
	const struct options *opt)
{
	printf("{\"unit\": \"ns\", \"rounds\": %lu, \"bytes\": %d, \"files\": [", opt->rounds,
		READ_BYTES);
	for (unsigned int i = 0; i < count; i++) {
		printf("%s\n  {\"path\": ", i ? "," : "");
		print_string(subjects[i].path);
		for (unsigned int o = 0; o < OPS; o++)
			print_series(&ops[o], &series[o * count + i], opt);
		putchar('}');
	}
	printf("\n]}\n");
}

static void run(const struct subject *subjects, unsigned int count, const struct options *opt)
{
	struct series *series = calloc(OPS * count, sizeof(*series));

	if (!series)
		die("memory", ENOMEM);
	for (unsigned int i = 0; i < OPS * count; i++) {
		series[i].ns = calloc(opt->rounds, sizeof(double));
		if (!series[i].ns)
			die("memory", ENOMEM);
	}
	for (unsigned int o = 0; o < OPS; o++)
		measure(&ops[o], subjects, series + o * count, count, opt);
	print(subjects, series, count, opt);
	for (unsigned int i = 0; i < OPS * count; i++)
		free(series[i].ns);
	free(series);
}

static int usage(void)
{
	fprintf(stderr,
		"usage: syscost [-r ROUNDS] [-t MICROSECONDS] [-o OFFSET] FILE...\n"
		"Times a 4 KiB pread and open+pread+close of each FILE in turn, prints JSON.\n"
		"  -r ROUNDS        samples per file and operation (41)\n"
		"  -t MICROSECONDS  length of a sample at least (2000)\n"
		"  -o OFFSET        where to read (0)\n");
	return 2;
}

static int parse(struct options *opt, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "r:t:o:")) != -1) {
		if (c == 'r')
			opt->rounds = strtoul(optarg, NULL, 10);
		else if (c == 't')
			opt->sample_us = strtoul(optarg, NULL, 10);
		else if (c == 'o')
			opt->offset = strtoll(optarg, NULL, 10);
		else
			return -EINVAL;
	}
	return optind < argc && opt->rounds && opt->sample_us && opt->offset >= 0 ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct options opt = {.rounds = 41, .sample_us = 2000};
	struct subject *subjects;
	unsigned int count;

	if (parse(&opt, argc, argv))
		return usage();
	count = (unsigned int)(argc - optind);
	subjects = calloc(count, sizeof(*subjects));
	if (!subjects)
		die("memory", ENOMEM);
	for (unsigned int i = 0; i < count; i++) {
		subjects[i].path = argv[optind + (int)i];
		subjects[i].fd = open(subjects[i].path, O_RDONLY | O_CLOEXEC);
		if (subjects[i].fd < 0)
			die(subjects[i].path, errno);
	}
	run(subjects, count, &opt);
	for (unsigned int i = 0; i < count; i++)
		close(subjects[i].fd);
	free(subjects);
	return 0;
}
