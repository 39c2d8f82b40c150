/* SPDX-License-Identifier: MIT */
#include "graph/op_elementwise.h"

#include <string.h>
#include <tgmath.h>

/* --- the meanings --- */

/* Integers wrap: the unsigned sum has the bits of the signed one. */
KERF_REAL2(add, x + z)
KERF_INT2(add, (uint64_t)x + (uint64_t)z)
KERF_REAL2(sub, x - z)
KERF_INT2(sub, (uint64_t)x - (uint64_t)z)
KERF_REAL2(mul, x * z)
KERF_INT2(mul, (uint64_t)x * (uint64_t)z)
KERF_REAL2(div, x / z)
KERF_REAL2(mod, fmod(x, z))
KERF_REAL2(pow, pow(x, z))
/* NaN wins in either place. */
KERF_REAL2(max, x > z || x != x ? x : z)
KERF_INT2(max, x > z ? x : z)
KERF_REAL2(min, x < z || x != x ? x : z)
KERF_INT2(min, x < z ? x : z)
KERF_REAL2(equal, x == z)
KERF_INT2(equal, x == z)
KERF_REAL2(greater, x > z)
KERF_INT2(greater, x > z)
KERF_REAL2(less, x < z)
KERF_INT2(less, x < z)
KERF_REAL2(greater_equal, x >= z)
KERF_INT2(greater_equal, x >= z)
KERF_REAL2(less_equal, x <= z)
KERF_INT2(less_equal, x <= z)
KERF_INT2(and, x & z)
KERF_INT2(or, x | z)
KERF_INT2(xor, x ^ z)
KERF_ROW2(shift, u, uint64_t, z > 63 ? 0 : p[0] ? x >> z : x << z)
/* Slope of a negative x: the second operand. */
KERF_REAL2(prelu, x < 0 ? x * z : x)
KERF_ROW2(prelu, i, int64_t, x < 0 ? (uint64_t)x * (uint64_t)z : (uint64_t)x)
KERF_ROW1(prelu, u, uint64_t, x)
KERF_REAL1(scale, x * p[0])

static int div_i(int64_t *y, const int64_t *a, const int64_t *b, const double *p, int n)
{
	int k;

	for (k = 0; k < n; k++) {
		if (!b[k])
			return -EINVAL;
		y[k] = b[k] == -1 ? (int64_t)(0 - (uint64_t)a[k]) : a[k] / b[k];
	}
	return 0;
}

static int div_u(uint64_t *y, const uint64_t *a, const uint64_t *b, const double *p, int n)
{
	int k;

	for (k = 0; k < n; k++) {
		if (!b[k])
			return -EINVAL;
		y[k] = a[k] / b[k];
	}
	return 0;
}

/* The remainder has the sign of the divisor, or with fmod set of the dividend. */
static int mod_i(int64_t *y, const int64_t *a, const int64_t *b, const double *p, int n)
{
	int k;

	for (k = 0; k < n; k++) {
		int64_t z = b[k], r;

		if (!z)
			return -EINVAL;
		r = z == -1 ? 0 : a[k] % z;
		y[k] = !p[0] && r && (r < 0) != (z < 0) ? r + z : r;
	}
	return 0;
}

static int mod_u(uint64_t *y, const uint64_t *a, const uint64_t *b, const double *p, int n)
{
	int k;

	for (k = 0; k < n; k++) {
		if (!b[k])
			return -EINVAL;
		y[k] = a[k] % b[k];
	}
	return 0;
}

static uint64_t power(uint64_t x, uint64_t z)
{
	uint64_t y = 1;

	for (; z; z >>= 1, x *= x)
		if (z & 1)
			y *= x;
	return y;
}

/* A negative exponent gives the integer part of the fraction. */
static int64_t power_signed(int64_t x, int64_t z)
{
	if (z >= 0)
		return (int64_t)power((uint64_t)x, (uint64_t)z);
	if (x == 1 || x == -1)
		return z & 1 ? x : 1;
	return 0;
}

