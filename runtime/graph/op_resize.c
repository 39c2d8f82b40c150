/* SPDX-License-Identifier: MIT */
/*
 * Resize and Upsample.
 *
 * Along each axis an output position has 1 (nearest), 2 (linear) or 4 (cubic) taps,
 * each an input position and a weight, computed in float64 from whole positions and
 * rounded to float32: so they are the same in a tile. An output element is nested
 * over the axes in ONNX's order (N, C, spatial): v = w[0] * inner[0], then
 * v = fma(w[t], inner[t], v), where inner is the same over the next axis.
 */
#include "graph/op_resize.h"
#include "graph/spatial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum resize_mode { NEAREST, LINEAR, CUBIC };

enum resize_coord {
	HALF_PIXEL,
	HALF_PIXEL_SYMMETRIC,
	PYTORCH_HALF_PIXEL,
	ALIGN_CORNERS,
	ASYMMETRIC,
	TF_HALF_PIXEL_FOR_NN,
	TF_CROP_AND_RESIZE,
};

static const char *const coord_names[] = {
	[HALF_PIXEL] = "half_pixel",
	[HALF_PIXEL_SYMMETRIC] = "half_pixel_symmetric",
	[PYTORCH_HALF_PIXEL] = "pytorch_half_pixel",
	[ALIGN_CORNERS] = "align_corners",
	[ASYMMETRIC] = "asymmetric",
	[TF_HALF_PIXEL_FOR_NN] = "tf_half_pixel_for_nn",
	[TF_CROP_AND_RESIZE] = "tf_crop_and_resize",
};

enum resize_round { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, FLOOR, CEIL };

static const char *const round_names[] = {
	[ROUND_PREFER_FLOOR] = "round_prefer_floor",
	[ROUND_PREFER_CEIL] = "round_prefer_ceil",
	[FLOOR] = "floor",
	[CEIL] = "ceil",
};

/* One axis of the whole operator. */
struct resize_axis {
	int64_t in, out;
	double scale;	   /* out / in where sizes are given */
	double length;	   /* of the output before it was cut to an integer */
	double begin, end; /* region of interest, in units of the input's length */
};

/* The operator in ONNX's order of axes. */
struct resize {
	int rank;
	enum resize_mode mode;
	enum resize_coord coord;
	enum resize_round round;
	bool exclude_outside;
	double cubic_a;
	float extrapolation;
	struct resize_axis axis[KERF_MAX_RANK];
};

static int pick(const struct kerf_op *op, const char *attr, const char *absent,
		const char *const *names, int n, int *out, struct kerf_err *err)
{
	const char *s = kerf_op_string(op, attr, absent);

	for (*out = 0; *out < n; ++*out)
		if (!strcmp(names[*out], s))
			return 0;
	return kerf_fail(err, -EINVAL, "%s is '%.32s'", attr, s);
}

static int parse_modes(const struct kerf_op *op, struct resize *z, struct kerf_err *err)
{
	bool old = op->opset < 11; /* Upsample, and Resize as it was first */
	const char *mode = kerf_op_string(op, "mode", "nearest");
	int coord = ASYMMETRIC, round = FLOOR, r = 0;

	if (!strcmp(mode, "nearest"))
		z->mode = NEAREST;
	else if (!strcmp(mode, "linear") || !strcmp(mode, "bilinear"))
		z->mode = LINEAR;
	else if (!strcmp(mode, "cubic"))
		z->mode = CUBIC;
	else
		return kerf_fail(err, -EINVAL, "mode is '%.32s'", mode);
	if (!old)
		r = pick(op, "coordinate_transformation_mode", "half_pixel", coord_names,
			 KERF_ARRAY_SIZE(coord_names), &coord, err);
	if (!old && !r)
		r = pick(op, "nearest_mode", "round_prefer_floor", round_names,
			 KERF_ARRAY_SIZE(round_names), &round, err);
	if (r)
		return r;
	if (kerf_op_int(op, "antialias", 0) && z->mode != NEAREST)
		return kerf_fail(err, -EOPNOTSUPP, "antialias");
	z->coord = (enum resize_coord)coord;
	z->round = (enum resize_round)round;
	z->exclude_outside = kerf_op_int(op, "exclude_outside", 0);
	z->cubic_a = (double)kerf_op_float(op, "cubic_coeff_a", -0.75f);
	z->extrapolation = kerf_op_float(op, "extrapolation_value", 0);
	return 0;
}

