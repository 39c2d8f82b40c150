/* SPDX-License-Identifier: MIT */
/*
 * Pools over windows and over whole images. Sums run over the taps in kernel
 * order, in float32; taps in the padding never count, unless count_include_pad
 * says that they do, as zeros.
 */
#include "graph/op_pool.h"
#include "graph/spatial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Output elements of one axis; a last window that would start past the input is dropped. */
static int64_t pooled(int64_t in, const struct kerf_window *w, int i, bool ceil_mode)
{
	int64_t room =
		in + w->pad_begin[i] + w->pad_end[i] - ((w->kernel[i] - 1) * w->dilation[i] + 1);
	int64_t n;

	if (room < 0)
		return -1;
	n = (ceil_mode ? kerf_div_up(room, w->stride[i]) : room / w->stride[i]) + 1;
	if (ceil_mode && (n - 1) * w->stride[i] >= in + w->pad_begin[i])
		n--;
	return n;
}

int kerf_pool_infer_shape(const struct kerf_op *op, const struct kerf_tensor *x,
			  struct kerf_tensor *y, struct kerf_err *err)
{
	bool ceil_mode = kerf_op_int(op, "ceil_mode", 0);
	struct kerf_window w;
	int i, at, r = kerf_op_window(op, x, NULL, &w, err);

	if (r)
		return r;
	y->rank = x->rank;
	memcpy(y->dims, x->dims, sizeof(y->dims));
	for (i = 0; i < w.n_spatial; i++) {
		at = i + (op->nhwc ? 1 : 2);
		y->dims[at] = pooled(x->dims[at], &w, i, ceil_mode);
		if (y->dims[at] < 0)
			return kerf_fail(err, -EINVAL,
					 "the window of axis %d exceeds the padded input", i);
	}
	return 0;
}

static int float_pool_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			    struct kerf_tensor *out, struct kerf_err *err)
{
	int r = kerf_want_f32_like(&in[0], 0, err);

	out[0].dtype = in[0].dtype;
	return r ? r : kerf_pool_infer_shape(op, &in[0], &out[0], err);
}

static int64_t pool_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			  const struct kerf_tensor *out)
{
	struct kerf_window w;
	int64_t n = kerf_tensor_count(&out[0]);
	int i;

	if (kerf_op_window(op, &in[0], NULL, &w, NULL))
		return n;
	for (i = 0; i < w.n_spatial; i++)
		if (!kerf_mul(n, w.kernel[i], &n))
			return INT64_MAX;
	return n;
}

static int pool_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		     const struct kerf_tensor *out, int i, struct kerf_rows want,
		     struct kerf_rows *need)
{
	return kerf_window_rows(op, in, NULL, i, want, need);
}

int kerf_window_pool_run(const struct kerf_op *op, struct kerf_window_pool *c,
			 void (*reduce)(struct kerf_window_pool *c, int64_t plane, int64_t x0,
					int64_t o))
{
	int64_t n, ch, pos[3];
	struct kerf_window w;
	int r = kerf_whole_window(op, &c->in[0], NULL, &w, NULL);

	c->gx = kerf_grid_in(op, &c->in[0]);
	c->gy = kerf_grid_out(op, &c->out[0]);
	if (r || !kerf_tensor_count(&c->out[0]))
		return r;
	r = kerf_taps_init(&c->taps, &w, &c->gx);
	if (r)
		return r;
	memset(pos, 0, sizeof(pos));
	do {
		int64_t o = kerf_grid_offset(&c->gy, pos);

		kerf_taps_at(&c->taps, &w, &c->gx, &c->gy, pos);
		for (n = 0; n < c->gy.batch; n++)
			for (ch = 0; ch < c->gy.channels; ch++)
				reduce(c, n * c->gx.channels + ch,
				       n * c->gx.step_batch + ch * c->gx.step_channel,
				       o + n * c->gy.step_batch + ch * c->gy.step_channel);
	} while (kerf_grid_next(&c->gy, pos));
	kerf_taps_finish(&c->taps);
	return 0;
}

/* --- MaxPool --- */

