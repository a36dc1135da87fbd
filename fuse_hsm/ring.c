/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ring: its memory, its thread, taking requests from it and giving them to libfuse, and sending
 * replies. Only the thread takes completions and submits. A reply from another thread is
 * written into the entry by that thread, and handed to the ring's thread to be sent.
 */
#include "fuse_hsm/ring.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "fuse_hsm/fs.h"
#include "fuse_hsm/uring.h"
#include "hsm/util.h"

/* An entry's memory: a page that ends in room for a request's headers, then the payload. */
#define HEADER_BYTES  ((size_t)4096)
#define PAYLOAD_BYTES FUSE_HSM_REQUEST_BYTES
#define ENTRY_BYTES   (HEADER_BYTES + PAYLOAD_BYTES)
/* A reply is not held back for longer than this while other requests are handled. */
#define BATCH_NS (50 * 1000)

/* What this thread does, if it is a ring's. */
static __thread struct fuse_hsm_ring *own_ring;
static __thread struct fuse_hsm_entry *current; /* its request is handled and not answered */
static __thread bool room; /* .payload of current is free for the reply */

/* ---- submitting, by the ring's thread ---- */

/* There is always a free one: an entry has at most one, and the eventfd has one. */
static struct io_uring_sqe *next_sqe(struct fuse_hsm_ring *r)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->io);

	/* 128 bytes; liburing knows of 64. */
	memset(sqe, 0, 2 * sizeof(*sqe));
	return sqe;
}

static void queue_command(struct fuse_hsm_ring *r, struct fuse_hsm_entry *e,
	enum fuse_uring_cmd command, uint64_t commit_id)
{
	struct io_uring_sqe *sqe = next_sqe(r);
	struct fuse_uring_cmd_req *req = (void *)sqe->cmd;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE; /* number 0 */
	sqe->cmd_op = command;
	if (command == FUSE_IO_URING_CMD_REGISTER) {
		sqe->addr = (uintptr_t)e->iov;
		sqe->len = HSM_ARRAY_SIZE(e->iov);
	}
	req->commit_id = commit_id;
	req->qid = (uint16_t)r->cpu;
	io_uring_sqe_set_data(sqe, e);
}

static void queue_event(struct fuse_hsm_ring *r)
{
	struct io_uring_sqe *sqe = next_sqe(r);

	io_uring_prep_read(sqe, r->event, &r->event_count, sizeof(r->event_count), 0);
	io_uring_sqe_set_data(sqe, NULL);
}

/* Sends the reply that is in @e, and takes the next request into it. */
static void queue_reply(struct fuse_hsm_ring *r, struct fuse_hsm_entry *e)
{
	uint64_t unique = e->unique;

	e->unique = 0;
	queue_command(r, e, FUSE_IO_URING_CMD_COMMIT_AND_FETCH, unique);
	if (!r->unsent_since_ns)
		r->unsent_since_ns = hsm_now_ns();
}

/* ---- replies ---- */

void fuse_hsm_ring_wake(struct fuse_hsm_ring *r)
{
	uint64_t one = 1;

	/* Cannot fail: a counter of 64 bits that is read all the time. */
	if (write(r->event, &one, sizeof(one)) < 0)
		hsm_log(HSM_LOG_ERROR, "ring %u cannot be woken: %s", r->cpu, strerror(errno));
}

static void hand_over(struct fuse_hsm_ring *r, struct fuse_hsm_entry *e)
{
	bool first;

	pthread_mutex_lock(&r->lock);
	first = !r->replies;
	e->next = r->replies;
	r->replies = e;
	pthread_mutex_unlock(&r->lock);
	if (first)
		fuse_hsm_ring_wake(r);
}

static void write_reply(struct fuse_hsm_entry *e, const struct iovec *iov, int count)
{
	struct fuse_out_header *out = (void *)e->header->in_out;
	size_t bytes = 0;

	memcpy(out, iov[0].iov_base, sizeof(*out));
	for (int n = 1; n < count; n++) {
		if (iov[n].iov_len > PAYLOAD_BYTES - bytes) {
			/* No handler replies with more than it was asked for. */
			out->error = -EIO;
			bytes = 0;
			break;
		}
		if (iov[n].iov_base != e->payload + bytes)
			memmove(e->payload + bytes, iov[n].iov_base, iov[n].iov_len);
		bytes += iov[n].iov_len;
	}
	out->len = (uint32_t)(sizeof(*out) + bytes);
	e->header->ring_ent_in_out.payload_sz = (uint32_t)bytes;
}

