/* SPDX-License-Identifier: MIT */
/*
 * What planning asks of a graph again and again, found once: who reads what, how large things
 * are, and where the graph is narrow. Immutable; any thread.
 */
#ifndef KERF_PLAN_OUTLINE_H
#define KERF_PLAN_OUTLINE_H

#include "graph/graph.h"

struct kerf_outline {
	uint32_t *first, *reader; /* kerf_graph_consumers() */
	bool *is_out;		  /* per value: an output of the model */
	double *value_bytes;	  /* per value; 0 for constants */
	double *weight_bytes;	  /* per operator: constants that it is the first to read */
	double *op_bytes;	  /* per operator: what it reads and makes, without constants */
	/*
	 * Per operator: what is held while it runs, in graph order: what was given or made before
	 * and it or a later one reads, what it makes, and outputs of the model from when they are
	 * made. No constants.
	 */
	double *op_live;
	/* Before operator k = 0 .. n_op: values made or given earlier that operators read later. */
	uint32_t *n_live;
	double *live_bytes;
	/*
	 * Where exactly one value is live: every path between operators leads through it. narrow[0]
	 * is 0 and the last is n_op, whatever lives there; the operators between two are a block.
	 */
	uint32_t n_narrow, *narrow;
};

int kerf_outline_make(const struct kerf_graph *g, struct kerf_outline **outline); /* or -ENOMEM */
void kerf_outline_free(struct kerf_outline *outline);				  /* NULL allowed */

#endif
