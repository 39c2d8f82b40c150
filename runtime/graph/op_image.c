/* SPDX-License-Identifier: MIT */
/* DepthToSpace, SpaceToDepth, GridSample. */
#include "graph/spatial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- DepthToSpace, SpaceToDepth --- */

static int check_block(const struct kerf_op *op, const struct kerf_tensor *x, int64_t *block,
		       struct kerf_err *err)
{
	*block = kerf_op_int(op, "blocksize", 0);
	if (x->rank != 4)
		return kerf_fail(err, -EINVAL, "input 0 has rank %d, expected 4", x->rank);
	if (*block < 1 || *block > 1 << 20)
		return kerf_fail(err, -EINVAL, "blocksize is %lld", (long long)*block);
	return 0;
}

static void set_shape(const struct kerf_op *op, const struct kerf_tensor *x, int64_t c, int64_t h,
		      int64_t w, struct kerf_tensor *y)
{
	y->dtype = x->dtype;
	y->rank = 4;
	y->dims[0] = x->dims[0];
	y->dims[op->nhwc ? 3 : 1] = c;
	y->dims[op->nhwc ? 1 : 2] = h;
	y->dims[op->nhwc ? 2 : 3] = w;
}

static int to_space_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out, struct kerf_err *err)
{
	const char *mode = kerf_op_string(op, "mode", "DCR");
	struct kerf_grid g;
	int64_t b, h, w;
	int r = check_block(op, &in[0], &b, err);

	if (r)
		return r;
	if (strcmp(mode, "DCR") && strcmp(mode, "CRD"))
		return kerf_fail(err, -EINVAL, "mode is '%.32s'", mode);
	g = kerf_grid_in(op, &in[0]);
	if (g.channels % (b * b))
		return kerf_fail(err, -EINVAL,
				 "%lld channels are not a multiple of blocksize squared",
				 (long long)g.channels);
	if (!kerf_mul(g.size[0], b, &h) || !kerf_mul(g.size[1], b, &w))
		return kerf_fail(err, -EINVAL, "the output is too large");
	set_shape(op, &in[0], g.channels / (b * b), h, w, &out[0]);
	return 0;
}

static int to_depth_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out, struct kerf_err *err)
{
	struct kerf_grid g;
	int64_t b, c;
	int r = check_block(op, &in[0], &b, err);

	if (r)
		return r;
	g = kerf_grid_in(op, &in[0]);
	if (g.size[0] % b || g.size[1] % b || !kerf_mul(g.channels, b * b, &c))
		return kerf_fail(err, -EINVAL,
				 "height or width is not a multiple of blocksize %lld",
				 (long long)b);
	set_shape(op, &in[0], c, g.size[0] / b, g.size[1] / b, &out[0]);
	return 0;
}

static void copy_element(const struct kerf_tensor *x, int64_t from, struct kerf_tensor *y,
			 int64_t to)
{
	size_t size = kerf_dtype_size(x->dtype);

	memcpy((char *)y->data + (size_t)to * size, (const char *)x->data + (size_t)from * size,
	       size);
}

/*
 * The two are inverse: shallow has rows * b + i, deep has channel(c, i, j). Walks the
 * output, which is the shallow side of DepthToSpace and the deep one of SpaceToDepth.
 */
static int to_space_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out)
{
	struct kerf_grid gx = kerf_grid_in(op, &in[0]), gy = kerf_grid_out(op, &out[0]);
	bool crd = !strcmp(kerf_op_string(op, "mode", "DCR"), "CRD");
	int64_t b = kerf_op_int(op, "blocksize", 1), n, c, h, w;

	for (n = 0; n < gy.batch; n++)
		for (c = 0; c < gy.channels; c++)
			for (h = 0; h < gy.size[0]; h++)
				for (w = 0; w < gy.size[1]; w++) {
					int64_t row = h + gy.row0, held = row / b - gx.row0;
					int64_t part = row % b * b + w % b;
					int64_t deep =
						crd ? c * b * b + part : part * gy.channels + c;

					if (held < 0 || held >= gx.size[0])
						return -EINVAL;
					copy_element(&in[0],
						     n * gx.step_batch + deep * gx.step_channel +
							     held * gx.step[0] + w / b * gx.step[1],
						     &out[0],
						     n * gy.step_batch + c * gy.step_channel +
							     h * gy.step[0] + w * gy.step[1]);
				}
	return 0;
}

static int to_depth_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out)
{
	struct kerf_grid gx = kerf_grid_in(op, &in[0]), gy = kerf_grid_out(op, &out[0]);
	int64_t b = kerf_op_int(op, "blocksize", 1), n, c, h, w;

	for (n = 0; n < gy.batch; n++)
		for (c = 0; c < gy.channels; c++)
			for (h = 0; h < gy.size[0]; h++)
				for (w = 0; w < gy.size[1]; w++) {
					int64_t part = c / gx.channels, shallow = c % gx.channels;
					int64_t held = (h + gy.row0) * b + part / b - gx.row0;

					if (held < 0 || held >= gx.size[0])
						return -EINVAL;
					copy_element(&in[0],
						     n * gx.step_batch + shallow * gx.step_channel +
							     held * gx.step[0] +
							     (w * b + part % b) * gx.step[1],
						     &out[0],
						     n * gy.step_batch + c * gy.step_channel +
							     h * gy.step[0] + w * gy.step[1]);
				}
	return 0;
}

