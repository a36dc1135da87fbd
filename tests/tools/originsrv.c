/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An HTTP origin that misbehaves on request. It serves one directory (GET with one Range, HEAD,
 * ETag, If-Range, indexes as nginx or Apache write them), logs each request with the bytes it really
 * sent, and applies the faults of a control file that is read again for every request.
 *
 *   originsrv [-i json|html|apache] [-l LOG] [-c CONTROL] [-p PORT] PORTFILE DIRECTORY
 *
 * Control file: one rule per line, GLOB FAULT [NUMBER [NUMBER]], the first matching rule is
 * used. GLOB matches the decoded path with its leading slash; '*' also matches slashes.
 *
 *   status CODE [TIMES]     answer CODE, at most TIMES times
 *   short BYTES             close the connection after BYTES of the body
 *   range-offset DELTA      Content-Range starts DELTA bytes off
 *   range-total DELTA       Content-Range gives a total DELTA bytes off
 *   length DELTA            the body is DELTA bytes longer or shorter, HEAD agrees
 *   etag AFTER              another ETag from request number AFTER + 1 on
 *   no-etag                 no ETag and no Last-Modified
 *   no-range                Range is ignored: 200 with the whole file
 *   stall MS [TIMES]        wait before the answer
 *   stall-body OFFSET MS    wait within the body
 *   redirect-loop           302 to itself
 *   listing-endless         an index that never ends
 *   listing-file FILE       FILE is sent instead of the index or the file, type as for an index
 *   refuse                  (any GLOB) stop listening until the rule is gone
 *
 * How often a rule was used is remembered by its text; write it differently to start again.
 *
 * Log: METHOD RAW-PATH STATUS FIRST LENGTH SENT, one line when the request has ended. Body bytes
 * FIRST .. FIRST+LENGTH-1 were promised, SENT of them left.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/tools/originsrv_index.h"
#include "tests/tools/originsrv_rules.h"

#define BLOCK (128 << 10)

/* One request from its first byte to its log line. */
struct request {
	char *raw; /* path as it came */
	char method[8];
	unsigned int status;
	uint64_t first, length;
	_Atomic uint64_t sent;
};

/* The body of one answer, owned by its response. */
struct body {
	struct request *request;
	int fd; /* a file, or -1 */
	uint64_t offset; /* of byte 0 of the body in the file */
	char *text; /* an index, if fd is -1 */
	uint64_t length; /* bytes in the file or text; what lies behind is padding */
	uint64_t cut; /* close the connection here */
	uint64_t stall_at;
	unsigned int stall_ms;
	bool endless;
};

static int root_fd = -1;
static FILE *log_file;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

static void *request_begin(void *arg, const char *uri, struct MHD_Connection *c)
{
	struct request *q = calloc(1, sizeof(*q));

	(void)arg;
	(void)c;
	if (q)
		q->raw = strndup(uri, strcspn(uri, "?"));
	return q;
}

static void request_end(
	void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
	struct request *q = *state;

	(void)arg;
	(void)c;
	(void)why;
	if (!q)
		return;
	pthread_mutex_lock(&log_lock);
	if (log_file && *q->method)
		fprintf(log_file, "%s %s %u %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", q->method,
			q->raw, q->status, q->first, q->length, (uint64_t)q->sent);
	pthread_mutex_unlock(&log_lock);
	free(q->raw);
	free(q);
	*state = NULL;
}

/* ---- bodies ---- */

static void body_free(void *arg)
{
	struct body *b = arg;

	if (b->fd >= 0)
		close(b->fd);
	free(b->text);
	free(b);
}

/* Bytes of the file or index; padding behind its end. */
static ssize_t body_bytes(const struct body *b, uint64_t pos, char *buf, size_t max)
{
	if (pos >= b->length) {
		memset(buf, 'X', max);
		return (ssize_t)max;
	}
	if (max > b->length - pos)
		max = b->length - pos;
	if (b->fd >= 0)
		return pread(b->fd, buf, max, (off_t)(b->offset + pos));
	memcpy(buf, b->text + pos, max);
	return (ssize_t)max;
}

