/* SPDX-License-Identifier: MIT */
/* What the float and the quantised pools share. */
#ifndef KERF_GRAPH_OP_POOL_H
#define KERF_GRAPH_OP_POOL_H

#include "graph/spatial.h"

/* Shape of a pool's output, ceil_mode applied; dtype untouched. */
int kerf_pool_infer_shape(const struct kerf_op *op, const struct kerf_tensor *x,
			  struct kerf_tensor *y, struct kerf_err *err);

/* One run of a pool: the caller sets in, out and what its reduction uses. */
struct kerf_window_pool {
	struct kerf_taps taps;
	struct kerf_grid gx, gy;
	const struct kerf_tensor *in;
	struct kerf_tensor *out;
	const float *x;	  /* input as float32; not for MaxPool */
	int64_t *indices; /* MaxPool's second output, or NULL */
	float p;
	bool include_pad, column_major;
	void *ctx; /* of a reduction elsewhere */
};

/*
 * Calls reduce for every output element: its taps are in c->taps, the input's plane
 * begins at element x0, the output element is o. 0 or -ENOMEM.
 */
int kerf_window_pool_run(const struct kerf_op *op, struct kerf_window_pool *c,
		  void (*reduce)(struct kerf_window_pool *c, int64_t plane, int64_t x0, int64_t o));

#endif
