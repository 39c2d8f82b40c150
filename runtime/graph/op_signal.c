/* SPDX-License-Identifier: MIT */
/* Windows, Fourier transforms and mel filters. Sums run in double. */
#include "graph/op_util.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int output_dtype(const struct kerf_op *op, uint32_t allowed, enum kerf_dtype *t,
			struct kerf_err *err)
{
	int64_t v = kerf_op_int(op, "output_datatype", KERF_F32);

	if (v < 0 || v > 31 || !(allowed >> v & 1))
		return kerf_fail(err, -EOPNOTSUPP, "output_datatype %lld is not supported",
				 (long long)v);
	*t = (enum kerf_dtype)v;
	return 0;
}

/* One known integer of an input, in [lo, 2^40). */
static int scalar_of(const struct kerf_tensor *in, int k, const char *what, int64_t lo, int64_t *v,
		     struct kerf_err *err)
{
	int r = kerf_want_dtype(in, k, KERF_T_INDEX, err);

	if (!r)
		r = kerf_want_data(in, k, what, err);
	if (r)
		return r;
	if (kerf_tensor_count(&in[k]) != 1)
		return kerf_fail(err, -EINVAL, "%s is not one element", what);
	*v = kerf_tensor_int(&in[k], 0);
	if (*v < lo || *v >= (int64_t)1 << 40)
		return kerf_fail(err, -EINVAL, "%s is %lld", what, (long long)*v);
	return 0;
}

/* --- HannWindow, HammingWindow, BlackmanWindow: a0 - a1 cos(t) + a2 cos(2t) --- */

struct window {
	double a0, a1, a2;
};

static const struct window hann = {0.5, 0.5, 0}, blackman = {0.42, 0.5, 0.08},
	hamming = {25.0 / 46, 21.0 / 46, 0};

static int window_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			struct kerf_tensor *out, struct kerf_err *err)
{
	enum kerf_dtype t = KERF_NONE;
	int64_t n;
	int r = scalar_of(in, 0, "size", 0, &n, err);

	if (!r)
		r = output_dtype(op, KERF_T_NUM, &t, err);
	if (!r)
		kerf_shape_set(out, t, 1, &n);
	return r;
}

static int window_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		       struct kerf_tensor *out)
{
	const struct window *w = op->def->family;
	int64_t n = out->dims[0], i;
	int64_t period = kerf_op_int(op, "periodic", 1) ? n : n - 1;

	for (i = 0; i < n; i++) {
		/* A symmetric window of one element is its middle. */
		double t = period ? 2 * M_PI * (double)i / (double)period : M_PI;
		double v = w->a0 - w->a1 * cos(t) + w->a2 * cos(2 * t);

		kerf_row_store(KERF_DOM_D, &v, out, i, 1, 1);
	}
	return 0;
}

/* --- DFT, STFT --- */

/*
 * Transforms n samples (the first `held` of them in x, the rest 0) by the sum itself:
 * bins results. x steps by step elements, complex ones hold (re, im). turn[k] is
 * exp(-2 pi i k / n), conjugate for the inverse.
 */
struct transform {
	int64_t n, bins;
	bool complex_in, inverse;
	double (*turn)[2];
};

static int transform_init(struct transform *f)
{
	int64_t k;

	f->turn = calloc((size_t)f->n, sizeof(*f->turn));
	if (!f->turn)
		return -ENOMEM;
	for (k = 0; k < f->n; k++) {
		double a = 2 * M_PI * (double)k / (double)f->n;

		f->turn[k][0] = cos(a);
		f->turn[k][1] = f->inverse ? sin(a) : -sin(a);
	}
	return 0;
}

static void transform_run(const struct transform *f, const struct kerf_tensor *x, int64_t at,
			  int64_t step, int64_t held, const struct kerf_tensor *window,
			  struct kerf_tensor *y, int64_t to, int64_t to_step)
{
	double scale = f->inverse ? 1.0 / (double)f->n : 1;
	int64_t k, j;

