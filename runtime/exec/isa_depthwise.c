/* SPDX-License-Identifier: MIT */
/*
 * One vector of channels at a time, down all rows of the task: so the rows of that
 * vector stay in the first-level cache while the window slides over them. Along a row,
 * several outputs at once, whose chains hide each other's latency and which share the
 * inputs that their windows have in common.
 */
#include "exec/cpu_depthwise.h"
#include "exec/vec.h"

#define UNROLLED _Pragma("GCC unroll 16")
#define MOST_COLUMNS 8
#define MOST_KW 5

struct place {
	const float *x;	    /* output 0 of the row, first tap row, tap 0, channel 0 */
	const float *w;	    /* first tap row, this channel */
	int64_t taps_h;
	int64_t x_tap_row, x_tap, x_pixel;
	int64_t y_row;	    /* of the row, in y and residual */
	int64_t o;	    /* output channel */
};

VEC vf load(const float *p, int tail)
{
	return tail ? vf_load_n(p, tail) : vf_load(p);
}

/* Lane l reads input channel (o + l) / multiplier; multiplier 1 is the plain case. */
VEC vf load_x(const float *x, int64_t o, int64_t multiplier, int tail)
{
	float lane[VL] = {0};
	int i;

	if (multiplier == 1)
		return load(x + o, tail);
	for (i = 0; i < (tail ? tail : VL); i++)
		lane[i] = x[(o + i) / multiplier];
	return vf_load(lane);
}

VEC void finish(const struct kerf_cpu_depthwise_task *t, const struct place *p, int n, int64_t ox,
		vf acc[MOST_COLUMNS], int tail)
{
	const int64_t oc = t->d->oc;
	int i;

	UNROLLED for (i = 0; i < n; i++) {
		int64_t at = p->y_row + (ox + i) * oc + p->o;

		if (t->bias)
			acc[i] += load(t->bias + p->o, tail);
		if (t->residual)
			acc[i] += load(t->residual + at, tail);
		if (t->clamp)
			acc[i] = vf_min(vf_set1(t->high), vf_max(vf_set1(t->low), acc[i]));
		if (tail)
			vf_store_n(t->y + at, acc[i], tail);
		else
			vf_store(t->y + at, acc[i]);
	}
}

/* n outputs that see all kw taps, kw and stride known: neighbours share loads. */
VEC void known(const struct kerf_cpu_depthwise_task *t, const struct place *p, int n, int kw,
	       int stride, int64_t ox)
{
	const int64_t c = t->d->c, w_row = kw * t->d->oc;
	const float *x = p->x + ox * p->x_pixel + p->o, *w = p->w;
	vf acc[MOST_COLUMNS], v[MOST_KW];
	int64_t ky;
	int i, k;

	UNROLLED for (i = 0; i < n; i++)
		acc[i] = vf_zero();
	for (ky = 0; ky < p->taps_h; ky++) {
		UNROLLED for (k = 0; k < kw; k++)
			v[k] = vf_load(w + k * t->d->oc);
		UNROLLED for (i = 0; i < n; i++)
			UNROLLED for (k = 0; k < kw; k++)
				acc[i] = vf_fma(vf_load(x + (i * stride + k) * c), v[k], acc[i]);
		x += p->x_tap_row;
		w += w_row;
	}
	finish(t, p, n, ox, acc, 0);
}

VEC void known_stretch(const struct kerf_cpu_depthwise_task *t, const struct place *p,
		       const struct kerf_cpu_stretch *s, int kw, int stride)
{
	int64_t ox = s->from;

	for (; ox + 8 <= s->to; ox += 8)
		known(t, p, 8, kw, stride, ox);
	if (ox + 4 <= s->to) {
		known(t, p, 4, kw, stride, ox);
		ox += 4;
	}
	if (ox + 2 <= s->to) {
		known(t, p, 2, kw, stride, ox);
		ox += 2;
	}
	if (ox < s->to)
		known(t, p, 1, kw, stride, ox);
}

