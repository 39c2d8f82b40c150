/* SPDX-License-Identifier: MIT */
#include "cost/features.h"

#include "graph/op.h"

#include <stdio.h>
#include <string.h>

static const char *const names[KERF_N_FAMILY] = {
	"view", "conv",	       "pointwise", "depthwise", "product", "matmul",
	"conv8", "pool",	"elementwise", "norm",	  "move",    "other",
};

static const struct {
	const char *type;
	enum kerf_family family;
} types[] = {
	{"Reshape", KERF_FAMILY_VIEW},
	{"Flatten", KERF_FAMILY_VIEW},
	{"Squeeze", KERF_FAMILY_VIEW},
	{"Unsqueeze", KERF_FAMILY_VIEW},
	{"Identity", KERF_FAMILY_VIEW},
	{"Gemm", KERF_FAMILY_PRODUCT},
	{"QLinearConv", KERF_FAMILY_CONV8},
	{"QLinearMatMul", KERF_FAMILY_CONV8},
	{"ConvInteger", KERF_FAMILY_CONV8},
	{"MatMulInteger", KERF_FAMILY_CONV8},
	{"qGemm", KERF_FAMILY_CONV8},
	{"MaxPool", KERF_FAMILY_POOL},
	{"AveragePool", KERF_FAMILY_POOL},
	{"LpPool", KERF_FAMILY_POOL},
	{"GlobalAveragePool", KERF_FAMILY_POOL},
	{"GlobalMaxPool", KERF_FAMILY_POOL},
	{"qGlobalAveragePool", KERF_FAMILY_POOL},
	{"qAveragePool", KERF_FAMILY_POOL},
	{"Softmax", KERF_FAMILY_NORM},
	{"LogSoftmax", KERF_FAMILY_NORM},
	{"LayerNormalization", KERF_FAMILY_NORM},
	{"InstanceNormalization", KERF_FAMILY_NORM},
	{"GroupNormalization", KERF_FAMILY_NORM},
	{"BatchNormalization", KERF_FAMILY_NORM},
	{"LRN", KERF_FAMILY_NORM},
	{"ReduceMean", KERF_FAMILY_NORM},
	{"ReduceSum", KERF_FAMILY_NORM},
	{"ReduceMax", KERF_FAMILY_NORM},
	{"Transpose", KERF_FAMILY_MOVE},
	{"Concat", KERF_FAMILY_MOVE},
	{"qConcat", KERF_FAMILY_MOVE},
	{"Split", KERF_FAMILY_MOVE},
	{"Slice", KERF_FAMILY_MOVE},
	{"Pad", KERF_FAMILY_MOVE},
	{"Gather", KERF_FAMILY_MOVE},
	{"Expand", KERF_FAMILY_MOVE},
	{"Tile", KERF_FAMILY_MOVE},
	{"Resize", KERF_FAMILY_MOVE},
	{"Upsample", KERF_FAMILY_MOVE},
	{"DepthToSpace", KERF_FAMILY_MOVE},
	{"SpaceToDepth", KERF_FAMILY_MOVE},
	{"rowCrop", KERF_FAMILY_MOVE},
	{"Add", KERF_FAMILY_ELEMENTWISE},
	{"qAdd", KERF_FAMILY_ELEMENTWISE},
	{"Sub", KERF_FAMILY_ELEMENTWISE},
	{"Mul", KERF_FAMILY_ELEMENTWISE},
	{"Div", KERF_FAMILY_ELEMENTWISE},
	{"act", KERF_FAMILY_ELEMENTWISE},
	{"qMul", KERF_FAMILY_ELEMENTWISE},
	{"qLut", KERF_FAMILY_ELEMENTWISE},
	{"qRescale", KERF_FAMILY_ELEMENTWISE},
	{"QuantizeLinear", KERF_FAMILY_ELEMENTWISE},
	{"DequantizeLinear", KERF_FAMILY_ELEMENTWISE},
	{"Relu", KERF_FAMILY_ELEMENTWISE},
	{"Clip", KERF_FAMILY_ELEMENTWISE},
	{"Sigmoid", KERF_FAMILY_ELEMENTWISE},
	{"Exp", KERF_FAMILY_ELEMENTWISE},
	{"Sqrt", KERF_FAMILY_ELEMENTWISE},
	{"Cast", KERF_FAMILY_ELEMENTWISE},
};

const char *kerf_family_name(enum kerf_family family)
{
	return names[family];
}

enum kerf_family kerf_features_family(const struct kerf_features *f)
{
	size_t i;

	if (!strcmp(f->type, "Conv")) {
		if (f->v[KERF_FEATURE_GROUPS] > 1 &&
		    f->v[KERF_FEATURE_GROUPS] >= f->v[KERF_FEATURE_C_IN])
			return KERF_FAMILY_DEPTHWISE;
		return f->v[KERF_FEATURE_KERNEL] > 1 ? KERF_FAMILY_CONV : KERF_FAMILY_POINTWISE;
	}
	if (!strcmp(f->type, "MatMul"))
		return f->v[KERF_FEATURE_WEIGHT_BYTES] > 0 ? KERF_FAMILY_PRODUCT
							   : KERF_FAMILY_MATMUL;
	for (i = 0; i < KERF_ARRAY_SIZE(types); i++)
		if (!strcmp(f->type, types[i].type))
			return types[i].family;
	return KERF_FAMILY_OTHER;
}

