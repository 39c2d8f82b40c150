/* SPDX-License-Identifier: MIT */
/*
 * What peers say in JSON. The first byte picks the reader: an OIP request, an OIP reply,
 * a slice request and its ports. Whatever is accepted must survive being written and read
 * again.
 */
#include "fuzz/fuzz.h"

#include "exec/remote_part.h"
#include "net/json.h"
#include "net/oip.h"
#include "net/slice_request.h"

#include <stdlib.h>
#include <string.h>

static const struct kerf_oip_io inputs[] = {
	{"a", {.dtype = KERF_F32, .rank = 2, .dims = {2, 3}}},
	{"b", {.dtype = KERF_I8, .rank = 1, .dims = {5}}},
	{"c", {.dtype = KERF_U64, .rank = 0}},
};
static const struct kerf_oip_io outputs[] = {
	{"y", {.dtype = KERF_F16, .rank = 1, .dims = {4}}},
	{"z", {.dtype = KERF_BOOL, .rank = 2, .dims = {1, 2}}},
};
static const struct kerf_oip_spec spec = {"m", 3, 2, inputs, outputs};

static void give_memory(struct kerf_tensor *t, const struct kerf_oip_io *io, uint32_t n,
			char memory[][64])
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		t[i] = io[i].t;
		t[i].data = memory[i];
	}
}

/* Two bytes say how long the JSON part is; 65535: the field is absent. */
static void request(const char *text, size_t n)
{
	struct kerf_tensor in[3], out[2];
	char memory[3][64], made[2][64] = {{0}}, *reply;
	struct kerf_oip_request q;
	struct kerf_err err = {""};
	int64_t at[2], header;
	size_t size, binary = 0;
	uint32_t i;

	if (n < 2)
		return;
	header = (uint8_t)text[0] | (uint8_t)text[1] << 8;
	if (header == 65535)
		header = -1;
	give_memory(in, inputs, 3, memory);
	if (kerf_oip_request_decode(&spec, text + 2, n - 2, header, in, &q, &err)) {
		if (!err.msg[0])
			abort();
		return;
	}
	give_memory(out, outputs, 2, made);
	if (kerf_oip_reply_encode(&spec, &q, out, &reply, &size))
		abort();
	for (i = 0; i < 2; i++) {
		if (q.form[i] == KERF_OIP_OMIT) {
			free(reply);
			return;
		}
		if (q.form[i] == KERF_OIP_BINARY)
			binary += kerf_tensor_bytes(&out[i]);
	}
	if (kerf_oip_reply_decode(&spec, reply, size, binary, false, out, at, &err))
		abort();
	free(reply);
}

static void reply(const char *text, size_t n)
{
	struct kerf_tensor out[2];
	char memory[2][64];
	int64_t at[2];

	if (n < 1)
		return;
	give_memory(out, outputs, 2, memory);
	kerf_oip_reply_decode(&spec, text + 1, n - 1, (uint8_t)text[0], true, out, at, NULL);
}

/* Ports that fit no slice in particular: read, written, read, written the same. */
static void ports(struct json_object *o)
{
	struct json_object *one, *two;
	struct kerf_err err = {""};
	struct kerf_part part;

	if (kerf_part_decode(o, &part, &err)) {
		if (!err.msg[0])
			abort();
		return;
	}
	if (kerf_part_encode(&part, "", &one))
		abort();
	kerf_part_finish(&part);
	if (kerf_part_decode(one, &part, &err) || kerf_part_encode(&part, "", &two))
		abort();
	if (strcmp(json_object_to_json_string(one), json_object_to_json_string(two)) != 0)
		abort();
	kerf_part_finish(&part);
	json_object_put(one);
	json_object_put(two);
}

static void slice(const char *text, size_t n)
{
	struct kerf_slice_request q, again;
	struct kerf_err err = {""};
	char *copy;

	if (kerf_slice_request_decode(text, n, &q, &err)) {
		if (!err.msg[0])
			abort();
		return;
	}
	if (kerf_slice_request_encode(&q, &copy))
		abort();
	if (kerf_slice_request_decode(copy, strlen(copy), &again, &err))
		abort();
	if (again.n_shape != q.n_shape || again.n_range != q.n_range ||
	    again.fingerprint != q.fingerprint || again.row_end != q.row_end ||
	    again.channel_end != q.channel_end || again.padded != q.padded ||
	    !again.ports != !q.ports)
		abort();
	if (q.ports)
		ports(q.ports);
	free(copy);
	kerf_slice_request_finish(&q);
	kerf_slice_request_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(const char *, size_t) = {request, reply, slice};
	char *copy;

	if (!size)
		return 0;
	/* Exactly as long as it is, so that a byte too far is seen. */
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data + 1, size - 1);
	readers[data[0] % KERF_ARRAY_SIZE(readers)](copy, size - 1);
	free(copy);
	return 0;
}

#define SEED(s) add(s, sizeof(s) - 1)

void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	SEED("\0\xff\xff{\"id\":\"7\",\"inputs\":[{\"name\":\"b\",\"datatype\":\"INT8\",\"shape\":[5],"
	     "\"data\":[1,-128,127,0,5]},{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[2,3],"
	     "\"data\":[[1,2.5,-3e2],[4,5,6]]},{\"name\":\"c\",\"datatype\":\"UINT64\",\"shape\":[],"
	     "\"data\":[18446744073709551615]}],\"parameters\":{\"binary_data_output\":true}}");
	SEED("\0\x11\x01{\"inputs\":[{\"name\":\"b\",\"datatype\":\"INT8\",\"shape\":[5],\"parameters\":"
	     "{\"binary_data_size\":5}},{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[2,3],\"data\":"
	     "[1,2,3,4,5,6]},{\"name\":\"c\",\"datatype\":\"UINT64\",\"shape\":[],\"data\":[1]}],"
	     "\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":true}},{\"name\":\"z\"}]}12345");
	SEED("\0\0\0" "012345678901234567890123456789012345");
	SEED("\1\x0a{\"model_name\":\"m\",\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP16\",\"shape\":[4],"
	     "\"parameters\":{\"binary_data_size\":8}},{\"name\":\"z\",\"datatype\":\"BOOL\",\"shape\":"
	     "[1,2],\"data\":[true,false]}]}");
	SEED("\2{\"model\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
	     "\"fingerprint\":\"0123456789abcdef\",\"engine\":\"cpu\",\"depth\":2,"
	     "\"shapes\":{\"x\":[1,3,224,224]},\"ops\":[[0,4],[7,9]],\"rows\":[3,9]}");
	SEED("\2{\"model\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
	     "\"fingerprint\":\"0123456789abcdef\",\"ops\":[[0,4]],\"rows\":[3,9],\"padded\":true,"
	     "\"ports\":{\"in\":[{\"home\":true,\"pieces\":[{\"io\":0,\"rows\":[0,9]}]},{\"pieces\":"
	     "[{\"io\":1,\"channels\":[2,3],\"codec\":\"int8\"}]}],\"out\":[{\"url\":\"http://[::1]:80\","
	     "\"slice\":\"0f\",\"port\":3,\"pieces\":[{\"io\":0,\"codec\":\"f16\"}]},{\"slice\":\"1\","
	     "\"port\":0,\"pieces\":[{\"io\":0}]}]}}");
	SEED("\2{\"model\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
	     "\"fingerprint\":\"0123456789abcdef\",\"ops\":[[0,4]],\"channels\":[3,9]}");
}
