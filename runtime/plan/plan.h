/* SPDX-License-Identifier: MIT */
/*
 * Problem and plan. A policy is a pure function from one to the other: no I/O, no
 * clock, no threads, no memory of earlier calls.
 *
 * Units: seconds and bytes, as doubles. Time of op o on engine e is
 * op_s[o * n_engine + e]; INFINITY where e cannot run o.
 */
#ifndef KERF_PLAN_PLAN_H
#define KERF_PLAN_PLAN_H

#include "graph/graph.h"
#include "util/err.h"

#define KERF_MAX_ENGINES 16
#define KERF_MAX_NODES 64

struct kerf_plan_engine {
	const char *name;
	uint32_t node;
	double job_s;	/* fixed cost of one job on it: submit, wake, reply handling */
};

/*
 * Time t to move n bytes from node a to b: latency_s + n / rate_bytes_s, and the waits of slow
 * start (util/link_time.h). As struct kerf_link_estimate of kerf_state.h.
 */
struct kerf_link_model {
	double latency_s;    /* may be below 0 */
	double rate_bytes_s; /* INFINITY within a node; 0: no path */
	double window_bytes, round_s; /* of slow start; 0: no waits */
	/* With 80 % probability between low * t - low_s and high * t + high_s; all 0: not told. */
	double low, low_s, high, high_s;
};

struct kerf_problem {
	const struct kerf_graph *graph;
	uint32_t n_engine, n_node;
	struct kerf_plan_engine engine[KERF_MAX_ENGINES];
	const struct kerf_link_model *link; /* [from * n_node + to] */
	const double *op_s;		    /* [op * n_engine + engine] */
	uint32_t home; /* node that holds the inputs and wants the outputs */
	uint32_t cut;  /* for the policy "cut": operators that stay at home */
};

/* Seconds to move bytes between nodes; 0 within one, INFINITY without a path. */
double kerf_problem_transfer_s(const struct kerf_problem *p, uint32_t from, uint32_t to,
			       double bytes);

/* One job of the plan: these ops on that engine. Steps stand in an executable order. */
struct kerf_plan_step {
	uint32_t engine;
	uint32_t n_op;
	uint32_t *op; /* ascending ids; owned by the plan */
	/* Predicted. Bytes are those that cross from and to home; 0 on a home engine. */
	double send_bytes, return_bytes;
	double send_s, compute_s, return_s;
	double start_s, end_s; /* since the request came */
};

struct kerf_plan {
	const char *policy;
	uint32_t n_step;
	struct kerf_plan_step *step;
	double total_s;	  /* predicted latency of one request */
	char reason[512]; /* one sentence for people */
};

typedef int (*kerf_policy_fn)(const struct kerf_problem *, struct kerf_plan *, struct kerf_err *);

struct kerf_policy {
	const char *name;
	const char *what; /* one line for --help */
	kerf_policy_fn plan;
};

/* "mincut", "local", "remote", "cut"; NULL name: the default, mincut. NULL if unknown. */
const struct kerf_policy *kerf_policy_find(const char *name);
const struct kerf_policy *kerf_policy_at(uint32_t i); /* NULL past the last */

/*
 * From an engine per operator (assign[n_op]) to a plan: groups operators into convex
 * steps, orders them and prices them. Every policy ends here, so all plans are
 * priced alike, by what a session does: a step starts when its inputs are at home and
 * its engine is free; a step on another node carries its inputs there and its outputs
 * back. -EINVAL if an engine cannot run an operator given to it, has no path, or
 * would have to be sent a value whose dims are known only at run time.
 */
int kerf_plan_from_assignment(const struct kerf_problem *p, const uint32_t *assign,
			      struct kerf_plan *plan, struct kerf_err *err);

/* The plan of a cluster of one engine: one step, nothing known of its cost. */
int kerf_plan_only(const struct kerf_graph *g, const char *engine, struct kerf_plan *plan,
		   struct kerf_err *err);

void kerf_plan_finish(struct kerf_plan *plan);

#endif