static ssize_t body_read(void *arg, uint64_t pos, char *buf, size_t max)
{
	struct body *b = arg;
	ssize_t n;

	if (b->stall_ms && pos >= b->stall_at) {
		sleep_ms(b->stall_ms);
		b->stall_ms = 0;
	}
	if (pos >= b->cut)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (max > b->cut - pos)
		max = b->cut - pos;
	if (b->stall_ms && max > b->stall_at - pos)
		max = b->stall_at - pos;
	n = b->endless ? endless_entries(pos, buf, max) : body_bytes(b, pos, buf, max);
	if (n <= 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	b->request->sent += (uint64_t)n;
	return n;
}

static struct body *body_new(struct request *q, const struct rule *r)
{
	struct body *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	b->request = q;
	b->fd = -1;
	b->cut = UINT64_MAX;
	if (is_fault(r, "short"))
		b->cut = (uint64_t)r->number[0];
	if (is_fault(r, "stall-body")) {
		b->stall_at = (uint64_t)r->number[0];
		b->stall_ms = (unsigned int)r->number[1];
	}
	return b;
}

static struct MHD_Response *body_response(struct body *b, uint64_t promised)
{
	struct MHD_Response *resp;

	b->request->length = promised == MHD_SIZE_UNKNOWN ? 0 : promised;
	resp = MHD_create_response_from_callback(promised, BLOCK, body_read, b, body_free);
	if (!resp)
		abort();
	return resp;
}

static void header(struct MHD_Response *resp, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void header(struct MHD_Response *resp, const char *name, const char *fmt, ...)
{
	char value[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	MHD_add_response_header(resp, name, value);
}

static enum MHD_Result answer(struct MHD_Connection *c, struct request *q, unsigned int status,
	struct MHD_Response *resp)
{
	enum MHD_Result r;

	q->status = status;
	r = MHD_queue_response(c, status, resp);
	MHD_destroy_response(resp);
	return r;
}

static enum MHD_Result answer_status(
	struct MHD_Connection *c, struct request *q, unsigned int status)
{
	struct body *b = body_new(q, NULL);
	int n = asprintf(&b->text, "<html>fault %u</html>\n", status);

	if (n < 0)
		abort();
	b->length = (uint64_t)n;
	return answer(c, q, status, body_response(b, b->length));
}

/* ---- files ---- */

struct range {
	uint64_t first, last; /* inclusive */
	bool given;
};

/* "bytes=A-B", "bytes=A-", "bytes=-N". False: cannot be satisfied. */
static bool parse_range(const char *text, uint64_t size, struct range *ret)
{
	uint64_t a = 0, b = size - 1;

	*ret = (struct range){0, size - 1, false};
	if (!text || strncmp(text, "bytes=", 6))
		return true;
	text += 6;
	if (sscanf(text, "-%" SCNu64, &b) == 1) {
		a = b < size ? size - b : 0;
		b = size - 1;
	} else if (sscanf(text, "%" SCNu64 "-%" SCNu64, &a, &b) < 1) {
		return true;
	}
	if (a >= size || b < a)
		return false;
	*ret = (struct range){a, b < size ? b : size - 1, true};
	return true;
}

static void file_etag(char *buf, size_t room, const struct stat *st, const struct rule *r)
{
	snprintf(buf, room, "\"%llx-%llx%s\"", (unsigned long long)st->st_mtime,
		(unsigned long long)st->st_size, is_fault(r, "etag") ? "-changed" : "");
}

static void file_headers(struct MHD_Response *resp, const struct stat *st,
	const struct range *g, const struct rule *r, const char *etag)
{
	long long shift = is_fault(r, "range-offset") ? r->number[0] : 0;
	long long more = is_fault(r, "range-total") ? r->number[0] : 0;
	char date[64];

	http_date(date, sizeof(date), st->st_mtime);
	header(resp, "Content-Type", "application/octet-stream");
	if (!is_fault(r, "no-range"))
		header(resp, "Accept-Ranges", "bytes");
	if (g->given)
		header(resp, "Content-Range", "bytes %lld-%lld/%lld",
			(long long)g->first + shift, (long long)g->last + shift,
			(long long)st->st_size + more);
	if (is_fault(r, "no-etag"))
		return;
	header(resp, "ETag", "%s", etag);
	header(resp, "Last-Modified", "%s", date);
}

static enum MHD_Result serve_file(struct MHD_Connection *c, struct request *q, int fd,
	const struct stat *st, const struct rule *r)
{
	const char *want = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
	const char *if_range = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-Range");
	uint64_t promised, size = (uint64_t)st->st_size;
	struct MHD_Response *resp;
	struct body *b;
	struct range g;
	char etag[64];

	file_etag(etag, sizeof(etag), st, r);
	if (is_fault(r, "no-range") || (if_range && *if_range == '"' && strcmp(if_range, etag)))
		want = NULL;
	if (!size || !parse_range(want, size, &g)) {
		g = (struct range){0};
		if (size || want) {
			close(fd);
			return answer_status(c, q, size ? 416 : 200);
		}
	}
	b = body_new(q, r);
	b->fd = fd;
	b->offset = q->first = g.first;
	b->length = promised = size ? g.last - g.first + 1 : 0;
	if (is_fault(r, "length"))
		promised = (uint64_t)((long long)promised + r->number[0]);
	resp = body_response(b, promised);
	file_headers(resp, st, &g, r, etag);
	return answer(c, q, g.given ? 206 : 200, resp);
}

/* ---- indexes ---- */

static enum MHD_Result answer_index(
	struct MHD_Connection *c, struct request *q, struct body *b, uint64_t promised)
{
	struct MHD_Response *resp = body_response(b, promised);

	header(resp, "Content-Type", format == INDEX_JSON ? "application/json" : "text/html");
	return answer(c, q, 200, resp);
}

/* Takes @dirfd. */
static enum MHD_Result serve_index(
	struct MHD_Connection *c, struct request *q, int dirfd, const struct rule *r)
{
	struct body *b = body_new(q, r);
	size_t length = 0;
	FILE *out;

	b->endless = is_fault(r, "listing-endless");
	if (b->endless) {
		close(dirfd);
		return answer_index(c, q, b, MHD_SIZE_UNKNOWN);
	}
	out = open_memstream(&b->text, &length);
	if (!out)
		abort();
	put_index(out, dirfd);
	fclose(out);
	b->length = length;
	return answer_index(c, q, b, length);
}

static enum MHD_Result serve_substitute(
	struct MHD_Connection *c, struct request *q, const struct rule *r)
{
	struct body *b = body_new(q, NULL);
	struct stat st;

	b->fd = open(r->text, O_RDONLY | O_CLOEXEC);
	if (b->fd < 0 || fstat(b->fd, &st)) {
		body_free(b);
		return answer_status(c, q, 500);
	}
	b->length = (uint64_t)st.st_size;
	return answer_index(c, q, b, b->length);
}

/* ---- requests ---- */

static enum MHD_Result redirect(struct MHD_Connection *c, struct request *q, const char *slash)
{
	struct MHD_Response *resp =
		MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

	header(resp, "Location", "%s%s", q->raw, slash);
	return answer(c, q, 302, resp);
}

static enum MHD_Result serve_honest(
	struct MHD_Connection *c, struct request *q, const char *path, const struct rule *r)
{
	struct stat st;
	int fd = -1;

	if (!strstr(path, "/../"))
		fd = openat(
			root_fd, path[1] ? path + 1 : ".", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st)) {
		if (fd >= 0)
			close(fd);
		return answer_status(c, q, 404);
	}
	if (S_ISREG(st.st_mode))
		return serve_file(c, q, fd, &st, r);
	if (path[strlen(path) - 1] == '/')
		return serve_index(c, q, fd, r);
	close(fd);
	return redirect(c, q, "/");
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *c, const char *url,
	const char *method, const char *version, const char *upload, size_t *upload_size,
	void **state)
{
	struct request *q = *state;
	struct rule rule;
	const struct rule *r = NULL;

	(void)arg;
	(void)version;
	(void)upload;
	(void)upload_size;
	if (!*q->method) {
		snprintf(q->method, sizeof(q->method), "%s", method);
		return MHD_YES;
	}
	if (strcmp(method, "GET") && strcmp(method, "HEAD"))
		return answer_status(c, q, 405);
	if (find_rule(url, &rule))
		r = &rule;
	if (is_fault(r, "status"))
		return answer_status(c, q, (unsigned int)r->number[0]);
	if (is_fault(r, "redirect-loop"))
		return redirect(c, q, "");
	if (is_fault(r, "listing-file"))
		return serve_substitute(c, q, r);
	if (is_fault(r, "stall"))
		sleep_ms((unsigned int)r->number[0]);
	return serve_honest(c, q, url, r);
}

/* ---- the server ---- */

static struct MHD_Daemon *listen_on(uint16_t port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL,
		port, NULL, NULL, handle, NULL, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&addr,
		MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U, MHD_OPTION_URI_LOG_CALLBACK,
		request_begin, NULL, MHD_OPTION_NOTIFY_COMPLETED, request_end, NULL,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)256 << 10, MHD_OPTION_END);
}

