/* SPDX-License-Identifier: MIT */
/*
 * Recognising what exporters spell out: activations, normalisations and shuffles
 * written as several operators become the one they are. The one computes the same
 * function in its own order: results differ by rounding only.
 */
#include "graph/rewrite_passes.h"

#include <math.h>

static bool near(float x, double want)
{
	return fabs(x - want) <= 1e-4 * fabs(want);
}

static bool is_near(const struct kerf_edit *e, int32_t v, double want)
{
	float x;

	return v >= 0 && kerf_edit_scalar(e, v, &x) && near(x, want);
}

/*
 * The operator that makes v and nothing else, for one reader, if it is of this type and
 * has no activation: patterns are looked for again after activations were fused.
 */
static struct kerf_op *plain(const struct kerf_edit *e, int32_t v, const char *type)
{
	struct kerf_op *p = kerf_edit_only(e, v, type);

	return p && p->act.kind == KERF_ACT_NONE ? p : NULL;
}

/* Input 0 of v's producer if it is of this type and made for one reader; or -1. */
static int32_t input_of(const struct kerf_edit *e, int32_t v, const char *type)
{
	const struct kerf_op *p = v >= 0 ? plain(e, v, type) : NULL;

	return p ? kerf_edit_in(e, p, 0) : -1;
}

/* v = u + c, made for one reader: u; or -1. */
static int32_t less(const struct kerf_edit *e, int32_t v, double c)
{
	const struct kerf_op *p = plain(e, v, "Add");
	int k;

	for (k = 0; p && k < 2; k++)
		if (is_near(e, kerf_edit_in(e, p, k), c))
			return kerf_edit_in(e, p, !k);
	return -1;
}

/* --- activations of the form x * gate(x) * c ------------------------------------- */

struct product {
	float scale;
	int32_t factor[2];
	int n;
};

/* Multiplies v's factors into p, through products made for one reader. */
static bool expand(const struct kerf_edit *e, const struct kerf_op *op, struct product *p,
                   int depth)
{
	bool div = kerf_op_is(op, "Div");
	int k;

	for (k = 0; k < 2; k++) {
		int32_t v = kerf_edit_in(e, op, k);
		const struct kerf_op *q;
		float c;

		if (v < 0)
			return false;
		if (kerf_edit_scalar(e, v, &c)) {
			p->scale *= div && k ? 1 / c : c;
			continue;
		}
		if (div && k)
			return false;
		q = plain(e, v, "Mul");
		if (!q)
			q = plain(e, v, "Div");
		if (q && depth < 3) {
			struct product inner = *p;

			if (expand(e, q, &inner, depth + 1)) {
				*p = inner;
				continue;
			}
		}
		if (p->n == 2)
			return false;
		p->factor[p->n++] = v;
	}
	return true;
}

/* v = x / sqrt 2 */
static bool is_erf_argument(const struct kerf_edit *e, int32_t v, int32_t x)
{
	const struct kerf_op *p = plain(e, v, "Div");

	if (p)
		return kerf_edit_in(e, p, 0) == x && is_near(e, kerf_edit_in(e, p, 1), sqrt(2));
	p = plain(e, v, "Mul");
	return p && ((kerf_edit_in(e, p, 0) == x && is_near(e, kerf_edit_in(e, p, 1), sqrt(0.5))) ||
	             (kerf_edit_in(e, p, 1) == x && is_near(e, kerf_edit_in(e, p, 0), sqrt(0.5))));
}

static bool is_clip_0_6(const struct kerf_edit *e, const struct kerf_op *p)
{
	float lo, hi;

	if (p->opset < 11)
		return kerf_op_float(p, "min", -1) == 0 && kerf_op_float(p, "max", 0) == 6;
	return kerf_edit_in(e, p, 1) >= 0 && kerf_edit_in(e, p, 2) >= 0 &&
	       kerf_edit_scalar(e, kerf_edit_in(e, p, 1), &lo) && lo == 0 &&
	       kerf_edit_scalar(e, kerf_edit_in(e, p, 2), &hi) && hi == 6;
}

static enum kerf_act_kind gated(const struct kerf_edit *e, int32_t x, int32_t gate, float scale)
{
	const struct kerf_op *p;
	int32_t v;

