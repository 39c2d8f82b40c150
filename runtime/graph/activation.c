// SPDX-License-Identifier: MIT
/*
 * Which operators are an activation, for the rewrites that fuse it and the engines that run it
 * alone.
 */
#include "graph/op_util.h"

#include <string.h>

static const struct {
	const char *name;
	enum kerf_act_kind kind;
	const char *attr[2];
	float absent[2];
} acts[] = {
	{"Relu", KERF_ACT_RELU, {NULL, NULL}, {0, 0}},
	{"LeakyRelu", KERF_ACT_LEAKY_RELU, {"alpha", NULL}, {0.01f, 0}},
	{"Sigmoid", KERF_ACT_SIGMOID, {NULL, NULL}, {0, 0}},
	{"Tanh", KERF_ACT_TANH, {NULL, NULL}, {0, 0}},
	{"HardSigmoid", KERF_ACT_HARD_SIGMOID, {"alpha", "beta"}, {0.2f, 0.5f}},
	{"HardSwish", KERF_ACT_HARD_SWISH, {NULL, NULL}, {0, 0}},
	{"Mish", KERF_ACT_MISH, {NULL, NULL}, {0, 0}},
	{"Elu", KERF_ACT_ELU, {"alpha", NULL}, {1, 0}},
	{"Gelu", KERF_ACT_GELU, {NULL, NULL}, {0, 0}},
};

bool kerf_op_activation(const struct kerf_op *op, struct kerf_act *act)
{
	const char *name = op->def->name;
	unsigned i;

	if (!strcmp(name, "Gelu") && strcmp(kerf_op_string(op, "approximate", "none"), "none"))
		return false;
	for (i = 0; i < KERF_ARRAY_SIZE(acts); i++) {
		if (strcmp(acts[i].name, name))
			continue;
		*act = (struct kerf_act){.kind = acts[i].kind};
		if (acts[i].attr[0])
			act->a = kerf_op_float(op, acts[i].attr[0], acts[i].absent[0]);
		if (acts[i].attr[1])
			act->b = kerf_op_float(op, acts[i].attr[1], acts[i].absent[1]);
		return true;
	}
	return false;
}

/* One bound of Clip: an attribute before opset 11, an input since. */
static bool clip_bound(const struct kerf_op *op, const struct kerf_tensor *in, int k,
		       const char *name, float absent, float *v)
{
	const struct kerf_tensor *t = kerf_op_opt(op, in, k);

	*v = kerf_op_float(op, name, absent);
	if (t && t->data)
		*v = (float)kerf_tensor_float(t, 0);
	return !t || t->data;
}

bool kerf_op_clip(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_act *act)
{
	if (strcmp(op->def->name, "Clip"))
		return false;
	*act = (struct kerf_act){.kind = KERF_ACT_CLIP};
	return clip_bound(op, in, 1, "min", -__FLT_MAX__, &act->a) &&
	       clip_bound(op, in, 2, "max", __FLT_MAX__, &act->b);
}