KERF_ROW2(pow, i, int64_t, power_signed(x, z))
KERF_ROW2(pow, u, uint64_t, power(x, z))

/* --- shapes and running --- */

static const struct kerf_ew *ew_of(const struct kerf_op *op)
{
	return op->def->family;
}

/*
 * Before opset 7 the second operand was broadcast only on request: with 'axis' its
 * shape is matched from that axis of the first on, without it at the end. Seen from
 * today's rule that is b with ones after its dims.
 */
static int legacy_operand(const struct kerf_op *op, const struct kerf_tensor *a,
			  struct kerf_tensor *b, struct kerf_err *err)
{
	int64_t axis = kerf_op_int(op, "axis", a->rank - b->rank);
	int i, ones;

	if (!kerf_op_int(op, "broadcast", 0)) {
		if (kerf_tensor_same_shape(a, b))
			return 0;
		return kerf_fail(err, -EINVAL,
				 "inputs differ in shape and 'broadcast' is not set (opset %d)",
				 op->opset);
	}
	/* One element fits everywhere. */
	if (kerf_tensor_count(b) == 1) {
		b->rank = 0;
		return 0;
	}
	if (axis < 0)
		axis += a->rank;
	if (axis < 0 || axis > a->rank - b->rank)
		return kerf_fail(err, -EINVAL, "axis is %lld for operands of rank %d and %d",
				 (long long)axis, a->rank, b->rank);
	ones = a->rank - b->rank - (int)axis;
	for (i = 0; i < ones; i++)
		b->dims[b->rank++] = 1;
	return 0;
}

/* PRelu before opset 7: one slope, or one a channel (axis 1). Later: broadcast to x. */
static int legacy_slope(const struct kerf_tensor *a, struct kerf_tensor *b, struct kerf_err *err)
{
	if (kerf_tensor_count(b) == 1) {
		b->rank = 0;
		return 0;
	}
	if (b->rank != 1 || a->rank < 2 || b->dims[0] != a->dims[1])
		return kerf_fail(err, -EINVAL, "the slope is neither one element nor one a channel");
	while (b->rank < a->rank - 1)
		b->dims[b->rank++] = 1;
	return 0;
}

static int second_operand(const struct kerf_op *op, const struct kerf_tensor *a,
			  struct kerf_tensor *b, struct kerf_err *err)
{
	if (op->def->until != 6)
		return 0;
	if (!strcmp(op->def->name, "PRelu"))
		return legacy_slope(a, b, err);
	return legacy_operand(op, a, b, err);
}

int kerf_ew_infer(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out,
		  struct kerf_err *err)
{
	const struct kerf_ew *ew = ew_of(op);
	struct kerf_tensor y = in[0];
	int k, r;

	for (k = 0; k < op->n_in; k++) {
		struct kerf_tensor b = in[k];

		r = kerf_want_dtype(in, k, ew->dtypes, err);
		if (r)
			return r;
		if (!ew->mixed && in[k].dtype != in[0].dtype)
			return kerf_fail(err, -EINVAL, "input %d is %s, input 0 is %s", k,
					 kerf_dtype_name(in[k].dtype),
					 kerf_dtype_name(in[0].dtype));
		if (!k)
			continue;
		r = second_operand(op, &in[0], &b, err);
		if (r)
			return r;
		if (kerf_broadcast(&y, &b, &y)) {
			char ta[KERF_SHAPE_TEXT], tb[KERF_SHAPE_TEXT];

			return kerf_fail(err, -EINVAL, "input %d is %s, which does not broadcast with %s",
					 k, kerf_tensor_text(&in[k], tb), kerf_tensor_text(&y, ta));
		}
	}
	r = ew->check ? ew->check(op, in, err) : 0;
	if (r)
		return r;
	kerf_shape_set(&out[0], ew->predicate ? KERF_BOOL : in[0].dtype, y.rank, y.dims);
	return 0;
}

