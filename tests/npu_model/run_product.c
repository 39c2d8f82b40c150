/* SPDX-License-Identifier: MIT */
/*
 * CONV and FC with the runtime's tile kernels. Weights of a group are packed into panels of
 * columns; pixels are taken in blocks, whose patches (input values that a pixel sees, in
 * weight order) are gathered and multiplied by one panel after another.
 */
#include "npu.h"

#include "exec/cpu_depthwise.h"
#include "exec/cpu_tile.h"

#include <string.h>

#define PATCH_BYTES (192 << 10) /* a block's: stays in the second-level cache */
#define MAX_BLOCK 96
#define BLOCK_K 512		 /* of float32: a panel's part in the first-level cache */
#define BAND_WORK (1 << 22)	 /* of a depthwise convolution between looks at the registers */

struct product {
	struct npu_job *job;
	const struct kerf_isa *isa;
	int64_t n, h, w, c, oh, ow, oc, kh, kw;
	int64_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
	int64_t groups, ic, gc, k; /* channels of a group in and out; products in a sum */
	int64_t pixels;
	bool x_signed, w_signed;
	int32_t x_zero, w_zero, y_zero;
	const uint8_t *x, *weights;
	uint8_t *y;
	const uint8_t *bias, *scale, *residual; /* or NULL */
	struct kerf_npu_out out;
	bool direct; /* x is made of patches as it is */
};

/* --- patches --------------------------------------------------------------------------- */

/* One kernel row of a patch: kw taps of ic channels, `size` bytes each. x: NULL in the padding. */
static uint8_t *gather_row(const struct product *p, uint8_t *to, const uint8_t *x, int64_t ix,
			   int64_t size, int fill)
{
	size_t tap = (size_t)(p->ic * size), k;

	if (x && p->groups == 1 && p->dilation_w == 1 && ix >= 0 && ix + p->kw <= p->w) {
		memcpy(to, x + ix * p->c * size, tap * (size_t)p->kw);
		return to + tap * (size_t)p->kw;
	}
	for (k = 0; k < (size_t)p->kw; k++, ix += p->dilation_w, to += tap) {
		if (x && ix >= 0 && ix < p->w)
			memcpy(to, x + ix * p->c * size, tap);
		else
			memset(to, fill, tap);
	}
	return to;
}

static void gather(const struct product *p, uint8_t *to, int64_t pixel, int64_t group, int64_t size,
		   int fill)
{
	int64_t image = pixel / (p->oh * p->ow), oy = pixel / p->ow % p->oh, ox = pixel % p->ow, k;
	const uint8_t *x = p->x + (image * p->h * p->w * p->c + group * p->ic) * size;
	int64_t iy = oy * p->stride_h - p->pad_top, ix = ox * p->stride_w - p->pad_left;

	for (k = 0; k < p->kh; k++, iy += p->dilation_h)
		to = gather_row(p, to, iy >= 0 && iy < p->h ? x + iy * p->w * p->c * size : NULL,
				ix, size, fill);
}

/* Patches are x itself: a tap a pixel, every pixel in turn. */
static bool is_direct(const struct product *p)
{
	return p->groups == 1 && p->kh == 1 && p->kw == 1 && p->stride_h == 1 &&
	       p->stride_w == 1 && !p->pad_top && !p->pad_left && p->h == p->oh && p->w == p->ow;
}

static int64_t block_rows(int64_t row_bytes, int64_t rows_of_tile)
{
	int64_t n = KERF_MIN(PATCH_BYTES / row_bytes, MAX_BLOCK);

	return KERF_MAX(n - n % rows_of_tile, rows_of_tile);
}

/* Steps of a panel packed at a time: a line of each column, and what is written stays near. */
#define PACK_STEPS 16

/* --- float32 --------------------------------------------------------------------------- */

