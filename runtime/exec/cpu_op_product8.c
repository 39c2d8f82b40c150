/* SPDX-License-Identifier: MIT */
/*
 * QLinearConv, QLinearMatMul and qGemm. Output pixels are taken in blocks; a block's
 * input patches are gathered as packed rows (cpu_int8.h) and multiplied by the panels of
 * the weights. A matrix product is a 1x1 convolution over its rows.
 */
#include "exec/cpu_op.h"
#include "graph/op_conv.h"
#include "graph/op_quant.h"
#include "graph/op_util.h"
#include "graph/quant.h"

#include <string.h>

/* A block's patches stay in the second-level cache beside a panel of weights. */
#define PATCH_BYTES (96 << 10)
#define MAX_BLOCK 96

struct product_arg {
	int64_t h, w, c, oh, ow, oc, kh, kw, groups, ic, gc; /* ic, gc: channels of a group */
	int64_t stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
	int64_t pixels, k, steps;

	struct kerf_cpu_tile8 tile;
	bool x_signed, direct; /* direct: x itself is made of packed rows */
	int32_t x_zero;	       /* as x stores it */
	const uint8_t *panels;
	size_t panel_bytes;
	int64_t columns, n_panels; /* of a panel; of a group */
	int32_t *bias;		   /* a group: n_panels * columns */
	float *m;
	int32_t zero, lo, hi;

	int64_t block, m_blocks, n_chunks, n_items;
	size_t patch_bytes; /* of one thread */

	const int32_t *depthwise; /* weights [tap][padded c], or NULL */
	int64_t padded;
};

/* n values to where the tile wants them: unsigned bytes, or int16 less the zero point. */
static uint8_t *put_values(const struct kerf_cpu_step *s, const struct product_arg *a, uint8_t *row,
			   const uint8_t *x, int64_t n)
{
	int64_t i = 0;

	if (!a->tile.bytes) {
		s->isa->int8->widen((int16_t *)row, x, n, a->x_zero, a->x_signed);
		return row + 2 * n;
	}
	if (!a->x_signed) {
		memcpy(row, x, (size_t)n);
		return row + n;
	}
	for (; i + 8 <= n; i += 8) {
		uint64_t v;

		memcpy(&v, x + i, 8);
		v ^= 0x8080808080808080u;
		memcpy(row + i, &v, 8);
	}
	for (; i < n; i++)
		row[i] = x[i] ^ 0x80;
	return row + n;
}

static uint8_t *put_zeros(const struct product_arg *a, uint8_t *row, int64_t n)
{
	if (!a->tile.bytes) {
		memset(row, 0, 2 * (size_t)n);
		return row + 2 * n;
	}
	memset(row, a->x_signed ? a->x_zero + 128 : a->x_zero, (size_t)n);
	return row + n;
}

/* One kernel row of one pixel's patch. x: the input row's group, or NULL in the padding. */
static uint8_t *put_row(const struct kerf_cpu_step *s, const struct product_arg *a, uint8_t *row,
			const uint8_t *x, int64_t iw)
{
	int64_t k;

	if (!x)
		return put_zeros(a, row, a->kw * a->ic);
	/* Taps side by side in memory are one run. */
	if (a->groups == 1 && a->dilation_w == 1 && iw >= 0 && iw + a->kw <= a->w)
		return put_values(s, a, row, x + iw * a->c, a->kw * a->c);
	for (k = 0; k < a->kw; k++, iw += a->dilation_w)
		row = iw < 0 || iw >= a->w ? put_zeros(a, row, a->ic)
					   : put_values(s, a, row, x + iw * a->c, a->ic);
	return row;
}

static void put_patch(const struct kerf_cpu_step *s, const struct product_arg *a, uint8_t *row,
		      int64_t pixel, int64_t group)
{
	int64_t image = pixel / (a->oh * a->ow), oy = pixel / a->ow % a->oh, ox = pixel % a->ow, k;
	const uint8_t *x =
		(const uint8_t *)s->in[0].data + image * a->h * a->w * a->c + group * a->ic;
	int64_t iy = oy * a->stride_h - a->pad_h, ix = ox * a->stride_w - a->pad_w;

	memset(row + 4 * (a->steps - 1), 0, 4);
	for (k = 0; k < a->kh; k++, iy += a->dilation_h)
		row = put_row(s, a, row, iy < 0 || iy >= a->h ? NULL : x + iy * a->w * a->c, ix);
}

