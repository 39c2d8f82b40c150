/* SPDX-License-Identifier: MIT */
/* What travels: OIP headers, slice requests, heads of replies; good and bad. */
#include "net/http_client.h"
#include "net/http_head.h"
#include "net/json.h"
#include "net/listen.h"
#include "net/oip.h"
#include "net/rate_fit.h"
#include "net/slice_request.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct kerf_oip_io inputs[] = {
	{"a", {.dtype = KERF_F32, .rank = 2, .dims = {2, 3}}},
	{"b", {.dtype = KERF_I8, .rank = 1, .dims = {5}}},
};
static const struct kerf_oip_io outputs[] = {
	{"y", {.dtype = KERF_F32, .rank = 1, .dims = {4}}},
	{"z\"quoted\"", {.dtype = KERF_I64, .rank = 2, .dims = {1, 2}}},
};
static const struct kerf_oip_spec spec = {"m", 2, 2, inputs, outputs};

struct tensors {
	float a[6];
	int8_t b[5];
	struct kerf_tensor in[2];
};

static void init(struct tensors *t)
{
	memset(t, 0, sizeof(*t));
	t->in[0] = inputs[0].t;
	t->in[0].data = t->a;
	t->in[1] = inputs[1].t;
	t->in[1].data = t->b;
}

static int decode(struct tensors *t, const char *json, const void *binary, size_t n_binary,
		  struct kerf_oip_request *q, struct kerf_err *err)
{
	size_t n = strlen(json);
	char *body = malloc(n + n_binary + 1);
	int r;

	assert_non_null(body);
	memcpy(body, json, n);
	if (n_binary)
		memcpy(body + n, binary, n_binary);
	init(t);
	err->msg[0] = 0;
	r = kerf_oip_request_decode(&spec, body, n + n_binary, (int64_t)n, t->in, q, err);
	free(body);
	return r;
}

static void test_request_json(void **state)
{
	struct kerf_oip_request q;
	struct kerf_err err = {""};
	struct tensors t;

	assert_int_equal(decode(&t,
				"{\"id\":\"7\",\"inputs\":["
				"{\"name\":\"b\",\"datatype\":\"INT8\",\"shape\":[5],\"data\":[1,-128,127,0,5]},"
				"{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[2,3],"
				"\"data\":[[1,2.5,-3e2],[4,5,6]]}]}",
				NULL, 0, &q, &err),
			 0);
	assert_true(t.a[1] == 2.5f && t.a[2] == -300 && t.a[5] == 6);
	assert_int_equal(t.b[1], -128);
	assert_string_equal(q.id, "7");
	assert_int_equal(q.form[0], KERF_OIP_JSON);
}

static void test_request_binary(void **state)
{
	static const char json[] =
		"{\"inputs\":[{\"name\":\"b\",\"datatype\":\"INT8\",\"shape\":[5],"
		"\"parameters\":{\"binary_data_size\":5}},"
		"{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[2,3],"
		"\"parameters\":{\"binary_data_size\":24}}],"
		"\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":true}}]}";
	char data[30] = {1, 2, 3, 4, 5};
	struct kerf_oip_request q;
	struct kerf_err err = {""};
	struct tensors t;
	float f = 9;

	memcpy(data + 5, &f, 4);
	assert_int_equal(decode(&t, json, data, 29, &q, &err), 0);
	assert_int_equal(t.b[4], 5);
	assert_true(t.a[0] == 9);
	assert_int_equal(q.form[0], KERF_OIP_BINARY);
	assert_int_equal(q.form[1], KERF_OIP_OMIT);
	/* One byte less, one byte more. */
	assert_int_equal(decode(&t, json, data, 28, &q, &err), -EINVAL);
	assert_int_equal(decode(&t, json, data, 30, &q, &err), -EINVAL);
}

