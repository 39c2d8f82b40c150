/* SPDX-License-Identifier: MIT */
/*
 * How the pieces of a plan get around, found once when a session is opened; requests then copy
 * bytes as these tables say.
 *
 * A step runs HERE, on an engine of this process; or THERE, on another node's, with whole inputs
 * out and whole outputs back, which any server of the protocol can do; or as a PART, whose pieces
 * may come from and go to neighbours (part.h). A node that does not know parts has its steps THERE:
 * values go by way of home, whole and without codec. Home keeps what any step gave it in stores:
 * one an output of a step, and one an input of the model.
 */
#ifndef KERF_EXEC_SESSION_ROUTE_H
#define KERF_EXEC_SESSION_ROUTE_H

#include "exec/engine.h"
#include "exec/part.h"
#include "plan/plan.h"

enum kerf_way { KERF_HERE, KERF_THERE, KERF_PART };

struct kerf_store {
	int32_t value;
	struct kerf_band_of held;
	struct kerf_tensor t; /* as held; no data */
	bool kept;	      /* home has it in memory */
	struct kerf_engine *engine; /* whose memory is best; NULL: any */
	/*
	 * It lies in the caller's memory: of an input of the model, or of an output from that byte
	 * on.
	 */
	int32_t in, out; /* positions; -1: neither */
	size_t out_offset;
};

/* Elements from a store to somewhere. */
struct kerf_copy {
	uint32_t store;
	struct kerf_runs from, to;
	uint32_t out; /* of copies to the caller: position */
};

/* An input of a step that runs here or there: what a store has, or put together of copies. */
struct kerf_feed {
	struct kerf_tensor t; /* as the slice's */
	bool in_place;
	uint32_t store;
	size_t offset; /* bytes into it */
	uint32_t n_copy;
	struct kerf_copy *copy;
	struct kerf_engine *engine;
};

struct kerf_coded {
	uint32_t store;
	struct kerf_runs runs; /* in the store */
	enum kerf_codec codec;
	size_t at; /* in the message */
};

struct kerf_message {
	size_t bytes; /* 0: there is none */
	uint32_t n_piece;
	struct kerf_coded *piece;
};

struct kerf_route {
	enum kerf_way way;
	struct kerf_engine *engine;
	struct kerf_graph *slice;
	struct kerf_program *program;
	bool silent;	      /* a part that neighbours alone make run: nobody submits it */
	uint32_t first_store; /* of its outputs */
	struct kerf_feed *feed; /* per input; HERE and THERE */
	struct kerf_message to, back; /* PART */
	uint32_t n_answer;
	struct kerf_copy *answer; /* to the caller's outputs, when it is done */
	uint32_t n_wait;	  /* earlier steps that must be done, or submitted, first */
	uint32_t *next, n_next;	  /* steps that wait for this one */
	uint32_t *then, n_then;	  /* steps that wait until this one was submitted */
};

struct kerf_routes {
	struct kerf_graph *graph;
	uint32_t n_step, n_store;
	struct kerf_route *step;
	struct kerf_store *store; /* those of the model's inputs first */
	bool *made;		  /* per output of the model: the plan computes it */
};

/*
 * Makes slices, finds the routes, and prepares every step on its engine, those that others send to
 * first. Errors as kerf_session_open(). kerf_routes_finish() after a failure too.
 */
int kerf_routes_make(struct kerf_graph *g, const struct kerf_plan *plan,
		     struct kerf_engine *const *engines, struct kerf_routes *routes,
		     struct kerf_err *err);
void kerf_routes_finish(struct kerf_routes *routes);

#endif