static int max_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	int r;

	switch (in[0].dtype) {
	case KERF_F32:
	case KERF_F16:
	case KERF_BF16:
	case KERF_F64:
	case KERF_I8:
	case KERF_U8: break;
	default:
		return kerf_fail(err, -EINVAL, "input 0 is %s, expected a float or 8-bit dtype",
				 kerf_dtype_name(in[0].dtype));
	}
	r = kerf_pool_infer_shape(op, &in[0], &out[0], err);
	if (r)
		return r;
	out[0].dtype = in[0].dtype;
	if (kerf_op_has_out(op, out, 1)) {
		/* Indices count positions of the whole NCHW input. */
		if (op->nhwc)
			return kerf_fail(err, -EOPNOTSUPP, "indices of a channels-last input");
		out[1] = out[0];
		out[1].dtype = KERF_I64;
	}
	return 0;
}

/* Index of an offset within one NCHW plane, with its axes counted the other way around. */
static int64_t column_major(const struct kerf_grid *g, int64_t off)
{
	int64_t index = 0, scale = 1;
	int i;

	for (i = 0; i < g->n; i++) {
		index += off / g->step[i] % g->size[i] * scale;
		scale *= g->size[i];
	}
	return index;
}

static void max_reduce(struct kerf_window_pool *c, int64_t plane, int64_t x0, int64_t o)
{
	const struct kerf_tensor *x = &c->in[0];
	size_t size = kerf_dtype_size(x->dtype);
	bool exact8 = x->dtype == KERF_I8 || x->dtype == KERF_U8;
	double best = exact8 ? (x->dtype == KERF_I8 ? -128 : 0) : -INFINITY;
	int64_t i, at = -1;

	for (i = 0; i < c->taps.n; i++) {
		double v = kerf_tensor_float(x, x0 + c->taps.x[i]);

		if (at < 0 || v > best || v != v) {
			best = v;
			at = x0 + c->taps.x[i];
			if (v != v)
				break;
		}
	}
	if (at >= 0)
		memcpy((char *)c->out[0].data + (size_t)o * size,
		       (const char *)x->data + (size_t)at * size, size);
	else if (exact8)
		*((uint8_t *)c->out[0].data + o) = x->dtype == KERF_I8 ? 0x80 : 0;
	else
		kerf_f32_put(&c->out[0], o, -INFINITY);
	if (c->indices) {
		int64_t within = at < 0 ? 0 : at - x0;

		if (c->column_major)
			within = column_major(&c->gx, within);
		c->indices[o] = plane * kerf_grid_count(&c->gx) + within;
	}
}

static int max_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	struct kerf_window_pool c = {.in = in, .out = out};

	if (kerf_op_has_out(op, out, 1))
		c.indices = out[1].data;
	c.column_major = kerf_op_int(op, "storage_order", 0) == 1;
	return kerf_window_pool_run(op, &c, max_reduce);
}

/* --- AveragePool, LpPool --- */

static void average_reduce(struct kerf_window_pool *c, int64_t plane, int64_t x0, int64_t o)
{
	int64_t i, count = c->include_pad ? c->taps.padded : c->taps.n;
	float sum = 0;

	for (i = 0; i < c->taps.n; i++)
		sum += c->x[x0 + c->taps.x[i]];
	kerf_f32_put(&c->out[0], o, count ? sum / (float)count : 0);
}

/* |x|^p of p = 1 and 2 without pow, which need not round the same everywhere. */
static float power(float x, float p)
{
	x = fabsf(x);
	return p == 1 ? x : p == 2 ? x * x : powf(x, p);
}

static float root(float sum, float p)
{
	return p == 1 ? sum : p == 2 ? sqrtf(sum) : powf(sum, 1 / p);
}

static void lp_reduce(struct kerf_window_pool *c, int64_t plane, int64_t x0, int64_t o)
{
	float sum = 0;
	int64_t i;

	for (i = 0; i < c->taps.n; i++)
		sum += power(c->x[x0 + c->taps.x[i]], c->p);
	kerf_f32_put(&c->out[0], o, root(sum, c->p));
}

/* p is an integer from opset 2 on, a float before. */
static float norm_order(const struct kerf_op *op)
{
	const struct kerf_attr *a = kerf_op_attr(op, "p");

	return !a ? 2 : a->type == KERF_ATTR_FLOAT ? a->f : (float)kerf_op_int(op, "p", 2);
}

