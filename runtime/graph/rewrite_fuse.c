/* SPDX-License-Identifier: MIT */
/*
 * Fusing: what follows a convolution or matrix product becomes part of it.
 *
 * A per-channel affine map y * s + b after Conv becomes its inputs S and B. That
 * re-associates: (sum x w) s + b is computed as sum x (w s) + b s', so results
 * differ from the unfused ones by rounding, a few units in the last place.
 */
#include "graph/op_util.h"
#include "graph/rewrite_passes.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { CONV_X, CONV_W, CONV_B, CONV_S, CONV_R };

/* --- activations --------------------------------------------------------------- */

static bool clip_bounds(const struct kerf_edit *e, const struct kerf_op *op, struct kerf_act *a)
{
	a->a = -FLT_MAX;
	a->b = FLT_MAX;
	if (op->opset < 11) {
		a->a = kerf_op_float(op, "min", a->a);
		a->b = kerf_op_float(op, "max", a->b);
	} else {
		int32_t lo = kerf_edit_in(e, op, 1), hi = kerf_edit_in(e, op, 2);

		if ((lo >= 0 && !kerf_edit_scalar(e, lo, &a->a)) ||
		    (hi >= 0 && !kerf_edit_scalar(e, hi, &a->b)))
			return false;
	}
	a->kind = KERF_ACT_CLIP;
	if (a->a == 0 && a->b >= FLT_MAX)
		*a = (struct kerf_act){.kind = KERF_ACT_RELU};
	return true;
}

bool kerf_fuse_as_act(const struct kerf_edit *e, const struct kerf_op *op, struct kerf_act *a)
{
	*a = (struct kerf_act){0};
	if (kerf_op_is(op, "act")) {
		*a = op->act;
		return true;
	}
	if (op->act.kind != KERF_ACT_NONE)
		return false;
	if (kerf_op_is(op, "Clip"))
		return clip_bounds(e, op, a);
	if (kerf_op_is(op, "PRelu") && kerf_edit_scalar(e, kerf_edit_in(e, op, 1), &a->a))
		a->kind = KERF_ACT_LEAKY_RELU;
	return a->kind != KERF_ACT_NONE || kerf_op_activation(op, a);
}

static bool takes_act(const struct kerf_op *p)
{
	static const char *const types[] = {"Conv",   "ConvTranspose", "Gemm",
	                                    "MatMul", "Add",           "Sub",
	                                    "Mul",    "Div",           "BatchNormalization"};
	unsigned i;

	if (p->act.kind != KERF_ACT_NONE)
		return false;
	for (i = 0; i < KERF_ARRAY_SIZE(types); i++)
		if (kerf_op_is(p, types[i]))
			return true;
	return false;
}

/* The operator that makes v and nothing else, for v alone; NULL if v is read by others. */
static struct kerf_op *sole_producer(const struct kerf_edit *e, int32_t v)
{
	struct kerf_op *p = kerf_edit_producer(e, v);

	return p && p->n_out >= 1 && p->out[0] == v && e->uses[v] == 1 && !e->is_output[v] ? p
	                                                                                   : NULL;
}

/* Further outputs (BatchNorm's running means) that nobody reads do not hinder. */
static bool one_output(const struct kerf_edit *e, const struct kerf_op *p)
{
	int k;

	for (k = 1; k < p->n_out; k++)
		if (p->out[k] >= 0 && e->uses[p->out[k]])
			return false;
	return true;
}

static int absorb_act(struct kerf_edit *e, uint32_t j)
{
	struct kerf_graph *g = e->g;
	struct kerf_op *op = &g->op[j], *p;
	struct kerf_act act;
	uint32_t i;
	int r;

	if (op->n_in < 1 || !kerf_fuse_as_act(e, op, &act) ||
	    kerf_edit_t(e, op->out[0])->dtype != KERF_F32)
		return 0;
	p = sole_producer(e, kerf_edit_in(e, op, 0));
	if (p && kerf_op_is(p, "Reshape"))
		return kerf_fuse_linear_act(e, j, &act);
	if (!p || !takes_act(p) || !one_output(e, p) ||
	    !kerf_tensor_same_shape(kerf_edit_t(e, p->out[0]), kerf_edit_t(e, op->out[0])))
		return 0;
	i = (uint32_t)(p - g->op);
	r = kerf_edit_merge(e, i, j, p->n_in, p->in);
	g->op[j].act = act;
	return r;
}

