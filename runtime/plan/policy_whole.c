/* SPDX-License-Identifier: MIT */
/* The plans without a cut: what every other policy is measured against. */
#include "plan/policy.h"

#include <stdio.h>
#include <stdlib.h>

int kerf_problem_home_engine(const struct kerf_problem *p, struct kerf_err *err)
{
	uint32_t e;

	for (e = 0; e < p->n_engine; e++)
		if (p->engine[e].node == p->home)
			return (int)e;
	return kerf_fail(err, -ENODEV, "no engine on the node that holds the inputs");
}

int kerf_plan_whole(const struct kerf_problem *p, uint32_t e, struct kerf_plan *plan,
		    struct kerf_err *err)
{
	uint32_t *assign = malloc((p->graph->n_op + 1) * sizeof(*assign)), o;
	int r;

	if (!assign)
		return -ENOMEM;
	for (o = 0; o < p->graph->n_op; o++)
		assign[o] = e;
	r = kerf_plan_from_assignment(p, assign, NULL, plan, err);
	free(assign);
	return r;
}

int kerf_plan_only(const struct kerf_graph *g, const char *engine, struct kerf_plan *plan,
		   struct kerf_err *err)
{
	struct kerf_link_model none = {0};
	struct kerf_problem p = {.graph = g, .n_engine = 1, .n_node = 1, .link = &none};
	double *op_s = calloc(g->n_op + 1, sizeof(*op_s));
	struct kerf_outline *outline = NULL;
	int r = op_s ? kerf_outline_make(g, &outline) : -ENOMEM;

	p.engine[0].name = engine;
	p.op_s = op_s;
	p.outline = outline;
	if (!r)
		r = kerf_policy_local(&p, plan, err);
	if (!r)
		snprintf(plan->reason, sizeof(plan->reason), "%s is the only engine", engine);
	kerf_outline_free(outline);
	free(op_s);
	return r;
}

void kerf_choice_whole(const struct kerf_problem *p, uint32_t e, struct kerf_choice *choice)
{
	struct kerf_plan plan;
	int r = kerf_plan_whole(p, e, &plan, NULL);

	if (!r)
		snprintf(plan.reason, sizeof(plan.reason), "everything on %s", p->engine[e].name);
	kerf_choice_offer(p, choice, &plan, r);
}

/* Ends a choice among whole plans, with a sentence of this policy's if none can run. */
static int end(const struct kerf_problem *p, struct kerf_choice *choice, const char *policy,
	       const char *nobody, struct kerf_plan *plan, struct kerf_err *err)
{
	int r;

	if (!choice->have && !choice->have_near && choice->error != -ENOMEM) {
		kerf_choice_drop(choice);
		return kerf_fail(err, -ENODEV, "%s", nobody);
	}
	r = kerf_choice_end(p, choice, plan, err);
	if (!r)
		plan->policy = policy;
	return r;
}

int kerf_policy_local(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice choice = {0};
	int e = kerf_problem_home_engine(p, err);

	if (e < 0)
		return e;
	kerf_choice_whole(p, (uint32_t)e, &choice);
	return end(p, &choice, "local", "home's first engine cannot run the whole model", plan,
		   err);
}

int kerf_policy_remote(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice choice = {0};
	uint32_t e;

	for (e = 0; e < p->n_engine; e++)
		if (p->engine[e].node != p->home)
			kerf_choice_whole(p, e, &choice);
	return end(p, &choice, "remote", "no engine of another node can run the whole model", plan,
		   err);
}

int kerf_policy_best_single(const struct kerf_problem *p, struct kerf_plan *plan,
			    struct kerf_err *err)
{
	struct kerf_choice choice = {0};
	uint32_t e;

	for (e = 0; e < p->n_engine; e++)
		kerf_choice_whole(p, e, &choice);
	return end(p, &choice, "best-single", "no engine can run the whole model", plan, err);
}