static int float_pool_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			   struct kerf_tensor *out, bool lp)
{
	struct kerf_window_pool c = {.in = in, .out = out};
	float *owned;
	int r;

	c.x = kerf_f32_of(&in[0], &owned);
	if (!c.x)
		return kerf_tensor_count(&in[0]) ? -ENOMEM : 0;
	c.p = norm_order(op);
	c.include_pad = kerf_op_int(op, "count_include_pad", 0);
	r = kerf_window_pool_run(op, &c, lp ? lp_reduce : average_reduce);
	free(owned);
	return r;
}

static int average_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out)
{
	return float_pool_eval(op, in, out, false);
}

static int lp_infer(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out,
		    struct kerf_err *err)
{
	if (!(norm_order(op) > 0))
		return kerf_fail(err, -EINVAL, "p is %g, expected above 0", (double)norm_order(op));
	return float_pool_infer(op, in, out, err);
}

static int lp_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	return float_pool_eval(op, in, out, true);
}

/* --- Global pools --- */

static int global_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	int i, r = kerf_want_f32_like(&in[0], 0, err);

	if (r)
		return r;
	if (in[0].rank < 3)
		return kerf_fail(err, -EINVAL, "input 0 has rank %d, expected 3 or more",
				 in[0].rank);
	out[0] = in[0];
	for (i = op->nhwc ? 1 : 2; i < in[0].rank - (op->nhwc ? 1 : 0); i++)
		out[0].dims[i] = 1;
	return 0;
}

enum global_kind { GLOBAL_AVERAGE, GLOBAL_MAX, GLOBAL_LP };

static float global_reduce(enum global_kind kind, const float *x, int64_t n, int64_t step, float p)
{
	float v = kind == GLOBAL_MAX ? -INFINITY : 0;
	int64_t i;

	for (i = 0; i < n; i++) {
		float e = x[i * step];

		if (kind == GLOBAL_MAX)
			v = e > v || e != e ? e : v;
		else
			v += kind == GLOBAL_LP ? power(e, p) : e;
	}
	if (kind == GLOBAL_LP)
		return root(v, p);
	return kind == GLOBAL_AVERAGE ? v / (float)n : v;
}

static int global_run(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, enum global_kind kind)
{
	struct kerf_planes p = kerf_planes(&in[0], op->nhwc);
	float order = kind == GLOBAL_LP ? norm_order(op) : 0, *owned;
	const float *x = kerf_f32_of(&in[0], &owned);
	int64_t n, c;

	if (!x)
		return kerf_tensor_count(&in[0]) ? -ENOMEM : -EINVAL;
	for (n = 0; n < p.batch; n++)
		for (c = 0; c < p.channels; c++)
			kerf_f32_put(&out[0], n * p.channels + c,
				     global_reduce(kind, x + n * p.step_batch + c * p.step_channel,
						   p.inner, p.step_inner, order));
	free(owned);
	return 0;
}

static int global_average_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			       struct kerf_tensor *out)
{
	return global_run(op, in, out, GLOBAL_AVERAGE);
}

static int global_max_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			   struct kerf_tensor *out)
{
	return global_run(op, in, out, GLOBAL_MAX);
}

static int global_lp_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			   struct kerf_tensor *out, struct kerf_err *err)
{
	if (!(norm_order(op) > 0))
		return kerf_fail(err, -EINVAL, "p is %g, expected above 0", (double)norm_order(op));
	return global_infer(op, in, out, err);
}

static int global_lp_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out)
{
	return global_run(op, in, out, GLOBAL_LP);
}