static int write_port(const char *path, uint16_t port)
{
	char tmp[strlen(path) + 5];
	FILE *f;

	sprintf(tmp, "%s.tmp", path);
	f = fopen(tmp, "we");
	if (!f || fprintf(f, "%u\n", port) < 0 || fclose(f))
		return -errno;
	return rename(tmp, path) ? -errno : 0;
}

/* Ends only by a signal. Stops listening, and drops every connection, while told to refuse. */
static void serve_for_ever(struct MHD_Daemon *d, uint16_t port)
{
	for (;;) {
		bool refuse = control_refuses();

		if (refuse && d) {
			MHD_stop_daemon(d);
			d = NULL;
		} else if (!refuse && !d) {
			d = listen_on(port);
		}
		sleep_ms(20);
	}
}

static void usage(void)
{
	fputs("usage: originsrv [-i json|html|apache] [-l LOG] [-c CONTROL] [-p PORT] PORTFILE "
	      "DIRECTORY\n",
		stderr);
	exit(2);
}

static enum index_format parse_format(const char *name)
{
	if (!strcmp(name, "html"))
		return INDEX_HTML;
	if (!strcmp(name, "apache"))
		return INDEX_APACHE;
	if (strcmp(name, "json"))
		usage();
	return INDEX_JSON;
}

static void open_log(const char *path)
{
	log_file = fopen(path, "ae");
	if (!log_file) {
		fprintf(stderr, "originsrv: %s: %m\n", path);
		exit(1);
	}
	setlinebuf(log_file);
}

int main(int argc, char **argv)
{
	struct MHD_Daemon *d;
	uint16_t port = 0;
	int opt;

	signal(SIGPIPE, SIG_IGN);
	while ((opt = getopt(argc, argv, "i:l:c:p:")) != -1) {
		if (opt == 'i')
			format = parse_format(optarg);
		else if (opt == 'l')
			open_log(optarg);
		else if (opt == 'c')
			control_path = optarg;
		else if (opt == 'p')
			port = (uint16_t)atoi(optarg);
		else
			usage();
	}
	if (argc - optind != 2)
		usage();
	root_fd = open(argv[optind + 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = root_fd < 0 ? NULL : listen_on(port);
	if (!d) {
		fprintf(stderr, "originsrv: cannot serve %s: %m\n", argv[optind + 1]);
		return 1;
	}
	port = MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port;
	if (write_port(argv[optind], port)) {
		fprintf(stderr, "originsrv: %s: %m\n", argv[optind]);
		return 1;
	}
	serve_for_ever(d, port);
}
