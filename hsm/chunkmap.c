/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hsm/chunkmap.h"

unsigned int hsm_chunkmap_shift(uint64_t size, unsigned int min_shift)
{
	unsigned int shift = min_shift;

	while (shift < 63 &&
		(size >> shift) + !!(size & ((1ull << shift) - 1)) > HSM_CHUNKMAP_CHUNKS)
		shift++;
	return shift;
}

uint32_t hsm_chunkmap_count(uint64_t size, unsigned int shift)
{
	return (uint32_t)((size >> shift) + !!(size & ((1ull << shift) - 1)));
}

uint32_t hsm_chunkmap_find(const uint8_t *map, uint32_t from, uint32_t end, bool present)
{
	uint8_t skip = present ? 0x00 : 0xff;

	while (from < end) {
		if (from % 8 == 0 && end - from >= 8 &&
			__atomic_load_n(&map[from / 8], __ATOMIC_ACQUIRE) == skip) {
			from += 8;
			continue;
		}
		if (hsm_chunkmap_test(map, from) == present)
			return from;
		from++;
	}
	return end;
}

uint32_t hsm_chunkmap_weight(const uint8_t *map, uint32_t count)
{
	uint32_t weight = 0;

	for (uint32_t i = 0; i < count / 8; i++)
		weight += (uint32_t)__builtin_popcount(map[i]);
	for (uint32_t i = count & ~7u; i < count; i++)
		weight += hsm_chunkmap_test(map, i);
	return weight;
}
