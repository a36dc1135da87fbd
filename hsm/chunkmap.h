/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HSM_CHUNKMAP_H
#define HSM_CHUNKMAP_H
/*
 * The map of present chunks of one file: one bit per chunk, little-endian bit order, so that
 * the bytes can be written to an xattr or a journal slot as they are. Bits are set with release
 * and read with acquire order: who sees the bit sees the data. Only bits [0, count) are ever set.
 */
#include <stdbool.h>
#include <stdint.h>

/* The map must fit one ext4 xattr block beside the other state: 2 KiB, 16,384 chunks. */
#define HSM_CHUNKMAP_BYTES  2048u
#define HSM_CHUNKMAP_CHUNKS (HSM_CHUNKMAP_BYTES * 8)

/* Smallest shift >= @min_shift with at most HSM_CHUNKMAP_CHUNKS chunks for @size bytes. */
unsigned int hsm_chunkmap_shift(uint64_t size, unsigned int min_shift);

/* Chunks of a file; 0 for an empty one. */
uint32_t hsm_chunkmap_count(uint64_t size, unsigned int shift);

/* Bytes that @count chunks need. */
static inline uint32_t hsm_chunkmap_bytes(uint32_t count)
{
	return (count + 7) / 8;
}

static inline bool hsm_chunkmap_test(const uint8_t *map, uint32_t chunk)
{
	return __atomic_load_n(&map[chunk / 8], __ATOMIC_ACQUIRE) & (1u << (chunk % 8));
}

/* True if the bit was not set before. */
static inline bool hsm_chunkmap_set(uint8_t *map, uint32_t chunk)
{
	uint8_t bit = (uint8_t)(1u << (chunk % 8));

	return !(__atomic_fetch_or(&map[chunk / 8], bit, __ATOMIC_RELEASE) & bit);
}

/* First chunk in [from, end) whose bit is @present, or @end. */
uint32_t hsm_chunkmap_find(const uint8_t *map, uint32_t from, uint32_t end, bool present);

/* Set bits in [0, count). */
uint32_t hsm_chunkmap_weight(const uint8_t *map, uint32_t count);

/* All of [from, end) present? */
static inline bool hsm_chunkmap_all(const uint8_t *map, uint32_t from, uint32_t end)
{
	return hsm_chunkmap_find(map, from, end, false) == end;
}

#endif
