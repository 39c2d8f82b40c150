/* SPDX-License-Identifier: MIT */
/*
 * What the light kernels need beside vec_math.h: extremes that keep NaNs, logarithms
 * (of correctly rounded operations in one order, as there).
 */
#ifndef KERF_EXEC_VEC_LIGHT_H
#define KERF_EXEC_VEC_LIGHT_H

#include "exec/vec_math.h"

#include <math.h>

/* v where it is a NaN, else r */
VEC vf vf_keep_nan(vf v, vf r)
{
#if defined(KERF_ISA_avx512)
	return _mm512_mask_mov_ps(r, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), v);
#elif defined(KERF_ISA_avx2)
	return _mm256_blendv_ps(r, v, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
#else
	return vf_select(v != v, v, r);
#endif
}

/* The larger, the smaller; a NaN on either side is the result. */
VEC vf vf_max_nan(vf a, vf b)
{
	return vf_keep_nan(a, vf_max(a, b));
}

VEC vf vf_min_nan(vf a, vf b)
{
	return vf_keep_nan(a, vf_min(a, b));
}

/*
 * x = 2^n m with m in [sqrt 1/2, sqrt 2); log m = 2 atanh((m - 1) / (m + 1)), its series
 * to the 9th power: |s| < 0.172, so what is left out is below 2^-29 of the result.
 */
VEC vf vf_log(vf x)
{
	const vu top = vu_set1(0x3f3504f3); /* sqrt 1/2 */
	vi tiny = x < vf_set1(0x1p-126f);
	vf scaled = vf_select(tiny, x * vf_set1(0x1p24f), x), m, s, q, p, n, y;
	vu bits = (vu)scaled - top;
	vi e = (vi)bits >> 23;

	m = (vf)((bits & vu_set1(0x007fffff)) + top);
	n = __builtin_convertvector(e, vf) - vf_select(tiny, vf_set1(24), vf_zero());
	s = (m - vf_set1(1)) / (m + vf_set1(1));
	q = s * s;
	p = vf_set1(2.0f / 9);
	p = vf_fma(p, q, vf_set1(2.0f / 7));
	p = vf_fma(p, q, vf_set1(2.0f / 5));
	p = vf_fma(p, q, vf_set1(2.0f / 3));
	p = vf_fma(p * q, s, s + s);
	/* log 2 in two parts, the first with so few bits that n times it is exact */
	y = vf_fma(n, vf_set1(0x1.62e4p-1f), vf_fma(n, vf_set1(0x1.7f7d1cp-20f), p));
	y = vf_select(x == vf_zero(), vf_set1(-INFINITY), y);
	y = vf_select(x == vf_set1(INFINITY), x, y);
	return vf_select((x < vf_zero()) | (x != x), vf_set1(NAN), y);
}

/* log(1 + e) for e >= 0, the rounding of 1 + e undone. */
VEC vf vf_log1p(vf e)
{
	vf one = vf_set1(1), u = one + e, d = u - one;
	vf y = vf_log(u) * (e / vf_select(d == vf_zero(), one, d));

	return vf_select(d == vf_zero(), e, y);
}

/* log(1 + exp x) */
VEC vf vf_softplus(vf x)
{
	return vf_max(vf_zero(), x) + vf_log1p(vf_exp(-vf_abs(x)));
}

#endif