static void test_request_raw(void **state)
{
	char body[29] = {0};
	struct kerf_oip_request q;
	struct kerf_err err = {""};
	struct tensors t;

	body[24] = 42;
	init(&t);
	assert_int_equal(kerf_oip_request_decode(&spec, body, 29, 0, t.in, &q, &err), 0);
	assert_int_equal(t.b[0], 42);
	assert_int_equal(q.form[1], KERF_OIP_BINARY);
	assert_int_equal(kerf_oip_request_decode(&spec, body, 28, 0, t.in, &q, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "28"));
	assert_non_null(strstr(err.msg, "29"));
}

#define A_OK "{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[2,3],\"data\":[1,2,3,4,5,6]}"
#define B_OK "{\"name\":\"b\",\"datatype\":\"INT8\",\"shape\":[5],\"data\":[1,2,3,4,5]}"

static void test_request_bad(void **state)
{
	/* What is wrong, and a word that the sentence must have. */
	static const char *const bad[][2] = {
		{"[]", "object"},
		{"{}", "inputs"},
		{"{\"inputs\":3}", "inputs"},
		{"{\"inputs\":[3]}", "objects"},
		{"{\"inputs\":[" A_OK "]}", "'b' is missing"},
		{"{\"inputs\":[" A_OK "," A_OK "," B_OK "]}", "twice"},
		{"{\"inputs\":[" A_OK "," B_OK ",{\"name\":\"c\"}]}", "'c'"},
		{"{\"inputs\":[" A_OK "," B_OK "]} x", "followed"},
		{"{\"inputs\":[" A_OK "," B_OK "],}", "JSON"},
		{"{\"inputs\":[" B_OK ",{\"name\":\"a\",\"datatype\":\"FP64\",\"shape\":[2,3],\"data\":[]}]}",
		 "float64[2,3], expected float32[2,3]"},
		{"{\"inputs\":[" B_OK ",{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[3,2],\"data\":[]}]}",
		 "float32[3,2]"},
		{"{\"inputs\":[" B_OK ",{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[2,-3]}]}", "-3"},
		{"{\"inputs\":[" B_OK ",{\"name\":\"a\",\"datatype\":\"FP32\","
		 "\"shape\":[9223372036854775807,9223372036854775807]}]}",
		 "shape"},
		{"{\"inputs\":[" B_OK ",{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[2,3],"
		 "\"data\":[1,2,3,4,5]}]}",
		 "5 elements"},
		{"{\"inputs\":[" B_OK ",{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[2,3],"
		 "\"data\":[1,2,3,4,5,6,7]}]}",
		 "more than 6"},
		{"{\"inputs\":[" B_OK ",{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[2,3],"
		 "\"data\":[1,2,3,4,5,\"x\"]}]}",
		 "element 5"},
		{"{\"inputs\":[" A_OK ",{\"name\":\"b\",\"datatype\":\"INT8\",\"shape\":[5],"
		 "\"data\":[1,2,3,4,128]}]}",
		 "element 4"},
		{"{\"inputs\":[" A_OK ",{\"name\":\"b\",\"datatype\":\"INT8\",\"shape\":[5],"
		 "\"parameters\":{\"binary_data_size\":5}}]}",
		 "0 are left"},
		{"{\"inputs\":[" A_OK ",{\"name\":\"b\",\"datatype\":\"INT8\",\"shape\":[5],"
		 "\"parameters\":{\"binary_data_size\":9223372036854775807}}]}",
		 "binary_data_size"},
		{"{\"inputs\":[" A_OK "," B_OK "],\"outputs\":[{\"name\":\"nope\"}]}", "nope"},
		{"{\"inputs\":[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]}", "too deep"},
	};
	struct kerf_oip_request q;
	struct kerf_err err;
	struct tensors t;
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		int r = decode(&t, bad[i][0], NULL, 0, &q, &err);

		if (r != -EINVAL || !strstr(err.msg, bad[i][1]))
			fail_msg("case %u: %d '%s', expected '%s'", i, r, err.msg, bad[i][1]);
	}
}

