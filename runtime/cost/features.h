/* SPDX-License-Identifier: MIT */
/*
 * What is known of an operator without running it, as numbers: a stored profile has them beside
 * each measured time, and the predictor (predictor.h) learns from both.
 */
#ifndef KERF_COST_FEATURES_H
#define KERF_COST_FEATURES_H

#include "graph/graph.h"

/* In the order in which files have them: new ones go to the end. All are finite and >= 0. */
enum kerf_feature {
	KERF_FEATURE_FLOPS,
	KERF_FEATURE_IN_BYTES,	   /* of inputs that are no constants */
	KERF_FEATURE_OUT_BYTES,
	KERF_FEATURE_WEIGHT_BYTES, /* of constants */
	KERF_FEATURE_C_IN,	   /* channels; of a product the length of its sums */
	KERF_FEATURE_C_OUT,
	KERF_FEATURE_PIXELS,	   /* output elements / channels */
	KERF_FEATURE_WIDTH,	   /* of the output's rows; 1 where there are none */
	KERF_FEATURE_KERNEL,	   /* taps of the window */
	KERF_FEATURE_STRIDE,	   /* product over the axes */
	KERF_FEATURE_GROUPS,	   /* of a convolution; of a product the matrices multiplied */
	KERF_FEATURE_ACT,	   /* enum kerf_act_kind of the fused activation */
	KERF_N_FEATURE
};

/* Operators of one family run on kernels that are alike. */
enum kerf_family {
	KERF_FAMILY_VIEW,      /* moves nothing: Reshape */
	KERF_FAMILY_CONV,      /* windows over all channels of a group */
	KERF_FAMILY_POINTWISE, /* 1x1 */
	KERF_FAMILY_DEPTHWISE,
	KERF_FAMILY_PRODUCT,   /* Gemm and MatMul by constants */
	KERF_FAMILY_MATMUL,    /* of two activations */
	KERF_FAMILY_CONV8,     /* quantised products and convolutions */
	KERF_FAMILY_POOL,
	KERF_FAMILY_ELEMENTWISE,
	KERF_FAMILY_NORM,      /* softmax, norms, reductions */
	KERF_FAMILY_MOVE,      /* Transpose, Concat, Slice, Resize, Gather... */
	KERF_FAMILY_OTHER,
	KERF_N_FAMILY
};

struct kerf_features {
	char type[32]; /* of the operator, cut off where it is longer */
	double v[KERF_N_FEATURE];
};

void kerf_features_of(const struct kerf_graph *g, const struct kerf_op *op,
		      struct kerf_features *f);
enum kerf_family kerf_features_family(const struct kerf_features *f);
const char *kerf_family_name(enum kerf_family family);

#endif