static int64_t global_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			    const struct kerf_tensor *out)
{
	return kerf_tensor_count(&in[0]);
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

/* --- MaxUnpool: x, indices, [output_shape] --- */

/* The shape that MaxPool's input had, if no padding rows were cut off by its stride. */
static int natural_shape(const struct kerf_op *op, const struct kerf_tensor *x,
			 struct kerf_tensor *y, struct kerf_err *err)
{
	struct kerf_window w;
	int i, r = kerf_op_window(op, x, NULL, &w, err);

	if (r)
		return r;
	*y = *x;
	for (i = 0; i < w.n_spatial; i++)
		if (!kerf_mul(x->dims[i + 2] - 1, w.stride[i], &y->dims[i + 2]) ||
		    __builtin_add_overflow(y->dims[i + 2],
					   w.kernel[i] - w.pad_begin[i] - w.pad_end[i],
					   &y->dims[i + 2]))
			return kerf_fail(err, -EINVAL, "the output of axis %d is too large", i);
	r = kerf_tensor_check(y);
	return r ? kerf_fail(err, r, "pads or strides give no possible output") : 0;
}

static int unpool_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	const struct kerf_tensor *shape = kerf_op_opt(op, in, 2);
	int i, r;

	if (in[1].dtype != KERF_I64 || !kerf_tensor_same_shape(&in[0], &in[1]))
		return kerf_fail(err, -EINVAL, "indices are not int64 of the shape of input 0");
	r = kerf_want_f32_like(&in[0], 0, err);
	if (!r)
		r = natural_shape(op, &in[0], &out[0], err);
	if (r || !shape)
		return r;
	if (shape->dtype != KERF_I64 || shape->rank != 1 || shape->dims[0] != in[0].rank)
		return kerf_fail(err, -EINVAL, "output_shape does not have %d int64 elements",
				 in[0].rank);
	if (!shape->data)
		return -ENODATA;
	for (i = 0; i < in[0].rank; i++) {
		out[0].dims[i] = kerf_tensor_int(shape, i);
		if (i < 2 && out[0].dims[i] != in[0].dims[i])
			return kerf_fail(err, -EINVAL, "output_shape[%d] is %lld, expected %lld", i,
					 (long long)out[0].dims[i], (long long)in[0].dims[i]);
	}
	return 0;
}

/* Indices count in the natural shape; output_shape may be larger: the rest is zero. */
static int unpool_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	int64_t i, n = kerf_tensor_count(&in[0]), total, rest, at, step, pos;
	const int64_t *index = in[1].data;
	size_t size = kerf_dtype_size(in[0].dtype);
	struct kerf_tensor natural;
	int d, r = natural_shape(op, &in[0], &natural, NULL);

	if (r)
		return r;
	total = kerf_tensor_count(&natural);
	memset(out[0].data, 0, kerf_tensor_bytes(&out[0]));
	for (i = 0; i < n; i++) {
		if (index[i] < 0 || index[i] >= total)
			return -EINVAL;
		rest = index[i];
		for (at = 0, step = 1, d = natural.rank - 1; d >= 0; d--) {
			pos = rest % natural.dims[d];
			if (pos >= out[0].dims[d])
				return -EINVAL;
			at += pos * step;
			step *= out[0].dims[d];
			rest /= natural.dims[d];
		}
		memcpy((char *)out[0].data + (size_t)at * size,
		       (const char *)in[0].data + (size_t)i * size, size);
	}
	return 0;
}

#define POOL(op_name, out_n, infer_fn, eval_fn)                                                \
	.name = op_name, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = out_n, \
	.infer = infer_fn, .eval = eval_fn

const struct kerf_op_def kerf_ops_pool[] = {
	{
		POOL("MaxPool", 2, max_infer, max_eval),
		.flags = KERF_OP_SPATIAL | KERF_OP_WINDOW,
		.flops = pool_flops,
		.rows = pool_rows,
	},
	{
		POOL("AveragePool", 1, float_pool_infer, average_eval),
		.flags = KERF_OP_SPATIAL | KERF_OP_WINDOW,
		.flops = pool_flops,
		.rows = pool_rows,
	},
	{
		POOL("LpPool", 1, lp_infer, lp_eval),
		.flags = KERF_OP_SPATIAL | KERF_OP_WINDOW,
		.flops = pool_flops,
		.rows = pool_rows,
	},
	{
		POOL("GlobalAveragePool", 1, global_infer, global_average_eval),
		.flags = KERF_OP_SPATIAL,
		.flops = global_flops,
		.rows = global_rows,
	},
	{
		POOL("GlobalMaxPool", 1, global_infer, global_max_eval),
		.flags = KERF_OP_SPATIAL,
		.flops = global_flops,
		.rows = global_rows,
	},
	{
		POOL("GlobalLpPool", 1, global_lp_infer, global_lp_eval),
		.flags = KERF_OP_SPATIAL,
		.flops = global_flops,
		.rows = global_rows,
	},
	{
		.name = "MaxUnpool",
		.since = 9,
		.min_in = 2,
		.max_in = 3,
		.min_out = 1,
		.max_out = 1,
		.shape_in = 1 << 2,
		.infer = unpool_infer,
		.eval = unpool_eval,
	},
	{.name = NULL},
};
