/* SPDX-License-Identifier: MIT */
#include "exec/cpu_depthwise.h"
#include "exec/vec.h"

#define COLUMNS 8 /* outputs at once: their chains hide the latency of one another */

/* Lane l of the vector at output channel o reads input channel (o + l) / multiplier. */
VEC vf load_x(const float *x, int64_t o, int64_t multiplier, int tail)
{
	float lane[VL] = {0};
	int i;

	if (multiplier == 1)
		return tail ? vf_load_n(x + o, tail) : vf_load(x + o);
	for (i = 0; i < (tail ? tail : VL); i++)
		lane[i] = x[(o + i) / multiplier];
	return vf_load(lane);
}

VEC vf load_y(const float *y, int tail)
{
	return tail ? vf_load_n(y, tail) : vf_load(y);
}

VEC void columns(const struct kerf_cpu_depthwise_row *r, int n, int64_t ox, int64_t o,
		 int64_t multiplier, int tail)
{
	const float *x = r->x + ox * r->x_pixel, *w = r->w + o;
	vf acc[COLUMNS];
	int64_t ky, kx, at;
	int i;

	_Pragma("GCC unroll 8") for (i = 0; i < n; i++)
		acc[i] = vf_zero();
	for (ky = 0; ky < r->taps_h; ky++) {
		for (kx = r->kx0; kx < r->kx1; kx++) {
			const float *tap = x + ky * r->x_tap_row + kx * r->x_tap;
			vf v = load_y(w + (ky * r->kw + kx) * r->oc, tail);

			_Pragma("GCC unroll 8") for (i = 0; i < n; i++)
				acc[i] = vf_fma(load_x(tap + i * r->x_pixel, o, multiplier, tail),
						v, acc[i]);
		}
	}
	_Pragma("GCC unroll 8") for (i = 0; i < n; i++) {
		at = (ox + i) * r->oc + o;
		if (r->bias)
			acc[i] += load_y(r->bias + o, tail);
		if (r->residual)
			acc[i] += load_y(r->residual + at, tail);
		if (r->clamp)
			acc[i] = vf_min(vf_set1(r->high), vf_max(vf_set1(r->low), acc[i]));
		if (tail)
			vf_store_n(r->y + at, acc[i], tail);
		else
			vf_store(r->y + at, acc[i]);
	}
}

VEC void channels(const struct kerf_cpu_depthwise_row *r, int64_t o, int64_t multiplier, int tail)
{
	int64_t ox = r->from;

	for (; ox + COLUMNS <= r->to; ox += COLUMNS)
		columns(r, COLUMNS, ox, o, multiplier, tail);
	for (; ox + 3 <= r->to; ox += 3)
		columns(r, 3, ox, o, multiplier, tail);
	for (; ox < r->to; ox++)
		columns(r, 1, ox, o, multiplier, tail);
}

static void row(const struct kerf_cpu_depthwise_row *r)
{
	int64_t o;

	for (o = 0; o + VL <= r->oc; o += VL) {
		if (r->multiplier == 1)
			channels(r, o, 1, 0);
		else
			channels(r, o, r->multiplier, 0);
	}
	if (o < r->oc)
		channels(r, o, r->multiplier, (int)(r->oc - o));
}

extern const struct kerf_cpu_depthwise_fns KERF_ISA_NAME(kerf_cpu_depthwise);

const struct kerf_cpu_depthwise_fns KERF_ISA_NAME(kerf_cpu_depthwise) = {
	.row = row,
};
