/* SPDX-License-Identifier: MIT */
/*
 * Random convolutional DAGs: a few values on one input, joined by the operators that
 * vision models have, with odd sizes, strides, dilations, pads and groups. Built as a
 * file would be (channels first), then rewritten as an imported one is.
 */
#ifndef KERF_TESTS_RANDOM_GRAPH_H
#define KERF_TESTS_RANDOM_GRAPH_H

#include "graph/op.h"
#include "graph/rewrite.h"
#include "util/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RG_MAX 96
#define RG_OPSET 13

struct rg {
	struct kerf_graph *g;
	struct kerf_rng rng;
	int32_t map[RG_MAX]; /* feature maps made so far */
	int n;
};

static inline int64_t rg_below(struct rg *r, int64_t n)
{
	return (int64_t)kerf_rng_below(&r->rng, (uint64_t)n);
}

static inline bool rg_chance(struct rg *r, int one_in)
{
	return rg_below(r, one_in) == 0;
}

static inline const struct kerf_tensor *rg_t(const struct rg *r, int32_t v)
{
	return &r->g->value[v].t;
}

static inline int32_t rg_const(struct rg *r, int rank, const int64_t *dims, float limit,
			       float middle)
{
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = rank};
	int64_t i;

	for (i = 0; i < rank; i++)
		t.dims[i] = dims[i];
	t.data = kerf_graph_alloc(r->g, kerf_tensor_bytes(&t));
	for (i = 0; t.data && i < kerf_tensor_count(&t); i++)
		((float *)t.data)[i] = middle + limit * (2 * kerf_rng_float(&r->rng) - 1);
	return kerf_graph_add_value(r->g, NULL, &t);
}

static inline int32_t rg_ints(struct rg *r, int n, const int64_t *v)
{
	struct kerf_tensor t = {.dtype = KERF_I64, .rank = 1, .dims = {n}};

	t.data = kerf_graph_alloc(r->g, kerf_tensor_bytes(&t));
	memcpy(t.data, v, (size_t)n * sizeof(*v));
	return kerf_graph_add_value(r->g, NULL, &t);
}

/* One operator with one output; -1 if its rule refuses these inputs, and it is not added. */
static inline int32_t rg_op(struct rg *r, const char *name, int n_in, const int32_t *in,
			    uint32_t n_attr, const struct kerf_attr *attr)
{
	const struct kerf_op_def *def = kerf_op_find(NULL, name, RG_OPSET);
	struct kerf_tensor t = {.dtype = KERF_F32};
	int32_t out = kerf_graph_add_value(r->g, NULL, &t), op;
	int k;

	op = kerf_graph_add_op(r->g, def, NULL, RG_OPSET, n_in, in, 1, &out, n_attr, attr);
	if (kerf_op_infer_shapes(r->g, &r->g->op[op], NULL) == 0) {
		t = *rg_t(r, out);
		for (k = 0; k < t.rank; k++)
			if (t.dims[k] < 1 || t.dims[k] > 80)
				break;
		if (k == t.rank)
			return out;
	}
	r->g->n_op--;
	r->g->n_value--;
	return -1;
}

static inline struct kerf_attr rg_list(const char *name, uint32_t n, const int64_t *v)
{
	return (struct kerf_attr){.name = name, .type = KERF_ATTR_INTS, .n = n, .ints = v};
}

static inline struct kerf_attr rg_int(const char *name, int64_t i)
{
	return (struct kerf_attr){.name = name, .type = KERF_ATTR_INT, .i = i};
}

static inline struct kerf_attr rg_text(const char *name, const char *s)
{
	return (struct kerf_attr){.name = name, .type = KERF_ATTR_STRING, .s = s};
}

struct rg_window {
	int64_t k[2], stride[2], dilation[2], pads[4];
};

