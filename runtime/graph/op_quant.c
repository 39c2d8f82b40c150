/* SPDX-License-Identifier: MIT */
/*
 * To and from quantised values, and QLinearConv, QLinearMatMul, qGemm. The
 * arithmetic is quant.h's. op->act of an operator with a quantised output is a
 * clamp there, done here.
 */
#include "graph/op_conv.h"
#include "graph/op_matmul.h"
#include "graph/op_quant.h"
#include "graph/quant.h"
#include "graph/spatial.h"

#include <stdlib.h>
#include <string.h>

static bool dtype_range(enum kerf_dtype t, int32_t *lo, int32_t *hi)
{
	switch (t) {
	case KERF_U8: *lo = 0, *hi = UINT8_MAX; return true;
	case KERF_I8: *lo = INT8_MIN, *hi = INT8_MAX; return true;
	case KERF_U16: *lo = 0, *hi = UINT16_MAX; return true;
	case KERF_I16: *lo = INT16_MIN, *hi = INT16_MAX; return true;
	default: return false;
	}
}

bool kerf_quant_bounds(const struct kerf_act *act, enum kerf_dtype dtype, float scale, int32_t zero,
		       int32_t *lo, int32_t *hi)
{
	int32_t least, most;

	if (!dtype_range(dtype, &least, &most))
		return false;
	*lo = least;
	*hi = most;
	switch (act->kind) {
	case KERF_ACT_NONE: return true;
	case KERF_ACT_RELU: *lo = KERF_MAX(zero, least); return true;
	case KERF_ACT_CLIP:
		*lo = kerf_quant_round(act->a / scale, zero, least, most);
		*hi = KERF_MAX(kerf_quant_round(act->b / scale, zero, least, most), *lo);
		return true;
	default: return false;
	}
}

void kerf_quant_put(struct kerf_tensor *t, int64_t i, int32_t v)
{
	if (kerf_dtype_size(t->dtype) == 1)
		((uint8_t *)t->data)[i] = (uint8_t)v;
	else
		((uint16_t *)t->data)[i] = (uint16_t)v;
}

int kerf_quant_target(const struct kerf_op *op, const struct kerf_tensor *scale,
		      const struct kerf_tensor *zero, struct kerf_quant_target *t)
{
	t->scale = (float)kerf_tensor_float(scale, 0);
	t->zero = (int32_t)kerf_zero_point(zero, 0);
	return kerf_quant_bounds(&op->act, zero ? zero->dtype : KERF_U8, t->scale, t->zero, &t->lo,
				 &t->hi)
		       ? 0
		       : -EINVAL;
}

static bool is_8bit(enum kerf_dtype t)
{
	return t == KERF_U8 || t == KERF_I8;
}

int kerf_check_quantised(const struct kerf_tensor *in, int k, struct kerf_err *err)
{
	if (!is_8bit(in[k].dtype))
		return kerf_fail(err, -EINVAL, "input %d is %s, expected int8 or uint8", k,
				 kerf_dtype_name(in[k].dtype));
	return kerf_check_params(in, k + 1, &in[k], 1, err);
}

int kerf_check_params(const struct kerf_tensor *in, int k, const struct kerf_tensor *of, int64_t n,
		      struct kerf_err *err)
{
	int64_t count = kerf_tensor_count(&in[k]);

	if (in[k].dtype != KERF_F32 || (count != 1 && (in[k].rank != 1 || count != n)))
		return kerf_fail(err, -EINVAL,
				 "input %d is not one float32 scale, nor %lld of them", k,
				 (long long)n);
	if (of && in[k + 1].dtype != of->dtype)
		return kerf_fail(err, -EINVAL, "zero point (input %d) is %s, values are %s", k + 1,
				 kerf_dtype_name(in[k + 1].dtype), kerf_dtype_name(of->dtype));
	if (!is_8bit(in[k + 1].dtype) || kerf_tensor_count(&in[k + 1]) != count)
		return kerf_fail(err, -EINVAL,
				 "zero point (input %d) is not int8 or uint8 of the scale's shape",
				 k + 1);
	return 0;
}

