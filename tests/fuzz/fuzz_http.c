/* SPDX-License-Identifier: MIT */
/*
 * Raw bytes at a live node over loopback, whole, cut off or in pieces, and the reader of
 * replies. The first byte picks; the second, for requests, where the input is cut in
 * two sends. After each input the node must still answer.
 */
#include "fuzz/fuzz.h"

#include "net/http_head.h"
#include "node/node.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct kerf_node *node;
static uint16_t port;

static void close_node(void)
{
	kerf_node_close(node);
}

static size_t load_text(void *user, char *text, size_t size)
{
	return (size_t)snprintf(text, size, "v=1 cpus=2");
}

static void open_node(void)
{
	static const char *const engines[] = {"null"};
	static char dir[] = "/tmp/kerf-fuzz-XXXXXX";
	struct kerf_node_config cfg = {.listen = "127.0.0.1:0", .engine = engines, .n_engine = 1,
				       .cache_dir = dir, .cache_bytes = 1 << 20,
				       .head_timeout_ms = 100, .body_timeout_ms = 100,
				       .load_text = load_text};
	struct kerf_err err = {""};

#ifndef WITH_MICROHTTPD
	fprintf(stderr, "built without libmicrohttpd\n");
	exit(77);
#endif
	if (!mkdtemp(dir) || kerf_node_open(&cfg, &node, &err)) {
		fprintf(stderr, "no node: %s\n", err.msg);
		abort();
	}
	port = kerf_node_port(node);
	atexit(close_node);
}

static int dial(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct linger now = {.l_onoff = 1};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	/* Closing with a reset, or thousands of ports a second would wait for their end. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    connect(fd, (struct sockaddr *)&at, sizeof(at))) {
		perror("dial");
		abort();
	}
	return fd;
}

static void send_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (k <= 0)
			return;
		p += k;
		n -= (size_t)k;
	}
}

/* Reads until the peer is silent for ms or closes; whether a reply began. */
static bool drain(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[4096];
	bool any = false;

	while (poll(&p, 1, ms) > 0) {
		ssize_t k = recv(fd, buf, sizeof(buf), 0);

		if (k <= 0)
			break;
		any = any || (k >= 9 && !memcmp(buf, "HTTP/1.1 ", 9));
	}
	return any;
}

static void request(const uint8_t *data, size_t n)
{
	static const char probe[] = "GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	size_t cut;
	int fd, tries;

	if (!node)
		open_node();
	if (!n)
		return;
	cut = KERF_MIN((size_t)data[0], n - 1);
	data++;
	n--;
	fd = dial();
	send_all(fd, data, cut);
	send_all(fd, data + cut, n - cut);
	/* Half closed: the node sees the end of what it gets, and may still answer. */
	shutdown(fd, SHUT_WR);
	drain(fd, 50);
	close(fd);
	for (tries = 0; tries < 50; tries++) {
		bool ok;

		fd = dial();
		send_all(fd, (const uint8_t *)probe, sizeof(probe) - 1);
		ok = drain(fd, 2000);
		close(fd);
		if (ok)
			return;
		usleep(20000);
	}
	fprintf(stderr, "the node does not answer any more\n");
	abort();
}

/* A head is found at the same place however the bytes come in. */
static void reply(const uint8_t *data, size_t n)
{
	char *copy = malloc(n + 1);
	struct kerf_http_head head, again;
	ssize_t r, k;

	if (!copy)
		abort();
	memcpy(copy, data, n);
	r = kerf_http_head_parse(copy, n, &head);
	if (r > (ssize_t)n || r > (ssize_t)KERF_HTTP_REPLY_HEAD_MAX)
		abort();
	if (r > 0) {
		k = kerf_http_head_parse(copy, (size_t)r, &again);
		if (k != r || again.length != head.length || again.status != head.status)
			abort();
		if (kerf_http_head_parse(copy, (size_t)r - 1, &again) > 0)
			abort();
		if (head.hold_ns < -1 || head.load_size >= KERF_LOAD_TEXT ||
		    !head.load != !head.load_size ||
		    (head.load && (head.load < copy || head.load + head.load_size > copy + r)))
			abort();
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		reply(data + 1, size - 1);
	else
		request(data + 1, size - 1);
	return 0;
}

#define SEED(s) add(s, sizeof(s) - 1)
#define H " HTTP/1.1\r\nHost: x\r\n"
#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	SEED("\0\4GET /v2" H "\r\nGET /kerf/v1/status" H "\r\n");
	SEED("\0\xffPOST /v2/models/m/infer" H "Content-Length: 99999999999\r\n\r\n");
	SEED("\0\x20POST /kerf/v1/slices" H "Content-Length: 12\r\n\r\n{\"model\":\"\"}");
	SEED("\0\x30PUT /kerf/v1/models/" SHA H "Content-Length: 4\r\n"
	     "Content-Range: bytes 0-3/8\r\n\r\nabcd");
	SEED("\0\x10PUT /kerf/v1/models/" SHA H "Content-Length: 4\r\n\r\nabcd");
	SEED("\0\x10GET /kerf/v1/source?bytes=100" H "\r\n");
	SEED("\0\x10POST /kerf/v1/sink" H "Content-Length: 10\r\n\r\n0123456789");
	SEED("\0\x10POST /v2/models/m/infer" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
	SEED("\0\x10POST /kerf/v1/sink" H "Content-Length: 5\r\nContent-Length: 35\r\n"
	     "Transfer-Encoding : chunked\r\nOrigin: null\r\n\r\nhello");
	SEED("\0\x10GET /v2%00" H " folded\r\n\r\n");
	SEED("\1HTTP/1.1 200 OK\r\nContent-Length: 12\r\nKerf-Busy-Ns: 77\r\nConnection: close\r\n"
	     "Inference-Header-Content-Length: 5\r\n\r\n");
	SEED("\1HTTP/1.1 200 OK\r\nKerf-Load: v=1 cpus=2 fair=1200 engine=cpu,1,2,3\r\n"
	     "Kerf-Hold-Ns: 123456\r\nContent-Length: 0\r\n\r\n");
	SEED("\1HTTP/1.1 503 Busy\r\nKerf-Load:\t\r\nKerf-Hold-Ns: -1\r\n"
	     "Kerf-Load: \x01\xff\r\nContent-Length: 1\r\n\r\n");
	SEED("\1HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
}