static inline struct rg_window rg_window(struct rg *r, int64_t max_k, bool dilate)
{
	struct rg_window w;
	int i;

	for (i = 0; i < 2; i++) {
		int64_t span;

		w.k[i] = 1 + rg_below(r, max_k);
		w.stride[i] = rg_chance(r, 3) ? 1 + rg_below(r, 3) : 1;
		w.dilation[i] = dilate && rg_chance(r, 4) ? 2 : 1;
		span = (w.k[i] - 1) * w.dilation[i];
		w.pads[i] = rg_chance(r, 2) ? span / 2 : rg_below(r, span + 1);
		w.pads[i + 2] = rg_chance(r, 2) ? span - span / 2 : rg_below(r, span + 1);
	}
	return w;
}

static inline int32_t rg_conv(struct rg *r, int32_t x)
{
	static const int64_t outs[] = {1, 3, 4, 8, 16, 17, 24, 33};
	int64_t c = rg_t(r, x)->dims[1], out = outs[rg_below(r, 8)], group = 1;
	struct rg_window w = rg_window(r, rg_chance(r, 6) ? 5 : 3, true);
	struct kerf_attr attr[5];
	int32_t in[3] = {x};

	if (rg_chance(r, 3)) {
		group = c;
		out = rg_chance(r, 3) ? 2 * c : c;
	} else if (c % 2 == 0 && rg_chance(r, 4)) {
		group = 2;
		out += out % 2;
	}
	in[1] = rg_const(r, 4, (int64_t[]){out, c / group, w.k[0], w.k[1]},
			 sqrtf(6 / (float)(c / group * w.k[0] * w.k[1])), 0);
	in[2] = rg_const(r, 1, &out, 0.5f, 0);
	attr[0] = rg_list("kernel_shape", 2, w.k);
	attr[1] = rg_list("strides", 2, w.stride);
	attr[2] = rg_list("dilations", 2, w.dilation);
	attr[3] = rg_chance(r, 6)
			  ? rg_text("auto_pad", rg_chance(r, 2) ? "SAME_UPPER" : "SAME_LOWER")
			  : rg_list("pads", 4, w.pads);
	attr[4] = rg_int("group", group);
	return rg_op(r, "Conv", rg_chance(r, 3) ? 2 : 3, in, 5, attr);
}

static inline int32_t rg_deconv(struct rg *r, int32_t x)
{
	struct rg_window w = rg_window(r, 4, false);
	int64_t c = rg_t(r, x)->dims[1], out = 1 + rg_below(r, 8);
	struct kerf_attr attr[] = {rg_list("strides", 2, w.stride), rg_list("pads", 4, w.pads)};
	int32_t in[2] = {x, rg_const(r, 4, (int64_t[]){c, out, w.k[0], w.k[1]},
				     sqrtf(3 / (float)(c * w.k[0] * w.k[1])), 0)};

	return rg_op(r, "ConvTranspose", 2, in, 2, attr);
}

static inline int32_t rg_pool(struct rg *r, int32_t x)
{
	struct rg_window w = rg_window(r, 3, false);
	bool average = rg_chance(r, 2);
	struct kerf_attr attr[] = {
		rg_list("kernel_shape", 2, w.k), rg_list("strides", 2, w.stride),
		rg_list("pads", 4, w.pads),	 rg_int("ceil_mode", rg_below(r, 2)),
		rg_int("count_include_pad", rg_below(r, 2)),
	};
	int i;

	for (i = 0; i < 4; i++)
		w.pads[i] = KERF_MIN(w.pads[i], w.k[i % 2] - 1);
	return rg_op(r, average ? "AveragePool" : "MaxPool", 1, &x, average ? 5 : 4, attr);
}

