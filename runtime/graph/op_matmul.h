/* SPDX-License-Identifier: MIT */
/* What the float, integer and quantised matrix products share. */
#ifndef KERF_GRAPH_OP_MATMUL_H
#define KERF_GRAPH_OP_MATMUL_H

#include "graph/op.h"

/* Shape of a MatMul b by NumPy's rules; dtype untouched. */
int kerf_matmul_infer_shape(const struct kerf_tensor *a, const struct kerf_tensor *b,
			    struct kerf_tensor *y, struct kerf_err *err);

struct kerf_matmul_integer {
	const struct kerf_tensor *a, *b;	   /* int8 or uint8 */
	const struct kerf_tensor *a_zero, *b_zero; /* NULL, one, or one a row of a / column of b */
};

/* Sums of (a - a_zero) * (b - b_zero), wrapping as int32, for every element of y. */
void kerf_matmul_integer(const struct kerf_matmul_integer *m, const struct kerf_tensor *y,
			 int32_t *acc);

/* z (may be NULL) is one element of the dtype of `of`, or a vector of n. */
int kerf_check_zero(const struct kerf_tensor *z, const struct kerf_tensor *of, const char *name,
		    int64_t n, struct kerf_err *err);

/* The table entry of Einsum. */
int kerf_einsum_infer(const struct kerf_op *op, const struct kerf_tensor *in,
		      struct kerf_tensor *out, struct kerf_err *err);
int kerf_einsum_eval(const struct kerf_op *op, const struct kerf_tensor *in,
		     struct kerf_tensor *out);
int64_t kerf_einsum_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			  const struct kerf_tensor *out);

#endif