	for (k = 0; k < f->bins; k++) {
		double sum[2] = {0, 0};
		int64_t turn = 0;

		for (j = 0; j < f->n && j < held; j++) {
			double w = window ? kerf_tensor_float(window, j) : 1;
			double re = w * kerf_tensor_float(x, at + j * step);
			double im = f->complex_in ? w * kerf_tensor_float(x, at + j * step + 1) : 0;
			const double *t = f->turn[turn];

			sum[0] += re * t[0] - im * t[1];
			sum[1] += re * t[1] + im * t[0];
			turn = (turn + k) % f->n;
		}
		sum[0] *= scale;
		sum[1] *= scale;
		kerf_row_store(KERF_DOM_D, sum, y, to + k * to_step, 1, 2);
	}
}

/* The last axis holds a real number or a complex pair. */
static int check_signal(const struct kerf_tensor *in, int min_rank, struct kerf_err *err)
{
	int r = kerf_want_dtype(in, 0, KERF_T_FLOAT, err);

	if (!r)
		r = kerf_want_rank(in, 0, min_rank, KERF_MAX_RANK, err);
	if (!r && in->dims[in->rank - 1] != 1 && in->dims[in->rank - 1] != 2)
		r = kerf_fail(err, -EINVAL, "the last axis has %lld elements, expected 1 or 2",
			      (long long)in->dims[in->rank - 1]);
	return r;
}

/* Axis is an attribute (default 1) until 19 and an input (default -2) since 20. */
static int dft_axis(const struct kerf_op *op, const struct kerf_tensor *in, int *axis,
		    struct kerf_err *err)
{
	int64_t v = op->def->until ? kerf_op_int(op, "axis", 1) : -2;

	if (!op->def->until && kerf_op_opt(op, in, 2)) {
		int r = scalar_of(in, 2, "axis", -KERF_MAX_RANK, &v, err);

		if (r)
			return r;
	}
	*axis = kerf_axis(v, in->rank);
	if (*axis >= 0 && *axis < in->rank - 1)
		return 0;
	return kerf_fail(err, -EINVAL, "axis is %lld, expected a signal axis of rank %d",
			 (long long)v, in->rank);
}

static int dft_of(const struct kerf_op *op, const struct kerf_tensor *in, struct transform *f,
		  int *axis, struct kerf_err *err)
{
	bool onesided = kerf_op_int(op, "onesided", 0);
	int r = check_signal(in, 2, err);

	if (!r)
		r = dft_axis(op, in, axis, err);
	if (r)
		return r;
	f->inverse = kerf_op_int(op, "inverse", 0);
	f->complex_in = in->dims[in->rank - 1] == 2;
	f->n = in->dims[*axis];
	if (kerf_op_opt(op, in, 1))
		r = scalar_of(in, 1, "dft_length", 1, &f->n, err);
	if (r)
		return r;
	if (!f->n)
		return kerf_fail(err, -EINVAL, "axis %d is empty", *axis);
	if (onesided && (f->complex_in || f->inverse))
		return kerf_fail(err, -EOPNOTSUPP,
				 "onesided with %s is not supported",
				 f->inverse ? "inverse" : "complex input");
	f->bins = onesided ? f->n / 2 + 1 : f->n;
	return 0;
}

static int dft_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	struct transform f;
	int axis, r = dft_of(op, in, &f, &axis, err);

	if (r)
		return r;
	kerf_shape_set(out, in->dtype, in->rank, in->dims);
	out->dims[axis] = f.bins;
	out->dims[in->rank - 1] = 2;
	return 0;
}

static int dft_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		    struct kerf_tensor *out)
{
	int64_t outer, inner, parts = in->dims[in->rank - 1], o, i;
	struct transform f;
	int axis, r = dft_of(op, in, &f, &axis, NULL);

	if (r || !kerf_tensor_count(out))
		return r;
	r = transform_init(&f);
	if (r)
		return r;
	outer = kerf_span(in, 0, axis);
	inner = kerf_span(in, axis + 1, in->rank - 1);
	for (o = 0; o < outer; o++)
		for (i = 0; i < inner; i++)
			transform_run(&f, in, (o * in->dims[axis] * inner + i) * parts,
				      inner * parts, in->dims[axis], NULL, out,
				      (o * f.bins * inner + i) * 2, inner * 2);
	free(f.turn);
	return 0;
}

