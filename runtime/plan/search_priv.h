/* SPDX-License-Identifier: MIT */
/* What the files of the search share. */
#ifndef KERF_PLAN_SEARCH_PRIV_H
#define KERF_PLAN_SEARCH_PRIV_H

#include "plan/search.h"

#define KERF_SEARCH_GIVEN UINT32_MAX /* as a maker: an input of the request */

/* A piece of a value that goes into a step; lists of them end with UINT32_MAX. */
struct kerf_search_edge {
	uint32_t value, from, next; /* from: a step, or KERF_SEARCH_GIVEN */
};

struct kerf_search_branch {
	uint32_t begin, end; /* of the block */
	uint32_t first;	     /* operator */
	double in_bytes, out_bytes;
};

struct kerf_search_step {
	double compute_s, made_s, home_s;
	double reply_bytes, reply_coding_s;
	uint32_t first_in; /* edges */
	uint32_t engine;
	bool used, replies;
};

struct kerf_search {
	const struct kerf_problem *p;
	uint32_t n_op, n_engine, n_node;

	/* Values that are made or given at run time, by ascending id. */
	uint32_t n_value;
	uint32_t *id, *maker;
	uint32_t *read_first, *reader; /* operators, each once, ascending */
	uint32_t *in_first, *in;       /* per operator: what it reads, each once */
	double *bytes;
	bool *is_out;
	double *live; /* per operator: bytes held while it runs */

	/* Room of a price; after it, what was found. */
	uint32_t *level, *bucket; /* per operator; bucket: its step, level * n_engine + engine */
	struct kerf_search_step *step;
	struct kerf_search_edge *edge;
	uint64_t *seen, stamp; /* per step */
	uint32_t *list;
	double *engine_free, *engine_busy, *link_free, *link_busy, *coding, *weights, *peak;

	/* Room of a path */
	uint8_t *back;
	double *out_bytes; /* per operator: what it makes that is returned */
	bool *runs;	   /* per operator: not left out */

	/* The best assignment so far, and one that is tried. */
	uint32_t *trial, *best;
	uint8_t *trial_codec, *best_codec; /* per value of the graph */
	struct kerf_search_price best_price;

	uint32_t *at; /* per operator: its step at some time */
	uint64_t *met;
	uint32_t home_engines; /* bits */
	uint32_t *made_first, *made; /* per operator: its values */
	/*
	 * Branches: operators of a block that hang together when its first and last value are gone.
	 */
	uint32_t n_branch, *branch_of;
	struct kerf_search_branch *branch;

	/* What cannot be avoided (search_list.c). */
	double *reach, *tail, *rest_s, *rest_j;

	uint64_t work;
	void *room;
};

/*
 * What a plan would cost if costs were a sum over operators, jobs and transfers: seconds times a
 * weight of time, one of the engine or of the link, and joules and bytes times theirs.
 */
struct kerf_search_weights {
	double time, energy;
	double engine[KERF_MAX_ENGINES]; /* beside time */
	double link;			 /* beside time, of every link */
	double memory;			 /* of a byte of weights on a node whose memory is limited */
	uint32_t codecs;		 /* bits, as goal.codecs: those that may be used */
};

/*
 * The best assignment by such a sum, of those whose steps are runs of operators in graph order,
 * every value that lives across the border of two going from one to the other: a shortest path
 * over (operator, engine). only: engines that may be used, as bits. False: there is none.
 */
bool kerf_search_path(struct kerf_search *x, const struct kerf_search_weights *w, uint32_t only,
		      uint32_t *assign);

struct kerf_search_run {
	struct kerf_search *x;
	int32_t exit;
	uint32_t codecs;
	uint64_t limit; /* of x->work */
	struct kerf_search_weights weights;
};

/* reach, tail, rest_s and rest_j (search_list.c). */
void kerf_search_tails(struct kerf_search *x, uint32_t codecs);

/* By list scheduling; after kerf_search_tails(), whose sums are lost. False: it met a dead end. */
bool kerf_search_list(struct kerf_search *x, uint32_t codecs, uint32_t *assign);

/*
 * Tries the minimum cuts between home's first engine and each other (search_cut.c). Work grows
 * faster than the graph. 0 or -ENOMEM.
 */
int kerf_search_cuts(struct kerf_search_run *r);

/* What a second of an engine's work costs, by the run's weights. */
static inline double kerf_search_rate(const struct kerf_search_run *r, uint32_t e)
{
	return r->weights.time + r->weights.engine[e] +
	       r->weights.energy * r->x->p->engine[e].active_w;
}

/* Prices an assignment and keeps it if it is better than the best. True: it was. */
bool kerf_search_try(struct kerf_search_run *r, const uint32_t *assign);

/*
 * Goes through all assignments that can still be better than the best. True: the best is
 * optimal; false: nodes of the tree were not enough.
 */
bool kerf_search_exact(struct kerf_search_run *r, uint64_t nodes);

/* Seconds that a message of bytes cannot fall short of, with the best codec allowed. */
double kerf_search_move_s(const struct kerf_search *x, uint32_t codecs, uint32_t from, uint32_t to,
			  double bytes);

/* Whether engine e may run operator o: it can, and privacy allows it. */
static inline bool kerf_search_may(const struct kerf_search *x, uint32_t o, uint32_t e)
{
	const struct kerf_problem *p = x->p;

	return p->op_s[(size_t)o * x->n_engine + e] < __builtin_inf() &&
	       (o >= p->goal.keep || p->engine[e].node == p->home);
}

#endif
