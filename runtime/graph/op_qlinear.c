/* SPDX-License-Identifier: MIT */
/*
 * Internal operators on quantised values, made from QDQ islands. Every value x is
 * followed by its scale and zero point (one each); y's come where the entry says.
 * The arithmetic is quant.h's; op->act is a clamp of the quantised output.
 *
 *   qAdd, qMul          a, s, z, b, s, z, y_s, y_z     b broadcasts to a or a to b
 *   qAveragePool        x, s, z, y_s, y_z              attributes of AveragePool
 *   qGlobalAveragePool  x, s, z, y_s, y_z
 *   qConcat             y_s, y_z, (x, s, z)...         axis: as values are stored
 *   qRescale            x, s, z, y_s, y_z              x with other parameters
 *   qLut                x, table                       y = table[bits of x], 256 entries
 */
#include "graph/op_conv.h"
#include "graph/op_pool.h"
#include "graph/op_quant.h"
#include "graph/quant.h"

#include <stdlib.h>
#include <string.h>

static float scale_of(const struct kerf_tensor *t)
{
	return (float)kerf_tensor_float(t, 0);
}

/* y's parameters are in[k], in[k + 1]; its dtype is its zero point's. */
static int check_output(const struct kerf_op *op, const struct kerf_tensor *in, int k,
			struct kerf_err *err)
{
	int32_t lo, hi;
	int r = kerf_check_params(in, k, NULL, 1, err);

	if (!r && !kerf_quant_bounds(&op->act, in[k + 1].dtype, 1, 0, &lo, &hi))
		r = kerf_fail(err, -EOPNOTSUPP, "this activation on quantised values");
	return r;
}

/* --- qAdd, qMul --- */

static int binary_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	int r = kerf_check_quantised(in, 0, err);

	if (!r)
		r = kerf_check_quantised(in, 3, err);
	if (!r)
		r = check_output(op, in, 6, err);
	if (!r && kerf_broadcast(&in[0], &in[3], &out[0]))
		r = kerf_fail(err, -EINVAL, "inputs cannot be broadcast to each other");
	out[0].dtype = in[7].dtype;
	return r;
}

static int binary_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, bool add)
{
	int64_t i, n = kerf_tensor_count(&out[0]);
	float a_scale = scale_of(&in[1]), b_scale = scale_of(&in[4]);
	struct kerf_quant_target t;
	float m, ma, mb;
	int r = kerf_quant_target(op, &in[6], &in[7], &t);

	if (r)
		return r;
	m = kerf_quant_factor(a_scale, b_scale, t.scale);
	ma = a_scale / t.scale;
	mb = b_scale / t.scale;
	for (i = 0; i < n; i++) {
		int32_t da = (int32_t)(kerf_tensor_int(&in[0],
						       kerf_broadcast_index(&in[0], &out[0], i)) -
				       kerf_zero_point(&in[2], 0));
		int32_t db = (int32_t)(kerf_tensor_int(&in[3],
						       kerf_broadcast_index(&in[3], &out[0], i)) -
				       kerf_zero_point(&in[5], 0));

		kerf_quant_put(&out[0], i,
			       add ? kerf_quant_sum(da, ma, db, mb, t.zero, t.lo, t.hi)
				   : kerf_quant_acc(da * db, m, t.zero, t.lo, t.hi));
	}
	return 0;
}

static int add_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	return binary_eval(op, in, out, true);
}

static int mul_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	return binary_eval(op, in, out, false);
}

/* --- Pools --- */

/* Sums of more elements could leave int32. */
#define MAX_POOLED (INT32_MAX / 256)

static int pool_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	int r = kerf_check_quantised(in, 0, err);

	if (!r)
		r = check_output(op, in, 3, err);
	if (!r)
		r = kerf_pool_infer_shape(op, &in[0], &out[0], err);
	if (!r && kerf_planes(&in[0], op->nhwc).inner > MAX_POOLED)
		r = kerf_fail(err, -EOPNOTSUPP, "planes above %d elements", MAX_POOLED);
	out[0].dtype = in[4].dtype;
	return r;
}

struct pool_target {
	struct kerf_quant_target t;
	float factor;
	int32_t x_zero;
};

static void average_reduce(struct kerf_window_pool *c, int64_t plane, int64_t x0, int64_t o)
{
	const struct pool_target *p = c->ctx;
	int64_t i, count = c->include_pad ? c->taps.padded : c->taps.n;
	int32_t acc = 0;

	for (i = 0; i < c->taps.n; i++)
		acc += (int32_t)kerf_tensor_int(&c->in[0], x0 + c->taps.x[i]) - p->x_zero;
	kerf_quant_put(&c->out[0], o,
		       kerf_quant_acc(acc, p->factor / (float)KERF_MAX(count, 1), p->t.zero,
				      p->t.lo, p->t.hi));
}