/* The axes that scales, sizes and roi speak of: index -> axis. */
static int parse_axes(const struct kerf_op *op, int rank, int *map, struct kerf_err *err)
{
	uint32_t n, i;
	const int64_t *axes = kerf_op_ints(op, "axes", &n);

	if (!axes) {
		for (i = 0; (int)i < rank; i++)
			map[i] = (int)i;
		return rank;
	}
	if (n > (uint32_t)rank)
		return kerf_fail(err, -EINVAL, "axes has %u elements for rank %d", n, rank);
	for (i = 0; i < n; i++) {
		map[i] = kerf_axis(axes[i], rank);
		if (map[i] < 0)
			return kerf_fail(err, -EINVAL, "axes[%u] is %lld", i, (long long)axes[i]);
	}
	return (int)n;
}

static int from_scales(struct resize *z, const struct kerf_tensor *scales, const int *map, int n,
		       struct kerf_err *err)
{
	int i;

	for (i = 0; i < n; i++) {
		struct resize_axis *a = &z->axis[map[i]];
		double s = kerf_tensor_float(scales, i);

		if (!(s > 0 && s <= 1 << 24))
			return kerf_fail(err, -EINVAL, "scale %d is %g", i, s);
		a->scale = s;
		a->length = s * (double)a->in;
		if (z->coord == TF_CROP_AND_RESIZE)
			a->length *= a->end - a->begin;
		if (!(a->length >= 0 && a->length <= 0x1p40))
			return kerf_fail(err, -EINVAL, "axis %d would have %g elements", map[i],
					 a->length);
		a->out = (int64_t)floor(a->length);
	}
	return 0;
}

static int from_sizes(const struct kerf_op *op, struct resize *z, const struct kerf_tensor *sizes,
		      const int *map, int n, struct kerf_err *err)
{
	const char *policy = kerf_op_string(op, "keep_aspect_ratio_policy", "stretch");
	bool less = !strcmp(policy, "not_larger"), more = !strcmp(policy, "not_smaller");
	double shared = less ? INFINITY : 0;
	int i;

	if (!less && !more && strcmp(policy, "stretch"))
		return kerf_fail(err, -EINVAL, "keep_aspect_ratio_policy is '%.32s'", policy);
	for (i = 0; i < n; i++) {
		struct resize_axis *a = &z->axis[map[i]];
		int64_t size = kerf_tensor_int(sizes, i);

		if (size < 0 || size > (int64_t)1 << 40 || (size && !a->in))
			return kerf_fail(err, -EINVAL, "size %d is %lld", i, (long long)size);
		a->out = size;
		a->scale = a->in ? (double)size / (double)a->in : 1;
		shared = less ? fmin(shared, a->scale) : fmax(shared, a->scale);
	}
	for (i = 0; i < n; i++) {
		struct resize_axis *a = &z->axis[map[i]];

		if (less || more) {
			a->scale = shared;
			a->out = (int64_t)floor(shared * (double)a->in + 0.5);
		}
		a->length = less || more ? shared * (double)a->in : (double)a->out;
	}
	return 0;
}

static bool given(const struct kerf_tensor *t)
{
	return t && kerf_tensor_count(t) > 0;
}

static int check_list(const struct kerf_tensor *t, const char *name, int n, struct kerf_err *err)
{
	if (t->rank != 1 || t->dims[0] != n)
		return kerf_fail(err, -EINVAL, "%s does not have %d elements", name, n);
	return t->data ? 0 : -ENODATA;
}

