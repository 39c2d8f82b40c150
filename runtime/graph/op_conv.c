/* SPDX-License-Identifier: MIT */
/*
 * Conv, ConvTranspose, ConvInteger.
 *
 * One chain per output element: taps in kernel order, input channels ascending,
 * fused multiply-add from zero; then bias, then residual. Taps in the padding are
 * left out. Faster kernels keep this order, so their bits are these.
 */
#include "graph/op_conv.h"
#include "graph/spatial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* W is [M, C/group, k...] (Conv) or [C, M/group, k...] (transposed). */
static int check_weights(const struct kerf_op *op, const struct kerf_tensor *in, int w,
			 bool transposed, int64_t *channels_out, struct kerf_err *err)
{
	const struct kerf_tensor *x = &in[0], *t = &in[w];
	int64_t group = kerf_op_int(op, "group", 1), c;

	if (x->rank < 3 || x->rank > 5 || t->rank != x->rank)
		return kerf_fail(err, x->rank > 5 ? -EOPNOTSUPP : -EINVAL,
				 "input 0 has rank %d, weights rank %d: expected the same, 3 to 5",
				 x->rank, t->rank);
	c = x->dims[op->nhwc ? x->rank - 1 : 1];
	if (group < 1 || c % group || t->dims[0] % group)
		return kerf_fail(err, -EINVAL, "group %lld does not divide %lld and %lld channels",
				 (long long)group, (long long)c, (long long)t->dims[0]);
	if (transposed ? t->dims[0] != c : t->dims[1] != c / group)
		return kerf_fail(
			err, -EINVAL,
			"weights expect %lld input channels in %lld groups, input 0 has %lld",
			(long long)t->dims[transposed ? 0 : 1], (long long)group, (long long)c);
	if (!kerf_mul(transposed ? t->dims[1] : t->dims[0], transposed ? group : 1, channels_out))
		return kerf_fail(err, -EINVAL, "group %lld is too large", (long long)group);
	return 0;
}

static void set_shape(struct kerf_tensor *y, const struct kerf_tensor *x, bool nhwc,
		      int64_t channels, const int64_t *spatial)
{
	int i, n = x->rank - 2;

	y->rank = x->rank;
	y->dims[0] = x->dims[0];
	y->dims[nhwc ? n + 1 : 1] = channels;
	for (i = 0; i < n; i++)
		y->dims[i + (nhwc ? 1 : 2)] = spatial[i];
}

int kerf_conv_infer_shape(const struct kerf_op *op, const struct kerf_tensor *in, int w_index,
			  struct kerf_tensor *y, struct kerf_err *err)
{
	struct kerf_window w;
	int64_t channels, spatial[3];
	int i, r = check_weights(op, in, w_index, false, &channels, err);

	if (!r)
		r = kerf_op_window(op, &in[0], in[w_index].dims + 2, &w, err);
	if (r)
		return r;
	for (i = 0; i < w.n_spatial; i++) {
		int64_t held = in[0].dims[i + (op->nhwc ? 1 : 2)] + w.pad_begin[i] + w.pad_end[i];

		held -= (w.kernel[i] - 1) * w.dilation[i] + 1;
		if (held < 0)
			return kerf_fail(err, -EINVAL,
					 "the window of axis %d exceeds the padded input", i);
		spatial[i] = held / w.stride[i] + 1;
	}
	set_shape(y, &in[0], op->nhwc, channels, spatial);
	return 0;
}

static int check_vector(const struct kerf_tensor *t, int k, int64_t n, struct kerf_err *err)
{
	if (t && (t->rank != 1 || t->dims[0] != n))
		return kerf_fail(err, -EINVAL, "input %d is not a vector of %lld", k, (long long)n);
	return 0;
}

static int conv_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	const struct kerf_tensor *t;
	int64_t channels;
	int k, r = kerf_want_f32_like(&in[0], 0, err);

	for (k = 1; !r && k < op->n_in; k++) {
		t = kerf_op_opt(op, in, k);
		if (t && t->dtype != in[0].dtype)
			r = kerf_fail(err, -EINVAL, "input %d is %s, input 0 %s", k,
				      kerf_dtype_name(t->dtype), kerf_dtype_name(in[0].dtype));
	}
	if (!r)
		r = kerf_conv_infer_shape(op, in, 1, &out[0], err);
	if (r)
		return r;
	out[0].dtype = in[0].dtype;
	channels = in[1].dims[0];
	r = check_vector(kerf_op_opt(op, in, 2), 2, channels, err);
	if (!r)
		r = check_vector(kerf_op_opt(op, in, 3), 3, channels, err);
	t = kerf_op_opt(op, in, 4);
	if (!r && t && !kerf_tensor_same_shape(t, &out[0]))
		r = kerf_fail(err, -EINVAL, "the residual's shape is not the output's");
	return r;
}

