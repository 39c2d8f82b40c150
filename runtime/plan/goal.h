/* SPDX-License-Identifier: MIT */
/*
 * Goals: whether priced plans meet them, the best of several, and sentences about why there is
 * none. kerf_plan_cost() and kerf_plan_meets() of plan.h are here too.
 */
#ifndef KERF_PLAN_GOAL_H
#define KERF_PLAN_GOAL_H

#include "plan/plan.h"

/*
 * The time between requests of which in_flight are under way; busiest_s: what one takes of the
 * engine, link direction or coder that has most to do. Any number: that. With n of them it lies
 * between max(busiest, total / n), where none waits for another, and busiest + (total - busiest) /
 * n, where each waits for all others at the busiest place (balanced job bounds: Zahorjan, Sevcik,
 * Eager and Galler, CACM 25(2), 1982); this is the middle.
 */
static inline double kerf_period_s(const struct kerf_goal *g, double busiest_s, double total_s)
{
	double n = g->in_flight, least, most;

	if (!g->in_flight)
		return busiest_s;
	least = busiest_s > total_s / n ? busiest_s : total_s / n;
	most = busiest_s + (total_s > busiest_s ? (total_s - busiest_s) / n : 0);
	return (least + most) / 2;
}

/*
 * By how much a priced plan misses the goal: 0 if it meets it, else the sum over what it misses
 * of the share by which it does (a deadline of 10 ms missed by 5 ms: 0.5). What no number
 * measures (an operator that had to stay, a codec not allowed) counts KERF_GOAL_BROKEN each.
 */
#define KERF_GOAL_BROKEN 1e6
double kerf_plan_violation(const struct kerf_problem *p, const struct kerf_plan *plan);

/*
 * The best of the plans that a policy thinks of. Zeroed before the first offer; owns best and
 * near until kerf_choice_end().
 */
struct kerf_choice {
	struct kerf_plan best; /* meets the goal, at least cost; the first of equals */
	struct kerf_plan near; /* while none does: misses it by least */
	bool have, have_near;
	double cost;	  /* of best */
	double violation; /* of near */
	int error;	  /* of the first offer that was no plan */
};

/* r: the verdict of whoever made plan; if 0, plan is taken over, else it is not touched. */
void kerf_choice_offer(const struct kerf_problem *p, struct kerf_choice *c, struct kerf_plan *plan,
		       int r);

/*
 * Moves the best into *plan; or returns kerf_policy_fn's error with a sentence about the
 * nearest plan, or about why there is no plan at all. Frees the rest; c may be used again.
 */
int kerf_choice_end(const struct kerf_problem *p, struct kerf_choice *c, struct kerf_plan *plan,
		    struct kerf_err *err);
void kerf_choice_drop(struct kerf_choice *c); /* instead of end, on an error of one's own */

/*
 * 0, or what no plan at all can get around: an operator that nobody can run (-ENODEV), or only
 * engines without a path to home, or that no node has the memory for (-EDOM).
 */
int kerf_problem_check(const struct kerf_problem *p, struct kerf_err *err);

/*
 * Goals as people write them: "latency", "throughput", "energy", "memory" or "weighted:L,E[,P]"
 * (struct kerf_goal's weights); "f16,int8". 0, -ENOMEM, or -EINVAL with a sentence.
 */
int kerf_goal_objective(struct kerf_goal *goal, const char *text, struct kerf_err *err);
int kerf_goal_codecs(struct kerf_goal *goal, const char *text, struct kerf_err *err);
const char *kerf_codec_name(enum kerf_codec codec);
int kerf_codec_find(const char *name); /* or -EINVAL */

/* What people call a node: its first engine. */
const char *kerf_problem_node_name(const struct kerf_problem *p, uint32_t node);

#endif
