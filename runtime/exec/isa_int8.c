/* SPDX-License-Identifier: MIT */
#include "exec/cpu_int8.h"
#include "exec/vec_bytes.h"

extern const struct kerf_cpu_int8_fns KERF_ISA_NAME(kerf_cpu_int8);

/* Sums of two products of 16-bit values a lane: exact, as 2 * 255 * 255 is far below 2^31. */
VEC vi dot_words(vi acc, vi a, vi b)
{
#if defined(KERF_ISA_avx512)
	return acc + (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(KERF_ISA_avx2)
	return acc + (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(KERF_ISA_neon)
	int16x8_t x = (int16x8_t)a, w = (int16x8_t)b;

	return acc +
	       (vi)vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(w)), vmull_high_s16(x, w));
#elif defined(__SSE2__)
	return acc + (vi)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
	int i;

	for (i = 0; i < VL; i++) {
		int16_t x[2], w[2];
		int32_t xi = a[i], wi = b[i];

		memcpy(x, &xi, 4);
		memcpy(w, &wi, 4);
		acc[i] += x[0] * w[0] + x[1] * w[1];
	}
	return acc;
#endif
}

#if defined(KERF_ISA_avx512)
#define TILE_ROWS 12
#elif defined(KERF_ISA_avx2)
#define TILE_ROWS 6
#else
#define TILE_ROWS 6
#endif
#define TILE(x) words_##x
#define TILE_TARGET
#define DOT dot_words
#include "exec/isa_int8_tile.h"
#undef TILE
#undef TILE_TARGET
#undef DOT

#if defined(KERF_ISA_avx512)
#define TILE(x) dots_##x
#define TILE_TARGET __attribute__((target("avx512vnni")))
#define DOT(acc, a, b) (vi) _mm512_dpbusd_epi32((__m512i)(acc), (__m512i)(a), (__m512i)(b))
#include "exec/isa_int8_tile.h"
#endif

static void widen(int16_t *y, const uint8_t *x, int64_t n, int32_t zero, bool is_signed)
{
	int64_t i = 0;

#if defined(KERF_ISA_avx512)
	const __m512i z = _mm512_set1_epi16((int16_t)zero);

	for (; i + 32 <= n; i += 32) {
		__m256i b = _mm256_loadu_si256((const __m256i *)(x + i));

		_mm512_storeu_si512(y + i, _mm512_sub_epi16(is_signed ? _mm512_cvtepi8_epi16(b)
								      : _mm512_cvtepu8_epi16(b),
							    z));
	}
#elif defined(KERF_ISA_avx2)
	const __m256i z = _mm256_set1_epi16((int16_t)zero);

	for (; i + 16 <= n; i += 16) {
		__m128i b = _mm_loadu_si128((const __m128i *)(x + i));

		_mm256_storeu_si256((__m256i *)(y + i),
				    _mm256_sub_epi16(is_signed ? _mm256_cvtepi8_epi16(b)
							       : _mm256_cvtepu8_epi16(b),
						     z));
	}
#elif defined(KERF_ISA_neon)
	for (; i + 8 <= n; i += 8) {
		uint8x8_t b = vld1_u8(x + i);
		int16x8_t v = is_signed ? vmovl_s8(vreinterpret_s8_u8(b))
					: vreinterpretq_s16_u16(vmovl_u8(b));

		vst1q_s16(y + i, vsubq_s16(v, vdupq_n_s16((int16_t)zero)));
	}
#endif
	for (; i < n; i++)
		y[i] = (int16_t)((is_signed ? (int8_t)x[i] : x[i]) - zero);
}

static void depthwise(uint8_t *y, const uint8_t *x, bool is_signed, int32_t x_zero,
		      const int32_t *w, const struct kerf_cpu_window8 *t,
		      const struct kerf_requant *q, int64_t c)
{
	const struct vb_bounds bounds = vb_bounds(q->zero, q->lo, q->hi);
	const vi zero = vi_set1(x_zero);
	int64_t i, h, v;

	for (i = 0; i < c; i += VL) {
		int n = c - i < VL ? (int)(c - i) : VL;
		vi acc = vi_load(q->bias + i);

		for (h = 0; h < t->nh; h++)
			for (v = 0; v < t->nw; v++) {
				const uint8_t *p = x + h * t->step_h + v * t->step_w + i;

				acc += (vb_load_n(p, is_signed, n) - zero) *
				       vi_load(w + h * t->w_h + v * t->w_w + i);
			}
		vb_store_n(y + i, vb_round(vi_to_vf(acc) * vf_load(q->m + i), &bounds), n);
	}
}

