/* SPDX-License-Identifier: MIT */
/* Pools over channels-last images, and nearest-neighbour resizing, as commands. */
#include "exec/npu_lower.h"

#include "graph/op_resize.h"
#include "graph/op_util.h"

#include <stdlib.h>
#include <string.h>

/* Operands and window; y's zero point and x's. */
static bool pool_shape(struct kerf_lower *b, const struct kerf_lower_op *o, int32_t x_zero,
		       int32_t y_zero, bool global, struct kerf_npu_pool *c)
{
	const struct kerf_tensor *x = &o->in[0], *y = &o->out[0];
	int64_t xd[4], yd[4];
	struct kerf_window w;
	int at;

	if (!o->op->nhwc || !kerf_lower_image_dims(x, xd) || !kerf_lower_image_dims(y, yd) ||
	    !kerf_lower_tensor(b, &c->x, kerf_lower_in(b, o, 0), x->dtype, x_zero, xd) ||
	    !kerf_lower_tensor(b, &c->y, kerf_lower_out(b, o, 0), y->dtype, y_zero, yd))
		return false;
	c->stride_h = c->stride_w = c->dilation_h = c->dilation_w = 1;
	if (global) {
		c->kernel_h = c->x.h;
		c->kernel_w = c->x.w;
	} else {
		if (kerf_op_window(o->op, x, NULL, &w, NULL))
			return false;
		at = w.n_spatial - 1;
		c->kernel_h = at ? (uint32_t)w.kernel[0] : 1;
		c->kernel_w = (uint32_t)w.kernel[at];
		c->stride_h = at ? (uint32_t)w.stride[0] : 1;
		c->stride_w = (uint32_t)w.stride[at];
		c->dilation_h = at ? (uint32_t)w.dilation[0] : 1;
		c->dilation_w = (uint32_t)w.dilation[at];
		c->pad_top = at ? (uint32_t)w.pad_begin[0] : 0;
		c->pad_left = (uint32_t)w.pad_begin[at];
		if (kerf_op_int(o->op, "count_include_pad", 0)) {
			c->cmd.flags = KERF_NPU_POOL_COUNT_PAD;
			c->pad_bottom = at ? (uint32_t)w.pad_end[0] : 0;
			c->pad_right = (uint32_t)w.pad_end[at];
		}
	}
	return c->kernel_h <= KERF_NPU_MAX_KERNEL && c->kernel_w <= KERF_NPU_MAX_KERNEL;
}

static uint64_t pool_work(const struct kerf_npu_pool *c)
{
	return npu_count(&c->y) * c->kernel_h * c->kernel_w;
}

static int max_pool(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const struct kerf_tensor *x = &o->in[0];
	struct kerf_npu_pool c = {.factor = 0};

	if (kerf_op_has_out(o->op, o->out, 1) ||
	    (!npu_is_f32(x) && (!npu_is_byte(x) || o->op->act.kind != KERF_ACT_NONE)) ||
	    !pool_shape(b, o, 0, 0, !strcmp(o->op->def->name, "GlobalMaxPool"), &c))
		return -EOPNOTSUPP;
	if (npu_is_f32(x))
		c.out = kerf_lower_out_f32(&o->op->act);
	else
		c.out = x->dtype == KERF_I8
				? (struct kerf_npu_out){.lo = (uint32_t)INT8_MIN, .hi = INT8_MAX}
				: (struct kerf_npu_out){.hi = UINT8_MAX};
	NPU_EMIT(b, KERF_NPU_POOL_MAX, &c, pool_work(&c));
	return 0;
}

static int average_pool(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct kerf_npu_pool c = {.factor = 0};

	if (!npu_is_f32(&o->in[0]) ||
	    !pool_shape(b, o, 0, 0, !strcmp(o->op->def->name, "GlobalAveragePool"), &c))
		return -EOPNOTSUPP;
	c.out = kerf_lower_out_f32(&o->op->act);
	NPU_EMIT(b, KERF_NPU_POOL_AVERAGE, &c, pool_work(&c));
	return 0;
}

