/* SPDX-License-Identifier: MIT */
/*
 * The best plan over the whole space: the search's best assignment (search.h) for each exit and
 * set of codecs that the goal allows, and the plans of the other policies where they may be
 * better. docs/planner.md tells more.
 */
#include "plan/drift.h"
#include "plan/fused.h"
#include "plan/planner.h"
#include "plan/policy.h"
#include "plan/rebalance.h"
#include "plan/search.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAR 1.5	      /* times what a rate or an engine's work was: another state */
#define SELDOM 16     /* decisions in one such state to the next that asks another policy */
#define AT_ONCE 1024  /* operators * engines up to which all are asked by one decision */
#define ALL_CELLS 384 /* operators * engines up to which all other policies are asked */

/* A plan by search: what of it was allowed, and what came of it. */
struct searched {
	int32_t exit;
	uint32_t codecs;
	uint32_t *assign;
	bool have;
};

struct kerf_planner {
	const struct kerf_policy *policy;
	const struct kerf_problem *p;
	struct kerf_search *x;
	struct kerf_choice choice;
	uint32_t n_searched;
	bool optimal; /* of all assignments, all searches together */
	/* Of the last plan: the goal, the best search, the policy it was taken from. */
	bool again;
	struct kerf_goal goal;
	struct searched last;
	double last_score;
	const struct kerf_policy *from;
	/* When policies with tiles were all asked last, how many of them are to be asked again. */
	struct kerf_drift asked;
	uint32_t due, turn, since;
};

/* Whether an exit is accurate enough with all of these codecs. */
static bool accurate(const struct kerf_problem *p, int32_t exit, uint32_t codecs)
{
	double a = exit >= 0 ? p->graph->exit[exit].accuracy : p->graph->accuracy;
	uint32_t c;

	for (c = KERF_CODEC_NONE + 1; c < KERF_N_CODECS && p->codec_loss; c++)
		if (codecs >> c & 1)
			a -= p->codec_loss[c];
	return p->goal.accuracy <= 0 || a >= p->goal.accuracy;
}

