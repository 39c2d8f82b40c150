/* SPDX-License-Identifier: MIT */
/* Convolutions and matrix products as commands, in float32 and in 8 bits. */
#include "exec/npu_lower.h"

#include "exec/cpu_copy.h"
#include "graph/op_conv.h"
#include "graph/op_quant.h"
#include "graph/op_util.h"
#include "graph/quant.h"
#include "graph/spatial.h"

#include <string.h>

/* --- Convolution --- */

/* Everything of the command but the operands' dtypes, addresses and the epilogue. */
static bool conv_shape(const struct kerf_lower_op *o, const struct kerf_tensor *w,
		       struct kerf_npu_conv *c, int64_t w_dims[4])
{
	const struct kerf_tensor *x = &o->in[0];
	int64_t groups = kerf_op_int(o->op, "group", 1);
	struct kerf_window win;
	int at;

	if (!o->op->nhwc || !w->data || w->rank != x->rank || (x->rank != 3 && x->rank != 4) ||
	    kerf_op_window(o->op, x, w->dims + 2, &win, NULL))
		return false;
	at = win.n_spatial - 1;
	w_dims[0] = w->dims[0];
	w_dims[1] = at ? w->dims[2] : 1;
	w_dims[2] = w->dims[w->rank - 1];
	w_dims[3] = w->dims[1];
	if (w_dims[1] > KERF_NPU_MAX_KERNEL || w_dims[2] > KERF_NPU_MAX_KERNEL ||
	    w_dims[1] * w_dims[2] * w_dims[3] > KERF_NPU_MAX_K || groups < 1 ||
	    groups > KERF_NPU_MAX_DIM)
		return false;
	*c = (struct kerf_npu_conv){
		.bias = KERF_NPU_NO_ADDR,
		.scale = KERF_NPU_NO_ADDR,
		.residual = KERF_NPU_NO_ADDR,
		.stride_h = at ? (uint32_t)win.stride[0] : 1,
		.stride_w = (uint32_t)win.stride[at],
		.dilation_h = at ? (uint32_t)win.dilation[0] : 1,
		.dilation_w = (uint32_t)win.dilation[at],
		.pad_top = at ? (uint32_t)win.pad_begin[0] : 0,
		.pad_left = (uint32_t)win.pad_begin[at],
		.groups = (uint32_t)groups,
	};
	return true;
}

static uint64_t conv_work(const struct kerf_npu_conv *c)
{
	return npu_count(&c->y) * c->w.h * c->w.w * c->w.c;
}

/* ONNX's OIHW to O, H, W, I. */
static void pack_f32(float *to, const kerf_any_float *w, const int64_t d[4], const float *factor)
{
	int64_t o, i, t, taps = d[1] * d[2];

	for (o = 0; o < d[0]; o++)
		for (t = 0; t < taps; t++)
			for (i = 0; i < d[3]; i++)
				*to++ = w[(o * d[3] + i) * taps + t] * (factor ? factor[o] : 1);
}

static void pack_8bit(uint8_t *to, const uint8_t *w, const int64_t d[4])
{
	int64_t o, i, t, taps = d[1] * d[2];

	for (o = 0; o < d[0]; o++)
		for (t = 0; t < taps; t++)
			for (i = 0; i < d[3]; i++)
				*to++ = w[(o * d[3] + i) * taps + t];
}

/* Conv: X, W, [B], [S: a factor per output channel], [R: residual] */
static int conv(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const struct kerf_tensor *x = &o->in[0], *w = &o->in[1], *y = &o->out[0];
	const struct kerf_tensor *bias = kerf_op_opt(o->op, o->in, 2),
				 *factor = kerf_op_opt(o->op, o->in, 3),
				 *residual = kerf_op_opt(o->op, o->in, 4);
	int64_t xd[4], wd[4], yd[4];
	struct kerf_npu_conv c;
	void *data;

	if (!npu_is_f32(x) || !npu_is_f32(w) || !conv_shape(o, w, &c, wd) ||
	    !kerf_lower_known(o, 3, KERF_F32, wd[0]) ||
	    (bias && (!npu_is_f32(bias) || kerf_tensor_count(bias) != wd[0])) ||
	    (residual && (!npu_is_f32(residual) || !kerf_tensor_same_shape(residual, y))) ||
	    !kerf_lower_image_dims(x, xd) || !kerf_lower_image_dims(y, yd) ||
	    !kerf_lower_tensor(b, &c.x, kerf_lower_in(b, o, 0), KERF_F32, 0, xd) ||
	    !kerf_lower_tensor(b, &c.w, kerf_lower_weights(b, kerf_tensor_bytes(w), &data),
			       KERF_F32, 0, wd) ||
	    !kerf_lower_tensor(b, &c.y, kerf_lower_out(b, o, 0), KERF_F32, 0, yd))
		return -EOPNOTSUPP;
	if (data) {
		pack_f32(data, w->data, wd, factor ? factor->data : NULL);
		kerf_graph_forget(b->g, w->data, kerf_tensor_bytes(w));
	}
	if (bias)
		c.bias = kerf_lower_in(b, o, 2);
	if (residual)
		c.residual = kerf_lower_in(b, o, 4);
	c.out = kerf_lower_out_f32(&o->op->act);
	NPU_EMIT(b, KERF_NPU_CONV, &c, conv_work(&c));
	return 0;
}