/* --- per-channel affine maps into Conv ---------------------------------------------- */

/*
 * Element c of a constant that broadcasts along all axes of a value of rank r but
 * axis 1; false if v is not like that.
 */
static bool per_channel(const struct kerf_edit *e, int32_t v, const struct kerf_tensor *y,
                        float *out)
{
	int64_t n = y->dims[1], i;
	const struct kerf_tensor *t;
	int d;

	if (!kerf_edit_is_const(e, v))
		return false;
	t = kerf_edit_t(e, v);
	if (t->dtype != KERF_F32 || t->rank > y->rank)
		return false;
	for (d = 0; d < t->rank; d++)
		if (t->dims[d] != 1 && (d + y->rank - t->rank != 1 || t->dims[d] != n))
			return false;
	for (i = 0; i < n; i++)
		out[i] = ((const float *)t->data)[kerf_tensor_count(t) == 1 ? 0 : i];
	return true;
}

/* BatchNormalization as y = x * s + b. */
static bool batch_norm(const struct kerf_edit *e, const struct kerf_op *op, int64_t n, float *s,
                       float *b)
{
	const float *in[4];
	double eps = kerf_op_float(op, "epsilon", 1e-5f);
	int64_t i;
	int k;

	if (kerf_op_int(op, "training_mode", 0) || kerf_op_int(op, "spatial", 1) != 1 ||
	    !one_output(e, op))
		return false;
	for (k = 0; k < 4; k++) {
		int32_t v = kerf_edit_in(e, op, k + 1);

		if (!kerf_edit_is_const(e, v) || kerf_edit_t(e, v)->dtype != KERF_F32 ||
		    kerf_tensor_count(kerf_edit_t(e, v)) != n)
			return false;
		in[k] = kerf_edit_t(e, v)->data;
	}
	for (i = 0; i < n; i++) {
		double f = in[0][i] / sqrt(in[3][i] + eps);

		s[i] = (float)f;
		b[i] = (float)(in[1][i] - in[2][i] * f);
	}
	return true;
}

/* Whether op maps its input *x channel by channel: y = x * s + b. */
static bool affine(const struct kerf_edit *e, const struct kerf_op *op, const struct kerf_tensor *y,
                   int32_t *x, float *s, float *b)
{
	int64_t n = y->dims[1], i;
	int32_t in[2] = {kerf_edit_in(e, op, 0), kerf_edit_in(e, op, 1)};
	bool add = kerf_op_is(op, "Add"), sub = kerf_op_is(op, "Sub"), div = kerf_op_is(op, "Div");

	*x = in[0];
	/* Before opset 7 an attribute told where to broadcast. */
	if (op->act.kind != KERF_ACT_NONE || kerf_op_attr(op, "axis"))
		return false;
	if (kerf_op_is(op, "BatchNormalization"))
		return batch_norm(e, op, n, s, b);
	if (!add && !sub && !div && !kerf_op_is(op, "Mul"))
		return false;
	for (i = 0; i < n; i++) {
		s[i] = 1;
		b[i] = 0;
	}
	if (!per_channel(e, in[1], y, add || sub ? b : s)) {
		if (sub || div || !per_channel(e, in[0], y, add ? b : s))
			return false;
		*x = in[1];
	}
	for (i = 0; i < n; i++) {
		if (sub)
			b[i] = -b[i];
		if (div)
			s[i] = 1 / s[i];
	}
	return true;
}

/* n floats along the last axis: Gemm's C may also be a column, one float for each row. */
static bool known_vector(const struct kerf_edit *e, int32_t v, int64_t n)
{
	const struct kerf_tensor *t;

	if (v < 0)
		return true;
	t = kerf_edit_t(e, v);
	return kerf_edit_is_const(e, v) && t->dtype == KERF_F32 && kerf_tensor_count(t) == n &&
	       t->rank > 0 && t->dims[t->rank - 1] == n;
}

static bool is_one(const float *s, int64_t n)
{
	while (n > 0 && s[n - 1] == 1)
		n--;
	return n == 0;
}