static enum kerf_domain domain_for(const struct kerf_ew *ew, const struct kerf_tensor *a,
				   const struct kerf_tensor *b)
{
	enum kerf_domain dom = kerf_domain_of(a->dtype, b ? b->dtype : KERF_NONE);

	if ((dom == KERF_DOM_I && !ew->i) || (dom == KERF_DOM_U && !ew->u))
		return ew->u && !ew->d ? KERF_DOM_U : KERF_DOM_D;
	return dom;
}

static int run_row(const struct kerf_ew *ew, enum kerf_domain dom, void *y, const void *a,
		   const void *b, const double *p, int n)
{
	switch (dom) {
	case KERF_DOM_F: return ew->f(y, a, b, p, n);
	case KERF_DOM_D: return ew->d(y, a, b, p, n);
	case KERF_DOM_I: return ew->i(y, a, b, p, n);
	default: return ew->u(y, a, b, p, n);
	}
}

int kerf_ew_run(const struct kerf_ew *ew, const struct kerf_tensor *a, const struct kerf_tensor *b,
		struct kerf_tensor *out, const double *p)
{
	enum kerf_domain dom = domain_for(ew, a, b);
	union kerf_row buf_a, buf_b, buf_y;
	kerf_strides s[3];
	struct kerf_walk w;
	int r = 0;

	kerf_strides_of(out, s[0]);
	kerf_strides_bcast(a, out->rank, s[1]);
	kerf_strides_bcast(b ? b : a, out->rank, s[2]);
	for (kerf_walk_init(&w, out->rank, out->dims, 3, s); !w.done && !r; kerf_walk_next(&w)) {
		int64_t i;

		for (i = 0; i < w.row && !r; i += KERF_ROW) {
			int n = (int)KERF_MIN(w.row - i, KERF_ROW);
			int64_t at = w.off[0] + i * w.step[0];
			void *y = kerf_row_dest(dom, &buf_y, out, at, w.step[0]);
			const void *va, *vb = NULL;

			va = kerf_row_load(dom, &buf_a, a, w.off[1] + i * w.step[1], w.step[1], n);
			if (b)
				vb = kerf_row_load(dom, &buf_b, b, w.off[2] + i * w.step[2],
						   w.step[2], n);
			r = run_row(ew, dom, y, va, vb, p, n);
			if (y == &buf_y)
				kerf_row_store(dom, y, out, at, w.step[0], n);
		}
	}
	return r;
}

static void params_of(const struct kerf_op *op, const struct kerf_ew *ew, double p[2])
{
	int k;

	for (k = 0; k < 2; k++) {
		const struct kerf_attr *a = ew->attr[k] ? kerf_op_attr(op, ew->attr[k]) : NULL;

		p[k] = ew->absent[k];
		if (a && a->type == KERF_ATTR_INT)
			p[k] = (double)a->i;
		else if (a && a->type == KERF_ATTR_FLOAT)
			p[k] = a->f;
		else if (a && a->type == KERF_ATTR_STRING && ew->word)
			p[k] = !strcmp(a->s, ew->word);
	}
}

static const struct kerf_ew ew_scale = {KERF_REAL_OF(scale)};

int kerf_ew_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	const struct kerf_ew *ew = ew_of(op);
	struct kerf_tensor b;
	double p[2];
	int k, r;

	params_of(op, ew, p);
	if (op->def->max_in == 1)
		return kerf_ew_run(ew, &in[0], NULL, &out[0], p);
	if (op->n_in == 1) {
		memcpy(out[0].data, in[0].data, kerf_tensor_bytes(&in[0]));
		return 0;
	}
	b = in[1];
	r = second_operand(op, &in[0], &b, NULL);
	if (!r)
		r = kerf_ew_run(ew, &in[0], &b, &out[0], p);
	for (k = 2; k < op->n_in && !r; k++)
		r = kerf_ew_run(ew, &out[0], &in[k], &out[0], p);
	if (ew->mean && !r) {
		p[0] = 1.0 / op->n_in;
		r = kerf_ew_run(&ew_scale, &out[0], NULL, &out[0], p);
	}
	return r;
}

/* --- Where --- */

