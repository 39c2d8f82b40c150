/* SPDX-License-Identifier: MIT */
/*
 * Normalisations. Means and variances are sums in float64 (two passes), rounded
 * to float32 where they are used; the rest is float32.
 */
#include "graph/spatial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Inputs as float32; NULL where absent. */
#define MAX_ARGS 5
struct norm_args {
	const float *p[MAX_ARGS];
	float *owned[MAX_ARGS];
};

static void args_finish(struct norm_args *a)
{
	int i;

	for (i = 0; i < MAX_ARGS; i++)
		free(a->owned[i]);
}

static int args_init(struct norm_args *a, const struct kerf_op *op, const struct kerf_tensor *in)
{
	int i;

	memset(a, 0, sizeof(*a));
	for (i = 0; i < MAX_ARGS; i++) {
		const struct kerf_tensor *t = kerf_op_opt(op, in, i);

		if (!t)
			continue;
		a->p[i] = kerf_f32_of(t, &a->owned[i]);
		if (!a->p[i] && kerf_tensor_count(t)) {
			args_finish(a);
			return -ENOMEM;
		}
	}
	return 0;
}

static int check_inputs(const struct kerf_op *op, const struct kerf_tensor *in, int min_rank,
			struct kerf_err *err)
{
	int k, r = 0;

	if (in[0].rank < min_rank)
		return kerf_fail(err, -EINVAL, "input 0 has rank %d, expected %d or more",
				 in[0].rank, min_rank);
	for (k = 0; !r && k < op->n_in; k++)
		if (kerf_op_opt(op, in, k))
			r = kerf_want_f32_like(&in[k], k, err);
	return r;
}

static int check_vectors(const struct kerf_op *op, const struct kerf_tensor *in, int first,
			 int last, int64_t n, struct kerf_err *err)
{
	int k;

	for (k = first; k <= last; k++)
		if (in[k].rank != 1 || in[k].dims[0] != n)
			return kerf_fail(err, -EINVAL, "input %d is not a vector of %lld", k,
					 (long long)n);
	return 0;
}

struct moments {
	float mean, inv_std;
};

static struct moments moments_of(const float *x, int64_t n, int64_t step, float epsilon)
{
	double sum = 0, squares = 0, mean;
	int64_t i;

	for (i = 0; i < n; i++)
		sum += x[i * step];
	mean = sum / (double)n;
	for (i = 0; i < n; i++) {
		double d = x[i * step] - mean;

		squares += d * d;
	}
	return (struct moments){(float)mean,
				(float)(1 / sqrt(squares / (double)n + (double)epsilon))};
}

/* --- BatchNormalization: x, scale, bias, mean, variance --- */

static bool batch_per_element(const struct kerf_op *op)
{
	return op->opset < 9 && !kerf_op_int(op, "spatial", 1);
}

static int batch_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, struct kerf_err *err)
{
	struct kerf_planes p = kerf_planes(&in[0], op->nhwc);
	int k, r = check_inputs(op, in, 2, err);

	if (r)
		return r;
	if (kerf_op_int(op, "training_mode", 0) ||
	    (op->opset < 7 && !kerf_op_int(op, "is_test", 0)))
		return kerf_fail(err, -EOPNOTSUPP, "training mode");
	for (k = 1; k < op->n_out; k++)
		if (kerf_op_has_out(op, out, k))
			return kerf_fail(err, -EOPNOTSUPP, "outputs of training mode");
	if (batch_per_element(op)) {
		if (op->nhwc)
			return kerf_fail(err, -EOPNOTSUPP, "spatial=0 on a channels-last input");
		for (k = 1; k < 5; k++)
			if (kerf_tensor_count(&in[k]) != p.channels * p.inner)
				return kerf_fail(err, -EINVAL,
						 "input %d does not have %lld elements", k,
						 (long long)(p.channels * p.inner));
	} else {
		r = check_vectors(op, in, 1, 4, p.channels, err);
	}
	out[0] = in[0];
	return r;
}

