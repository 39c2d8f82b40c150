/* SPDX-License-Identifier: MIT */
/*
 * Static memory plan: one arena for all values a program makes, offsets reused
 * as lifetimes end. Values that are graph inputs, outputs or constants get no
 * offset; neither do views, which share their root's memory.
 */
#ifndef KERF_GRAPH_MEMPLAN_H
#define KERF_GRAPH_MEMPLAN_H

#include "graph/graph.h"

#define KERF_MEMPLAN_NONE SIZE_MAX

struct kerf_memplan {
	size_t bytes;	  /* size of the arena = the peak */
	size_t lower_bound; /* largest sum of live values at any operator */
	size_t *offset;	  /* per value; KERF_MEMPLAN_NONE: not in the arena */
	int32_t *root;	  /* per value: the value whose memory it is (itself if not a view) */
};

/*
 * scratch[i]: bytes that op i needs while it runs (NULL: none); scratch_offset[i]
 * receives their place. Greedy by size, best fit over lifetime overlaps
 * (Pisarchyk and Lee, 2020, "Efficient memory management for deep neural net
 * inference"), every block aligned to KERF_ALIGN.
 */
int kerf_memplan_make(const struct kerf_graph *g, const size_t *scratch, size_t *scratch_offset,
		      struct kerf_memplan *plan);
void kerf_memplan_finish(struct kerf_memplan *plan);

#endif
