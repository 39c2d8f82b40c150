/* SPDX-License-Identifier: MIT */
/*
 * The best plan over the whole space: the search's best assignment (search.h) for each exit and
 * set of codecs that the goal allows, and the plans of the other policies where they may be
 * better. docs/planner.md tells more.
 */
#include "plan/policy.h"
#include "plan/search.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct kerf_run {
	const struct kerf_problem *p;
	struct kerf_search *x;
	struct kerf_choice choice;
	uint32_t searched;
	bool optimal; /* of all assignments, all searches together */
};

static double accuracy_of(const struct kerf_problem *p, int32_t exit, uint32_t codecs)
{
	double a = exit >= 0 ? p->graph->exit[exit].accuracy : p->graph->accuracy;
	uint32_t c;

	for (c = KERF_CODEC_NONE + 1; c < KERF_N_CODECS && p->codec_loss; c++)
		if (codecs >> c & 1)
			a -= p->codec_loss[c];
	return a;
}

static int search(struct kerf_run *k, int32_t exit, uint32_t codecs)
{
	struct kerf_search_found found;
	struct kerf_plan plan;
	int r = kerf_search_run(k->x, exit, codecs, NULL, &found);

	k->searched++;
	k->optimal &= found.optimal;
	if (r)
		return 0;
	r = kerf_plan_from_assignment(k->p, found.assign, found.codec, &plan, NULL);
	if (!r && exit >= 0) {
		plan.exit = exit;
		r = kerf_plan_price(k->p, &plan);
		if (r)
			kerf_plan_finish(&plan);
	}
	if (r)
		return r;
	plan.policy = "kerf";
	kerf_choice_offer(k->p, &k->choice, &plan, 0);
	return 0;
}

/* Each exit, and each set of codecs that leaves it accurate enough: fewer codecs lose less. */
static int search_all(struct kerf_run *k)
{
	const struct kerf_problem *p = k->p;
	int32_t exit, n_exit = p->goal.exits ? (int32_t)p->graph->n_exit : 0;
	uint32_t all = p->goal.codecs & ~(1u << KERF_CODEC_NONE), codecs;
	int r = 0;

	for (exit = -1; exit < n_exit && !r; exit++) {
		r = search(k, exit, 0);
		for (codecs = all; codecs && !r; codecs = (codecs - 1) & all) {
			if (p->goal.accuracy > 0 && accuracy_of(p, exit, codecs) < p->goal.accuracy)
				continue;
			r = search(k, exit, codecs);
			if (p->goal.accuracy <= 0)
				break; /* of any set of codecs the search may use less */
		}
	}
	return r;
}

/* Whole plans and cuts are assignments: none is better than an optimal one. */
static int ask_others(struct kerf_run *k)
{
	const struct kerf_policy *policy;
	uint32_t i;

	for (i = 0; (policy = kerf_policy_at(i)); i++) {
		struct kerf_plan plan;
		int r;

		if (policy->plan == kerf_policy_kerf ||
		    (k->optimal &&
		     (policy->kind == KERF_POLICY_WHOLE || policy->kind == KERF_POLICY_CUT)))
			continue;
		r = policy->plan(k->p, &plan, NULL);
		if (r == -ENOMEM)
			return r;
		if (!r)
			kerf_choice_offer(k->p, &k->choice, &plan, 0);
	}
	return 0;
}

static void explain(const struct kerf_run *k, struct kerf_plan *plan)
{
	const struct kerf_problem *p = k->p;
	double here = 0, there = 0;
	char from[64] = "";
	uint32_t i, away = 0;

	for (i = 0; i < plan->n_step; i++) {
		const struct kerf_plan_step *s = &plan->step[i];
		bool far = p->engine[s->engine].node != p->home;

		*(far ? &there : &here) += s->compute_s;
		away += far;
	}
	if (strcmp(plan->policy, "kerf"))
		snprintf(from, sizeof(from), ", by the plan of %.32s", plan->policy);
	snprintf(plan->reason, sizeof(plan->reason),
		 "%u of %u steps away: %.2f ms of work here, %.2f ms there, %.0f KB on links; %s%s",
		 away, plan->n_step, here * 1e3, there * 1e3, plan->wire_bytes / 1e3,
		 k->optimal ? "no assignment of operators to engines is better"
			    : "nothing better was found",
		 from);
	plan->policy = "kerf";
}

int kerf_policy_kerf(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_run k = {.p = p, .optimal = true};
	int r = kerf_search_make(p, &k.x);

	if (!r)
		r = search_all(&k);
	/* Exactness is proved for assignments alone, without codecs. */
	k.optimal &= k.searched == 1;
	if (!r)
		r = ask_others(&k);
	kerf_search_free(k.x);
	if (r) {
		kerf_choice_drop(&k.choice);
		return r;
	}
	r = kerf_choice_end(p, &k.choice, plan, err);
	if (!r)
		explain(&k, plan);
	return r;
}