/* S and R are our own: graph/rewrite.h. */
static int conv_check_file(const struct kerf_graph *g, const struct kerf_op *op,
			   struct kerf_err *err)
{
	return op->n_in <= 3 ? 0
			     : kerf_fail(err, -EINVAL, "%d inputs, expected 2 to 3", op->n_in);
}

/* One output element's chain. wt points at the weights of its output channel. */
static float chain(const struct kerf_taps *t, const float *x, const float *wt, float scale,
		   int64_t n_c, int64_t x_step, int64_t w_step)
{
	float acc = 0;
	int64_t i, c;

	for (i = 0; i < t->n; i++)
		for (c = 0; c < n_c; c++)
			acc = fmaf(x[t->x[i] + c * x_step], wt[t->k[i] + c * w_step] * scale, acc);
	return acc;
}

struct conv_args {
	const float *x, *w, *b, *s, *r;
	float *owned[5];
};

static void args_finish(struct conv_args *a)
{
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(a->owned); i++)
		free(a->owned[i]);
}

static int args_init(struct conv_args *a, const struct kerf_op *op, const struct kerf_tensor *in)
{
	const float **p[] = {&a->x, &a->w, &a->b, &a->s, &a->r};
	unsigned i;

	memset(a, 0, sizeof(*a));
	for (i = 0; i < KERF_ARRAY_SIZE(p); i++) {
		const struct kerf_tensor *t = kerf_op_opt(op, in, (int)i);

		if (!t)
			continue;
		*p[i] = kerf_f32_of(t, &a->owned[i]);
		if (!*p[i]) {
			args_finish(a);
			return -ENOMEM;
		}
	}
	return 0;
}

/* What the two convolutions differ in: how W is indexed and how taps are found. */
struct conv_form {
	void (*taps)(struct kerf_taps *t, const struct kerf_window *w, const struct kerf_grid *x,
		     const struct kerf_grid *y, const int64_t pos[3]);
	int64_t w_out, w_in; /* steps of an output and an input channel within a group */
	int64_t w_group;     /* step of a group */
};

static void conv_run(const struct conv_args *a, const struct conv_form *f,
		     const struct kerf_window *w, const struct kerf_grid *gx,
		     const struct kerf_grid *gy, int64_t group, struct kerf_taps *t,
		     struct kerf_tensor *y)
{
	int64_t n, oc, pos[3], n_oc = gy->channels / group, n_ic = gx->channels / group;

	for (n = 0; n < gy->batch; n++) {
		memset(pos, 0, sizeof(pos));
		do {
			int64_t base = n * gy->step_batch + kerf_grid_offset(gy, pos);

			f->taps(t, w, gx, gy, pos);
			for (oc = 0; oc < gy->channels; oc++) {
				int64_t g = oc / n_oc, o = base + oc * gy->step_channel;
				float v = chain(
					t, a->x + n * gx->step_batch + g * n_ic * gx->step_channel,
					a->w + g * f->w_group + oc % n_oc * f->w_out,
					a->s ? a->s[oc] : 1, n_ic, gx->step_channel, f->w_in);

				if (a->b)
					v += a->b[oc];
				if (a->r)
					v += a->r[o];
				kerf_f32_put(y, o, v);
			}
		} while (kerf_grid_next(gy, pos));
	}
}

static int64_t kernel_count(const struct kerf_window *w)
{
	int64_t n = 1;
	int i;

	for (i = 0; i < w->n_spatial; i++)
		n *= w->kernel[i];
	return n;
}

static int conv_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	struct kerf_grid gx = kerf_grid_in(op, &in[0]), gy = kerf_grid_out(op, &out[0]);
	struct conv_form f = {.taps = kerf_taps_at};
	int64_t group = kerf_op_int(op, "group", 1);
	struct conv_args a;
	struct kerf_taps t;
	struct kerf_window w;
	int r = kerf_whole_window(op, &in[0], in[1].dims + 2, &w, NULL);

	if (r || !kerf_tensor_count(&out[0]))
		return r;
	f.w_in = kernel_count(&w);
	f.w_out = f.w_in * in[1].dims[1];
	f.w_group = f.w_out * (in[1].dims[0] / group);
	r = args_init(&a, op, in);
	if (r)
		return r;
	r = kerf_taps_init(&t, &w, &gx);
	if (!r)
		conv_run(&a, &f, &w, &gx, &gy, group, &t, &out[0]);
	kerf_taps_finish(&t);
	args_finish(&a);
	return r;
}