/* Applies y * s + b to what is there of the Conv's own S and B, in place in s and b. */
static void compose(const struct kerf_edit *e, const struct kerf_op *conv, int64_t n, float *s,
                    float *b)
{
	int32_t vb = kerf_edit_in(e, conv, CONV_B), vs = kerf_edit_in(e, conv, CONV_S);
	int64_t i;

	for (i = 0; i < n; i++) {
		if (vb >= 0)
			b[i] = (float)((double)((float *)kerf_edit_t(e, vb)->data)[i] * s[i] +
			               b[i]);
		if (vs >= 0)
			s[i] *= ((float *)kerf_edit_t(e, vs)->data)[i];
	}
}

#define MAX_SCALED_BYTES (16 << 20)

/* Where ConvTranspose's and Gemm's weights have their output channels. */
struct weight_order {
	int64_t group, outer, m,
		inner; /* element ((g * outer + c) * m + o) * inner + k: channel g * m + o */
};

static struct weight_order weight_order(const struct kerf_op *op, const struct kerf_tensor *w)
{
	struct weight_order q = {1, 1, w->dims[0], w->dims[1]};
	int d;

	if (kerf_op_is(op, "Gemm"))
		return kerf_op_int(op, "transB", 0) ? q : (struct weight_order){1, q.m, q.inner, 1};
	q = (struct weight_order){kerf_op_int(op, "group", 1), w->dims[0], w->dims[1], 1};
	q.outer = q.group > 0 ? q.outer / q.group : 0;
	for (d = 2; d < w->rank; d++)
		q.inner *= w->dims[d];
	return q;
}

/* They have no input S: a scaled copy instead. */
static int32_t scaled_weights(struct kerf_edit *e, const struct kerf_op *op, const float *s)
{
	int32_t v = kerf_edit_in(e, op, CONV_W);
	struct kerf_tensor t = *kerf_edit_t(e, v);
	struct weight_order q = weight_order(op, &t);
	const kerf_any_float *w = t.data;
	int64_t g, c, o, k, i = 0;
	float *out = kerf_graph_alloc(e->g, kerf_tensor_bytes(&t));

	if (!out)
		return -ENOMEM;
	for (g = 0; g < q.group; g++)
		for (c = 0; c < q.outer; c++)
			for (o = 0; o < q.m; o++)
				for (k = 0; k < q.inner; k++, i++)
					out[i] = w[i] * s[g * q.m + o];
	t.data = out;
	return kerf_edit_const(e, e->g->value[v].name, &t);
}

static bool can_scale(const struct kerf_edit *e, const struct kerf_op *p, int64_t n)
{
	const struct kerf_tensor *w;
	struct weight_order q;

	if (!known_vector(e, kerf_edit_in(e, p, CONV_B), n) ||
	    !known_vector(e, kerf_edit_in(e, p, CONV_S), n))
		return false;
	if (kerf_op_is(p, "Conv"))
		return true;
	if (!kerf_edit_is_const(e, kerf_edit_in(e, p, CONV_W)))
		return false;
	w = kerf_edit_t(e, kerf_edit_in(e, p, CONV_W));
	if (w->dtype != KERF_F32 || w->rank < 2 || kerf_tensor_bytes(w) > MAX_SCALED_BYTES)
		return false;
	q = weight_order(p, w);
	return q.group > 0 && q.group * q.m == n &&
	       q.group * q.outer * q.m * q.inner == kerf_tensor_count(w);
}

/* Operators that S and B may go into. Gemm's alpha and beta are left alone. */
static bool takes_affine(const struct kerf_op *p)
{
	return kerf_op_is(p, "Conv") || kerf_op_is(p, "ConvTranspose") ||
	       (kerf_op_is(p, "Gemm") && kerf_op_float(p, "alpha", 1) == 1 &&
	        kerf_op_float(p, "beta", 1) == 1);
}

#define MAX_CHANNELS (1 << 20)

