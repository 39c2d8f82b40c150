/* SPDX-License-Identifier: MIT */
/*
 * A priced plan as tasks: jobs of engines and messages of links, and what waits for what. Played
 * by one request alone, a flow ends when kerf_plan_price() says (plan/price.c); the simulator
 * plays many at once, so that they wait for each other's engines and links.
 *
 * Tasks of one engine, and messages of one direction, follow each other in the plan's order
 * within a request, as in price.c: a task waits for the one before it there, too.
 */
#ifndef KERF_SIM_FLOW_H
#define KERF_SIM_FLOW_H

#include "plan/plan.h"

struct kerf_flow_task {
	bool message;
	uint32_t engine;     /* of a job: the problem's */
	uint32_t from, to;   /* of a message: the problem's nodes */
	double compute_s;    /* of a job */
	double bytes;	     /* of a message */
	double coding_s;     /* after a message is there, before its readers may go on */
	double encode_j, decode_j; /* of a message, on its two nodes */
	uint32_t n_before;   /* tasks that it waits for, with repetition */
	uint32_t first_next; /* next[first_next .. first_next of the task after it) wait for it */
};

struct kerf_flow_next {
	uint32_t task;
	bool late; /* it waits for coding_s, too */
};

struct kerf_flow {
	uint32_t n_task, n_next;
	struct kerf_flow_task *task; /* [n_task + 1]: the last holds first_next alone */
	struct kerf_flow_next *next;
};

/* plan is priced by p. 0 or -ENOMEM; kerf_flow_finish() in any case. */
int kerf_flow_make(const struct kerf_problem *p, const struct kerf_plan *plan,
		   struct kerf_flow *flow);
void kerf_flow_finish(struct kerf_flow *flow);

#endif