int64_t kerf_conv_flops(const struct kerf_tensor *w, const struct kerf_tensor *y)
{
	int64_t n = w->dims[0] ? kerf_tensor_count(w) / w->dims[0] : 0;

	return kerf_flops_of(n, kerf_tensor_count(y));
}

static int64_t conv_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			  const struct kerf_tensor *out)
{
	return kerf_conv_flops(&in[1], &out[0]);
}

static int conv_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		     const struct kerf_tensor *out, int i, struct kerf_rows want,
		     struct kerf_rows *need)
{
	if (i == 4 && op->nhwc) {
		*need = want;
		return 0;
	}
	return kerf_window_rows(op, in, in[1].dims + 2, i, want, need);
}

static int transposed_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			    struct kerf_tensor *out, struct kerf_err *err)
{
	struct kerf_window w;
	int64_t channels, spatial[3];
	int r = kerf_want_f32_like(&in[0], 0, err);

	if (!r &&
	    (in[1].dtype != in[0].dtype || (kerf_op_opt(op, in, 2) && in[2].dtype != in[0].dtype)))
		r = kerf_fail(err, -EINVAL, "inputs have different dtypes");
	if (!r)
		r = check_weights(op, in, 1, true, &channels, err);
	if (!r)
		r = kerf_transposed_window(op, &in[0], in[1].dims + 2, &w, spatial, err);
	if (!r)
		r = check_vector(kerf_op_opt(op, in, 2), 2, channels, err);
	if (r)
		return r;
	out[0].dtype = in[0].dtype;
	set_shape(&out[0], &in[0], op->nhwc, channels, spatial);
	return 0;
}

static int transposed_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			   struct kerf_tensor *out)
{
	struct kerf_grid gx = kerf_grid_in(op, &in[0]), gy = kerf_grid_out(op, &out[0]);
	struct conv_form f = {.taps = kerf_taps_transposed_at};
	int64_t group = kerf_op_int(op, "group", 1), spatial[3];
	struct conv_args a;
	struct kerf_taps t;
	struct kerf_window w;
	int r = kerf_transposed_window(op, &in[0], in[1].dims + 2, &w, spatial, NULL);

	if (r || !kerf_tensor_count(&out[0]))
		return r;
	f.w_out = kernel_count(&w);
	f.w_in = f.w_out * in[1].dims[1];
	f.w_group = f.w_in * (in[1].dims[0] / group);
	r = args_init(&a, op, in);
	if (r)
		return r;
	r = kerf_taps_init(&t, &w, &gx);
	if (!r)
		conv_run(&a, &f, &w, &gx, &gy, group, &t, &out[0]);
	kerf_taps_finish(&t);
	args_finish(&a);
	return r;
}

static int64_t transposed_flops(const struct kerf_op *op, const struct kerf_tensor *in,
				const struct kerf_tensor *out)
{
	int64_t c = in[1].dims[0];

	/* Each input element meets every weight of its channel once. */
	return c ? kerf_flops_of(kerf_tensor_count(&in[0]) / c, kerf_tensor_count(&in[1])) : 0;
}

static int transposed_rows(const struct kerf_op *op, const struct kerf_tensor *in,
			   const struct kerf_tensor *out, int i, struct kerf_rows want,
			   struct kerf_rows *need)
{
	struct kerf_window w;
	int64_t spatial[3], first, reach;
	int r;

	if (!op->nhwc)
		return -EOPNOTSUPP;
	*need = kerf_rows_all(&in[i]);
	if (i != 0)
		return 0;
	r = kerf_transposed_window(op, &in[0], in[1].dims + 2, &w, spatial, NULL);
	if (r)
		return r;
	reach = (w.kernel[0] - 1) * w.dilation[0];
	first = want.begin + w.pad_begin[0] - reach;
	first = first > 0 ? kerf_div_up(first, w.stride[0]) : 0;
	*need = kerf_rows_clamp(first, (want.end - 1 + w.pad_begin[0]) / w.stride[0],
				in[0].dims[1]);
	return 0;
}

/* --- ConvInteger: x, w, [x_zero_point], [w_zero_point] -> int32 --- */

static int integer_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			 struct kerf_tensor *out, struct kerf_err *err)
{
	const struct kerf_tensor *xz = kerf_op_opt(op, in, 2), *wz = kerf_op_opt(op, in, 3);
	int k;

	for (k = 0; k < 2; k++)
		if (in[k].dtype != KERF_U8 && in[k].dtype != KERF_I8)
			return kerf_fail(err, -EINVAL, "input %d is %s, expected int8 or uint8", k,
					 kerf_dtype_name(in[k].dtype));
	if (xz && (xz->dtype != in[0].dtype || kerf_tensor_count(xz) != 1))
		return kerf_fail(err, -EINVAL, "x_zero_point is not one %s",
				 kerf_dtype_name(in[0].dtype));
	if (wz && (wz->dtype != in[1].dtype || wz->rank > 1 ||
		   (kerf_tensor_count(wz) != 1 && wz->dims[0] != in[1].dims[0])))
		return kerf_fail(err, -EINVAL,
				 "w_zero_point is not one %s, nor one an output channel",
				 kerf_dtype_name(in[1].dtype));
	out[0].dtype = KERF_I32;
	return kerf_conv_infer_shape(op, in, 1, &out[0], err);
}

