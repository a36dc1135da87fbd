/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * INIT, and what it leads to. libfuse makes the reply, from the values set in its init operation;
 * it is caught on its way to the kernel, because some flags of a mode cannot be said through
 * libfuse (it always sets FUSE_BIG_WRITES), or not through an older one.
 */
#include "fuse_hsm/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "fuse_hsm/fs.h"
#include "fuse_hsm/fuse_compat.h"
#include "fuse_hsm/uring.h"
#include "hsm/util.h"

#define URING_SWITCH "/sys/module/fuse/parameters/enable_uring"
#define SPLICE	     (FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE)

/* ---- what a mode wants ---- */

struct flag {
	uint64_t bit;
	const char *name;
	bool ours; /* decided here, whatever libfuse thinks */
};

static const struct flag flags[] = {
	{FUSE_ASYNC_READ, "async_read", true},
	{FUSE_ATOMIC_O_TRUNC, "atomic_o_trunc", false},
	{FUSE_EXPORT_SUPPORT, "export_support", true},
	{FUSE_NO_EXPORT_SUPPORT, "no_export_support", true},
	{FUSE_BIG_WRITES, "big_writes", true},
	{FUSE_DONT_MASK, "dont_mask", true},
	{FUSE_AUTO_INVAL_DATA, "auto_inval_data", true},
	{FUSE_DO_READDIRPLUS, "readdirplus", true},
	{FUSE_READDIRPLUS_AUTO, "readdirplus_auto", true},
	{FUSE_ASYNC_DIO, "async_dio", true},
	{FUSE_WRITEBACK_CACHE, "writeback_cache", true},
	{FUSE_PARALLEL_DIROPS, "parallel_dirops", true},
	{FUSE_POSIX_ACL, "posix_acl", true},
	{FUSE_MAX_PAGES, "max_pages", false},
	{FUSE_CACHE_SYMLINKS, "cache_symlinks", true},
	{FUSE_HANDLE_KILLPRIV_V2, "handle_killpriv_v2", true},
	{FUSE_DIRECT_IO_ALLOW_MMAP, "direct_io_allow_mmap", true},
	{FUSE_PASSTHROUGH, "passthrough", false},
	{FUSE_OVER_IO_URING, "over_io_uring", true},
};

/* READDIRPLUS: see the mode table. */
static uint64_t readdirplus_flags(enum fuse_hsm_readdirplus when)
{
	switch (when) {
	case FUSE_HSM_PLUS_AUTO:
		return FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO;
	case FUSE_HSM_PLUS_ALWAYS:
		return FUSE_DO_READDIRPLUS;
	default:
		return 0;
	}
}

/* A file without an ACL says ENODATA, a file system without ACLs EOPNOTSUPP. */
static bool has_acl(int fd)
{
	return fgetxattr(fd, "system.posix_acl_access", NULL, 0) >= 0 || errno == ENODATA;
}

/*
 * What came after the paper's kernel, for the modes of today. HANDLE_KILLPRIV_V2 moves clearing
 * set-id bits to the daemon, which saves a GETXATTR before writes, but only libfuse 3.18.3 hands on
 * when to do it. DIRECT_IO_ALLOW_MMAP: without it a file open for direct I/O has no shared mapping.
 */
static uint64_t modern_flags(const struct fuse_hsm_fs *fs)
{
	uint64_t want = FUSE_PARALLEL_DIROPS | FUSE_CACHE_SYMLINKS | FUSE_DIRECT_IO_ALLOW_MMAP;

#ifdef HSM_HAVE_KILL_SUIDGID
	want |= FUSE_HANDLE_KILLPRIV_V2;
#endif
	if (fs->mode.xattrs && has_acl(fs->data_fd))
		want |= FUSE_POSIX_ACL;
	return want;
}

/*
 * Of the flags that are ours. Never AUTO_INVAL_DATA: only the HSM changes the tree, a new mtime is no
 * reason to drop pages. DONT_MASK: the umask does not count where a default ACL does, and only
 * the file system below knows. NO_EXPORT_SUPPORT: a handle that cannot be opened once its inode was
 * forgotten is better not given out.
 */
