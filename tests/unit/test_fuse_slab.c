/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Objects of one size: no two overlap, and memory goes back when they are freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fuse_hsm/slab.h"
#include "hsm/util.h"

#define MANY 20000u

static void fill(struct fuse_hsm_slab *s, unsigned char **object, unsigned int count)
{
	for (unsigned int n = 0; n < count; n++) {
		object[n] = fuse_hsm_slab_alloc(s);
		assert_non_null(object[n]);
		memset(object[n], (int)(n & 0xff), s->object_bytes);
	}
}

static void check_and_free(struct fuse_hsm_slab *s, unsigned char *object, unsigned int n)
{
	for (size_t b = 0; b < s->object_bytes; b++)
		assert_int_equal(object[b], n & 0xff);
	fuse_hsm_slab_free(s, object);
}

static void objects_do_not_overlap(void **state)
{
	static const size_t sizes[] = {1, 8, 31, 32, 40, 56, 200};
	unsigned char **object = calloc(MANY, sizeof(*object));

	(void)state;
	for (size_t k = 0; k < HSM_ARRAY_SIZE(sizes); k++) {
		struct fuse_hsm_slab s;

		fuse_hsm_slab_init(&s, sizes[k]);
		assert_in_range(s.object_bytes, sizes[k], sizes[k] + 7);
		fill(&s, object, MANY);
		assert_in_range(fuse_hsm_slab_bytes(&s), MANY * s.object_bytes,
			MANY * s.object_bytes * 101 / 100 + 65536);
		for (unsigned int n = 0; n < MANY; n++)
			check_and_free(&s, object[n], n);
		fuse_hsm_slab_release(&s);
	}
	free(object);
}

static void memory_goes_back(void **state)
{
	unsigned char **object = calloc(MANY, sizeof(*object));
	struct fuse_hsm_slab s;

	(void)state;
	fuse_hsm_slab_init(&s, 32);
	for (unsigned int round = 0; round < 3; round++) {
		fill(&s, object, MANY);
		for (unsigned int n = 0; n < MANY; n++)
			check_and_free(&s, object[n], n);
		assert_int_equal(s.blocks, 1);
		assert_in_range(fuse_hsm_slab_bytes(&s), 0, 128 * 32 + 64);
	}
	fuse_hsm_slab_release(&s);
	assert_int_equal(s.blocks, 0);
	free(object);
}

/* Half of each block stays in use: what is allocated next goes there. */
static void holes_are_used_again(void **state)
{
	unsigned char **object = calloc(MANY, sizeof(*object));
	struct fuse_hsm_slab s;
	size_t before;

	(void)state;
	fuse_hsm_slab_init(&s, 40);
	fill(&s, object, MANY);
	before = s.blocks;
	for (unsigned int n = 0; n < MANY; n += 2)
		check_and_free(&s, object[n], n);
	for (unsigned int n = 0; n < MANY; n += 2) {
		object[n] = fuse_hsm_slab_alloc(&s);
		memset(object[n], (int)(n & 0xff), s.object_bytes);
	}
	assert_int_equal(s.blocks, before);
	for (unsigned int n = 0; n < MANY; n++)
		check_and_free(&s, object[n], n);
	fuse_hsm_slab_release(&s);
	free(object);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_do_not_overlap),
		cmocka_unit_test(memory_goes_back),
		cmocka_unit_test(holes_are_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
