/* SPDX-License-Identifier: MIT */
#include "exec/cpu_light.h"
#include "exec/vec_light.h"

extern const struct kerf_cpu_pool_fns KERF_ISA_NAME(kerf_cpu_pool);

#define WIDE 4 /* vectors of channels handled together, to hide latency */

VEC vf load_some(const float *p, int n)
{
	return n ? vf_load_n(p, n) : vf_load(p);
}

VEC void store_some(float *p, vf v, int n)
{
	if (n)
		vf_store_n(p, v, n);
	else
		vf_store(p, v);
}

/* nv vectors of channels; last: lanes of the last one, 0 for all. count 0: the maximum. */
VEC void pool_some(float *y, const float *x, const struct kerf_cpu_taps *t, int nv, int last,
		   float count)
{
	const bool mean = count != 0;
	vf acc[WIDE];
	int64_t h, w;
	int k;

#pragma GCC unroll 4
	for (k = 0; k < nv; k++)
		acc[k] = mean ? vf_zero() : vf_set1(-INFINITY);
	for (h = 0; h < t->nh; h++)
		for (w = 0; w < t->nw; w++) {
			const float *p = x + h * t->step_h + w * t->step_w;

#pragma GCC unroll 4
			for (k = 0; k < nv; k++) {
				vf v = load_some(p + k * VL, k == nv - 1 ? last : 0);

				acc[k] = mean ? acc[k] + v : vf_max_nan(acc[k], v);
			}
		}
#pragma GCC unroll 4
	for (k = 0; k < nv; k++)
		store_some(y + k * VL, mean ? acc[k] / vf_set1(count) : acc[k],
			   k == nv - 1 ? last : 0);
}

VEC void pool_f32(float *y, const float *x, const struct kerf_cpu_taps *t, int64_t c, float count)
{
	int64_t i;

	for (i = 0; i + WIDE * VL <= c; i += WIDE * VL)
		pool_some(y + i, x + i, t, WIDE, 0, count);
	for (; i + VL <= c; i += VL)
		pool_some(y + i, x + i, t, 1, 0, count);
	if (i < c)
		pool_some(y + i, x + i, t, 1, (int)(c - i), count);
}

static void max_f32(float *y, const float *x, const struct kerf_cpu_taps *t, int64_t c)
{
	pool_f32(y, x, t, c, 0);
}

static void mean_f32(float *y, const float *x, const struct kerf_cpu_taps *t, int64_t c,
		     float count)
{
	pool_f32(y, x, t, c, count);
}

#define BYTES (4 * VL)
typedef uint8_t vu8 __attribute__((vector_size(BYTES), aligned(1), may_alias));
typedef int8_t vi8 __attribute__((vector_size(BYTES), aligned(1), may_alias));

#define MAX_BYTES(name, T, V, low)                                                                 \
	static void name(T *y, const T *x, const struct kerf_cpu_taps *t, int64_t c)               \
	{                                                                                          \
		int64_t i, h, w;                                                                   \
                                                                                                   \
		for (i = 0; i + BYTES <= c; i += BYTES) {                                          \
			V m = *(const V *)(x + i);                                                 \
                                                                                                   \
			for (h = 0; h < t->nh; h++)                                                \
				for (w = 0; w < t->nw; w++) {                                      \
					V v = *(const V *)(x + h * t->step_h + w * t->step_w + i); \
					V gt = (V)(v > m);                                         \
                                                                                                   \
					m = (v & gt) | (m & ~gt);                                  \
				}                                                                  \
			*(V *)(y + i) = m;                                                         \
		}                                                                                  \
		for (; i < c; i++) {                                                               \
			T m = low;                                                                 \
                                                                                                   \
			for (h = 0; h < t->nh; h++)                                                \
				for (w = 0; w < t->nw; w++) {                                      \
					T v = x[h * t->step_h + w * t->step_w + i];                \
                                                                                                   \
					m = v > m ? v : m;                                         \
				}                                                                  \
			y[i] = m;                                                                  \
		}                                                                                  \
	}

MAX_BYTES(max_u8, uint8_t, vu8, 0)
MAX_BYTES(max_i8, int8_t, vi8, INT8_MIN)

static void blend(float *y, const float *const *x, const float *w, int n, int64_t c)
{
	int64_t i;
	int k;

	for (i = 0; i < c; i += VL) {
		int some = c - i < VL ? (int)(c - i) : 0;
		vf acc = load_some(x[0] + i, some) * vf_set1(w[0]);

		for (k = 1; k < n; k++)
			acc = vf_fma(load_some(x[k] + i, some), vf_set1(w[k]), acc);
		store_some(y + i, acc, some);
	}
}

const struct kerf_cpu_pool_fns KERF_ISA_NAME(kerf_cpu_pool) = {
	.max_f32 = max_f32,
	.mean_f32 = mean_f32,
	.max_u8 = max_u8,
	.max_i8 = max_i8,
	.blend = blend,
};
