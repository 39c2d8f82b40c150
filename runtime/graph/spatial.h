/* SPDX-License-Identifier: MIT */
/*
 * Helpers of the operators' reference code: where the elements of a spatial
 * value stand in either layout, which input elements a window meets, which rows
 * a window needs, and half floats seen as float32.
 *
 * Everything here works in the coordinates of the whole image: for a tile, the
 * row axis of a grid says which rows are held (row0, size[0]) of how many (rows).
 * So padding, counts and halos of a tile are those of the whole run.
 */
#ifndef KERF_GRAPH_SPATIAL_H
#define KERF_GRAPH_SPATIAL_H

#include "graph/op_util.h"

/* ONNX's axis (channels are 1) of a value of that rank, as the value is stored. */
static inline int kerf_stored_axis(const struct kerf_op *op, int axis, int rank)
{
	if (!op->nhwc || axis == 0)
		return axis;
	return axis == 1 ? rank - 1 : axis - 1;
}

/* Where element o of y finds its element of c, which broadcasts to y. */
int64_t kerf_broadcast_index(const struct kerf_tensor *c, const struct kerf_tensor *y, int64_t o);

/* A value as batch x channels x everything else, in either layout. Steps in elements. */
struct kerf_planes {
	int64_t batch, channels, inner;
	int64_t step_batch, step_channel, step_inner;
};

/* t has rank 2 or more (a rank of 1 counts as one channel). */
struct kerf_planes kerf_planes(const struct kerf_tensor *t, bool nhwc);

/* A value of 1 to 3 spatial axes in either layout. Steps in elements. */
struct kerf_grid {
	int n;
	int64_t batch, channels, size[3];
	int64_t step_batch, step_channel, step[3];
	int64_t row0, rows; /* axis 0: first row held, rows of the whole */
};

struct kerf_grid kerf_grid_in(const struct kerf_op *op, const struct kerf_tensor *t);
struct kerf_grid kerf_grid_out(const struct kerf_op *op, const struct kerf_tensor *t);

/* Positions of a grid, in the order of its axes: false when pos passed the last. */
bool kerf_grid_next(const struct kerf_grid *g, int64_t pos[3]);
int64_t kerf_grid_offset(const struct kerf_grid *g, const int64_t pos[3]);
int64_t kerf_grid_count(const struct kerf_grid *g);

/* kerf_op_window() of the whole operator, also for a tile. */
int kerf_whole_window(const struct kerf_op *op, const struct kerf_tensor *x,
		      const int64_t *kernel_from_weights, struct kerf_window *w,
		      struct kerf_err *err);

/*
 * The window of ConvTranspose of the whole operator, pads resolved from pads,
 * auto_pad or output_shape, and the whole output's spatial dims. A total padding
 * below zero (output_shape beyond the natural size) becomes none: the rest is zero.
 */
int kerf_transposed_window(const struct kerf_op *op, const struct kerf_tensor *x,
			   const int64_t *kernel_from_weights, struct kerf_window *w,
			   int64_t out[3], struct kerf_err *err);

/*
 * The input elements that the window of one output position meets, in kernel
 * order; taps in the padding are left out. Cost and memory are bounded by the
 * input's size, whatever the kernel.
 */
struct kerf_taps {
	int64_t n;
	int64_t *x;	/* offset in the image, in elements (channel 0 of batch 0) */
	int64_t *k;	/* index in the kernel, row major */
	int64_t padded; /* taps inside the input or its padding: AveragePool's other count */
};

/* Memory for any position of w over x. -ENOMEM, or 0. */
int kerf_taps_init(struct kerf_taps *t, const struct kerf_window *w, const struct kerf_grid *x);
void kerf_taps_finish(struct kerf_taps *t);
void kerf_taps_at(struct kerf_taps *t, const struct kerf_window *w, const struct kerf_grid *x,
		  const struct kerf_grid *y, const int64_t pos[3]);
/* The same for ConvTranspose. */
void kerf_taps_transposed_at(struct kerf_taps *t, const struct kerf_window *w,
			     const struct kerf_grid *x, const struct kerf_grid *y,
			     const int64_t pos[3]);

/*
 * Rows begin to last of a whole input of n rows, clamped. Never empty unless n is 0:
 * rows wholly in the padding still name the nearest one, so that no tile is empty.
 */
struct kerf_rows kerf_rows_clamp(int64_t first, int64_t last, int64_t n);
/* All rows of t, for inputs that are not limited (weights, scales). */
struct kerf_rows kerf_rows_all(const struct kerf_tensor *t);
/* The rows rule of a window over input 0 (Conv, pools); other inputs are taken whole. */
int kerf_window_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		     const int64_t *kernel_from_weights, int i, struct kerf_rows want,
		     struct kerf_rows *need);
/* The rows rule of an nhwc operator whose output row r needs row r of input 0 alone. */
int kerf_same_rows(const struct kerf_op *op, const struct kerf_tensor *in,
		   const struct kerf_tensor *out, int i, struct kerf_rows want,
		   struct kerf_rows *need);

static inline bool kerf_is_half(enum kerf_dtype t)
{
	return t == KERF_F16 || t == KERF_BF16;
}

/* 2 * a * b for counts of work: shapes may be absurd, so it stops at the largest int64. */
static inline int64_t kerf_flops_of(int64_t a, int64_t b)
{
	int64_t n;

	return kerf_mul(a, b, &n) && kerf_mul(n, 2, &n) ? n : INT64_MAX;
}

/* float32, float16, bfloat16: what is computed in float32. */
static inline bool kerf_is_f32_like(enum kerf_dtype t)
{
	return t == KERF_F32 || kerf_is_half(t);
}

/*
 * The elements as float32: t's own memory, or a converted copy that *owned then
 * points to (free it; NULL otherwise). NULL on exhaustion. Any numeric dtype.
 */
const float *kerf_f32_of(const struct kerf_tensor *t, float **owned);
/* Stores one float32 into a float32, float16, bfloat16 or float64 tensor. */
void kerf_f32_put(struct kerf_tensor *t, int64_t i, float v);
/* Stores the low bits of v into any integer tensor. */
void kerf_int_put(struct kerf_tensor *t, int64_t i, uint64_t v);

/* -EINVAL or -EOPNOTSUPP with a sentence about input k, unless its dtype is one of the three. */
int kerf_want_f32_like(const struct kerf_tensor *t, int k, struct kerf_err *err);

#endif