/* --- QuantizeLinear, DequantizeLinear --- */

/* Parameters along one axis: element i of a tensor has parameter i / step % n (n 1: all). */
struct per_axis {
	int64_t step, n;
};

static int per_axis(const struct kerf_op *op, const struct kerf_tensor *in, struct per_axis *p,
		    struct kerf_err *err)
{
	int64_t axis_attr = kerf_op_int(op, "axis", 1);
	int axis = kerf_axis(axis_attr, in[0].rank), i;

	*p = (struct per_axis){1, kerf_tensor_count(&in[1])};
	if (kerf_op_int(op, "block_size", 0))
		return kerf_fail(err, -EOPNOTSUPP, "block_size %lld",
				 (long long)kerf_op_int(op, "block_size", 0));
	if (kerf_op_opt(op, in, 2) && !kerf_tensor_same_shape(&in[1], &in[2]) &&
	    (p->n != 1 || kerf_tensor_count(&in[2]) != 1))
		return kerf_fail(err, -EINVAL, "scale and zero point have different shapes");
	if (p->n == 1)
		return 0;
	if (axis < 0)
		return kerf_fail(err, -EINVAL, "axis %lld is out of range for rank %d",
				 (long long)axis_attr, in[0].rank);
	axis = kerf_stored_axis(op, axis, in[0].rank);
	if (in[1].rank != 1 || in[1].dims[0] != in[0].dims[axis])
		return kerf_fail(err, -EINVAL, "scale is not one, nor a vector of %lld",
				 (long long)in[0].dims[axis]);
	for (i = axis + 1; i < in[0].rank; i++)
		p->step *= in[0].dims[i];
	return 0;
}

static int64_t param_of(const struct per_axis *p, int64_t i)
{
	return p->n == 1 ? 0 : i / p->step % p->n;
}

static int quantize_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t wanted = kerf_op_int(op, "output_dtype", 0);
	enum kerf_dtype dtype = kerf_op_opt(op, in, 2) ? in[2].dtype
				: wanted	       ? (enum kerf_dtype)wanted
						       : KERF_U8;
	struct per_axis p;
	int32_t lo, hi;

	if (!kerf_is_f32_like(in[0].dtype) && in[0].dtype != KERF_I32)
		return kerf_fail(err, -EINVAL, "input 0 is %s, expected a float or int32",
				 kerf_dtype_name(in[0].dtype));
	if (!kerf_is_f32_like(in[1].dtype))
		return kerf_fail(err, -EINVAL, "scale is %s", kerf_dtype_name(in[1].dtype));
	if (!dtype_range(dtype, &lo, &hi))
		return kerf_fail(err, -EOPNOTSUPP, "quantising to %s", kerf_dtype_name(dtype));
	if (wanted && wanted != (int64_t)dtype)
		return kerf_fail(err, -EINVAL, "output_dtype is not the zero point's dtype");
	out[0] = in[0];
	out[0].dtype = dtype;
	return per_axis(op, in, &p, err);
}

static int quantize_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out)
{
	const struct kerf_tensor *zero = kerf_op_opt(op, in, 2);
	int64_t i, n = kerf_tensor_count(&in[0]);
	struct per_axis p;
	int32_t lo, hi;
	int r = per_axis(op, in, &p, NULL);

	if (r || !dtype_range(out[0].dtype, &lo, &hi))
		return -EINVAL;
	for (i = 0; i < n; i++) {
		int64_t k = param_of(&p, i);
		float v = (float)kerf_tensor_float(&in[0], i) / (float)kerf_tensor_float(&in[1], k);

		kerf_quant_put(&out[0], i,
			       kerf_quant_round(v, (int32_t)kerf_zero_point(zero, k), lo, hi));
	}
	return 0;
}