static int64_t dft_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			 const struct kerf_tensor *out)
{
	int axis = 1;

	dft_axis(op, in, &axis, NULL);
	return 4 * kerf_tensor_count(out) * in->dims[axis];
}

struct stft {
	struct transform f;
	int64_t step, frames;
	const struct kerf_tensor *window;
};

static int stft_of(const struct kerf_op *op, const struct kerf_tensor *in, struct stft *s,
		   struct kerf_err *err)
{
	int r = check_signal(in, 3, err);

	if (!r)
		r = kerf_want_rank(in, 0, 3, 3, err);
	if (!r)
		r = scalar_of(in, 1, "frame_step", 1, &s->step, err);
	s->window = kerf_op_opt(op, in, 2);
	s->f.n = 0;
	if (!r && kerf_op_opt(op, in, 3))
		r = scalar_of(in, 3, "frame_length", 1, &s->f.n, err);
	if (!r && s->window) {
		r = kerf_want_dtype(in, 2, KERF_T_FLOAT, err);
		if (!r)
			r = kerf_want_rank(in, 2, 1, 1, err);
		if (!r && s->f.n && s->f.n != s->window->dims[0])
			r = kerf_fail(err, -EINVAL, "frame_length is %lld, the window has %lld",
				      (long long)s->f.n, (long long)s->window->dims[0]);
		s->f.n = s->window->dims[0];
	}
	if (r)
		return r;
	if (s->f.n < 1 || s->f.n > in->dims[1])
		return kerf_fail(err, -EINVAL, "frames of %lld samples in a signal of %lld",
				 (long long)s->f.n, (long long)in->dims[1]);
	s->f.inverse = false;
	s->f.complex_in = in->dims[2] == 2;
	s->f.bins = kerf_op_int(op, "onesided", 1) ? s->f.n / 2 + 1 : s->f.n;
	if (s->f.complex_in && s->f.bins != s->f.n)
		return kerf_fail(err, -EOPNOTSUPP, "onesided with complex input is not supported");
	s->frames = (in->dims[1] - s->f.n) / s->step + 1;
	return 0;
}

static int stft_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err)
{
	struct stft s;
	int r = stft_of(op, in, &s, err);

	if (!r)
		kerf_shape_set(out, in->dtype, 4,
			       (int64_t[]){in->dims[0], s.frames, s.f.bins, 2});
	return r;
}

static int stft_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out)
{
	int64_t parts = in->dims[2], b, i;
	struct stft s;
	int r = stft_of(op, in, &s, NULL);

	if (r || !kerf_tensor_count(out))
		return r;
	r = transform_init(&s.f);
	if (r)
		return r;
	for (b = 0; b < in->dims[0]; b++)
		for (i = 0; i < s.frames; i++)
			transform_run(&s.f, in, (b * in->dims[1] + i * s.step) * parts, parts,
				      s.f.n, s.window, out, (b * s.frames + i) * s.f.bins * 2, 2);
	free(s.f.turn);
	return 0;
}

static int64_t stft_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			  const struct kerf_tensor *out)
{
	return 8 * kerf_tensor_count(out) * out->dims[2];
}

/* --- MelWeightMatrix: triangles evenly spaced on the mel scale --- */

