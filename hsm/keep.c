/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Filling a file that a user may have written to without anybody telling: while no daemon ran, or
 * through a descriptor that was opened before the marks were set. What is missing of such a file is
 * not simply a hole. Four kinds of data can be where the origin's is to go:
 *
 *   - half of an earlier fill that failed or was killed: the origin's bytes up to some point in a
 *     block, zeros from there to its end. They are written over;
 *   - zeros in front of what a user appended, in the block where the origin's bytes end;
 *   - pages of extents that are allocated and not written (--stubs prealloc), which look like data
 *     while they are in the page cache: zeros, and the file system knows that they are none;
 *   - all other is a user's, and stays, by whole blocks: he saw zeros around what he wrote.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "hsm/core.h"
#include "hsm/util.h"

#define BLOCK 4096u

int hsm_keep_pwrite(int fd, const char *bytes, size_t length, uint64_t offset)
{
	while (length) {
		ssize_t n = pwrite(fd, bytes, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		bytes += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return 0;
}

static bool is_zero(const char *p, size_t length)
{
	return !length || (!p[0] && !memcmp(p, p + 1, length - 1));
}

/* Has the file system, asked to write back first, nothing written there? */
static bool is_unwritten(int fd, uint64_t offset, size_t length)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} u = {.map = {.fm_start = offset,
		       .fm_length = length,
		       .fm_flags = FIEMAP_FLAG_SYNC,
		       .fm_extent_count = 1}};

	if (ioctl(fd, FS_IOC_FIEMAP, &u.map))
		return false;
	return !u.map.fm_mapped_extents ||
	       u.map.fm_extents[0].fe_flags & FIEMAP_EXTENT_UNWRITTEN ||
	       u.map.fm_extents[0].fe_logical >= offset + length;
}

enum verdict { WRITE, SAME, USERS };

/*
 * @have: what is there; @want: the origin's; both of one block. @zeros_ours: zeros at the end of
 * it are no user's.
 */
static enum verdict judge(int fd, const char *have, const char *want, size_t length,
	uint64_t offset, bool zeros_ours)
{
	size_t same = 0;

	while (same < length && have[same] == want[same])
		same++;
	if (same == length)
		return SAME;
	if (!is_zero(have + same, length - same))
		return USERS;
	/* Zeros that both have prove nothing. */
	if (zeros_ours || !is_zero(have, same))
		return WRITE;
	return is_unwritten(fd, offset, length) ? WRITE : USERS;
}

/* One block, or the part of one that was asked for. */
static int write_block(int fd, const char *want, size_t length, uint64_t offset,
	uint64_t appended, bool *tail_ours)
{
	bool carry = offset % BLOCK && *tail_ours;
	char have[BLOCK];
	ssize_t n = pread(fd, have, length, (off_t)offset);
	enum verdict v;

	if (n != (ssize_t)length)
		return n < 0 ? -errno : -EIO;
	v = judge(fd, have, want, length, offset,
		carry || (appended % BLOCK && offset / BLOCK == appended / BLOCK));
	/* The same bytes may be a user's, but zeros prove nothing of what follows. */
	*tail_ours = v == WRITE || (v == SAME && (carry || !is_zero(want, length)));
	if (v == WRITE)
		return hsm_keep_pwrite(fd, want, length, offset);
	return v == USERS;
}

/* [offset, offset + length) is data. */
static int write_over(int fd, const char *bytes, size_t length, uint64_t offset,
	uint64_t appended, bool *tail_ours)
{
	bool kept = false;

	while (length) {
		size_t part = HSM_MIN(length, (size_t)(BLOCK - offset % BLOCK));
		int r = write_block(fd, bytes, part, offset, appended, tail_ours);

		if (r < 0)
			return r;
		kept |= r;
		bytes += part;
		offset += part;
		length -= part;
	}
	return kept;
}

/* How much from @offset is of the same kind, data or hole. */
static size_t span(int fd, uint64_t offset, size_t length, bool *ret_data)
{
	off_t data = lseek(fd, (off_t)offset, SEEK_DATA), hole;

	/* No data to the end; or it cannot be told, and is looked at. */
	*ret_data = data < 0 ? errno != ENXIO : (uint64_t)data <= offset;
	if (data < 0)
		return length;
	if (!*ret_data)
		return (size_t)HSM_MIN((uint64_t)data - offset, (uint64_t)length);
	hole = lseek(fd, (off_t)offset, SEEK_HOLE);
	return hole <= (off_t)offset
		       ? length
		       : (size_t)HSM_MIN((uint64_t)hole - offset, (uint64_t)length);
}

int hsm_keep_write(int fd, const char *bytes, size_t length, uint64_t offset, uint64_t appended,
	bool *tail_ours)
{
	bool kept = false, data;

	while (length) {
		size_t part = span(fd, offset, length, &data);
		int r = data ? write_over(fd, bytes, part, offset, appended, tail_ours)
			     : hsm_keep_pwrite(fd, bytes, part, offset);

		if (r < 0)
			return r;
		kept |= r;
		if (!data)
			*tail_ours = true;
		bytes += part;
		offset += part;
		length -= part;
	}
	return kept;
}
