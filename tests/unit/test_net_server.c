/* SPDX-License-Identifier: MIT */
/* A live node against requests as they should and should not be. */
#include "net_node.h"

#include "node/model_store.h"
#include "util/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct test_node node;

static int setup(void **state)
{
	struct kerf_node_config cfg = {.head_timeout_ms = 700, .body_timeout_ms = 700,
				       .cache_bytes = 100000, .body_budget = 4 << 20,
				       .max_connections = 24};

	net_open(&node, &cfg, "1");
	return 0;
}

static int teardown(void **state)
{
	net_close(&node);
	return 0;
}

struct expect {
	const char *request;
	int status;
	const char *body; /* a word of it; NULL: any */
};

static void check(const struct expect *list, size_t n)
{
	char body[4096];
	size_t i;

	for (i = 0; i < n; i++) {
		int status = net_exchange(&node, list[i].request, body, sizeof(body));

		if (status != list[i].status || (list[i].body && !strstr(body, list[i].body)))
			fail_msg("case %zu: %d '%s', expected %d '%s'", i, status, body, list[i].status,
				 list[i].body ? list[i].body : "");
	}
}

#define H " HTTP/1.1\r\nHost: x\r\n"
#define SHA64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_good(void **state)
{
	static const struct expect list[] = {
		{"GET /v2" H "\r\n", 200, "binary_tensor_data"},
		{"GET /v2/health/live" H "\r\n", 200, NULL},
		{"GET /v2/health/ready" H "\r\n", 200, NULL},
		{"GET /v2/models/m" H "\r\n", 200, "\"shape\":[1,5]"},
		{"GET /v2/models/m/versions/1" H "\r\n", 200, "\"versions\":[\"1\"]"},
		{"GET /v2/models/m/ready" H "\r\n", 200, NULL},
		{"GET /kerf/v1/status" H "\r\n", 200, "\"jobs_in_flight\""},
	};

	check(list, KERF_ARRAY_SIZE(list));
}

/* POST .../infer with a JSON header of n_json bytes (-1: no such field). */
static int infer(const char *path, long n_json, const void *data, size_t n, char *body, size_t size)
{
	char head[512], oip[80] = "";
	int fd = net_connect(&node), status;

	if (n_json >= 0)
		snprintf(oip, sizeof(oip), "Inference-Header-Content-Length: %ld\r\n", n_json);
	snprintf(head, sizeof(head), "POST %s" H "Content-Length: %zu\r\n%s\r\n", path, n, oip);
	net_send(fd, head, strlen(head));
	net_send(fd, data, n);
	status = net_reply(fd, body, size, 10000);
	close(fd);
	return status;
}

#define X_JSON "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,5],\"data\":[1,2,3,4,5]}"

static void test_infer(void **state)
{
	static const char json[] = "{\"id\":\"a\",\"inputs\":[" X_JSON
				   ",{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[1,5],"
				   "\"data\":[[5,4,3,2,1]]}],\"outputs\":[{\"name\":\"v\"}]}";
	static const char mixed[] = "{\"inputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[1,5],"
				    "\"parameters\":{\"binary_data_size\":20}}," X_JSON "],"
				    "\"parameters\":{\"binary_data_output\":true}}";
	static const float x[5] = {1, 2, 3, 4, 5}, y[5] = {5, 4, 3, 2, 1},
			   v[5] = {1, 8, 15, 22, 29};
	char data[512], body[2048];
	float got[5];
	char *end;

	assert_int_equal(infer("/v2/models/m/infer", -1, json, strlen(json), body, sizeof(body)), 200);
	assert_non_null(strstr(body, "\"id\":\"a\""));
	assert_non_null(strstr(body, "\"data\":[1,8,15,22,29]"));
	assert_null(strstr(body, "\"s\""));

	memcpy(data, mixed, strlen(mixed));
	memcpy(data + strlen(mixed), y, sizeof(y));
	memset(body, 0, sizeof(body));
	assert_int_equal(infer("/v2/models/m/versions/1/infer", (long)strlen(mixed), data,
			       strlen(mixed) + sizeof(y), body, sizeof(body)), 200);
	end = strstr(body, "]}");
	assert_non_null(end);

	memcpy(data, x, sizeof(x));
	memcpy(data + sizeof(x), y, sizeof(y));
	assert_int_equal(infer("/v2/models/m/infer", 0, data, 40, body, sizeof(body)), 200);
	assert_non_null(strstr(body, "\"binary_data_size\":20"));
	end = strstr(body, "}}]}");
	assert_non_null(end);
	memcpy(got, end + 4, sizeof(got));
	assert_memory_equal(got, v, sizeof(v));
}