/* Rows of a block times one panel. */
static void tile_f32(const struct product *p, const float *rows, int64_t lda, int64_t n,
		     const float *panel, const float *bias, int64_t column, int64_t cols, float *y,
		     const float *residual)
{
	const struct kerf_cpu_tile_fns *f = p->isa->heavy->tile;
	struct kerf_act act = npu_act(&p->out);
	int64_t m, i, k0;

	for (i = 0; i < n; i += m) {
		struct kerf_cpu_tile t = {.lda = lda, .bias = bias, .cols = (int)cols};
		int64_t half;

		m = KERF_MIN(n - i, f->mr);
		half = (m + 1) / 2;
		t.ldc = t.ldr = p->oc;
		t.clamp = kerf_cpu_act_is_clamp(&act, &t.low, &t.high) && act.kind;
		t.a[0] = rows + i * lda;
		t.a[1] = rows + (i + half) * lda;
		t.c[0] = y + i * p->oc + column;
		t.c[1] = y + (i + half) * p->oc + column;
		if (residual) {
			t.r[0] = residual + i * p->oc + column;
			t.r[1] = residual + (i + half) * p->oc + column;
		}
		for (k0 = 0; k0 < p->k; k0 += BLOCK_K) {
			t.seg = &k0;
			t.n_seg = 1;
			t.seg_len = KERF_MIN(p->k - k0, BLOCK_K);
			t.b = t.ahead = panel + k0 * f->nr;
			t.first = !k0;
			t.last = k0 + t.seg_len == p->k;
			f->fn[cols > f->lanes][m - 1](&t);
		}
		if (act.kind && !t.clamp)
			f->act(&act, t.c[0], p->oc, m, cols);
	}
}

/* A panel [k][nr] of `cols` columns whose weights stand one behind the other. */
static void pack_panel_f32(const float *w, int64_t k, int64_t cols, int64_t nr, float *to)
{
	int64_t k0, col, e;

	for (k0 = 0; k0 < k; k0 += PACK_STEPS) {
		const int64_t n = KERF_MIN(k - k0, PACK_STEPS);

		for (col = 0; col < cols; col++)
			for (e = 0; e < n; e++)
				to[(k0 + e) * nr + col] = w[col * k + k0 + e];
		for (; col < nr; col++)
			for (e = 0; e < n; e++)
				to[(k0 + e) * nr + col] = 0;
	}
}

static uint32_t group_f32(const struct product *p, int64_t group, float *panels, float *bias,
			  float *patches)
{
	const struct kerf_cpu_tile_fns *f = p->isa->heavy->tile;
	int64_t nr = f->nr, n_panels = kerf_div_up(p->gc, nr), at, i, n;
	int64_t block = block_rows(p->k * 4, f->mr);
	const float *w = (const float *)p->weights + group * p->gc * p->k;

	for (i = 0; i < n_panels; i++) {
		if (!npu_go_on(p->job))
			return KERF_NPU_FAULT_ABORTED;
		pack_panel_f32(w + i * nr * p->k, p->k, KERF_MIN(p->gc - i * nr, nr), nr,
			       panels + i * nr * p->k);
	}
	memset(bias, 0, (size_t)(n_panels * nr) * 4);
	if (p->bias)
		memcpy(bias, (const float *)p->bias + group * p->gc, (size_t)p->gc * 4);
	for (at = 0; at < p->pixels; at += n) {
		const float *rows = patches;
		int64_t out = at * p->oc + group * p->gc;

		n = KERF_MIN(p->pixels - at, block);
		if (p->direct)
			rows = (const float *)p->x + at * p->c;
		else
			for (i = 0; i < n; i++)
				gather(p, (uint8_t *)(patches + i * p->k), at + i, group, 4, 0);
		for (i = 0; i < n_panels; i++) {
			if (!npu_go_on(p->job))
				return KERF_NPU_FAULT_ABORTED;
			tile_f32(p, rows, p->k, n, panels + i * nr * p->k,
				 p->bias ? bias + i * nr : NULL, i * nr,
				 KERF_MIN(p->gc - i * nr, nr), (float *)p->y + out,
				 p->residual ? (const float *)p->residual + out : NULL);
		}
	}
	return 0;
}

static uint32_t product_f32(const struct product *p)
{
	const struct kerf_cpu_tile_fns *f = p->isa->heavy->tile;
	int64_t padded = kerf_div_up(p->gc, f->nr) * f->nr, group;
	float *panels = npu_scratch(p->job, (uint64_t)(padded * p->k) * 4);
	float *bias = npu_scratch(p->job, (uint64_t)padded * 4);
	float *patches = npu_scratch(p->job, (uint64_t)(block_rows(p->k * 4, f->mr) * p->k) * 4);
	uint32_t code = 0;

	if (!panels || !bias || !patches)
		return KERF_NPU_FAULT_MEMORY;
	for (group = 0; !code && group < p->groups; group++)
		code = group_f32(p, group, panels, bias, patches);
	return code;
}