static void product_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct product_arg *a = s->arg;
	int64_t chunk = item % a->n_chunks, group = item / a->n_chunks / a->m_blocks, p, i;
	int64_t pixel = item / a->n_chunks % a->m_blocks * a->block;
	int64_t n = KERF_MIN(a->block, a->pixels - pixel);
	int64_t first = a->n_panels * chunk / a->n_chunks,
		last = a->n_panels * (chunk + 1) / a->n_chunks;
	size_t row_bytes = a->direct ? (size_t)a->c : 4 * (size_t)a->steps;
	const uint8_t *rows = (const uint8_t *)s->in[0].data + pixel * a->c;
	uint8_t *y = (uint8_t *)s->out[0].data + pixel * a->oc + group * a->gc;
	struct kerf_requant q = {a->bias + group * a->n_panels * a->columns,
				 a->m + group * a->n_panels * a->columns, a->zero, a->lo, a->hi};

	if (!a->direct) {
		uint8_t *patch = (uint8_t *)s->scratch + (size_t)thread * a->patch_bytes;

		for (i = 0; i < n; i++)
			put_patch(s, a, patch + (size_t)i * row_bytes, pixel + i, group);
		rows = patch;
	}
	for (p = first; p < last; p++)
		a->tile.run(rows, row_bytes, (int)n,
			    a->panels + (size_t)(group * a->n_panels + p) * a->panel_bytes,
			    a->steps, &q, p * a->columns, a->gc, y, a->oc);
}

static int run_product(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct product_arg *a = s->arg;

	kerf_pool_run(pool, product_item, (void *)s, a->n_items);
	return 0;
}

/* One output row of a depthwise convolution. */
static void depthwise_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct product_arg *a = s->arg;
	int64_t image = item / a->oh, y0 = item % a->oh * a->stride_h - a->pad_h, h0, h1, ox;
	const uint8_t *x = (const uint8_t *)s->in[0].data + image * a->h * a->w * a->c;
	uint8_t *y = (uint8_t *)s->out[0].data + item * a->ow * a->c;
	struct kerf_requant q = {a->bias, a->m, a->zero, a->lo, a->hi};
	struct kerf_cpu_window8 t = {.step_h = a->dilation_h * a->w * a->c,
				     .step_w = a->dilation_w * a->c,
				     .w_h = a->kw * a->padded,
				     .w_w = a->padded};

	kerf_cpu_taps_within(y0, a->dilation_h, a->kh, 0, a->h, &h0, &h1);
	t.nh = h1 - h0;
	for (ox = 0; ox < a->ow; ox++, y += a->c) {
		int64_t x0 = ox * a->stride_w - a->pad_w, w0, w1;

		kerf_cpu_taps_within(x0, a->dilation_w, a->kw, 0, a->w, &w0, &w1);
		t.nw = w1 - w0;
		s->isa->int8->depthwise(
			y, x + ((y0 + h0 * a->dilation_h) * a->w + x0 + w0 * a->dilation_w) * a->c,
			a->x_signed, a->x_zero, a->depthwise + (h0 * a->kw + w0) * a->padded, &t,
			&q, a->c);
	}
}

static int run_depthwise(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct product_arg *a = s->arg;

	kerf_pool_run(pool, depthwise_item, (void *)s, a->pixels / a->ow);
	return 0;
}

/* --- preparing -------------------------------------------------------------------- */

/* Where weight (output channel, input channel of the group, tap) stands in input 3. */
struct weights {
	const struct kerf_tensor *w, *zero;
	int64_t oc, ic, tap; /* elements from one to the next */
};

static int32_t weight_at(const struct weights *w, int64_t oc, int64_t ic, int64_t tap)
{
	int64_t i = oc * w->oc + ic * w->ic + tap * w->tap;
	int32_t v = w->w->dtype == KERF_I8 ? ((const int8_t *)w->w->data)[i]
					   : ((const uint8_t *)w->w->data)[i];

	return v - (int32_t)kerf_zero_point(w->zero, oc);
}

/* The dot product of bytes takes weights of int8 less their zero points. */
static bool fits_bytes(const struct weights *w, int64_t n_oc)
{
	int64_t i, want = w->w->dtype == KERF_I8 ? 0 : 128;

	for (i = 0; i < n_oc; i++)
		if (kerf_zero_point(w->zero, i) != want)
			return false;
	return true;
}

static void pack_panels(const struct product_arg *a, const struct weights *w, uint8_t *to)
{
	int64_t each = a->tile.bytes ? 4 : 2, g, p, s, col, e;

	for (g = 0; g < a->groups; g++)
		for (p = 0; p < a->n_panels; p++)
			for (s = 0; s < a->steps; s++)
				for (col = 0; col < a->columns; col++)
					for (e = 0; e < each; e++) {
						int64_t oc = p * a->columns + col, k = s * each + e;
						int16_t v = 0; /* its low byte comes first */

						if (oc < a->gc && k < a->k)
							v = (int16_t)weight_at(w, g * a->gc + oc,
									       k % a->ic,
									       k / a->ic);
						memcpy(to, &v, (size_t)(4 / each));
						to += 4 / each;
					}
}

