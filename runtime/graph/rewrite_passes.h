/* SPDX-License-Identifier: MIT */
/* Parts of passes that rewrite.c puts together; see rewrite.h. */
#ifndef KERF_GRAPH_REWRITE_PASSES_H
#define KERF_GRAPH_REWRITE_PASSES_H

#include "graph/rewrite.h"
#include "graph/rewrite_edit.h"

/*
 * weights: also what is large (weights in another form). Done late: fusing
 * often does without the copy.
 */
int kerf_fold(struct kerf_graph *g, bool weights, struct kerf_err *err);

/*
 * Rules of the fuse pass. Each looks at operator j, whose inputs are resolved, and
 * changes it if it is the end of a pattern. 0 or a negative errno.
 */
int kerf_fuse_composite(struct kerf_edit *e, uint32_t j); /* SiLU, hard-swish, Mish, GELU */
int kerf_fuse_norm(struct kerf_edit *e, uint32_t j);      /* layer norm, softmax, global mean */
int kerf_fuse_shuffle(struct kerf_edit *e, uint32_t j);   /* DepthToSpace, SpaceToDepth */
int kerf_fuse_pad(struct kerf_edit *e, uint32_t j);
int kerf_fuse_linear(struct kerf_edit *e, uint32_t j); /* MatMul + bias */
/* Operator j is the activation act after a Gemm and a view of it: becomes the Gemm's. */
int kerf_fuse_linear_act(struct kerf_edit *e, uint32_t j, const struct kerf_act *act);

/* The activation that op is, if it is one. */
bool kerf_fuse_as_act(const struct kerf_edit *e, const struct kerf_op *op, struct kerf_act *act);

#endif
