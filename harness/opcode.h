/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BENCH_OPCODE_H
#define BENCH_OPCODE_H
/* The request types of the FUSE protocol: enum fuse_opcode of linux/fuse.h, up to 7.45. */

/* "LOOKUP" for 1; NULL for a number this program does not know. */
const char *bench_opcode_name(unsigned int opcode);

/* The type under which a file system counts @name: RENAME for RENAME2; borrowed or @name. */
const char *bench_opcode_family(const char *name);

#endif
