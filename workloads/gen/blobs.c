/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datasets "fio" and "seq": incompressible files. Each fio job has its own so that no
 * measurement warms the file of another.
 */
#include "workloads/gen/gen.h"

#include <stdio.h>

#define SEQ_JOBS       4
#define SEQ_FILE_BYTES (1ull << 30)

static const char *const blocks[] = {"4k", "128k"};

/* Sequential readers have a file each, random ones share one. */
static int put_job(struct gen_out *out, const char *block)
{
	const struct gen_preset *p = out->preset;
	char name[32];
	int err;

	snprintf(name, sizeof(name), "seq-%s-1", block);
	err = gen_file_put_random(out, name, p->seq_bytes);
	for (int i = 0; i < SEQ_JOBS && !err; i++) {
		snprintf(name, sizeof(name), "seq-%s-%d.%d", block, SEQ_JOBS, i);
		err = gen_file_put_random(out, name, p->seq_bytes / SEQ_JOBS);
	}
	for (int jobs = 1; jobs <= 4 && !err; jobs += 3) {
		snprintf(name, sizeof(name), "rand-%s-%d", block, jobs);
		err = gen_file_put_random(out, name, p->rand_bytes);
	}
	return err;
}

int gen_blobs_fio(struct gen_out *out)
{
	int err = put_job(out, blocks[0]);

	return err ? err : put_job(out, blocks[1]);
}

int gen_blobs_seq(struct gen_out *out)
{
	return gen_file_put_random(out, "big.bin", SEQ_FILE_BYTES);
}
