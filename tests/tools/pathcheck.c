/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pathcheck: every path to the bytes of a file, on a tree of stubs. This file runs the rows;
 * they are in pathcheck/, one file a family.
 *
 *   pathcheck -l                             the names
 *   pathcheck [-p PART] [-e DIR] TREE NATIVE [ROW...]   runs rows
 *   pathcheck -c TREE NATIVE [ROW...]        compares what the rows left, by reading it
 *   pathcheck --sum                          checksum of this program's own segments (row exec_binary)
 *
 * PART of the files is read before: head, tail, or ends; without -p they are cold. A line a row: "same NAME",
 * "skip NAME (why)", or "differs NAME | native: LINE | here: LINE" with the first difference.
 * Exit code 2 for misuse, else 0: what may differ is the caller's business.
 */
#include "tests/tools/pathcheck/pathcheck.h"

#include <link.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#define ROWS_MAX 200
#define LIMIT_S	 30

char A[64], B[64];
const char *elsewhere = "/tmp";

static const struct row *rows[ROWS_MAX];
static size_t row_count;

/* Shared with the processes of a row. */
static struct transcript {
	char text[16384];
	char skipped[128];
} * now;

void row_register(const struct row *row)
{
	if (row_count < ROWS_MAX)
		rows[row_count++] = row;
}

/* ---- what is written down ---- */

void say(const char *fmt, ...)
{
	size_t used = strlen(now->text), room = sizeof(now->text) - used;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(now->text + used, room - 1, fmt, ap);
	va_end(ap);
	strcat(now->text, "\n");
}

long say_call(const char *what, long result)
{
	if (result < 0)
		say("%s: %s", what, strerrorname_np(errno));
	else
		say("%s: %ld", what, result);
	return result;
}

static uint64_t checksum(uint64_t sum, const unsigned char *p, size_t length)
{
	for (size_t i = 0; i < length; i++)
		sum = (sum ^ p[i]) * 0x100000001b3;
	return sum;
}

/* Offset of the first page of zeros, -1: none. */
static ssize_t zero_page(const unsigned char *p, ssize_t length)
{
	static const unsigned char zeros[PAGE];

	for (ssize_t i = 0; i + PAGE <= length; i += PAGE)
		if (!memcmp(p + i, zeros, PAGE))
			return i;
	return length && length < PAGE && !memcmp(p, zeros, (size_t)length) ? 0 : -1;
}

void say_bytes(const char *what, const void *bytes, ssize_t length)
{
	char zeros[64] = "";

	if (length < 0) {
		say_call(what, length);
		return;
	}
	if (zero_page(bytes, length) >= 0)
		snprintf(zeros, sizeof(zeros), ", zeros at %zd", zero_page(bytes, length));
	say("%s: %zd bytes, %016llx%s", what, length,
		(unsigned long long)checksum(0xcbf29ce484222325, bytes, (size_t)length), zeros);
}

void skip(const char *why)
{
	snprintf(now->skipped, sizeof(now->skipped), "%s", why);
	_exit(0);
}

/* ---- shorthands ---- */

int open_or_end(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0) {
		say("open %#x: %s", (unsigned int)flags, strerrorname_np(errno));
		_exit(0);
	}
	return fd;
}

void *memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		skip("no memory");
	return p;
}

void say_range(int fd, off_t offset, size_t length)
{
	char what[64];
	char *p = memory(length);

	snprintf(what, sizeof(what), "at %lld", (long long)offset);
	say_bytes(what, p, pread(fd, p, length, offset));
	munmap(p, length);
}

void say_fd(int fd)
{
	struct stat st;

	fstat(fd, &st);
	say("size %lld", (long long)st.st_size);
	say_range(fd, 0, (size_t)st.st_size + PAGE);
}

void say_file(const char *path)
{
	int fd = open_or_end(path, O_RDONLY);

	say_fd(fd);
	close(fd);
}

int make_local(const char *path, size_t bytes)
{
	int fd = open_or_end(path, O_RDWR | O_CREAT | O_TRUNC);
	unsigned char *p = memory(bytes + 1);

	for (size_t i = 0; i < bytes; i++)
		p[i] = (unsigned char)(i % 251 + 1);
	if (pwrite(fd, p, bytes, 0) != (ssize_t)bytes)
		say("writing a local file: %s", strerrorname_np(errno));
	munmap(p, bytes + 1);
	return fd;
}

void in_child(void (*run)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(LIMIT_S);
		run();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	say("child: %d", status);
}

void own_namespace(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		skip("no mount namespaces");
}

/* ---- running ---- */

static void name_files(const char *row)
{
	snprintf(A, sizeof(A), "%s.1", row);
	snprintf(B, sizeof(B), "%s.2", row);
}