/* --- 8 bits: x, s, z, w, s, z, y's s, z, [bias int32] --- */

struct product8 {
	int32_t x_zero, w_zero, y_zero;
	float x_scale, y_scale;
	struct kerf_npu_out out;
	uint64_t bias, scale;
};

/* The zero point that all n columns of w share. */
static bool one_zero(const struct kerf_tensor *z, int64_t n, int32_t *zero)
{
	int64_t i, count = kerf_tensor_count(z);

	if (!z->data || (count != 1 && count != n))
		return false;
	*zero = (int32_t)kerf_zero_point(z, 0);
	for (i = 1; i < count; i++)
		if (kerf_tensor_int(z, i) != *zero)
			return false;
	return true;
}

static bool product8(struct kerf_lower *b, const struct kerf_lower_op *o, int64_t n,
		     struct product8 *p)
{
	const struct kerf_tensor *w_scale = &o->in[4];
	int64_t i, count = kerf_tensor_count(w_scale);
	void *data;

	if (!npu_is_byte(&o->in[0]) || !npu_is_byte(&o->in[3]) || !npu_is_byte(&o->out[0]) ||
	    !kerf_lower_params(o, 1, &p->x_scale, &p->x_zero) || !w_scale->data ||
	    (count != 1 && count != n) || !one_zero(&o->in[5], n, &p->w_zero) ||
	    !kerf_lower_out_8bit(o, 6, &p->out, &p->y_scale, &p->y_zero) ||
	    !kerf_lower_known(o, 8, KERF_I32, n))
		return false;
	p->bias = kerf_op_opt(o->op, o->in, 8) ? kerf_lower_in(b, o, 8) : KERF_NPU_NO_ADDR;
	p->scale = kerf_lower_weights(b, (size_t)n * sizeof(float), &data);
	for (i = 0; data && i < n; i++)
		((float *)data)[i] = kerf_quant_factor(
			p->x_scale, ((const float *)w_scale->data)[count == 1 ? 0 : i], p->y_scale);
	return true;
}

static int qlinear_conv(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const struct kerf_tensor *x = &o->in[0], *w = &o->in[3], *y = &o->out[0];
	int64_t xd[4], wd[4], yd[4];
	struct kerf_npu_conv c;
	struct product8 p;
	void *data;

	if (!conv_shape(o, w, &c, wd) || !product8(b, o, wd[0], &p) ||
	    !kerf_lower_image_dims(x, xd) || !kerf_lower_image_dims(y, yd) ||
	    !kerf_lower_tensor(b, &c.x, kerf_lower_in(b, o, 0), x->dtype, p.x_zero, xd) ||
	    !kerf_lower_tensor(b, &c.w, kerf_lower_weights(b, kerf_tensor_bytes(w), &data),
			       w->dtype, p.w_zero, wd) ||
	    !kerf_lower_tensor(b, &c.y, kerf_lower_out(b, o, 0), y->dtype, p.y_zero, yd))
		return -EOPNOTSUPP;
	if (data) {
		pack_8bit(data, w->data, wd);
		kerf_graph_forget(b->g, w->data, kerf_tensor_bytes(w));
	}
	c.bias = p.bias;
	c.scale = p.scale;
	c.out = p.out;
	NPU_EMIT(b, KERF_NPU_CONV, &c, conv_work(&c));
	return 0;
}