static void test_head(void **state)
{
	static const char request[] = "HEAD /v2" H "\r\nGET /v2/models/m" H "\r\n";
	char buf[4096] = "";
	size_t have = 0;
	int fd = net_connect(&node);

	net_send(fd, request, sizeof(request) - 1);
	while (!strstr(buf, "\"platform\"") && have < sizeof(buf) - 1) {
		ssize_t k = recv(fd, buf + have, sizeof(buf) - 1 - have, 0);

		if (k <= 0)
			break;
		have += (size_t)k;
		buf[have] = 0;
	}
	close(fd);
	/* The length is told, the body is not there: the next reply follows at once. */
	assert_non_null(strstr(buf, "Content-Length: 69\r\n"));
	assert_null(strstr(buf, "binary_tensor_data"));
	assert_non_null(strstr(buf, "\"platform\""));
}

static void test_refused(void **state)
{
	static const struct expect list[] = {
		{"GET /" H "\r\n", 404, "no resource"},
		{"GET /v2/models/nope" H "\r\n", 404, "'nope'"},
		{"GET /v2/models/m/versions/2" H "\r\n", 404, "version 2"},
		{"DELETE /v2" H "\r\n", 405, "GET"},
		{"POST /kerf/v1/status" H "Content-Length: 0\r\n\r\n", 405, NULL},
		{"GET /v2" H "Content-Length: 5\r\n\r\nhello", 413, NULL},
		{"POST /v2/models/m/infer" H "\r\n", 411, NULL},
		{"POST /v2/models/m/infer" H "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 411,
		 NULL},
		{"POST /v2/models/m/infer" H "Content-Length: 99999999999999\r\n\r\n", 413, NULL},
		{"POST /v2/models/m/infer" H "Content-Length: 2\r\n\r\n{}", 400, "inputs"},
		{"POST /v2/models/m/infer" H "Content-Length: 4\r\n\r\n{}{}", 400, "followed"},
		{"POST /v2/models/m/infer" H "Content-Length: 2\r\n"
		 "Inference-Header-Content-Length: 3\r\n\r\n{}", 400, "3"},
		{"POST /v2/models/m/infer" H "Content-Length: 2\r\n"
		 "Inference-Header-Content-Length: -1\r\n\r\n{}", 400, "-1"},
		{"POST /v2/models/m/infer" H "Content-Length: 5\r\n"
		 "Inference-Header-Content-Length: 0\r\n\r\nhello", 400, "40"},
		{"POST /v2/models/m/infer" H "Content-Length: 3000000\r\n\r\n", 413, "JSON"},
		{"POST /v2/models/nope/infer" H "Content-Length: 2\r\n\r\n{}", 404, NULL},
		{"POST /kerf/v1/slices" H "Content-Length: 2\r\n\r\n{}", 400, "model"},
		{"POST /kerf/v1/slices" H "Content-Length: 9000000\r\n\r\n", 413, NULL},
		{"GET /kerf/v1/slices/1" H "\r\n", 404, NULL},
		{"DELETE /kerf/v1/slices/1" H "\r\n", 404, NULL},
		{"GET /kerf/v1/models/xyz" H "\r\n", 400, "hex"},
		{"GET /kerf/v1/models/" SHA64 H "\r\n", 404, NULL},
		{"PUT /kerf/v1/models/" SHA64 H "Content-Length: 0\r\n\r\n", 400, "empty"},
		{"PUT /kerf/v1/models/../../etc" H "Content-Length: 1\r\n\r\nx", 404, NULL},
		{"PUT /kerf/v1/models/" SHA64 H "Content-Length: 2000000\r\n\r\n", 413, "cache"},
		{"PUT /kerf/v1/models/" SHA64 H "Content-Length: 2\r\n"
		 "Content-Range: bytes 5-6/100\r\n\r\nxx", 409, "0 are stored"},
		{"PUT /kerf/v1/models/" SHA64 H "Content-Length: 2\r\n"
		 "Content-Range: bytes 0-6/100\r\n\r\nxx", 400, "Content-Range"},
		{"PUT /kerf/v1/models/" SHA64 H "Content-Length: 2\r\n"
		 "Content-Range: bytes 6-5/100\r\n\r\nxx", 400, "Content-Range"},
		{"PUT /kerf/v1/models/" SHA64 H "Content-Length: 2\r\n"
		 "Content-Range: bytes 0-1/99999999999999999999\r\n\r\nxx", 400, NULL},
		{"PUT /kerf/v1/models/" SHA64 H "Content-Length: 2\r\n\r\nxx", 422, "SHA-256"},
		{"GET /kerf/v1/source" H "\r\n", 400, NULL},
		{"GET /kerf/v1/source?bytes=99999999" H "\r\n", 400, NULL},
		{"GET /kerf/v1/source?bytes=-1" H "\r\n", 400, NULL},
		{"POST /kerf/v1/sink" H "Content-Length: 99999999\r\n\r\n", 413, NULL},
		{"POST /v2" H "Content-Length: x\r\n\r\n", 400, NULL},
		{"POST /v2" H "Content-Length: 99999999999999999999999\r\n\r\n", 413, NULL},
		{"GET /v2 HTTP/1.1\r\n\r\n", 400, NULL}, /* no Host */
		{"garbage\r\n\r\n", 0, NULL},
	};

	check(list, KERF_ARRAY_SIZE(list));
}