static int absorb_affine(struct kerf_edit *e, uint32_t j)
{
	struct kerf_graph *g = e->g;
	struct kerf_op *op = &g->op[j], *p = NULL;
	const struct kerf_tensor y = *kerf_edit_t(e, op->out[0]);
	int32_t x, in[4] = {-1, -1, -1, -1};
	float *s, *b;
	int64_t n;
	int r = 0;

	if (y.rank < 2 || y.dtype != KERF_F32 || op->n_in < 2)
		return 0;
	n = y.dims[1];
	/* No layer is as wide; a file may claim it in a few bytes. */
	if (n > MAX_CHANNELS)
		return 0;
	s = calloc((size_t)n * 2 + 1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	b = s + n;
	if (affine(e, op, &y, &x, s, b))
		p = sole_producer(e, x);
	if (!p || !takes_affine(p) || p->act.kind != KERF_ACT_NONE ||
	    kerf_edit_in(e, p, CONV_R) >= 0 || !kerf_tensor_same_shape(kerf_edit_t(e, x), &y) ||
	    !can_scale(e, p, n))
		goto out;
	in[CONV_X] = p->in[CONV_X];
	in[CONV_W] = p->in[CONV_W];
	if (kerf_op_is(p, "Conv")) {
		compose(e, p, n, s, b);
		if (!is_one(s, n))
			in[CONV_S] = kerf_edit_const_f32(e, p->name, s, n);
	} else {
		if (!is_one(s, n))
			in[CONV_W] = scaled_weights(e, p, s);
		compose(e, p, n, s, b);
	}
	in[CONV_B] = kerf_edit_const_f32(e, p->name, b, n);
	if (in[CONV_W] < 0 || in[CONV_B] < 0 || in[CONV_S] < -1) {
		r = -ENOMEM;
		goto out;
	}
	r = kerf_edit_merge(e, (uint32_t)(p - g->op), j, in[CONV_S] >= 0 ? 4 : 3, in);
out:
	free(s);
	return r;
}

/* --- residual Add into Conv ---------------------------------------------------------------- */

static bool takes_residual(const struct kerf_edit *e, int32_t v, const struct kerf_tensor *y)
{
	const struct kerf_op *p = sole_producer(e, v);

	return p && kerf_op_is(p, "Conv") && p->act.kind == KERF_ACT_NONE &&
	       kerf_edit_in(e, p, CONV_R) < 0 && kerf_tensor_same_shape(kerf_edit_t(e, v), y);
}

static int absorb_residual(struct kerf_edit *e, uint32_t j)
{
	struct kerf_graph *g = e->g;
	struct kerf_op *op = &g->op[j], *p;
	const struct kerf_tensor *y = kerf_edit_t(e, op->out[0]);
	int32_t v[2] = {kerf_edit_in(e, op, 0), kerf_edit_in(e, op, 1)}, in[5];
	int side, k;

	if (!kerf_op_is(op, "Add") || op->act.kind != KERF_ACT_NONE || y->dtype != KERF_F32 ||
	    v[0] == v[1] || !kerf_tensor_same_shape(kerf_edit_t(e, v[0]), kerf_edit_t(e, v[1])))
		return 0;
	/* Of equal bounds; the shapes at run time may need broadcasting, which R has not. */
	if (g->value[op->out[0]].bounded)
		return 0;
	/* Of two convolutions the later one: moving it here prolongs no lifetime. */
	side = g->value[v[1]].producer > g->value[v[0]].producer;
	if (!takes_residual(e, v[side], y))
		side = !side;
	if (!takes_residual(e, v[side], y))
		return 0;
	p = kerf_edit_producer(e, v[side]);
	for (k = 0; k < 4; k++)
		in[k] = kerf_edit_in(e, p, k);
	in[CONV_R] = v[!side];
	return kerf_edit_merge(e, (uint32_t)(p - g->op), j, 5, in);
}

/* --- the pass -----------------------------------------------------------------------------------
 */

static int sweep(struct kerf_graph *g, struct kerf_err *err,
                 int (*const *rules)(struct kerf_edit *, uint32_t))
{
	struct kerf_edit e;
	uint32_t j, n = g->n_op;
	int r = kerf_edit_begin(&e, g, err), k;

	if (r)
		return r;
	for (j = 0; !r && j < n; j++) {
		kerf_edit_resolve(&e, &g->op[j]);
		for (k = 0; !r && rules[k]; k++)
			if (g->op[j].n_out > 0 && g->op[j].out[0] >= 0)
				r = rules[k](&e, j);
	}
	return kerf_edit_end(&e, r);
}

int kerf_rewrite_fuse(struct kerf_graph *g, struct kerf_err *err)
{
	static int (*const recognise[])(struct kerf_edit *, uint32_t) = {
		kerf_fuse_composite,
		kerf_fuse_norm,
		kerf_fuse_shuffle,
		NULL,
	};
	static int (*const absorb[])(struct kerf_edit *, uint32_t) = {
		kerf_fuse_pad, kerf_fuse_linear, absorb_affine, absorb_residual, absorb_act, NULL,
	};
	int r = sweep(g, err, recognise);

	return r ? r : sweep(g, err, absorb);
}