static int to_space_rows(const struct kerf_op *op, const struct kerf_tensor *in,
			 const struct kerf_tensor *out, int i, struct kerf_rows want,
			 struct kerf_rows *need)
{
	int64_t b = kerf_op_int(op, "blocksize", 1);

	if (!op->nhwc)
		return -EOPNOTSUPP;
	*need = kerf_rows_clamp(want.begin / b, (want.end - 1) / b, in[0].dims[1]);
	return 0;
}

static int to_depth_rows(const struct kerf_op *op, const struct kerf_tensor *in,
			 const struct kerf_tensor *out, int i, struct kerf_rows want,
			 struct kerf_rows *need)
{
	int64_t b = kerf_op_int(op, "blocksize", 1);

	if (!op->nhwc)
		return -EOPNOTSUPP;
	*need = kerf_rows_clamp(want.begin * b, want.end * b - 1, in[0].dims[1]);
	return 0;
}

/*
 * --- GridSample: x [N,C,H,W], grid [N,H',W',2] of (x, y) in [-1, 1] ---
 *
 * x and y obey op->nhwc; the grid keeps ONNX's order.
 */

enum sample_mode { BILINEAR, NEAREST, BICUBIC };
enum sample_border { ZEROS, BORDER, REFLECTION };

struct sampler {
	enum sample_mode mode;
	enum sample_border border;
	bool align;
};

static int parse_sampler(const struct kerf_op *op, struct sampler *s, struct kerf_err *err)
{
	const char *mode = kerf_op_string(op, "mode", op->opset < 20 ? "bilinear" : "linear");
	const char *border = kerf_op_string(op, "padding_mode", "zeros");

	if (!strcmp(mode, "bilinear") || !strcmp(mode, "linear"))
		s->mode = BILINEAR;
	else if (!strcmp(mode, "bicubic") || !strcmp(mode, "cubic"))
		s->mode = BICUBIC;
	else if (!strcmp(mode, "nearest"))
		s->mode = NEAREST;
	else
		return kerf_fail(err, -EINVAL, "mode is '%.32s'", mode);
	if (!strcmp(border, "zeros"))
		s->border = ZEROS;
	else if (!strcmp(border, "border"))
		s->border = BORDER;
	else if (!strcmp(border, "reflection"))
		s->border = REFLECTION;
	else
		return kerf_fail(err, -EINVAL, "padding_mode is '%.32s'", border);
	s->align = kerf_op_int(op, "align_corners", 0);
	return 0;
}

static int sample_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	struct sampler s;
	struct kerf_grid g;
	int r = kerf_want_f32_like(&in[0], 0, err);

	if (!r)
		r = kerf_want_f32_like(&in[1], 1, err);
	if (!r)
		r = parse_sampler(op, &s, err);
	if (r)
		return r;
	if (in[0].rank != 4)
		return kerf_fail(err, in[0].rank == 5 ? -EOPNOTSUPP : -EINVAL,
				 "input 0 has rank %d, expected 4", in[0].rank);
	if (in[1].rank != 4 || in[1].dims[3] != 2 || in[1].dims[0] != in[0].dims[0])
		return kerf_fail(err, -EINVAL, "grid is not [N, H, W, 2] for the N of input 0");
	g = kerf_grid_in(op, &in[0]);
	if (!g.size[0] || !g.size[1])
		return kerf_fail(err, -EINVAL, "input 0 has no pixels");
	set_shape(op, &in[0], g.channels, in[1].dims[1], in[1].dims[2], &out[0]);
	return 0;
}

/* Folds p at the borders, which lie at the outer pixels' centres (align) or edges. */
static double reflected(double p, int64_t n, bool align)
{
	double low = align ? 0 : -0.5, span = align ? (double)(n - 1) : (double)n, turns;

	if (span == 0)
		return 0;
	p = fabs(p - low);
	turns = floor(p / span);
	p -= turns * span;
	return fmod(turns, 2) == 0 ? low + p : low + span - p;
}

static double clamp(double p, double low, double high)
{
	return p > low ? (p < high ? p : high) : low; /* NaN: low */
}

/* A coordinate in [-1, 1] to one in pixels, folded as the border says (not for cubic). */
static double source(const struct sampler *s, double g, int64_t n)
{
	double p = s->align ? (g + 1) / 2 * (double)(n - 1) : ((g + 1) * (double)n - 1) / 2;

	p = clamp(p, -0x1p40, 0x1p40);
	if (s->mode == BICUBIC)
		return p;
	if (s->border == REFLECTION)
		p = reflected(p, n, s->align);
	return s->border == ZEROS ? p : clamp(p, 0, (double)(n - 1));
}

