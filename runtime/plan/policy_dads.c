/* SPDX-License-Identifier: MIT */
/*
 * DADS: Hu, Bao, Wang, Liu, "Dynamic adaptive DNN surgery for inference acceleration on the
 * edge", INFOCOM 2019.
 *
 * Modelled. A DAG is split between two tiers, values going from the first to the second.
 *   - Light load (DSL), for latency: the sum of what operators take here and there and what
 *     values take that cross is least. That is a minimum s-t cut (cut_net.h), so the partition is
 *     the best there is of its kind.
 *   - Heavy load (DSH), for throughput: requests overlap, and the longest of the stages (here,
 *     link, there) is to be short. That is NP-hard. The minimum of the sum is within a factor of
 *     the number of stages of the best (the paper's ratio is 3), as no sum is larger than that many
 *     times its largest term. From there on stages are weighed: the longest gets heavier, the cut
 *     is solved anew, and the best partition seen is kept, so the ratio can only get better. The
 *     paper also solves min-cuts of weighted sums; which weights, round by round, is ours.
 *   - Every pair of an engine of home and another one is tried: the paper has one of each.
 *   - For energy, and for weighted sums, the same cut with joules in the place of seconds; under a
 *     deadline the cut of least latency is offered beside it.
 *
 * Not modelled: DADS decides by itself which load it is under, from the rate at which frames come;
 * here the goal says so. The paper leaves out the way back of the answer; here it is paid for. What
 * comes once a crossing (latency, a job's overhead, slow start) is the same for all partitions that
 * cross, or nearly, and is left to the price, which also compares with both whole plans.
 */
#include "plan/policy.h"
#include "plan/two_tier.h"

#include <math.h>

#define HEAVY_ROUNDS 24

int kerf_dads_solve(struct kerf_two_tier *t)
{
	return kerf_cut_net_solve(t->net, &t->costs, KERF_CUT_THERE_ONLY, 0, t->p->graph->n_op,
				  t->away, &t->work);
}

static int light(struct kerf_two_tier *t, uint32_t here, uint32_t there,
		 enum kerf_objective objective, struct kerf_choice *choice)
{
	int r;

	kerf_two_tier_weigh(t, here, there, objective, NULL);
	r = kerf_dads_solve(t);
	if (!r)
		kerf_two_tier_offer(t, choice, "least cost of one request (DSL)");
	return r == -E2BIG ? 0 : r;
}

static int heavy(struct kerf_two_tier *t, uint32_t here, uint32_t there, struct kerf_choice *choice)
{
	double weight[KERF_N_STAGES] = {1, 1, 1, 1}, sum[KERF_N_STAGES], step = 1;
	uint32_t round, i, worst;
	int r = 0;

	for (round = 0; round < HEAVY_ROUNDS && !r; round++) {
		kerf_two_tier_weigh(t, here, there, KERF_FOR_PERIOD, weight);
		r = kerf_dads_solve(t);
		if (r)
			break;
		kerf_two_tier_offer(t, choice, "shortest stages while requests overlap (DSH)");
		kerf_two_tier_stages(t, 0, t->p->graph->n_op, sum);
		for (i = worst = 0; i < KERF_N_STAGES; i++)
			worst = sum[i] / weight[i] > sum[worst] / weight[worst] ? i : worst;
		weight[worst] *= 1 + step;
		step = fmax(step * 0.8, 0.02);
	}
	return r == -E2BIG ? 0 : r;
}

static int pair(struct kerf_two_tier *t, uint32_t here, uint32_t there, struct kerf_choice *choice)
{
	const struct kerf_goal *g = &t->p->goal;
	int r = light(t, here, there, g->objective, choice);

	if (!r && kerf_two_tier_hurried(t->p))
		r = light(t, here, there, KERF_FOR_LATENCY, choice);
	if (!r && (g->objective == KERF_FOR_PERIOD ||
		   (g->objective == KERF_FOR_WEIGHTED && g->period_weight > 0)))
		r = heavy(t, here, there, choice);
	return r;
}

int kerf_policy_dads(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	return kerf_two_tier_plan(p, "dads", pair, plan, err);
}