/* Depthwise by bands of output rows: a band is a convolution with other pads. */
static uint32_t depthwise_f32(const struct product *p)
{
	int64_t image, row, rows = KERF_MAX(BAND_WORK / (p->ow * p->c * p->k), 1);
	struct kerf_cpu_conv_desc d = {
		.n = 1,
		.h = p->h,
		.w = p->w,
		.c = p->c,
		.ow = p->ow,
		.oc = p->oc,
		.kh = p->kh,
		.kw = p->kw,
		.stride_h = p->stride_h,
		.stride_w = p->stride_w,
		.dilation_h = p->dilation_h,
		.dilation_w = p->dilation_w,
		.pad_w = p->pad_left,
		.groups = p->groups,
		.act = npu_act(&p->out),
	};
	struct kerf_cpu_depthwise *dw;
	struct kerf_pool *pool;

	if (kerf_pool_new(1, false, &pool))
		return KERF_NPU_FAULT_MEMORY;
	for (image = 0; image < p->n; image++)
		for (row = 0; row < p->oh; row += rows) {
			int64_t out = (image * p->oh + row) * p->ow * p->oc;

			d.oh = KERF_MIN(rows, p->oh - row);
			d.pad_h = p->pad_top - row * p->stride_h;
			if (!npu_go_on(p->job)) {
				kerf_pool_free(pool);
				return KERF_NPU_FAULT_ABORTED;
			}
			if (kerf_cpu_depthwise_prepare(p->isa->heavy, &d,
						       (const float *)p->weights,
						       (const float *)p->bias, NULL, &dw)) {
				kerf_pool_free(pool);
				return KERF_NPU_FAULT_MEMORY;
			}
			kerf_cpu_depthwise_run(
				dw, pool, (const float *)p->x + image * p->h * p->w * p->c,
				p->residual ? (const float *)p->residual + out : NULL,
				(float *)p->y + out);
			kerf_cpu_depthwise_free(dw);
		}
	kerf_pool_free(pool);
	return 0;
}

/* --- 8 bits ---------------------------------------------------------------------------- */

static int32_t weight(const struct product *p, int64_t i)
{
	return (p->w_signed ? (int8_t)p->weights[i] : p->weights[i]) - p->w_zero;
}

/* Dot products of bytes take weights of int8 less their zero points; else words of 16 bits. */
static const struct kerf_cpu_tile8 *choose_tile(const struct product *p)
{
	return p->isa->dots && p->w_zero == (p->w_signed ? 0 : 128) ? &p->isa->int8->dots
								    : &p->isa->int8->words;
}

/* Columns of bytes: whole steps are moved as words, the rest byte by byte. */
static void pack_bytes(const struct product *p, int64_t first, int64_t cols, int64_t columns,
		       uint8_t *to)
{
	const uint32_t flip = p->w_signed ? 0 : 0x80808080u;
	const int64_t whole = p->k / 4;
	int64_t s0, s, col, e;

	for (s0 = 0; s0 < whole; s0 += PACK_STEPS)
		for (col = 0; col < cols; col++)
			for (s = s0; s < KERF_MIN(whole, s0 + PACK_STEPS); s++) {
				uint32_t v;

				memcpy(&v, p->weights + first + col * p->k + s * 4, 4);
				v ^= flip;
				memcpy(to + (s * columns + col) * 4, &v, 4);
			}
	for (col = 0; col < cols; col++)
		for (e = whole * 4; e < p->k; e++)
			to[(whole * columns + col) * 4 + e % 4] =
				(uint8_t)weight(p, first + col * p->k + e);
}

static void pack_words(const struct product *p, int64_t first, int64_t cols, int64_t columns,
		       uint8_t *to)
{
	int64_t e0, e, col;

	for (e0 = 0; e0 < p->k; e0 += 2 * PACK_STEPS)
		for (col = 0; col < cols; col++)
			for (e = e0; e < KERF_MIN(p->k, e0 + 2 * PACK_STEPS); e++) {
				int16_t v = (int16_t)weight(p, first + col * p->k + e);

				memcpy(to + (e / 2 * columns + col) * 4 + e % 2 * 2, &v, 2);
			}
}

