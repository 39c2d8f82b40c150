/* SPDX-License-Identifier: MIT */
/*
 * Convolution as matrix product without im2col: the tile kernels (cpu_tile.h) read the
 * channels-last image itself. Where taps fall into the padding, or where pixels stand
 * so far apart that the rows of a tile would share one set of the first-level cache, the
 * rows a task needs are first copied, with their padding, into a band in scratch.
 *
 * A task is a chunk of output rows (of pixels, if the kernel is 1 x 1 and the image
 * needs no band) of one image and group by a chunk of panels.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/cpu_conv.h"
#include "exec/cpu_depthwise.h"

#define BAND_BYTES (384 << 10) /* of the input rows of a chunk: a part of a second-level cache */
#define TASKS_A_THREAD 4
#define MAX_BAND_FLOATS (1 << 26)

struct kerf_cpu_conv {
	const struct kerf_cpu_isa *isa;
	struct kerf_cpu_conv_desc d;	      /* as run: flat ones have h = n = oh = 1 */
	struct kerf_cpu_depthwise *depthwise; /* or all the rest */
	int64_t icg, ocg, k, panels;	      /* of one group */
	bool flat, band;
	int64_t pixel;	/* floats from pixel to pixel where the kernel reads */
	int64_t band_w; /* pixels in a row of the band */
	struct kerf_cpu_placement out;
	struct kerf_cpu_block *block;
	int n_block;
	float *b, *bias; /* bias: padded to panels in each group, or NULL */
	size_t group_floats, bytes;
};

/* How one run is cut into tasks. */
struct cut {
	int64_t step, m_chunks;	  /* rows (flat: pixels) in a chunk, chunks in an image */
	int64_t n_step, n_chunks; /* panels in a chunk, chunks in a group */
	size_t band_floats;
};

bool kerf_cpu_conv_makes_sense(const struct kerf_cpu_conv_desc *d)
{
	const int64_t sizes[] = {d->n, d->h, d->w, d->c, d->oh, d->ow, d->oc, d->groups};
	const int64_t window[] = {d->kh,       d->kw,	      d->stride_h,
				  d->stride_w, d->dilation_h, d->dilation_w};
	const int64_t limit = (int64_t)1 << 31, window_limit = 1 << 24;
	int64_t n, m;
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(sizes); i++)
		if (sizes[i] < 1 || sizes[i] > limit)
			return false;
	for (i = 0; i < KERF_ARRAY_SIZE(window); i++)
		if (window[i] < 1 || window[i] > window_limit)
			return false;
	if (d->pad_h > limit || d->pad_h < -limit || d->pad_w > limit || d->pad_w < -limit)
		return false;
	if (d->c % d->groups || d->oc % d->groups)
		return false;
	return kerf_mul(d->kh * d->kw, d->c / d->groups, &n) && n <= limit &&
	       kerf_mul(d->h, d->w, &m) && kerf_mul(m, d->c, &m) && kerf_mul(m, d->n, &m) &&
	       m <= KERF_MAX_TENSOR_BYTES && kerf_mul(d->oh, d->ow, &m) && kerf_mul(m, d->oc, &m) &&
	       kerf_mul(m, d->n, &m) && m <= KERF_MAX_TENSOR_BYTES;
}

static bool is_flat(const struct kerf_cpu_conv_desc *d)
{
	return d->kh == 1 && d->kw == 1 && d->stride_h == 1 && d->stride_w == 1 && !d->pad_h &&
	       !d->pad_w && d->oh == d->h && d->ow == d->w;
}

static bool is_dense(const struct kerf_cpu_conv_desc *d, const struct kerf_cpu_placement *out)
{
	return !out->at && out->pixel == d->oc && out->row == d->ow * d->oc &&
	       out->image == d->oh * d->ow * d->oc;
}

/* Whether some tap of some output falls outside the input along one axis. */
static bool pads(int64_t in, int64_t out, int64_t k, int64_t stride, int64_t dilation, int64_t pad)
{
	return pad > 0 || (out - 1) * stride - pad + (k - 1) * dilation >= in;
}

/* Rows of tiles this far apart would compete for few cache sets. */
static bool conflicts(int64_t floats)
{
	return floats % 1024 == 0;
}

/* Input rows that so many output rows need. */
static int64_t band_rows(const struct kerf_cpu_conv *c, int64_t rows)
{
	return (rows - 1) * c->d.stride_h + (c->d.kh - 1) * c->d.dilation_h + 1;
}

