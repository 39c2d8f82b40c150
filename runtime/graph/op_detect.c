/* SPDX-License-Identifier: MIT */
/* What detectors end with: NonMaxSuppression, RoiAlign. */
#include "graph/spatial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * --- NonMaxSuppression: boxes [N,S,4], scores [N,C,S], [most a class], [iou], [score] ---
 *
 * For each image and class, boxes in order of falling score (the lower index first
 * among equals); one whose overlap with a chosen one exceeds the threshold is
 * dropped. Rows of the output: image, class, box.
 */

static int suppress_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out, struct kerf_err *err)
{
	const struct kerf_tensor *most = kerf_op_opt(op, in, 2);
	int64_t each, n;
	int k;

	if (in[0].dtype != KERF_F32 || in[1].dtype != KERF_F32 || in[0].rank != 3 ||
	    in[1].rank != 3 || in[0].dims[2] != 4 || in[0].dims[0] != in[1].dims[0] ||
	    in[0].dims[1] != in[1].dims[2])
		return kerf_fail(err, -EINVAL,
				 "boxes and scores are not float32 [N, S, 4] and [N, C, S]");
	for (k = 2; k < op->n_in; k++)
		if (kerf_op_opt(op, in, k) && (in[k].dtype != (k == 2 ? KERF_I64 : KERF_F32) ||
					       kerf_tensor_count(&in[k]) != 1))
			return kerf_fail(err, -EINVAL, "input %d is not one %s", k,
					 k == 2 ? "int64" : "float32");
	each = in[0].dims[1];
	if (!most)
		each = 0;
	else if (most->data)
		each = KERF_MAX(KERF_MIN(each, kerf_tensor_int(most, 0)), 0);
	if (!kerf_mul(in[1].dims[0], in[1].dims[1], &n) || !kerf_mul(n, each, &n))
		return kerf_fail(err, -EINVAL, "the output is too large");
	out[0] = (struct kerf_tensor){KERF_I64, 2, {n, 3}, NULL};
	return 0;
}

struct box {
	float top, left, bottom, right;
};

static struct box box_of(const float *b, bool centre)
{
	if (centre)
		return (struct box){b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2,
				    b[0] + b[2] / 2};
	return (struct box){fminf(b[0], b[2]), fminf(b[1], b[3]), fmaxf(b[0], b[2]),
			    fmaxf(b[1], b[3])};
}

static float overlap(const struct box *a, const struct box *b)
{
	float height = fminf(a->bottom, b->bottom) - fmaxf(a->top, b->top);
	float width = fminf(a->right, b->right) - fmaxf(a->left, b->left);
	float area_a = (a->bottom - a->top) * (a->right - a->left);
	float area_b = (b->bottom - b->top) * (b->right - b->left), both;

	if (!(height > 0 && width > 0) || area_a <= 0 || area_b <= 0)
		return 0;
	both = height * width;
	return both / (area_a + area_b - both);
}

struct candidate {
	float score;
	int64_t index;
};

static int by_score(const void *a, const void *b)
{
	const struct candidate *p = a, *q = b;

	if (p->score != q->score)
		return p->score < q->score ? 1 : -1;
	return p->index < q->index ? -1 : p->index > q->index;
}

struct suppression {
	int64_t n_box, most;
	float iou, score;
	bool centre, any_score;
	struct candidate *list;
	struct box *chosen;
};

/* One image and class: indices of the chosen boxes to out (step 3 apart); their number. */
static int64_t suppress(struct suppression *s, const float *boxes, const float *scores,
			int64_t *out, int64_t room)
{
	int64_t i, k, n = 0, taken = 0;

	for (i = 0; i < s->n_box; i++)
		if (scores[i] == scores[i] && (s->any_score || scores[i] > s->score))
			s->list[n++] = (struct candidate){scores[i], i};
	qsort(s->list, (size_t)n, sizeof(*s->list), by_score);
	for (i = 0; i < n && taken < s->most && taken < room; i++) {
		struct box b = box_of(boxes + s->list[i].index * 4, s->centre);

		for (k = 0; k < taken; k++)
			if (overlap(&b, &s->chosen[k]) > s->iou)
				break;
		if (k < taken)
			continue;
		s->chosen[taken] = b;
		out[taken++ * 3] = s->list[i].index;
	}
	return taken;
}

