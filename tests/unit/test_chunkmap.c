/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "hsm/chunkmap.h"

static void shift_grows_with_size(void **unused)
{
	(void)unused;
	assert_int_equal(hsm_chunkmap_shift(0, 16), 16);
	assert_int_equal(hsm_chunkmap_shift(1ull << 30, 16), 16);
	assert_int_equal(hsm_chunkmap_shift((1ull << 30) + 1, 16), 17);
	assert_int_equal(hsm_chunkmap_shift(1ull << 40, 16), 26);
	for (uint64_t size = 1; size < 1ull << 50; size = size * 3 + 1) {
		unsigned int shift = hsm_chunkmap_shift(size, 12);
		uint32_t count = hsm_chunkmap_count(size, shift);

		assert_in_range(count, 1, HSM_CHUNKMAP_CHUNKS);
		assert_true(((uint64_t)count << shift) >= size);
		assert_true(((uint64_t)(count - 1) << shift) < size);
	}
}

static void count_rounds_up(void **unused)
{
	(void)unused;
	assert_int_equal(hsm_chunkmap_count(0, 16), 0);
	assert_int_equal(hsm_chunkmap_count(1, 16), 1);
	assert_int_equal(hsm_chunkmap_count(65536, 16), 1);
	assert_int_equal(hsm_chunkmap_count(65537, 16), 2);
	assert_int_equal(hsm_chunkmap_bytes(8), 1);
	assert_int_equal(hsm_chunkmap_bytes(9), 2);
}

static void find_agrees_with_test(void **unused)
{
	uint8_t map[HSM_CHUNKMAP_BYTES] = {0};
	uint32_t seed = 1;

	(void)unused;
	for (int i = 0; i < 300; i++) {
		seed = seed * 1103515245 + 12345;
		hsm_chunkmap_set(map, (seed >> 8) % 1000);
	}
	memset(map + 30, 0xff, 20);
	for (uint32_t from = 0; from < 1000; from++) {
		for (int present = 0; present < 2; present++) {
			uint32_t want = from;

			while (want < 1000 && hsm_chunkmap_test(map, want) != present)
				want++;
			assert_int_equal(hsm_chunkmap_find(map, from, 1000, present), want);
		}
	}
}

static void weight_ignores_bits_behind_the_end(void **unused)
{
	uint8_t map[4];

	(void)unused;
	memset(map, 0xff, sizeof(map));
	assert_int_equal(hsm_chunkmap_weight(map, 0), 0);
	assert_int_equal(hsm_chunkmap_weight(map, 7), 7);
	assert_int_equal(hsm_chunkmap_weight(map, 8), 8);
	assert_int_equal(hsm_chunkmap_weight(map, 27), 27);
	assert_true(hsm_chunkmap_all(map, 3, 3));
	map[1] = 0xfe;
	assert_false(hsm_chunkmap_all(map, 0, 9));
	assert_true(hsm_chunkmap_all(map, 0, 8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shift_grows_with_size),
		cmocka_unit_test(count_rounds_up),
		cmocka_unit_test(find_agrees_with_test),
		cmocka_unit_test(weight_ignores_bits_behind_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