/* -EOPNOTSUPP if the padding is so wide that a band would be absurdly large. */
static int choose_layout(struct kerf_cpu_conv *c)
{
	struct kerf_cpu_conv_desc *d = &c->d;
	int64_t floats;

	c->flat = is_flat(d) && is_dense(d, &c->out);
	if (c->flat) {
		d->ow = d->w = d->n * d->h * d->w;
		d->n = d->h = d->oh = 1;
	}
	c->pixel = d->c;
	c->band_w = d->w;
	if (!c->k)
		return 0;
	c->band = pads(d->h, d->oh, d->kh, d->stride_h, d->dilation_h, d->pad_h) ||
		  pads(d->w, d->ow, d->kw, d->stride_w, d->dilation_w, d->pad_w) ||
		  conflicts(d->stride_w * d->c);
	if (c->band) {
		c->pixel = c->icg;
		if (conflicts(d->stride_w * c->pixel))
			c->pixel += 16;
		if (!c->flat) {
			c->band_w = (d->ow - 1) * d->stride_w + (d->kw - 1) * d->dilation_w + 1;
			if (!kerf_mul(band_rows(c, 2), c->band_w, &floats) ||
			    !kerf_mul(floats, c->pixel, &floats) || floats > MAX_BAND_FLOATS)
				return -EOPNOTSUPP;
		}
	}
	return 0;
}

static int make_blocks(struct kerf_cpu_conv *c)
{
	const struct kerf_cpu_conv_desc *d = &c->d;
	bool joined = d->dilation_w == 1 && c->pixel == c->icg;
	int64_t in_row = joined ? 1 : d->kw, n = d->kh * in_row, y, x;
	int64_t row = c->band_w * c->pixel, *seg;

	if (!c->k) {
		/* A chain of no terms: one block that reads nothing, and the epilogue. */
		c->block = calloc(1, sizeof(*c->block));
		c->n_block = 1;
		return c->block ? 0 : -ENOMEM;
	}
	seg = malloc((size_t)n * sizeof(*seg));
	if (!seg)
		return -ENOMEM;
	for (y = 0; y < d->kh; y++)
		for (x = 0; x < in_row; x++)
			seg[y * in_row + x] =
				y * d->dilation_h * row + x * d->dilation_w * c->pixel;
	c->n_block = kerf_cpu_blocks_new(seg, n, c->k / n, &c->block);
	free(seg);
	return KERF_MIN(c->n_block, 0);
}

static int pack_all(struct kerf_cpu_conv *c, const struct kerf_cpu_weights *weights,
		    int64_t w_group, const float *bias, struct kerf_pool *pool)
{
	const struct kerf_cpu_conv_desc *d = &c->d;
	int64_t bytes = kerf_cpu_panel_bytes(c->isa, c->ocg, c->k), padded, g;
	int nr = c->isa->tile->nr;

	padded = c->panels * nr;
	if (bytes < 0 || !kerf_mul(bytes, d->groups, &bytes) || bytes > KERF_MAX_TENSOR_BYTES)
		return -EINVAL;
	c->group_floats = (size_t)(bytes / d->groups) / sizeof(float);
	c->bytes = (size_t)bytes;
	c->b = aligned_alloc(KERF_ALIGN, KERF_MAX((size_t)bytes, KERF_ALIGN));
	if (!c->b)
		return -ENOMEM;
	for (g = 0; c->k && g < d->groups; g++) {
		struct kerf_cpu_weights src = *weights;

		src.w += g * w_group;
		if (src.scale)
			src.scale += g * c->ocg;
		kerf_cpu_pack(&src, nr, c->b + (size_t)g * c->group_floats, pool);
	}
	if (bias) {
		size_t n = kerf_align((size_t)(padded * d->groups) * sizeof(float));

		c->bias = aligned_alloc(KERF_ALIGN, n);
		if (!c->bias)
			return -ENOMEM;
		memset(c->bias, 0, n);
		for (g = 0; g < d->groups; g++)
			memcpy(c->bias + g * padded, bias + g * c->ocg,
			       (size_t)c->ocg * sizeof(float));
		c->bytes += n;
	}
	return 0;
}

int kerf_cpu_conv_new(const struct kerf_cpu_isa *isa, const struct kerf_cpu_conv_desc *desc,
		      const struct kerf_cpu_weights *weights, int64_t w_group, const float *bias,
		      const struct kerf_cpu_placement *out, struct kerf_pool *pool,
		      struct kerf_cpu_conv **conv)
{
	struct kerf_cpu_conv *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->isa = isa;
	c->d = *desc;
	c->out = *out;
	c->icg = desc->c / desc->groups;
	c->ocg = desc->oc / desc->groups;
	c->k = weights->taps_y * weights->taps_x * c->icg;
	c->panels = kerf_div_up(c->ocg, isa->tile->nr);
	r = choose_layout(c);
	if (!r)
		r = make_blocks(c);
	if (!r)
		r = pack_all(c, weights, w_group, bias, pool);
	if (r) {
		kerf_cpu_conv_free(c);
		return r;
	}
	*conv = c;
	return 0;
}

