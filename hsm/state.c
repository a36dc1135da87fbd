/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/state.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "hsm/util.h"

#define STATE_VERSION 1

/* Linux 6.13; the same number on every architecture but alpha. */
#ifndef SYS_getxattrat
#define SYS_getxattrat 464
#endif

struct getxattrat_args {
	uint64_t value;
	uint32_t size;
	uint32_t flags;
};

/* On disk, little-endian, followed by the validator and the path, neither with a NUL. */
struct disk_state {
	uint8_t version;
	uint8_t kind;
	uint8_t flags;
	uint8_t chunk_shift;
	uint32_t epoch;
	uint64_t cache_id;
	uint64_t size;
	uint64_t fill_end;
	uint64_t mtime_ns;
	uint16_t validator_len;
	uint16_t path_len;
	char text[HSM_VALIDATOR_MAX + HSM_PATH_MAX];
} __attribute__((packed));

#define STATE_HEADER offsetof(struct disk_state, text)

struct disk_map {
	uint32_t epoch;
	uint32_t count;
	uint8_t bits[HSM_CHUNKMAP_BYTES];
} __attribute__((packed));

#define MAP_HEADER offsetof(struct disk_map, bits)

static int decode(const struct disk_state *disk, ssize_t n, struct hsm_state *ret_state)
{
	size_t validator_len, path_len;

	if (n < 0)
		return -errno;
	if ((size_t)n < STATE_HEADER || disk->version != STATE_VERSION)
		return -EBADMSG;
	validator_len = le16toh(disk->validator_len);
	path_len = le16toh(disk->path_len);
	if (validator_len >= HSM_VALIDATOR_MAX || path_len > HSM_PATH_MAX ||
		STATE_HEADER + validator_len + path_len != (size_t)n || disk->chunk_shift > 62)
		return -EBADMSG;
	ret_state->kind = disk->kind;
	ret_state->flags = disk->flags;
	ret_state->chunk_shift = disk->chunk_shift;
	ret_state->epoch = le32toh(disk->epoch);
	ret_state->cache_id = le64toh(disk->cache_id);
	ret_state->size = le64toh(disk->size);
	ret_state->fill_end = HSM_MIN(le64toh(disk->fill_end), ret_state->size);
	ret_state->mtime_ns = (int64_t)le64toh(disk->mtime_ns);
	memcpy(ret_state->validator, disk->text, validator_len);
	ret_state->validator[validator_len] = 0;
	memcpy(ret_state->path, disk->text + validator_len, path_len);
	ret_state->path[path_len] = 0;
	return 0;
}

int hsm_state_load(int fd, struct hsm_state *ret_state)
{
	struct disk_state d;
	ssize_t n = fgetxattr(fd, HSM_XATTR_STATE, &d, sizeof(d));

	return decode(&d, n, ret_state);
}

static ssize_t get_opened(int dirfd, const char *name, struct disk_state *d)
{
	auto_fd int fd =
		openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);

	return fd < 0 ? -1 : fgetxattr(fd, HSM_XATTR_STATE, d, sizeof(*d));
}

static ssize_t get_at(int dirfd, const char *name, struct disk_state *d)
{
	struct getxattrat_args args = {.value = (uintptr_t)d, .size = sizeof(*d)};
	static _Atomic bool unknown;
	ssize_t n;

	if (atomic_load_explicit(&unknown, memory_order_relaxed))
		return get_opened(dirfd, name, d);
	n = syscall(SYS_getxattrat, dirfd, name, AT_SYMLINK_NOFOLLOW, HSM_XATTR_STATE, &args,
		sizeof(args));
	if (n >= 0 || errno != ENOSYS)
		return n;
	atomic_store_explicit(&unknown, true, memory_order_relaxed);
	return get_opened(dirfd, name, d);
}

int hsm_state_load_at(int dirfd, const char *name, struct hsm_state *ret_state)
{
	struct disk_state d;
	ssize_t n = get_at(dirfd, name, &d);

	return decode(&d, n, ret_state);
}

/* An O_PATH descriptor takes no xattr call, but its name in /proc leads to the link itself. */
static void link_path(int fd, char *path, size_t size)
{
	snprintf(path, size, "/proc/self/fd/%d", fd);
}

int hsm_state_load_link(int fd, struct hsm_state *ret_state)
{
	struct disk_state d;
	char path[32];
	ssize_t n;

	link_path(fd, path, sizeof(path));
	n = getxattr(path, HSM_XATTR_STATE, &d, sizeof(d));
	return decode(&d, n, ret_state);
}

/* The bytes used of @d, or -ENAMETOOLONG. */
static ssize_t encode(const struct hsm_state *state, struct disk_state *d)
{
	size_t validator_len = strlen(state->validator), path_len = strlen(state->path);

	if (path_len > HSM_PATH_MAX)
		return -ENAMETOOLONG;
	*d = (struct disk_state){
		.version = STATE_VERSION,
		.kind = state->kind,
		.flags = state->flags,
		.chunk_shift = state->chunk_shift,
		.epoch = htole32(state->epoch),
		.cache_id = htole64(state->cache_id),
		.size = htole64(state->size),
		.fill_end = htole64(state->fill_end),
		.mtime_ns = htole64((uint64_t)state->mtime_ns),
		.validator_len = htole16((uint16_t)validator_len),
		.path_len = htole16((uint16_t)path_len),
	};
	memcpy(d->text, state->validator, validator_len);
	memcpy(d->text + validator_len, state->path, path_len);
	return (ssize_t)(STATE_HEADER + validator_len + path_len);
}

int hsm_state_store(int fd, const struct hsm_state *state)
{
	struct disk_state d;
	ssize_t n = encode(state, &d);

	if (n < 0)
		return (int)n;
	return fsetxattr(fd, HSM_XATTR_STATE, &d, (size_t)n, 0) ? -errno : 0;
}

int hsm_state_store_link(int fd, const struct hsm_state *state)
{
	struct disk_state d;
	ssize_t n = encode(state, &d);
	char path[32];

	if (n < 0)
		return (int)n;
	link_path(fd, path, sizeof(path));
	return setxattr(path, HSM_XATTR_STATE, &d, (size_t)n, 0) ? -errno : 0;
}

int hsm_state_load_map(int fd, uint8_t *map, uint32_t count, uint32_t *ret_epoch)
{
	struct disk_map d;
	ssize_t n = fgetxattr(fd, HSM_XATTR_MAP, &d, sizeof(d));

	if (n < 0)
		return -errno;
	if ((size_t)n < MAP_HEADER || le32toh(d.count) != count ||
		(size_t)n != MAP_HEADER + hsm_chunkmap_bytes(count))
		return -EBADMSG;
	memcpy(map, d.bits, hsm_chunkmap_bytes(count));
	if (count % 8)
		map[count / 8] &= (uint8_t)((1u << (count % 8)) - 1);
	*ret_epoch = le32toh(d.epoch);
	return 0;
}

int hsm_state_store_map(int fd, const uint8_t *map, uint32_t count, uint32_t epoch)
{
	struct disk_map d = {.epoch = htole32(epoch), .count = htole32(count)};

	if (count > HSM_CHUNKMAP_CHUNKS)
		return -EINVAL;
	memcpy(d.bits, map, hsm_chunkmap_bytes(count));
	if (fsetxattr(fd, HSM_XATTR_MAP, &d, MAP_HEADER + hsm_chunkmap_bytes(count), 0))
		return -errno;
	return 0;
}

int hsm_state_drop_map(int fd)
{
	if (fremovexattr(fd, HSM_XATTR_MAP) && errno != ENODATA)
		return -errno;
	return 0;
}
