/* SPDX-License-Identifier: MIT */
/*
 * A cut given from outside: operators before problem.cut stay on home's first engine,
 * the others go to the engine of another node that answers first. What a benchmark
 * sweeps to learn how good a policy's own choice is.
 */
#include "plan/goal.h"
#include "plan/policy.h"

#include <stdio.h>
#include <stdlib.h>

int kerf_policy_cut(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	uint32_t *assign = malloc((p->graph->n_op + 1) * sizeof(*assign)), o, e;
	int here = kerf_problem_home_engine(p, err), r = here < 0 ? here : 0;
	struct kerf_choice choice = {0};
	struct kerf_plan cand;

	if (!assign)
		r = -ENOMEM;
	else if (!r && p->cut > p->graph->n_op)
		r = kerf_fail(err, -EINVAL, "cut %u: the graph has %u operators", p->cut,
			      p->graph->n_op);
	for (e = 0; e < p->n_engine && !r; e++) {
		if (p->engine[e].node == p->home)
			continue;
		for (o = 0; o < p->graph->n_op; o++)
			assign[o] = o < p->cut ? (uint32_t)here : e;
		r = kerf_plan_from_assignment(p, assign, NULL, &cand, NULL);
		if (!r)
			snprintf(cand.reason, sizeof(cand.reason),
				 "asked for: the first %u of %u operators here", p->cut,
				 p->graph->n_op);
		kerf_choice_offer(p, &choice, &cand, r);
		r = r == -ENOMEM ? r : 0;
	}
	if (r)
		kerf_choice_drop(&choice);
	else if (!choice.have && !choice.have_near)
		r = kerf_fail(err, -ENODEV, "no engine of another node can run the rest");
	else
		r = kerf_choice_end(p, &choice, plan, err);
	if (!r)
		plan->policy = "cut";
	free(assign);
	return r;
}
