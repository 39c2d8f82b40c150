/* SPDX-License-Identifier: MIT */
/*
 * Quantised arithmetic, defined once: every engine (reference, cpu kernels, NPU)
 * computes these formulas, in this order, so that 8-bit results are equal bit for
 * bit wherever they were made.
 *
 * A real number r is stored as q with r = (q - zero) * scale; scale is float32,
 * q and zero int8 or uint8.
 *
 *   convolution, matrix product:
 *     acc = bias + sum of (x - x_zero) * (w - w_zero)       int32, exact
 *     m   = x_scale * w_scale / y_scale                     float32, left to right, once
 *     y   = saturate(round((float)acc * m) + y_zero)
 *   average:  acc = sum of (x - x_zero), m = x_scale / y_scale / count
 *   add:      y = saturate(round(da * (a_scale / y_scale) + db * (b_scale / y_scale)) + y_zero)
 *             with da = (float)(a - a_zero); two products, then one sum, none fused
 *   multiply: acc = (a - a_zero) * (b - b_zero), m = a_scale * b_scale / y_scale
 *   concat, rescale: acc = x - x_zero, m = x_scale / y_scale
 *
 * round is to nearest, ties to even, of a float32; every operation is one float32
 * operation rounded to nearest even, never fused or reassociated. A NaN becomes
 * the lower bound. Saturation is to [lo, hi], which is the dtype's range, or a part
 * of it where an activation (Relu, Clip) is fused: see kerf_quant_bounds().
 */
#ifndef KERF_GRAPH_QUANT_H
#define KERF_GRAPH_QUANT_H

#include "graph/graph.h"

#include <math.h>

/* m of a convolution or matrix product; also of multiply. */
static inline float kerf_quant_factor(float x_scale, float w_scale, float y_scale)
{
	return x_scale * w_scale / y_scale;
}

/* saturate(round(v) + zero). zero is in [-128, 255], so that the bounds are exact floats. */
static inline int32_t kerf_quant_round(float v, int32_t zero, int32_t lo, int32_t hi)
{
	float least = (float)(lo - zero), most = (float)(hi - zero);

	v = rintf(v);
	v = v > least ? v : least;
	v = v < most ? v : most;
	return (int32_t)v + zero;
}

/* One accumulator to one quantised output. */
static inline int32_t kerf_quant_acc(int32_t acc, float m, int32_t zero, int32_t lo, int32_t hi)
{
	return kerf_quant_round((float)acc * m, zero, lo, hi);
}

static inline int32_t kerf_quant_sum(int32_t da, float ma, int32_t db, float mb, int32_t zero,
				     int32_t lo, int32_t hi)
{
	float a = (float)da * ma, b = (float)db * mb;

	return kerf_quant_round(a + b, zero, lo, hi);
}

/*
 * Range of quantised outputs of dtype (int8, uint8, int16, uint16) after act. Relu
 * and Clip(a, b) become the quantised places of their bounds, saturated; no
 * activation leaves the dtype's range. False: act cannot be done so.
 */
bool kerf_quant_bounds(const struct kerf_act *act, enum kerf_dtype dtype, float scale,
		       int32_t zero, int32_t *lo, int32_t *hi);

#endif
