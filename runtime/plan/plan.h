/* SPDX-License-Identifier: MIT */
/*
 * Problem and plan. A policy is a pure function from one to the other: no I/O, no
 * clock, no threads, no memory of earlier calls.
 *
 * Units: seconds, bytes, joules and watts, as doubles. Arrays over operators and engines
 * are [op * n_engine + engine].
 *
 * A plan is a DAG of steps, each one job of one engine, and edges, each a piece of a value
 * that goes from one step to another. Cuts, tiles, channel splits, pipelines and exits are
 * all made of these two; kerf_plan_price() (price.c) tells what any of them costs, so that all
 * policies are compared by one yardstick.
 */
#ifndef KERF_PLAN_PLAN_H
#define KERF_PLAN_PLAN_H

#include "graph/graph.h"
#include "graph/op.h"
#include "plan/outline.h"
#include "util/err.h"

#define KERF_MAX_ENGINES 16
#define KERF_MAX_NODES 64
#define KERF_MAX_PAST 256
#define KERF_PLAN_HOME UINT32_MAX /* as a step: the request's inputs and outputs */

/* How the elements of a piece travel. float32 alone has others than none. */
enum kerf_codec {
	KERF_CODEC_NONE,
	KERF_CODEC_F16,	 /* round to nearest even */
	KERF_CODEC_INT8, /* affine: one scale and zero point a piece */
	KERF_N_CODECS,
};

struct kerf_plan_engine {
	const char *name;
	uint32_t node;
	double job_s;	 /* fixed cost of one job on it: submit, wake, reply handling */
	double active_w; /* power while it works, above idle; 0: not known */
};

struct kerf_plan_node {
	double memory_bytes; /* for weights and activations; 0: not limited */
	double idle_w;	     /* drawn while a request is under way on a node that takes part */
	double send_j_byte, receive_j_byte;
	/*
	 * To encode or decode one byte of float32: on one thread of the node beside its engines,
	 * which draws kerf_problem_coding_w().
	 */
	double codec_byte_s[KERF_N_CODECS];
};

/*
 * Time t to move n bytes from node a to b: latency_s + n / rate_bytes_s, least_s at least, and the
 * waits of slow start (util/link_time.h). As struct kerf_link_estimate of kerf_state.h.
 *
 * A latency below 0, or below least_s, is a shaper's bucket of (least_s - latency_s) * rate_bytes_s
 * bytes that pass at once. It fills at that rate while nothing is sent: messages that come soon
 * after one another find it empty, and then each takes n / rate_bytes_s.
 */
struct kerf_link_model {
	double latency_s;    /* may be below 0 */
	double least_s;	     /* that any message takes, to send, carry and receive it */
	double rate_bytes_s; /* INFINITY within a node; 0: no path */
	double window_bytes, round_s; /* of slow start; 0: no waits */
	/* With 80 % probability between low * t - low_s and high * t + high_s; all 0: not told. */
	double low, low_s, high, high_s;
};

enum kerf_objective {
	KERF_FOR_LATENCY, /* of one request alone */
	KERF_FOR_PERIOD,  /* between requests when many are in flight: 1 / throughput */
	KERF_FOR_ENERGY,
	KERF_FOR_MEMORY, /* of the node that needs most */
	KERF_FOR_WEIGHTED,
};

/* All 0: latency, without constraints, exact. */
struct kerf_goal {
	enum kerf_objective objective;
	double latency_weight, energy_weight, period_weight; /* KERF_FOR_WEIGHTED: a sum, per s, J, s */
	double deadline_s;   /* of latency; 0: none */
	double accuracy;     /* at least; 0: any. Exits and codecs cost accuracy */
	uint32_t keep;	     /* the first that many operators stay on home */
	uint32_t codecs;     /* bit i: enum kerf_codec i may be used; 0: none alone */
	bool inexact;	     /* tiles whose border is wrong (adcnn) are allowed */
	bool exits;	     /* earlier exits may be taken */
	uint32_t in_flight;  /* requests at a time, which the period depends on; 0: any number */
};