static int batch_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	struct kerf_planes p = kerf_planes(&in[0], op->nhwc);
	float epsilon = kerf_op_float(op, "epsilon", 1e-5f);
	bool each = batch_per_element(op);
	struct norm_args a;
	int64_t n, c, i;
	int r = args_init(&a, op, in);

	if (r)
		return r;
	for (n = 0; n < p.batch; n++)
		for (c = 0; c < p.channels; c++)
			for (i = 0; i < p.inner; i++) {
				int64_t at =
					n * p.step_batch + c * p.step_channel + i * p.step_inner;
				int64_t k = each ? c * p.inner + i : c;
				float factor = a.p[1][k] / sqrtf(a.p[4][k] + epsilon);

				kerf_f32_put(&out[0], at,
					     fmaf(a.p[0][at] - a.p[3][k], factor, a.p[2][k]));
			}
	args_finish(&a);
	return 0;
}

static int64_t two_each(const struct kerf_op *op, const struct kerf_tensor *in,
			const struct kerf_tensor *out)
{
	return 2 * kerf_tensor_count(&out[0]);
}

/* --- InstanceNormalization, GroupNormalization: x, scale, bias --- */

static int64_t n_groups(const struct kerf_op *op, int64_t channels)
{
	return strcmp(op->def->name, "GroupNormalization") ? channels
							   : kerf_op_int(op, "num_groups", 0);
}

/* Before opset 21 GroupNormalization scales by group. */
static bool scale_by_group(const struct kerf_op *op)
{
	return op->opset < 21 && !strcmp(op->def->name, "GroupNormalization");
}

static int group_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, struct kerf_err *err)
{
	struct kerf_planes p = kerf_planes(&in[0], op->nhwc);
	int64_t groups = n_groups(op, p.channels);
	int r = check_inputs(op, in, 2, err);

	if (r)
		return r;
	if (groups < 1 || p.channels % groups)
		return kerf_fail(err, -EINVAL, "num_groups %lld does not divide %lld channels",
				 (long long)groups, (long long)p.channels);
	out[0] = in[0];
	return check_vectors(op, in, 1, 2, scale_by_group(op) ? groups : p.channels, err);
}

/* Moments of channels [c, c + n_c) of one image. */
static struct moments group_moments(const struct kerf_planes *p, const float *x, int64_t n_c,
				    float epsilon)
{
	double sum = 0, squares = 0, mean, count = (double)(n_c * p->inner);
	int64_t c, i;

	for (c = 0; c < n_c; c++)
		for (i = 0; i < p->inner; i++)
			sum += x[c * p->step_channel + i * p->step_inner];
	mean = sum / count;
	for (c = 0; c < n_c; c++)
		for (i = 0; i < p->inner; i++) {
			double d = x[c * p->step_channel + i * p->step_inner] - mean;

			squares += d * d;
		}
	return (struct moments){(float)mean, (float)(1 / sqrt(squares / count + (double)epsilon))};
}

static int group_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	struct kerf_planes p = kerf_planes(&in[0], op->nhwc);
	int64_t groups = n_groups(op, p.channels), n_c = p.channels / groups, n, c, i;
	float epsilon = kerf_op_float(op, "epsilon", 1e-5f);
	struct moments m = {0, 0};
	struct norm_args a;
	int r = args_init(&a, op, in);

	if (r)
		return r;
	for (n = 0; n < p.batch; n++)
		for (c = 0; c < p.channels; c++) {
			int64_t x0 = n * p.step_batch + c * p.step_channel;
			int64_t k = scale_by_group(op) ? c / n_c : c;
			float factor;

			if (c % n_c == 0)
				m = group_moments(&p, a.p[0] + x0, n_c, epsilon);
			factor = m.inv_std * a.p[1][k];
			for (i = 0; i < p.inner; i++) {
				int64_t at = x0 + i * p.step_inner;

				kerf_f32_put(&out[0], at,
					     fmaf(a.p[0][at] - m.mean, factor, a.p[2][k]));
			}
		}
	args_finish(&a);
	return 0;
}