/* What one side encodes, the other side reads, with every form of output. */
static void test_reply(void **state)
{
	float y[4] = {1.5f, -0.1f, 3e38f, NAN}, y2[4];
	int64_t z[2] = {INT64_MIN, INT64_MAX}, z2[2], at[2];
	struct kerf_tensor out[2] = {outputs[0].t, outputs[1].t},
			   got[2] = {outputs[0].t, outputs[1].t};
	struct kerf_oip_request q = {.id = "x\n", .form = {KERF_OIP_BINARY, KERF_OIP_JSON}};
	struct kerf_err err = {""};
	char *text;
	size_t n;

	out[0].data = y;
	out[1].data = z;
	got[0].data = y2;
	got[1].data = z2;
	out[0].dims[0] = 3; /* a bounded output that came out smaller */
	assert_int_equal(kerf_oip_reply_encode(&spec, &q, out, &text, &n), 0);
	assert_int_equal(kerf_oip_reply_decode(&spec, text, n, 12, true, got, at, &err), 0);
	assert_int_equal(at[0], 0);
	assert_int_equal(at[1], -1);
	assert_int_equal(got[0].dims[0], 3);
	assert_memory_equal(z, z2, sizeof(z));
	assert_int_equal(kerf_oip_reply_decode(&spec, text, n, 12, false, got, at, &err), -EINVAL);
	assert_int_equal(kerf_oip_reply_decode(&spec, text, n, 11, true, got, at, NULL), -EINVAL);
	assert_int_equal(kerf_oip_reply_decode(&spec, text, n - 1, 12, true, got, at, NULL),
			 -EINVAL);
	free(text);
	/* Floats survive the JSON form bit for bit; what JSON cannot say is null. */
	q.form[0] = KERF_OIP_JSON;
	out[0].dims[0] = 3;
	got[0].dims[0] = 4;
	assert_int_equal(kerf_oip_reply_encode(&spec, &q, out, &text, &n), 0);
	assert_int_equal(kerf_oip_reply_decode(&spec, text, n, 0, true, got, at, &err), 0);
	assert_memory_equal(y, y2, 12);
	free(text);
	out[0].dims[0] = 4;
	assert_int_equal(kerf_oip_reply_encode(&spec, &q, out, &text, &n), 0);
	assert_non_null(strstr(text, "null"));
	free(text);
}

static void test_request_encode(void **state)
{
	char body[1024];
	struct kerf_oip_request q;
	struct kerf_err err = {""};
	struct tensors t;
	char *text;
	size_t n;

	assert_int_equal(kerf_oip_request_encode(&spec, &text, &n), 0);
	memcpy(body, text, n);
	memset(body + n, 3, 29);
	init(&t);
	assert_int_equal(kerf_oip_request_decode(&spec, body, n + 29, (int64_t)n, t.in, &q, &err),
			 0);
	assert_int_equal(t.b[0], 3);
	assert_int_equal(q.form[0], KERF_OIP_BINARY);
	free(text);
	assert_int_equal(kerf_oip_metadata(&spec, &text), 0);
	assert_non_null(strstr(text, "\"platform\""));
	free(text);
}

static void test_slice_request(void **state)
{
	struct kerf_slice_shape shape = {"x:0", 4, {1, 3, 224, 224}};
	struct kerf_slice_range range[2] = {{3, 9}, {12, 13}};
	struct kerf_slice_request q = {.engine = "cpu", .fingerprint = 0xfedcba9876543210u, .depth = 3,
				       .n_shape = 1, .shape = &shape, .n_range = 2, .range = range,
				       .row_begin = 5, .row_end = 9},
				  got;
	struct kerf_err err = {""};
	char *text;

	memset(q.model, 'a', 64);
	assert_int_equal(kerf_slice_request_encode(&q, &text), 0);
	assert_int_equal(kerf_slice_request_decode(text, strlen(text), &got, &err), 0);
	free(text);
	assert_string_equal(got.model, q.model);
	assert_true(got.fingerprint == q.fingerprint && got.depth == 3 && got.n_shape == 1);
	assert_memory_equal(&got.shape[0], &shape, sizeof(shape));
	assert_memory_equal(got.range, range, sizeof(range));
	assert_true(got.row_begin == 5 && got.row_end == 9);
	kerf_slice_request_finish(&got);
}

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define GOOD "\"model\":\"" HEX64 "\",\"fingerprint\":\"0123456789abcdef\""

