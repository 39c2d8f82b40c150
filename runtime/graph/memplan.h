/* SPDX-License-Identifier: MIT */
/*
 * Static memory plan: one arena for all values a program makes, offsets reused
 * as lifetimes end. Values that are graph inputs, outputs or constants get no
 * offset: their memory is the caller's or the model's.
 *
 * Several values may share one block of the arena; root[] says whose it is:
 *  - The output of a KERF_OP_VIEW operator is its input's memory and the operator
 *    has nothing to do, if both live in the arena and have the same size. A view of
 *    a graph input, output or constant, or one that is a graph output, is a copy:
 *    its root is itself, and the engine must run the operator.
 *  - The output of an operator may take over the memory of an input that dies there
 *    and has the same shape and element size, where the engine says that its kernel
 *    may overwrite that input (overwrite[]). root[out] == root[in], and the operator
 *    still runs.
 */
#ifndef KERF_GRAPH_MEMPLAN_H
#define KERF_GRAPH_MEMPLAN_H

#include "graph/graph.h"

#define KERF_MEMPLAN_NONE SIZE_MAX

struct kerf_memplan {
	size_t bytes;	    /* size of the arena = the peak */
	size_t lower_bound; /* largest sum of live blocks at any operator */
	size_t *offset;	    /* per value, its root's; KERF_MEMPLAN_NONE: not in the arena */
	int32_t *root;	    /* per value: the value whose memory it is (itself if it has its own) */
};

/* The two arrays are per operator; each may be NULL. */
struct kerf_memplan_needs {
	const size_t *scratch;	   /* bytes that operator i needs while it runs */
	const uint32_t *overwrite; /* bit k: output 0 of operator i may be written over input k */
};

/*
 * needs may be NULL. scratch_offset[i] receives the place of needs->scratch[i] (NULL
 * if that is). Every block is aligned to KERF_ALIGN. Greedy by size and greedy by
 * breadth, best fit over lifetime overlaps, whichever is smaller (Pisarchyk and Lee,
 * 2020, "Efficient memory management for deep neural net inference"); in graphs of very
 * many values alive at once by classes of size, which takes more memory. 0, -ENOMEM, or
 * -EOVERFLOW if the sizes do not fit in a size_t.
 */
int kerf_memplan_make(const struct kerf_graph *g, const struct kerf_memplan_needs *needs,
		      size_t *scratch_offset, struct kerf_memplan *plan);
void kerf_memplan_finish(struct kerf_memplan *plan);

#endif