/* A panel [step][column][4 bytes]; `first` is its first weight. */
static void pack_panel8(const struct product *p, const struct kerf_cpu_tile8 *tile, int64_t first,
			int64_t cols, int64_t steps, uint8_t *to)
{
	int64_t columns = KERF_INT8_COLUMNS(p->isa->int8->lanes);

	/* Columns that do not exist, and the end of the last step. */
	if (cols < columns)
		memset(to, 0, (size_t)(steps * columns) * 4);
	else
		memset(to + (steps - 1) * columns * 4, 0, (size_t)columns * 4);
	if (tile->bytes)
		pack_bytes(p, first, cols, columns, to);
	else
		pack_words(p, first, cols, columns, to);
}

#define SUM_BLOCK 64 /* a constant, so that the compiler makes vectors of it */

/* The part of a column's sum that x's zero point makes, where x is not taken less it. */
static uint32_t zero_part(const struct product *p, int64_t first)
{
	int32_t stored = p->x_signed ? p->x_zero + 128 : p->x_zero, i;
	const uint8_t *w = p->weights + first;
	uint32_t sum = 0;
	int64_t k = 0;

	for (; k + SUM_BLOCK <= p->k; k += SUM_BLOCK, w += SUM_BLOCK) {
		int32_t block = 0;

		if (p->w_signed)
			for (i = 0; i < SUM_BLOCK; i++)
				block += (int8_t)w[i];
		else
			for (i = 0; i < SUM_BLOCK; i++)
				block += w[i];
		sum += (uint32_t)(block - SUM_BLOCK * p->w_zero);
	}
	for (; k < p->k; k++)
		sum += (uint32_t)weight(p, first + k);
	return sum * (uint32_t)stored;
}

struct columns8 {
	int32_t *bias;
	float *m;
};

static bool columns8_new(const struct product *p, int64_t padded, struct columns8 *c)
{
	c->bias = npu_scratch(p->job, (uint64_t)padded * 4);
	c->m = npu_scratch(p->job, (uint64_t)padded * 4);
	return c->bias && c->m;
}

/* Bias and factor of n columns from `first` on, padded. */
static void fill_columns8(const struct product *p, const struct columns8 *c, int64_t first,
			  int64_t n, int64_t padded)
{
	memset(c->bias, 0, (size_t)padded * 4);
	memset(c->m, 0, (size_t)padded * 4);
	memcpy(c->m, p->scale + first * 4, (size_t)n * 4);
	if (p->bias)
		memcpy(c->bias, p->bias + first * 4, (size_t)n * 4);
}

/* Patches of n pixels as the tile reads them, row_bytes apart. raw: room for one patch. */
static void gather8(const struct product *p, const struct kerf_cpu_tile8 *tile, int64_t at,
		    int64_t n, int64_t group, int64_t row_bytes, uint8_t *raw, uint8_t *to)
{
	int64_t i, k;

	for (i = 0; i < n; i++, to += row_bytes) {
		memset(to + row_bytes - 4, 0, 4);
		if (!tile->bytes) {
			gather(p, raw, at + i, group, 1, p->x_zero);
			p->isa->int8->widen((int16_t *)to, raw, p->k, p->x_zero, p->x_signed);
			continue;
		}
		gather(p, to, at + i, group, 1, p->x_zero);
		for (k = 0; p->x_signed && k < row_bytes; k += 4) {
			uint32_t v;

			memcpy(&v, to + k, 4);
			v ^= 0x80808080u;
			memcpy(to + k, &v, 4);
		}
	}
}

