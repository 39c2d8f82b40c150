/* SPDX-License-Identifier: MIT */
/*
 * Slices and tiles: pieces of a frozen graph, each a graph of its own.
 *
 * A slice is a convex set of operators: no path leaves it and comes back. Its
 * inputs are the values it reads but does not make, in order of value id; its
 * outputs the values it makes that others (or the model's outputs) need, in order
 * of value id. Value names are the whole graph's, so names join slices together.
 *
 * A tile is a slice limited to a row range (axis 1 of nhwc values) of its outputs.
 * Every value in it holds the hull of the rows its readers need (at least one);
 * windows keep their exact padding at the border of the whole image, so that the
 * rows of a tile are bit for bit those of the whole run on the same engine kind.
 * A reader that needs fewer rows than are held, and cannot say so by op->tile, reads
 * through an internal operator, rowCrop (op_tile.c), whose origin is the reader's;
 * rows of constants are taken when the slice is made. The change of layout at a
 * model's input is made for the rows alone, out of the whole input. Values that are
 * not nhwc, and everything an operator without a row rule reads or makes, are held
 * whole; if that cannot be, the tile is refused.
 *
 * Why a tile is exact: take its operators in order, and suppose that every row held
 * of every input is the whole run's. Each operator makes output rows from the same
 * elements, at the same distance from the same border, as in the whole run: need
 * covers every row that rows() asks for, so a tap outside the held rows is outside
 * the whole image, where the whole run meets padding too. What an engine adds up for
 * one output element, and in what order, does not depend on which other elements it
 * computes (design of the engines), so the rows made are the whole run's.
 *
 * The same (graph, ops, rows) gives the same slice on every node: a slice is
 * described to a peer by that triple (struct kerf_slice_spec) and made there.
 */
#ifndef KERF_GRAPH_SLICE_H
#define KERF_GRAPH_SLICE_H

#include "graph/graph.h"
#include "graph/op.h"

struct kerf_slice_spec {
	uint32_t n_op;
	const uint32_t *op; /* ascending op ids of the whole graph */
	/* A tile: rows of every output; {0, 0} for a slice of whole tensors. */
	struct kerf_rows rows;
	/*
	 * Channels of every output (last axis of nhwc values and of [N,C]); {0, 0}: all. Not beside
	 * rows. An operator that mixes channels (Conv, Gemm, MatMul) reads the slice's inputs and
	 * none of its own values: it needs all channels, and a slice holds its own alone.
	 */
	struct kerf_rows channels;
	/*
	 * The tile takes its border for the image's and is inexact: every value in it has the part
	 * of its rows that rows are of the outputs'; -EOPNOTSUPP where that is not whole rows.
	 */
	bool padded;
};

/*
 * A new frozen graph holding a reference to the whole one. -EINVAL if the set is
 * not convex, ids are out of order, or rows are out of range; -EOPNOTSUPP, naming
 * the operator, if it cannot be limited to rows or channels; -ENOMEM. Outputs of a tile must all
 * be nhwc and have the same number of rows.
 */
int kerf_slice_make(struct kerf_graph *whole, const struct kerf_slice_spec *spec,
		    struct kerf_graph **slice, struct kerf_err *err);

/* Rows of slice value v within the whole value: {0, H} if it is not limited. */
struct kerf_rows kerf_slice_rows(const struct kerf_graph *slice, int32_t v);

/*
 * True if the set is convex; marks[n_op of whole] holds membership. Also false when
 * memory runs out.
 */
bool kerf_slice_convex(const struct kerf_graph *whole, const bool *marks);

#endif
