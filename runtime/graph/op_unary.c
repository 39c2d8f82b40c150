/* SPDX-License-Identifier: MIT */
#include "graph/op_elementwise.h"

#include <string.h>
#include <tgmath.h>

/* --- the meanings --- */

KERF_REAL1(abs, fabs(x))
KERF_ROW1(abs, i, int64_t, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)
KERF_ROW1(abs, u, uint64_t, x)
KERF_REAL1(neg, -x)
KERF_INT1(neg, 0 - (uint64_t)x)
KERF_REAL1(sign, x != x ? x : (x > 0) - (x < 0))
KERF_ROW1(sign, i, int64_t, (x > 0) - (x < 0))
KERF_ROW1(sign, u, uint64_t, x > 0)
KERF_INT1(not, !x)
KERF_INT1(bit_not, ~x)
KERF_REAL1(ceil, ceil(x))
KERF_REAL1(floor, floor(x))
KERF_REAL1(round, rint(x)) /* halves to even: the rounding mode is never changed */
KERF_REAL1(sqrt, sqrt(x))
KERF_REAL1(reciprocal, 1 / x)
KERF_REAL1(exp, exp(x))
KERF_REAL1(log, log(x))
KERF_REAL1(erf, erf(x))
KERF_REAL1(sin, sin(x))
KERF_REAL1(cos, cos(x))
KERF_REAL1(tan, tan(x))
KERF_REAL1(asin, asin(x))
KERF_REAL1(acos, acos(x))
KERF_REAL1(atan, atan(x))
KERF_REAL1(sinh, sinh(x))
KERF_REAL1(cosh, cosh(x))
KERF_REAL1(tanh, tanh(x))
KERF_REAL1(asinh, asinh(x))
KERF_REAL1(acosh, acosh(x))
KERF_REAL1(atanh, atanh(x))
KERF_REAL1(isnan, x != x)
KERF_REAL1(isinf, (p[0] && x == -(T)INFINITY) || (p[1] && x == (T)INFINITY))

KERF_REAL1(relu, x > 0 || x != x ? x : 0)
KERF_INT1(relu, x > 0 ? x : 0)
KERF_REAL1(leaky_relu, x < 0 ? (T)p[0] * x : x)
KERF_REAL1(thresholded_relu, x > (T)p[0] ? x : 0)
KERF_REAL1(elu, x < 0 ? (T)p[0] * expm1(x) : x)
KERF_REAL1(selu, (T)p[1] * (x > 0 ? x : (T)p[0] * expm1(x)))
KERF_REAL1(celu, x < 0 ? (T)p[0] * expm1(x / (T)p[0]) : x)
KERF_REAL1(sigmoid, 1 / (1 + exp(-x)))
/* fmin() and fmax() would lose a NaN. */
KERF_REAL1(hard_sigmoid, x != x ? x : fmin(fmax((T)p[0] * x + (T)p[1], (T)0), (T)1))
KERF_REAL1(hard_swish, x * fmin(fmax(x * (T)(1.0 / 6) + (T)0.5, (T)0), (T)1))
/* log(1 + e^x) without overflow */
#define SOFTPLUS(x) (fmax(x, (T)0) + log1p(exp(-fabs(x))))
KERF_REAL1(softplus, SOFTPLUS(x))
KERF_REAL1(softsign, x / (1 + fabs(x)))
KERF_REAL1(mish, x * tanh(SOFTPLUS(x)))
KERF_REAL1(gelu, p[0] ? (T)0.5 * x * (1 + tanh((T)0.7978845608028654 *
						(x + (T)0.044715 * x * x * x)))
		      : (T)0.5 * x * (1 + erf(x * (T)0.7071067811865476)))
KERF_REAL1(shrink, x < -(T)p[0] ? x + (T)p[1] : x > (T)p[0] ? x - (T)p[1] : 0)

static int gelu_check(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_err *err)
{
	const char *a = kerf_op_string(op, "approximate", "none");

	if (strcmp(a, "none") && strcmp(a, "tanh"))
		return kerf_fail(err, -EINVAL, "approximate is '%.32s', expected none or tanh", a);
	return 0;
}

/* --- Clip: limits in attributes until 10, in scalar inputs since 11 --- */

static int clip_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	int k, r = kerf_want_dtype(in, 0, KERF_T_NUM, err);

	for (k = 1; k < 3 && !r; k++) {
		const struct kerf_tensor *limit = kerf_op_opt(op, in, k);

		if (limit && (limit->dtype != in[0].dtype || kerf_tensor_count(limit) != 1))
			r = kerf_fail(err, -EINVAL, "input %d is not one element of %s", k,
				      kerf_dtype_name(in[0].dtype));
	}
	if (!r)
		kerf_shape_set(&out[0], in[0].dtype, in[0].rank, in[0].dims);
	return r;
}