static int pool_target(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct pool_target *p)
{
	int r = kerf_quant_target(op, &in[3], &in[4], &p->t);

	p->factor = scale_of(&in[1]) / p->t.scale;
	p->x_zero = (int32_t)kerf_zero_point(&in[2], 0);
	return r;
}

static int pool_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	struct pool_target p;
	struct kerf_window_pool c = {.in = in, .out = out, .ctx = &p};
	int r = pool_target(op, in, &p);

	c.include_pad = kerf_op_int(op, "count_include_pad", 0);
	return r ? r : kerf_window_pool_run(op, &c, average_reduce);
}

static int pool_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		     const struct kerf_tensor *out, int i, struct kerf_rows want,
		     struct kerf_rows *need)
{
	return kerf_window_rows(op, in, NULL, i, want, need);
}

static int global_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	int i, r = kerf_check_quantised(in, 0, err);

	if (!r)
		r = check_output(op, in, 3, err);
	if (r)
		return r;
	if (in[0].rank < 3 || kerf_planes(&in[0], op->nhwc).inner > MAX_POOLED)
		return kerf_fail(err, -EINVAL, "input 0 has rank below 3 or planes too large");
	out[0] = in[0];
	out[0].dtype = in[4].dtype;
	for (i = op->nhwc ? 1 : 2; i < in[0].rank - (op->nhwc ? 1 : 0); i++)
		out[0].dims[i] = 1;
	return 0;
}

static int global_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	struct kerf_planes p = kerf_planes(&in[0], op->nhwc);
	struct pool_target t;
	int64_t n, c, i;
	int r = pool_target(op, in, &t);

	if (r)
		return r;
	for (n = 0; n < p.batch; n++)
		for (c = 0; c < p.channels; c++) {
			int64_t x0 = n * p.step_batch + c * p.step_channel;
			int32_t acc = 0;

			for (i = 0; i < p.inner; i++)
				acc += (int32_t)kerf_tensor_int(&in[0], x0 + i * p.step_inner) -
				       t.x_zero;
			kerf_quant_put(&out[0], n * p.channels + c,
				       kerf_quant_acc(acc, t.factor / (float)KERF_MAX(p.inner, 1),
						      t.t.zero, t.t.lo, t.t.hi));
		}
	return 0;
}

static int global_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		       const struct kerf_tensor *out, int i, struct kerf_rows want,
		       struct kerf_rows *need)
{
	if (!op->nhwc)
		return -EOPNOTSUPP;
	*need = kerf_rows_all(&in[i]);
	return 0;
}

static int64_t input_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			   const struct kerf_tensor *out)
{
	return kerf_tensor_count(&in[0]);
}

/* --- qConcat, qRescale --- */

static int rescale_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out, struct kerf_err *err)
{
	int r = kerf_check_quantised(in, 0, err);

	if (!r)
		r = check_output(op, in, 3, err);
	out[0] = in[0];
	out[0].dtype = in[4].dtype;
	return r;
}

/* n elements of x from x0 on, with x's parameters in in[1], in[2], to y from y0 on. */
static void rescale(const struct kerf_tensor *in, int64_t x0, int64_t n,
		    const struct kerf_quant_target *t, struct kerf_tensor *y, int64_t y0)
{
	float m = scale_of(&in[1]) / t->scale;
	int32_t x_zero = (int32_t)kerf_zero_point(&in[2], 0);
	int64_t i;

	for (i = 0; i < n; i++)
		kerf_quant_put(y, y0 + i,
			       kerf_quant_acc((int32_t)kerf_tensor_int(&in[0], x0 + i) - x_zero, m,
					      t->zero, t->lo, t->hi));
}

static int rescale_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out)
{
	struct kerf_quant_target t;
	int r = kerf_quant_target(op, &in[3], &in[4], &t);

	if (!r)
		rescale(in, 0, kerf_tensor_count(&out[0]), &t, &out[0], 0);
	return r;
}