/* roi: all begins, then all ends. */
static int parse_roi(struct resize *z, const struct kerf_tensor *roi, const int *map, int n,
		     struct kerf_err *err)
{
	int i, r;

	if (!roi)
		return kerf_fail(err, -EINVAL, "tf_crop_and_resize needs roi");
	r = check_list(roi, "roi", 2 * n, err);
	for (i = 0; !r && i < n; i++) {
		z->axis[map[i]].begin = kerf_tensor_float(roi, i);
		z->axis[map[i]].end = kerf_tensor_float(roi, n + i);
	}
	return r;
}

/* Upsample 7 has its scales in an attribute. */
static int scales_attribute(const struct kerf_op *op, struct kerf_tensor *t, struct kerf_err *err)
{
	uint32_t n;
	const float *f = kerf_op_floats(op, "scales", &n);

	if (!f)
		return kerf_fail(err, -EINVAL, "attribute scales is missing");
	*t = (struct kerf_tensor){KERF_F32, 1, {n}, (void *)f};
	return 0;
}

static int parse(const struct kerf_op *op, const struct kerf_tensor *in, struct resize *z,
		 struct kerf_err *err)
{
	bool v11 = op->opset >= 11 && !strcmp(op->def->name, "Resize");
	const struct kerf_tensor *x = &in[0], *roi = v11 ? kerf_op_opt(op, in, 1) : NULL;
	const struct kerf_tensor *scales = kerf_op_opt(op, in, v11 ? 2 : 1);
	const struct kerf_tensor *sizes = v11 ? kerf_op_opt(op, in, 3) : NULL;
	int map[KERF_MAX_RANK], i, n, r = parse_modes(op, z, err);
	struct kerf_tensor attribute;

	if (r)
		return r;
	z->rank = x->rank;
	for (i = 0; i < x->rank; i++) {
		int64_t len = x->dims[kerf_stored_axis(op, i, x->rank)];

		if (op->tile.out_rows && kerf_stored_axis(op, i, x->rank) == 1)
			len = op->tile.in_rows;
		z->axis[i] = (struct resize_axis){len, len, 1, (double)len, 0, 1};
	}
	n = parse_axes(op, x->rank, map, err);
	if (n < 0)
		return n;
	if (!v11 && !scales) {
		r = scales_attribute(op, &attribute, err);
		scales = &attribute;
	}
	if (!r && z->coord == TF_CROP_AND_RESIZE)
		r = parse_roi(z, roi, map, n, err);
	if (r)
		return r;
	if (given(sizes) == given(scales))
		return kerf_fail(err, -EINVAL, "expected one of scales and sizes");
	if (given(sizes)) {
		r = check_list(sizes, "sizes", n, err);
		return r ? r : from_sizes(op, z, sizes, map, n, err);
	}
	r = check_list(scales, "scales", n, err);
	return r ? r : from_scales(z, scales, map, n, err);
}

static int resize_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	struct resize z;
	int i, r;

	if (in[0].rank < 1)
		return kerf_fail(err, -EINVAL, "input 0 is a scalar");
	r = parse(op, in, &z, err);
	if (r)
		return r;
	if (z.mode != NEAREST && !kerf_is_f32_like(in[0].dtype))
		return kerf_fail(err, -EOPNOTSUPP, "interpolation of %s",
				 kerf_dtype_name(in[0].dtype));
	out[0].dtype = in[0].dtype;
	out[0].rank = in[0].rank;
	for (i = 0; i < z.rank; i++) {
		if (z.axis[i].out && !z.axis[i].in)
			return kerf_fail(err, -EINVAL, "axis %d of input 0 is empty", i);
		out[0].dims[kerf_stored_axis(op, i, z.rank)] = z.axis[i].out;
	}
	return 0;
}

