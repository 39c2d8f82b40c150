/* SPDX-License-Identifier: MIT */
/* What the float, integer and quantised convolutions share. */
#ifndef KERF_GRAPH_OP_CONV_H
#define KERF_GRAPH_OP_CONV_H

#include "graph/op.h"

/* Shape of Conv's output for x = in[0] and OIHW weights in[w_index]; dtype untouched. */
int kerf_conv_infer_shape(const struct kerf_op *op, const struct kerf_tensor *in, int w_index,
			  struct kerf_tensor *y, struct kerf_err *err);

int64_t kerf_conv_flops(const struct kerf_tensor *w, const struct kerf_tensor *y);

struct kerf_conv_integer {
	const struct kerf_tensor *x, *w;	   /* int8 or uint8 */
	const struct kerf_tensor *x_zero, *w_zero; /* or NULL: 0; w_zero may have one a channel */
};

/* Sums of (x - x_zero) * (w - w_zero) for every element of y, in y's layout. 0 or -ENOMEM. */
int kerf_conv_integer(const struct kerf_op *op, const struct kerf_conv_integer *a,
		      const struct kerf_tensor *y, int32_t *acc);

/* Element i of a zero point or the like: absent is 0, a single one serves all. */
static inline int64_t kerf_zero_point(const struct kerf_tensor *z, int64_t i)
{
	return z ? kerf_tensor_int(z, kerf_tensor_count(z) == 1 ? 0 : i) : 0;
}

#endif
