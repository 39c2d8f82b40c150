/* SPDX-License-Identifier: MIT */
/*
 * From the builder to a file. Protocol buffers put lengths before contents, so the
 * first pass computes sizes and the second writes, weights straight from the random
 * numbers. Every raw_data starts at a multiple of KERF_ALIGN in the file, padded by
 * a doc_string of blanks before it: whoever maps the file can use weights in place.
 */
#include "cli/gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* Field numbers of onnx.proto3. */
enum { MODEL_IR_VERSION = 1, MODEL_PRODUCER = 2, MODEL_GRAPH = 7, MODEL_OPSET = 8 };
enum { MODEL_METADATA = 14, ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { OPSET_VERSION = 2 };
enum { GRAPH_NAME = 2, GRAPH_INITIALIZER = 5 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9, TENSOR_DOC = 12 };

#define MAX_VARINT 10
#define MAX_FILE INT32_MAX /* what readers of protocol buffers accept */

static size_t varint(uint64_t v, uint8_t out[MAX_VARINT])
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)v | 0x80;
	out[n++] = (uint8_t)v;
	return n;
}

static size_t varint_size(uint64_t v)
{
	uint8_t tmp[MAX_VARINT];

	return varint(v, tmp);
}

void kerf_gen_put(struct kerf_gen_buf *b, const void *p, size_t n)
{
	if (b->cap - b->n < n) {
		size_t cap = KERF_MAX(2 * b->cap, b->n + n + 256);
		uint8_t *q = realloc(b->p, cap);

		if (!q) {
			b->failed = true;
			return;
		}
		b->p = q;
		b->cap = cap;
	}
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
}

static void put_varint(struct kerf_gen_buf *b, uint64_t v)
{
	uint8_t tmp[MAX_VARINT];

	kerf_gen_put(b, tmp, varint(v, tmp));
}

/* In exactly n bytes, more than needed if need be: readers accept that. */
static void put_varint_in(struct kerf_gen_buf *b, uint64_t v, size_t n)
{
	uint8_t tmp[MAX_VARINT];
	size_t i;

	for (i = varint(v, tmp); i < n; i++) {
		tmp[i - 1] |= 0x80;
		tmp[i] = 0;
	}
	kerf_gen_put(b, tmp, n);
}

static void put_tag(struct kerf_gen_buf *b, int field, int wire)
{
	put_varint(b, (uint64_t)field << 3 | (uint64_t)wire);
}

void kerf_gen_put_int(struct kerf_gen_buf *b, int field, int64_t v)
{
	put_tag(b, field, WIRE_VARINT);
	put_varint(b, (uint64_t)v);
}

void kerf_gen_put_float(struct kerf_gen_buf *b, int field, float v)
{
	put_tag(b, field, WIRE_FIXED32);
	kerf_gen_put(b, &v, sizeof(v));
}

void kerf_gen_put_bytes(struct kerf_gen_buf *b, int field, const void *p, size_t n)
{
	put_tag(b, field, WIRE_BYTES);
	put_varint(b, n);
	kerf_gen_put(b, p, n);
}

void kerf_gen_put_string(struct kerf_gen_buf *b, int field, const char *s)
{
	kerf_gen_put_bytes(b, field, s, strlen(s));
}

void kerf_gen_metadata(struct kerf_gen *g, const char *key, const char *value)
{
	struct kerf_gen_buf entry = {0};

	kerf_gen_put_string(&entry, ENTRY_KEY, key);
	kerf_gen_put_string(&entry, ENTRY_VALUE, value);
	kerf_gen_put_bytes(&g->metadata, MODEL_METADATA, entry.p, entry.n);
	g->metadata.failed |= entry.failed;
	free(entry.p);
}

/* --- layout --------------------------------------------------------------- */

/* What stands before the raw_data of a weight: TensorProto's other fields. */
static void put_tensor_head(struct kerf_gen_buf *b, const struct kerf_gen_weight *w)
{
	static const char blanks[2 * KERF_ALIGN] =
		"                                                                "
		"                                                               ";
	int i;

	for (i = 0; i < w->t.rank; i++)
		kerf_gen_put_int(b, TENSOR_DIMS, w->t.dims[i]);
	kerf_gen_put_int(b, TENSOR_TYPE, w->t.dtype);
	kerf_gen_put_string(b, TENSOR_NAME, w->name);
	if (w->pad)
		kerf_gen_put_bytes(b, TENSOR_DOC, blanks, w->pad - 2);
}

static void put_weight_head(struct kerf_gen_buf *b, const struct kerf_gen_weight *w)
{
	struct kerf_gen_buf head = {0};
	size_t bytes = kerf_tensor_bytes(&w->t);

	put_tensor_head(&head, w);
	put_tag(&head, TENSOR_RAW, WIRE_BYTES);
	put_varint(&head, bytes);
	put_tag(b, GRAPH_INITIALIZER, WIRE_BYTES);
	put_varint(b, head.n + bytes);
	kerf_gen_put(b, head.p, head.n);
	b->failed |= head.failed;
	free(head.p);
}

/* Bytes of the head once padded so that the data that follow start aligned. */
static size_t align_weight(struct kerf_gen_weight *w, size_t at, bool *failed)
{
	struct kerf_gen_buf head = {0};

	for (w->pad = 0;; w->pad += w->pad ? 1 : 2) {
		head.n = 0;
		put_weight_head(&head, w);
		if ((at + head.n) % KERF_ALIGN == 0 || w->pad > KERF_ALIGN + 8 || head.failed)
			break;
	}
	*failed |= head.failed;
	free(head.p);
	return head.n;
}