/* What the zero point of x adds to every sum of a column goes into its bias. */
static void fill_columns(const struct kerf_cpu_step *s, const struct product_arg *a,
			 const struct weights *w, float y_scale)
{
	const struct kerf_tensor *bias = kerf_op_opt(s->op, s->in, 8), *ws = &s->in[4];
	float x_scale = *(const float *)s->in[1].data;
	int64_t wide = a->depthwise ? a->padded : a->n_panels * a->columns, g, i, k;
	int32_t stored = a->x_signed ? a->x_zero + 128 : a->x_zero;

	for (g = 0; g < a->groups && (g == 0 || !a->depthwise); g++)
		for (i = 0; i < (a->depthwise ? a->c : a->gc); i++) {
			int64_t oc = g * a->gc + i;
			uint32_t b = bias ? (uint32_t)((const int32_t *)bias->data)[oc] : 0;

			for (k = 0; a->tile.bytes && !a->depthwise && k < a->k; k++)
				b -= (uint32_t)stored *
				     (uint32_t)weight_at(w, oc, k % a->ic, k / a->ic);
			a->bias[g * wide + i] = (int32_t)b;
			a->m[g * wide + i] = kerf_quant_factor(
				x_scale,
				((const float *)ws->data)[kerf_tensor_count(ws) > 1 ? oc : 0],
				y_scale);
		}
}

static void plan_items(struct product_arg *a, int threads)
{
	int64_t row = 4 * a->steps, want = 2 * threads, fit;

	fit = KERF_MIN(KERF_MAX(PATCH_BYTES / row, a->tile.rows), MAX_BLOCK);
	fit -= fit % a->tile.rows;
	/* Even shares rather than a short last block. */
	a->m_blocks = kerf_div_up(a->pixels, fit);
	a->block = kerf_div_up(a->pixels, a->m_blocks);
	a->block = kerf_div_up(a->block, a->tile.rows) * a->tile.rows;
	a->m_blocks = kerf_div_up(a->pixels, a->block);
	a->n_chunks = 1;
	if (threads > 1 && a->m_blocks * a->groups < want)
		a->n_chunks = KERF_MIN(a->n_panels, kerf_div_up(want, a->m_blocks * a->groups));
	a->n_items = a->m_blocks * a->groups * a->n_chunks;
	a->patch_bytes = a->direct ? 0 : kerf_align((size_t)(a->block * row));
}

static int pack_depthwise(struct kerf_cpu_build *b, struct kerf_cpu_step *s, struct product_arg *a,
			  const struct weights *w)
{
	int64_t taps = a->kh * a->kw, t, c;
	int32_t *to;

	a->padded = (a->c + 15) & ~(int64_t)15;
	to = kerf_cpu_weights(b, (size_t)(taps * a->padded) * sizeof(*to));
	a->bias = kerf_cpu_weights(b, (size_t)a->padded * sizeof(*a->bias));
	a->m = kerf_cpu_weights(b, (size_t)a->padded * sizeof(*a->m));
	if (!to || !a->bias || !a->m)
		return -ENOMEM;
	for (t = 0; t < taps; t++)
		for (c = 0; c < a->c; c++)
			to[t * a->padded + c] = weight_at(w, c, 0, t);
	a->depthwise = to;
	s->run = run_depthwise;
	return 0;
}

static int pack_product(struct kerf_cpu_build *b, struct kerf_cpu_step *s, struct product_arg *a,
			const struct weights *w)
{
	const struct kerf_cpu_int8_fns *f = s->isa->int8;
	uint8_t *to;

	a->tile = s->isa->dots && fits_bytes(w, a->oc) ? f->dots : f->words;
	a->steps = kerf_div_up(a->k, a->tile.bytes ? 4 : 2);
	a->columns = KERF_INT8_COLUMNS(f->lanes);
	a->n_panels = kerf_div_up(a->gc, a->columns);
	a->panel_bytes = (size_t)(a->steps * a->columns * 4);
	a->direct = a->tile.bytes && !a->x_signed && a->k == a->c && a->c % 4 == 0 &&
		    a->stride_h == 1 && a->stride_w == 1 && a->h == a->oh && a->w == a->ow &&
		    !a->pad_h && !a->pad_w;
	to = kerf_cpu_weights(b, (size_t)(a->groups * a->n_panels) * a->panel_bytes);
	a->bias = kerf_cpu_weights(b, (size_t)(a->groups * a->n_panels * a->columns) * 4);
	a->m = kerf_cpu_weights(b, (size_t)(a->groups * a->n_panels * a->columns) * 4);
	if (!to || !a->bias || !a->m)
		return -ENOMEM;
	pack_panels(a, w, to);
	a->panels = to;
	plan_items(a, b->threads);
	s->scratch_bytes = (size_t)b->threads * a->patch_bytes;
	s->run = run_product;
	return 0;
}

