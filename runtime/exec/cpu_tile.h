/* SPDX-License-Identifier: MIT */
/*
 * The inner kernel of convolution and matrix product: a tile of up to mr output
 * rows (pixels) by up to nr columns (output channels), accumulators in registers.
 *
 * There is no im2col. The inputs of an output row are n_seg runs of seg_len
 * consecutive floats, at seg[] from the row's start: a matrix row is one run, a
 * k x k window of a channels-last image is k runs of k * channels. The same runs serve
 * all rows of a tile, whose starts are lda apart. The first ceil(m / 2) rows start at
 * a[0], the others at a[1]: so a tile may straddle two short image rows.
 *
 * B is packed by panels of nr columns, [panel][k][nr], the last one padded with zeros.
 */
#ifndef KERF_EXEC_CPU_TILE_H
#define KERF_EXEC_CPU_TILE_H

#include <stddef.h>

#include "graph/graph.h"

#define KERF_CPU_MAX_MR 14
#define KERF_CPU_ROW_FLOATS 128 /* the most row_panels x nr */

struct kerf_cpu_tile {
	const float *a[2];
	ptrdiff_t lda;
	const int64_t *seg;
	int64_t n_seg, seg_len;
	const float *b;	    /* the panel, at this block's first k */
	const float *ahead; /* a line from here is fetched for each k: B of the next block */
	float *c[2];	    /* as a: where the two halves of the rows go */
	const float *r[2];  /* residual, or NULL */
	ptrdiff_t ldc, ldr;
	const float *bias; /* nr floats of the panel, or NULL */
	float low, high;   /* of a clamping activation */
	int cols;	   /* columns that exist: 1 .. nr */
	bool first;	   /* this block starts the chain; else it goes on from c */
	bool last;	   /* this block ends it: bias, residual, clamp */
	bool clamp;
};

typedef void (*kerf_cpu_tile_fn)(const struct kerf_cpu_tile *t);

struct kerf_cpu_tile_fns {
	int mr, nr, lanes;
	/* [0]: cols <= lanes, [1]: up to nr = 2 lanes; then by rows - 1. */
	kerf_cpu_tile_fn fn[2][KERF_CPU_MAX_MR];
	/*
	 * One row against `panels` panels, panel_step floats apart: acc[panels * nr]. Up to
	 * row_panels together keep enough chains going to stream B at memory's speed.
	 */
	int row_panels;
	void (*row)(const float *a, const float *b, int64_t k, int64_t panel_step, int panels,
		    float *acc);
	/* Activations that are no clamp, on rows x cols in place. */
	void (*act)(const struct kerf_act *act, float *y, ptrdiff_t ld, int64_t rows, int64_t cols);
};

/* low, high of the clamp that act is; false if it is none of NONE, RELU, CLIP. */
static inline bool kerf_cpu_act_is_clamp(const struct kerf_act *act, float *low, float *high)
{
	*low = act->kind == KERF_ACT_CLIP ? act->a : 0;
	*high = act->kind == KERF_ACT_CLIP ? act->b : __builtin_inff();
	return act->kind == KERF_ACT_NONE || act->kind == KERF_ACT_RELU ||
	       act->kind == KERF_ACT_CLIP;
}

#endif