static inline int32_t rg_activation(struct rg *r, int32_t x)
{
	static const char *const names[] = {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid",
					    "Elu"};
	int32_t in[3] = {x};

	if (rg_chance(r, 5)) {
		in[1] = rg_const(r, 0, NULL, 0, 0);
		in[2] = rg_const(r, 0, NULL, 0, 6);
		return rg_op(r, "Clip", 3, in, 0, NULL);
	}
	if (rg_chance(r, 5)) {
		in[1] = rg_op(r, rg_chance(r, 2) ? "Sigmoid" : "HardSigmoid", 1, in, 0, NULL);
		return rg_op(r, "Mul", 2, in, 0, NULL);
	}
	return rg_op(r, names[rg_below(r, 6)], 1, in, 0, NULL);
}

/* Sum with another map of the same shape if there is one, or with a constant. */
static inline int32_t rg_add(struct rg *r, int32_t x)
{
	const struct kerf_tensor t = *rg_t(r, x);
	int32_t in[2] = {x, -1};
	int tries;

	for (tries = 0; tries < 8 && in[1] < 0; tries++) {
		int32_t y = r->map[rg_below(r, r->n)];

		if (y != x && kerf_tensor_same_shape(&t, rg_t(r, y)))
			in[1] = y;
	}
	if (in[1] < 0 && rg_chance(r, 2)) /* rows of its own */
		in[1] = rg_const(r, 3, t.dims + 1, 1, 0);
	else if (in[1] < 0)
		in[1] = rg_const(r, 3, (int64_t[]){t.dims[1], 1, 1}, 1, 0);
	return rg_op(r, rg_chance(r, 4) ? "Sub" : "Add", 2, in, 0, NULL);
}

static inline int32_t rg_concat(struct rg *r, int32_t x)
{
	const struct kerf_attr attr[] = {rg_int("axis", 1)};
	int32_t in[4] = {x};
	int n = 1, tries;

	for (tries = 0; tries < 10 && n < 4; tries++) {
		int32_t y = r->map[rg_below(r, r->n)];
		const struct kerf_tensor *a = rg_t(r, x), *b = rg_t(r, y);

		if (a->dims[2] == b->dims[2] && a->dims[3] == b->dims[3])
			in[n++] = y;
	}
	return n > 1 ? rg_op(r, "Concat", n, in, 1, attr) : -1;
}

static inline int32_t rg_resize(struct rg *r, int32_t x)
{
	static const char *const coords[] = {"half_pixel", "asymmetric", "align_corners",
					     "pytorch_half_pixel"};
	static const char *const modes[] = {"nearest", "linear", "cubic"};
	static const char *const nearest[] = {"floor", "ceil", "round_prefer_floor",
					      "round_prefer_ceil"};
	static const float factors[] = {2, 2, 1.5f, 0.5f, 3};
	const struct kerf_attr attr[] = {
		rg_text("coordinate_transformation_mode", coords[rg_below(r, 4)]),
		rg_text("mode", modes[rg_below(r, 3)]),
		rg_text("nearest_mode", nearest[rg_below(r, 4)]),
	};
	int32_t in[3] = {x, -1, rg_const(r, 1, (int64_t[]){4}, 0, 1)};
	float *scale = rg_t(r, in[2])->data;

	scale[2] = factors[rg_below(r, 5)];
	scale[3] = factors[rg_below(r, 5)];
	return rg_op(r, "Resize", 3, in, 3, attr);
}

static inline int32_t rg_norm(struct rg *r, int32_t x)
{
	const int64_t c[] = {rg_t(r, x)->dims[1]};
	int32_t in[5] = {x, rg_const(r, 1, c, 0.2f, 1), rg_const(r, 1, c, 0.2f, 0),
			 rg_const(r, 1, c, 0.2f, 0), rg_const(r, 1, c, 0.2f, 1)};

	return rg_op(r, "BatchNormalization", 5, in, 0, NULL);
}

/* Squeeze and excitation: every row depends on all. */
static inline int32_t rg_gate(struct rg *r, int32_t x)
{
	int32_t in[2] = {x, rg_op(r, "GlobalAveragePool", 1, &x, 0, NULL)};

	in[1] = rg_op(r, "Sigmoid", 1, &in[1], 0, NULL);
	return rg_op(r, "Mul", 2, in, 0, NULL);
}

