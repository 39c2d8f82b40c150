/* SPDX-License-Identifier: MIT */
/*
 * QuantizeLinear and DequantizeLinear say where a model rounds; what stands between
 * them is meant to run on the 8-bit values. This pass looks at each QuantizeLinear,
 * at the operator before it and at the DequantizeLinears before that, and puts one
 * quantised operator in their place. A DequantizeLinear before an operator that only
 * moves elements goes behind it first.
 *
 * Meaning. Operators that only move elements, MaxPool, and functions of one element
 * (by a table of all 256 values) give the same bits as the three operators they
 * replace. Sums (convolution, product, average, addition) are exact in integers where
 * the float ones rounded, and they and changes of scale use graph/quant.h's formula:
 * a result may differ by one step where the exact value lies next to a tie.
 */
#include "graph/rewrite_quant.h"

#include "graph/quant.h"
#include "graph/rewrite_passes.h"

#include <stdlib.h>

#define MAX_CONCAT 256

/* --- reading ----------------------------------------------------------------------- */

static bool const_f32(const struct kerf_edit *e, int32_t v)
{
	return kerf_edit_is_const(e, v) && kerf_edit_t(e, v)->dtype == KERF_F32 &&
	       kerf_tensor_count(kerf_edit_t(e, v)) > 0;
}

bool kerf_dequantised(const struct kerf_edit *e, int32_t v, struct kerf_quantised *q)
{
	const struct kerf_op *p = kerf_edit_producer(e, v);
	const struct kerf_tensor *x;

	if (!p || !kerf_op_is(p, "DequantizeLinear") || p->act.kind != KERF_ACT_NONE ||
	    kerf_op_int(p, "block_size", 0))
		return false;
	q->x = kerf_edit_in(e, p, 0);
	q->scale = kerf_edit_in(e, p, 1);
	q->zero = kerf_edit_in(e, p, 2);
	if (!const_f32(e, q->scale) || (q->zero >= 0 && !kerf_edit_is_const(e, q->zero)))
		return false;
	x = kerf_edit_t(e, q->x);
	q->n = kerf_tensor_count(kerf_edit_t(e, q->scale));
	q->axis = kerf_axis(kerf_op_int(p, "axis", 1), x->rank);
	return q->n == 1 || (q->axis >= 0 && q->n == x->dims[q->axis]);
}

static int32_t zeros(struct kerf_edit *e, int32_t scale, enum kerf_dtype dtype)
{
	struct kerf_tensor t = *kerf_edit_t(e, scale);

	t.dtype = dtype;
	t.data = kerf_graph_alloc(e->g, kerf_tensor_bytes(&t));
	return t.data ? kerf_edit_const(e, e->g->value[scale].name, &t) : -ENOMEM;
}

int32_t kerf_quantised_zero(struct kerf_edit *e, const struct kerf_quantised *q)
{
	return q->zero >= 0 ? q->zero : zeros(e, q->scale, kerf_edit_t(e, q->x)->dtype);
}

/* --- writing ------------------------------------------------------------------------ */

/* Whether an operator of this form infers to the shape of j's output, and that dtype. */
static bool accepts(const struct kerf_island *s, const struct kerf_op *op, enum kerf_dtype dtype)
{
	const struct kerf_tensor y = *kerf_edit_t(s->e, op->out[0]);
	int n_in = kerf_op_in_slots(op);
	struct kerf_tensor *in = calloc((size_t)(n_in + kerf_op_out_slots(op)), sizeof(*in));
	struct kerf_err err;
	bool ok;

	if (!in)
		return false;
	err.msg[0] = 0;
	kerf_op_tensors(s->e->g, op, in, in + n_in);
	ok = !op->def->infer(op, in, in + n_in, &err) && in[n_in].dtype == dtype &&
	     kerf_tensor_same_shape(&in[n_in], &y);
	free(in);
	return ok;
}