static int64_t norm_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			  const struct kerf_tensor *out)
{
	return 6 * kerf_tensor_count(&out[0]);
}

/* --- LayerNormalization: x, scale, [bias] -> y, [mean], [inverse of the deviation] --- */

static int layer_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out, struct kerf_err *err)
{
	int axis = kerf_axis(kerf_op_int(op, "axis", -1), in[0].rank);
	int i, k, r = check_inputs(op, in, 1, err);
	struct kerf_tensor whole = in[0], b;

	if (r)
		return r;
	if (axis < 0)
		return kerf_fail(err, -EINVAL, "axis %lld is out of range for rank %d",
				 (long long)kerf_op_int(op, "axis", -1), in[0].rank);
	if (kerf_op_int(op, "stash_type", 1) != 1)
		return kerf_fail(err, -EOPNOTSUPP, "stash_type %lld",
				 (long long)kerf_op_int(op, "stash_type", 1));
	for (k = 1; k < op->n_in; k++)
		if (kerf_op_opt(op, in, k) &&
		    (kerf_broadcast(&in[k], &whole, &b) || !kerf_tensor_same_shape(&b, &whole)))
			return kerf_fail(err, -EINVAL, "input %d cannot be broadcast to input 0",
					 k);
	out[0] = in[0];
	for (k = 1; k < 3; k++) {
		if (!kerf_op_has_out(op, out, k))
			continue;
		out[k] = in[0];
		out[k].dtype = KERF_F32;
		for (i = axis; i < in[0].rank; i++)
			out[k].dims[i] = 1;
	}
	return 0;
}

static int layer_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out)
{
	int axis = kerf_axis(kerf_op_int(op, "axis", -1), in[0].rank), i;
	float epsilon = kerf_op_float(op, "epsilon", 1e-5f);
	int64_t n = 1, total = kerf_tensor_count(&in[0]), g, j;
	struct norm_args a;
	int r;

	if (!total)
		return 0;
	r = args_init(&a, op, in);
	if (r)
		return r;
	for (i = axis; i < in[0].rank; i++)
		n *= in[0].dims[i];
	for (g = 0; g < total / n; g++) {
		struct moments m = moments_of(a.p[0] + g * n, n, 1, epsilon);

		for (j = g * n; j < (g + 1) * n; j++) {
			float v = (a.p[0][j] - m.mean) * m.inv_std *
				  a.p[1][kerf_broadcast_index(&in[1], &in[0], j)];

			if (a.p[2])
				v += a.p[2][kerf_broadcast_index(&in[2], &in[0], j)];
			kerf_f32_put(&out[0], j, v);
		}
		if (kerf_op_has_out(op, out, 1))
			((float *)out[1].data)[g] = m.mean;
		if (kerf_op_has_out(op, out, 2))
			((float *)out[2].data)[g] = m.inv_std;
	}
	args_finish(&a);
	return 0;
}

/* --- LpNormalization --- */

static int lp_infer(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out,
		    struct kerf_err *err)
{
	int64_t p = kerf_op_int(op, "p", 2), axis = kerf_op_int(op, "axis", -1);
	int r = check_inputs(op, in, 1, err);

	if (r)
		return r;
	if ((p != 1 && p != 2) || kerf_axis(axis, in[0].rank) < 0)
		return kerf_fail(err, -EINVAL, "p %lld or axis %lld out of range", (long long)p,
				 (long long)axis);
	out[0] = in[0];
	return 0;
}

static int lp_axis(const struct kerf_op *op, int rank)
{
	return kerf_stored_axis(op, kerf_axis(kerf_op_int(op, "axis", -1), rank), rank);
}