static int dequantize_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			    struct kerf_tensor *out, struct kerf_err *err)
{
	struct per_axis p;
	int32_t lo, hi;

	if (in[0].dtype != KERF_I32 && !dtype_range(in[0].dtype, &lo, &hi))
		return kerf_fail(err, -EINVAL,
				 "input 0 is %s, expected an integer of 8, 16 or 32 bits",
				 kerf_dtype_name(in[0].dtype));
	if (!kerf_is_f32_like(in[1].dtype))
		return kerf_fail(err, -EINVAL, "scale is %s", kerf_dtype_name(in[1].dtype));
	if (kerf_op_opt(op, in, 2) && in[2].dtype != in[0].dtype)
		return kerf_fail(err, -EINVAL, "zero point is %s, values are %s",
				 kerf_dtype_name(in[2].dtype), kerf_dtype_name(in[0].dtype));
	out[0] = in[0];
	out[0].dtype = in[1].dtype;
	return per_axis(op, in, &p, err);
}

static int dequantize_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			   struct kerf_tensor *out)
{
	const struct kerf_tensor *zero = kerf_op_opt(op, in, 2);
	int64_t i, n = kerf_tensor_count(&in[0]);
	struct per_axis p;
	int r = per_axis(op, in, &p, NULL);

	for (i = 0; !r && i < n; i++) {
		int64_t k = param_of(&p, i);
		int64_t d = kerf_tensor_int(&in[0], i) - kerf_zero_point(zero, k);

		kerf_f32_put(&out[0], i, (float)d * (float)kerf_tensor_float(&in[1], k));
	}
	return r;
}

/* Rows are apart unless the parameters differ from row to row. */
static int per_axis_rows(const struct kerf_op *op, const struct kerf_tensor *in,
			 const struct kerf_tensor *out, int i, struct kerf_rows want,
			 struct kerf_rows *need)
{
	int axis = kerf_axis(kerf_op_int(op, "axis", 1), in[0].rank);

	if (axis < 0 ||
	    (kerf_tensor_count(&in[1]) > 1 && kerf_stored_axis(op, axis, in[0].rank) == 1))
		return -EOPNOTSUPP;
	*need = i == 0 ? want : kerf_rows_all(&in[i]);
	return 0;
}

/* --- DynamicQuantizeLinear: x -> y, scale, zero point --- */

static int dynamic_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out, struct kerf_err *err)
{
	int k;

	if (in[0].dtype != KERF_F32)
		return kerf_fail(err, -EINVAL, "input 0 is %s, expected float32",
				 kerf_dtype_name(in[0].dtype));
	for (k = 0; k < 3; k++)
		if (kerf_op_has_out(op, out, k)) {
			out[k] = in[0];
			out[k].dtype = k == 1 ? KERF_F32 : KERF_U8;
			out[k].rank = k ? 0 : in[0].rank;
		}
	return 0;
}

static int dynamic_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out)
{
	int64_t i, n = kerf_tensor_count(&in[0]);
	const float *x = in[0].data;
	float least = 0, most = 0, scale;
	int32_t zero;

	for (i = 0; i < n; i++) {
		least = fminf(least, x[i]);
		most = fmaxf(most, x[i]);
	}
	scale = most > least ? (most - least) / 255 : 1;
	zero = kerf_quant_round(-least / scale, 0, 0, 255);
	for (i = 0; i < n; i++)
		kerf_quant_put(&out[0], i, kerf_quant_round(x[i] / scale, zero, 0, 255));
	if (kerf_op_has_out(op, out, 1))
		*(float *)out[1].data = scale;
	if (kerf_op_has_out(op, out, 2))
		*(uint8_t *)out[2].data = (uint8_t)zero;
	return 0;
}

/* --- QLinearConv: x, s, z, w, s, z, y's s, z, [bias int32] --- */