static int where_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, struct kerf_err *err)
{
	struct kerf_tensor y;
	int r = kerf_want_dtype(in, 0, KERF_T(BOOL), err);

	if (!r)
		r = kerf_want_dtype(in, 1, KERF_T_ANY, err);
	if (r)
		return r;
	if (in[1].dtype != in[2].dtype)
		return kerf_fail(err, -EINVAL, "input 1 is %s, input 2 is %s",
				 kerf_dtype_name(in[1].dtype), kerf_dtype_name(in[2].dtype));
	if (kerf_broadcast(&in[0], &in[1], &y) || kerf_broadcast(&y, &in[2], &y))
		return kerf_fail(err, -EINVAL, "the three inputs do not broadcast");
	kerf_shape_set(&out[0], in[1].dtype, y.rank, y.dims);
	return 0;
}

static int where_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	size_t elem = kerf_dtype_size(out->dtype);
	kerf_strides s[4];
	struct kerf_walk w;
	int64_t i;
	int k;

	kerf_strides_of(out, s[0]);
	for (k = 0; k < 3; k++)
		kerf_strides_bcast(&in[k], out->rank, s[k + 1]);
	for (kerf_walk_init(&w, out->rank, out->dims, 4, s); !w.done; kerf_walk_next(&w)) {
		for (i = 0; i < w.row; i++) {
			bool yes = ((const uint8_t *)in[0].data)[w.off[1] + i * w.step[1]];
			const char *from = yes ? in[1].data : in[2].data;

			k = yes ? 2 : 3;
			memcpy((char *)out->data + (size_t)(w.off[0] + i * w.step[0]) * elem,
			       from + (size_t)(w.off[k] + i * w.step[k]) * elem, elem);
		}
	}
	return 0;
}

/* --- the table --- */

static int mod_check(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_err *err)
{
	if (KERF_T_FLOAT >> in[0].dtype & 1 && !kerf_op_int(op, "fmod", 0))
		return kerf_fail(err, -EINVAL, "fmod is 0 for %s operands, expected 1",
				 kerf_dtype_name(in[0].dtype));
	return 0;
}

static int shift_check(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_err *err)
{
	const char *d = kerf_op_string(op, "direction", "");

	if (strcmp(d, "LEFT") && strcmp(d, "RIGHT"))
		return kerf_fail(err, -EINVAL, "direction is '%.32s', expected LEFT or RIGHT", d);
	return 0;
}

/* Since opset 7 the slope is broadcast to x, never x to the slope. */
static int prelu_check(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_err *err)
{
	struct kerf_tensor y;

	if (op->def->until != 6 &&
	    (kerf_broadcast(&in[0], &in[1], &y) || !(y.rank == in[0].rank) ||
	     memcmp(y.dims, in[0].dims, (size_t)y.rank * sizeof(y.dims[0]))))
		return kerf_fail(err, -EINVAL, "the slope does not broadcast to input 0");
	return 0;
}

const struct kerf_ew kerf_ew_add = {KERF_ALL_OF(add), .dtypes = KERF_T_NUM};
const struct kerf_ew kerf_ew_mul = {KERF_ALL_OF(mul), .dtypes = KERF_T_NUM};
const struct kerf_ew kerf_ew_max = {KERF_ALL_OF(max), .dtypes = KERF_T_NUM};
const struct kerf_ew kerf_ew_min = {KERF_ALL_OF(min), .dtypes = KERF_T_NUM};