/*
 * Heads that another reader could take apart in another way: one reply, and the connection
 * ends, so that nothing hidden in such a request is ever taken for the next one.
 */
static void test_smuggling(void **state)
{
#define SINK "POST /kerf/v1/sink" H
	static const struct {
		const char *request;
		int status;
	} list[] = {
		{SINK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{SINK "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400},
		{SINK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
		{SINK "Transfer-Encoding: xchunked\r\n\r\nhello", 411},
		{SINK "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", 400},
		{SINK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400},
		{SINK "Content-Length: 5\r\nContent-Length: 35\r\n\r\nhello", 400},
		{SINK "Content-Length: 35\r\nContent-Length: 5\r\n\r\nhello", 400},
		{SINK "Content-Length: 5, 5\r\n\r\nhello", 400},
		{SINK "Content-Length: +5\r\n\r\nhello", 400},
		{SINK "Content-Length : 5\r\n\r\nhello", 400},
		{SINK "Content-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
		{"GET /v2" H "Host: y\r\n\r\n", 400},
		{"GET /v2/health/live%00/x" H "\r\n", 400},
		/* What a browser sends for a page of another site, and for one of this machine. */
		{"GET /v2" H "Origin: http://example.org\r\n\r\n", 403},
		{"GET /v2" H "Origin: http://localhost.example.org\r\n\r\n", 403},
		{"GET /v2" H "Origin: null\r\n\r\n", 403},
	};
	static const char next[] = "GET /v2" H "\r\n", local[] = "GET /v2" H
				   "Origin: http://localhost:8000\r\n\r\n";
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(list); i++) {
		char buf[8192] = "";
		size_t have = 0;
		ssize_t k = 1;
		int fd = net_connect(&node);

		net_send(fd, list[i].request, strlen(list[i].request));
		net_send(fd, next, sizeof(next) - 1);
		while (k > 0 && have < sizeof(buf) - 1) {
			struct pollfd p = {.fd = fd, .events = POLLIN};

			if (poll(&p, 1, 20000) <= 0)
				fail_msg("case %u: the connection stays open after '%s'", i, buf);
			k = recv(fd, buf + have, sizeof(buf) - 1 - have, 0);
			have += k > 0 ? (size_t)k : 0;
		}
		close(fd);
		if (have && atoi(buf + 9) != list[i].status)
			fail_msg("case %u: '%s', expected %d", i, buf, list[i].status);
		assert_null(strstr(buf, "binary_tensor_data"));
	}
	assert_int_equal(net_exchange(&node, local, NULL, 0), 200);
}

static void test_long_heads(void **state)
{
	size_t n = 300 << 10;
	char *request = malloc(n + 1), body[256];
	int status;

	assert_non_null(request);
	/* A head longer than the connection's memory, then one longer than our limit. */
	memset(request, 'a', n);
	request[n] = 0;
	memcpy(request, "GET /", 5);
	status = net_exchange(&node, request, NULL, 0);
	assert_true(status == 0 || (status >= 400 && status < 500));
	n = 40 << 10;
	snprintf(request, n, "GET /v2" H "X: ");
	memset(request + strlen(request), 'a', n - strlen(request));
	memcpy(request + n - 4, "\r\n\r\n", 5);
	status = net_exchange(&node, request, body, sizeof(body));
	assert_true(status == 431 || status == 413);
	free(request);
}

/* Bytes one by one, in the first line, in the head, in the body: 408 before long. */
static void test_slow(void **state)
{
	static const struct {
		const char *begin, *drip;
	} list[] = {
		{"", "GET /v2/models/m/infer-and-so-on-and-so-on-and-so-on-and-so-on"},
		{"POST /v2/models/m/infer" H, "X-Header: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		{"POST /v2/models/m/infer" H "Content-Length: 1000\r\n\r\n",
		 "{                                                             "},
		{"POST /v2/models/m/infer" H "Content-Length: 40\r\n"
		 "Inference-Header-Content-Length: 0\r\n\r\n", "0123456789012345678901234567890123456"},
	};
	unsigned i, k;

	for (i = 0; i < KERF_ARRAY_SIZE(list); i++) {
		int fd = net_connect(&node), status = -1;
		char body[256];

		net_send(fd, list[i].begin, strlen(list[i].begin));
		for (k = 0; list[i].drip[k] && status == -1; k++) {
			net_send(fd, &list[i].drip[k], 1);
			status = net_reply(fd, body, sizeof(body), 100);
		}
		if (status == -1)
			status = net_reply(fd, body, sizeof(body), 20000);
		close(fd);
		if (status != 408)
			fail_msg("case %u: %d", i, status);
		assert_non_null(strstr(body, "too slow"));
	}
}

/* Requests cut off anywhere leave nothing behind: the node serves on, nothing stays busy. */
static void test_truncated(void **state)
{
	static const char request[] =
		"POST /v2/models/m/infer" H "Content-Length: 40\r\n"
		"Inference-Header-Content-Length: 0\r\n\r\n0123456789012345678901234567890123456789";
	char body[4096];
	size_t n;
	int fd;

	for (n = 1; n < sizeof(request) - 1; n += 3) {
		fd = net_connect(&node);
		net_send(fd, request, n);
		close(fd);
	}
	/* The broken connections count until their threads have noticed. */
	for (n = 0; n < 50; n++) {
		if (net_exchange(&node, request, body, sizeof(body)))
			break;
		usleep(100000);
	}
	assert_int_equal(net_exchange(&node, request, body, sizeof(body)), 200);
	assert_int_equal(net_exchange(&node, "GET /kerf/v1/status" H "\r\n", body, sizeof(body)), 200);
	assert_non_null(strstr(body, "\"jobs_in_flight\":0"));
	assert_non_null(strstr(body, "\"failures\":0"));
}

/* Raw requests whose bodies do not come, more than there are jobs: others are served. */
static void test_stalled(void **state)
{
	static const char head[] = "POST /v2/models/m/infer" H "Content-Length: 40\r\n"
				   "Inference-Header-Content-Length: 0\r\n\r\n";
	static const float x[10] = {1, 2, 3, 4, 5, 5, 4, 3, 2, 1};
	char body[1024];
	bool late = true;
	int fd[6], i, k;

	/* On a busy machine the stalled ones may time out before: then once more. */
	for (k = 0; late && k < 5; k++) {
		for (i = 0; i < 6; i++) {
			fd[i] = net_connect(&node);
			net_send(fd[i], head, sizeof(head) - 1);
		}
		usleep(50000);
		assert_int_equal(infer("/v2/models/m/infer", 0, x, sizeof(x), body, sizeof(body)), 200);
		assert_non_null(strstr(body, "\"binary_data_size\":20"));
		late = false;
		for (i = 0; i < 6; i++) {
			struct pollfd p = {.fd = fd[i], .events = POLLIN};

			late |= poll(&p, 1, 0) != 0;
			close(fd[i]);
		}
	}
	assert_false(late);
}

static void test_pipelined(void **state)
{
	static const char two[] = "GET /v2" H "\r\nGET /v2/models/m" H "\r\n";
	char buf[8192];
	size_t have = 0;
	int fd = net_connect(&node), i;

	net_send(fd, two, sizeof(two) - 1);
	for (i = 0; i < 20; i++) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t k;

		if (poll(&p, 1, 20000) <= 0)
			break;
		k = recv(fd, buf + have, sizeof(buf) - 1 - have, 0);
		if (k <= 0)
			break;
		have += (size_t)k;
		buf[have] = 0;
		if (strstr(buf, "\"platform\""))
			break;
	}
	close(fd);
	assert_non_null(strstr(buf, "binary_tensor_data"));
	assert_non_null(strstr(buf, "\"platform\""));
}

/* A body of blanks, as large as a JSON body may be; the status, and what was said. */
static int infer_blanks(char *body, size_t size)
{
	static const char head[] = "POST /v2/models/m/infer" H "Content-Length: 65000\r\n\r\n";
	char blanks[1000];
	int fd = net_connect(&node), i, status;

	memset(blanks, ' ', sizeof(blanks));
	net_send(fd, head, sizeof(head) - 1);
	for (i = 0; i < 65; i++)
		net_send(fd, blanks, sizeof(blanks));
	status = net_reply(fd, body, size, 20000);
	close(fd);
	return status;
}

/*
 * What bodies may take in memory, all together, is bounded: here 4 MiB, of which parsing
 * one JSON body of 65000 bytes may take most. Until one that stalls has come to the node, and
 * until the node has noticed that it went, another fits or does not.
 */
static void test_budget(void **state)
{
	static const char begin[] = "POST /v2/models/m/infer" H "Content-Length: 65000\r\n\r\n    ";
	char body[256];
	int status = 0, i, fd;

	for (i = 0; status != 503 && i < 100; i++) {
		fd = net_connect(&node);
		net_send(fd, begin, sizeof(begin) - 1);
		usleep(20000);
		status = infer_blanks(body, sizeof(body));
		close(fd);
	}
	assert_int_equal(status, 503);
	assert_non_null(strstr(body, "JSON"));
	for (i = 0; status == 503 && i < 1000; i++) {
		usleep(10000);
		status = infer_blanks(body, sizeof(body));
	}
	assert_int_equal(status, 400);
}

/*
 * More connections than allowed: some are turned away, and then there is room again. On a busy
 * machine the first are closed, being idle, before the last have come: then once more.
 */
static void test_connections(void **state)
{
	static const char request[] = "GET /v2" H "\r\n";
	int fd[40], status[40], i, k, answered = 0;
	bool idle = true;

	for (k = 0; idle && k < 10; k++) {
		/* Those of the time before are gone when as many as are allowed fit again. */
		answered = 0;
		for (i = 0; i < 40; i++) {
			fd[i] = net_connect(&node);
			net_send(fd[i], request, sizeof(request) - 1);
		}
		for (i = 0; i < 40; i++) {
			status[i] = net_reply(fd[i], NULL, 0, 20000);
			answered += status[i] == 200;
		}
		idle = answered < 20;
		for (i = 0; i < 40; i++) {
			struct pollfd p = {.fd = fd[i], .events = POLLIN};

			idle |= status[i] == 200 && poll(&p, 1, 0) != 0;
			close(fd[i]);
		}
		for (i = 0; i < 1000; i++) {
			if (net_exchange(&node, request, NULL, 0) == 200)
				break;
			usleep(10000);
		}
		assert_true(i < 1000);
	}
	assert_false(idle);
	assert_true(answered >= 20 && answered <= 24);
}

static int put(const char *sha, const char *range, const void *data, size_t n, char *body,
	       size_t size)
{
	char head[512];
	int fd = net_connect(&node), status;

	snprintf(head, sizeof(head),
		 "PUT /kerf/v1/models/%s" H "Content-Length: %zu\r\n%s%s%s\r\n", sha, n,
		 range ? "Content-Range: bytes " : "", range ? range : "", range ? "\r\n" : "");
	net_send(fd, head, strlen(head));
	net_send(fd, data, n);
	status = net_reply(fd, body, size, 10000);
	close(fd);
	return status;
}

static int stored(const char *sha, char *body, size_t size)
{
	char request[256];

	snprintf(request, sizeof(request), "GET /kerf/v1/models/%s" H "\r\n", sha);
	return net_exchange(&node, request, body, size);
}

static void test_upload(void **state)
{
	char range[64], body[512], head[512];
	size_t half = node.size / 2;
	const char *bytes = node.bytes;
	int fd, i, status = 0;

	/* The first half, cut off by a broken connection... */
	fd = net_connect(&node);
	snprintf(head, sizeof(head), "PUT /kerf/v1/models/%s" H "Content-Length: %zu\r\n\r\n", node.sha,
		 node.size);
	net_send(fd, head, strlen(head));
	net_send(fd, bytes, half);
	snprintf(range, sizeof(range), "\"stored\":%zu,\"complete\":false", half);
	for (i = 0; i < 1000; i++) {
		if (stored(node.sha, body, sizeof(body)) == 200 && strstr(body, range))
			break;
		usleep(1000);
	}
	assert_int_equal(put(node.sha, NULL, bytes, node.size, body, sizeof(body)), 409);
	close(fd);
	/* ...is what is stored, and where the next piece must go on. */
	assert_int_equal(stored(node.sha, body, sizeof(body)), 200);
	assert_non_null(strstr(body, range));
	snprintf(range, sizeof(range), "%zu-%zu/%zu", half + 1, node.size - 1, node.size);
	assert_int_equal(put(node.sha, range, bytes + half + 1, node.size - half - 1, body,
			     sizeof(body)), 409);
	snprintf(range, sizeof(range), "%zu-%zu/%zu", half, node.size - 1, node.size);
	/* The node may not have noticed yet that the connection broke. */
	for (i = 0; i < 1000; i++) {
		status = put(node.sha, range, bytes + half, node.size - half, body, sizeof(body));
		if (status != 409)
			break;
		usleep(10000);
	}
	assert_int_equal(status, 201);
	assert_non_null(strstr(body, "\"complete\":true"));
	assert_int_equal(put(node.sha, NULL, bytes, node.size, body, sizeof(body)), 409);
}

/* The folder never holds more than its bound; what was used longest ago goes. */
static void test_cache_bound(void **state)
{
	char body[4096], hex[KERF_SHA256_HEX], first[KERF_SHA256_HEX], *data = malloc(30000);
	uint8_t digest[32];
	int i;

	assert_non_null(data);
	for (i = 0; i < 6; i++) {
		memset(data, i, 30000);
		kerf_sha256(data, 30000, digest);
		kerf_hex(digest, 32, hex);
		if (!i)
			memcpy(first, hex, sizeof(first));
		assert_int_equal(put(hex, NULL, data, 30000, body, sizeof(body)), 201);
		assert_int_equal(stored(hex, body, sizeof(body)), 200);
		usleep(2000);
	}
	free(data);
	assert_int_equal(stored(first, body, sizeof(body)), 404);
	assert_int_equal(net_exchange(&node, "GET /kerf/v1/status" H "\r\n", body, sizeof(body)), 200);
	assert_non_null(strstr(body, "\"bytes\":90000"));
}

static int upload(struct kerf_model_store *s, uint64_t at, uint64_t until, bool *complete)
{
	struct kerf_err err = {""};
	struct kerf_upload *u;
	uint64_t stored;
	int r = kerf_upload_begin(s, node.sha, at, node.size, &u, &err);

	if (r)
		return r;
	assert_int_equal(kerf_upload_write(u, (const char *)node.bytes + at, until - at, &err), 0);
	return kerf_upload_end(u, &stored, complete, &err);
}

/* Two processes with one folder: no upload runs into another's file. */
static void test_shared_folder(void **state)
{
	struct kerf_model_store *a, *b;
	struct kerf_upload *u;
	struct kerf_err err = {""};
	uint64_t half = node.size / 2, stored;
	bool complete;
	char dir[96];

	snprintf(dir, sizeof(dir), "%s/shared", node.dir);
	assert_int_equal(kerf_model_store_open(dir, 1 << 20, &a, &err), 0);
	assert_int_equal(kerf_model_store_open(dir, 1 << 20, &b, &err), 0);
	assert_int_equal(kerf_upload_begin(a, node.sha, 0, node.size, &u, &err), 0);
	assert_int_equal(kerf_upload_write(u, node.bytes, half, &err), 0);
	assert_int_equal(upload(b, 0, node.size, &complete), -EBUSY);
	assert_int_equal(kerf_upload_end(u, &stored, &complete, &err), 0);
	assert_false(complete);
	/* b does not know of the first half; a finds that it is gone once b was through. */
	assert_int_equal(upload(b, half, node.size, &complete), -ESTALE);
	assert_int_equal(upload(b, 0, node.size, &complete), 0);
	assert_true(complete);
	assert_int_equal(upload(a, half, node.size, &complete), -ESTALE);
	assert_int_equal(upload(a, 0, node.size, &complete), 0);
	assert_true(complete);
	kerf_model_store_close(a);
	kerf_model_store_close(b);
}

static void test_fingerprint(void **state)
{
	char json[512], request[1024], body[1024];

	/* The cache test may have pushed it out. */
	put(node.sha, NULL, node.bytes, node.size, body, sizeof(body));
	snprintf(json, sizeof(json),
		 "{\"model\":\"%s\",\"fingerprint\":\"00000000deadbeef\",\"engine\":\"ref\"}", node.sha);
	snprintf(request, sizeof(request), "POST /kerf/v1/slices" H "Content-Length: %zu\r\n\r\n%s",
		 strlen(json), json);
	assert_int_equal(net_exchange(&node, request, body, sizeof(body)), 409);
	assert_non_null(strstr(body, "00000000deadbeef"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	    cmocka_unit_test(test_infer),
		cmocka_unit_test(test_head),	    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_smuggling),   cmocka_unit_test(test_long_heads),
		cmocka_unit_test(test_slow),	    cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_stalled),	    cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_budget),	    cmocka_unit_test(test_connections),
		cmocka_unit_test(test_upload),	    cmocka_unit_test(test_cache_bound),
		cmocka_unit_test(test_fingerprint), cmocka_unit_test(test_shared_folder),
	};
	const struct CMUnitTest absent[] = {cmocka_unit_test(net_test_absent)};

	signal(SIGPIPE, SIG_IGN);
	if (!NET_BUILT)
		return cmocka_run_group_tests(absent, NULL, NULL);
	return cmocka_run_group_tests(tests, setup, teardown);
}
