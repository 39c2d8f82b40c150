/* SPDX-License-Identifier: MIT */
/* Vectors of VL bytes, widened to int32 and back; 8-bit values are signed or not at run time. */
#ifndef KERF_EXEC_VEC_BYTES_H
#define KERF_EXEC_VEC_BYTES_H

#include "exec/vec.h"

#include <stdbool.h>

typedef int32_t vi_any __attribute__((vector_size(4 * VL), aligned(4), may_alias));

VEC vi vi_set1(int32_t x)
{
	return (vi)vf_set1(((union { int32_t i; float f; }){x}).f);
}

VEC vi vi_load(const int32_t *p)
{
	return *(const vi_any *)p;
}

VEC vf vi_to_vf(vi x)
{
	return __builtin_convertvector(x, vf);
}

VEC vi vb_load(const void *p, bool is_signed)
{
#if defined(KERF_ISA_avx512)
	__m128i v = _mm_loadu_si128(p);

	return (vi)(is_signed ? _mm512_cvtepi8_epi32(v) : _mm512_cvtepu8_epi32(v));
#elif defined(KERF_ISA_avx2)
	__m128i v = _mm_loadl_epi64(p);

	return (vi)(is_signed ? _mm256_cvtepi8_epi32(v) : _mm256_cvtepu8_epi32(v));
#else
	uint8_t b[VL];
	vi v;
	int i;

	memcpy(b, p, VL);
	for (i = 0; i < VL; i++)
		v[i] = is_signed ? (int8_t)b[i] : b[i];
	return v;
#endif
}

/* The low byte of each lane. */
VEC void vb_store(void *p, vi v)
{
#if defined(KERF_ISA_avx512)
	_mm_storeu_si128(p, _mm512_cvtepi32_epi8((__m512i)v));
#elif defined(KERF_ISA_avx2)
	const __m256i pick =
		_mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4,
				 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
	__m256i b = _mm256_shuffle_epi8((__m256i)v, pick);

	_mm_storel_epi64(p, _mm_unpacklo_epi32(_mm256_castsi256_si128(b),
					       _mm256_extracti128_si256(b, 1)));
#else
	uint8_t b[VL];
	int i;

	for (i = 0; i < VL; i++)
		b[i] = (uint8_t)v[i];
	memcpy(p, b, VL);
#endif
}

/* The first n lanes; memory past them is not touched. n in [1, VL]. */
VEC vi vb_load_n(const void *p, bool is_signed, int n)
{
	uint8_t b[VL] = {0};

	if (n == VL)
		return vb_load(p, is_signed);
	memcpy(b, p, (size_t)n);
	return vb_load(b, is_signed);
}

VEC void vb_store_n(void *p, vi v, int n)
{
	uint8_t b[VL];

	if (n == VL) {
		vb_store(p, v);
		return;
	}
	vb_store(b, v);
	memcpy(p, b, (size_t)n);
}

/* Bounds of a quantised output, as quant.h's kerf_quant_round() has them. */
struct vb_bounds {
	vf least, most;
	vi zero;
};

VEC struct vb_bounds vb_bounds(int32_t zero, int32_t lo, int32_t hi)
{
	return (struct vb_bounds){vf_set1((float)(lo - zero)), vf_set1((float)(hi - zero)),
				  vi_set1(zero)};
}

/*
 * kerf_quant_round(): the bounds are whole numbers, so clamping before rounding gives
 * the same; then |v| is small enough for the addition of 1.5 * 2^23 to round it to
 * nearest even. A NaN becomes the lower bound.
 */
VEC vi vb_round(vf v, const struct vb_bounds *b)
{
	const vf magic = vf_set1(0x1.8p23f);

	v = vf_min(vf_max(v, b->least), b->most);
	v = (v + magic) - magic;
	return __builtin_convertvector(v, vi) + b->zero;
}

#endif