static int suppress_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out)
{
	const struct kerf_tensor *most = kerf_op_opt(op, in, 2), *iou = kerf_op_opt(op, in, 3);
	const struct kerf_tensor *score = kerf_op_opt(op, in, 4);
	int64_t classes = in[1].dims[1], n, c, i, got, total = 0, *rows = out[0].data;
	struct suppression s = {.n_box = in[0].dims[1]};

	s.most = most ? kerf_tensor_int(most, 0) : 0;
	s.iou = iou ? (float)kerf_tensor_float(iou, 0) : 0;
	s.score = score ? (float)kerf_tensor_float(score, 0) : 0;
	s.any_score = !score;
	s.centre = kerf_op_int(op, "center_point_box", 0);
	s.list = malloc((size_t)KERF_MAX(s.n_box, 1) * sizeof(*s.list));
	s.chosen = malloc((size_t)KERF_MAX(s.n_box, 1) * sizeof(*s.chosen));
	for (n = 0; s.list && s.chosen && n < in[1].dims[0]; n++)
		for (c = 0; c < classes; c++) {
			got = suppress(&s, (const float *)in[0].data + n * s.n_box * 4,
				       (const float *)in[1].data + (n * classes + c) * s.n_box,
				       rows + total * 3 + 2, out[0].dims[0] - total);
			for (i = total; i < total + got; i++) {
				rows[i * 3] = n;
				rows[i * 3 + 1] = c;
			}
			total += got;
		}
	out[0].dims[0] = total;
	free(s.list);
	free(s.chosen);
	return s.list && s.chosen ? 0 : -ENOMEM;
}

static int64_t suppress_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			      const struct kerf_tensor *out)
{
	return 16 * kerf_tensor_count(&in[1]);
}

/* --- RoiAlign: x [N,C,H,W], rois [R,4], batch indices [R] -> [R,C,h,w] --- */

struct roi_form {
	int64_t height, width, ratio;
	float scale, shift;
	bool max, clip; /* clip: regions are at least one pixel */
};

static int parse_roi(const struct kerf_op *op, struct roi_form *f, struct kerf_err *err)
{
	const char *mode = kerf_op_string(op, "mode", "avg");
	const char *coord = kerf_op_string(op, "coordinate_transformation_mode",
					   op->opset < 16 ? "output_half_pixel" : "half_pixel");

	f->height = kerf_op_int(op, "output_height", 1);
	f->width = kerf_op_int(op, "output_width", 1);
	f->ratio = kerf_op_int(op, "sampling_ratio", 0);
	f->scale = kerf_op_float(op, "spatial_scale", 1);
	f->max = !strcmp(mode, "max");
	f->clip = !strcmp(coord, "output_half_pixel");
	f->shift = f->clip ? 0 : 0.5f;
	if ((!f->max && strcmp(mode, "avg")) || (!f->clip && strcmp(coord, "half_pixel")))
		return kerf_fail(err, -EINVAL, "mode '%.32s' or '%.32s'", mode, coord);
	if (f->height < 1 || f->width < 1 || f->height > 1 << 20 || f->width > 1 << 20 ||
	    f->ratio < 0 || f->ratio > 1024)
		return kerf_fail(err, -EINVAL,
				 "output_height, output_width or sampling_ratio out of range");
	return 0;
}

static int roi_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	struct roi_form f;
	int r = kerf_want_f32_like(&in[0], 0, err);

	if (!r)
		r = parse_roi(op, &f, err);
	if (r)
		return r;
	if (in[0].rank != 4 || in[1].dtype != in[0].dtype || in[1].rank != 2 ||
	    in[1].dims[1] != 4 || in[2].dtype != KERF_I64 || in[2].rank != 1 ||
	    in[2].dims[0] != in[1].dims[0])
		return kerf_fail(err, -EINVAL, "inputs are not [N, C, H, W], [R, 4] and int64 [R]");
	out[0] = (struct kerf_tensor){in[0].dtype, 4, {in[1].dims[0]}, NULL};
	out[0].dims[op->nhwc ? 3 : 1] = in[0].dims[op->nhwc ? 3 : 1];
	out[0].dims[op->nhwc ? 1 : 2] = f.height;
	out[0].dims[op->nhwc ? 2 : 3] = f.width;
	return 0;
}

/* Two taps along one axis of n pixels; 0 if p is too far outside to count. */
static int roi_taps(float p, int64_t n, int64_t at[2], float w[2])
{
	if (!(p >= -1 && p <= (float)n))
		return 0;
	p = fmaxf(p, 0);
	at[0] = (int64_t)p;
	if (at[0] >= n - 1) {
		at[0] = at[1] = n - 1;
		p = (float)(n - 1);
	} else {
		at[1] = at[0] + 1;
	}
	w[1] = p - (float)at[0];
	w[0] = 1 - w[1];
	return 2;
}

struct roi_bin {
	float y, x, step_y, step_x; /* first sample and the way to the next */
	int64_t n_y, n_x;
};

