/* SPDX-License-Identifier: MIT */
/*
 * A cut given from outside: operators before problem.cut stay on home's first engine,
 * the others go to the engine of another node that answers first. What a benchmark
 * sweeps to learn how good a policy's own choice is.
 */
#include "plan/policy.h"

#include <stdio.h>
#include <stdlib.h>

int kerf_policy_cut(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	uint32_t *assign = malloc((p->graph->n_op + 1) * sizeof(*assign)), o, e;
	int here = kerf_problem_home_engine(p, err), r = here;
	struct kerf_plan cand;
	bool have = false;

	if (!assign)
		r = -ENOMEM;
	else if (p->cut > p->graph->n_op)
		r = kerf_fail(err, -EINVAL, "cut %u: the graph has %u operators", p->cut,
			      p->graph->n_op);
	if (r < 0)
		goto out;
	for (e = 0; e < p->n_engine; e++) {
		if (p->engine[e].node == p->home)
			continue;
		for (o = 0; o < p->graph->n_op; o++)
			assign[o] = o < p->cut ? (uint32_t)here : e;
		r = kerf_plan_from_assignment(p, assign, NULL, &cand, NULL);
		kerf_plan_keep(plan, &have, &cand, r);
	}
	r = have ? 0 : kerf_fail(err, -ENODEV, "no engine of another node can run the rest");
	if (have) {
		plan->policy = "cut";
		snprintf(plan->reason, sizeof(plan->reason),
			 "asked for: the first %u of %u operators here", p->cut, p->graph->n_op);
	}
out:
	free(assign);
	return r;
}
