/* SPDX-License-Identifier: MIT */
/*
 * Maximum flow and minimum cut by Dinic's algorithm (1970), capacities as doubles.
 * Vertices are numbered from 0; edges are added before the one solve.
 */
#ifndef KERF_PLAN_MAXFLOW_H
#define KERF_PLAN_MAXFLOW_H

#include "util/base.h"

#define KERF_FLOW_INF 1e30

struct kerf_flow;

int kerf_flow_new(uint32_t n_vertex, struct kerf_flow **f);
void kerf_flow_free(struct kerf_flow *f);
int kerf_flow_add(struct kerf_flow *f, uint32_t from, uint32_t to, double capacity);

/* *value: the flow. source_side[n_vertex]: true for what s still reaches. 0 or -ENOMEM. */
int kerf_flow_solve(struct kerf_flow *f, uint32_t s, uint32_t t, double *value,
		    bool *source_side);

#endif