static float roi_reduce(const struct roi_form *f, const struct kerf_grid *g, const float *x,
			const struct roi_bin *b)
{
	float v = 0, count = (float)KERF_MAX(b->n_y * b->n_x, 1);
	bool first = true;
	int64_t i, j, row[2] = {0}, column[2] = {0};
	float wy[2] = {0}, wx[2] = {0};
	int k;

	for (i = 0; i < b->n_y; i++)
		for (j = 0; j < b->n_x; j++) {
			bool in = roi_taps(b->y + ((float)i + 0.5f) * b->step_y, g->size[0], row,
					   wy) &&
				  roi_taps(b->x + ((float)j + 0.5f) * b->step_x, g->size[1], column,
					   wx);
			float best = 0, sum = 0;

			for (k = 0; in && k < 4; k++) {
				float e = wy[k / 2] * wx[k % 2] *
					  x[row[k / 2] * g->step[0] + column[k % 2] * g->step[1]];

				best = k ? fmaxf(best, e) : e;
				sum += e;
			}
			/* Max is over weighted pixels, as ONNX defines it by its reference. */
			v = f->max ? (first ? best : fmaxf(v, best)) : v + sum;
			first = false;
		}
	return f->max ? v : v / count;
}

static int roi_one(const struct roi_form *f, const struct kerf_grid *gx, const struct kerf_grid *gy,
		   const float *x, const float *roi, struct kerf_tensor *y, int64_t y0)
{
	float left = roi[0] * f->scale - f->shift, top = roi[1] * f->scale - f->shift;
	float width = roi[2] * f->scale - f->shift - left;
	float height = roi[3] * f->scale - f->shift - top;
	float n_y, n_x;
	struct roi_bin b;
	int64_t c, h, w;

	if (f->clip) {
		width = fmaxf(width, 1);
		height = fmaxf(height, 1);
	}
	n_y = f->ratio ? (float)f->ratio : ceilf(height / (float)f->height);
	n_x = f->ratio ? (float)f->ratio : ceilf(width / (float)f->width);
	/* A region far beyond the image is an error, not an hour's work. */
	if (!(n_y <= 16.0f * (float)(gx->size[0] + 64) && n_x <= 16.0f * (float)(gx->size[1] + 64)))
		return -EINVAL;
	b.n_y = (int64_t)fmaxf(n_y, 0);
	b.n_x = (int64_t)fmaxf(n_x, 0);
	b.step_y = height / (float)f->height / (float)KERF_MAX(b.n_y, 1);
	b.step_x = width / (float)f->width / (float)KERF_MAX(b.n_x, 1);
	for (h = 0; h < f->height; h++)
		for (w = 0; w < f->width; w++) {
			b.y = top + (float)h * (height / (float)f->height);
			b.x = left + (float)w * (width / (float)f->width);
			for (c = 0; c < gy->channels; c++)
				kerf_f32_put(y,
					     y0 + c * gy->step_channel + h * gy->step[0] +
						     w * gy->step[1],
					     roi_reduce(f, gx, x + c * gx->step_channel, &b));
		}
	return 0;
}

static int roi_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	struct kerf_grid gx = kerf_grid_in(op, &in[0]), gy = kerf_grid_out(op, &out[0]);
	float *own_x = NULL, *own_r = NULL;
	const float *x, *rois;
	struct roi_form f;
	int64_t i, at;
	int r = parse_roi(op, &f, NULL);

	if (r || !kerf_tensor_count(&out[0]))
		return r;
	x = kerf_f32_of(&in[0], &own_x);
	rois = kerf_f32_of(&in[1], &own_r);
	r = x && rois ? 0 : -ENOMEM;
	for (i = 0; !r && i < in[1].dims[0]; i++) {
		at = ((const int64_t *)in[2].data)[i];
		r = at < 0 || at >= gx.batch || !gx.size[0] || !gx.size[1]
			    ? -EINVAL
			    : roi_one(&f, &gx, &gy, x + at * gx.step_batch, rois + i * 4, &out[0],
				      i * gy.step_batch);
	}
	free(own_x);
	free(own_r);
	return r;
}

static int64_t roi_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			 const struct kerf_tensor *out)
{
	int64_t ratio = KERF_MAX(KERF_MIN(kerf_op_int(op, "sampling_ratio", 0), 1024), 2);

	return kerf_flops_of(4 * ratio * ratio, kerf_tensor_count(&out[0]));
}

const struct kerf_op_def kerf_ops_detect[] = {
	{
		.name = "NonMaxSuppression",
		.since = 10,
		.min_in = 2,
		.max_in = 5,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_BOUNDED,
		.infer = suppress_infer,
		.eval = suppress_eval,
		.flops = suppress_flops,
	},
	{
		.name = "RoiAlign",
		.since = 10,
		.min_in = 3,
		.max_in = 3,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_SPATIAL,
		.infer = roi_infer,
		.eval = roi_eval,
		.flops = roi_flops,
	},
	{.name = NULL},
};