static int lp_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	int axis = lp_axis(op, in[0].rank), i;
	int64_t n = in[0].dims[axis], step = 1, total = kerf_tensor_count(&in[0]), g, j;
	bool l1 = kerf_op_int(op, "p", 2) == 1;
	struct norm_args a;
	int r;

	if (!total)
		return 0;
	r = args_init(&a, op, in);
	if (r)
		return r;
	for (i = axis + 1; i < in[0].rank; i++)
		step *= in[0].dims[i];
	for (g = 0; g < total / n; g++) {
		int64_t at = g / step * step * n + g % step;
		double sum = 0;
		float norm;

		for (j = 0; j < n; j++) {
			double v = a.p[0][at + j * step];

			sum += l1 ? fabs(v) : v * v;
		}
		norm = (float)(l1 ? sum : sqrt(sum));
		for (j = 0; j < n; j++)
			kerf_f32_put(&out[0], at + j * step,
				     norm ? a.p[0][at + j * step] / norm : 0);
	}
	args_finish(&a);
	return 0;
}

static int lp_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		   const struct kerf_tensor *out, int i, struct kerf_rows want,
		   struct kerf_rows *need)
{
	if (lp_axis(op, in[0].rank) <= 1)
		return -EOPNOTSUPP;
	return kerf_same_rows(op, in, out, i, want, need);
}

/* --- LRN: across channels --- */

static int lrn_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	int r = check_inputs(op, in, 2, err);

	if (!r && kerf_op_int(op, "size", 0) < 1)
		r = kerf_fail(err, -EINVAL, "size is %lld, expected 1 or more",
			      (long long)kerf_op_int(op, "size", 0));
	out[0] = in[0];
	return r;
}

static int lrn_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	struct kerf_planes p = kerf_planes(&in[0], op->nhwc);
	float alpha = kerf_op_float(op, "alpha", 1e-4f), beta = kerf_op_float(op, "beta", 0.75f);
	float bias = kerf_op_float(op, "bias", 1);
	int64_t size = kerf_op_int(op, "size", 1), before = (size - 1) / 2, after = size / 2;
	struct norm_args a;
	int64_t n, c, i, k;
	int r = args_init(&a, op, in);

	if (r)
		return r;
	for (n = 0; n < p.batch; n++)
		for (i = 0; i < p.inner; i++)
			for (c = 0; c < p.channels; c++) {
				int64_t x0 = n * p.step_batch + i * p.step_inner;
				int64_t at = x0 + c * p.step_channel;
				int64_t last = c + KERF_MIN(after, p.channels - 1 - c);
				float sum = 0;

				for (k = c - KERF_MIN(before, c); k <= last; k++) {
					float v = a.p[0][x0 + k * p.step_channel];

					sum += v * v;
				}
				kerf_f32_put(&out[0], at,
					     a.p[0][at] /
						     powf(bias + alpha / (float)size * sum, beta));
			}
	args_finish(&a);
	return 0;
}

static int64_t lrn_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			 const struct kerf_tensor *out)
{
	struct kerf_planes p = kerf_planes(&in[0], op->nhwc);
	int64_t size = KERF_MIN(kerf_op_int(op, "size", 1), p.channels);

	return kerf_flops_of(size + 2, kerf_tensor_count(&out[0]));
}

/* --- MeanVarianceNormalization --- */

static int mvn_axes(const struct kerf_op *op, int rank, bool reduced[KERF_MAX_RANK])
{
	static const int64_t by_default[] = {0, 2, 3};
	uint32_t n, i;
	const int64_t *axes = kerf_op_ints(op, "axes", &n);
	int axis;

	if (!axes) {
		axes = by_default;
		n = KERF_ARRAY_SIZE(by_default);
	}
	memset(reduced, 0, KERF_MAX_RANK * sizeof(*reduced));
	for (i = 0; i < n; i++) {
		axis = kerf_axis(axes[i], rank);
		if (axis < 0)
			return -1;
		reduced[kerf_stored_axis(op, axis, rank)] = true;
	}
	return 0;
}

static int mvn_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	bool reduced[KERF_MAX_RANK];
	int r = check_inputs(op, in, 1, err);

	if (!r && mvn_axes(op, in[0].rank, reduced))
		r = kerf_fail(err, -EINVAL, "axes are out of range for rank %d", in[0].rank);
	out[0] = in[0];
	return r;
}