static int mel_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out, struct kerf_err *err)
{
	int64_t bins, length;
	enum kerf_dtype t = KERF_NONE;
	int k, r = scalar_of(in, 0, "num_mel_bins", 0, &bins, err);

	if (!r)
		r = scalar_of(in, 1, "dft_length", 0, &length, err);
	if (!r)
		r = output_dtype(op, KERF_T_NUM, &t, err);
	for (k = 2; k < 5 && !r; k++) {
		r = kerf_want_dtype(in, k, k == 2 ? KERF_T_INDEX : KERF_T_FLOAT, err);
		if (!r && kerf_tensor_count(&in[k]) != 1)
			r = kerf_fail(err, -EINVAL, "input %d is not one element", k);
	}
	if (!r)
		kerf_shape_set(out, t, 2, (int64_t[]){length / 2 + 1, bins});
	return r;
}

static double hertz_to_mel(double hz)
{
	return 2595 * log10(1 + hz / 700);
}

static double mel_to_hertz(double mel)
{
	return 700 * (pow(10, mel / 2595) - 1);
}

static void mel_put(struct kerf_tensor *out, int64_t row, int64_t col, double v)
{
	if (row >= 0 && row < out->dims[0])
		kerf_row_store(KERF_DOM_D, &v, out, row * out->dims[1] + col, 1, 1);
}

static int mel_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		    struct kerf_tensor *out)
{
	double length = (double)kerf_tensor_int(&in[1], 0), rate = kerf_tensor_float(&in[2], 0);
	double low = hertz_to_mel(kerf_tensor_float(&in[3], 0));
	double high = hertz_to_mel(kerf_tensor_float(&in[4], 0));
	double step = (high - low) / (double)(out->dims[1] + 2);
	int64_t rows = out->dims[0], c, j;

	if (!(rate > 0) || !isfinite(low) || !isfinite(high))
		return -EINVAL;
	memset(out->data, 0, kerf_tensor_bytes(out));
	for (c = 0; c < out->dims[1]; c++) {
		int64_t edge[3], k;

		for (k = 0; k < 3; k++) {
			double hz = mel_to_hertz(low + step * (double)(c + k));
			double bin = floor((length + 1) * hz / rate);

			edge[k] = (int64_t)fmin(fmax(bin, -0x1p40), 0x1p40);
		}
		if (edge[0] == edge[1])
			mel_put(out, edge[1], c, 1);
		for (j = KERF_MAX(edge[0], 0); j <= KERF_MIN(edge[1], rows - 1); j++)
			if (edge[1] > edge[0])
				mel_put(out, j, c,
					(double)(j - edge[0]) / (double)(edge[1] - edge[0]));
		for (j = KERF_MAX(edge[1], 0); j < KERF_MIN(edge[2], rows); j++)
			mel_put(out, j, c, (double)(edge[2] - j) / (double)(edge[2] - edge[1]));
	}
	return 0;
}

#define WINDOW(NAME, TABLE)                                                                       \
	{                                                                                         \
		.name = NAME, .since = 17, .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,  \
		.shape_in = 1, .family = TABLE, .infer = window_infer, .eval = window_eval,       \
	}
#define SIGNAL_OP(NAME, SINCE, UNTIL, MIN_IN, MAX_IN, SHAPE_IN, FN, FLOPS)                        \
	{                                                                                         \
		.name = NAME, .since = SINCE, .until = UNTIL, .min_in = MIN_IN, .max_in = MAX_IN, \
		.min_out = 1, .max_out = 1, .shape_in = SHAPE_IN, .infer = FN##_infer,            \
		.eval = FN##_eval, .flops = FLOPS,                                                \
	}

const struct kerf_op_def kerf_ops_signal[] = {
	WINDOW("HannWindow", &hann),
	WINDOW("HammingWindow", &hamming),
	WINDOW("BlackmanWindow", &blackman),
	SIGNAL_OP("DFT", 17, 19, 1, 2, 1 << 1, dft, dft_flops),
	SIGNAL_OP("DFT", 20, 0, 1, 3, 1 << 1 | 1 << 2, dft, dft_flops),
	SIGNAL_OP("STFT", 17, 0, 2, 4, 1 << 1 | 1 << 3, stft, stft_flops),
	SIGNAL_OP("MelWeightMatrix", 17, 0, 5, 5, 3, mel, NULL),
	{.name = NULL},
};