int kerf_island_become(const struct kerf_island *s, const char *type, int opset, int n,
                       const int32_t *in, uint32_t n_attr, const struct kerf_attr *attr)
{
	const struct kerf_op *op = &s->e->g->op[s->j];
	struct kerf_op trial = *op;
	int k, r;

	for (k = 0; k < n; k++)
		if (in[k] < -1)
			return in[k];
	trial.def = kerf_op_find(NULL, type, opset);
	trial.opset = opset;
	trial.n_in = n;
	trial.in = (int32_t *)in;
	trial.n_attr = n_attr;
	trial.attr = (struct kerf_attr *)attr;
	trial.act = s->act;
	if (!trial.def || !accepts(s, &trial, kerf_edit_t(s->e, op->out[0])->dtype))
		return 0;
	r = kerf_edit_become(s->e, s->j, type, opset, n, in, n_attr, attr);
	s->e->g->op[s->j].act = s->act;
	return r ? r : 1;
}

/* --- element-wise and averages ------------------------------------------------------------ */

static int match_binary(const struct kerf_island *s)
{
	const char *type = kerf_op_is(s->p, "Add")   ? "qAdd"
	                   : kerf_op_is(s->p, "Mul") ? "qMul"
	                                             : NULL;
	struct kerf_quantised a, b;
	int32_t in[8];

	if (!type || kerf_op_attr(s->p, "axis") ||
	    !kerf_dequantised(s->e, kerf_edit_in(s->e, s->p, 0), &a) || a.n != 1 ||
	    !kerf_dequantised(s->e, kerf_edit_in(s->e, s->p, 1), &b) || b.n != 1)
		return 0;
	in[0] = a.x;
	in[1] = a.scale;
	in[2] = kerf_quantised_zero(s->e, &a);
	in[3] = b.x;
	in[4] = b.scale;
	in[5] = kerf_quantised_zero(s->e, &b);
	in[6] = s->scale;
	in[7] = s->zero;
	return kerf_island_become(s, type, 1, 8, in, 0, NULL);
}

static int unary_inputs(const struct kerf_island *s, const struct kerf_quantised *a, int32_t *in)
{
	in[0] = a->x;
	in[1] = a->scale;
	in[2] = kerf_quantised_zero(s->e, a);
	in[3] = s->scale;
	in[4] = s->zero;
	return in[2] < 0 ? in[2] : 0;
}

static bool is_global_mean(const struct kerf_edit *e, const struct kerf_op *p)
{
	int64_t axes[2];

	return kerf_op_is(p, "ReduceMean") && kerf_edit_t(e, p->out[0])->rank == 4 &&
	       kerf_op_int(p, "keepdims", 1) && kerf_edit_ints_of(e, p, "axes", 1, axes, 2) == 2 &&
	       kerf_axis(axes[0], 4) + kerf_axis(axes[1], 4) == 5 &&
	       (kerf_axis(axes[0], 4) == 2 || kerf_axis(axes[1], 4) == 2);
}

static int match_average(const struct kerf_island *s)
{
	struct kerf_quantised a;
	int32_t in[5];
	int r;

	if (!kerf_op_is(s->p, "AveragePool") && !kerf_op_is(s->p, "GlobalAveragePool") &&
	    !is_global_mean(s->e, s->p))
		return 0;
	if (!kerf_dequantised(s->e, kerf_edit_in(s->e, s->p, 0), &a) || a.n != 1)
		return 0;
	r = unary_inputs(s, &a, in);
	if (r)
		return r;
	if (kerf_op_is(s->p, "AveragePool"))
		return kerf_island_become(s, "qAveragePool", 1, 5, in, s->p->n_attr, s->p->attr);
	return kerf_island_become(s, "qGlobalAveragePool", 1, 5, in, 0, NULL);
}

static int match_concat(const struct kerf_island *s)
{
	struct kerf_attr axis = {.name = "axis", .type = KERF_ATTR_INT};
	int32_t in[2 + 3 * MAX_CONCAT];
	struct kerf_quantised q;
	int k;

	if (!kerf_op_is(s->p, "Concat") || s->p->n_in > MAX_CONCAT || s->p->n_in < 1)
		return 0;
	in[0] = s->scale;
	in[1] = s->zero;
	for (k = 0; k < s->p->n_in; k++) {
		if (!kerf_dequantised(s->e, kerf_edit_in(s->e, s->p, k), &q) || q.n != 1)
			return 0;
		in[2 + 3 * k] = q.x;
		in[3 + 3 * k] = q.scale;
		in[4 + 3 * k] = kerf_quantised_zero(s->e, &q);
	}
	axis.i = kerf_op_int(s->p, "axis", 1);
	return kerf_island_become(s, "qConcat", 1, 2 + 3 * s->p->n_in, in, 1, &axis);
}