/* Elements less their zero point (one for each run of `per` elements, or one for all). */
static int32_t *centred(const struct kerf_tensor *t, const struct kerf_tensor *zero, int64_t per)
{
	int64_t i, n = kerf_tensor_count(t);
	int32_t *v = malloc((size_t)KERF_MAX(n, 1) * sizeof(*v));

	for (i = 0; v && i < n; i++)
		v[i] = (int32_t)(kerf_tensor_int(t, i) - kerf_zero_point(zero, i / per));
	return v;
}

/* Unsigned arithmetic: sums wrap where int32 hardware would. */
static int32_t integer_chain(const struct kerf_taps *t, const int32_t *x, const int32_t *w,
			     int64_t n_c, int64_t x_step, int64_t w_step)
{
	uint32_t acc = 0;
	int64_t i, c;

	for (i = 0; i < t->n; i++)
		for (c = 0; c < n_c; c++)
			acc += (uint32_t)(x[t->x[i] + c * x_step] * w[t->k[i] + c * w_step]);
	return (int32_t)acc;
}

int kerf_conv_integer(const struct kerf_op *op, const struct kerf_conv_integer *a,
		      const struct kerf_tensor *y, int32_t *acc)
{
	struct kerf_grid gx = kerf_grid_in(op, a->x), gy = kerf_grid_out(op, y);
	int64_t n_oc = gy.channels / kerf_op_int(op, "group", 1), n_ic = a->w->dims[1];
	int64_t n, oc, pos[3], kernel;
	int32_t *x = NULL, *wt = NULL;
	struct kerf_window w;
	struct kerf_taps t;
	int r = kerf_whole_window(op, a->x, a->w->dims + 2, &w, NULL);

	if (r || !kerf_tensor_count(y))
		return r;
	r = kerf_taps_init(&t, &w, &gx);
	if (r)
		return r;
	kernel = kernel_count(&w);
	x = centred(a->x, a->x_zero, INT64_MAX);
	wt = centred(a->w, a->w_zero, KERF_MAX(n_ic * kernel, 1));
	r = x && wt ? 0 : -ENOMEM;
	for (n = 0; !r && n < gy.batch; n++) {
		memset(pos, 0, sizeof(pos));
		do {
			int64_t base = n * gy.step_batch + kerf_grid_offset(&gy, pos);

			kerf_taps_at(&t, &w, &gx, &gy, pos);
			for (oc = 0; oc < gy.channels; oc++)
				acc[base + oc * gy.step_channel] = integer_chain(
					&t,
					x + n * gx.step_batch + oc / n_oc * n_ic * gx.step_channel,
					wt + oc * n_ic * kernel, n_ic, gx.step_channel, kernel);
		} while (kerf_grid_next(&gy, pos));
	}
	free(x);
	free(wt);
	kerf_taps_finish(&t);
	return r;
}

static int integer_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out)
{
	struct kerf_conv_integer a = {&in[0], &in[1], kerf_op_opt(op, in, 2),
				      kerf_op_opt(op, in, 3)};

	return kerf_conv_integer(op, &a, &out[0], out[0].data);
}

const struct kerf_op_def kerf_ops_conv[] = {
	{
		.name = "Conv",
		.since = 1,
		.min_in = 2,
		.max_in = 5,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_SPATIAL | KERF_OP_WINDOW,
		.infer = conv_infer,
		.check_file = conv_check_file,
		.eval = conv_eval,
		.flops = conv_flops,
		.rows = conv_rows,
	},
	{
		.name = "ConvTranspose",
		.since = 1,
		.min_in = 2,
		.max_in = 3,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_SPATIAL | KERF_OP_WINDOW,
		.infer = transposed_infer,
		.eval = transposed_eval,
		.flops = transposed_flops,
		.rows = transposed_rows,
	},
	{
		.name = "ConvInteger",
		.since = 10,
		.min_in = 2,
		.max_in = 4,
		.min_out = 1,
		.max_out = 1,
		.flags = KERF_OP_SPATIAL | KERF_OP_WINDOW,
		.infer = integer_infer,
		.eval = integer_eval,
		.flops = conv_flops,
		.rows = conv_rows,
	},
	{.name = NULL},
};
