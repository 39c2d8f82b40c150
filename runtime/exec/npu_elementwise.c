/* SPDX-License-Identifier: MIT */
/* Element-wise operators and softmax as commands, in float32 and in 8 bits. */
#include "exec/npu_lower.h"

#include "graph/op_util.h"
#include "graph/quant.h"

#include <math.h>
#include <string.h>

/* --- Two operands with broadcasting --- */

/* Dim of t where it is seen as broadcast to rank: 1 where it has none. */
static int64_t dim_of(const struct kerf_tensor *t, int rank, int d)
{
	int at = d - (rank - t->rank);

	return at < 0 ? 1 : t->dims[at];
}

/* Joins neighbouring axes that both operands walk alike, to at most four; aligned right. */
static bool join_dims(const struct kerf_tensor *a, const struct kerf_tensor *c,
		      const struct kerf_tensor *y, int64_t da[4], int64_t dc[4], int64_t dy[4])
{
	int at = 3, d, last = -1; /* how the axis before was walked: bit 0 a, bit 1 c */

	for (d = 0; d < 4; d++)
		da[d] = dc[d] = dy[d] = 1;
	for (d = y->rank - 1; d >= 0; d--) {
		int64_t n = y->dims[d], na = dim_of(a, y->rank, d), nc = dim_of(c, y->rank, d);
		int how = (na == n) | (nc == n) << 1;

		if (n == 1)
			continue;
		if (last >= 0 && (how != last || dy[at] * n > KERF_NPU_MAX_DIM))
			at--;
		if (at < 0)
			return false;
		last = how;
		da[at] *= na;
		dc[at] *= nc;
		dy[at] *= n;
	}
	return true;
}

static bool binary_operands(struct kerf_lower *b, const struct kerf_lower_op *o, int second,
			    const int32_t zero[3], struct kerf_npu_binary *c)
{
	const struct kerf_tensor *a = &o->in[0], *e = &o->in[second], *y = &o->out[0];
	int64_t da[4], de[4], dy[4];

	/* Before opset 7 broadcasting meant other things. */
	if (o->op->def->until == 6 && !kerf_tensor_same_shape(a, e))
		return false;
	b->overwrite = 1u | 1u << second;
	return join_dims(a, e, y, da, de, dy) &&
	       kerf_lower_tensor(b, &c->a, kerf_lower_in(b, o, 0), a->dtype, zero[0], da) &&
	       kerf_lower_tensor(b, &c->b, kerf_lower_in(b, o, second), e->dtype, zero[1], de) &&
	       kerf_lower_tensor(b, &c->y, kerf_lower_out(b, o, 0), y->dtype, zero[2], dy);
}

static enum kerf_npu_opcode opcode_of(const char *name)
{
	switch (name[0]) {
	case 'M': return KERF_NPU_MUL;
	case 'D': return KERF_NPU_DIV;
	case 'A': return KERF_NPU_ADD;
	default: return name[2] == 'b' ? KERF_NPU_SUB : KERF_NPU_ADD; /* Sub, Sum */
	}
}

static int binary(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	static const int32_t zeros[3];
	struct kerf_npu_binary c = {.factor_a = 0};

	if (o->op->n_in != 2 || !npu_is_f32(&o->in[0]) || !npu_is_f32(&o->in[1]) ||
	    !binary_operands(b, o, 1, zeros, &c))
		return -EOPNOTSUPP;
	c.out = kerf_lower_out_f32(&o->op->act);
	NPU_EMIT(b, opcode_of(o->op->def->name), &c, npu_count(&c.y));
	return 0;
}

/* a, s, z, b, s, z, y_s, y_z */
static int quantised_binary(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	bool add = !strcmp(o->op->def->name, "qAdd");
	struct kerf_npu_binary c = {.factor_a = 0};
	float sa, sb, sy;
	int32_t zero[3];

	if (!npu_is_byte(&o->in[0]) || !npu_is_byte(&o->in[3]) || !npu_is_byte(&o->out[0]) ||
	    !kerf_lower_params(o, 1, &sa, &zero[0]) || !kerf_lower_params(o, 4, &sb, &zero[1]) ||
	    !kerf_lower_out_8bit(o, 6, &c.out, &sy, &zero[2]) ||
	    !binary_operands(b, o, 3, zero, &c))
		return -EOPNOTSUPP;
	if (!kerf_lower_factor(add ? sa / sy : kerf_quant_factor(sa, sb, sy), &c.factor_a) ||
	    (add && !kerf_lower_factor(sb / sy, &c.factor_b)))
		return -EOPNOTSUPP;
	NPU_EMIT(b, add ? KERF_NPU_ADD : KERF_NPU_MUL, &c, npu_count(&c.y));
	return 0;
}