/* x, s, z, y_s, y_z */
static int quantised_average(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct kerf_npu_pool c = {.pad = 0};
	float x_scale, y_scale;
	int32_t x_zero, y_zero;

	if (!npu_is_byte(&o->in[0]) || !npu_is_byte(&o->out[0]) ||
	    !kerf_lower_params(o, 1, &x_scale, &x_zero) ||
	    !kerf_lower_out_8bit(o, 3, &c.out, &y_scale, &y_zero) ||
	    !pool_shape(b, o, x_zero, y_zero, !strcmp(o->op->def->name, "qGlobalAveragePool"), &c))
		return -EOPNOTSUPP;
	if (!kerf_lower_factor(x_scale / y_scale, &c.factor))
		return -EOPNOTSUPP;
	NPU_EMIT(b, KERF_NPU_POOL_AVERAGE, &c, pool_work(&c));
	return 0;
}

/* --- Resize, Upsample --- */

/* The input position of each output position of an axis (ONNX's order), n of them in to. */
static int nearest(const struct kerf_lower_op *o, int axis, int64_t n, int32_t *to)
{
	struct kerf_resize_taps *t = calloc((size_t)n, sizeof(*t));
	bool copies = false;
	int64_t i;
	int r = t ? kerf_resize_axis(o->op, o->in, o->out, axis, t, &copies) : -ENOMEM;

	if (!r && !copies)
		r = -EOPNOTSUPP;
	for (i = 0; !r && i < n; i++) {
		if (t[i].n != 1)
			r = -EOPNOTSUPP;
		to[i] = (int32_t)t[i].at[0];
	}
	free(t);
	return r;
}

static bool is_identity(const int32_t *at, int64_t n, int64_t in)
{
	int64_t i;

	for (i = 0; i < n; i++)
		if (at[i] != i)
			return false;
	return n == in;
}

static int resize(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	static const int stored[4] = {0, 3, 1, 2}; /* where ONNX's axes are */
	const struct kerf_tensor *x = &o->in[0], *y = &o->out[0];
	struct kerf_npu_resize c = {.rows = 0};
	int32_t *at[4] = {NULL};
	int r = -EOPNOTSUPP, i;
	void *data;

	if (!o->op->nhwc || x->rank != 4 || o->op->act.kind != KERF_ACT_NONE ||
	    !kerf_lower_tensor(b, &c.x, kerf_lower_in(b, o, 0), x->dtype, 0, x->dims) ||
	    !kerf_lower_tensor(b, &c.y, kerf_lower_out(b, o, 0), y->dtype, 0, y->dims))
		return -EOPNOTSUPP;
	for (i = 0; i < 4; i++) {
		int64_t n = y->dims[stored[i]];

		at[i] = malloc((size_t)n * sizeof(*at[i]));
		r = at[i] ? nearest(o, i, n, at[i]) : -ENOMEM;
		if (!r && i < 2 && !is_identity(at[i], n, x->dims[stored[i]]))
			r = -EOPNOTSUPP;
		if (r)
			goto out;
	}
	for (i = 2; i < 4; i++) {
		size_t bytes = (size_t)y->dims[stored[i]] * sizeof(int32_t);

		*(i == 2 ? &c.rows : &c.columns) = kerf_lower_weights(b, bytes, &data);
		if (data)
			memcpy(data, at[i], bytes);
	}
	NPU_EMIT(b, KERF_NPU_RESIZE, &c, npu_count(&c.y));
out:
	for (i = 0; i < 4; i++)
		free(at[i]);
	return r;
}

const struct kerf_lower_entry kerf_lower_pools[] = {
	{"MaxPool", max_pool},
	{"GlobalMaxPool", max_pool},
	{"AveragePool", average_pool},
	{"GlobalAveragePool", average_pool},
	{"qAveragePool", quantised_average},
	{"qGlobalAveragePool", quantised_average},
	{"Resize", resize},
	{"Upsample", resize},
	{NULL, NULL},
};