static inline int32_t rg_move(struct rg *r, int32_t x)
{
	const struct kerf_attr block[] = {rg_int("blocksize", 2)};
	const struct kerf_attr mode[] = {rg_text("mode", rg_chance(r, 2) ? "constant" : "reflect")};
	int64_t pads[8] = {0}, c = rg_t(r, x)->dims[1];
	int32_t in[4] = {x};

	switch (rg_below(r, 4)) {
	case 0: return rg_op(r, "SpaceToDepth", 1, in, 1, block);
	case 1: return rg_op(r, "DepthToSpace", 1, in, 1, block);
	case 2:
		pads[2] = rg_below(r, 3), pads[3] = rg_below(r, 3);
		pads[6] = rg_below(r, 3), pads[7] = rg_below(r, 3);
		in[1] = rg_ints(r, 8, pads);
		return rg_op(r, "Pad", 2, in, 1, mode);
	default: /* the upper channels */
		in[1] = rg_ints(r, 1, (int64_t[]){c / 2});
		in[2] = rg_ints(r, 1, &c);
		in[3] = rg_ints(r, 1, (int64_t[]){1});
		return rg_op(r, "Slice", 4, in, 0, NULL);
	}
}

static inline int32_t rg_step(struct rg *r, int32_t x)
{
	switch (rg_below(r, 16)) {
	case 0:
	case 1: return rg_pool(r, x);
	case 2:
	case 3: return rg_add(r, x);
	case 4: return rg_concat(r, x);
	case 5: return rg_resize(r, x);
	case 6: return rg_chance(r, 3) ? rg_gate(r, x) : rg_norm(r, x);
	case 7: return rg_move(r, x);
	case 8: return rg_deconv(r, x);
	case 9:
	case 10: return rg_activation(r, x);
	default: return rg_conv(r, x);
	}
}

/* Every map that nothing reads becomes an output. */
static inline int rg_outputs(struct rg *r)
{
	uint32_t *first, *list;
	int i, n = 0, e = kerf_graph_consumers(r->g, &first, &list);

	for (i = 1; !e && i < r->n; i++)
		if (first[r->map[i]] == first[r->map[i] + 1] && ++n)
			e = kerf_graph_add_output(r->g, r->map[i]);
	free(first);
	return e ? e : n ? 0 : -EAGAIN;
}

/* A frozen graph of about n_op operators, or NULL. The same seed gives the same graph. */
static inline struct kerf_graph *rg_make(uint64_t seed, int n_op, struct kerf_err *err)
{
	struct rg r = {.g = kerf_graph_new("random")};
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 4};
	int tries = 0;

	kerf_rng_seed(&r.rng, seed);
	t.dims[0] = rg_chance(&r, 4) ? 2 : 1;
	t.dims[1] = (int64_t[]){1, 3, 4, 8, 16}[rg_below(&r, 5)];
	t.dims[2] = 5 + rg_below(&r, 24);
	t.dims[3] = 3 + rg_below(&r, 20);
	r.map[r.n++] = kerf_graph_add_value(r.g, "input", &t);
	kerf_graph_add_input(r.g, r.map[0]);
	while (r.n < KERF_MIN(n_op, RG_MAX - 1) && tries++ < 20 * n_op) {
		int32_t x = r.map[r.n - 1 - rg_below(&r, KERF_MIN(r.n, 3))], y = rg_step(&r, x);

		if (y >= 0)
			r.map[r.n++] = y;
	}
	if (rg_outputs(&r) || kerf_graph_tidy(r.g, err) || kerf_rewrite(r.g, err)) {
		kerf_graph_unref(r.g);
		return NULL;
	}
	kerf_graph_freeze(r.g);
	return r.g;
}

#endif