/* Index of the group that element i belongs to: its position on the kept axes. */
static int64_t mvn_group(const struct kerf_tensor *x, const bool *reduced, int64_t i)
{
	int64_t g = 0, scale = 1;
	int d;

	for (d = x->rank - 1; d >= 0; d--) {
		if (!reduced[d]) {
			g += i % x->dims[d] * scale;
			scale *= x->dims[d];
		}
		i /= x->dims[d];
	}
	return g;
}

static int mvn_eval(const struct kerf_op *op, const struct kerf_tensor *in, struct kerf_tensor *out)
{
	int64_t i, n = kerf_tensor_count(&in[0]), groups = 1;
	bool reduced[KERF_MAX_RANK];
	double *sum, *squares, count;
	struct norm_args a;
	int d, r;

	if (!n)
		return 0;
	r = args_init(&a, op, in);
	if (r)
		return r;
	mvn_axes(op, in[0].rank, reduced);
	for (d = 0; d < in[0].rank; d++)
		groups *= reduced[d] ? 1 : in[0].dims[d];
	count = (double)(n / groups);
	sum = calloc((size_t)groups * 2, sizeof(*sum));
	if (!sum) {
		args_finish(&a);
		return -ENOMEM;
	}
	squares = sum + groups;
	for (i = 0; i < n; i++)
		sum[mvn_group(&in[0], reduced, i)] += (double)a.p[0][i];
	for (i = 0; i < n; i++) {
		int64_t g = mvn_group(&in[0], reduced, i);
		double v = a.p[0][i] - sum[g] / count;

		squares[g] += v * v;
	}
	for (i = 0; i < n; i++) {
		int64_t g = mvn_group(&in[0], reduced, i);

		kerf_f32_put(
			&out[0], i,
			(float)((a.p[0][i] - sum[g] / count) / (sqrt(squares[g] / count) + 1e-9)));
	}
	free(sum);
	args_finish(&a);
	return 0;
}

const struct kerf_op_def kerf_ops_norm[] = {
	{
		.name = "BatchNormalization",
		.since = 1,
		.min_in = 5,
		.max_in = 5,
		.min_out = 1,
		.max_out = 5,
		.flags = KERF_OP_SPATIAL,
		.infer = batch_infer,
		.eval = batch_eval,
		.flops = two_each,
		.rows = kerf_same_rows,
	},
	{
		.name = "InstanceNormalization",
		.since = 1,
		.min_in = 3,
		.max_in = 3,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_SPATIAL,
		.infer = group_infer,
		.eval = group_eval,
		.flops = norm_flops,
	},
	{
		.name = "GroupNormalization",
		.since = 18,
		.min_in = 3,
		.max_in = 3,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_SPATIAL,
		.infer = group_infer,
		.eval = group_eval,
		.flops = norm_flops,
	},
	{
		.name = "LayerNormalization",
		.since = 17,
		.min_in = 2,
		.max_in = 3,
		.min_out = 1,
		.max_out = 3,
		.infer = layer_infer,
		.eval = layer_eval,
		.flops = norm_flops,
	},
	{
		.name = "LpNormalization",
		.since = 1,
		.min_in = 1,
		.max_in = 1,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_SPATIAL,
		.infer = lp_infer,
		.eval = lp_eval,
		.flops = norm_flops,
		.rows = lp_rows,
	},
	{
		.name = "LRN",
		.since = 1,
		.min_in = 1,
		.max_in = 1,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_SPATIAL,
		.infer = lrn_infer,
		.eval = lrn_eval,
		.flops = lrn_flops,
		.rows = kerf_same_rows,
	},
	{
		.name = "MeanVarianceNormalization",
		.since = 9,
		.min_in = 1,
		.max_in = 1,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_SPATIAL,
		.infer = mvn_infer,
		.eval = mvn_eval,
		.flops = norm_flops,
	},
	{.name = NULL},
};