/* --- functions of one element ---------------------------------------------------------------- */

static bool same_params(const struct kerf_island *s, const struct kerf_quantised *q)
{
	const struct kerf_edit *e = s->e;
	int64_t zero = q->zero < 0 ? 0 : kerf_tensor_int(kerf_edit_t(e, q->zero), 0);

	return q->n == 1 && kerf_edit_t(e, q->x)->dtype == kerf_edit_t(e, s->zero)->dtype &&
	       ((float *)kerf_edit_t(e, q->scale)->data)[0] ==
	               ((float *)kerf_edit_t(e, s->scale)->data)[0] &&
	       zero == kerf_tensor_int(kerf_edit_t(e, s->zero), 0);
}

/* DequantizeLinear, op, QuantizeLinear for each of the 256 values of x. */
static int32_t make_table(const struct kerf_island *s, const struct kerf_op *op,
                          const struct kerf_quantised *q)
{
	struct kerf_edit *e = s->e;
	enum kerf_dtype xt = kerf_edit_t(e, q->x)->dtype, yt = kerf_edit_t(e, s->zero)->dtype;
	float x[256], y[256], x_scale = ((float *)kerf_edit_t(e, q->scale)->data)[0];
	float y_scale = ((float *)kerf_edit_t(e, s->scale)->data)[0];
	int64_t x_zero = q->zero < 0 ? 0 : kerf_tensor_int(kerf_edit_t(e, q->zero), 0);
	int32_t y_zero = (int32_t)kerf_tensor_int(kerf_edit_t(e, s->zero), 0);
	struct kerf_tensor in[8] = {{KERF_F32, 1, {256}, x}}, out[2] = {{KERF_F32, 1, {256}, y}};
	struct kerf_tensor table = {yt, 1, {256}, kerf_graph_alloc(e->g, 256)};
	bool is_signed = yt == KERF_I8;
	int i, k;

	if (!table.data)
		return -ENOMEM;
	for (k = 1; k < op->n_in && k < 8; k++)
		if (kerf_edit_in(e, op, k) >= 0)
			in[k] = *kerf_edit_t(e, kerf_edit_in(e, op, k));
	for (i = 0; i < 256; i++)
		x[i] = (float)((xt == KERF_I8 ? (int8_t)i : i) - x_zero) * x_scale;
	if (kerf_op_eval(op, in, out))
		return -1;
	for (i = 0; i < 256; i++)
		((uint8_t *)table.data)[i] = (uint8_t)kerf_quant_round(
			y[i] / y_scale, y_zero, is_signed ? -128 : 0, is_signed ? 127 : 255);
	return kerf_edit_const(e, op->name, &table);
}

static bool is_8bit(enum kerf_dtype t)
{
	return t == KERF_U8 || t == KERF_I8;
}

/* A function of one float element, its other inputs known and of one element. */
static bool is_function(const struct kerf_edit *e, const struct kerf_op *op)
{
	static const char *const types[] = {
		"Sigmoid", "Tanh",  "LeakyRelu", "HardSigmoid", "HardSwish",  "Elu", "Selu",
		"Celu",    "Gelu",  "Mish",      "Softplus",    "Softsign",   "Exp", "Log",
		"Sqrt",    "Abs",   "Neg",       "Erf",         "Reciprocal", "Pow", "Relu",
		"Clip",    "PRelu", "Add",       "Mul",         "Sub",        "Div"};
	unsigned i;
	int k;

	for (i = 0; i < KERF_ARRAY_SIZE(types) && !kerf_op_is(op, types[i]); i++)
		;
	if (i == KERF_ARRAY_SIZE(types) || op->n_in > 8 || op->n_out != 1)
		return false;
	for (k = 1; k < op->n_in; k++) {
		int32_t v = kerf_edit_in(e, op, k);

		if (v >= 0 &&
		    (!kerf_edit_is_const(e, v) || kerf_tensor_count(kerf_edit_t(e, v)) != 1 ||
		     kerf_edit_t(e, v)->rank > 1))
			return false;
	}
	return true;
}

