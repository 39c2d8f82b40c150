/* SPDX-License-Identifier: MIT */
/*
 * Inside slicing: which channels of each value a slice holds that makes some channels of its
 * outputs alone. slice.h tells the idea.
 *
 * Every operator of such a slice makes that one range, on the last axis. One that mixes channels
 * (Conv, Gemm, MatMul) reads all of its first input, which must come from outside, and its own
 * filters alone; all others (element-wise ones, pools, depthwise Conv) read the range that they
 * make. So what is added up for an output element is the same, in the same order, and the
 * channels are the whole run's bits.
 */
#ifndef KERF_GRAPH_CHANNELS_H
#define KERF_GRAPH_CHANNELS_H

#include "graph/tile.h"

/*
 * As kerf_tile_fill(), with ranges of the last axis in hold; need tells for constants too what is
 * read of them, along need.axis. -EOPNOTSUPP, naming the operator, where channels cannot be made
 * apart; -EINVAL if the outputs have not as many channels, or the range is not theirs.
 */
int kerf_channels_fill(const struct kerf_graph *g, const struct kerf_slice_spec *spec,
		       uint32_t n_out, const int32_t *out, struct kerf_tile *t,
		       struct kerf_err *err);

/* True for a Conv with one filter a channel, whose attribute "group" counts channels. */
bool kerf_op_depthwise(const struct kerf_graph *g, const struct kerf_op *op);

#endif
