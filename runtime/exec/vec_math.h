/* SPDX-License-Identifier: MIT */
/*
 * exp, expm1, tanh, erf and the activations, on vectors. Made of correctly rounded
 * operations alone (fused multiply-add, +, -, *, /, integer), in one order: so the
 * bits are the same on every instruction set that has fused multiply-add.
 *
 * The polynomials are our own minimax fits (weighted least squares, reweighted by
 * Lawson's method, 1961, until the error is level). Greatest errors over all floats
 * of the range are stated at each function; tests/unit/test_vec_math.c bounds them.
 */
#ifndef KERF_EXEC_VEC_MATH_H
#define KERF_EXEC_VEC_MATH_H

#include "exec/vec.h"
#include "graph/graph.h"

typedef uint32_t vu __attribute__((vector_size(4 * VL)));

VEC vu vu_set1(uint32_t x)
{
	return (vu){0} + x;
}

VEC vf vf_abs(vf x)
{
	return (vf)((vu)x & vu_set1(0x7fffffff));
}

/* |size| with the sign of sign */
VEC vf vf_copysign(vf size, vf sign)
{
	return (vf)(((vu)size & vu_set1(0x7fffffff)) | ((vu)sign & vu_set1(0x80000000)));
}

/* 2^n for the integer-valued n in [-126, 127] that t = n + 1.5 * 2^23 holds. */
VEC vf vf_exp2_int(vu t)
{
	return (vf)((t + vu_set1(127 - 0x4b400000)) << 23);
}

/*
 * x = n log 2 + r with |r| <= log(2) / 2; returns exp(r) - 1. t is n + 1.5 * 2^23,
 * whose low bits are n. |x| <= 120.
 */
VEC vf vf_exp_reduce(vf x, vf *t)
{
	vf magic = vf_set1(0x1.8p23f), n, r, p;

	*t = vf_fma(x, vf_set1(0x1.715476p0f), magic);
	n = *t - magic;
	/* log 2 in two parts, the first with so few bits that n times it is exact */
	r = vf_fma(n, vf_set1(-0x1.62e4p-1f), x);
	r = vf_fma(n, vf_set1(-0x1.7f7d1cp-20f), r);
	p = vf_set1(0x1.6db42p-10f);
	p = vf_fma(p, r, vf_set1(0x1.123b52p-7f));
	p = vf_fma(p, r, vf_set1(0x1.55545ep-5f));
	p = vf_fma(p, r, vf_set1(0x1.55548ep-3f));
	p = vf_fma(p, r, vf_set1(0.5f));
	return vf_fma(p * r, r, r);
}

/* 1.1 ulp; overflows to infinity, underflows through the denormals to 0. */
VEC vf vf_exp(vf x)
{
	vf t, p, half;

	x = vf_min(vf_set1(89.0f), vf_max(vf_set1(-104.0f), x));
	p = vf_exp_reduce(x, &t) + vf_set1(1.0f);
	/* 2^n in two steps, as n may be 128 or -150 */
	half = (t - vf_set1(0x1.8p23f)) * vf_set1(0.5f) + vf_set1(0x1.8p23f);
	p = p * vf_exp2_int((vu)half);
	return p * vf_exp2_int((vu)t - (vu)half + vu_set1(0x4b400000));
}

/* exp(x) - 1 for x <= 0: 0.9 ulp. */
VEC vf vf_expm1_neg(vf x)
{
	vf t, p, s;

	x = vf_max(vf_set1(-30.0f), x);
	p = vf_exp_reduce(x, &t);
	s = vf_exp2_int((vu)t);
	return vf_fma(s, p, s - vf_set1(1.0f));
}

/* 2.0 ulp while exp(-x) is finite, then 0. */
VEC vf vf_sigmoid(vf x)
{
	return vf_set1(1.0f) / (vf_set1(1.0f) + vf_exp(-x));
}

