/* SPDX-License-Identifier: MIT */
/*
 * The light kernels: tables of functions on rows and windows of float32 or bytes, one
 * table a file isa_*.c and instruction set. They know no operator and no threads; the
 * cpu_op_*.c cut operators into such pieces.
 *
 * Pointers need no alignment unless said. y may equal an input, and must not overlap
 * it otherwise. Every function gives the same bits on AVX2, AVX-512 and NEON.
 */
#ifndef KERF_EXEC_CPU_LIGHT_H
#define KERF_EXEC_CPU_LIGHT_H

#include "graph/graph.h"

/* --- element-wise (isa_elementwise.c) --- */

enum kerf_map2 {
	KERF_MAP_ADD,
	KERF_MAP_SUB,
	KERF_MAP_MUL,
	KERF_MAP_DIV,
	KERF_MAP_MAX,
	KERF_MAP_MIN,
	KERF_MAP_PRELU, /* a < 0 ? a * b : a */
	KERF_N_MAP2,
};

enum kerf_map1 {
	KERF_MAP_NEG,
	KERF_MAP_ABS,
	KERF_MAP_SQRT,
	KERF_MAP_RECIPROCAL,
	KERF_MAP_SQUARE,
	KERF_MAP_EXP,
	KERF_MAP_ERF,
	KERF_MAP_LOG,
	KERF_MAP_SOFTPLUS,
	KERF_N_MAP1,
};

typedef void (*kerf_map1_fn)(float *y, const float *x, int64_t n);
typedef void (*kerf_map2_fn)(float *y, const float *a, const float *b, int64_t n);

struct kerf_cpu_map_fns {
	kerf_map1_fn map1[KERF_N_MAP1];
	/* [which operands are one value for all n: 0 none, 1 a, 2 b] */
	kerf_map2_fn map2[KERF_N_MAP2][3];
	/* An activation in place. */
	void (*act)(const struct kerf_act *act, float *y, int64_t n);
	/* y = x * scale + shift (fused), a scale and a shift an element */
	void (*affine)(float *y, const float *x, const float *scale, const float *shift, int64_t n);
	/* y = c ? a : b; c is a byte an element, of any value not 0 when true */
	void (*select)(float *y, const uint8_t *c, const float *a, const float *b, int64_t n);
};

/* --- sums and what is made of them (isa_norm.c) --- */

/*
 * A row's sum: element i goes to partial sum i mod 16, in order; the 16 are added as a
 * fixed tree (p, p + 8), (p, p + 4), (p, p + 2), (p, p + 1). A column's sum (one of many
 * side by side): blocks of 32 rows in order, the blocks' sums added in order.
 */
enum kerf_fold {
	KERF_FOLD_SUM,
	KERF_FOLD_SQUARES,
	KERF_FOLD_ABS,
	KERF_FOLD_MAX,
	KERF_FOLD_MIN,
	KERF_N_FOLD,
};

#define KERF_SOFTMAX_SHORT 8

struct kerf_cpu_norm_fns {
	float (*fold_row[KERF_N_FOLD])(const float *x, int64_t n);
	/* y[c] over rows of c elements, step apart */
	void (*fold_columns[KERF_N_FOLD])(float *y, const float *x, int64_t rows, int64_t step,
					  int64_t c);
	/* The sum of (x - mean)^2 over a row, or per column. */
	float (*spread_row)(const float *x, float mean, int64_t n);
	void (*spread_columns)(float *y, const float *x, const float *mean, int64_t rows,
			       int64_t step, int64_t c);
	/* y = (x - mean) * factor * scale + shift; scale, shift: an element each, or NULL */
	void (*normalise_row)(float *y, const float *x, float mean, float factor,
			      const float *scale, const float *shift, int64_t n);
	/* (log-)softmax of a row, and of c columns side by side, rows step apart */
	void (*softmax_row)(float *y, const float *x, int64_t n, bool log);
	/* rows of n <= KERF_SOFTMAX_SHORT elements, one after another; summed in order */
	void (*softmax_short)(float *y, const float *x, int64_t rows, int64_t n, bool log);
	void (*softmax_columns)(float *y, const float *x, int64_t rows, int64_t step, int64_t c,
				bool log);
	/*
	 * Local response across channels: y[i] = x[i] / (k + a * s)^0.75, s the sum of
	 * squares of x[i - before .. i + after] within the row of c.
	 * tmp: c + before + after floats.
	 */
	void (*lrn_row)(float *y, const float *x, int64_t c, int64_t before, int64_t after, float k,
			float a, float *tmp);
};

/* --- windows (isa_pool.c) --- */

/* Taps of one output pixel: nh x nw pixels of c channels, steps in elements. */
struct kerf_cpu_taps {
	int64_t nh, nw, step_h, step_w;
};

struct kerf_cpu_pool_fns {
	void (*max_f32)(float *y, const float *x, const struct kerf_cpu_taps *t, int64_t c);
	/* sum over taps in order, then / count */
	void (*mean_f32)(float *y, const float *x, const struct kerf_cpu_taps *t, int64_t c,
			 float count);
	void (*max_u8)(uint8_t *y, const uint8_t *x, const struct kerf_cpu_taps *t, int64_t c);
	void (*max_i8)(int8_t *y, const int8_t *x, const struct kerf_cpu_taps *t, int64_t c);
	/* y = sum of w[i] * x[i] over n pixels of c channels each (fused, in order) */
	void (*blend)(float *y, const float *const *x, const float *w, int n, int64_t c);
};

#endif