static void test_slice_request_bad(void **state)
{
	static const char *const bad[][2] = {
		{"{}", "model"},
		{"{\"model\":\"abc\"}", "64"},
		{"{\"model\":\"" HEX64 "\"}", "fingerprint"},
		{"{\"model\":\"" HEX64 "\",\"fingerprint\":\"-123456789abcdef\"}", "16 hex"},
		{"{" GOOD ",\"depth\":0}", "depth"},
		{"{" GOOD ",\"depth\":1000}", "depth"},
		{"{" GOOD ",\"shapes\":[]}", "shapes"},
		{"{" GOOD ",\"shapes\":{\"x\":[-1]}}", "-1"},
		{"{" GOOD ",\"shapes\":{\"x\":[1,2,3,4,5,6,7,8,9]}}", "at most 8"},
		{"{" GOOD ",\"ops\":[]}", "empty"},
		{"{" GOOD ",\"ops\":[[1,1]]}", "ascending"},
		{"{" GOOD ",\"ops\":[[1,4],[3,5]]}", "ascending"},
		{"{" GOOD ",\"ops\":[[1]]}", "ascending"},
		{"{" GOOD ",\"ops\":[[0,4294967296]]}", "ops"},
		{"{" GOOD ",\"rows\":[0,1]}", "needs 'ops'"},
		{"{" GOOD ",\"ops\":[[0,1]],\"rows\":[4,2]}", "rows"},
	};
	struct kerf_slice_request q;
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		struct kerf_err err = {""};
		int r = kerf_slice_request_decode(bad[i][0], strlen(bad[i][0]), &q, &err);

		if (r != -EINVAL || !strstr(err.msg, bad[i][1]))
			fail_msg("case %u: %d '%s', expected '%s'", i, r, err.msg, bad[i][1]);
	}
}

static ssize_t head(const char *s, struct kerf_http_head *h)
{
	return kerf_http_head_parse(s, strlen(s), h);
}

static void test_head(void **state)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\ncontent-LENGTH: 12 \r\nKerf-Busy-Ns:77\r\n"
				 "Inference-Header-Content-Length: 5\r\nConnection: Close\r\n\r\nbody";
	static const char *const bad[] = {
		"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nno colon\r\n\r\n",
		"\r\n\r\n",
	};
	char big[KERF_HTTP_REPLY_HEAD_MAX + 1];
	struct kerf_http_head h;
	size_t i;

	assert_int_equal(head(ok, &h), (ssize_t)(sizeof(ok) - 1 - 4));
	assert_true(h.status == 200 && h.length == 12 && h.busy_ns == 77 && h.oip_length == 5 &&
		    h.close);
	for (i = 0; i < sizeof(ok) - 1 - 4; i++)
		assert_int_equal(kerf_http_head_parse(ok, i, &h), 0);
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++)
		if (head(bad[i], &h) != -EPROTO)
			fail_msg("case %zu", i);
	assert_int_equal(head("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", &h), 52);
	assert_int_equal(h.status, 204);
	memset(big, 'a', sizeof(big));
	assert_int_equal(kerf_http_head_parse(big, sizeof(big) - 1, &h), -EMSGSIZE);
}