	if (near(scale, 1)) {
		if (input_of(e, gate, "Sigmoid") == x)
			return KERF_ACT_SILU;
		v = input_of(e, gate, "Tanh");
		if (v >= 0 && input_of(e, v, "Softplus") == x)
			return KERF_ACT_MISH;
		p = plain(e, gate, "HardSigmoid");
		if (p && kerf_edit_in(e, p, 0) == x &&
		    near(kerf_op_float(p, "alpha", 0.2f), 1.0 / 6) &&
		    near(kerf_op_float(p, "beta", 0.5f), 0.5))
			return KERF_ACT_HARD_SWISH;
	}
	p = plain(e, gate, "Clip");
	if (p && near(scale, 1.0 / 6) && is_clip_0_6(e, p) &&
	    less(e, kerf_edit_in(e, p, 0), 3) == x)
		return KERF_ACT_HARD_SWISH;
	v = less(e, gate, 1);
	if (v >= 0 && near(scale, 0.5)) {
		v = input_of(e, v, "Erf");
		if (v >= 0 && is_erf_argument(e, v, x))
			return KERF_ACT_GELU;
	}
	return KERF_ACT_NONE;
}

int kerf_fuse_composite(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j];
	const struct kerf_tensor *y = kerf_edit_t(e, op->out[0]);
	struct product p = {.scale = 1};
	enum kerf_act_kind kind = KERF_ACT_NONE;
	int k, r;

	if (y->dtype != KERF_F32 || op->act.kind != KERF_ACT_NONE ||
	    !(kerf_op_is(op, "Mul") || kerf_op_is(op, "Div")) || !expand(e, op, &p, 0) || p.n != 2)
		return 0;
	for (k = 0; k < 2 && kind == KERF_ACT_NONE; k++)
		kind = gated(e, p.factor[k], p.factor[!k], p.scale);
	if (kind == KERF_ACT_NONE || !kerf_tensor_same_shape(kerf_edit_t(e, p.factor[k - 1]), y))
		return 0;
	r = kerf_edit_become(e, j, "act", 1, 1, &p.factor[k - 1], 0, NULL);
	e->g->op[j].act.kind = kind;
	return r;
}

/* --- layer norm, softmax, global average ------------------------------------------------ */

/* The one axis that a Reduce* with kept dims goes over, in [0, rank); -1 if not like that. */
static int reduced_axis(const struct kerf_edit *e, const struct kerf_op *op)
{
	int64_t axis;
	int rank = kerf_edit_t(e, kerf_edit_in(e, op, 0))->rank;

	if (op->act.kind != KERF_ACT_NONE || !kerf_op_int(op, "keepdims", 1) ||
	    kerf_edit_ints_of(e, op, "axes", 1, &axis, 1) != 1)
		return -1;
	return kerf_axis(axis, rank);
}

/* v is the mean of something over its last axis, kept: that thing; or -1. */
static int32_t mean_of(const struct kerf_edit *e, int32_t v)
{
	const struct kerf_op *p = kerf_edit_producer(e, v);

	if (!p || !kerf_op_is(p, "ReduceMean") || !p->n_in)
		return -1;
	return reduced_axis(e, p) == kerf_edit_t(e, v)->rank - 1 ? kerf_edit_in(e, p, 0) : -1;
}

/* v = d * d: true. */
static bool is_square(const struct kerf_edit *e, int32_t v, int32_t d)
{
	const struct kerf_op *p = kerf_edit_producer(e, v);

	if (!p || kerf_edit_in(e, p, 0) != d || p->act.kind != KERF_ACT_NONE)
		return false;
	if (kerf_op_is(p, "Pow"))
		return is_near(e, kerf_edit_in(e, p, 1), 2);
	return kerf_op_is(p, "Mul") && kerf_edit_in(e, p, 1) == d;
}

/* (x - mean) / sqrt(mean((x - mean)^2) + eps) over the last axis */
static int match_layer_norm(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j];
	const struct kerf_op *sub = kerf_edit_producer(e, kerf_edit_in(e, op, 0)), *add;
	int32_t d = kerf_edit_in(e, op, 0), v, in[2], x;
	struct kerf_attr attr[2] = {{.name = "axis", .type = KERF_ATTR_INT, .i = -1},
	                            {.name = "epsilon", .type = KERF_ATTR_FLOAT}};
	const struct kerf_tensor *t;
	struct kerf_tensor one = {.dtype = KERF_F32, .rank = 1};
	int64_t i;
	int k;

	if (!sub || !kerf_op_is(sub, "Sub") || sub->act.kind != KERF_ACT_NONE)
		return 0;
	x = kerf_edit_in(e, sub, 0);
	if (mean_of(e, kerf_edit_in(e, sub, 1)) != x)
		return 0;
	v = input_of(e, kerf_edit_in(e, op, 1), "Sqrt");
	add = v >= 0 ? plain(e, v, "Add") : NULL;
	if (!add)
		return 0;
	for (k = 0; k < 2; k++)
		if (kerf_edit_scalar(e, kerf_edit_in(e, add, k), &attr[1].f))
			break;
	if (k == 2)
		return 0;
	v = mean_of(e, kerf_edit_in(e, add, !k));
	t = kerf_edit_t(e, x);
	if (v < 0 || !is_square(e, v, d) || t->rank < 1 || t->dtype != KERF_F32 ||
	    !kerf_tensor_same_shape(t, kerf_edit_t(e, op->out[0])) ||
	    t->dims[t->rank - 1] > 1 << 20)
		return 0;
	one.dims[0] = t->dims[t->rank - 1];
	one.data = kerf_graph_alloc(e->g, kerf_tensor_bytes(&one));
	if (!one.data)
		return -ENOMEM;
	for (i = 0; i < one.dims[0]; i++)
		((float *)one.data)[i] = 1;
	in[0] = x;
	in[1] = kerf_edit_const(e, op->name, &one);
	return in[1] < 0 ? in[1] : kerf_edit_become(e, j, "LayerNormalization", 17, 2, in, 2, attr);
}

