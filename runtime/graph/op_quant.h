/* SPDX-License-Identifier: MIT */
/* What the quantised operators share. */
#ifndef KERF_GRAPH_OP_QUANT_H
#define KERF_GRAPH_OP_QUANT_H

#include "graph/op.h"

/* Where results go: parameters of the output, and its bounds after op->act. */
struct kerf_quant_target {
	float scale;
	int32_t zero, lo, hi;
};

/* -EINVAL for an activation that is no clamp. */
int kerf_quant_target(const struct kerf_op *op, const struct kerf_tensor *scale,
		      const struct kerf_tensor *zero, struct kerf_quant_target *t);

/* Stores a value that is within the dtype's range; 8 and 16 bits. */
void kerf_quant_put(struct kerf_tensor *t, int64_t i, int32_t v);

/* in[k] is 8-bit, in[k + 1] its one scale, in[k + 2] its one zero point. */
int kerf_check_quantised(const struct kerf_tensor *in, int k, struct kerf_err *err);

/* in[k] is one or n scales, in[k + 1] as many zero points (of the dtype of `of`, unless NULL). */
int kerf_check_params(const struct kerf_tensor *in, int k, const struct kerf_tensor *of, int64_t n,
		      struct kerf_err *err);

#endif
