/* SPDX-License-Identifier: MIT */
/*
 * Minimum cut of a network with two terminals, by Dinic's algorithm (Dinic, 1970,
 * "Algorithm for solution of a problem of maximum flow in networks with power
 * estimation"). Costs are integers, so that the result is exact.
 */
#ifndef KERF_UTIL_MINCUT_H
#define KERF_UTIL_MINCUT_H

#include "util/base.h"

#define KERF_CUT_SOURCE 0
#define KERF_CUT_SINK 1
#define KERF_CUT_INF (INT64_MAX / 4)

struct kerf_cut {
	uint32_t n_node; /* the terminals are nodes 0 and 1 */
	uint32_t n_edge, cap_edge;
	struct kerf_cut_edge *edge; /* pairs: e and e ^ 1 are each other's reverse */
};

/* An edge: cutting it (from on the source's side, to on the sink's) costs c. 0 or -ENOMEM. */
int kerf_cut_edge(struct kerf_cut *c, uint32_t from, uint32_t to, int64_t cost);

/*
 * side[n_node]: true for the source's side; of all minimum cuts the one with the
 * largest source side. -ENOMEM; -E2BIG after a number of steps that is a small
 * multiple of what real networks take.
 */
int kerf_cut_solve(const struct kerf_cut *c, bool *side);

void kerf_cut_finish(struct kerf_cut *c);

#endif