static uint32_t group8(const struct product *p, int64_t group, uint8_t *panels,
		       const struct columns8 *c, uint8_t *raw, uint8_t *patches)
{
	const struct kerf_cpu_tile8 *tile = choose_tile(p);
	int64_t steps = kerf_div_up(p->k, tile->bytes ? 4 : 2), row_bytes = steps * 4;
	int64_t columns = KERF_INT8_COLUMNS(p->isa->int8->lanes);
	int64_t n_panels = kerf_div_up(p->gc, columns), block = block_rows(row_bytes, tile->rows);
	int64_t panel_bytes = steps * columns * 4, at, i, n;
	bool direct = p->direct && tile->bytes && !p->x_signed && p->c % 4 == 0;
	struct kerf_requant q = {c->bias, c->m, p->y_zero, (int32_t)p->out.lo, (int32_t)p->out.hi};

	fill_columns8(p, c, group * p->gc, p->gc, n_panels * columns);
	for (i = 0; i < p->gc; i++) {
		if (i % columns == 0) {
			if (!npu_go_on(p->job))
				return KERF_NPU_FAULT_ABORTED;
			pack_panel8(p, tile, (group * p->gc + i) * p->k,
				    KERF_MIN(p->gc - i, columns), steps,
				    panels + i / columns * panel_bytes);
		}
		if (tile->bytes)
			c->bias[i] = (int32_t)((uint32_t)c->bias[i] -
					       zero_part(p, (group * p->gc + i) * p->k));
	}
	for (at = 0; at < p->pixels; at += n) {
		const uint8_t *rows = patches;
		uint8_t *y = p->y + at * p->oc + group * p->gc;

		n = KERF_MIN(p->pixels - at, block);
		if (direct)
			rows = p->x + at * p->c;
		else
			gather8(p, tile, at, n, group, row_bytes, raw, patches);
		for (i = 0; i < n_panels; i++) {
			if (!npu_go_on(p->job))
				return KERF_NPU_FAULT_ABORTED;
			tile->run(rows, (size_t)row_bytes, (int)n, panels + i * panel_bytes, steps,
				  &q, i * columns, p->gc, y, p->oc);
		}
	}
	return 0;
}

static uint32_t product8(const struct product *p)
{
	const struct kerf_cpu_tile8 *tile = choose_tile(p);
	int64_t row_bytes = kerf_div_up(p->k, tile->bytes ? 4 : 2) * 4, group;
	int64_t columns = KERF_INT8_COLUMNS(p->isa->int8->lanes);
	int64_t padded = kerf_div_up(p->gc, columns) * columns;
	uint8_t *panels = npu_scratch(p->job, (uint64_t)(padded * row_bytes));
	uint8_t *raw = npu_scratch(p->job, (uint64_t)p->k);
	uint8_t *patches =
		npu_scratch(p->job, (uint64_t)(block_rows(row_bytes, tile->rows) * row_bytes));
	struct columns8 c;
	uint32_t code = 0;

	if (!columns8_new(p, padded, &c) || !panels || !raw || !patches)
		return KERF_NPU_FAULT_MEMORY;
	for (group = 0; !code && group < p->groups; group++)
		code = group8(p, group, panels, &c, raw, patches);
	return code;
}

static uint32_t depthwise8(const struct product *p)
{
	int64_t padded = (p->c + 15) & ~(int64_t)15, tap, ch, image, oy, ox;
	int32_t *w = npu_scratch(p->job, (uint64_t)(p->k * padded) * 4);
	struct kerf_cpu_window8 t = {.step_h = p->dilation_h * p->w * p->c,
				     .step_w = p->dilation_w * p->c,
				     .w_h = p->kw * padded,
				     .w_w = padded};
	struct kerf_requant q = {.zero = p->y_zero,
				 .lo = (int32_t)p->out.lo,
				 .hi = (int32_t)p->out.hi};
	struct columns8 c;

	if (!columns8_new(p, padded, &c) || !w)
		return KERF_NPU_FAULT_MEMORY;
	fill_columns8(p, &c, 0, p->c, padded);
	q.bias = c.bias;
	q.m = c.m;
	memset(w, 0, (size_t)(p->k * padded) * 4);
	for (ch = 0; ch < p->c; ch++)
		for (tap = 0; tap < p->k; tap++)
			w[tap * padded + ch] = weight(p, ch * p->k + tap);
	for (image = 0; image < p->n; image++)
		for (oy = 0; oy < p->oh; oy++) {
			int64_t y0 = oy * p->stride_h - p->pad_top, h0, h1;

			kerf_cpu_taps_inside(y0, p->h, p->kh, p->dilation_h, &h0, &h1);
			for (ox = 0; ox < p->ow; ox++) {
				int64_t x0 = ox * p->stride_w - p->pad_left, w0, w1, from = 0;

				if (!npu_go_on(p->job))
					return KERF_NPU_FAULT_ABORTED;
				kerf_cpu_taps_inside(x0, p->w, p->kw, p->dilation_w, &w0, &w1);
				t.nh = w1 > w0 ? h1 - h0 : 0;
				t.nw = w1 - w0;
				if (t.nh)
					from = ((image * p->h + y0 + h0 * p->dilation_h) * p->w +
						x0 + w0 * p->dilation_w) *
					       p->c;
				p->isa->int8->depthwise(
					p->y + ((image * p->oh + oy) * p->ow + ox) * p->c,
					p->x + from, p->x_signed, p->x_zero,
					t.nh ? w + (h0 * p->kw + w0) * padded : w, &t, &q, p->c);
			}
		}
	return 0;
}