static void read_part(const char *path, off_t from, off_t to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char page[PAGE];

	posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
	for (; from < to; from += PAGE)
		if (pread(fd, page, sizeof(page), from) <= 0)
			break;
	close(fd);
}

static void read_part_of(const char *path, const char *part)
{
	struct stat st;

	if (stat(path, &st))
		return;
	if (!strcmp(part, "head"))
		read_part(path, 0, st.st_size / 2);
	else if (!strcmp(part, "tail"))
		read_part(path, st.st_size / 2, st.st_size);
	else {
		read_part(path, 0, PAGE);
		read_part(path, st.st_size - 1, st.st_size);
	}
}

static void run_child(const struct row *row, const char *dir, const char *part)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(LIMIT_S);
	if (chdir(dir)) {
		say("chdir %s: %s", dir, strerrorname_np(errno));
		_exit(1);
	}
	if (part) {
		read_part_of(A, part);
		read_part_of(B, part);
	}
	row->run();
	exit(0);
}

/* The row in @dir, written down in @t. */
static void run_in(
	const struct row *row, const char *dir, const char *part, struct transcript *t)
{
	int status;
	pid_t pid;

	memset(now, 0, sizeof(*now));
	pid = fork();
	if (!pid)
		run_child(row, dir, part);
	waitpid(pid, &status, 0);
	if (status)
		say("the row ended with %s %d", WIFSIGNALED(status) ? "signal" : "code",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	*t = *now;
}

static void compare_files(const struct row *row)
{
	name_files(row->name);
	for (const char *f = A; f; f = f == A ? B : NULL)
		if (access(f, F_OK))
			say("no %s", f);
		else
			say_file(f);
}

static char *next_line(char **p)
{
	char *line = *p ? strsep(p, "\n") : NULL;

	return line && *line ? line : NULL;
}

static void print_difference(
	const char *name, struct transcript *native, struct transcript *here)
{
	char *n = native->text, *h = here->text, *ln, *lh;

	do {
		ln = next_line(&n);
		lh = next_line(&h);
	} while (ln && lh && !strcmp(ln, lh));
	printf("differs %s | native: %s | here: %s\n", name, ln ? ln : "-", lh ? lh : "-");
}

static const struct row *current;

static void compare_current(void)
{
	compare_files(current);
}

static void run_row(const struct row *row, char **dirs, const char *part, bool only_compare)
{
	static struct transcript native, here;
	const struct row files = {row->name, compare_current};

	current = row;
	name_files(row->name);
	run_in(only_compare ? &files : row, dirs[1], NULL, &native);
	run_in(only_compare ? &files : row, dirs[0], part, &here);
	if (native.skipped[0] || here.skipped[0])
		printf("skip %s (%s)\n", row->name,
			native.skipped[0] ? native.skipped : here.skipped);
	else if (strcmp(native.text, here.text))
		print_difference(row->name, &native, &here);
	else
		printf("same %s\n", row->name);
	if (getenv("PATHCHECK_SHOW"))
		printf("-- native\n%s-- here\n%s", native.text, here.text);
	fflush(stdout);
}

static bool wanted(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

/* ---- being the binary of row exec_binary ---- */

/* Segments that are not written to: what the file has, through page faults. */
static int sum_segments(struct dl_phdr_info *info, size_t size, void *arg)
{
	uint64_t *sum = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_LOAD && !(ph->p_flags & PF_W))
			*sum = checksum(*sum,
				(const unsigned char *)(info->dlpi_addr + ph->p_vaddr),
				ph->p_filesz);
	}
	return 1; /* the program comes first; its libraries are none of ours */
}

static int print_sum(void)
{
	uint64_t sum = 1;

	dl_iterate_phdr(sum_segments, &sum);
	return printf("%016llx\n", (unsigned long long)sum) < 0;
}

static int list_names(void)
{
	for (size_t i = 0; i < row_count; i++)
		puts(rows[i]->name);
	return 0;
}

int main(int argc, char **argv)
{
	const char *part = NULL;
	bool only_compare = false;
	int c;

	if (argc == 2 && !strcmp(argv[1], "--sum"))
		return print_sum();
	while ((c = getopt(argc, argv, "lcp:e:")) != -1) {
		if (c == 'l')
			return list_names();
		if (c == 'c')
			only_compare = true;
		else if (c == 'p')
			part = optarg;
		else if (c == 'e')
			elsewhere = optarg;
		else
			return 2;
	}
	if (argc - optind < 2)
		return 2;
	now = mmap(
		NULL, sizeof(*now), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (now == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < row_count; i++)
		if (wanted(rows[i]->name, argv + optind + 2))
			run_row(rows[i], argv + optind, part, only_compare);
	return 0;
}
