/* SPDX-License-Identifier: MIT */
/*
 * Search over assignments of operators to engines: what the policy "kerf" and the replanning
 * controller are built on. docs/planner.md tells the method.
 *
 * A struct kerf_search holds a graph in compact form and the room that pricing needs, so that
 * one price takes tens of nanoseconds an operator and allocates nothing. What a state changes
 * (op_s, links, engines' job_s) is read from the problem each time; graph, outline, n_engine,
 * n_node, the engines' nodes and home stay what they were when it was made. One thread at a time.
 *
 * Assignments are as kerf_plan_from_assignment() takes them: KERF_PLAN_HOME is left out, and
 * whatever an operator that runs reads is made by one that runs.
 */
#ifndef KERF_PLAN_SEARCH_H
#define KERF_PLAN_SEARCH_H

#include "plan/plan.h"

/* What a price finds: as the fields of struct kerf_plan. */
struct kerf_search_price {
	double total_s, period_s, energy_j, wire_bytes, memory_bytes, accuracy;
	double memory_over; /* as struct kerf_plan's over */
	bool exact;
	double over; /* as kerf_plan_violation() */
	double cost; /* of the goal; INFINITY: it cannot run */
};

struct kerf_search;

int kerf_search_make(const struct kerf_problem *p, struct kerf_search **x); /* 0 or -ENOMEM */
void kerf_search_free(struct kerf_search *x);				    /* NULL allowed */

/* The same graph and engines in another state, or with another goal. */
void kerf_search_state(struct kerf_search *x, const struct kerf_problem *p);

/*
 * The price of the first n operators of an assignment, the others left out: for n = n_op what
 * kerf_plan_from_assignment() says, to rounding. codec: per value of the graph, or NULL. exit as
 * in struct kerf_plan.
 *
 * Jobs and messages go in an order that later operators do not change, so leaving some out can
 * only make everything earlier and smaller: for n < n_op each figure is a lower bound
 * of every way to go on (accuracy an upper one).
 */
void kerf_search_price(struct kerf_search *x, const uint32_t *assign, const uint8_t *codec,
		       int32_t exit, uint32_t n, struct kerf_search_price *price);

/* Sets over and cost by the other figures. */
void kerf_search_judge(const struct kerf_problem *p, struct kerf_search_price *price);

/* Less is better; what misses a limit is worse than all that do not. */
double kerf_search_score(const struct kerf_search_price *price);

/*
 * The best assignment up to an exit with the codecs allowed (as goal.codecs), from scratch, or
 * beginning with one that was good before (hint, may be NULL). 0; -ENODEV: none can run; -ENOMEM.
 */
struct kerf_search_found {
	const uint32_t *assign; /* until the next call */
	const uint8_t *codec;	/* per value of the graph; NULL: none has one */
	struct kerf_search_price price;
	bool optimal; /* proved */
};
int kerf_search_run(struct kerf_search *x, int32_t exit, uint32_t codecs, const uint32_t *hint,
		    struct kerf_search_found *found);

/* Operators priced since it was made: what limits of work are counted in. */
uint64_t kerf_search_work(const struct kerf_search *x);

#endif