static int clip_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	static const char *const name[] = {NULL, "min", "max"};
	static const struct kerf_ew *const against[] = {NULL, &kerf_ew_max, &kerf_ew_min};
	const struct kerf_tensor *x = &in[0];
	int k, r = 0;

	for (k = 1; k < 3 && !r; k++) {
		const struct kerf_attr *a = kerf_op_attr(op, name[k]);
		struct kerf_tensor limit = {.dtype = KERF_F32};
		float v;

		if (op->def->until) {
			if (!a || a->type != KERF_ATTR_FLOAT)
				continue;
			v = a->f;
			limit.data = &v;
		} else if (kerf_op_opt(op, in, k)) {
			limit = in[k];
			limit.rank = 0;
		} else {
			continue;
		}
		r = kerf_ew_run(against[k], x, &limit, &out[0], NULL);
		x = &out[0];
	}
	if (x == &in[0])
		memcpy(out->data, in->data, kerf_tensor_bytes(in));
	return r;
}

/* --- Cast --- */

/* Cast before opset 6 names the type. */
static enum kerf_dtype named_type(const char *name)
{
	static const struct {
		const char *name;
		enum kerf_dtype t;
	} names[] = {
		{"FLOAT", KERF_F32}, {"UINT8", KERF_U8},     {"INT8", KERF_I8},
		{"UINT16", KERF_U16}, {"INT16", KERF_I16},   {"INT32", KERF_I32},
		{"INT64", KERF_I64}, {"BOOL", KERF_BOOL},    {"FLOAT16", KERF_F16},
		{"DOUBLE", KERF_F64}, {"UINT32", KERF_U32},  {"UINT64", KERF_U64},
		{"STRING", KERF_STRING},
	};
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(names); i++)
		if (!strcmp(names[i].name, name))
			return names[i].t;
	return KERF_NONE;
}

static int cast_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t to;
	int r = kerf_want_dtype(in, 0, KERF_T_ANY, err);

	if (r)
		return r;
	if (op->def->max_in == 2)
		to = in[1].dtype;
	else if (op->def->until)
		to = named_type(kerf_op_string(op, "to", ""));
	else
		to = kerf_op_int(op, "to", KERF_NONE);
	if (to < 0 || to > 31 || !(KERF_T_ANY >> to & 1))
		return kerf_fail(err, -EOPNOTSUPP, "cast to data type %lld (%s) is not supported",
				 (long long)to, kerf_dtype_name((enum kerf_dtype)(to & 31)));
	kerf_shape_set(&out[0], (enum kerf_dtype)to, in[0].rank, in[0].dims);
	return 0;
}

static int cast_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	enum kerf_domain dom = kerf_domain_of(in->dtype, KERF_NONE);
	int64_t i, n = kerf_tensor_count(in);
	union kerf_row buf;

	for (i = 0; i < n; i += KERF_ROW) {
		int m = (int)KERF_MIN(n - i, KERF_ROW);

		kerf_row_store(dom, kerf_row_load(dom, &buf, in, i, 1, m), out, i, 1, m);
	}
	return 0;
}

/* --- Identity, Dropout --- */

static int identity_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out, struct kerf_err *err)
{
	int r = kerf_want_dtype(in, 0, KERF_T_ANY, err);

	if (!r)
		kerf_shape_set(&out[0], in[0].dtype, in[0].rank, in[0].dims);
	return r;
}

static int identity_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out)
{
	memcpy(out->data, in->data, kerf_tensor_bytes(in));
	return 0;
}

/* Training mode is refused unless it drops nothing: its output is random. */
static int dropout_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out, struct kerf_err *err)
{
	const struct kerf_tensor *ratio = kerf_op_opt(op, in, 1),
				 *training = kerf_op_opt(op, in, 2);
	bool random = op->def->until == 6 && !kerf_op_int(op, "is_test", 0);
	int r = kerf_want_dtype(in, 0, KERF_T_FLOAT, err);

	if (!r && training) {
		r = kerf_want_dtype(in, 2, KERF_T(BOOL), err);
		if (!r)
			r = kerf_want_data(in, 2, "training_mode", err);
		random = !r && kerf_tensor_count(training) == 1 && kerf_tensor_int(training, 0);
		if (random && ratio) {
			r = kerf_want_dtype(in, 1, KERF_T_FLOAT, err);
			if (!r)
				r = kerf_want_data(in, 1, "ratio", err);
			random = r || kerf_tensor_count(ratio) != 1 ||
				 kerf_tensor_float(ratio, 0) != 0;
		}
	}
	if (r)
		return r;
	if (random)
		return kerf_fail(err, -EOPNOTSUPP, "Dropout in training mode is not supported");
	kerf_shape_set(&out[0], in[0].dtype, in[0].rank, in[0].dims);
	/* Until opset 9 the mask has the dtype of the data. */
	if (kerf_op_has_out(op, out, 1))
		kerf_shape_set(&out[1], op->opset < 10 ? in[0].dtype : KERF_BOOL, in[0].rank,
			       in[0].dims);
	return 0;
}

