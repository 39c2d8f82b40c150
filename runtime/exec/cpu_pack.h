/* SPDX-License-Identifier: MIT */
/*
 * Weights in the order the tile kernels read them (cpu_tile.h), and the walk of those
 * kernels over rows and panels. Shared by convolution and matrix product.
 */
#ifndef KERF_EXEC_CPU_PACK_H
#define KERF_EXEC_CPU_PACK_H

#include "exec/cpu_kernels.h"
#include "exec/cpu_tile.h"

/*
 * Element (column n, tap (y, x), channel i) stands at w[n * column + y * tap_y + x * tap_x +
 * i * chan]; its k is (y * taps_x + x) * n_chan + i.
 */
struct kerf_cpu_weights {
	const float *w;
	const float *scale; /* one for each column, or NULL */
	float alpha;	    /* one for all; 1: none */
	int64_t columns, taps_y, taps_x, n_chan;
	int64_t column, tap_y, tap_x, chan;
	void (*drop)(void *arg, const void *p, size_t bytes); /* of kerf_cpu_gemm_desc, or NULL */
	void *drop_arg;
};

/* Bytes of the panels of that many columns by k; KERF_ALIGN multiples. -1 on overflow. */
int64_t kerf_cpu_panel_bytes(const struct kerf_cpu_isa *isa, int64_t columns, int64_t k);

/* Packs columns of panel p into dst (that panel's place), zeros in columns that do not exist. */
void kerf_cpu_pack_panel(const struct kerf_cpu_weights *src, int64_t p, int nr, float *dst);

/* Packs rows k0 .. k1 of all panels: for sources whose columns are adjacent (column 1, one tap). */
void kerf_cpu_pack_rows(const struct kerf_cpu_weights *src, int64_t k0, int64_t k1, int nr,
			float *dst);

/* Packs all panels, over the pool, reading the source about front to back. */
void kerf_cpu_pack(const struct kerf_cpu_weights *src, int nr, float *dst, struct kerf_pool *pool);

/* A part of the inner dimension: runs of the same length (cpu_tile.h), from k0 on. */
struct kerf_cpu_block {
	const int64_t *seg;
	int64_t n_seg, seg_len, k0;
};

/*
 * Cuts n_seg runs of seg_len floats into blocks of about the inner length that keeps a
 * panel's part in the first-level cache. *block is malloc'ed and holds the runs too;
 * free() it. Returns the number of blocks or -ENOMEM.
 */
int kerf_cpu_blocks_new(const int64_t *seg, int64_t n_seg, int64_t seg_len,
			struct kerf_cpu_block **block);

/* Rows of equally spaced pixels times panels p0 .. p1. Steps in floats. */
struct kerf_cpu_walk {
	const struct kerf_cpu_isa *isa;
	const float *a, *b;
	const float *bias;     /* padded to whole panels, or NULL */
	const float *residual; /* or NULL */
	float *y;	       /* pixel 0 of row 0, column 0 of panel 0; as residual */
	int64_t rows, pixels;
	int64_t a_row, a_pixel, y_row, y_pixel, r_row, r_pixel;
	int64_t columns, k;
	const struct kerf_cpu_block *block;
	int n_block;
	const struct kerf_act *act;
};

void kerf_cpu_walk(const struct kerf_cpu_walk *w, int64_t p0, int64_t p1);

#endif
