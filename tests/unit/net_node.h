/* SPDX-License-Identifier: MIT */
/* A node in this process, a small model in a file, and raw HTTP; for tests. */
#ifndef KERF_TESTS_NET_NODE_H
#define KERF_TESTS_NET_NODE_H

#include "exec/engine.h"
#include "graph/import.h"
#include "node/node.h"
#include "onnx_build.h"
#include "util/digest.h"
#include "util/file.h"

#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct test_node {
	char dir[64], model[96], url[64];
	char sha[KERF_SHA256_HEX];
	void *bytes; /* the model's */
	size_t size;
	struct kerf_node *node;
	uint16_t port;
};

static inline void net_die(const char *what, const struct kerf_err *err)
{
	fprintf(stderr, "%s: %s\n", what, err ? err->msg : strerror(errno));
	abort();
}

/*
 * x, y [rows,5]: s = x + y, t = s * x, u = t - y, v = relu(u); outputs v and s. Five
 * floats a row: buffers whose size is no multiple of an alignment.
 */
static inline void net_write_model(struct test_node *n, const char *rows)
{
	struct onnx_build b;
	struct kerf_err err = {""};
	uint8_t digest[32];
	char shape[32];
	uint8_t *p;

	snprintf(shape, sizeof(shape), "%s,5", rows);
	onnx_build_init(&b, 13);
	onnx_build_input(&b, "x", 1, shape);
	onnx_build_input(&b, "y", 1, shape);
	onnx_build_node(&b, "Add", "x,y", "s");
	onnx_build_node(&b, "Mul", "s,x", "t");
	onnx_build_node(&b, "Sub", "t,y", "u");
	onnx_build_node(&b, "Relu", "u", "v");
	onnx_build_output(&b, "v", 1, shape);
	onnx_build_output(&b, "s", 1, shape);
	p = onnx_build_pack(&b, &n->size);
	n->bytes = malloc(n->size);
	if (!n->bytes)
		abort();
	memcpy(n->bytes, p, n->size);
	onnx_build_finish(&b);
	snprintf(n->model, sizeof(n->model), "%s/m.onnx", n->dir);
	if (kerf_file_write(n->model, n->bytes, n->size, &err))
		net_die("model", &err);
	kerf_sha256(n->bytes, n->size, digest);
	kerf_hex(digest, sizeof(digest), n->sha);
}

static inline void net_open(struct test_node *n, struct kerf_node_config *cfg, const char *rows)
{
	static const char *const engines[] = {"ref", "null", "cpu"};
	struct kerf_node_model model = {"m", n->model};
	struct kerf_err err = {""};
	char cache[96];

	memset(n, 0, sizeof(*n));
	snprintf(n->dir, sizeof(n->dir), "/tmp/kerf-test-XXXXXX");
	if (!mkdtemp(n->dir))
		net_die("mkdtemp", NULL);
	net_write_model(n, rows);
	snprintf(cache, sizeof(cache), "%.63s/cache", n->dir);
	cfg->listen = "127.0.0.1:0";
	cfg->engine = engines;
	cfg->n_engine = 3;
	cfg->model = &model;
	cfg->n_model = 1;
	cfg->cache_dir = cache;
	if (kerf_node_open(cfg, &n->node, &err))
		net_die("node", &err);
	n->port = kerf_node_port(n->node);
	snprintf(n->url, sizeof(n->url), "http://127.0.0.1:%u", n->port);
}

static inline void net_close(struct test_node *n)
{
	char cmd[128];

	kerf_node_close(n->node);
	free(n->bytes);
	snprintf(cmd, sizeof(cmd), "rm -rf %.63s", n->dir);
	if (system(cmd))
		net_die(cmd, NULL);
}

static inline int net_connect(const struct test_node *n)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(n->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
		net_die("connect", NULL);
	return fd;
}

/* Sends; a peer that closed meanwhile is no failure of the test. */
static inline void net_send(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k <= 0)
			return;
		p += k;
		n -= (size_t)k;
	}
}

/*
 * One reply: its status; the body, with a NUL, goes to body if not NULL. 0: the peer
 * closed without one; -1: nothing within ms.
 */
static inline int net_reply(int fd, char *body, size_t size, int ms)
{
	static char buf[1 << 20];
	size_t have = 0, want = 0;
	char *end = NULL, *len;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t k;

		if (end && have >= want)
			break;
		if (poll(&p, 1, ms) <= 0)
			return -1;
		k = recv(fd, buf + have, sizeof(buf) - 1 - have, 0);
		if (k <= 0)
			return 0;
		have += (size_t)k;
		buf[have] = 0;
		end = strstr(buf, "\r\n\r\n");
		len = strcasestr(buf, "\r\nContent-Length:");
		if (end)
			want = (size_t)(end - buf) + 4 +
			       (len && len < end ? strtoul(len + 17, NULL, 10) : 0);
	}
	if (body) {
		size_t n = KERF_MIN(want - (size_t)(end + 4 - buf), size - 1);

		memcpy(body, end + 4, n);
		body[n] = 0;
	}
	return atoi(buf + 9);
}

#if defined(WITH_CURL) && defined(WITH_MICROHTTPD)
#define NET_BUILT true
#else
#define NET_BUILT false
#endif

/* Stands in for all others where a library is missing: what is left must say so. */
static inline void net_test_absent(void **state)
{
	struct kerf_node_config cfg = {.listen = "127.0.0.1:0", .cache_dir = "/tmp"};
	struct kerf_engine *e;
	struct kerf_err err = {""};
	struct kerf_node *n;

#ifndef WITH_MICROHTTPD
	assert_int_equal(kerf_node_open(&cfg, &n, &err), -ENOSYS);
	assert_non_null(strstr(err.msg, "built without libmicrohttpd"));
#else
	assert_int_equal(kerf_node_open(&cfg, &n, &err), 0);
	kerf_node_close(n);
#endif
	err.msg[0] = 0;
#ifndef WITH_CURL
	assert_int_equal(kerf_engine_open("http://127.0.0.1:1", NULL, &e, &err), -ENOSYS);
	assert_non_null(strstr(err.msg, "built without libcurl"));
#else
	assert_int_equal(kerf_engine_open("http://127.0.0.1:1", NULL, &e, &err), -ECONNREFUSED);
#endif
	print_message("built without libcurl or libmicrohttpd: nothing else to test\n");
	skip();
}

/* A whole exchange on a connection of its own. */
static inline int net_exchange(const struct test_node *n, const char *request, char *body,
			       size_t size)
{
	int fd = net_connect(n), status;

	net_send(fd, request, strlen(request));
	status = net_reply(fd, body, size, 10000);
	close(fd);
	return status;
}

#endif
