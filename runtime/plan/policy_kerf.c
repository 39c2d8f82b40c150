/* SPDX-License-Identifier: MIT */
/*
 * The best plan over the whole space: the search's best assignment (search.h), and the plans of
 * every other policy that may be better than it. docs/planner.md tells more.
 */
#include "plan/policy.h"
#include "plan/search.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static double score_of(const struct kerf_problem *p, const struct kerf_plan *plan)
{
	struct kerf_search_price price = {.total_s = plan->total_s,
					  .period_s = plan->period_s,
					  .energy_j = plan->energy_j,
					  .memory_bytes = plan->memory_bytes,
					  .accuracy = plan->accuracy};

	kerf_search_judge(p, &price);
	return kerf_search_score(&price);
}

/*
 * The others' plans, where they may be better: whole plans and cuts are assignments, so nothing
 * is better than an optimal one.
 */
static int ask_others(const struct kerf_problem *p, bool optimal, struct kerf_plan *plan,
		      const char **from)
{
	double best = score_of(p, plan);
	const struct kerf_policy *policy;
	uint32_t i;

	for (i = 0; (policy = kerf_policy_at(i)); i++) {
		struct kerf_plan other;
		int r;

		if (policy->plan == kerf_policy_kerf ||
		    (optimal && (policy->kind == KERF_POLICY_WHOLE || policy->kind == KERF_POLICY_CUT)))
			continue;
		r = policy->plan(p, &other, NULL);
		if (r == -ENOMEM)
			return r;
		if (r)
			continue;
		if (score_of(p, &other) < best) {
			best = score_of(p, &other);
			kerf_plan_finish(plan);
			*plan = other;
			*from = policy->name;
		} else {
			kerf_plan_finish(&other);
		}
	}
	return 0;
}

static void explain(const struct kerf_problem *p, const struct kerf_search_found *found,
		    uint64_t work, const char *from, struct kerf_plan *plan)
{
	double here = 0, there = 0;
	uint32_t i, ops = 0, steps = 0;

	for (i = 0; i < plan->n_step; i++) {
		const struct kerf_plan_step *s = &plan->step[i];
		bool away = p->engine[s->engine].node != p->home;

		*(away ? &there : &here) += s->compute_s;
		ops += away ? s->n_op : 0;
		steps += away;
	}
	snprintf(plan->reason, sizeof(plan->reason),
		 "%u of %u steps away with %u operators: %.2f ms of work here, %.2f ms there, %.0f KB on links, done in %.2f ms; %s %s, %.0f assignments' work%s%s",
		 steps, plan->n_step, ops, here * 1e3, there * 1e3, plan->wire_bytes / 1e3,
		 plan->total_s * 1e3, found->optimal ? "no assignment is better," : "the best found",
		 found->optimal ? "as searched through" : "by search",
		 p->graph->n_op ? (double)work / p->graph->n_op : 0, from ? "; the plan is that of " : "",
		 from ? from : "");
}

int kerf_policy_kerf(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_search_found found;
	const char *from = NULL;
	struct kerf_search *x;
	int r = kerf_search_make(p, &x);

	if (r)
		return r;
	r = kerf_search_run(x, -1, p->goal.codecs, NULL, &found);
	if (r)
		kerf_fail(err, r, "no engine, nor any of them together, can run the whole model");
	else
		r = kerf_plan_from_assignment(p, found.assign, found.codec, plan, err);
	if (!r) {
		r = ask_others(p, found.optimal, plan, &from);
		if (r)
			kerf_plan_finish(plan);
	}
	if (!r) {
		plan->policy = "kerf";
		explain(p, &found, kerf_search_work(x), from, plan);
	}
	kerf_search_free(x);
	return r;
}
