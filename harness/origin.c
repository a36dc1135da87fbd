/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "harness/origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "harness/err.h"
#include "harness/proc.h"
#include "harness/util.h"

#define START_WAIT_NS (5 * BENCH_NSEC)
#define START_POLL_NS (5 * BENCH_MSEC)
#define START_TRIES   5
#define ANSWER_WAIT_S 2
#define STATUS_PATH   "/.hsmbench-status"

/*
 * `index` names a file that does not exist: nginx would otherwise serve a tree's own index.html
 * instead of the listing.
 */
static const char config_format[] =
	"daemon off;\nworker_processes 2;\nuser root;\n"
	"pid \"%1$s/pid\";\nerror_log \"%1$s/error.log\";\n"
	"events { worker_connections 1024; }\n"
	"http {\n"
	"\taccess_log off;\n\tsendfile on;\n\ttcp_nopush on;\n"
	"\tkeepalive_requests 100000000;\n\tkeepalive_timeout 3600;\n"
	"\tdefault_type application/octet-stream;\n"
	"\tclient_body_temp_path \"%1$s/t1\";\n\tproxy_temp_path \"%1$s/t2\";\n"
	"\tfastcgi_temp_path \"%1$s/t3\";\n\tuwsgi_temp_path \"%1$s/t4\";\n"
	"\tscgi_temp_path \"%1$s/t5\";\n"
	"\tserver {\n"
	"\t\tlisten 127.0.0.1:%3$u;\n\t\troot \"%2$s\";\n\t\tindex .hsmbench-none;\n"
	"\t\tautoindex on;\n\t\tautoindex_format json;\n"
	"\t\tlocation = " STATUS_PATH " { stub_status; }\n"
	"\t}\n}\n";

static struct sockaddr_in loopback(unsigned int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int free_port(unsigned int *ret_port)
{
	auto_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return bench_err(errno, "no free loopback port: %s", strerror(errno));
	*ret_port = ntohs(a.sin_port);
	return 0;
}

static void exec_nginx(const char *program, const char *dir, const char *conf, bool keep)
{
	/*
	 * No session tag: nginx reuses the memory of its environment, so it is held by its
	 * pid.
	 */
	char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	auto_free char *log = bench_fmt("%s/error.log", dir);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int err = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	setpgid(0, 0);
	if (!keep)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGHUP, SIG_DFL);
	if (null < 0 || err < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(err, 2) < 0)
		_exit(126);
	execle(program, "nginx", "-p", dir, "-c", conf, (char *)NULL, env);
	_exit(127);
}

static int try_connect(unsigned int port)
{
	struct sockaddr_in a = loopback(port);
	struct timeval limit = {.tv_sec = ANSWER_WAIT_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool wait_serving(const struct bench_origin *o)
{
	uint64_t deadline = bench_now_ns() + START_WAIT_NS;

	while (bench_now_ns() < deadline && bench_proc_alive(o->pid)) {
		int fd = try_connect(o->port);

		if (fd >= 0) {
			close(fd);
			return bench_proc_alive(o->pid);
		}
		bench_sleep_ns(START_POLL_NS);
	}
	return false;
}

static int spawn(struct bench_state *held, const char *program, const char *dir,
	const char *conf, bool keep, struct bench_origin *o)
{
	auto_free char *item = NULL;

	o->pid = fork();
	if (o->pid < 0)
		return bench_err(errno, "cannot start nginx: %s", strerror(errno));
	if (o->pid == 0)
		exec_nginx(program, dir, conf, keep);
	item = bench_fmt("%d %llu", o->pid, (unsigned long long)bench_proc_start(o->pid));
	return bench_state_push(held, BENCH_HELD_PID, item);
}

static int try_start(struct bench_state *held, const char *program, const char *dir,
	const char *root, bool keep, struct bench_origin *o)
{
	auto_free char *conf = bench_fmt("%s/nginx.conf", dir);
	auto_free char *text = NULL;
	int ret = free_port(&o->port);

	if (ret < 0)
		return ret;
	text = bench_fmt(config_format, dir, root, o->port);
	ret = bench_file_write(conf, text);
	if (ret == 0)
		ret = spawn(held, program, dir, conf, keep, o);
	if (ret < 0)
		return ret;
	if (wait_serving(o))
		return 0;
	bench_proc_end(o->pid, BENCH_NSEC);
	bench_state_pop(held);
	return -EAGAIN;
}

int bench_origin_start(struct bench_state *held, const char *dir, const char *root, bool keep,
	struct bench_origin *ret_o)
{
	auto_free char *program = bench_which("nginx");
	auto_free char *log = bench_fmt("%s/error.log", dir);
	auto_free char *why = NULL;
	struct bench_origin o = {0};
	int ret = bench_mkdirs(dir);

	if (ret == 0 && !program)
		return bench_err(ENOENT, "no program nginx; run `make deps`");
	if (ret == 0)
		ret = -EAGAIN;
	/* Another program may take the port between the test and nginx. */
	for (int i = 0; i < START_TRIES && ret == -EAGAIN; i++)
		ret = try_start(held, program, dir, root, keep, &o);
	if (ret == -EAGAIN) {
		why = bench_file_line(log);
		return bench_err(EIO, "nginx does not serve: %s", why);
	}
	if (ret == 0)
		*ret_o = o;
	return ret;
}

/* Third number of the third line of ngx_http_stub_status_module's page. */
static uint64_t parse_requests(const char *page)
{
	const char *line = strstr(page, "server accepts handled requests\n");
	unsigned long long n = 0;

	if (line)
		sscanf(strchr(line, '\n'), "%*u %*u %llu", &n);
	return n;
}

uint64_t bench_origin_requests(struct bench_origin *o)
{
	static const char request[] = "GET " STATUS_PATH " HTTP/1.0\r\n\r\n";
	char page[2048];
	size_t used = 0;
	ssize_t n;
	uint64_t count;
	auto_fd int fd = try_connect(o->port);

	if (fd < 0 || send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		return 0;
	while (used < sizeof(page) - 1 &&
		(n = recv(fd, page + used, sizeof(page) - 1 - used, 0)) > 0)
		used += (size_t)n;
	page[used] = '\0';
	count = parse_requests(page);
	if (!count)
		return 0;
	o->own_requests++;
	return count - o->own_requests;
}

bool bench_origin_alive(const struct bench_origin *o)
{
	return bench_proc_alive(o->pid);
}