/* Taps along one axis: pixels (-1: zero) and weights. Returns their number. */
static int sample_taps(const struct sampler *s, double p, int64_t n, int64_t at[4], float w[4])
{
	int64_t first = (int64_t)floor(p);
	double f = p - (double)first, g = 1 - f, a = -0.75;
	int i, count = s->mode == BICUBIC ? 4 : 2;

	if (s->mode == NEAREST) {
		first = (int64_t)rint(p);
		w[0] = 1;
		count = 1;
	} else if (s->mode == BILINEAR) {
		w[0] = (float)g;
		w[1] = (float)f;
	} else {
		w[0] = (float)(((a * (f + 1) - 5 * a) * (f + 1) + 8 * a) * (f + 1) - 4 * a);
		w[1] = (float)(((a + 2) * f - (a + 3)) * f * f + 1);
		w[2] = (float)(((a + 2) * g - (a + 3)) * g * g + 1);
		w[3] = (float)(((a * (g + 1) - 5 * a) * (g + 1) + 8 * a) * (g + 1) - 4 * a);
		first--;
	}
	for (i = 0; i < count; i++) {
		at[i] = first + i;
		if (s->border == REFLECTION)
			at[i] = (int64_t)clamp(rint(reflected((double)at[i], n, s->align)), 0,
					       (double)(n - 1));
		else if (s->border == BORDER)
			at[i] = KERF_MAX(KERF_MIN(at[i], n - 1), 0);
		else if (at[i] < 0 || at[i] >= n)
			at[i] = -1;
	}
	return count;
}

static void sample_point(const struct sampler *s, const struct kerf_grid *gx, const float *x,
			 const float *point, struct kerf_tensor *y, int64_t y0, int64_t y_step)
{
	int64_t row[4], column[4], c;
	float wy[4], wx[4];
	int ny = sample_taps(s, source(s, point[1], gx->size[0]), gx->size[0], row, wy);
	int nx = sample_taps(s, source(s, point[0], gx->size[1]), gx->size[1], column, wx);
	int i, j;

	for (c = 0; c < gx->channels; c++) {
		float v = 0;

		for (i = 0; i < ny; i++) {
			float line = 0;

			for (j = 0; j < nx && row[i] >= 0; j++)
				if (column[j] >= 0)
					line = fmaf(wx[j],
						    x[c * gx->step_channel + row[i] * gx->step[0] +
						      column[j] * gx->step[1]],
						    line);
			v = fmaf(wy[i], line, v);
		}
		kerf_f32_put(y, y0 + c * y_step, v);
	}
}

static int sample_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	struct kerf_grid gx = kerf_grid_in(op, &in[0]), gy = kerf_grid_out(op, &out[0]);
	int64_t n, i, pixels = gy.size[0] * gy.size[1];
	float *own_x = NULL, *own_g = NULL;
	const float *x = kerf_f32_of(&in[0], &own_x), *g = kerf_f32_of(&in[1], &own_g);
	struct sampler s;
	int r = parse_sampler(op, &s, NULL);

	if (kerf_tensor_count(&out[0]) && (!x || !g))
		r = -ENOMEM;
	for (n = 0; !r && n < gy.batch; n++)
		for (i = 0; i < pixels; i++)
			sample_point(&s, &gx, x + n * gx.step_batch, g + (n * pixels + i) * 2,
				     &out[0], n * gy.step_batch + i * gy.step[1], gy.step_channel);
	free(own_x);
	free(own_g);
	return r;
}

static int64_t sample_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			    const struct kerf_tensor *out)
{
	return 8 * kerf_tensor_count(&out[0]);
}

/* Any pixel may be sampled; the grid's rows are the output's. */
static int sample_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		       const struct kerf_tensor *out, int i, struct kerf_rows want,
		       struct kerf_rows *need)
{
	if (!op->nhwc)
		return -EOPNOTSUPP;
	*need = i == 1 ? want : kerf_rows_all(&in[i]);
	return 0;
}

#define BLOCK(op_name, infer_fn, eval_fn, rows_fn)                                         \
	.name = op_name, .since = 1, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1, \
	.flags = KERF_OP_SPATIAL | KERF_OP_WINDOW, .infer = infer_fn, .eval = eval_fn,     \
	.flops = kerf_flops_none, .rows = rows_fn

const struct kerf_op_def kerf_ops_image[] = {
	{
		BLOCK("DepthToSpace", to_space_infer, to_space_eval, to_space_rows),
	},
	{
		BLOCK("SpaceToDepth", to_depth_infer, to_depth_eval, to_depth_rows),
	},
	{
		.name = "GridSample",
		.since = 16,
		.min_in = 2,
		.max_in = 2,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_SPATIAL,
		.infer = sample_infer,
		.eval = sample_eval,
		.flops = sample_flops,
		.rows = sample_rows,
	},
	{.name = NULL},
};