/* --- commands -------------------------------------------------------------------------- */

static void set_operands(struct product *p, const struct npu_task *t,
			 const struct kerf_npu_tensor *x, const struct kerf_npu_tensor *w,
			 const struct kerf_npu_tensor *y)
{
	p->x_signed = x->dtype == KERF_NPU_I8;
	p->w_signed = w->dtype == KERF_NPU_I8;
	p->x_zero = (int32_t)x->zero;
	p->w_zero = (int32_t)w->zero;
	p->y_zero = (int32_t)y->zero;
	p->x = t->op[NPU_X].data;
	p->weights = t->op[NPU_W].data;
	p->y = t->op[NPU_Y].data;
	p->bias = t->op[NPU_BIAS].data;
	p->scale = t->op[NPU_SCALE].data;
	p->residual = t->op[NPU_RESIDUAL].data;
	p->ic = p->c / p->groups;
	p->gc = p->oc / p->groups;
	p->k = p->kh * p->kw * p->ic;
	p->pixels = p->n * p->oh * p->ow;
	p->direct = is_direct(p);
}

uint32_t npu_run_conv(struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_conv *c = &t->c.conv;
	struct product p = {
		.job = job,
		.isa = &job->m->isa,
		.n = c->x.n,
		.h = c->x.h,
		.w = c->x.w,
		.c = c->x.c,
		.oh = c->y.h,
		.ow = c->y.w,
		.oc = c->y.c,
		.kh = c->w.h,
		.kw = c->w.w,
		.stride_h = c->stride_h,
		.stride_w = c->stride_w,
		.dilation_h = c->dilation_h,
		.dilation_w = c->dilation_w,
		.pad_top = (int32_t)c->pad_top,
		.pad_left = (int32_t)c->pad_left,
		.groups = c->groups,
		.out = c->out,
	};
	bool depthwise = c->groups > 1 && c->groups == c->x.c && c->groups == c->y.c;

	set_operands(&p, t, &c->x, &c->w, &c->y);
	if (npu_is_8bit(c->x.dtype))
		return depthwise ? depthwise8(&p) : product8(&p);
	return depthwise ? depthwise_f32(&p) : product_f32(&p);
}

uint32_t npu_run_fc(struct npu_job *job, struct npu_task *t)
{
	const struct kerf_npu_fc *c = &t->c.fc;
	bool quantised = npu_is_8bit(c->x.dtype), shared = c->w.n == 1;
	int64_t size = quantised ? 1 : 4, i;
	struct product p = {
		.job = job,
		.isa = &job->m->isa,
		.n = 1,
		.h = 1,
		.w = (int64_t)c->x.w * (shared ? c->x.n : 1),
		.c = c->x.c,
		.oh = 1,
		.ow = (int64_t)c->x.w * (shared ? c->x.n : 1),
		.oc = c->y.c,
		.kh = 1,
		.kw = 1,
		.stride_h = 1,
		.stride_w = 1,
		.dilation_h = 1,
		.dilation_w = 1,
		.groups = 1,
		.out = c->out,
	};
	uint32_t code = 0;

	set_operands(&p, t, &c->x, &c->w, &c->y);
	for (i = 0; !code && i < (shared ? 1 : c->x.n); i++) {
		code = quantised ? product8(&p) : product_f32(&p);
		p.x += p.w * p.c * size;
		p.weights += p.oc * p.c * size;
		p.y += p.w * p.oc * size;
		if (p.residual)
			p.residual += p.w * p.oc * size;
	}
	return code;
}