/* The place in the input of output position x; NAN: outside the region, extrapolated. */
static double place(const struct resize *z, const struct resize_axis *a, int64_t out)
{
	double x = (double)out, last = (double)(a->in - 1), p;

	switch (z->coord) {
	case PYTORCH_HALF_PIXEL:
		if (a->out <= 1)
			return 0;
		return (x + 0.5) / a->scale - 0.5;
	case HALF_PIXEL_SYMMETRIC: {
		double adjust = (double)a->out / a->length, centre = (double)a->in / 2;

		return centre * (1 - adjust) + (x + 0.5) / a->scale - 0.5;
	}
	case ALIGN_CORNERS: return a->length == 1 ? 0 : x * last / (a->length - 1);
	case ASYMMETRIC: return x / a->scale;
	case TF_HALF_PIXEL_FOR_NN: return (x + 0.5) / a->scale;
	case TF_CROP_AND_RESIZE:
		if (a->out <= 1)
			p = 0.5 * (a->begin + a->end) * last;
		else
			p = a->begin * last + x * (a->end - a->begin) * last / ((double)a->out - 1);
		return p < 0 || p > last ? NAN : p;
	default: return (x + 0.5) / a->scale - 0.5;
	}
}

static int64_t nearest_to(enum resize_round round, double p)
{
	double f = floor(p), frac = p - f;

	switch (round) {
	case ROUND_PREFER_FLOOR: return (int64_t)(frac <= 0.5 ? f : f + 1);
	case ROUND_PREFER_CEIL: return (int64_t)(frac < 0.5 ? f : f + 1);
	case FLOOR: return (int64_t)f;
	default: return (int64_t)ceil(p);
	}
}

/* Keys, 1981, "Cubic convolution interpolation for digital image processing". */
static void cubic_weights(double a, double f, double w[4])
{
	double g = 1 - f;

	w[0] = ((a * (f + 1) - 5 * a) * (f + 1) + 8 * a) * (f + 1) - 4 * a;
	w[1] = ((a + 2) * f - (a + 3)) * f * f + 1;
	w[2] = ((a + 2) * g - (a + 3)) * g * g + 1;
	w[3] = ((a * (g + 1) - 5 * a) * (g + 1) + 8 * a) * (g + 1) - 4 * a;
}

static void taps_at(const struct resize *z, const struct resize_axis *a, int64_t out,
		    struct kerf_resize_taps *t)
{
	double p = a->in == a->out && a->scale == 1 && a->begin == 0 && a->end == 1
			   ? (double)out
			   : place(z, a, out);
	double w[KERF_RESIZE_TAPS] = {1, 0, 0, 0}, sum = 0;
	int64_t first;
	int i;

	if (p != p) {
		t->n = 0;
		return;
	}
	p = fmin(fmax(p, -2), (double)a->in + 2); /* beyond, only the border's value counts */
	first = (int64_t)floor(p);
	t->n = z->mode == NEAREST ? 1 : z->mode == LINEAR ? 2 : 4;
	if (z->mode == NEAREST) {
		first = nearest_to(z->round, p);
	} else if (z->mode == LINEAR) {
		w[1] = p - (double)first;
		w[0] = 1 - w[1];
	} else {
		cubic_weights(z->cubic_a, p - (double)first, w);
		first--;
	}
	for (i = 0; i < t->n; i++) {
		int64_t at = first + i;

		if (z->mode == CUBIC && z->exclude_outside && (at < 0 || at >= a->in))
			w[i] = 0;
		t->at[i] = KERF_MAX(KERF_MIN(at, a->in - 1), 0);
		sum += w[i];
	}
	for (i = 0; i < t->n; i++)
		t->w[i] = (float)(z->mode == CUBIC && z->exclude_outside ? w[i] / sum : w[i]);
}

/* Taps of every output position of every axis, offsets in elements of what is held. */
struct plan {
	int rank;
	int64_t step[KERF_MAX_RANK];
	struct kerf_resize_taps *taps[KERF_MAX_RANK];
	bool nearest;
};