static uint64_t wanted_flags(const struct fuse_hsm_fs *fs)
{
	const struct fuse_hsm_mode *m = &fs->mode;
	uint64_t want = FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_DONT_MASK;

	want |= fs->export ? FUSE_EXPORT_SUPPORT : FUSE_NO_EXPORT_SUPPORT;
	want |= readdirplus_flags(m->readdirplus);
	if (!m->page_writes)
		want |= FUSE_BIG_WRITES;
	if (m->writeback)
		want |= FUSE_WRITEBACK_CACHE;
	if (m->modern)
		want |= modern_flags(fs);
	if (fs->uring)
		want |= FUSE_OVER_IO_URING;
	return want;
}

/*
 * What libfuse has to know. Splice: dearer than a copy for small requests, and half as fast at 1 MiB
 * (measured on Linux 6.18). libfuse's own rings are never used: with its 3.18.3 a reply from
 * another thread races with the ring's.
 */
void fuse_hsm_conn_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fuse_hsm_fs *fs = userdata;

#ifdef HSM_HAVE_KILL_SUIDGID
	/* Or libfuse does not hand on who is to lose set-id bits. */
	if (fs->mode.modern)
		conn->want |= conn->capable & FUSE_CAP_HANDLE_KILLPRIV_V2;
#endif
	conn->want &= ~(unsigned int)SPLICE;
	if (fs->mode.splice)
		conn->want |= conn->capable & SPLICE;
	fs->conn.splice = conn->want & SPLICE;
#ifdef FUSE_CAP_OVER_IO_URING
	conn->want &= ~(unsigned int)FUSE_CAP_OVER_IO_URING;
#endif
#ifdef FUSE_CAP_PASSTHROUGH
	/* The kernel knows one or the other: written back pages belong to the FUSE inode. */
	if (fs->mode.passthrough && !fs->mode.writeback)
		conn->want |= conn->capable & (unsigned int)FUSE_CAP_PASSTHROUGH;
	/* 0: a cache on overlayfs is refused, an overlay above the mount is allowed. */
	conn->max_backing_stack_depth = 0;
#endif
	conn->max_write = (unsigned int)fs->mode.request_bytes;
	/* Not what the mount started with: mount.c raises the device's read-ahead. */
	conn->max_readahead = (unsigned int)fs->mode.readahead_bytes;
	conn->max_background = fs->mode.max_background;
	conn->congestion_threshold = fs->mode.max_background * 3 / 4;
}

/* ---- INIT ---- */

static void note_offer(struct fuse_hsm_conn *c, const struct fuse_buf *buf)
{
	const struct fuse_in_header *in = buf->mem;
	const struct fuse_init_in *arg = (const void *)(in + 1);

	c->protocol_minor = arg->minor;
	c->offered = arg->flags;
	if (buf->size >= sizeof(*in) + sizeof(*arg) && arg->flags & FUSE_INIT_EXT)
		c->offered |= (uint64_t)arg->flags2 << 32;
}

static void agree(struct fuse_hsm_fs *fs, struct fuse_init_out *out)
{
	struct fuse_hsm_conn *c = &fs->conn;
	uint64_t ours = 0;

	for (size_t n = 0; n < HSM_ARRAY_SIZE(flags); n++)
		if (flags[n].ours)
			ours |= flags[n].bit;
	c->agreed = out->flags | (uint64_t)out->flags2 << 32;
	c->agreed = (c->agreed & ~ours) | (wanted_flags(fs) & c->offered);
	c->agreed |= c->offered & FUSE_INIT_EXT;
	out->flags = (uint32_t)c->agreed;
	out->flags2 = (uint32_t)(c->agreed >> 32);
	c->max_write = out->max_write;
	c->max_pages = out->max_pages;
	c->max_readahead = out->max_readahead;
	c->max_background = out->max_background;
}

/* Waits for INIT, which the kernel sends before it lets anybody else ask. */
static int receive_init(struct fuse_hsm_fs *fs, struct fuse_buf *buf)
{
	int n;

	do {
		n = fuse_session_receive_buf(fs->session, buf);
	} while (n == -EINTR);
	if (n <= 0)
		return hsm_err(n ? -n : ENODEV, "the mount went away while it was set up");
	note_offer(&fs->conn, buf);
	return 0;
}