static int match_function(struct kerf_island *s)
{
	struct kerf_quantised q;
	int32_t in[2];

	if (!kerf_dequantised(s->e, kerf_edit_in(s->e, s->p, 0), &q) || q.n != 1 ||
	    !is_function(s->e, s->p) || !is_8bit(kerf_edit_t(s->e, q.x)->dtype) ||
	    !is_8bit(kerf_edit_t(s->e, s->zero)->dtype) || s->act.kind != KERF_ACT_NONE)
		return 0;
	in[0] = q.x;
	in[1] = make_table(s, s->p, &q);
	return in[1] == -1 ? 0 : kerf_island_become(s, "qLut", 1, 2, in, 0, NULL);
}

/* DequantizeLinear, perhaps an activation, QuantizeLinear: x with other parameters. */
static int match_rescale(const struct kerf_island *s, int32_t v)
{
	struct kerf_quantised q;
	int32_t in[5];
	int r;

	if (!kerf_dequantised(s->e, v, &q) || q.n != 1)
		return 0;
	if (s->act.kind == KERF_ACT_NONE && same_params(s, &q))
		return kerf_island_become(s, "Identity", 13, 1, &q.x, 0, NULL);
	r = unary_inputs(s, &q, in);
	return r ? r : kerf_island_become(s, "qRescale", 1, 5, in, 0, NULL);
}

/* --- moving elements ---------------------------------------------------------------------------
 */

/*
 * Pad with 0 becomes Pad with the zero point; whether the operator keeps every
 * element as it is (or the largest of some).
 */
static bool moves(const struct kerf_edit *e, const struct kerf_op *p)
{
	static const char *const types[] = {
		"MaxPool",   "Reshape", "Flatten",  "Squeeze",      "Unsqueeze",
		"Transpose", "Slice",   "Identity", "DepthToSpace", "SpaceToDepth",
		"Gather",    "Expand",  "Tile",     "Pad",          "GlobalMaxPool"};
	float value = 0;
	unsigned i;

	/* tf_crop_and_resize also fills: with a number, not with an element. */
	if (kerf_op_is(p, "Resize") || kerf_op_is(p, "Upsample"))
		return !strcmp(kerf_op_string(p, "mode", "nearest"), "nearest") &&
		       strcmp(kerf_op_string(p, "coordinate_transformation_mode", ""),
			      "tf_crop_and_resize");
	for (i = 0; i < KERF_ARRAY_SIZE(types) && !kerf_op_is(p, types[i]); i++)
		;
	if (i == KERF_ARRAY_SIZE(types) || p->act.kind != KERF_ACT_NONE || p->n_out != 1)
		return false;
	if (!kerf_op_is(p, "Pad"))
		return true;
	return p->opset >= 11 &&
	       (kerf_edit_in(e, p, 2) < 0 ||
	        (kerf_edit_scalar(e, kerf_edit_in(e, p, 2), &value) && value == 0));
}

/*
 * Operator j, on dequantised values, becomes the same on the 8-bit ones with the
 * DequantizeLinear behind it, where a QuantizeLinear may meet it.
 */
static int push_down(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j], trial = *op;
	struct kerf_tensor t;
	struct kerf_quantised q;
	struct kerf_island at = {.e = e, .j = j};
	int32_t in[8], dq[3];
	int n = op->n_in, k;

	if (op->n_out != 1 || n < 1 || n > 7 || !moves(e, op) ||
	    !kerf_dequantised(e, kerf_edit_in(e, op, 0), &q) || q.n != 1 ||
	    !is_8bit(kerf_edit_t(e, q.x)->dtype) || kerf_edit_t(e, op->out[0])->dtype != KERF_F32 ||
	    !(((float *)kerf_edit_t(e, q.scale)->data)[0] > 0))
		return 0;
	in[0] = q.x;
	for (k = 1; k < n; k++)
		in[k] = kerf_edit_in(e, op, k);
	dq[2] = kerf_quantised_zero(e, &q);
	if (dq[2] < 0)
		return dq[2];
	if (kerf_op_is(op, "Pad")) {
		t = *kerf_edit_t(e, dq[2]);
		t.rank = 0;
		in[2] = kerf_edit_const(e, op->name, &t);
		n = KERF_MAX(n, 3);
	}
	trial.in = in;
	trial.n_in = n;
	if (!accepts(&at, &trial, kerf_edit_t(e, q.x)->dtype))
		return 0;
	dq[0] = kerf_edit_node(e, j, trial.def->name, trial.opset, trial.name, "q", n, in,
	                       trial.n_attr, trial.attr);
	dq[1] = q.scale;
	return dq[0] < 0 ? dq[0] : kerf_edit_become(e, j, "DequantizeLinear", 13, 3, dq, 0, NULL);
}