/* dims[axis] of an image's value, wherever its channels stand. */
static double channels(const struct kerf_graph *g, int32_t v)
{
	const struct kerf_tensor *t = &g->value[v].t;

	if (t->rank < 2)
		return 1;
	return (double)t->dims[g->value[v].nhwc || t->rank < 4 ? t->rank - 1 : 1];
}

static void window(const struct kerf_graph *g, const struct kerf_op *op, struct kerf_features *f)
{
	uint32_t n, i;
	const int64_t *k = kerf_op_ints(op, "kernel_shape", &n);

	for (i = 0; k && i < n; i++)
		f->v[KERF_FEATURE_KERNEL] *= (double)k[i];
	/* A convolution may leave its kernel's shape to the weights. */
	for (i = 0; !k && i < (uint32_t)op->n_in; i++) {
		const struct kerf_value *w = op->in[i] < 0 ? NULL : &g->value[op->in[i]];
		int d;

		if (!w || !kerf_value_is_const(w) || w->t.rank < 3 || !strstr(f->type, "Conv"))
			continue;
		for (d = 2; d < w->t.rank; d++)
			f->v[KERF_FEATURE_KERNEL] *= (double)w->t.dims[d];
		break;
	}
	k = kerf_op_ints(op, "strides", &n);
	for (i = 0; k && i < n; i++)
		f->v[KERF_FEATURE_STRIDE] *= (double)k[i];
}

/* What a product sums over: the last axis of its first input. */
static void product(const struct kerf_graph *g, const struct kerf_op *op, struct kerf_features *f)
{
	const struct kerf_tensor *a = &g->value[op->in[0]].t, *y = &g->value[op->out[0]].t;
	int d;

	if (a->rank < 1 || y->rank < 2)
		return;
	f->v[KERF_FEATURE_C_IN] =
		(double)a->dims[kerf_op_int(op, "transA", 0) ? 0 : a->rank - 1];
	f->v[KERF_FEATURE_GROUPS] = 1;
	for (d = 0; d < y->rank - 2 && !f->v[KERF_FEATURE_WEIGHT_BYTES]; d++)
		f->v[KERF_FEATURE_GROUPS] *= (double)y->dims[d];
}

void kerf_features_of(const struct kerf_graph *g, const struct kerf_op *op,
		      struct kerf_features *f)
{
	int i;

	memset(f, 0, sizeof(*f));
	snprintf(f->type, sizeof(f->type), "%s", op->def->name);
	f->v[KERF_FEATURE_FLOPS] = (double)kerf_op_flops(g, op);
	for (i = 0; i < op->n_in; i++) {
		const struct kerf_value *v = op->in[i] < 0 ? NULL : &g->value[op->in[i]];

		if (v)
			f->v[kerf_value_is_const(v) ? KERF_FEATURE_WEIGHT_BYTES
						    : KERF_FEATURE_IN_BYTES] +=
				(double)kerf_tensor_bytes(&v->t);
	}
	f->v[KERF_FEATURE_WIDTH] = f->v[KERF_FEATURE_KERNEL] = f->v[KERF_FEATURE_STRIDE] = 1;
	f->v[KERF_FEATURE_C_IN] = f->v[KERF_FEATURE_C_OUT] = f->v[KERF_FEATURE_GROUPS] = 1;
	f->v[KERF_FEATURE_ACT] = op->act.kind;
	for (i = 0; i < op->n_out; i++)
		if (op->out[i] >= 0)
			f->v[KERF_FEATURE_OUT_BYTES] +=
				(double)kerf_tensor_bytes(&g->value[op->out[i]].t);
	if (op->n_out > 0 && op->out[0] >= 0) {
		const struct kerf_value *y = &g->value[op->out[0]];
		double count = (double)kerf_tensor_count(&y->t);

		f->v[KERF_FEATURE_C_OUT] = channels(g, op->out[0]);
		f->v[KERF_FEATURE_PIXELS] = count / KERF_MAX(f->v[KERF_FEATURE_C_OUT], 1);
		if (y->nhwc && y->t.rank == 4)
			f->v[KERF_FEATURE_WIDTH] = (double)y->t.dims[2];
	}
	if (op->n_in > 0 && op->in[0] >= 0)
		f->v[KERF_FEATURE_C_IN] = channels(g, op->in[0]);
	f->v[KERF_FEATURE_GROUPS] = (double)kerf_op_int(op, "group", 1);
	window(g, op, f);
	if (op->n_in > 1 && op->in[0] >= 0 && op->n_out > 0 && op->out[0] >= 0 &&
	    (!strcmp(f->type, "MatMul") || !strcmp(f->type, "Gemm")))
		product(g, op, f);
}
