/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FUSE_HSM_FUSE_COMPAT_H
#define FUSE_HSM_FUSE_COMPAT_H
/*
 * The kernel's FUSE protocol where the installed headers are older than the kernel: passthrough
 * (Linux 6.9, protocol 7.40) and requests over io_uring (Linux 6.14, protocol 7.42).
 */
#include <linux/fuse.h>
#include <linux/ioctl.h>

/* Flags of INIT. */
#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#endif
#ifndef FUSE_PASSTHROUGH
#define FUSE_PASSTHROUGH (1ULL << 37)
#endif
#ifndef FUSE_NO_EXPORT_SUPPORT
#define FUSE_NO_EXPORT_SUPPORT (1ULL << 38)
#endif
#ifndef FUSE_OVER_IO_URING
#define FUSE_OVER_IO_URING (1ULL << 41)
#endif

/* A notification without a body: all names are to be looked up again (Linux 6.16, protocol 7.44). */
#define FUSE_HSM_NOTIFY_INC_EPOCH 8
#define FUSE_HSM_EPOCH_MINOR	  44

#if FUSE_KERNEL_MINOR_VERSION < 40
/* Registers a file the kernel reads and writes by itself; returns its id. */
struct fuse_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define FUSE_DEV_IOC_BACKING_OPEN  _IOW(229, 1, struct fuse_backing_map)
#define FUSE_DEV_IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)
#endif

#if FUSE_KERNEL_MINOR_VERSION < 42
#define FUSE_URING_IN_OUT_HEADER_SZ 128
#define FUSE_URING_OP_IN_OUT_SZ	    128

struct fuse_uring_ent_in_out {
	uint64_t flags;
	uint64_t commit_id; /* names the request when it is answered */
	uint32_t payload_sz;
	uint32_t padding;
	uint64_t reserved;
};

/* First of the two buffers of an entry; the second has what follows the operation's header. */
struct fuse_uring_req_header {
	char in_out[FUSE_URING_IN_OUT_HEADER_SZ]; /* fuse_in_header, then fuse_out_header */
	char op_in[FUSE_URING_OP_IN_OUT_SZ];
	struct fuse_uring_ent_in_out ring_ent_in_out;
};

enum fuse_uring_cmd {
	FUSE_IO_URING_CMD_INVALID = 0,
	FUSE_IO_URING_CMD_REGISTER = 1,
	FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2,
};

/* In the command area of a submission. */
struct fuse_uring_cmd_req {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t qid;
	uint8_t padding[6];
};
#endif

#endif
