/* SPDX-License-Identifier: MIT */
/* Inside slicing: which rows of each value a tile holds. slice.h tells the idea. */
#ifndef KERF_GRAPH_TILE_H
#define KERF_GRAPH_TILE_H

#include "graph/slice.h"

/* Rows that one input of one operator reads, along that input's row axis. */
struct kerf_tile_need {
	bool limited; /* false: the value as it is held */
	int axis;
	struct kerf_rows rows;
};

struct kerf_tile {
	struct kerf_rows *hold;	     /* per value of the whole; {0, 0}: held whole */
	struct kerf_tile_need *need; /* per input of each operator: need[first[i] + k] */
	size_t *first;		     /* i is the position in spec->op */
	bool *held_whole;	     /* while it is made */
};

/*
 * spec was checked: ids ascending and in range, the set convex, rows not {0, 0}.
 * out[n_out] are the slice's outputs. Errors as kerf_slice_make().
 */
int kerf_tile_make(const struct kerf_graph *g, const struct kerf_slice_spec *spec, uint32_t n_out,
		   const int32_t *out, struct kerf_tile *t, struct kerf_err *err);
void kerf_tile_finish(struct kerf_tile *t); /* zeroed: nothing to do */

/*
 * For many tiles of one graph, each at the cost of its operators and not of the graph: open once,
 * fill and clear in turns (fill clears what it did if it fails), finish.
 */
int kerf_tile_open(const struct kerf_graph *g, struct kerf_tile *t);
int kerf_tile_fill(const struct kerf_graph *g, const struct kerf_slice_spec *spec, uint32_t n_out,
		   const int32_t *out, struct kerf_tile *t, struct kerf_err *err);
void kerf_tile_clear(const struct kerf_graph *g, const struct kerf_slice_spec *spec,
		     struct kerf_tile *t);

/* Inside the two that fill: room for need and first. 0 or -ENOMEM. */
int kerf_tile_room(const struct kerf_graph *g, const struct kerf_slice_spec *spec,
		   struct kerf_tile *t);

#endif