static int new_depthwise(const struct kerf_cpu_isa *isa, const struct kerf_cpu_conv_desc *desc,
			 const float *w, const float *bias, const float *scale,
			 struct kerf_cpu_conv **conv)
{
	struct kerf_cpu_conv *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->d = *desc;
	r = kerf_cpu_depthwise_prepare(isa, desc, w, bias, scale, &c->depthwise);
	if (r) {
		free(c);
		return r;
	}
	*conv = c;
	return 0;
}

int kerf_cpu_conv_prepare(const struct kerf_cpu_isa *isa, const struct kerf_cpu_conv_desc *desc,
			  const float *w, const float *bias, const float *scale,
			  struct kerf_pool *pool, struct kerf_cpu_conv **conv)
{
	const struct kerf_cpu_conv_desc *d = desc;
	const struct kerf_cpu_placement out = {
		.pixel = d->oc,
		.row = d->ow * d->oc,
		.image = d->oh * d->ow * d->oc,
	};
	struct kerf_cpu_weights weights;

	if (!kerf_cpu_conv_makes_sense(d))
		return -EINVAL;
	if (d->groups > 1 && d->c == d->groups)
		return new_depthwise(isa, d, w, bias, scale, conv);
	weights = (struct kerf_cpu_weights){
		.w = w,
		.scale = scale,
		.alpha = 1,
		.columns = d->oc / d->groups,
		.taps_y = d->kh,
		.taps_x = d->kw,
		.n_chan = d->c / d->groups,
		.column = d->c / d->groups * d->kh * d->kw,
		.tap_y = d->kw,
		.tap_x = 1,
		.chan = d->kh * d->kw,
	};
	return kerf_cpu_conv_new(isa, d, &weights, weights.columns * weights.column, bias, &out,
				 pool, conv);
}

void kerf_cpu_conv_free(struct kerf_cpu_conv *c)
{
	if (!c)
		return;
	kerf_cpu_depthwise_free(c->depthwise);
	free(c->block);
	free(c->b);
	free(c->bias);
	free(c);
}

size_t kerf_cpu_conv_weight_bytes(const struct kerf_cpu_conv *c)
{
	return c->depthwise ? kerf_cpu_depthwise_weight_bytes(c->depthwise) : c->bytes;
}

/* The largest chunk whose input fits the share of cache meant for it. */
static int64_t chunk_for_cache(const struct kerf_cpu_conv *c)
{
	int64_t budget = BAND_BYTES / (int64_t)sizeof(float), mr = c->isa->tile->mr, n;

	if (c->flat)
		return KERF_MAX(budget / c->pixel / mr, 4) * mr;
	n = budget / (c->band_w * c->pixel);
	n = (n - (c->d.kh - 1) * c->d.dilation_h - 1) / c->d.stride_h + 1;
	return KERF_MAX(n, 2);
}

static struct cut cut_tasks(const struct kerf_cpu_conv *c, int threads)
{
	const struct kerf_cpu_conv_desc *d = &c->d;
	int64_t extent = c->flat ? d->ow : d->oh, unit = c->flat ? c->isa->tile->mr : 1;
	int64_t want = threads > 1 ? threads * TASKS_A_THREAD : 1, others = d->n * d->groups;
	/* Re-reading B for each chunk against re-reading A for each: split where it is cheap. */
	bool b_heavy = c->k * c->ocg > 2 * d->h * d->w * c->icg;
	struct cut cut = {.step = KERF_MIN(chunk_for_cache(c), extent), .n_chunks = 1};

	if (2 * d->ow <= c->isa->tile->mr)
		unit = 2; /* whole pairs of short rows */
	if (!b_heavy && kerf_div_up(extent, cut.step) * others < want)
		cut.step = kerf_div_up(extent * others, want);
	cut.step = kerf_div_up(cut.step, unit) * unit;
	cut.m_chunks = kerf_div_up(extent, cut.step);
	/* even chunks */
	cut.step = kerf_div_up(kerf_div_up(extent, cut.m_chunks), unit) * unit;
	cut.m_chunks = kerf_div_up(extent, cut.step);
	if (cut.m_chunks * others < want)
		cut.n_chunks = KERF_MIN(c->panels, kerf_div_up(want, cut.m_chunks * others));
	cut.n_step = kerf_div_up(c->panels, cut.n_chunks);
	cut.n_chunks = kerf_div_up(c->panels, cut.n_step);
	if (c->band)
		cut.band_floats =
			kerf_align((size_t)((c->flat ? KERF_MIN(cut.step, extent)
						     : band_rows(c, cut.step) * c->band_w) *
					    c->pixel) *
				   sizeof(float)) /
			sizeof(float);
	return cut;
}

size_t kerf_cpu_conv_scratch(const struct kerf_cpu_conv *c, int threads)
{
	if (c->depthwise)
		return 0;
	return cut_tasks(c, threads).band_floats * sizeof(float) * (size_t)threads;
}

