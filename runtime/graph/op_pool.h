/* SPDX-License-Identifier: MIT */
/* What the float and the quantised pools share. */
#ifndef KERF_GRAPH_OP_POOL_H
#define KERF_GRAPH_OP_POOL_H

#include "graph/op.h"

/* Shape of a pool's output, ceil_mode applied; dtype untouched. */
int kerf_pool_infer_shape(const struct kerf_op *op, const struct kerf_tensor *x,
			  struct kerf_tensor *y, struct kerf_err *err);

#endif
