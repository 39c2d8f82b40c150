/* SPDX-License-Identifier: MIT */
/*
 * Whether to change the plan now that the state has changed: the loop's head, without its hands.
 * Told a problem (the state of a moment) and the time, it plans again and says keep or change, and
 * why in words. No clock, no I/O; the same calls give the same answers. One thread at a time.
 *
 * A change must be better by a share of the cost that
 *
 *	- `gain` asks for,
 *	- rises with what the plan's predicted cost has wavered by so far (its mean deviation from a
 *	  running mean, in which one step counts no more than a few ordinary ones),
 *	- rises with the links' spread: both plans are priced with links at the fast and at the
 *	  slow end of what is expected (kerf_link_model's low and high), and what that changes in
 *	  the difference of the two plans must not outweigh the difference itself,
 *	- doubles each time a plan that was left not long ago would be taken again;
 *
 * but never more than half of it; it must pay for its move within `horizon_s`, and come
 * `interval_s` after the one before. A plan that cannot run any more, or misses a limit that
 * another meets, is left at once.
 *
 * So a link that wavers within its own spread changes nothing, and a real step, whose gain is
 * a multiple of the spread, is answered by the first decision after it.
 */
#ifndef KERF_PLAN_REPLAN_H
#define KERF_PLAN_REPLAN_H

#include "plan/plan.h"

/* 0 in any field: the default. */
struct kerf_replan_options {
	double gain;	   /* share of the cost; 0.05. Below 0: 0 */
	double noise;	   /* times the mean deviation; 2. Below 0: 0 */
	double spread;	   /* times what the spread makes of the difference; 0.5. Below 0: 0 */
	double interval_s; /* between two changes; 1 */
	double horizon_s;  /* 30 */
	double settle_s;   /* how long a plan that was left is remembered; 60 */
};

/* What changing costs, and how often it would help. */
struct kerf_replan_move {
	double requests_s;	/* requests a second; 0: one at a time, without pause */
	uint64_t nodes_have;	/* bits: nodes that hold the model already: no weights are sent */
	double prepare_byte_s;	/* to pack a byte of weights; 0: nothing */
	double prepare_step_s;	/* to prepare one step's session; 0: nothing */
};

struct kerf_replan_decision {
	bool change;
	struct kerf_plan plan; /* if change: the caller's to finish */
	double old_cost, new_cost; /* of the goal, in this state; INFINITY: cannot run */
	double gain, needed;	   /* shares of the old cost */
	double move_s, pays_s;	   /* what the move takes; when it has paid */
	char reason[256];	   /* one sentence */
};

struct kerf_replan;

/* policy: as kerf_policy_find(). 0, -EINVAL, -ENOMEM. */
int kerf_replan_new(const char *policy, const struct kerf_replan_options *opt,
		    struct kerf_replan **r, struct kerf_err *err);
void kerf_replan_free(struct kerf_replan *r); /* NULL allowed */

/*
 * A plan that somebody else made, priced in p, is in force from now on. It is copied. 0 or -ENOMEM;
 * -EINVAL: it cannot run.
 */
int kerf_replan_adopt(struct kerf_replan *r, const struct kerf_problem *p,
		      const struct kerf_plan *plan, double now_s);

/*
 * The first call, unless a plan was adopted, always changes (to the first plan). now_s never goes
 * back; p: the same graph, engines and nodes each time, in another state, until the next call.
 * move NULL: it costs nothing. 0; or the policy's error if there is neither a plan in force that
 * can run nor another: *d is then zero, and the plan in force stays what it was.
 */
int kerf_replan_decide(struct kerf_replan *r, const struct kerf_problem *p, double now_s,
		       const struct kerf_replan_move *move, struct kerf_replan_decision *d,
		       struct kerf_err *err);

/*
 * The same where the caller has the policy's plan for p already, priced in it (NULL: there is
 * none). next stays the caller's, with its predictions as they were; d->plan is empty: what is in
 * force if d->change is a copy of next. 0; -ENOMEM; -ENODEV: neither is there a next, nor can what
 * is in force run.
 */
int kerf_replan_offer(struct kerf_replan *r, const struct kerf_problem *p, struct kerf_plan *next,
		      double now_s, const struct kerf_replan_move *move,
		      struct kerf_replan_decision *d);

#endif