/* Lets libfuse answer into @pipe, in place of the descriptor it has. */
static int answer_into(struct fuse_hsm_fs *fs, const struct fuse_buf *buf, int pipe)
{
	int fd = fuse_session_fd(fs->session);
	auto_fd int device = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (device < 0 || dup3(pipe, fd, O_CLOEXEC) < 0)
		return -errno;
	fuse_session_process_buf(fs->session, buf);
	return dup3(device, fd, O_CLOEXEC) < 0 ? -errno : 0;
}

struct init_reply {
	struct fuse_out_header header;
	struct fuse_init_out out;
};

static int catch_reply(
	struct fuse_hsm_fs *fs, const struct fuse_buf *buf, struct init_reply *reply)
{
	auto_fd int from = -1, to = -1;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	from = ends[0];
	to = ends[1];
	r = answer_into(fs, buf, to);
	if (!r && read(from, reply, sizeof(*reply)) != sizeof(*reply))
		r = -EPROTO;
	return r ? r : reply->header.error;
}

static int answer_init(struct fuse_hsm_fs *fs, const struct fuse_buf *buf)
{
	struct init_reply reply;
	int r = catch_reply(fs, buf, &reply);

	if (!r) {
		agree(fs, &reply.out);
		if (write(fuse_session_fd(fs->session), &reply, sizeof(reply)) < 0)
			r = -errno;
	}
	return r ? hsm_err(-r, "FUSE protocol 7.%u cannot be agreed on: %s",
			   fs->conn.protocol_minor, strerror(-r))
		 : 0;
}

/* ---- is it what was asked for? ---- */

static int refuse_uring(void)
{
	if (access(URING_SWITCH, F_OK))
		return hsm_err(EOPNOTSUPP,
			"--uring needs a kernel with FUSE over io_uring (Linux 6.14, CONFIG_FUSE_IO_URING)");
	return hsm_err(EOPNOTSUPP,
		"--uring: FUSE over io_uring is switched off; as root: echo Y > " URING_SWITCH);
}

static int check_flags(const struct fuse_hsm_fs *fs)
{
	const struct fuse_hsm_conn *c = &fs->conn;

	if (fs->uring && !(c->agreed & FUSE_OVER_IO_URING))
		return refuse_uring();
	if (fs->mode.passthrough && !(c->agreed & FUSE_PASSTHROUGH))
		return hsm_err(EOPNOTSUPP,
			"--mode %s needs a kernel with FUSE passthrough (Linux 6.9, CONFIG_FUSE_PASSTHROUGH)",
			fs->mode.name);
	if (fs->mode.writeback && !(c->agreed & FUSE_WRITEBACK_CACHE))
		return hsm_err(EOPNOTSUPP,
			"--mode %s needs write-back, which the kernel does not offer",
			fs->mode.name);
	if (fs->mode.splice && c->splice != SPLICE)
		return hsm_err(
			EOPNOTSUPP, "--mode %s needs a libfuse with splice", fs->mode.name);
	return 0;
}

static int open_backing(int device, int fd)
{
	struct fuse_backing_map map = {.fd = fd};
	int id = ioctl(device, FUSE_DEV_IOC_BACKING_OPEN, &map);

	if (id > 0)
		ioctl(device, FUSE_DEV_IOC_BACKING_CLOSE, &id);
	return id > 0 ? 0 : -errno;
}

/*
 * The kernel leaves passthrough off without a word when it does not like a value of the reply, and
 * not every file system can be below; so it is tried.
 */