/* --- Matrix products --- */

/* y[batch][m][n] = x[batch][m][k] * w[batch or 1][k][n]; turned: w is [n][k]. */
struct product {
	int64_t batch, m, n, k, w_batch;
	int w_in; /* input that is w */
	bool turned;
	float alpha;
};

static void turn(uint8_t *to, const uint8_t *w, const struct product *p, size_t size)
{
	int64_t i, j, k;

	if (p->turned) {
		memcpy(to, w, (size_t)(p->w_batch * p->k * p->n) * size);
		return;
	}
	for (i = 0; i < p->w_batch; i++, w += (size_t)(p->k * p->n) * size)
		for (j = 0; j < p->n; j++)
			for (k = 0; k < p->k; k++, to += size)
				memcpy(to, w + (size_t)(k * p->n + j) * size, size);
}

/* w as [n][k]: among the weights, in its place, or turned into scratch. False: no COPY for it. */
static bool product_w(struct kerf_lower *b, const struct kerf_lower_op *o, const struct product *p,
		      uint64_t *addr)
{
	const struct kerf_tensor *w = &o->in[p->w_in];
	struct kerf_copy copy = {.esize = kerf_dtype_size(w->dtype)};
	int64_t count = kerf_tensor_count(w), i;
	void *data;

	if (w->data) {
		*addr = kerf_lower_weights(b, kerf_tensor_bytes(w), &data);
		if (!data)
			return true;
		turn(data, w->data, p, copy.esize);
		for (i = 0; w->dtype == KERF_F32 && p->alpha != 1 && i < count; i++)
			((float *)data)[i] *= p->alpha;
		kerf_graph_forget(b->g, w->data, kerf_tensor_bytes(w));
		return true;
	}
	*addr = kerf_lower_in(b, o, p->w_in);
	if (p->turned)
		return true;
	kerf_copy_dim(&copy, p->w_batch, p->k * p->n, p->k * p->n);
	kerf_copy_dim(&copy, p->n, 1, p->k);
	kerf_copy_dim(&copy, p->k, p->n, 1);
	*addr = kerf_lower_scratch(b, kerf_tensor_bytes(w));
	return kerf_lower_copy(b, &copy, kerf_lower_in(b, o, p->w_in), *addr);
}

static bool product_operands(struct kerf_lower *b, const struct kerf_lower_op *o,
			     const struct product *p, int32_t x_zero, int32_t w_zero,
			     int32_t y_zero, struct kerf_npu_fc *c)
{
	const int64_t xd[4] = {p->batch, 1, p->m, p->k}, wd[4] = {p->w_batch, 1, p->n, p->k},
		      yd[4] = {p->batch, 1, p->m, p->n};
	uint64_t w;

	c->bias = c->scale = c->residual = KERF_NPU_NO_ADDR;
	return p->k <= KERF_NPU_MAX_K && product_w(b, o, p, &w) &&
	       kerf_lower_tensor(b, &c->x, kerf_lower_in(b, o, 0), o->in[0].dtype, x_zero, xd) &&
	       kerf_lower_tensor(b, &c->w, w, o->in[p->w_in].dtype, w_zero, wd) &&
	       kerf_lower_tensor(b, &c->y, kerf_lower_out(b, o, 0), o->out[0].dtype, y_zero, yd);
}

static void emit_fc(struct kerf_lower *b, struct kerf_npu_fc *c)
{
	NPU_EMIT(b, KERF_NPU_FC, c, npu_count(&c->y) * c->x.c);
}

/* NumPy's rules; false where the batches are not all x's, or one for all. */
static bool matmul_shape(const struct kerf_tensor *x, const struct kerf_tensor *w,
			 struct product *p)
{
	int i;

	p->m = x->rank > 1 ? x->dims[x->rank - 2] : 1;
	p->k = x->dims[x->rank - 1];
	p->n = w->rank > 1 ? w->dims[w->rank - 1] : 1;
	p->batch = p->w_batch = 1;
	p->alpha = 1;
	if (kerf_tensor_count(w) == p->k * p->n && w->rank <= KERF_MAX(x->rank, 2)) {
		p->m = kerf_tensor_count(x) / p->k;
		return true;
	}
	if (x->rank != w->rank)
		return false;
	for (i = 0; i < x->rank - 2; i++)
		if (x->dims[i] != w->dims[i])
			return false;
	p->batch = p->w_batch = kerf_tensor_count(x) / (p->m * p->k);
	return true;
}