static int dropout_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out)
{
	int64_t i, n = kerf_tensor_count(in);
	int64_t one = 1;

	memcpy(out[0].data, in->data, kerf_tensor_bytes(in));
	if (kerf_op_has_out(op, out, 1))
		for (i = 0; i < n; i++)
			kerf_row_store(KERF_DOM_I, &one, &out[1], i, 1, 1);
	return 0;
}

/* --- the table --- */

#define FLOATS(NAME) {KERF_REAL_OF(NAME), .dtypes = KERF_T_FLOAT}
#define FLOATS1(NAME, A, D) {KERF_REAL_OF(NAME), .dtypes = KERF_T_FLOAT, .attr = {A}, .absent = {D}}
#define FLOATS2(NAME, A, B, DA, DB)                                                               \
	{KERF_REAL_OF(NAME), .dtypes = KERF_T_FLOAT, .attr = {A, B}, .absent = {DA, DB}}

static const struct kerf_ew ew_abs = {KERF_ALL_OF(abs), .dtypes = KERF_T_NUM},
	ew_neg = {KERF_ALL_OF(neg), .dtypes = KERF_T_FLOAT | KERF_T_SINT},
	ew_sign = {KERF_ALL_OF(sign), .dtypes = KERF_T_NUM},
	ew_relu = {KERF_ALL_OF(relu), .dtypes = KERF_T_FLOAT | KERF_T_SINT},
	ew_not = {KERF_INT_OF(not), .dtypes = KERF_T(BOOL)},
	ew_bit_not = {KERF_INT_OF(bit_not), .dtypes = KERF_T_INT},
	ew_ceil = FLOATS(ceil), ew_floor = FLOATS(floor), ew_round = FLOATS(round),
	ew_sqrt = FLOATS(sqrt), ew_reciprocal = FLOATS(reciprocal), ew_exp = FLOATS(exp),
	ew_log = FLOATS(log),
	ew_erf = {KERF_REAL_OF(erf), .dtypes = KERF_T_NUM},
	ew_sin = FLOATS(sin), ew_cos = FLOATS(cos), ew_tan = FLOATS(tan), ew_asin = FLOATS(asin),
	ew_acos = FLOATS(acos), ew_atan = FLOATS(atan), ew_sinh = FLOATS(sinh),
	ew_cosh = FLOATS(cosh), ew_tanh = FLOATS(tanh), ew_asinh = FLOATS(asinh),
	ew_acosh = FLOATS(acosh), ew_atanh = FLOATS(atanh), ew_sigmoid = FLOATS(sigmoid),
	ew_softplus = FLOATS(softplus), ew_softsign = FLOATS(softsign), ew_mish = FLOATS(mish),
	ew_hard_swish = FLOATS(hard_swish),
	ew_isnan = {KERF_REAL_OF(isnan), .dtypes = KERF_T_FLOAT, .predicate = true},
	ew_isinf = {KERF_REAL_OF(isinf), .dtypes = KERF_T_FLOAT, .predicate = true,
		    .attr = {"detect_negative", "detect_positive"}, .absent = {1, 1}},
	ew_leaky_relu = FLOATS1(leaky_relu, "alpha", 0.01f),
	ew_thresholded_relu = FLOATS1(thresholded_relu, "alpha", 1),
	ew_elu = FLOATS1(elu, "alpha", 1), ew_celu = FLOATS1(celu, "alpha", 1),
	ew_selu_1 = FLOATS2(selu, "alpha", "gamma", 1.6732f, 1.0507f),
	ew_selu = FLOATS2(selu, "alpha", "gamma", 1.67326319217681884765625f,
			  1.05070102214813232421875f),
	ew_hard_sigmoid = FLOATS2(hard_sigmoid, "alpha", "beta", 0.2f, 0.5f),
	ew_gelu = {KERF_REAL_OF(gelu), .dtypes = KERF_T_FLOAT, .attr = {"approximate"},
		   .word = "tanh", .check = gelu_check},
	ew_shrink = {KERF_REAL_OF(shrink), .dtypes = KERF_T_NUM, .attr = {"lambd", "bias"},
		     .absent = {0.5f, 0}};

#define UNARY(NAME, SINCE, UNTIL, TABLE)                                                          \
	{                                                                                         \
		.name = NAME, .since = SINCE, .until = UNTIL, .min_in = 1, .max_in = 1,           \
		.min_out = 1, .max_out = 1, .flags = KERF_OP_ELEMENTWISE, .family = TABLE,        \
		.infer = kerf_ew_infer, .eval = kerf_ew_eval,                                     \
	}
