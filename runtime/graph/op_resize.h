/* SPDX-License-Identifier: MIT */
/* Where Resize and Upsample read: shared by the reference and by faster kernels. */
#ifndef KERF_GRAPH_OP_RESIZE_H
#define KERF_GRAPH_OP_RESIZE_H

#include "graph/op.h"

#define KERF_RESIZE_TAPS 4
struct kerf_resize_taps {
	int n; /* 1 nearest, 2 linear, 4 cubic; 0: the extrapolation value */
	int64_t at[KERF_RESIZE_TAPS]; /* positions held (a tile's own rows) */
	float w[KERF_RESIZE_TAPS];
};

/*
 * Taps of every output position that out[0] holds along axis, counted in ONNX's order
 * (N, C, spatial); t has as many entries. *nearest: values are copied, not blended.
 * -EINVAL if the shapes' contents are unknown or a tile does not hold a tap.
 */
int kerf_resize_axis(const struct kerf_op *op, const struct kerf_tensor *in,
		     const struct kerf_tensor *out, int axis, struct kerf_resize_taps *t,
		     bool *nearest);

#endif