static int check_product(const struct kerf_op *op, const struct kerf_tensor *in, int64_t rows,
			 int64_t columns, struct kerf_err *err)
{
	const struct kerf_tensor *bias = kerf_op_opt(op, in, 8);
	int32_t lo, hi;
	int k, r = 0;

	for (k = 0; k < 4; k += 3)
		if (!is_8bit(in[k].dtype))
			return kerf_fail(err, -EINVAL, "input %d is %s, expected int8 or uint8", k,
					 kerf_dtype_name(in[k].dtype));
	r = kerf_check_params(in, 1, &in[0], rows, err);
	if (!r)
		r = kerf_check_params(in, 4, &in[3], columns, err);
	if (!r)
		r = kerf_check_params(in, 6, NULL, 1, err);
	if (!r && bias && (bias->dtype != KERF_I32 || bias->rank != 1 || bias->dims[0] != columns))
		r = kerf_fail(err, -EINVAL, "bias is not a vector of %lld int32",
			      (long long)columns);
	if (!r && !kerf_quant_bounds(&op->act, in[7].dtype, 1, 0, &lo, &hi))
		r = kerf_fail(err, -EOPNOTSUPP, "this activation on quantised values");
	return r;
}

static int conv_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	int r = kerf_conv_infer_shape(op, in, 3, &out[0], err);

	out[0].dtype = in[7].dtype;
	return r ? r : check_product(op, in, 1, in[3].dims[0], err);
}

/*
 * acc[i] to y: row i / step / columns and column i / step % columns choose the
 * scales; step is 1 where columns are innermost.
 */
struct requant {
	int64_t rows, columns, step;
};

static int requantise(const struct kerf_op *op, const struct kerf_tensor *in, const int32_t *acc,
		      const struct requant *q, struct kerf_tensor *y)
{
	const struct kerf_tensor *bias = kerf_op_opt(op, in, 8);
	int64_t i, n = kerf_tensor_count(y);
	bool by_row = kerf_tensor_count(&in[1]) > 1, by_column = kerf_tensor_count(&in[4]) > 1;
	struct kerf_quant_target t;
	int r = kerf_quant_target(op, &in[6], &in[7], &t);

	for (i = 0; !r && i < n; i++) {
		int64_t c = i / q->step % q->columns, row = i / q->step / q->columns % q->rows;
		uint32_t sum = (uint32_t)acc[i];
		float m =
			kerf_quant_factor(((const float *)in[1].data)[by_row ? row : 0],
					  ((const float *)in[4].data)[by_column ? c : 0], t.scale);

		if (bias)
			sum += (uint32_t)((const int32_t *)bias->data)[c];
		kerf_quant_put(y, i, kerf_quant_acc((int32_t)sum, m, t.zero, t.lo, t.hi));
	}
	return r;
}

static int32_t *accumulators(const struct kerf_tensor *y)
{
	return malloc((size_t)KERF_MAX(kerf_tensor_count(y), 1) * sizeof(int32_t));
}

static int conv_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	struct kerf_planes p = kerf_planes(&out[0], op->nhwc);
	struct kerf_conv_integer a = {&in[0], &in[3], &in[2], &in[5]};
	struct requant q = {1, p.channels, p.step_channel};
	int32_t *acc = accumulators(&out[0]);
	int r = acc ? kerf_conv_integer(op, &a, &out[0], acc) : -ENOMEM;

	if (!r)
		r = requantise(op, in, acc, &q, &out[0]);
	free(acc);
	return r;
}

static int64_t conv_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			  const struct kerf_tensor *out)
{
	return kerf_conv_flops(&in[3], &out[0]);
}

static int conv_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		     const struct kerf_tensor *out, int i, struct kerf_rows want,
		     struct kerf_rows *need)
{
	return kerf_window_rows(op, in, in[3].dims + 2, i, want, need);
}

/* --- QLinearMatMul, qGemm: a, s, z, b, s, z, y's s, z, [bias int32: qGemm] --- */

static int matmul_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	int r = kerf_matmul_infer_shape(&in[0], &in[3], &out[0], err);

	out[0].dtype = in[7].dtype;
	return r ? r
		 : check_product(op, in, in[0].rank > 1 ? in[0].dims[in[0].rank - 2] : 1,
				 in[3].rank > 1 ? in[3].dims[in[3].rank - 1] : 1, err);
}