static int try_passthrough(const struct fuse_hsm_fs *fs)
{
	auto_fd int fd = openat(fs->data_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : open_backing(fuse_session_fd(fs->session), fd);

	if (r == -ELOOP)
		return hsm_err(ELOOP,
			"--mode %s: the cache is on a stacked file system (overlayfs); put it on a disk's",
			fs->mode.name);
	return r ? hsm_err(-r, "--mode %s: the kernel refuses passthrough to the cache: %s",
			   fs->mode.name, strerror(-r))
		 : 0;
}

/* ---- replies to rings ---- */

static ssize_t send_reply(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fuse_hsm_fs *fs = userdata;
	ssize_t sum = 0;

	if (!fs->conn.uring || !fuse_hsm_uring_reply(fs->conn.uring, iov, count))
		return writev(fd, iov, count);
	for (int n = 0; n < count; n++)
		sum += (ssize_t)iov[n].iov_len;
	return sum;
}

static ssize_t receive(int fd, void *buf, size_t bytes, void *userdata)
{
	(void)userdata;
	return read(fd, buf, bytes);
}

static const struct fuse_custom_io ring_io = {.writev = send_reply, .read = receive};

bool fuse_hsm_conn_has_custom_io(void)
{
	char name[] = "fuse_hsm", *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *s =
		fuse_session_new(&args, &fuse_hsm_ops, sizeof(fuse_hsm_ops), NULL);
	int fd = s ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
	bool has = fd >= 0 && !fuse_session_custom_io(s, &ring_io, fd);

	if (fd >= 0 && !has)
		close(fd);
	if (s)
		fuse_session_destroy(s);
	fuse_opt_free_args(&args);
	return has;
}

/* libfuse keeps its descriptor, and asks us to write to it. */
static int take_replies(struct fuse_hsm_fs *fs)
{
	if (!fuse_session_custom_io(fs->session, &ring_io, fuse_session_fd(fs->session)))
		return 0;
	return hsm_err(ENOTSUP,
		"--uring needs a libfuse with custom I/O, which this libfuse %s was built without; make deps builds one, if the system's is not used",
		fuse_pkgversion());
}

int fuse_hsm_conn_open(struct fuse_hsm_fs *fs)
{
	struct fuse_buf buf = {0};
	int r = fs->uring ? take_replies(fs) : 0;

	if (!r)
		r = receive_init(fs, &buf);
	if (!r)
		r = answer_init(fs, &buf);
	free(buf.mem);
	if (!r)
		r = check_flags(fs);
	if (!r && fs->mode.passthrough)
		r = try_passthrough(fs);
	if (!r && fs->uring)
		r = fuse_hsm_uring_new(fs, &fs->conn.uring);
	return r;
}

/* ---- the status ---- */

static json_t *flag_names(const struct fuse_hsm_conn *c)
{
	static const struct flag splice[] = {
		{FUSE_CAP_SPLICE_READ, "splice_read", true},
		{FUSE_CAP_SPLICE_WRITE, "splice_write", true},
		{FUSE_CAP_SPLICE_MOVE, "splice_move", true},
	};
	json_t *names = json_array();

	for (size_t n = 0; n < HSM_ARRAY_SIZE(flags); n++)
		if (c->agreed & flags[n].bit)
			json_array_append_new(names, json_string(flags[n].name));
	for (size_t n = 0; n < HSM_ARRAY_SIZE(splice); n++)
		if (c->splice & splice[n].bit)
			json_array_append_new(names, json_string(splice[n].name));
	return names;
}

static json_t *protocol(uint32_t minor)
{
	return json_sprintf("7.%u", minor);
}

json_t *fuse_hsm_conn_json(const struct fuse_hsm_fs *fs)
{
	const struct fuse_hsm_conn *c = &fs->conn;
	json_t *json = json_pack("{s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}",
		"protocol", protocol(c->protocol_minor), "libfuse", fuse_pkgversion(), "mode",
		fs->mode.name, "transport", c->uring ? "io_uring" : "/dev/fuse", "max_write",
		(json_int_t)c->max_write, "max_pages", (json_int_t)c->max_pages,
		"max_readahead", (json_int_t)c->max_readahead, "max_background",
		(json_int_t)c->max_background, "threads", (json_int_t)fs->mode.threads, "flags",
		flag_names(c));

	if (json && c->uring)
		json_object_set_new(json, "uring_queues",
			json_integer((json_int_t)fuse_hsm_uring_queues(c->uring)));
	if (json && c->uring)
		json_object_set_new(
			json, "uring_depth", json_integer((json_int_t)fs->mode.uring_depth));
	return json;
}