void fuse_hsm_ring_reply(struct fuse_hsm_entry *e, const struct iovec *iov, int count)
{
	if (e == current)
		fuse_hsm_uring_give_away();
	write_reply(e, iov, count);
	if (e->ring == own_ring)
		queue_reply(e->ring, e);
	else
		hand_over(e->ring, e);
}

char *fuse_hsm_uring_room(void)
{
	return current && room ? current->payload : NULL;
}

void fuse_hsm_uring_give_away(void)
{
	current = NULL;
}

/* ---- requests ---- */

/*
 * A request as read(2) of /dev/fuse would give it: header, the operation's own header, the rest.
 * The kernel tells the length of the whole and of the rest. A large rest stays where it is
 * and gets its headers written in front.
 */
static bool flatten(struct fuse_hsm_ring *r, struct fuse_hsm_entry *e, struct fuse_buf *ret_buf)
{
	const struct fuse_in_header *in = (const void *)e->header->in_out;
	size_t rest = e->header->ring_ent_in_out.payload_sz;
	size_t head = in->len - rest;
	char *flat = r->flat;

	if (in->len < rest || rest > PAYLOAD_BYTES || head < sizeof(*in) ||
		head > sizeof(*in) + FUSE_URING_OP_IN_OUT_SZ)
		return false;
	room = rest <= FUSE_HSM_RING_COPY;
	if (room)
		memcpy(flat + head, e->payload, rest);
	else
		flat = e->payload - head;
	memcpy(flat + sizeof(*in), e->header->op_in, head - sizeof(*in));
	memcpy(flat, in, sizeof(*in));
	*ret_buf = (struct fuse_buf){.mem = flat, .size = in->len};
	return true;
}

static void refuse(struct fuse_hsm_ring *r, struct fuse_hsm_entry *e)
{
	struct fuse_out_header out = {
		.len = sizeof(out), .error = -EPROTO, .unique = e->unique};
	struct iovec iov = {.iov_base = &out, .iov_len = sizeof(out)};

	write_reply(e, &iov, 1);
	queue_reply(r, e);
}

static void handle(struct fuse_hsm_ring *r, struct fuse_hsm_entry *e, uint64_t received_ns)
{
	struct fuse_buf buf;

	e->unique = e->header->ring_ent_in_out.commit_id;
	if (!flatten(r, e, &buf)) {
		refuse(r, e);
		return;
	}
	current = e;
	fuse_hsm_received_ns = received_ns;
	/* Before it is handled: another thread may answer while we are still in there. */
	r->rings->note(r->rings, e);
	fuse_session_process_buf(r->rings->fs->session, &buf);
	current = NULL;
}

/* ---- the thread of a ring ---- */

/*
 * A completion with an error is an entry that is gone: the connection has ended, or the kernel
 * ended the request itself.
 */
static void take_completion(struct fuse_hsm_ring *r, const struct io_uring_cqe *cqe)
{
	struct fuse_hsm_entry *e = io_uring_cqe_get_data(cqe);

	if (!e) {
		queue_event(r);
		return;
	}
	if (cqe->res < 0) {
		if (cqe->res != -ENOTCONN && cqe->res != -ECONNABORTED && !r->rings->stopping)
			hsm_log(HSM_LOG_WARN, "ring %u: an entry ended: %s", r->cpu,
				strerror(-cqe->res));
		return;
	}
	e->next = NULL;
	*r->ready_end = e;
	r->ready_end = &e->next;
}

static void take_completions(struct fuse_hsm_ring *r)
{
	struct io_uring_cqe *cqe;
	unsigned int head, count = 0;

	io_uring_for_each_cqe(&r->io, head, cqe)
	{
		take_completion(r, cqe);
		count++;
	}
	io_uring_cq_advance(&r->io, count);
}

static void send_replies(struct fuse_hsm_ring *r)
{
	struct fuse_hsm_entry *e, *next;

	pthread_mutex_lock(&r->lock);
	e = hsm_take_ptr(r->replies);
	pthread_mutex_unlock(&r->lock);
	for (; e; e = next) {
		next = e->next;
		queue_reply(r, e);
	}
}

static void submit_old(struct fuse_hsm_ring *r)
{
	if (!r->unsent_since_ns || hsm_now_ns() - r->unsent_since_ns < BATCH_NS)
		return;
	io_uring_submit(&r->io);
	r->unsent_since_ns = 0;
}