static int product_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, const struct kerf_matmul_integer *m,
			const struct requant *q)
{
	int32_t *acc = accumulators(&out[0]);
	int r;

	if (!acc)
		return -ENOMEM;
	kerf_matmul_integer(m, &out[0], acc);
	r = requantise(op, in, acc, q, &out[0]);
	free(acc);
	return r;
}

static int matmul_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	struct kerf_matmul_integer m = {&in[0], &in[3], &in[2], &in[5]};
	struct requant q = {1, 1, 1};

	if (in[0].rank > 1)
		q.rows = in[0].dims[in[0].rank - 2];
	if (in[3].rank > 1)
		q.columns = in[3].dims[in[3].rank - 1];
	return product_eval(op, in, out, &m, &q);
}

static int64_t matmul_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			    const struct kerf_tensor *out)
{
	return kerf_flops_of(kerf_tensor_count(&out[0]), in[0].dims[in[0].rank - 1]);
}

/* qGemm: b is [N, K], as linear layers store it; a's leading dims stay. */
static int gemm_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	const struct kerf_tensor *a = &in[0], *b = &in[3];

	if (a->rank < 2 || b->rank != 2 || a->dims[a->rank - 1] != b->dims[1])
		return kerf_fail(err, -EINVAL, "b is not [N, K] for the K columns of a");
	out[0] = *a;
	out[0].dtype = in[7].dtype;
	out[0].dims[a->rank - 1] = b->dims[0];
	return check_product(op, in, 1, b->dims[0], err);
}

static int gemm_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	int64_t n = in[3].dims[0], k = in[3].dims[1], i, j;
	struct kerf_tensor b = {in[3].dtype, 2, {k, n}, NULL};
	struct kerf_matmul_integer m = {&in[0], &b, &in[2], &in[5]};
	struct requant q = {1, n, 1};
	uint8_t *t = malloc((size_t)KERF_MAX(n * k, 1));
	int r;

	if (!t)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		for (j = 0; j < k; j++)
			t[j * n + i] = ((const uint8_t *)in[3].data)[i * k + j];
	b.data = t;
	r = product_eval(op, in, out, &m, &q);
	free(t);
	return r;
}

const struct kerf_op_def kerf_ops_quant[] = {
	{
		.name = "QuantizeLinear",
		.since = 10,
		.min_in = 2,
		.max_in = 3,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_ELEMENTWISE,
		.infer = quantize_infer,
		.eval = quantize_eval,
		.rows = per_axis_rows,
	},
	{
		.name = "DequantizeLinear",
		.since = 10,
		.min_in = 2,
		.max_in = 3,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_ELEMENTWISE,
		.infer = dequantize_infer,
		.eval = dequantize_eval,
		.rows = per_axis_rows,
	},
	{
		.name = "DynamicQuantizeLinear",
		.since = 11,
		.min_in = 1,
		.max_in = 1,
		.min_out = 1,
		.max_out = 3,
		.infer = dynamic_infer,
		.eval = dynamic_eval,
	},
	{
		.name = "QLinearConv",
		.since = 10,
		.min_in = 8,
		.max_in = 9,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_SPATIAL | KERF_OP_WINDOW,
		.infer = conv_infer,
		.eval = conv_eval,
		.flops = conv_flops,
		.rows = conv_rows,
	},
	{
		.name = "QLinearMatMul",
		.since = 10,
		.min_in = 8,
		.max_in = 8,
		.min_out = 1,
		.max_out = 1,
		.infer = matmul_infer,
		.eval = matmul_eval,
		.flops = matmul_flops,
	},
	{
		.name = "qGemm",
		.since = 1,
		.min_in = 8,
		.max_in = 9,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_INTERNAL,
		.infer = gemm_infer,
		.eval = gemm_eval,
		.flops = matmul_flops,
	},
	{.name = NULL},
};