/* What a peer tells of itself is kept if it is what it should be, and is never an error. */
static void test_head_telemetry(void **state)
{
	static const char begin[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
	static const struct {
		const char *line;
		int64_t hold;
		const char *load;
	} c[] = {
		{"", -1, NULL},
		{"Kerf-Hold-Ns: 12345\r\nKerf-Load: v=1 cpus=2\r\n", 12345, "v=1 cpus=2"},
		{"kerf-hold-ns:0\r\nkerf-load:v=1\r\n", 0, "v=1"},
		{"Kerf-Hold-Ns: 9223372036854775807\r\nKerf-Load: \r\n", INT64_MAX, NULL},
		{"Kerf-Hold-Ns: 9223372036854775808\r\nKerf-Load:\r\n", -1, NULL},
		{"Kerf-Hold-Ns: -5\r\nKerf-Load: \t \x7f\xff\r\n", -1, "\x7f\xff"},
		{"Kerf-Hold-Ns: 5 6\r\nKerf-Busy-Ns: x\r\n", -1, NULL},
		{"Kerf-Hold-Ns: 5\r\nKerf-Hold-Ns: x\r\nKerf-Load: a\r\nKerf-Load:\r\n", -1, NULL},
	};
	char text[KERF_HTTP_REPLY_HEAD_MAX];
	struct kerf_http_head h;
	size_t i, n;

	for (i = 0; i < KERF_ARRAY_SIZE(c); i++) {
		snprintf(text, sizeof(text), "%s%s\r\n", begin, c[i].line);
		if (head(text, &h) != (ssize_t)strlen(text) || h.hold_ns != c[i].hold ||
		    h.busy_ns || h.load_size != (c[i].load ? strlen(c[i].load) : 0) ||
		    (c[i].load && memcmp(h.load, c[i].load, h.load_size)))
			fail_msg("case %zu", i);
	}
	for (i = KERF_LOAD_TEXT - 1; i <= KERF_LOAD_TEXT; i++) {
		n = (size_t)snprintf(text, sizeof(text), "%sKerf-Load: ", begin);
		memset(text + n, 'a', i);
		strcpy(text + n + i, "\r\n\r\n");
		assert_int_equal(head(text, &h), n + i + 4);
		assert_int_equal(h.load_size, i < KERF_LOAD_TEXT ? i : 0);
	}
}

static void test_addresses(void **state)
{
	static const char *const bad[] = {"", "127.0.0.1", "localhost:0", "127.0.0.1:", ":80",
					  "127.0.0.1:x", "[::1:0"};
	char base[64];
	const char *host, *rest;
	struct kerf_err err = {""};
	uint16_t port;
	unsigned i;
	int fd;

	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++)
		assert_int_equal(kerf_listen(bad[i], true, &port, NULL), -EINVAL);
	assert_int_equal(kerf_listen("0.0.0.0:0", false, &port, &err), -EPERM);
	assert_non_null(strstr(err.msg, "--insecure"));
	assert_true(kerf_host_is_loopback("127.1.2.3") && kerf_host_is_loopback("::1"));
	assert_false(kerf_host_is_loopback("10.0.0.1"));
	fd = kerf_listen("127.0.0.1:0", false, &port, &err);
	assert_true(fd >= 0 && port);
	close(fd);
	assert_int_equal(kerf_url_split("http://h:1/cpu", base, sizeof(base), &host, &rest, NULL), 0);
	assert_string_equal(host, "h:1");
	assert_string_equal(rest, "/cpu");
	assert_int_equal(kerf_url_split("https://h:1", base, sizeof(base), &host, &rest, NULL), -EINVAL);
	assert_int_equal(kerf_url_split("http://", base, sizeof(base), &host, &rest, NULL), -EINVAL);
	assert_int_equal(kerf_url_split("http://u@h", base, sizeof(base), &host, &rest, NULL), -EINVAL);
}

/* A bucket's worth at once, then an even stream: the fit sees the stream. */
static void test_rate_fit(void **state)
{
	struct kerf_rate_fit f;
	int i;

	kerf_rate_begin(&f, 1000000);
	kerf_rate_mark(&f, 300000, 1000);
	for (i = 1; i <= 700; i++)
		kerf_rate_mark(&f, 1000, 1000 + (uint64_t)i * 1000000);
	assert_true(fabs(kerf_rate_bytes_s(&f) - 1e6) < 1);
	kerf_rate_begin(&f, 10);
	kerf_rate_mark(&f, 10, 5);
	assert_true(kerf_rate_bytes_s(&f) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_json),   cmocka_unit_test(test_request_binary),
		cmocka_unit_test(test_request_raw),    cmocka_unit_test(test_request_bad),
		cmocka_unit_test(test_reply),	       cmocka_unit_test(test_request_encode),
		cmocka_unit_test(test_slice_request),  cmocka_unit_test(test_slice_request_bad),
		cmocka_unit_test(test_head),	       cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_head_telemetry),
		cmocka_unit_test(test_rate_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