static void handle_ready(struct fuse_hsm_ring *r, uint64_t now_ns)
{
	struct fuse_hsm_entry *e;

	while (r->ready && !r->rings->stopping) {
		e = r->ready;
		r->ready = e->next;
		if (!r->ready)
			r->ready_end = &r->ready;
		handle(r, e, now_ns);
		submit_old(r);
	}
}

static void serve(struct fuse_hsm_ring *r)
{
	struct fuse_hsm_rings *shared = r->rings;

	while (!shared->ending) {
		io_uring_submit_and_wait(&r->io, 1);
		r->unsent_since_ns = 0;
		take_completions(r);
		send_replies(r);
		handle_ready(r, hsm_now_ns());
		if (shared->stopping && !r->stopped) {
			r->stopped = true;
			sem_post(&shared->told);
		}
	}
}

/* ---- starting ---- */

static int open_ring(struct fuse_hsm_ring *r)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_SUBMIT_ALL |
			 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	int device = fuse_session_fd(r->rings->fs->session);
	int err = io_uring_queue_init_params(r->rings->depth + 1, &r->io, &params);

	if (err)
		return err;
	err = io_uring_register_files(&r->io, &device, 1);
	if (err)
		io_uring_queue_exit(&r->io);
	return err;
}

static void set_up_entry(struct fuse_hsm_ring *r, unsigned int n)
{
	char *memory = r->memory + n * ENTRY_BYTES;
	struct fuse_hsm_entry *e = &r->entry[n];

	e->ring = r;
	e->header = (void *)memory;
	e->payload = memory + HEADER_BYTES;
	e->iov[0] = (struct iovec){e->header, sizeof(*e->header)};
	e->iov[1] = (struct iovec){e->payload, PAYLOAD_BYTES};
	queue_command(r, e, FUSE_IO_URING_CMD_REGISTER, 0);
}

/* An entry that was taken gives no completion until it has a request; a refused one does. */
static int register_entries(struct fuse_hsm_ring *r)
{
	struct io_uring_cqe *cqe;
	unsigned int head;
	int n;

	for (unsigned int i = 0; i < r->rings->depth; i++)
		set_up_entry(r, i);
	queue_event(r);
	n = io_uring_submit(&r->io);
	if (n < 0)
		return n;
	/* Nothing is taken from the ring here: it may be a request already. */
	io_uring_for_each_cqe(&r->io, head, cqe)
	{
		if (cqe->res < 0)
			return cqe->res;
	}
	return 0;
}

/* Fails for a CPU that is not there yet, or not ours; the queue is served all the same. */
static void stay_on_cpu(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *run(void *arg)
{
	struct fuse_hsm_ring *r = arg;

	own_ring = r;
	pthread_setname_np(pthread_self(), "fuse-ring");
	stay_on_cpu(r->cpu);
	r->error = open_ring(r);
	if (r->error) {
		sem_post(&r->rings->told);
		return NULL;
	}
	r->error = register_entries(r);
	sem_post(&r->rings->told);
	if (!r->error)
		serve(r);
	io_uring_queue_exit(&r->io);
	return NULL;
}

static int get_memory(struct fuse_hsm_ring *r)
{
	unsigned int depth = r->rings->depth;

	r->entry = calloc(depth, sizeof(*r->entry));
	if (!r->entry)
		return -ENOMEM;
	r->memory = mmap(NULL, depth * ENTRY_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->memory != MAP_FAILED)
		return 0;
	free(r->entry);
	return -ENOMEM;
}

static void put_memory(struct fuse_hsm_ring *r)
{
	munmap(r->memory, r->rings->depth * ENTRY_BYTES);
	free(r->entry);
	pthread_mutex_destroy(&r->lock);
	close(r->event);
}

int fuse_hsm_ring_start(struct fuse_hsm_ring *r, struct fuse_hsm_rings *rings, unsigned int cpu)
{
	int err;

	r->rings = rings;
	r->cpu = cpu;
	r->ready_end = &r->ready;
	r->event = eventfd(0, EFD_CLOEXEC);
	if (r->event < 0)
		return -errno;
	err = get_memory(r);
	if (err) {
		close(r->event);
		return err;
	}
	pthread_mutex_init(&r->lock, NULL);
	err = -pthread_create(&r->thread, NULL, run, r);
	if (err)
		put_memory(r);
	return err;
}

void fuse_hsm_ring_free(struct fuse_hsm_ring *r)
{
	pthread_join(r->thread, NULL);
	put_memory(r);
}