/* --- the pass
 * ------------------------------------------------------------------------------------- */

/* v is read by one operator only, and made by one with one output: that one. */
static const struct kerf_op *sole(const struct kerf_edit *e, int32_t v)
{
	const struct kerf_op *p = kerf_edit_producer(e, v);
	int k;

	if (!p || e->uses[v] != 1 || e->is_output[v] || p->act.kind != KERF_ACT_NONE || p->nhwc)
		return NULL;
	for (k = 1; k < p->n_out; k++)
		if (p->out[k] >= 0 && e->uses[p->out[k]])
			return NULL;
	return p->out[0] == v ? p : NULL;
}

static int match(struct kerf_island *s)
{
	static int (*const rules[])(const struct kerf_island *) = {
		kerf_quant_conv, kerf_quant_matmul, match_binary, match_average, match_concat,
	};
	unsigned i;
	int r = 0;

	for (i = 0; !r && i < KERF_ARRAY_SIZE(rules); i++)
		r = rules[i](s);
	return r;
}

static int visit(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j];
	struct kerf_island s = {
		.e = e, .j = j, .scale = kerf_edit_in(e, op, 1), .zero = kerf_edit_in(e, op, 2)};
	const struct kerf_op *act;
	int32_t v = kerf_edit_in(e, op, 0);
	int r;

	if (!const_f32(e, s.scale) || kerf_tensor_count(kerf_edit_t(e, s.scale)) != 1 ||
	    (s.zero >= 0 && !kerf_edit_is_const(e, s.zero)))
		return 0;
	if (s.zero < 0)
		s.zero = zeros(e, s.scale, kerf_edit_t(e, op->out[0])->dtype);
	if (s.zero < 0)
		return s.zero;
	r = match_rescale(&s, v);
	act = r ? NULL : sole(e, v);
	if (!act)
		return r < 0 ? r : 0;
	s.p = act;
	r = match(&s);
	if (r)
		return r < 0 ? r : 0;
	if (kerf_fuse_as_act(e, act, &s.act)) {
		/* A clamp of the quantised result is a quantised clamp: rounding keeps order. */
		v = kerf_edit_in(e, act, 0);
		r = s.act.kind == KERF_ACT_RELU || s.act.kind == KERF_ACT_CLIP
		            ? match_rescale(&s, v)
		            : 0;
		s.p = r ? NULL : sole(e, v);
		if (s.p && (s.act.kind == KERF_ACT_RELU || s.act.kind == KERF_ACT_CLIP))
			r = match(&s);
	}
	if (!r) {
		s.p = act;
		s.act.kind = KERF_ACT_NONE;
		r = match_function(&s);
	}
	return r < 0 ? r : 0;
}

int kerf_rewrite_quant(struct kerf_graph *g, struct kerf_err *err)
{
	struct kerf_edit e;
	uint32_t j, n = g->n_op;
	int r = kerf_edit_begin(&e, g, err);

	if (r)
		return r;
	for (j = 0; !r && j < n; j++) {
		kerf_edit_resolve(&e, &g->op[j]);
		if (g->op[j].n_out == 1 && kerf_op_is(&g->op[j], "QuantizeLinear"))
			r = visit(&e, j);
		else if (g->op[j].n_in > 0)
			r = push_down(&e, j);
	}
	return kerf_edit_end(&e, r);
}