static int plan_axis(const struct kerf_op *op, const struct resize *z, int i,
		     const struct kerf_tensor *x, int64_t n, struct kerf_resize_taps *t)
{
	int at = kerf_stored_axis(op, i, z->rank), k;
	bool row = op->tile.out_rows && at == 1;
	int64_t in0 = row ? op->tile.in_row0 : 0, out0 = row ? op->tile.out_row0 : 0, o;

	for (o = 0; o < n; o++) {
		taps_at(z, &z->axis[i], out0 + o, &t[o]);
		for (k = 0; k < t[o].n; k++) {
			t[o].at[k] -= in0;
			if (t[o].at[k] < 0 || t[o].at[k] >= x->dims[at])
				return -EINVAL;
		}
	}
	return 0;
}

int kerf_resize_axis(const struct kerf_op *op, const struct kerf_tensor *in,
		     const struct kerf_tensor *out, int axis, struct kerf_resize_taps *t,
		     bool *nearest)
{
	struct resize z;
	int r = parse(op, in, &z, NULL);

	if (r)
		return -EINVAL;
	*nearest = z.mode == NEAREST;
	return plan_axis(op, &z, axis, &in[0], out[0].dims[kerf_stored_axis(op, axis, z.rank)], t);
}

static void plan_finish(struct plan *p)
{
	int i;

	for (i = 0; i < p->rank; i++)
		free(p->taps[i]);
}

static int plan_init(struct plan *p, const struct kerf_op *op, const struct resize *z,
		     const struct kerf_tensor *x, const struct kerf_tensor *y)
{
	int64_t step = 1;
	int i, r;

	memset(p, 0, sizeof(*p));
	p->rank = z->rank;
	p->nearest = z->mode == NEAREST;
	/* The stored axes from the innermost on: the one that a stored place belongs to. */
	for (i = z->rank - 1; i >= 0; i--) {
		int onnx = !op->nhwc || i == 0 ? i : i == z->rank - 1 ? 1 : i + 1;

		p->step[onnx] = step;
		step *= x->dims[i];
	}
	for (i = 0; i < z->rank; i++) {
		int64_t n = y->dims[kerf_stored_axis(op, i, z->rank)];

		p->taps[i] = calloc((size_t)KERF_MAX(n, 1), sizeof(struct kerf_resize_taps));
		r = p->taps[i] ? plan_axis(op, z, i, x, n, p->taps[i]) : -ENOMEM;
		if (r) {
			plan_finish(p);
			return r;
		}
	}
	return 0;
}

static float nested(const struct plan *p, const int64_t *pos, int axis, const float *x)
{
	const struct kerf_resize_taps *t;
	float v;
	int k;

	if (axis == p->rank)
		return *x;
	t = &p->taps[axis][pos[axis]];
	v = t->w[0] * nested(p, pos, axis + 1, x + t->at[0] * p->step[axis]);
	for (k = 1; k < t->n; k++)
		v = fmaf(t->w[k], nested(p, pos, axis + 1, x + t->at[k] * p->step[axis]), v);
	return v;
}

static bool extrapolated(const struct plan *p, const int64_t *pos)
{
	int i;

	for (i = 0; i < p->rank; i++)
		if (!p->taps[i][pos[i]].n)
			return true;
	return false;
}

static void put_number(struct kerf_tensor *y, int64_t i, float v)
{
	if (kerf_is_f32_like(y->dtype) || y->dtype == KERF_F64)
		kerf_f32_put(y, i, v);
	else
		kerf_int_put(y, i, (uint64_t)(int64_t)fminf(fmaxf(v, -0x1p62f), 0x1p62f));
}

