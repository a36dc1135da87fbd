/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mappings: one event when they are made, none at a page fault. */
#include <sys/syscall.h>

#include "tests/tools/pathcheck/pathcheck.h"

#define PART (64 * KIB)

static char *map(int fd, size_t length, int prot, int flags, off_t offset)
{
	char *p = mmap(NULL, length, prot, flags, fd, offset);

	if (p == MAP_FAILED) {
		say("mmap: %s", strerrorname_np(errno));
		_exit(0);
	}
	return p;
}

ROW(mmap_shared)
{
	int fd = open_or_end(A, O_RDONLY);

	say_bytes("middle", map(fd, PART, PROT_READ, MAP_SHARED, 512 * KIB), PART);
	say_bytes("all", map(fd, SIZE, PROT_READ, MAP_SHARED, 0), SIZE);
}

ROW(mmap_private)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);

	p[300000] = 'x';
	say_bytes("all", p, SIZE);
}

/* The descriptor is closed, the file's name too, before the first page fault. */
ROW(mmap_closed)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = map(fd, SIZE, PROT_READ, MAP_PRIVATE, 0);

	close(fd);
	CALL(rename(A, "mmap_closed.gone"));
	CALL(unlink("mmap_closed.gone"));
	say_bytes("all", p, SIZE);
}

ROW(mmap_prot_none)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = map(fd, SIZE, PROT_NONE, MAP_PRIVATE, 0);

	CALL(mprotect(p, SIZE, PROT_READ));
	say_bytes("all", p, SIZE);
}

ROW(mmap_populate)
{
	int fd = open_or_end(A, O_RDONLY);

	say_bytes("part", map(fd, PART, PROT_READ, MAP_SHARED | MAP_POPULATE, 640 * KIB), PART);
}

/* The first page is mapped, all of the file is read. */
ROW(mremap)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = map(fd, PAGE, PROT_READ, MAP_SHARED, 0);

	p = mremap(p, PAGE, SIZE, MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		CALL(-1);
	else
		say_bytes("grown", p, SIZE);
}

/* Of shared mappings that can be written only. */
ROW(remap_file_pages)
{
	int fd = open_or_end(A, O_RDWR);
	char *p = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);

	if (CALL(syscall(SYS_remap_file_pages, p, PAGE, 0, 800 * KIB / PAGE, 0)) >= 0)
		say_bytes("moved", p, PAGE);
}

/* madvise reads ahead, through the page cache and without an event. */
ROW(madvise)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = map(fd, SIZE, PROT_READ, MAP_SHARED, 0);

	CALL(madvise(p, SIZE, MADV_WILLNEED));
	CALL(madvise(p, SIZE, MADV_POPULATE_READ));
	say_bytes("all", p, SIZE);
}

ROW(mmap_store)
{
	int fd = open_or_end(A, O_RDWR);
	char *p = map(fd, PART, PROT_READ | PROT_WRITE, MAP_SHARED, 448 * KIB);

	memset(p + 1000, 'y', 20000);
	CALL(msync(p, PART, MS_SYNC));
	CALL(munmap(p, PART));
	say_fd(fd);
}

/* A store where a mapping has grown. */
ROW(mremap_store)
{
	int fd = open_or_end(A, O_RDWR);
	char *p = map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0);

	p = mremap(p, PAGE, SIZE, MREMAP_MAYMOVE);
	if (p == MAP_FAILED) {
		CALL(-1);
		return;
	}
	memset(p + 700000, 'z', 10);
	CALL(munmap(p, SIZE));
	say_fd(fd);
}

/* Another process reads the pages of a mapping. */
ROW(process_vm_readv)
{
	int fd = open_or_end(A, O_RDONLY);
	char *p = map(fd, SIZE, PROT_READ, MAP_PRIVATE, 0), *to = memory(SIZE);
	struct iovec from = {p, SIZE}, into = {to, SIZE};

	say_bytes("read", to, process_vm_readv(getpid(), &into, 1, &from, 1, 0));
}

/* What a program printed, and how it ended. */
static void say_output(const char *command)
{
	char text[256];
	FILE *f = popen(command, "r");
	size_t n = f ? fread(text, 1, sizeof(text), f) : 0;

	say_bytes("output", text, (ssize_t)n);
	say("end %d", f ? pclose(f) : -1);
}

ROW(exec_binary)
{
	say_output("./exec_binary.1 --sum");
}

ROW(exec_script)
{
	say_output("./exec_script.1");
}

/* By descriptor: no name is looked up. */
static void fexec(void)
{
	int fd = open(A, O_PATH | O_CLOEXEC);
	char *const argv[] = {"fexec", "--sum", NULL}, *const env[] = {NULL};

	dup2(open("exec_fd.out", O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
	CALL(fexecve(fd, argv, env));
}

ROW(exec_fd)
{
	in_child(fexec);
	say_file("exec_fd.out");
}