#define DROPOUT(SINCE, UNTIL, MAX_IN, SHAPE_IN)                                                   \
	{                                                                                         \
		.name = "Dropout", .since = SINCE, .until = UNTIL, .min_in = 1, .max_in = MAX_IN, \
		.min_out = 1, .max_out = 2, .flags = KERF_OP_ELEMENTWISE, .shape_in = SHAPE_IN,   \
		.flops = kerf_flops_none, .infer = dropout_infer, .eval = dropout_eval,           \
	}

const struct kerf_op_def kerf_ops_unary[] = {
	UNARY("Abs", 1, 0, &ew_abs),
	UNARY("Neg", 1, 0, &ew_neg),
	UNARY("Sign", 9, 0, &ew_sign),
	UNARY("Not", 1, 0, &ew_not),
	UNARY("BitwiseNot", 18, 0, &ew_bit_not),
	UNARY("Ceil", 1, 0, &ew_ceil),
	UNARY("Floor", 1, 0, &ew_floor),
	UNARY("Round", 11, 0, &ew_round),
	UNARY("Sqrt", 1, 0, &ew_sqrt),
	UNARY("Reciprocal", 1, 0, &ew_reciprocal),
	UNARY("Exp", 1, 0, &ew_exp),
	UNARY("Log", 1, 0, &ew_log),
	UNARY("Erf", 9, 0, &ew_erf),
	UNARY("Sin", 7, 0, &ew_sin),
	UNARY("Cos", 7, 0, &ew_cos),
	UNARY("Tan", 7, 0, &ew_tan),
	UNARY("Asin", 7, 0, &ew_asin),
	UNARY("Acos", 7, 0, &ew_acos),
	UNARY("Atan", 7, 0, &ew_atan),
	UNARY("Sinh", 9, 0, &ew_sinh),
	UNARY("Cosh", 9, 0, &ew_cosh),
	UNARY("Tanh", 1, 0, &ew_tanh),
	UNARY("Asinh", 9, 0, &ew_asinh),
	UNARY("Acosh", 9, 0, &ew_acosh),
	UNARY("Atanh", 9, 0, &ew_atanh),
	UNARY("IsNaN", 9, 0, &ew_isnan),
	UNARY("IsInf", 10, 0, &ew_isinf),
	UNARY("Relu", 1, 0, &ew_relu),
	UNARY("LeakyRelu", 1, 0, &ew_leaky_relu),
	UNARY("ThresholdedRelu", 10, 0, &ew_thresholded_relu),
	UNARY("Elu", 1, 0, &ew_elu),
	UNARY("Selu", 1, 5, &ew_selu_1),
	UNARY("Selu", 6, 0, &ew_selu),
	UNARY("Celu", 12, 0, &ew_celu),
	UNARY("Sigmoid", 1, 0, &ew_sigmoid),
	UNARY("HardSigmoid", 1, 0, &ew_hard_sigmoid),
	UNARY("HardSwish", 14, 0, &ew_hard_swish),
	UNARY("Softplus", 1, 0, &ew_softplus),
	UNARY("Softsign", 1, 0, &ew_softsign),
	UNARY("Mish", 18, 0, &ew_mish),
	UNARY("Gelu", 20, 0, &ew_gelu),
	UNARY("Shrink", 9, 0, &ew_shrink),
	{.name = "Clip", .since = 1, .until = 10, .min_in = 1, .max_in = 1, .min_out = 1,
	 .max_out = 1, .flags = KERF_OP_ELEMENTWISE, .infer = clip_infer, .eval = clip_eval},
	{.name = "Clip", .since = 11, .min_in = 1, .max_in = 3, .min_out = 1, .max_out = 1,
	 .flags = KERF_OP_ELEMENTWISE, .infer = clip_infer, .eval = clip_eval},
	{.name = "Cast", .since = 1, .until = 5, .min_in = 1, .max_in = 1, .min_out = 1,
	 .max_out = 1, .flags = KERF_OP_ELEMENTWISE, .infer = cast_infer, .eval = cast_eval},
	{.name = "Cast", .since = 6, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
	 .flags = KERF_OP_ELEMENTWISE, .infer = cast_infer, .eval = cast_eval},
	/* Not flagged element-wise: the second input lends its dtype only. */
	{.name = "CastLike", .since = 15, .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
	 .infer = cast_infer, .eval = cast_eval},
	{.name = "Identity", .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
	 .flags = KERF_OP_VIEW | KERF_OP_ELEMENTWISE, .flops = kerf_flops_none,
	 .infer = identity_infer, .eval = identity_eval},
	DROPOUT(1, 6, 1, 0),
	DROPOUT(7, 11, 1, 0),
	DROPOUT(12, 0, 3, 1 << 1 | 1 << 2),
	{.name = NULL},
};
