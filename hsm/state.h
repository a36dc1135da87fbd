/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_STATE_H
#define HSM_STATE_H
/*
 * What an inode is, kept in its own trusted xattrs so that renames and links cannot separate
 * the two (a symbolic link has trusted.hsm only). An inode without trusted.hsm is local: it is never filled and never overwritten.
 *
 *   trusted.hsm      always: kind, flags, sizes, remote path, validator (this structure)
 *   trusted.hsm.map  only while a regular file is partial: the map of present chunks
 *
 * Both carry the durability epoch of their last change, see epoch.h.
 */
#include <stdint.h>

#include "hsm/chunkmap.h"
#include "hsm/origin.h"

#define HSM_XATTR_STATE "trusted.hsm"
#define HSM_XATTR_MAP	"trusted.hsm.map"

/* Longest remote path: state and map together must fit one 4 KiB ext4 xattr block. */
#define HSM_PATH_MAX 1600

enum hsm_kind { HSM_KIND_FILE = 1, HSM_KIND_DIR = 2, HSM_KIND_LINK = 3 };

#define HSM_S_COMPLETE	  0x01 /* file: every chunk present, as of .epoch */
#define HSM_S_NAMES	  0x02 /* directory: its names exist */
#define HSM_S_DEEP	  0x04 /* directory: the names of each directory in it exist */
#define HSM_S_MTIME_EXACT 0x08 /* mtime_ns is the origin's, not a rounded one */
#define HSM_S_MODIFIED	  0x10 /* a user changed it: never evicted, never refreshed */
#define HSM_S_UPDATING	  0x20 /* directory: a refresh is at work and owes it its mtime */
#define HSM_S_GONE	  0x40 /* directory: not on the origin any more, kept for what is in it */

struct hsm_state {
	uint8_t kind;
	uint8_t flags;
	uint8_t chunk_shift;
	uint32_t epoch;
	uint64_t cache_id; /* of the cache it belongs to: a file system may hold several */
	uint64_t size; /* of the object on the origin */
	uint64_t fill_end; /* bytes from here on are local: the user cut the file there once */
	int64_t mtime_ns;
	char validator[HSM_VALIDATOR_MAX];
	char path[HSM_PATH_MAX + 1];
};

/* -ENODATA: local inode; -EBADMSG: not understood (written by something else or damaged). */
int hsm_state_load(int fd, struct hsm_state *ret_state);
int hsm_state_store(int fd, const struct hsm_state *state);

/*
 * The same of a name, which is not followed if it is a symbolic link: one system call where the
 * kernel has getxattrat(2) (Linux 6.13), and nothing is opened.
 */
int hsm_state_load_at(int dirfd, const char *name, struct hsm_state *ret_state);

/* The same of a symbolic link, whose descriptor is O_PATH. */
int hsm_state_load_link(int fd, struct hsm_state *ret_state);
int hsm_state_store_link(int fd, const struct hsm_state *state);

/*
 * Map of a partial file: @map has room for hsm_chunkmap_bytes(count) bytes. -ENODATA: none
 * stored; -EBADMSG: for another number of chunks.
 */
int hsm_state_load_map(int fd, uint8_t *map, uint32_t count, uint32_t *ret_epoch);
int hsm_state_store_map(int fd, const uint8_t *map, uint32_t count, uint32_t epoch);
int hsm_state_drop_map(int fd);

#endif
