/* SPDX-License-Identifier: MIT */
/* How far a state is from one that was remembered: links' rates, and what engines take. */
#ifndef KERF_PLAN_DRIFT_H
#define KERF_PLAN_DRIFT_H

#include "plan/plan.h"

/* Zeroed at first: nothing is remembered. */
struct kerf_drift {
	uint32_t n_node;
	double *rate;			 /* [from * n_node + to] */
	double work_s[KERF_MAX_ENGINES]; /* of all operators that the engine can run */
};

/* Remembers p's state in place of the one before. 0 or -ENOMEM. */
int kerf_drift_remember(struct kerf_drift *d, const struct kerf_problem *p);
void kerf_drift_finish(struct kerf_drift *d);

/* What has changed by the largest factor, up or down: 1: nothing has; INFINITY: it came or went. */
struct kerf_drift_most {
	double factor, was, now; /* bytes/s of a link, seconds of an engine */
	bool link;
	uint32_t from, to; /* nodes, if link */
	uint32_t engine;   /* if not */
};
/* p: the same engines and nodes. Nothing remembered: INFINITY. */
void kerf_drift_most(const struct kerf_drift *d, const struct kerf_problem *p,
		     struct kerf_drift_most *most);

#endif
