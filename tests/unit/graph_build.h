/* SPDX-License-Identifier: MIT */
/* Graphs made by hand, an operator a line; for tests. */
#ifndef KERF_TESTS_GRAPH_BUILD_H
#define KERF_TESTS_GRAPH_BUILD_H

#include "graph_eval.h"

#include <stdio.h>

#define OPSET 13

#define DIMS(...)                                                              \
	(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) \
	{                                                                      \
		__VA_ARGS__                                                    \
	}
#define IN(...)                                                                \
	(int)(sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)), (int32_t[]) \
	{                                                                      \
		__VA_ARGS__                                                    \
	}
#define ATTR(...)                                                                    \
	(int)(sizeof((struct kerf_attr[]){__VA_ARGS__}) / sizeof(struct kerf_attr)), \
		(struct kerf_attr[])                                                 \
	{                                                                            \
		__VA_ARGS__                                                          \
	}
#define NO_ATTR 0, NULL
#define A_INT(NAME, V)                                        \
	{                                                     \
		.name = NAME, .type = KERF_ATTR_INT, .i = (V) \
	}
#define A_FLOAT(NAME, V)                                        \
	{                                                       \
		.name = NAME, .type = KERF_ATTR_FLOAT, .f = (V) \
	}
#define A_STRING(NAME, V)                                        \
	{                                                        \
		.name = NAME, .type = KERF_ATTR_STRING, .s = (V) \
	}
#define A_INTS(NAME, ...)                                                            \
	{                                                                            \
		.name = NAME, .type = KERF_ATTR_INTS,                                \
		.n = (uint32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
		.ints = (int64_t[])                                                  \
		{                                                                    \
			__VA_ARGS__                                                  \
		}                                                                    \
	}

static inline void build_fail(const struct kerf_err *err)
{
	fprintf(stderr, "building a test graph: %s\n", err->msg);
	abort();
}

static inline int32_t b_value(struct kerf_graph *g, const char *name, enum kerf_dtype dtype,
                              int rank, const int64_t *dims)
{
	struct kerf_tensor t = {.dtype = dtype, .rank = rank};
	char tmp[32];

	snprintf(tmp, sizeof(tmp), "v%u", g->n_value);
	if (rank)
		memcpy(t.dims, dims, (size_t)rank * sizeof(*dims));
	return kerf_graph_add_value(g, name ? name : tmp, &t);
}

static inline int32_t b_input(struct kerf_graph *g, const char *name, int rank, const int64_t *dims)
{
	int32_t v = b_value(g, name, KERF_F32, rank, dims);

	kerf_graph_add_input(g, v);
	return v;
}

/* A constant of seeded floats in [lo, hi). */
static inline int32_t b_const(struct kerf_graph *g, float lo, float hi, int rank,
                              const int64_t *dims)
{
	int32_t v = b_value(g, NULL, KERF_F32, rank, dims);
	struct kerf_tensor *t = &g->value[v].t;
	struct kerf_rng rng;
	int64_t i;

	kerf_rng_seed(&rng, (uint64_t)v + 77);
	t->data = kerf_graph_alloc(g, kerf_tensor_bytes(t));
	for (i = 0; i < kerf_tensor_count(t); i++)
		((float *)t->data)[i] = lo + (hi - lo) * kerf_rng_float(&rng);
	return v;
}

static inline int32_t b_scalar(struct kerf_graph *g, float x)
{
	int32_t v = b_value(g, NULL, KERF_F32, 0, NULL);

	g->value[v].t.data = kerf_graph_alloc(g, sizeof(x));
	*(float *)g->value[v].t.data = x;
	return v;
}

static inline int32_t b_ints(struct kerf_graph *g, int n, const int64_t *x)
{
	int32_t v = b_value(g, NULL, KERF_I64, 1, (int64_t[]){n});

	g->value[v].t.data = kerf_graph_alloc(g, (size_t)n * sizeof(*x));
	memcpy(g->value[v].t.data, x, (size_t)n * sizeof(*x));
	return v;
}

/* One operator of n_out outputs; the id of the first (the others follow it). */
static inline int32_t b_ops(struct kerf_graph *g, const char *type, int opset, int n_out, int n_in,
                            const int32_t *in, int n_attr, const struct kerf_attr *attr)
{
	const struct kerf_op_def *def = kerf_op_find(NULL, type, opset);
	struct kerf_err err = {""};
	int32_t out[8], id;
	char name[32];
	int k;

	if (!def) {
		kerf_fail(&err, -EINVAL, "no operator %s", type);
		build_fail(&err);
	}
	for (k = 0; k < n_out; k++)
		out[k] = b_value(g, NULL, KERF_F32, 0, NULL);
	snprintf(name, sizeof(name), "n%u", g->n_op);
	id = kerf_graph_add_op(g, def, name, opset, n_in, in, n_out, out, (uint32_t)n_attr, attr);
	if (kerf_op_infer_shapes(g, &g->op[id], &err))
		build_fail(&err);
	return out[0];
}

static inline int32_t b_op(struct kerf_graph *g, const char *type, int n_in, const int32_t *in,
                           int n_attr, const struct kerf_attr *attr)
{
	return b_ops(g, type, OPSET, 1, n_in, in, n_attr, attr);
}

static inline int32_t b_reshape(struct kerf_graph *g, int32_t x, int n, const int64_t *dims)
{
	return b_op(g, "Reshape", IN(x, b_ints(g, n, dims)), NO_ATTR);
}

/* Conv with seeded weights, kernel k, padding k / 2. */
static inline int32_t b_conv(struct kerf_graph *g, int32_t x, int64_t out, int64_t k,
                             int64_t stride, int64_t group, bool bias)
{
	int64_t c = g->value[x].t.dims[1];
	float most = 1.5f / sqrtf((float)(c / group * k * k));
	int32_t in[3] = {x, b_const(g, -most, most, DIMS(out, c / group, k, k)), -1};

	if (bias)
		in[2] = b_const(g, -1, 1, DIMS(out));
	return b_op(g, "Conv", bias ? 3 : 2, in,
	            ATTR(A_INTS("strides", stride, stride), A_INT("group", group),
	                 A_INTS("pads", k / 2, k / 2, k / 2, k / 2)));
}

static inline int32_t b_batch_norm(struct kerf_graph *g, int32_t x)
{
	int64_t c = g->value[x].t.dims[1];

	return b_op(g, "BatchNormalization",
	            IN(x, b_const(g, 0.5f, 1.5f, DIMS(c)), b_const(g, -1, 1, DIMS(c)),
	               b_const(g, -1, 1, DIMS(c)), b_const(g, 0.5f, 2, DIMS(c))),
	            ATTR(A_FLOAT("epsilon", 1e-3f)));
}

#endif
