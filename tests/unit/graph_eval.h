/* SPDX-License-Identifier: MIT */
/* Evaluating a graph operator by operator, by the reference meaning; for tests. */
#ifndef KERF_TESTS_GRAPH_EVAL_H
#define KERF_TESTS_GRAPH_EVAL_H

#include "graph/op.h"
#include "util/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline void *eval_alloc(size_t n)
{
	void *p = aligned_alloc(KERF_ALIGN, kerf_align(n ? n : 1));

	if (p)
		memset(p, 0, kerf_align(n ? n : 1));
	return p;
}

/* Seeded contents: floats in [-1, 1), bytes, wider integers 0 or 1: indices of anything. */
static inline void eval_fill(struct kerf_tensor *t, uint64_t seed)
{
	int64_t i, n = kerf_tensor_count(t);
	struct kerf_rng rng;

	kerf_rng_seed(&rng, seed);
	for (i = 0; i < n; i++) {
		float f = kerf_rng_float(&rng) * 2 - 1;
		uint64_t u =
			kerf_rng_below(&rng, t->dtype == KERF_U8 || t->dtype == KERF_I8 ? 256 : 2);

		switch (t->dtype) {
		case KERF_F32: ((float *)t->data)[i] = f; break;
		case KERF_F64: ((double *)t->data)[i] = f; break;
		case KERF_F16: ((uint16_t *)t->data)[i] = kerf_f32_to_f16(f); break;
		case KERF_BF16: ((uint16_t *)t->data)[i] = kerf_f32_to_bf16(f); break;
		case KERF_I64:
		case KERF_U64: ((int64_t *)t->data)[i] = (int64_t)u; break;
		case KERF_I32:
		case KERF_U32: ((int32_t *)t->data)[i] = (int32_t)u; break;
		case KERF_I16:
		case KERF_U16: ((int16_t *)t->data)[i] = (int16_t)u; break;
		case KERF_BOOL: ((uint8_t *)t->data)[i] = u & 1; break;
		default: ((uint8_t *)t->data)[i] = (uint8_t)u; break;
		}
	}
}

/*
 * Runs g on inputs filled from seed (by position) and leaves the model's outputs in
 * out[n_out], whose data the caller frees. 0, or the first operator's failure.
 */
static inline int graph_eval(const struct kerf_graph *g, uint64_t seed, struct kerf_tensor *out)
{
	struct kerf_tensor *t = calloc((size_t)g->n_value + 1, sizeof(*t));
	struct kerf_tensor in[64], o[64];
	uint32_t i;
	int r = 0, k;

	for (i = 0; i < g->n_value; i++) {
		t[i] = g->value[i].t;
		if (kerf_tensor_is_aligned(&t[i]))
			continue;
		t[i].data = eval_alloc(kerf_tensor_bytes(&t[i]));
		memcpy(t[i].data, g->value[i].t.data, kerf_tensor_bytes(&t[i]));
	}
	for (i = 0; i < g->n_in; i++) {
		t[g->in[i]].data = eval_alloc(kerf_tensor_bytes(&t[g->in[i]]));
		eval_fill(&t[g->in[i]], seed + i);
	}
	for (i = 0; !r && i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];

		if (op->n_in > 60 || op->n_out > 60) {
			r = -E2BIG;
			break;
		}
		memset(in, 0, sizeof(in));
		memset(o, 0, sizeof(o));
		for (k = 0; k < op->n_in; k++)
			if (op->in[k] >= 0)
				in[k] = t[op->in[k]];
		for (k = 0; k < op->n_out; k++)
			if (op->out[k] >= 0) {
				o[k] = t[op->out[k]];
				o[k].data = eval_alloc(kerf_tensor_bytes(&o[k]));
			}
		r = kerf_op_eval(op, in, o);
		for (k = 0; k < op->n_out; k++)
			if (op->out[k] >= 0)
				t[op->out[k]] = o[k];
	}
	for (i = 0; i < g->n_out; i++) {
		const struct kerf_tensor *v = &t[g->out[i]];

		out[i] = *v;
		out[i].data = eval_alloc(kerf_tensor_bytes(v));
		if (!r)
			memcpy(out[i].data, v->data, kerf_tensor_bytes(v));
	}
	for (i = 0; i < g->n_value; i++)
		if (t[i].data != g->value[i].t.data)
			free(t[i].data);
	free(t);
	return r;
}

static inline void graph_eval_free(const struct kerf_graph *g, struct kerf_tensor *out)
{
	uint32_t i;

	for (i = 0; i < g->n_out; i++)
		free(out[i].data);
}

/*
 * The largest difference of two tensors, each relative to the tensor's largest
 * magnitude (at least 1); infinite where dtype, shape, an integer beyond `steps` or
 * the place of a NaN differ.
 */
static inline double tensor_difference(const struct kerf_tensor *a, const struct kerf_tensor *b,
                                       int steps)
{
	bool is_float = a->dtype == KERF_F32 || a->dtype == KERF_F16 || a->dtype == KERF_F64 ||
	                a->dtype == KERF_BF16;
	int64_t n = kerf_tensor_count(a), i;
	double most = 1, worst = 0;

	if (a->dtype != b->dtype || !kerf_tensor_same_shape(a, b))
		return INFINITY;
	for (i = 0; i < n; i++) {
		double x = kerf_tensor_float(a, i);

		if (isfinite(x))
			most = fmax(most, fabs(x));
	}
	for (i = 0; i < n; i++) {
		double x = kerf_tensor_float(a, i), y = kerf_tensor_float(b, i);

		if (x == y || (x != x && y != y))
			continue;
		if (x != x || y != y || isinf(x) || isinf(y) || (!is_float && fabs(x - y) > steps))
			return INFINITY;
		if (is_float)
			worst = fmax(worst, fabs(x - y) / most);
	}
	return worst;
}

static inline uint32_t count_ops(const struct kerf_graph *g, const char *type)
{
	uint32_t i, n = 0;

	for (i = 0; i < g->n_op; i++)
		n += !strcmp(g->op[i].def->name, type);
	return n;
}

#endif
