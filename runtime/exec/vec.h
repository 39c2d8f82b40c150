/* SPDX-License-Identifier: MIT */
/*
 * One vector type, as wide as the instruction set this file is compiled for
 * (isa_*.c, once per set). Arithmetic is GCC's vector extension; here is only what
 * that cannot say: fused multiply-add, minimum and maximum, partial loads.
 *
 * Every function gives the same bits on AVX2, AVX-512 and NEON. `baseline` has no
 * fused multiply-add: it multiplies, rounds, adds.
 */
#ifndef KERF_EXEC_VEC_H
#define KERF_EXEC_VEC_H

#include <stdint.h>
#include <string.h>

#if defined(KERF_ISA_avx512)
#define VL 16
#include <immintrin.h>
#elif defined(KERF_ISA_avx2)
#define VL 8
#include <immintrin.h>
#else
#define VL 4
#if defined(KERF_ISA_neon)
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif
#endif

#define KERF_CAT2(a, b) a##_##b
#define KERF_CAT(a, b) KERF_CAT2(a, b)
/* kerf_x -> kerf_x_avx512: the name of a table of this instruction set. */
#define KERF_ISA_NAME(x) KERF_CAT(x, KERF_ISA)

typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef float vf_any __attribute__((vector_size(4 * VL), aligned(4), may_alias));

#define VEC static inline __attribute__((always_inline))

VEC vf vf_load(const float *p)
{
	return *(const vf_any *)p;
}

VEC void vf_store(float *p, vf v)
{
	*(vf_any *)p = v;
}

VEC vf vf_set1(float x)
{
#if defined(KERF_ISA_avx512)
	return _mm512_set1_ps(x);
#elif defined(KERF_ISA_avx2)
	return _mm256_set1_ps(x);
#elif defined(KERF_ISA_neon)
	return vdupq_n_f32(x);
#else
	return (vf){x, x, x, x};
#endif
}

VEC vf vf_zero(void)
{
	return (vf){0};
}

/* a * b + c */
VEC vf vf_fma(vf a, vf b, vf c)
{
#if defined(KERF_ISA_avx512)
	return _mm512_fmadd_ps(a, b, c);
#elif defined(KERF_ISA_avx2)
	return _mm256_fmadd_ps(a, b, c);
#elif defined(KERF_ISA_neon)
	return vfmaq_f32(c, a, b);
#else
	return a * b + c;
#endif
}

/* The larger; if x is a NaN, or both are zeros, x. */
VEC vf vf_max(vf low, vf x)
{
#if defined(KERF_ISA_avx512)
	return _mm512_max_ps(low, x);
#elif defined(KERF_ISA_avx2)
	return _mm256_max_ps(low, x);
#elif defined(KERF_ISA_neon)
	return vbslq_f32(vcgtq_f32(low, x), low, x);
#elif defined(__SSE2__)
	return _mm_max_ps(low, x);
#else
	return low > x ? low : x;
#endif
}

/* The smaller; if x is a NaN, or both are zeros, x. */
VEC vf vf_min(vf high, vf x)
{
#if defined(KERF_ISA_avx512)
	return _mm512_min_ps(high, x);
#elif defined(KERF_ISA_avx2)
	return _mm256_min_ps(high, x);
#elif defined(KERF_ISA_neon)
	return vbslq_f32(vcltq_f32(high, x), high, x);
#elif defined(__SSE2__)
	return _mm_min_ps(high, x);
#else
	return high < x ? high : x;
#endif
}

/* mask ? a : b, mask all ones or all zeros in each lane (as comparisons give) */
VEC vf vf_select(vi mask, vf a, vf b)
{
	return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

/* The first n lanes (0 < n < VL), the others zero; memory past them is not touched. */
VEC vf vf_load_n(const float *p, int n)
{
#if defined(KERF_ISA_avx512)
	return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
	vf v = vf_zero();

	memcpy(&v, p, (size_t)n * sizeof(float));
	return v;
#endif
}

VEC void vf_store_n(float *p, vf v, int n)
{
#if defined(KERF_ISA_avx512)
	_mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
#else
	memcpy(p, &v, (size_t)n * sizeof(float));
#endif
}

VEC vf vf_sqrt(vf x)
{
#if defined(KERF_ISA_avx512)
	return _mm512_sqrt_ps(x);
#elif defined(KERF_ISA_avx2)
	return _mm256_sqrt_ps(x);
#elif defined(KERF_ISA_neon)
	return vsqrtq_f32(x);
#elif defined(__SSE2__)
	return _mm_sqrt_ps(x);
#else
	vf r;
	int i;

	for (i = 0; i < VL; i++)
		r[i] = __builtin_sqrtf(x[i]);
	return r;
#endif
}

#endif