static void quantize(uint8_t *y, const float *x, int64_t n, float scale, int32_t zero, int32_t lo,
		     int32_t hi)
{
	const struct vb_bounds bounds = vb_bounds(zero, lo, hi);
	const vf s = vf_set1(scale);
	int64_t i;

	for (i = 0; i + VL <= n; i += VL)
		vb_store(y + i, vb_round(vf_load(x + i) / s, &bounds));
	if (i < n)
		vb_store_n(y + i, vb_round(vf_load_n(x + i, (int)(n - i)) / s, &bounds),
			   (int)(n - i));
}

static void dequantize(float *y, const uint8_t *x, int64_t n, bool is_signed, float scale,
		       int32_t zero)
{
	const vf s = vf_set1(scale);
	const vi z = vi_set1(zero);
	int64_t i;

	for (i = 0; i + VL <= n; i += VL)
		vf_store(y + i, vi_to_vf(vb_load(x + i, is_signed) - z) * s);
	if (i < n)
		vf_store_n(y + i, vi_to_vf(vb_load_n(x + i, is_signed, (int)(n - i)) - z) * s,
			   (int)(n - i));
}

enum two { ADD, MULTIPLY, RESCALE };

VEC void two_operands(enum two op, uint8_t *y, const uint8_t *a, const uint8_t *b, int64_t n,
		      const struct kerf_binary8 *p)
{
	const struct vb_bounds bounds = vb_bounds(p->zero, p->lo, p->hi);
	const vi za = vi_set1(p->a_zero), zb = vi_set1(p->b_zero);
	const vf ma = vf_set1(p->ma), mb = vf_set1(p->mb);
	int64_t i;

	for (i = 0; i < n; i += VL) {
		int some = n - i < VL ? (int)(n - i) : VL;
		vi da = vb_load_n(a + i, p->a_signed, some) - za, db = za;
		vf v;

		if (op != RESCALE)
			db = vb_load_n(b + i, p->b_signed, some) - zb;
		if (op == ADD)
			v = vi_to_vf(da) * ma + vi_to_vf(db) * mb;
		else
			v = vi_to_vf(op == MULTIPLY ? da * db : da) * ma;
		vb_store_n(y + i, vb_round(v, &bounds), some);
	}
}

static void add(uint8_t *y, const uint8_t *a, const uint8_t *b, int64_t n,
		const struct kerf_binary8 *p)
{
	two_operands(ADD, y, a, b, n, p);
}

static void multiply(uint8_t *y, const uint8_t *a, const uint8_t *b, int64_t n,
		     const struct kerf_binary8 *p)
{
	two_operands(MULTIPLY, y, a, b, n, p);
}

static void rescale(uint8_t *y, const uint8_t *a, int64_t n, const struct kerf_binary8 *p)
{
	two_operands(RESCALE, y, a, NULL, n, p);
}

static void mean(uint8_t *y, const uint8_t *x, const struct kerf_cpu_window8 *t, int64_t c, float m,
		 const struct kerf_binary8 *p)
{
	const struct vb_bounds bounds = vb_bounds(p->zero, p->lo, p->hi);
	const vi zero = vi_set1(p->a_zero);
	int64_t i, h, w;

	for (i = 0; i < c; i += VL) {
		int n = c - i < VL ? (int)(c - i) : VL;
		vi acc = vi_set1(0);

		for (h = 0; h < t->nh; h++)
			for (w = 0; w < t->nw; w++)
				acc += vb_load_n(x + h * t->step_h + w * t->step_w + i, p->a_signed,
						 n) -
				       zero;
		vb_store_n(y + i, vb_round(vi_to_vf(acc) * vf_set1(m), &bounds), n);
	}
}

const struct kerf_cpu_int8_fns KERF_ISA_NAME(kerf_cpu_int8) = {
	.lanes = VL,
	.words = {.rows = TILE_ROWS, .bytes = false, .run = words_run},
#if defined(KERF_ISA_avx512)
	.dots = {.rows = TILE_ROWS, .bytes = true, .run = dots_run},
#endif
	.widen = widen,
	.depthwise = depthwise,
	.quantize = quantize,
	.dequantize = dequantize,
	.add = add,
	.multiply = multiply,
	.rescale = rescale,
	.mean = mean,
};