/* Inputs 1 to 8 are constants, x and y have one scale and zero point. */
static bool known_params(const struct kerf_cpu_step *s)
{
	int k;

	for (k = 1; k < s->op->n_in; k++)
		if (s->in[k].dtype != KERF_NONE && !s->in[k].data)
			return false;
	return kerf_tensor_count(&s->in[1]) == 1;
}

static int make_product(struct kerf_cpu_build *b, struct kerf_cpu_step *s, struct product_arg *a,
			const struct weights *w)
{
	struct kerf_quant_target t;
	int r = kerf_quant_target(s->op, &s->in[6], &s->in[7], &t);

	if (r)
		return r;
	a->x_signed = s->in[0].dtype == KERF_I8;
	a->x_zero = (int32_t)kerf_zero_point(&s->in[2], 0);
	a->zero = t.zero;
	a->lo = t.lo;
	a->hi = t.hi;
	if (a->groups > 1 && a->groups == a->c && a->c == a->oc)
		r = pack_depthwise(b, s, a, w);
	else
		r = pack_product(b, s, a, w);
	if (r)
		return r;
	fill_columns(s, a, w, t.scale);
	kerf_cpu_forget(b, w->w->data, kerf_tensor_bytes(w->w));
	s->arg = kerf_arena_dup(b->mem, a, sizeof(*a));
	return s->arg ? 0 : -ENOMEM;
}

static int choose_conv(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *x = &s->in[0], *w = &s->in[3], *y = &s->out[0];
	struct kerf_window win;
	struct product_arg a = {.groups = kerf_op_int(s->op, "group", 1)};
	struct weights from;

	if (!s->op->nhwc || x->rank != 4 || !known_params(s))
		return -EOPNOTSUPP;
	if (kerf_op_window(s->op, x, w->dims + 2, &win, b->err))
		return -EINVAL;
	a.h = x->dims[1], a.w = x->dims[2], a.c = x->dims[3];
	a.oh = y->dims[1], a.ow = y->dims[2], a.oc = y->dims[3];
	a.kh = win.kernel[0], a.kw = win.kernel[1];
	a.stride_h = win.stride[0], a.stride_w = win.stride[1];
	a.dilation_h = win.dilation[0], a.dilation_w = win.dilation[1];
	a.pad_h = win.pad_begin[0], a.pad_w = win.pad_begin[1];
	a.ic = a.c / a.groups;
	a.gc = a.oc / a.groups;
	a.pixels = y->dims[0] * a.oh * a.ow;
	a.k = a.kh * a.kw * a.ic;
	from = (struct weights){w, &s->in[5], a.ic * a.kh * a.kw, a.kh * a.kw, 1};
	return make_product(b, s, &a, &from);
}

/* Rows of `columns_last` weights [K, N], else [N, K]. */
static int choose_rows(struct kerf_cpu_build *b, struct kerf_cpu_step *s, bool columns_last)
{
	const struct kerf_tensor *w = &s->in[3];
	struct product_arg a = {.h = 1,
				.oh = 1,
				.kh = 1,
				.kw = 1,
				.groups = 1,
				.stride_h = 1,
				.stride_w = 1,
				.dilation_h = 1,
				.dilation_w = 1};
	struct weights from;

	if (w->rank != 2 || s->in[0].rank < 2 || !known_params(s))
		return -EOPNOTSUPP;
	a.c = a.ic = a.k = w->dims[columns_last ? 0 : 1];
	a.oc = a.gc = w->dims[columns_last ? 1 : 0];
	a.w = a.ow = a.pixels = kerf_tensor_count(&s->in[0]) / a.c;
	from = (struct weights){w, &s->in[5], columns_last ? 1 : a.c, columns_last ? a.oc : 1, 0};
	return make_product(b, s, &a, &from);
}

static int choose_matmul(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	return choose_rows(b, s, true);
}

static int choose_gemm(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	return choose_rows(b, s, false);
}

int kerf_cpu_product8(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	static const struct kerf_cpu_entry table[] = {
		{"QLinearConv", choose_conv},
		{"QLinearMatMul", choose_matmul},
		{"qGemm", choose_gemm},
		{NULL, NULL},
	};

	return kerf_cpu_by_name(table, b, s);
}