static int search(struct kerf_planner *k, int32_t exit, uint32_t codecs, const uint32_t *hint)
{
	struct kerf_search_found found;
	struct kerf_plan plan;
	int r = kerf_search_run(k->x, exit, codecs, hint, &found);

	k->n_searched++;
	if (r == -ENOMEM)
		return r;
	k->optimal &= found.optimal;
	if (r)
		return 0;
	if (kerf_search_score(&found.price) < k->last_score) {
		k->last_score = kerf_search_score(&found.price);
		k->last.exit = exit;
		k->last.codecs = codecs;
		memcpy(k->last.assign, found.assign, k->p->graph->n_op * sizeof(*k->last.assign));
	}
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
static int search_all(struct kerf_planner *k)
{
	const struct kerf_problem *p = k->p;
	int32_t exit, n_exit = p->goal.exits ? (int32_t)p->graph->n_exit : 0;
	uint32_t all = p->goal.codecs & ~(1u << KERF_CODEC_NONE), codecs;
	int r = 0;

	for (exit = -1; exit < n_exit && !r; exit++) {
		r = search(k, exit, 0, NULL);
		for (codecs = all; codecs && !r; codecs = (codecs - 1) & all)
			if (accurate(p, exit, codecs))
				r = search(k, exit, codecs, NULL);
	}
	return r;
}

static int ask(struct kerf_planner *k, const struct kerf_problem *p,
	       const struct kerf_policy *policy)
{
	struct kerf_plan plan;
	int r = policy->plan(p, &plan, NULL);

	if (r == -ENOMEM)
		return r;
	if (!r)
		kerf_choice_offer(k->p, &k->choice, &plan, 0);
	return 0;
}

static bool limits_memory(const struct kerf_problem *p)
{
	uint32_t i;

	for (i = 0; p->node && i < p->n_node; i++)
		if (p->node[i].memory_bytes > 0)
			return true;
	return p->goal.objective == KERF_FOR_MEMORY;
}

static uint32_t engines_here(const struct kerf_problem *p)
{
	uint32_t e, n = 0;

	for (e = 0; e < p->n_engine; e++)
		n += p->engine[e].node == p->home;
	return n;
}

/*
 * Those whose plans cannot be better than another's that is asked. Cogent draws from the cuts that
 * neurosurgeon goes through, unless there are codecs or exits (with several engines here cuts may
 * cost less than they seem to, see scan.h, so what is drawn may be better). Patches one by one on
 * one engine are slower than the whole model there, and need more energy: they are for memory.
 * Padded tiles are for goals that allow them. Large: a graph about which those are not asked whose
 * time grows faster than the graph or is long: qdmp finds the cuts of dads but for those by weighed
 * stages (DSH), for which the search's paths over prices of engines and links stand in, without
 * proof; and cogent draws at random from those that neurosurgeon, autosplit and spinn go through.
 */
static bool is_idle(const struct kerf_problem *p, const struct kerf_policy *policy)
{
	bool large = (uint64_t)p->graph->n_op * p->n_engine > ALL_CELLS;

	if (policy->plan == kerf_policy_dads)
		return large;
	if (policy->plan == kerf_policy_cogent)
		return large || !(p->goal.exits || p->goal.codecs >> 1 || engines_here(p) > 1);
	if (policy->plan == kerf_policy_mcunet)
		return !limits_memory(p);
	if (policy->plan == kerf_policy_adcnn)
		return !p->goal.inexact;
	return policy->plan == kerf_policy_kerf;
}

/* Whether its plans are assignments, one step between two changes of engine. */
static bool assigns(const struct kerf_policy *policy)
{
	return policy->kind == KERF_POLICY_WHOLE || policy->kind == KERF_POLICY_CUT ||
	       policy->plan == kerf_policy_cogent;
}

/*
 * No assignment is better than an optimal one; with tiled, of all others those are asked that tile.
 */
static bool may_help(const struct kerf_planner *k, bool tiled, const struct kerf_policy *policy)
{
	if (is_idle(k->p, policy) || (tiled && policy == k->from))
		return false;
	return !((tiled || k->optimal) && assigns(policy));
}

/*
 * The next n that may help, from place k->turn of the list on, in a circle. What several of them
 * begin with is made once.
 */
static int ask_others(struct kerf_planner *k, bool tiled, uint32_t n)
{
	struct kerf_problem p = *k->p;
	const struct kerf_policy *policy;
	uint32_t place;
	int r = 0;

	p.fused = p.layers = NULL;
	if (n > 1)
		r = kerf_fused_make(k->p, KERF_FUSED_REACH, KERF_FUSED_BLOCKS, &p.fused);
	if (!r && n > 1)
		r = kerf_fused_make(k->p, 1, 0, &p.layers);
	for (place = 0; !r && n && kerf_policy_at(place); place++) {
		policy = kerf_policy_at(k->turn);
		k->turn = kerf_policy_at(k->turn + 1) ? k->turn + 1 : 0;
		if (!may_help(k, tiled, policy))
			continue;
		r = ask(k, &p, policy);
		n--;
	}
	kerf_fused_free(p.fused);
	kerf_fused_free(p.layers);
	return r;
}

static int ask_all(struct kerf_planner *k)
{
	int r = kerf_drift_remember(&k->asked, k->p);

	k->turn = k->due = k->since = 0;
	return r ? r : ask_others(k, false, UINT32_MAX);
}

/*
 * The search goes on from its last result, but tiles would never be thought of again. So where the
 * state is far from the one that all were asked in, all that tile are asked: at once, or where the
 * graph is large, one a decision until all were. Else one now and then, by turns.
 */
static int revisit(struct kerf_planner *k)
{
	bool large = (uint64_t)k->p->graph->n_op * k->p->n_engine > AT_ONCE;
	struct kerf_drift_most most;
	uint32_t i, n;
	int r = 0;

	kerf_drift_most(&k->asked, k->p, &most);
	if (most.factor > FAR) {
		r = kerf_drift_remember(&k->asked, k->p);
		for (i = k->due = 0; kerf_policy_at(i); i++)
			k->due += may_help(k, true, kerf_policy_at(i));
	}
	n = k->due ? (large ? 1 : k->due) : ++k->since >= SELDOM;
	if (r || !n)
		return r;
	k->due -= KERF_MIN(k->due, n);
	k->since = 0;
	return ask_others(k, true, n);
}

/* moved: bands have other sizes than the policy gave them. */
static void explain(const struct kerf_planner *k, bool moved, struct kerf_plan *plan)
{
	const struct kerf_problem *p = k->p;
	double here = 0, there = 0;
	char from[80] = "";
	uint32_t i, away = 0;

	for (i = 0; i < plan->n_step; i++) {
		const struct kerf_plan_step *s = &plan->step[i];
		bool far = p->engine[s->engine].node != p->home;

		*(far ? &there : &here) += s->compute_s;
		away += far;
	}
	if (strcmp(plan->policy, "kerf"))
		snprintf(from, sizeof(from), ", by the plan of %.32s%s", plan->policy,
			 moved ? ", its bands moved" : "");
	snprintf(plan->reason, sizeof(plan->reason),
		 "%u of %u steps away: %.2f ms of work here, %.2f ms there, %.0f KB on links; %s%s",
		 away, plan->n_step, here * 1e3, there * 1e3, plan->wire_bytes / 1e3,
		 k->optimal ? "no assignment of operators to engines is better"
			    : "nothing better was found",
		 from);
	plan->policy = "kerf";
}

static int plan_first(struct kerf_planner *k)
{
	int r = search_all(k);

	/* Optimal is meant of assignments alone, without codecs. */
	k->optimal &= k->n_searched == 1;
	return r ? r : ask_all(k);
}

/*
 * From the last result, also with codecs; whatever else was best then is asked again. If none of
 * these meets the goal any more, all of it.
 */
static int plan_again(struct kerf_planner *k)
{
	uint32_t all = k->p->goal.codecs & ~(1u << KERF_CODEC_NONE), codecs;
	struct searched last = k->last;
	int r = 0;

	if (last.have)
		r = search(k, last.exit, last.codecs, last.assign);
	for (codecs = all; codecs && last.have && !r; codecs = (codecs - 1) & all) {
		if (!accurate(k->p, last.exit, codecs))
			continue;
		if (codecs != last.codecs)
			r = search(k, last.exit, codecs, last.assign);
		/* Who may use all may leave out some. */
		if (codecs == all)
			break;
	}
	if (!r && (!last.have || last.exit >= 0 || last.codecs))
		r = search(k, -1, 0, NULL);
	k->optimal = false;
	if (!r && k->from)
		r = ask(k, k->p, k->from);
	if (!r)
		r = revisit(k);
	return r || k->choice.have ? r : plan_first(k);
}

int kerf_planner_new(const struct kerf_problem *p, const struct kerf_policy *policy,
		     struct kerf_planner **out)
{
	struct kerf_planner *k = calloc(1, sizeof(*k));
	int r = -ENOMEM;

	*out = NULL;
	if (!k)
		return r;
	k->policy = policy;
	k->last.assign = malloc((p->graph->n_op + 1) * sizeof(*k->last.assign));
	if (k->last.assign)
		r = kerf_search_make(p, &k->x);
	if (r) {
		kerf_planner_free(k);
		return r;
	}
	*out = k;
	return 0;
}

void kerf_planner_free(struct kerf_planner *k)
{
	if (!k)
		return;
	kerf_search_free(k->x);
	kerf_drift_finish(&k->asked);
	free(k->last.assign);
	free(k);
}

int kerf_planner_plan(struct kerf_planner *k, const struct kerf_problem *p, struct kerf_plan *plan,
		      struct kerf_err *err)
{
	bool moved;
	int r;

	if (k->policy->plan != kerf_policy_kerf)
		return k->policy->plan(p, plan, err);
	k->p = p;
	kerf_search_state(k->x, p);
	k->n_searched = 0;
	k->optimal = true;
	k->last_score = INFINITY;
	if (k->again && !memcmp(&k->goal, &p->goal, sizeof(k->goal)))
		r = plan_again(k);
	else
		r = plan_first(k);
	k->last.have = k->last_score < INFINITY;
	if (r) {
		kerf_choice_drop(&k->choice);
		return r;
	}
	r = kerf_rebalance(p, &k->choice, &moved);
	if (r) {
		kerf_choice_drop(&k->choice);
		return r;
	}
	r = kerf_choice_end(p, &k->choice, plan, err);
	k->again = !r;
	if (r)
		return r;
	k->goal = p->goal;
	k->from = strcmp(plan->policy, "kerf") ? kerf_policy_find(plan->policy) : NULL;
	explain(k, moved, plan);
	return 0;
}

int kerf_policy_kerf(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_planner *k;
	int r = kerf_planner_new(p, kerf_policy_find("kerf"), &k);

	if (r)
		return r;
	r = kerf_planner_plan(k, p, plan, err);
	kerf_planner_free(k);
	return r;
}
