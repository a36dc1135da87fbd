/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pseudo-random numbers: splitmix64, which needs one word of state and passes BigCrush. */
#include "workloads/gen/gen.h"

#include <string.h>

void gen_random_init(struct gen_random *r, uint64_t seed, const char *name)
{
	r->state = XXH64(name, strlen(name), seed);
}

uint64_t gen_random_next(struct gen_random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t gen_random_below(struct gen_random *r, uint64_t limit)
{
	return (uint64_t)(((unsigned __int128)gen_random_next(r) * limit) >> 64);
}

double gen_random_unit(struct gen_random *r)
{
	return (double)(gen_random_next(r) >> 11) * 0x1p-53;
}

void gen_random_fill(struct gen_random *r, void *bytes, size_t length)
{
	char *at = bytes;

	while (length) {
		uint64_t word = gen_random_next(r);
		size_t n = length < sizeof(word) ? length : sizeof(word);

		memcpy(at, &word, n);
		at += n;
		length -= n;
	}
}