static const struct kerf_ew ew_sub = {KERF_ALL_OF(sub), .dtypes = KERF_T_NUM},
	ew_div = {KERF_ALL_OF(div), .dtypes = KERF_T_NUM},
	ew_mod = {KERF_ALL_OF(mod), .dtypes = KERF_T_NUM, .attr = {"fmod"}, .check = mod_check},
	ew_pow = {KERF_ALL_OF(pow), .dtypes = KERF_T_NUM, .mixed = true},
	ew_sum = {KERF_REAL_OF(add), .dtypes = KERF_T_FLOAT},
	ew_mean = {KERF_REAL_OF(add), .dtypes = KERF_T_FLOAT, .mean = true},
	ew_equal = {KERF_ALL_OF(equal), .dtypes = KERF_T_ANY, .predicate = true},
	ew_greater = {KERF_ALL_OF(greater), .dtypes = KERF_T_NUM, .predicate = true},
	ew_less = {KERF_ALL_OF(less), .dtypes = KERF_T_NUM, .predicate = true},
	ew_greater_equal = {KERF_ALL_OF(greater_equal), .dtypes = KERF_T_NUM, .predicate = true},
	ew_less_equal = {KERF_ALL_OF(less_equal), .dtypes = KERF_T_NUM, .predicate = true},
	ew_and = {KERF_INT_OF(and), .dtypes = KERF_T(BOOL)},
	ew_or = {KERF_INT_OF(or), .dtypes = KERF_T(BOOL)},
	ew_xor = {KERF_INT_OF(xor), .dtypes = KERF_T(BOOL)},
	ew_bit_and = {KERF_INT_OF(and), .dtypes = KERF_T_INT},
	ew_bit_or = {KERF_INT_OF(or), .dtypes = KERF_T_INT},
	ew_bit_xor = {KERF_INT_OF(xor), .dtypes = KERF_T_INT},
	ew_shift = {.u = shift_u, .dtypes = KERF_T_UINT, .attr = {"direction"}, .word = "RIGHT",
		    .check = shift_check},
	ew_prelu = {KERF_ALL_OF(prelu), .dtypes = KERF_T_NUM, .check = prelu_check};

#define EW(NAME, SINCE, UNTIL, MAX_IN, TABLE)                                                     \
	{                                                                                         \
		.name = NAME, .since = SINCE, .until = UNTIL, .min_in = MAX_IN < 0 ? 1 : MAX_IN,  \
		.max_in = MAX_IN, .min_out = 1, .max_out = 1, .flags = KERF_OP_ELEMENTWISE,       \
		.family = TABLE, .infer = kerf_ew_infer, .eval = kerf_ew_eval,                    \
	}
/* Broadcasting by attributes until 6, NumPy's since 7. */
#define EW_BOTH(NAME, TABLE) EW(NAME, 1, 6, 2, TABLE), EW(NAME, 7, 0, 2, TABLE)

const struct kerf_op_def kerf_ops_elementwise[] = {
	EW_BOTH("Add", &kerf_ew_add),
	EW_BOTH("Sub", &ew_sub),
	EW_BOTH("Mul", &kerf_ew_mul),
	EW_BOTH("Div", &ew_div),
	EW_BOTH("Pow", &ew_pow),
	EW_BOTH("And", &ew_and),
	EW_BOTH("Or", &ew_or),
	EW_BOTH("Xor", &ew_xor),
	EW_BOTH("Equal", &ew_equal),
	EW_BOTH("Greater", &ew_greater),
	EW_BOTH("Less", &ew_less),
	EW_BOTH("PRelu", &ew_prelu),
	EW("GreaterOrEqual", 12, 0, 2, &ew_greater_equal),
	EW("LessOrEqual", 12, 0, 2, &ew_less_equal),
	EW("Mod", 10, 0, 2, &ew_mod),
	EW("BitShift", 11, 0, 2, &ew_shift),
	EW("BitwiseAnd", 18, 0, 2, &ew_bit_and),
	EW("BitwiseOr", 18, 0, 2, &ew_bit_or),
	EW("BitwiseXor", 18, 0, 2, &ew_bit_xor),
	EW("Max", 1, 0, -1, &kerf_ew_max),
	EW("Min", 1, 0, -1, &kerf_ew_min),
	EW("Sum", 1, 0, -1, &ew_sum),
	EW("Mean", 1, 0, -1, &ew_mean),
	{.name = "Where", .since = 9, .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
	 .flags = KERF_OP_ELEMENTWISE, .infer = where_infer, .eval = where_eval},
	{.name = NULL},
};