static int matmul(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct product p = {.w_in = 1};
	struct kerf_npu_fc c = {.bias = 0};

	if (!npu_is_f32(&o->in[0]) || !npu_is_f32(&o->in[1]) ||
	    !matmul_shape(&o->in[0], &o->in[1], &p) || !product_operands(b, o, &p, 0, 0, 0, &c))
		return -EOPNOTSUPP;
	c.out = kerf_lower_out_f32(&o->op->act);
	emit_fc(b, &c);
	return 0;
}

/* C of Gemm: a bias or a residual; what is known and smaller is written out. */
static bool gemm_c(struct kerf_lower *b, const struct kerf_lower_op *o, const struct product *p,
		   struct kerf_npu_fc *c)
{
	const struct kerf_tensor *t = kerf_op_opt(o->op, o->in, 2);
	float beta = kerf_op_float(o->op, "beta", 1);
	int64_t count, i;
	bool row;
	void *data;

	if (!t)
		return true;
	count = kerf_tensor_count(t);
	row = t->rank > 0 && t->dims[t->rank - 1] == p->n && count == p->n;
	if (!npu_is_f32(t))
		return false;
	if (t->data && (row || count == 1)) {
		c->bias = kerf_lower_weights(b, (size_t)p->n * sizeof(float), &data);
		for (i = 0; data && i < p->n; i++)
			((float *)data)[i] = beta * ((const float *)t->data)[row ? i : 0];
		return true;
	}
	if (beta != 1 || (!row && count != p->m * p->n))
		return false;
	*(row ? &c->bias : &c->residual) = kerf_lower_in(b, o, 2);
	return true;
}

static int gemm(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	const struct kerf_tensor *x = &o->in[0], *w = &o->in[1], *y = &o->out[0];
	struct kerf_npu_fc c = {.bias = 0};
	struct product p = {
		.batch = 1,
		.w_batch = 1,
		.w_in = 1,
		.turned = kerf_op_int(o->op, "transB", 0),
		.alpha = kerf_op_float(o->op, "alpha", 1),
	};

	if (!npu_is_f32(x) || !npu_is_f32(w) || kerf_op_int(o->op, "transA", 0) ||
	    (p.alpha != 1 && !w->data))
		return -EOPNOTSUPP;
	p.n = y->dims[y->rank - 1];
	p.m = kerf_tensor_count(y) / p.n;
	p.k = w->dims[p.turned ? 1 : 0];
	if (!product_operands(b, o, &p, 0, 0, 0, &c) || !gemm_c(b, o, &p, &c))
		return -EOPNOTSUPP;
	c.out = kerf_lower_out_f32(&o->op->act);
	emit_fc(b, &c);
	return 0;
}

static int product_8bit(struct kerf_lower *b, const struct kerf_lower_op *o, struct product *p)
{
	struct kerf_npu_fc c = {.bias = 0};
	struct product8 q;

	p->w_in = 3;
	p->alpha = 1;
	if (!product8(b, o, p->n, &q) ||
	    !product_operands(b, o, p, q.x_zero, q.w_zero, q.y_zero, &c))
		return -EOPNOTSUPP;
	c.bias = q.bias;
	c.scale = q.scale;
	c.out = q.out;
	emit_fc(b, &c);
	return 0;
}

/* a's leading dims stay; b is [N, K], as linear layers store it. */
static int qgemm(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct product p = {
		.batch = 1,
		.w_batch = 1,
		.turned = true,
		.n = o->in[3].dims[0],
		.k = o->in[3].dims[1],
	};

	p.m = kerf_tensor_count(&o->in[0]) / p.k;
	return product_8bit(b, o, &p);
}

static int qlinear_matmul(struct kerf_lower *b, const struct kerf_lower_op *o)
{
	struct product p = {.turned = false};

	return matmul_shape(&o->in[0], &o->in[3], &p) ? product_8bit(b, o, &p) : -EOPNOTSUPP;
}

const struct kerf_lower_entry kerf_lower_products[] = {
	{"Conv", conv},	  {"QLinearConv", qlinear_conv},     {"MatMul", matmul}, {"Gemm", gemm},
	{"qGemm", qgemm}, {"QLinearMatMul", qlinear_matmul}, {NULL, NULL},
};