/* n outputs of any window. */
VEC void general(const struct kerf_cpu_depthwise_task *t, const struct place *p,
		 const struct kerf_cpu_stretch *s, int n, int64_t ox, int64_t multiplier, int tail)
{
	const float *x = p->x + ox * p->x_pixel;
	vf acc[MOST_COLUMNS];
	int64_t ky, kx;
	int i;

	UNROLLED for (i = 0; i < n; i++)
		acc[i] = vf_zero();
	for (ky = 0; ky < p->taps_h; ky++) {
		for (kx = s->kx0; kx < s->kx1; kx++) {
			const float *tap = x + ky * p->x_tap_row + kx * p->x_tap;
			vf v = load(p->w + (ky * t->d->kw + kx) * t->d->oc, tail);

			UNROLLED for (i = 0; i < n; i++)
				acc[i] = vf_fma(
					load_x(tap + i * p->x_pixel, p->o, multiplier, tail), v,
					acc[i]);
		}
	}
	finish(t, p, n, ox, acc, tail);
}

VEC void general_stretch(const struct kerf_cpu_depthwise_task *t, const struct place *p,
			 const struct kerf_cpu_stretch *s, int64_t multiplier, int tail)
{
	int64_t ox = s->from;

	for (; ox + 4 <= s->to; ox += 4)
		general(t, p, s, 4, ox, multiplier, tail);
	for (; ox < s->to; ox++)
		general(t, p, s, 1, ox, multiplier, tail);
}

static void plain_stretch(const struct kerf_cpu_depthwise_task *t, const struct place *p,
			  const struct kerf_cpu_stretch *s)
{
	general_stretch(t, p, s, 1, 0);
}

static void odd_stretch(const struct kerf_cpu_depthwise_task *t, const struct place *p,
			const struct kerf_cpu_stretch *s, int tail)
{
	general_stretch(t, p, s, t->d->oc / t->d->c, tail);
}

#define KNOWN(kw, stride)                                                                          \
	static void known_##kw##_##stride(const struct kerf_cpu_depthwise_task *t,                 \
					  const struct place *p, const struct kerf_cpu_stretch *s) \
	{                                                                                          \
		known_stretch(t, p, s, kw, stride);                                                \
	}

KNOWN(3, 1)
KNOWN(3, 2)
KNOWN(5, 1)
KNOWN(5, 2)

typedef void (*stretch_fn)(const struct kerf_cpu_depthwise_task *t, const struct place *p,
			   const struct kerf_cpu_stretch *s);

/* For stretches that see all taps of the row; one input channel for one output channel. */
static stretch_fn find_known(const struct kerf_cpu_conv_desc *d)
{
	static const stretch_fn fn[2][2] = {{known_3_1, known_3_2}, {known_5_1, known_5_2}};

	if (d->dilation_w != 1 || (d->kw != 3 && d->kw != 5) || d->stride_w > 2)
		return plain_stretch;
	return fn[d->kw == 5][d->stride_w - 1];
}

static void one_row(const struct kerf_cpu_depthwise_task *t, struct place *p, stretch_fn all_taps,
		    int64_t oy, int tail)
{
	const struct kerf_cpu_conv_desc *d = t->d;
	int64_t iy = oy * d->stride_h - d->pad_h, ky0, ky1, i;

	kerf_cpu_taps_inside(iy, d->h, d->kh, d->dilation_h, &ky0, &ky1);
	p->taps_h = ky1 - ky0;
	p->w = t->w + ky0 * d->kw * d->oc + p->o;
	p->x = t->x + ((iy + ky0 * d->dilation_h) * d->w - d->pad_w) * d->c;
	p->y_row = oy * d->ow * d->oc;
	for (i = 0; i < t->n_stretch; i++) {
		const struct kerf_cpu_stretch *s = &t->stretch[i];

		if (tail || d->oc != d->c)
			odd_stretch(t, p, s, tail);
		else if (s->kx1 - s->kx0 == d->kw)
			all_taps(t, p, s);
		else
			plain_stretch(t, p, s);
	}
}

static void rows(const struct kerf_cpu_depthwise_task *t)
{
	const struct kerf_cpu_conv_desc *d = t->d;
	stretch_fn all_taps = find_known(d);
	struct place p = {
		.x_tap_row = d->dilation_h * d->w * d->c,
		.x_tap = d->dilation_w * d->c,
		.x_pixel = d->stride_w * d->c,
	};
	int64_t oy;

	for (p.o = 0; p.o < d->oc; p.o += VL) {
		int tail = p.o + VL <= d->oc ? 0 : (int)(d->oc - p.o);

		for (oy = t->row0; oy < t->row1; oy++)
			one_row(t, &p, all_taps, oy, tail);
	}
}

extern const struct kerf_cpu_depthwise_fns KERF_ISA_NAME(kerf_cpu_depthwise);

const struct kerf_cpu_depthwise_fns KERF_ISA_NAME(kerf_cpu_depthwise) = {
	.rows = rows,
};