/* Pads every weight; the graph's bytes, if it starts at `start` in the file. */
static size_t layout(struct kerf_gen *g, size_t start, size_t small_bytes, bool *failed)
{
	size_t at = start + small_bytes;
	uint32_t i;

	for (i = 0; i < g->n_weight && !*failed; i++) {
		at += align_weight(&g->weight[i], at, failed);
		at += kerf_tensor_bytes(&g->weight[i].t);
	}
	return at - start;
}

/* --- contents ------------------------------------------------------------- */

static void fill(const struct kerf_gen_weight *w, struct kerf_rng *rng, uint8_t *p, size_t n)
{
	size_t i;

	switch (w->t.dtype) {
	case KERF_F32:
		for (i = 0; i < n / sizeof(float); i++)
			((float *)p)[i] = w->lo + (w->hi - w->lo) * kerf_rng_float(rng);
		break;
	case KERF_I32:
		for (i = 0; i < n / sizeof(int32_t); i++)
			((int32_t *)p)[i] = (int32_t)w->lo +
				(int32_t)kerf_rng_below(rng, (uint64_t)(w->hi - w->lo) + 1);
		break;
	default: /* int8 and uint8 */
		for (i = 0; i < n; i++)
			p[i] = (uint8_t)((int)w->lo +
					 (int)kerf_rng_below(rng, (uint64_t)(w->hi - w->lo) + 1));
	}
}

static bool write_data(const struct kerf_gen_weight *w, uint64_t seed, FILE *f)
{
	size_t left = kerf_tensor_bytes(&w->t);
	_Alignas(KERF_ALIGN) uint8_t chunk[16384];
	struct kerf_rng rng;

	if (w->t.data)
		return !left || fwrite(w->t.data, left, 1, f) == 1;
	kerf_rng_seed(&rng, seed * 0x9e3779b97f4a7c15u + w->stream);
	while (left) {
		size_t n = KERF_MIN(left, sizeof(chunk));

		fill(w, &rng, chunk, n);
		if (fwrite(chunk, n, 1, f) != 1)
			return false;
		left -= n;
	}
	return true;
}

static bool write_buf(struct kerf_gen_buf *b, FILE *f)
{
	return !b->failed && (!b->n || fwrite(b->p, b->n, 1, f) == 1);
}

static bool write_weights(struct kerf_gen *g, FILE *f)
{
	uint32_t i;

	for (i = 0; i < g->n_weight; i++) {
		struct kerf_gen_buf head = {0};
		bool ok;

		put_weight_head(&head, &g->weight[i]);
		ok = write_buf(&head, f) && write_data(&g->weight[i], g->seed, f);
		free(head.p);
		if (!ok)
			return false;
	}
	return true;
}

/* Everything but the weights, laid out for a file; head ends where the graph's name starts. */
static int encode(struct kerf_gen *g, const char *graph_name, struct kerf_gen_buf *head,
		  struct kerf_gen_buf *small, struct kerf_err *err)
{
	struct kerf_gen_buf opset = {0};
	size_t fixed, size, reserved;
	bool failed = false;

	kerf_gen_put_int(head, MODEL_IR_VERSION, KERF_GEN_IR);
	kerf_gen_put_string(head, MODEL_PRODUCER, "kerf gen");
	kerf_gen_put_int(&opset, OPSET_VERSION, KERF_GEN_OPSET);
	kerf_gen_put_bytes(head, MODEL_OPSET, opset.p, opset.n);
	kerf_gen_put(head, g->metadata.p, g->metadata.n);
	put_tag(head, MODEL_GRAPH, WIRE_BYTES);
	fixed = head->n;
	kerf_gen_put_string(small, GRAPH_NAME, graph_name);
	kerf_gen_put(small, g->nodes.p, g->nodes.n);
	kerf_gen_put(small, g->inputs.p, g->inputs.n);
	kerf_gen_put(small, g->outputs.p, g->outputs.n);
	failed = opset.failed || g->metadata.failed || g->nodes.failed || g->inputs.failed ||
		 g->outputs.failed;
	free(opset.p);
	/* The length stands before the graph; its own size moves the weights: never shrink it. */
	for (reserved = 1;; reserved = varint_size(size)) {
		size = layout(g, fixed + reserved, small->n, &failed);
		if (varint_size(size) <= reserved || failed)
			break;
	}
	put_varint_in(head, size, reserved);
	if (head->n + size > MAX_FILE)
		return kerf_fail(err, -EFBIG,
				 "the file would have %zu bytes; ONNX files hold at most %d",
				 head->n + size, MAX_FILE);
	return failed || head->failed || small->failed ? -ENOMEM : 0;
}

int kerf_gen_write(struct kerf_gen *g, const char *graph_name, const char *path,
		   struct kerf_err *err)
{
	struct kerf_gen_buf head = {0}, small = {0};
	char *tmp = NULL;
	FILE *f = NULL;
	int r = g->error;

	if (r) {
		kerf_fail(err, r, "%s", g->err.msg[0] ? g->err.msg : strerror(-r));
		return r;
	}
	r = encode(g, graph_name, &head, &small, err);
	if (!r && asprintf(&tmp, "%s.tmp-%d", path, (int)getpid()) < 0) {
		tmp = NULL;
		r = -ENOMEM;
	}
	if (r)
		goto out;
	f = fopen(tmp, "wb");
	if (!f) {
		r = kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
		goto out;
	}
	if (!write_buf(&head, f) || !write_buf(&small, f) || !write_weights(g, f) || fflush(f))
		r = kerf_fail(err, errno ? -errno : -EIO, "%s: %s", path, strerror(errno));
	if (fclose(f) && !r)
		r = kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (!r && rename(tmp, path))
		r = kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (r)
		unlink(tmp);
out:
	free(tmp);
	free(head.p);
	free(small.p);
	return r;
}