/* n pixels of the group's channels; the spare room between pixels stays as it is. */
static void copy_pixels(const struct kerf_cpu_conv *c, float *to, const float *from, int64_t n)
{
	int64_t i;

	if (c->pixel == c->d.c) {
		memcpy(to, from, (size_t)(n * c->pixel) * sizeof(float));
		return;
	}
	for (i = 0; i < n; i++)
		memcpy(to + i * c->pixel, from + i * c->d.c, (size_t)c->icg * sizeof(float));
}

static void clear_pixels(const struct kerf_cpu_conv *c, float *to, int64_t n)
{
	memset(to, 0, (size_t)(n * c->pixel) * sizeof(float));
}

/* Input rows iy .. iy + rows, columns from -pad_w on, zeros outside the image. */
static void fill_band(const struct kerf_cpu_conv *c, float *band, const float *x, int64_t iy,
		      int64_t rows)
{
	const struct kerf_cpu_conv_desc *d = &c->d;
	int64_t ix = -d->pad_w;
	int64_t x0 = KERF_MIN(KERF_MAX(-ix, 0), c->band_w);
	int64_t x1 = KERF_MAX(KERF_MIN(d->w - ix, c->band_w), x0), y;

	for (y = 0; y < rows; y++, band += c->band_w * c->pixel) {
		if (iy + y < 0 || iy + y >= d->h) {
			clear_pixels(c, band, c->band_w);
			continue;
		}
		clear_pixels(c, band, x0);
		copy_pixels(c, band + x0 * c->pixel, x + ((iy + y) * d->w + ix + x0) * d->c,
			    x1 - x0);
		clear_pixels(c, band + x1 * c->pixel, c->band_w - x1);
	}
}

struct run {
	const struct kerf_cpu_conv *c;
	const float *x, *residual;
	float *y, *scratch;
	struct cut cut;
};

static void run_task(void *arg, int64_t item, int thread)
{
	const struct run *r = arg;
	const struct kerf_cpu_conv *c = r->c;
	const struct kerf_cpu_conv_desc *d = &c->d;
	int64_t m = item % r->cut.m_chunks, rest = item / r->cut.m_chunks;
	int64_t nc = rest % r->cut.n_chunks, g = rest / r->cut.n_chunks % d->groups;
	int64_t image = rest / r->cut.n_chunks / d->groups;
	int64_t from = m * r->cut.step;
	int64_t count = KERF_MIN(r->cut.step, (c->flat ? d->ow : d->oh) - from);
	const float *x = r->x + image * d->h * d->w * d->c + g * c->icg;
	int64_t out = c->out.at + image * c->out.image + g * c->ocg +
		      from * (c->flat ? c->out.pixel : c->out.row);
	struct kerf_cpu_walk walk = {
		.isa = c->isa,
		.b = c->b + (size_t)g * c->group_floats,
		.bias = c->bias ? c->bias + g * c->panels * c->isa->tile->nr : NULL,
		.residual = r->residual ? r->residual + out : NULL,
		.y = r->y + out,
		.rows = c->flat ? 1 : count,
		.pixels = c->flat ? count : d->ow,
		.a_row = d->stride_h * c->band_w * c->pixel,
		.a_pixel = d->stride_w * c->pixel,
		.y_row = c->out.row,
		.y_pixel = c->out.pixel,
		.r_row = c->out.row,
		.r_pixel = c->out.pixel,
		.columns = c->ocg,
		.k = c->k,
		.block = c->block,
		.n_block = c->n_block,
		.act = &d->act,
	};

	if (c->band) {
		float *band = r->scratch + (size_t)thread * r->cut.band_floats;

		if (c->flat)
			copy_pixels(c, band, x + from * d->c, count);
		else
			fill_band(c, band, x, from * d->stride_h - d->pad_h, band_rows(c, count));
		walk.a = band;
	} else {
		walk.a = c->flat ? x + from * d->c
				 : x + ((from * d->stride_h - d->pad_h) * d->w - d->pad_w) * d->c;
	}
	kerf_cpu_walk(&walk, nc * r->cut.n_step, KERF_MIN((nc + 1) * r->cut.n_step, c->panels));
}

void kerf_cpu_conv_run(const struct kerf_cpu_conv *c, struct kerf_pool *pool, const float *x,
		       const float *residual, float *y, void *scratch)
{
	struct run r = {.c = c, .x = x, .residual = residual, .y = y, .scratch = scratch};

	if (c->depthwise) {
		kerf_cpu_depthwise_run(c->depthwise, pool, x, residual, y);
		return;
	}
	r.cut = cut_tasks(c, kerf_pool_threads(pool));
	kerf_pool_run(pool, run_task, &r, r.cut.m_chunks * r.cut.n_chunks * c->d.groups * c->d.n);
}
