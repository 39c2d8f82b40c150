/* SPDX-License-Identifier: MIT */
/*
 * Moving elements about: out[sum i_d * to_d] = in[sum i_d * from_d] over all indices
 * i_d < dim_d. Transposes, slices, concatenations, splits, expansions and pads are all
 * of this form. Strides count elements; from may be 0 (repeat) or negative (reverse).
 */
#ifndef KERF_EXEC_CPU_COPY_H
#define KERF_EXEC_CPU_COPY_H

#include "graph/tensor.h"
#include "util/pool.h"

#define KERF_COPY_RANK (2 * KERF_MAX_RANK)

struct kerf_copy {
	int rank;
	int64_t dim[KERF_COPY_RANK], from[KERF_COPY_RANK], to[KERF_COPY_RANK];
	int64_t from0, to0; /* first element read, written */
	size_t esize;	    /* bytes an element: 1, 2, 4 or 8 */

	/* private: set by kerf_copy_plan */
	int n_outer;			/* leading dims looped over; then come a, b */
	int64_t n_outer_items, block;	/* a piece: one outer item, block of a, all of b */
	int64_t pieces, batch, n_items; /* batch pieces are an item of the team */
};

/* Adds one dim; a copy begins as zero and esize. The order of dims does not matter. */
void kerf_copy_dim(struct kerf_copy *c, int64_t dim, int64_t from, int64_t to);

/* Merges and sorts the dims and decides how the work is divided. */
void kerf_copy_plan(struct kerf_copy *c);

/* in and out must not overlap. */
void kerf_copy_run(const struct kerf_copy *c, const void *in, void *out, struct kerf_pool *pool);

#endif