static void resize_run(const struct kerf_op *op, const struct resize *z, const struct plan *p,
		       const struct kerf_tensor *x, const float *xf, struct kerf_tensor *y)
{
	size_t size = kerf_dtype_size(y->dtype);
	int64_t pos[KERF_MAX_RANK], o, n = kerf_tensor_count(y);
	int i;

	for (o = 0; o < n; o++) {
		int64_t rest = o, from = 0;

		for (i = p->rank - 1; i >= 0; i--) {
			int onnx = !op->nhwc || i == 0 ? i : i == p->rank - 1 ? 1 : i + 1;

			pos[onnx] = rest % y->dims[i];
			rest /= y->dims[i];
		}
		if (extrapolated(p, pos)) {
			put_number(y, o, z->extrapolation);
		} else if (p->nearest) {
			for (i = 0; i < p->rank; i++)
				from += p->taps[i][pos[i]].at[0] * p->step[i];
			memcpy((char *)y->data + (size_t)o * size,
			       (const char *)x->data + (size_t)from * size, size);
		} else {
			kerf_f32_put(y, o, nested(p, pos, 0, xf));
		}
	}
}

static int resize_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	const float *xf = NULL;
	float *owned = NULL;
	struct resize z;
	struct plan p;
	int r;

	if (!kerf_tensor_count(&out[0]))
		return 0;
	r = parse(op, in, &z, NULL);
	if (!r)
		r = plan_init(&p, op, &z, &in[0], &out[0]);
	if (r)
		return r == -ENODATA ? -EINVAL : r;
	if (z.mode != NEAREST)
		xf = kerf_f32_of(&in[0], &owned);
	if (z.mode == NEAREST || xf)
		resize_run(op, &z, &p, &in[0], xf, &out[0]);
	else
		r = -ENOMEM;
	plan_finish(&p);
	free(owned);
	return r;
}

static int64_t resize_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			    const struct kerf_tensor *out)
{
	const char *mode = kerf_op_string(op, "mode", "nearest");
	int64_t each = !strcmp(mode, "nearest") ? 1 : !strcmp(mode, "cubic") ? 40 : 8;

	return each * kerf_tensor_count(&out[0]);
}

static int resize_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		       const struct kerf_tensor *out, int i, struct kerf_rows want,
		       struct kerf_rows *need)
{
	int64_t least = INT64_MAX, most = -1, row;
	struct resize z;
	struct kerf_resize_taps t;
	int k;

	if (!op->nhwc || in[0].rank < 3)
		return -EOPNOTSUPP;
	*need = kerf_rows_all(&in[i]);
	if (i != 0)
		return 0;
	if (parse(op, in, &z, NULL))
		return -EOPNOTSUPP;
	for (row = want.begin; row < want.end; row++) {
		taps_at(&z, &z.axis[2], row, &t);
		for (k = 0; k < t.n; k++) {
			least = KERF_MIN(least, t.at[k]);
			most = KERF_MAX(most, t.at[k]);
		}
	}
	*need = kerf_rows_clamp(most < 0 ? 0 : least, most, in[0].dims[1]);
	return 0;
}

#define RESIZE                                                                 \
	.min_out = 1, .max_out = 1, .flags = KERF_OP_SPATIAL | KERF_OP_WINDOW, \
	.infer = resize_infer, .eval = resize_eval, .flops = resize_flops, .rows = resize_rows

const struct kerf_op_def kerf_ops_resize[] = {
	{
		.name = "Upsample",
		.since = 7,
		.until = 8,
		.min_in = 1,
		.max_in = 1,
		RESIZE,
	},
	{
		.name = "Upsample",
		.since = 9,
		.until = 9,
		.min_in = 2,
		.max_in = 2,
		.shape_in = 1 << 1,
		RESIZE,
	},
	{
		.name = "Resize",
		.since = 10,
		.until = 10,
		.min_in = 2,
		.max_in = 2,
		.shape_in = 1 << 1,
		RESIZE,
	},
	{
		.name = "Resize",
		.since = 11,
		.min_in = 1,
		.max_in = 4,
		.shape_in = 1 << 1 | 1 << 2 | 1 << 3,
		RESIZE,
	},
	{.name = NULL},
};