static int concat_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	int k, i, axis, r = check_output(op, in, 0, err);

	if (r)
		return r;
	if (op->n_in % 3 != 2)
		return kerf_fail(err, -EINVAL, "%d inputs, expected 2 and 3 a value", op->n_in);
	axis = kerf_axis(kerf_op_int(op, "axis", 1), in[2].rank);
	if (axis < 0)
		return kerf_fail(err, -EINVAL, "axis is out of range for rank %d", in[2].rank);
	out[0] = in[2];
	out[0].dtype = in[1].dtype;
	out[0].dims[axis] = 0;
	for (k = 2; k < op->n_in; k += 3) {
		r = kerf_check_quantised(in, k, err);
		if (r)
			return r;
		if (in[k].rank != in[2].rank)
			return kerf_fail(err, -EINVAL, "input %d has another rank than input 2", k);
		for (i = 0; i < in[k].rank; i++)
			if (i != axis && in[k].dims[i] != in[2].dims[i])
				return kerf_fail(err, -EINVAL, "input %d differs on axis %d", k, i);
		if (__builtin_add_overflow(out[0].dims[axis], in[k].dims[axis], &out[0].dims[axis]))
			return kerf_fail(err, -EINVAL, "the output is too large");
	}
	return 0;
}

static int concat_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	int axis = kerf_axis(kerf_op_int(op, "axis", 1), in[2].rank), i, k;
	int64_t outer = 1, inner = 1, at, n;
	struct kerf_quant_target t;
	int r = kerf_quant_target(op, &in[0], &in[1], &t);

	for (i = 0; i < axis; i++)
		outer *= in[2].dims[i];
	for (i = axis + 1; i < in[2].rank; i++)
		inner *= in[2].dims[i];
	for (n = at = 0; !r && n < outer; n++)
		for (k = 2; k < op->n_in; k += 3) {
			int64_t run = in[k].dims[axis] * inner;

			rescale(&in[k], n * run, run, &t, &out[0], at);
			at += run;
		}
	return r;
}

static int concat_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		       const struct kerf_tensor *out, int i, struct kerf_rows want,
		       struct kerf_rows *need)
{
	if (kerf_axis(kerf_op_int(op, "axis", 1), out[0].rank) == 1)
		return -EOPNOTSUPP;
	*need = i >= 2 && i % 3 == 2 ? want : kerf_rows_all(&in[i]);
	return 0;
}

/* --- qLut --- */

static int lut_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	if (kerf_dtype_size(in[0].dtype) != 1 || kerf_dtype_size(in[1].dtype) != 1 ||
	    in[1].rank != 1 || in[1].dims[0] != 256)
		return kerf_fail(err, -EINVAL, "inputs are not 8-bit values and a table of 256");
	out[0] = in[0];
	out[0].dtype = in[1].dtype;
	return 0;
}

static int lut_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	const uint8_t *x = in[0].data, *table = in[1].data;
	int64_t i, n = kerf_tensor_count(&in[0]);
	uint8_t *y = out[0].data;

	for (i = 0; i < n; i++)
		y[i] = table[x[i]];
	return 0;
}

static int first_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		      const struct kerf_tensor *out, int i, struct kerf_rows want,
		      struct kerf_rows *need)
{
	*need = i == 0 ? want : kerf_rows_all(&in[i]);
	return 0;
}

#define INTERNAL(op_name, n_in, infer_fn, eval_fn)                                               \
	.name = op_name, .since = 1, .min_in = n_in, .max_in = n_in, .min_out = 1, .max_out = 1, \
	.infer = infer_fn, .eval = eval_fn

const struct kerf_op_def kerf_ops_qlinear[] = {
	{
		INTERNAL("qAdd", 8, binary_infer, add_eval),
		.flags = KERF_OP_INTERNAL | KERF_OP_ELEMENTWISE,
	},
	{
		INTERNAL("qMul", 8, binary_infer, mul_eval),
		.flags = KERF_OP_INTERNAL | KERF_OP_ELEMENTWISE,
	},
	{
		INTERNAL("qAveragePool", 5, pool_infer, pool_eval),
		.flags = KERF_OP_INTERNAL | KERF_OP_SPATIAL | KERF_OP_WINDOW,
		.flops = input_flops,
		.rows = pool_rows,
	},
	{
		INTERNAL("qGlobalAveragePool", 5, global_infer, global_eval),
		.flags = KERF_OP_INTERNAL | KERF_OP_SPATIAL,
		.flops = input_flops,
		.rows = global_rows,
	},
	{
		.name = "qConcat",
		.since = 1,
		.min_in = 5,
		.max_in = -1,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_INTERNAL,
		.infer = concat_infer,
		.eval = concat_eval,
		.rows = concat_rows,
	},
	{
		INTERNAL("qRescale", 5, rescale_infer, rescale_eval),
		.flags = KERF_OP_INTERNAL | KERF_OP_ELEMENTWISE,
	},
	{
		INTERNAL("qLut", 2, lut_infer, lut_eval),
		.flags = KERF_OP_INTERNAL | KERF_OP_ELEMENTWISE,
		.rows = first_rows,
	},
	{.name = NULL},
};
