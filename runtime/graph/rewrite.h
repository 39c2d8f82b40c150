/* SPDX-License-Identifier: MIT */
/*
 * Rewrites: from ONNX's operators as imported to what engines like to run. Each
 * pass keeps the graph's meaning, inputs and outputs (names, dtypes, shapes), and
 * leaves a graph that kerf_graph_verify() accepts.
 *
 * kerf_rewrite() runs them in this order:
 *   fold     small constants; what changes nothing, or is computed twice, goes
 *   quant    QuantizeLinear/DequantizeLinear islands to QLinear and internal q* operators
 *   fuse     Pad into Conv and pools; BatchNorm/Mul/Add into Conv (as its weight
 *            scale and bias); MatMul+Add to Gemm form; layer norm, GELU, SiLU,
 *            hard-swish, Mish recognised; residual Add into Conv; activations into
 *            op->act
 *   fold, fuse   what large constants still stand in the way of
 *   layout   channels-last propagation with the fewest transposes
 *   fold     views and transposes that met
 * Fusing re-associates sums and quantising rounds elsewhere: results agree with the
 * model as imported within rounding (rewrite_fuse.c, rewrite_quant.c say where).
 * Folding and layout keep every bit, but for reductions over channels and space at once.
 *
 * Conv after fusion takes inputs X, W, [B], [S], [R]: S one factor per output
 * channel, applied to the weights when an engine packs them (w * s, rounded to
 * float32, is the weight: so the file's weights stay mapped and are never copied);
 * R a residual of the output's shape, added after the bias and before op->act.
 */
#ifndef KERF_GRAPH_REWRITE_H
#define KERF_GRAPH_REWRITE_H

#include "graph/graph.h"

int kerf_rewrite(struct kerf_graph *g, struct kerf_err *err);

int kerf_rewrite_fold(struct kerf_graph *g, struct kerf_err *err);
int kerf_rewrite_quant(struct kerf_graph *g, struct kerf_err *err);
int kerf_rewrite_fuse(struct kerf_graph *g, struct kerf_err *err);
int kerf_rewrite_layout(struct kerf_graph *g, struct kerf_err *err);

#endif
