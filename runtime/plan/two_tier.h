/* SPDX-License-Identifier: MIT */
/*
 * What DADS and QDMP share: a graph between two engines, costs that add up over operators and
 * values that cross, and partitions in which values go one way, from here to there.
 */
#ifndef KERF_PLAN_TWO_TIER_H
#define KERF_PLAN_TWO_TIER_H

#include "plan/cut_net.h"
#include "plan/goal.h"

/* Weights of the four stages that a request passes. */
enum kerf_stage {
	KERF_STAGE_HERE,
	KERF_STAGE_UP,
	KERF_STAGE_THERE,
	KERF_STAGE_DOWN,
	KERF_N_STAGES
};

struct kerf_two_tier {
	const struct kerf_problem *p;
	uint32_t here, there; /* engines */
	struct kerf_cut_net *net;
	struct kerf_cut_costs costs; /* as of the last kerf_two_tier_weigh() */
	double *room;
	bool *away; /* per operator: the partition */
	uint32_t *seen;
	struct kerf_cut_work work;
};

int kerf_two_tier_make(struct kerf_two_tier *t, const struct kerf_problem *p); /* or -ENOMEM */
void kerf_two_tier_finish(struct kerf_two_tier *t);

/*
 * Costs between two engines. For the objectives latency, period and memory seconds; for energy
 * joules; for a weighted one the sum of both as the goal weighs them. Each stage's is multiplied by
 * its weight (NULL: 1). Links' latency and jobs' overhead come once a crossing and are the same for
 * every partition that crosses: they are left to the price. So is slow start.
 */
void kerf_two_tier_weigh(struct kerf_two_tier *t, uint32_t here, uint32_t there,
			 enum kerf_objective objective, const double weight[KERF_N_STAGES]);

/* Sums of t->away over operators [begin, end) by stage; what is behind end counts as there. */
void kerf_two_tier_stages(struct kerf_two_tier *t, uint32_t begin, uint32_t end,
			  double sum[KERF_N_STAGES]);

/*
 * Whether the goal may ask for the fastest partition although its objective is another: there is a
 * deadline, and what costs least may miss it.
 */
bool kerf_two_tier_hurried(const struct kerf_problem *p);

/* Prices the partition. reason: what the plan says of itself. */
void kerf_two_tier_offer(struct kerf_two_tier *t, struct kerf_choice *choice, const char *reason);

/*
 * The partition of least cost into t->away, by one minimum cut of the whole graph (DADS), or of
 * the blocks that can hold it (QDMP). 0, -ENOMEM, -E2BIG.
 */
int kerf_dads_solve(struct kerf_two_tier *t);
int kerf_qdmp_solve(struct kerf_two_tier *t);

/*
 * The policy: offers whole plans and, by pair, partitions for every pair of an engine of home and
 * another one, and returns the best as that policy's. pair returns 0 or -ENOMEM.
 */
typedef int (*kerf_two_tier_pair_fn)(struct kerf_two_tier *t, uint32_t here, uint32_t there,
				     struct kerf_choice *choice);
int kerf_two_tier_plan(const struct kerf_problem *p, const char *policy, kerf_two_tier_pair_fn pair,
		       struct kerf_plan *plan, struct kerf_err *err);

#endif