static bool all_ones(const struct kerf_tensor *t)
{
	int64_t i, n = kerf_tensor_count(t);

	for (i = 0; i < n; i++)
		if (((const float *)t->data)[i] != 1)
			return false;
	return true;
}

/* Mul, then Add, of a vector after a layer norm that has none yet. */
static int extend_layer_norm(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j], *p = NULL;
	bool add = kerf_op_is(op, "Add");
	struct kerf_tensor t;
	int32_t in[3];
	int k;

	for (k = 0; k < 2 && !p; k++)
		p = plain(e, kerf_edit_in(e, op, k), "LayerNormalization");
	if (!p || p->n_in > 2 || kerf_op_int(p, "axis", -1) != -1)
		return 0;
	for (k = 0; k < 2; k++)
		in[k] = kerf_edit_in(e, p, k);
	k = kerf_edit_producer(e, kerf_edit_in(e, op, 0)) == p;
	if (!kerf_edit_is_const(e, kerf_edit_in(e, op, k)) || !kerf_edit_is_const(e, in[1]))
		return 0;
	t = *kerf_edit_t(e, kerf_edit_in(e, op, k));
	if (t.dtype != KERF_F32 || t.rank < 1 || kerf_tensor_count(&t) != t.dims[t.rank - 1] ||
	    t.dims[t.rank - 1] != kerf_edit_t(e, in[1])->dims[0] ||
	    !kerf_tensor_same_shape(kerf_edit_t(e, p->out[0]), kerf_edit_t(e, op->out[0])) ||
	    (!add && !all_ones(kerf_edit_t(e, in[1]))))
		return 0;
	t.dims[0] = t.dims[t.rank - 1];
	t.rank = 1;
	in[add ? 2 : 1] = kerf_edit_const(e, p->name, &t);
	if (in[add ? 2 : 1] < 0)
		return -ENOMEM;
	return kerf_edit_merge(e, (uint32_t)(p - e->g->op), j, add ? 3 : 2, in);
}

/* exp(x - max x) / sum exp(x - max x) */
static int match_softmax(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j];
	int32_t ex = kerf_edit_in(e, op, 0), x;
	const struct kerf_op *sum = plain(e, kerf_edit_in(e, op, 1), "ReduceSum");
	const struct kerf_op *p = kerf_edit_producer(e, ex), *max;
	struct kerf_attr attr = {.name = "axis", .type = KERF_ATTR_INT};
	int axis;

	if (!sum || kerf_edit_in(e, sum, 0) != ex || !p || !kerf_op_is(p, "Exp"))
		return 0;
	axis = reduced_axis(e, sum);
	p = kerf_edit_producer(e, kerf_edit_in(e, p, 0));
	if (axis < 0 || !p || !kerf_op_is(p, "Sub") || p->act.kind != KERF_ACT_NONE)
		return 0;
	x = kerf_edit_in(e, p, 0);
	max = kerf_edit_producer(e, kerf_edit_in(e, p, 1));
	if (!max || !kerf_op_is(max, "ReduceMax") || kerf_edit_in(e, max, 0) != x ||
	    reduced_axis(e, max) != axis ||
	    !kerf_tensor_same_shape(kerf_edit_t(e, x), kerf_edit_t(e, op->out[0])))
		return 0;
	attr.i = axis;
	return kerf_edit_become(e, j, "Softmax", 13, 1, &x, 1, &attr);
}