/* --- One operand --- */

/* n elements as dims that the NPU can hold, whatever the shape. */
static bool flat_dims(const struct kerf_tensor *t, int64_t dims[4])
{
	int64_t n = kerf_tensor_count(t);

	dims[0] = dims[1] = dims[2] = 1;
	dims[3] = n;
	return n <= KERF_NPU_MAX_DIM || kerf_lower_dims(t, dims);
}

static bool unary_operands(struct kerf_lower *b, const struct kerf_lower_op *o, int32_t x_zero,
			   int32_t y_zero, struct kerf_npu_unary *c)
{
	const struct kerf_tensor *x = &o->in[0], *y = &o->out[0];
	int64_t d[4];

	c->table = KERF_NPU_NO_ADDR;
	b->overwrite = 1;
	return flat_dims(x, d) &&
	       kerf_lower_tensor(b, &c->x, kerf_lower_in(b, o, 0), x->dtype, x_zero, d) &&
	       kerf_lower_tensor(b, &c->y, kerf_lower_out(b, o, 0), y->dtype, y_zero, d);
}

static void emit_unary(struct kerf_lower *b, enum kerf_npu_opcode opcode, struct kerf_npu_unary *c)
{
	NPU_EMIT(b, opcode, c, npu_count(&c->y));
}

/* The operator as an activation; the internal "act" is its op->act alone. */
static bool act_of(const struct kerf_lower_op *o, struct kerf_act *act)
{
	if (!strcmp(o->op->def->name, "act")) {
		*act = o->op->act;
		return true;
	}
	return o->op->act.kind == KERF_ACT_NONE &&
	       (kerf_op_activation(o->op, act) || kerf_op_clip(o->op, o->in, act));
}

static int activation(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct kerf_npu_unary c = {.factor = 0};
	struct kerf_act act;

	if (!npu_is_f32(&o->in[0]) || !act_of(o, &act) || act.a != act.a || act.b != act.b ||
	    !unary_operands(b, o, 0, 0, &c))
		return -EOPNOTSUPP;
	c.out = kerf_lower_out_f32(&act);
	emit_unary(b, KERF_NPU_ACT, &c);
	return 0;
}

static int quantize(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct kerf_npu_unary c = {.pad = 0};
	bool is_signed = o->out[0].dtype == KERF_I8;
	int32_t zero;
	float scale;

	if (!npu_is_f32(&o->in[0]) || !npu_is_byte(&o->out[0]) ||
	    !kerf_lower_params(o, 1, &scale, &zero) || o->op->act.kind != KERF_ACT_NONE ||
	    !unary_operands(b, o, 0, zero, &c))
		return -EOPNOTSUPP;
	if (!kerf_lower_factor(scale, &c.factor))
		return -EOPNOTSUPP;
	c.out.lo = is_signed ? (uint32_t)INT8_MIN : 0;
	c.out.hi = is_signed ? INT8_MAX : UINT8_MAX;
	emit_unary(b, KERF_NPU_QUANTIZE, &c);
	return 0;
}

static int dequantize(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct kerf_npu_unary c = {.pad = 0};
	int32_t zero;
	float scale;

	if (!npu_is_byte(&o->in[0]) || !npu_is_f32(&o->out[0]) ||
	    !kerf_lower_params(o, 1, &scale, &zero) || !unary_operands(b, o, zero, 0, &c))
		return -EOPNOTSUPP;
	if (!kerf_lower_factor(scale, &c.factor))
		return -EOPNOTSUPP;
	c.out = kerf_lower_out_f32(&o->op->act);
	emit_unary(b, KERF_NPU_DEQUANTIZE, &c);
	return 0;
}

/* x, s, z, y_s, y_z */
static int rescale(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct kerf_npu_unary c = {.pad = 0};
	int32_t x_zero, y_zero;
	float sx, sy;

	if (!npu_is_byte(&o->in[0]) || !npu_is_byte(&o->out[0]) ||
	    !kerf_lower_params(o, 1, &sx, &x_zero) ||
	    !kerf_lower_out_8bit(o, 3, &c.out, &sy, &y_zero) ||
	    !unary_operands(b, o, x_zero, y_zero, &c))
		return -EOPNOTSUPP;
	if (!kerf_lower_factor(sx / sy, &c.factor))
		return -EOPNOTSUPP;
	emit_unary(b, KERF_NPU_RESCALE, &c);
	return 0;
}

