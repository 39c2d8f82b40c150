/* SPDX-License-Identifier: MIT */
/* Between the parts of the layout rewrite: what an operator can do, and doing it. */
#ifndef KERF_GRAPH_REWRITE_LAYOUT_H
#define KERF_GRAPH_REWRITE_LAYOUT_H

#include "graph/rewrite_edit.h"

enum kerf_layout_role {
	KERF_LAYOUT_PLAIN,  /* reads and makes values in ONNX's order only */
	KERF_LAYOUT_FORCED, /* spatial: channels-last only */
	KERF_LAYOUT_FREE,   /* either, but one for all that follows it */
	/* The model's own Transposes between the two orders. Either changes nothing in
	 * memory if its side of [N,C,spatial] is stored channels-last. */
	KERF_LAYOUT_FROM, /* reads [N,C,spatial], makes [N,spatial,C] */
	KERF_LAYOUT_TO,   /* reads [N,spatial,C], makes [N,C,spatial] */
};

struct kerf_layout {
	struct kerf_edit *e;
	uint8_t *role;   /* per op */
	uint32_t *group; /* per op: the op whose layout it shares; itself mostly */
	uint8_t *inner;  /* per op: 1 first, 2 middle, 3 last of a channel shuffle */
	bool *nhwc;      /* per op: the choice */
};

/* Fills role, group and inner of every operator. */
void kerf_layout_roles(struct kerf_layout *l);

/* Whether input k / output k of operator j has the layout that j has. */
bool kerf_layout_follows_in(const struct kerf_layout *l, uint32_t j, int k);
bool kerf_layout_follows_out(const struct kerf_layout *l, uint32_t j, int k);

/* The rank that constant v, an input of operator j, broadcasts to. */
int kerf_layout_const_rank(const struct kerf_layout *l, uint32_t j, int32_t v);

/* A value that can be stored either way. */
static inline bool kerf_layout_either(const struct kerf_graph *g, int32_t v)
{
	const struct kerf_value *x = &g->value[v];

	return x->t.rank >= 3 && x->t.rank <= 5 && !x->bounded && !x->nhwc;
}

/* Place of ONNX's axis in a channels-last value of that rank. */
static inline int kerf_layout_axis(int axis, int rank)
{
	return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
}

/* perm[i]: ONNX's axis that stands at place i of a channels-last value. */
static inline void kerf_layout_perm(int rank, int *perm)
{
	int i;

	for (i = 0; i < rank; i++)
		perm[i] = i == 0 ? 0 : i == rank - 1 ? 1 : i + 1;
}

/*
 * Makes operator j channels-last: attributes and constant inputs (the other inputs
 * and the outputs' shapes were set by the caller). x: input 0 and y: output 0 as they
 * were.
 */
int kerf_layout_convert(struct kerf_layout *l, uint32_t j, const struct kerf_tensor *x,
                        const struct kerf_tensor *y);

#endif