struct kerf_fused;

struct kerf_problem {
	const struct kerf_graph *graph;
	const struct kerf_outline *outline; /* of graph */
	uint32_t n_engine, n_node;
	struct kerf_plan_engine engine[KERF_MAX_ENGINES];
	const struct kerf_plan_node *node;  /* [n_node]; NULL: nothing known, nothing limited */
	const struct kerf_link_model *link; /* [from * n_node + to] */
	const double *op_s;		    /* INFINITY where an engine cannot run an operator */
	const double *op_fixed_s; /* of op_s, what a tile pays whatever its size; NULL: 0 */
	const double *apart_s;	  /* [value * n_engine + engine]: extra if it leaves or enters a step
				   * that runs there, beside its copy; NULL: 0 */
	const double *codec_loss; /* [KERF_N_CODECS]: accuracy lost if any edge has it; NULL: 0 */
	uint32_t home; /* node that holds the inputs and wants the outputs */
	uint32_t cut;  /* for the policy "cut": operators that stay at home */
	struct kerf_goal goal;
	uint64_t seed; /* of policies that draw random numbers */
	/* What kerf_fused_make() hands out again where it would make the same; NULL: nothing. */
	struct kerf_fused *fused, *layers;
	/* Rates of home's busiest link as they were, oldest first, bytes/s, at most KERF_MAX_PAST:
	 * for policies that look back (edgent). NULL, 0: nothing known. */
	const double *past_rate;
	uint32_t n_past_rate;
};

/* Seconds to move bytes between nodes; 0 within one, INFINITY without a path. */
double kerf_problem_transfer_s(const struct kerf_problem *p, uint32_t from, uint32_t to,
			       double bytes);

/*
 * The same for a message that is ready wait_s before the bytes of those before it have gone: until
 * it is there. *hold_s: how long its own bytes take, during which no other's go.
 */
double kerf_problem_carry_s(const struct kerf_problem *p, uint32_t from, uint32_t to,
			    double bytes, double wait_s, double *hold_s);

/* What coding draws on a node: as much as its first engine. */
double kerf_problem_coding_w(const struct kerf_problem *p, uint32_t node);

/* One job: these operators on that engine. Steps stand in an executable order. */
struct kerf_plan_step {
	uint32_t engine;
	uint32_t n_op;
	uint32_t *op; /* ascending ids */
	/* Of every output: rows (axis 1 of nhwc values) and channels (last axis, or axis 1 of
	 * [N,C]); {0, 0}: all. */
	struct kerf_rows rows, channels;
	bool padded;   /* the tile takes its border for the image's: inexact (adcnn) */
	uint32_t stage; /* of a pipeline, from 0; tells people, steers nothing */
	float *share;  /* [n_op]: of each operator's work that this tile does; NULL: all */
	/* Predicted; times since the request came. Busy: when all inputs are there, to its end. */
	double compute_s, start_s, end_s;
};

/*
 * A piece of a value. Pieces into one step make up exactly what it reads: none twice, none
 * missing. Between steps of one engine or one node nothing is sent. A piece between two nodes
 * other than home goes directly if there is a link, else by way of home.
 */
struct kerf_plan_edge {
	int32_t value; /* of the whole graph */
	uint32_t from, to; /* steps, or KERF_PLAN_HOME */
	struct kerf_rows rows, channels; /* {0, 0}: all */
	enum kerf_codec codec;
	bool relayed; /* by way of home */
	double bytes; /* on the wire, one way; 0 if nothing is sent */
	double start_s, end_s;
};

struct kerf_plan {
	const char *policy;
	uint32_t n_step, n_edge;
	struct kerf_plan_step *step;
	struct kerf_plan_edge *edge; /* ascending (to, from, value, rows.begin); HOME is last */
	int32_t exit; /* of graph->exit; -1: the whole model */
	/* Predicted. */
	double total_s;	  /* latency of one request */
	double period_s;  /* between two of many (kerf_period_s()) */
	double energy_j;  /* of one request, all nodes */
	double wire_bytes; /* of one request, all links */
	double memory_bytes; /* of the node that needs most */
	double accuracy; /* the model's, less what exit and codecs cost; 0: not known */
	char reason[512]; /* one sentence for people */
	/* By what share of its memory limit the node that misses it by most does; 0: none does. */
	double over;
};