static int lut(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct kerf_npu_unary c = {.factor = 0};

	if (!npu_is_byte(&o->in[0]) || !npu_is_byte(&o->out[0]) || !o->in[1].data ||
	    o->op->act.kind != KERF_ACT_NONE || !unary_operands(b, o, 0, 0, &c))
		return -EOPNOTSUPP;
	c.table = kerf_lower_in(b, o, 1);
	emit_unary(b, KERF_NPU_LUT, &c);
	return 0;
}

/* --- BatchNormalization that nothing could take in: times a factor, plus a shift --- */

static int batch_norm(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const struct kerf_tensor *in = o->in;
	float epsilon = kerf_op_float(o->op, "epsilon", 1e-5f);
	int64_t c = in[0].dims[in[0].rank - 1], i, xd[4];
	struct kerf_npu_binary mul = {.factor_a = 0}, add;
	uint64_t factor, shift;
	void *to[2];
	int k;

	if (!npu_is_f32(&in[0]) || (!o->op->nhwc && in[0].rank != 2) || o->op->n_out != 1 ||
	    !kerf_lower_dims(&in[0], xd))
		return -EOPNOTSUPP;
	for (k = 1; k < 5; k++)
		if (!in[k].data || !kerf_lower_known(o, k, KERF_F32, c))
			return -EOPNOTSUPP;
	factor = kerf_lower_weights(b, (size_t)c * sizeof(float), &to[0]);
	shift = kerf_lower_weights(b, (size_t)c * sizeof(float), &to[1]);
	for (i = 0; to[0] && i < c; i++) {
		float f = ((const float *)in[1].data)[i] /
			  sqrtf(((const float *)in[4].data)[i] + epsilon);

		((float *)to[0])[i] = f;
		((float *)to[1])[i] =
			((const float *)in[2].data)[i] - ((const float *)in[3].data)[i] * f;
	}
	b->overwrite = 1;
	if (!kerf_lower_tensor(b, &mul.a, kerf_lower_in(b, o, 0), KERF_F32, 0, xd) ||
	    !kerf_lower_tensor(b, &mul.b, factor, KERF_F32, 0, (const int64_t[4]){1, 1, 1, c}) ||
	    !kerf_lower_tensor(b, &mul.y, kerf_lower_out(b, o, 0), KERF_F32, 0, xd))
		return -EOPNOTSUPP;
	add = mul;
	add.a = mul.y;
	add.b.addr = shift;
	add.out = kerf_lower_out_f32(&o->op->act);
	NPU_EMIT(b, KERF_NPU_MUL, &mul, npu_count(&mul.y));
	NPU_EMIT(b, KERF_NPU_ADD, &add, npu_count(&add.y));
	return 0;
}

/* --- Softmax along the last axis --- */

static int softmax(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const struct kerf_tensor *x = &o->in[0];
	/* Before opset 13 what follows the axis is one flat row. */
	const bool flat = o->op->def->until != 0;
	int axis = kerf_axis(kerf_op_int(o->op, "axis", flat ? 1 : -1), x->rank);
	struct kerf_npu_softmax c;
	int64_t d[4] = {1, 1, 1, 1};

	if (!npu_is_f32(x) || axis < 0 || o->op->act.kind != KERF_ACT_NONE ||
	    (!flat && kerf_span(x, axis + 1, x->rank) != 1))
		return -EOPNOTSUPP;
	d[3] = kerf_span(x, axis, x->rank);
	d[2] = kerf_span(x, 0, axis);
	if (!kerf_lower_tensor(b, &c.x, kerf_lower_in(b, o, 0), KERF_F32, 0, d) ||
	    !kerf_lower_tensor(b, &c.y, kerf_lower_out(b, o, 0), KERF_F32, 0, d))
		return -EOPNOTSUPP;
	c.cmd.flags = 0;
	NPU_EMIT(b, KERF_NPU_SOFTMAX, &c, npu_count(&c.y));
	return 0;
}

const struct kerf_lower_entry kerf_lower_elementwise[] = {
	{"Add", binary},
	{"Sum", binary},
	{"Sub", binary},
	{"Mul", binary},
	{"Div", binary},
	{"qAdd", quantised_binary},
	{"qMul", quantised_binary},
	{"act", activation},
	{"Relu", activation},
	{"LeakyRelu", activation},
	{"Sigmoid", activation},
	{"Tanh", activation},
	{"HardSigmoid", activation},
	{"HardSwish", activation},
	{"Mish", activation},
	{"Elu", activation},
	{"Gelu", activation},
	{"Clip", activation},
	{"QuantizeLinear", quantize},
	{"DequantizeLinear", dequantize},
	{"qRescale", rescale},
	{"qLut", lut},
	{"BatchNormalization", batch_norm},
	{"Softmax", softmax},
	{NULL, NULL},
};