/* 1.2 ulp */
VEC vf vf_tanh(vf x)
{
	vf one = vf_set1(1.0f), z = vf_abs(x), small, large, q = z * z;

	small = vf_set1(-0x1.76abf6p-8f);
	small = vf_fma(small, q, vf_set1(0x1.5256cep-6f));
	small = vf_fma(small, q, vf_set1(-0x1.b84448p-5f));
	small = vf_fma(small, q, vf_set1(0x1.110768p-3f));
	small = vf_fma(small, q, vf_set1(-0x1.555534p-2f));
	small = vf_fma(small * q, z, z);
	large = one - vf_set1(2.0f) / (vf_exp(z + z) + one);
	return vf_copysign(vf_select(z < vf_set1(0.625f), small, large), x);
}

/* 1.2 ulp. For |x| >= 1 as 1 - exp(-q(|x|)), q fitted to -log erfc. */
VEC vf vf_erf(vf x)
{
	vf one = vf_set1(1.0f), z = vf_abs(x), small, large, q = z * z;

	small = vf_set1(0x1.4ae4c6p-14f);
	small = vf_fma(small, q, vf_set1(-0x1.a485e8p-11f));
	small = vf_fma(small, q, vf_set1(0x1.5419f4p-8f));
	small = vf_fma(small, q, vf_set1(-0x1.b7fbb4p-6f));
	small = vf_fma(small, q, vf_set1(0x1.ce2d2p-4f));
	small = vf_fma(small, q, vf_set1(-0x1.81273ep-2f));
	small = vf_fma(small, q, vf_set1(0x1.06eba8p-3f));
	small = vf_fma(small, z, z);
	z = vf_min(vf_set1(4.0f), z);
	large = vf_set1(0x1.6bd85p-16f);
	large = vf_fma(large, z, vf_set1(-0x1.cec654p-12f));
	large = vf_fma(large, z, vf_set1(0x1.138cd8p-8f));
	large = vf_fma(large, z, vf_set1(-0x1.9d0318p-6f));
	large = vf_fma(large, z, vf_set1(0x1.bc151ep-4f));
	large = vf_fma(large, z, vf_set1(0x1.443566p-1f));
	large = vf_fma(large, z, vf_set1(0x1.212c0ep0f));
	large = vf_fma(large, z, vf_set1(-0x1.8a5954p-13f));
	large = one - vf_exp(-large);
	return vf_copysign(vf_select(z < one, small, large), x);
}

/* x tanh(log(1 + exp x)): with w = exp(x) (exp(x) + 2) that is x w / (w + 2). */
VEC vf vf_mish(vf x)
{
	vf e = vf_exp(vf_min(vf_set1(20.0f), x)), w = e * (e + vf_set1(2.0f));

	return x * (w / (w + vf_set1(2.0f)));
}

VEC vf vf_clamp(vf x, vf low, vf high)
{
	return vf_min(high, vf_max(low, x));
}

/* What kerf_act_apply() means. The kind is the same for all lanes: the branch is cheap. */
VEC vf vf_act(const struct kerf_act *act, vf x)
{
	vf zero = vf_zero(), one = vf_set1(1.0f), a = vf_set1(act->a), b = vf_set1(act->b);

	switch (act->kind) {
	case KERF_ACT_RELU: return vf_max(zero, x);
	case KERF_ACT_CLIP: return vf_clamp(x, a, b);
	case KERF_ACT_LEAKY_RELU: return vf_select(x < zero, a * x, x);
	case KERF_ACT_SIGMOID: return vf_sigmoid(x);
	case KERF_ACT_TANH: return vf_tanh(x);
	case KERF_ACT_SILU: return x / (one + vf_exp(-x));
	case KERF_ACT_HARD_SIGMOID: return vf_clamp(vf_fma(a, x, b), zero, one);
	case KERF_ACT_HARD_SWISH:
		return x * vf_clamp(vf_fma(x, vf_set1(1.0f / 6), vf_set1(0.5f)), zero, one);
	case KERF_ACT_GELU: return vf_set1(0.5f) * x * (one + vf_erf(x * vf_set1(0.70710678f)));
	case KERF_ACT_MISH: return vf_mish(x);
	case KERF_ACT_ELU: return vf_select(x < zero, a * vf_expm1_neg(x), x);
	default: return x;
	}
}

#endif