/*
 * 0; -EDOM if no plan can meet the goal, with a sentence that names what cannot be met and the
 * nearest relaxation that can; -ENODEV if no engines can run the model at all; -EINVAL, -ENOMEM.
 */
typedef int (*kerf_policy_fn)(const struct kerf_problem *, struct kerf_plan *, struct kerf_err *);

enum kerf_policy_kind {
	KERF_POLICY_WHOLE,
	KERF_POLICY_CUT,     /* one cut or several */
	KERF_POLICY_SPATIAL, /* tiles, channels */
	KERF_POLICY_PIPELINE,
	KERF_POLICY_OTHER,
};

struct kerf_policy {
	const char *name;
	const char *what; /* one line for --help: idea, authors, venue and year */
	kerf_policy_fn plan;
	enum kerf_policy_kind kind;
};

/* NULL name: the default. NULL if unknown. */
const struct kerf_policy *kerf_policy_find(const char *name);
const struct kerf_policy *kerf_policy_at(uint32_t i); /* NULL past the last */
/* Whether what it plans by itself depends on past_rate. */
bool kerf_policy_looks_back(const struct kerf_policy *policy);

/*
 * From an engine per operator (assign[n_op]; KERF_PLAN_HOME: the operator is left out, as those
 * behind an earlier exit are) to a plan: groups operators into convex steps, orders them, joins
 * them with whole values, and prices it. codec[n_value]: how each value travels; NULL: as it is.
 * -EINVAL if an engine cannot run an operator given to it, has no path, or would have to
 * be sent a value whose dims are known only at run time.
 */
int kerf_plan_from_assignment(const struct kerf_problem *p, const uint32_t *assign,
			      const uint8_t *codec, struct kerf_plan *plan, struct kerf_err *err);

/*
 * Fills everything that is predicted from steps and edges, as a session runs them: a step starts
 * when its pieces are there and its engine is free. What comes from home for a step is one
 * message, what goes to home is one, what comes from each other step is one; bytes of messages of
 * one direction between two nodes go one after the other, while their latencies pass at the same
 * time. -EINVAL as above. price.c tells more.
 */
int kerf_plan_price(const struct kerf_problem *p, struct kerf_plan *plan);

/* bytes[n_node]: what each node needs for the steps of this plan. 0 or -ENOMEM. */
int kerf_plan_memory(const struct kerf_problem *p, const struct kerf_plan *plan, double *bytes);

/* What goal's objective makes of a priced plan: less is better. */
double kerf_plan_cost(const struct kerf_problem *p, const struct kerf_plan *plan);

/* 0, or -EDOM with the sentence of kerf_policy_fn if the priced plan misses the goal. */
int kerf_plan_meets(const struct kerf_problem *p, const struct kerf_plan *plan,
		    struct kerf_err *err);

/* Building by hand. New ones are zeroed; op and share are the plan's to free. NULL: no memory. */
struct kerf_plan_step *kerf_plan_add_step(struct kerf_plan *plan);
struct kerf_plan_edge *kerf_plan_add_edge(struct kerf_plan *plan);
/* Puts edges in the order that the struct promises; before, equal or after: < 0, 0, > 0. */
int kerf_plan_edge_order(const struct kerf_plan_edge *x, const struct kerf_plan_edge *y);
void kerf_plan_sort(struct kerf_plan *plan);

/* Raw bytes of a piece, as float32 or whatever the value holds. */
double kerf_plan_piece_bytes(const struct kerf_graph *g, const struct kerf_plan_edge *e);

/* The plan of a cluster of one engine: one step, nothing known of its cost. */
int kerf_plan_only(const struct kerf_graph *g, const char *engine, struct kerf_plan *plan,
		   struct kerf_err *err);

void kerf_plan_finish(struct kerf_plan *plan);

#endif