/* ReduceMean over height and width */
static int match_global_average(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j];
	int32_t x = kerf_edit_in(e, op, 0), v, in[2];
	const struct kerf_tensor t = *kerf_edit_t(e, x), y = *kerf_edit_t(e, op->out[0]);
	int64_t axes[2], dims[KERF_MAX_RANK];

	if (t.rank != 4 || t.dtype != KERF_F32 ||
	    kerf_edit_ints_of(e, op, "axes", 1, axes, 2) != 2)
		return 0;
	if (kerf_axis(axes[0], 4) + kerf_axis(axes[1], 4) != 5 ||
	    (kerf_axis(axes[0], 4) != 2 && kerf_axis(axes[1], 4) != 2))
		return 0;
	if (kerf_op_int(op, "keepdims", 1))
		return kerf_edit_become(e, j, "GlobalAveragePool", 1, 1, &x, 0, NULL);
	v = kerf_edit_node(e, j, "GlobalAveragePool", 1, op->name, "mean", 1, &x, 0, NULL);
	if (v < 0)
		return v;
	memcpy(dims, y.dims, sizeof(dims));
	in[0] = v;
	in[1] = kerf_edit_const_i64(e, e->g->op[j].name, dims, y.rank);
	return in[1] < 0 ? in[1] : kerf_edit_become(e, j, "Reshape", 13, 2, in, 0, NULL);
}

int kerf_fuse_norm(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j];
	const struct kerf_op_def *def = op->def;
	int r = 0;

	if (op->act.kind != KERF_ACT_NONE || kerf_edit_t(e, op->out[0])->dtype != KERF_F32 ||
	    e->g->value[op->out[0]].bounded)
		return 0;
	if (kerf_op_is(op, "Div")) {
		r = match_layer_norm(e, j);
		if (!r && e->g->op[j].def == def)
			r = match_softmax(e, j);
		return r;
	}
	if (kerf_op_is(op, "Mul") || kerf_op_is(op, "Add"))
		return extend_layer_norm(e, j);
	if (kerf_op_is(op, "ReduceMean"))
		return match_global_average(e, j);
	return 0;
}

/* --- DepthToSpace and SpaceToDepth ------------------------------------------------------------ */

static bool perm_is(const struct kerf_op *op, const char *want)
{
	uint32_t n, i;
	const int64_t *p = kerf_op_ints(op, "perm", &n);

	if (n != strlen(want))
		return false;
	for (i = 0; i < n; i++)
		if (p[i] != want[i] - '0')
			return false;
	return true;
}

/* Reshape to 6 axes, Transpose, Reshape to 4: rearranging blocks of pixels */
int kerf_fuse_shuffle(struct kerf_edit *e, uint32_t j)
{
	struct kerf_op *op = &e->g->op[j];
	const struct kerf_op *t, *first;
	const int64_t *x, *m, *y;
	struct kerf_attr attr[2] = {{.name = "blocksize", .type = KERF_ATTR_INT},
	                            {.name = "mode", .type = KERF_ATTR_STRING}};
	int32_t in;

	if (!kerf_op_is(op, "Reshape") || e->g->value[op->out[0]].bounded ||
	    !kerf_tensor_count(kerf_edit_t(e, op->out[0])))
		return 0;
	t = plain(e, kerf_edit_in(e, op, 0), "Transpose");
	first = t ? plain(e, kerf_edit_in(e, t, 0), "Reshape") : NULL;
	if (!first || kerf_edit_t(e, op->out[0])->rank != 4)
		return 0;
	in = kerf_edit_in(e, first, 0);
	if (kerf_edit_t(e, in)->rank != 4 || kerf_edit_t(e, first->out[0])->rank != 6)
		return 0;
	x = kerf_edit_t(e, in)->dims;
	m = kerf_edit_t(e, first->out[0])->dims;
	y = kerf_edit_t(e, op->out[0])->dims;
	if (m[0] != x[0] || y[0] != x[0])
		return 0;
	if (perm_is(t, "014253") || perm_is(t, "034152")) {
		bool crd = perm_is(t, "014253");
		int64_t b = m[2];

		if (m[crd ? 3 : 1] != b || m[4] != x[2] || m[5] != x[3] || y[2] != x[2] * b ||
		    y[3] != x[3] * b)
			return 0;
		attr[0].i = b;
		attr[1].s = crd ? "CRD" : "DCR";
		return kerf_edit_become(e, j, "DepthToSpace", 13, 1, &in, 2, attr);
	}
	if (perm_is(t, "035124") && m[1] == x[1] && m[3] == m[5] && y[2] == m[2] && y[3] == m[4] &&
	    m[2] * m[3] == x[2] && m[4] * m[5] == x[3]) {
		attr[0].i = m[3];
		return kerf_edit_become(e, j, "SpaceToDepth", 13, 1, &in, 1, attr);
	}
	return 0;
}
