/* SPDX-License-Identifier: MIT */
/*
 * The cut of least cost (cut_net.h) between home's first engine, "here", and another, of its node
 * or of another one ("away", "there", also if it is not far).
 *
 * Costs that come once a crossing, not once a value (a link's latency, a job's
 * overhead), do not fit the sum. So three cuts are solved and priced as they would
 * run, beside both whole plans, and the cheapest wins:
 *   - values may only go there (one crossing out, the outputs back): fixed costs are
 *     the same for every such cut, so the result is the best of all of its kind;
 *   - values may only come back (one crossing): the same;
 *   - both ways, each value paying the latency: finds stays away in the middle of the
 *     graph. Not exact: a value made away, read here and read away again by a later
 *     step travels twice, which the sum does not know but the price does.
 */
#include "plan/cut_net.h"
#include "plan/policy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct cut {
	const struct kerf_problem *p;
	uint32_t here, there; /* engines */
	enum kerf_cut_way way;
	struct kerf_cut_net *net;
	double *here_s, *there_s, *up_s, *down_s;
	bool *away;
	uint32_t *assign;
};

static void drop(struct cut *c)
{
	kerf_cut_net_free(c->net);
	free(c->here_s);
	free(c->away);
	free(c->assign);
}

static int init(struct cut *c)
{
	const struct kerf_graph *g = c->p->graph;

	c->here_s = malloc(2 * ((size_t)g->n_op + g->n_value + 1) * sizeof(*c->here_s));
	c->away = malloc((g->n_op + 1) * sizeof(*c->away));
	c->assign = malloc((g->n_op + 1) * sizeof(*c->assign));
	if (!c->here_s || !c->away || !c->assign)
		return -ENOMEM;
	c->there_s = c->here_s + g->n_op;
	c->up_s = c->there_s + g->n_op;
	c->down_s = c->up_s + g->n_value;
	return kerf_cut_net_make(g, c->p->outline, &c->net);
}

static double move_s(const struct cut *c, bool back, uint32_t v)
{
	uint32_t home = c->p->home, away = c->p->engine[c->there].node;
	uint32_t from = back ? away : home, to = back ? home : away;
	const struct kerf_link_model *l = &c->p->link[from * c->p->n_node + to];
	double bytes = c->p->outline->value_bytes[v];

	/* Within a node nothing is sent; what is paid for going to and fro is the job. */
	if (home == away)
		return c->way == KERF_CUT_BOTH_WAYS ? c->p->engine[c->there].job_s : 0;
	if (l->rate_bytes_s <= 0 || (!back && c->p->graph->value[v].bounded))
		return INFINITY;
	return c->way == KERF_CUT_BOTH_WAYS ? kerf_problem_transfer_s(c->p, from, to, bytes)
					    : bytes / l->rate_bytes_s;
}

static int solve(const struct cut *c, struct kerf_plan *plan)
{
	const struct kerf_graph *g = c->p->graph;
	struct kerf_cut_costs costs = {c->here_s, c->there_s, c->up_s, c->down_s};
	uint32_t i;
	int r;

	for (i = 0; i < g->n_op; i++) {
		c->here_s[i] = c->p->op_s[(size_t)i * c->p->n_engine + c->here];
		c->there_s[i] = c->p->op_s[(size_t)i * c->p->n_engine + c->there];
	}
	for (i = 0; i < g->n_value; i++) {
		c->up_s[i] = move_s(c, false, i);
		c->down_s[i] = move_s(c, true, i);
	}
	r = kerf_cut_net_solve(c->net, &costs, c->way, 0, g->n_op, c->away, NULL);
	for (i = 0; i < g->n_op && !r; i++)
		c->assign[i] = c->away[i] ? c->there : c->here;
	return r ? r : kerf_plan_from_assignment(c->p, c->assign, NULL, plan, NULL);
}

static void explain(const struct kerf_problem *p, const struct kerf_plan *plan,
		    uint32_t here_engine, double local_s, double remote_s, char *out, size_t n)
{
	double here = 0, there = 0;
	uint32_t i, ops = 0;

	for (i = 0; i < plan->n_step; i++) {
		const struct kerf_plan_step *s = &plan->step[i];
		bool away = s->engine != here_engine;

		*(away ? &there : &here) += s->compute_s;
		ops += away ? s->n_op : 0;
	}
	snprintf(out, n,
		 "%u of %u operators away: %.2f ms here + %.2f ms there and %.0f KB on the link = %.2f ms; all here %.2f ms, all there %.2f ms",
		 ops, p->graph->n_op, here * 1e3, there * 1e3, plan->wire_bytes / 1e3,
		 plan->total_s * 1e3, local_s * 1e3, remote_s * 1e3);
}

int kerf_policy_mincut(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	double local_s = INFINITY, remote_s = INFINITY;
	struct kerf_plan cand;
	bool have = false;
	uint32_t e;
	int here = kerf_problem_home_engine(p, err), r;
	struct cut c = {.p = p, .here = (uint32_t)here};

	if (here < 0)
		return here;
	r = init(&c);
	if (r)
		goto out;
	for (e = 0; e < p->n_engine; e++) {
		bool other = e != (uint32_t)here;

		r = kerf_plan_whole(p, e, &cand, NULL);
		if (!r && other)
			remote_s = fmin(remote_s, cand.total_s);
		else if (!r)
			local_s = cand.total_s;
		kerf_plan_keep(plan, &have, &cand, r);
		c.there = e;
		for (c.way = KERF_CUT_THERE_ONLY; other && c.way <= KERF_CUT_BOTH_WAYS; c.way++) {
			r = solve(&c, &cand);
			if (r == -ENOMEM)
				goto out;
			kerf_plan_keep(plan, &have, &cand, r);
		}
	}
	r = have ? 0 : kerf_fail(err, -ENODEV, "no engine, nor any two, can run the whole model");
out:
	drop(&c);
	if (r) {
		if (have)
			kerf_plan_finish(plan);
		return r;
	}
	plan->policy = "mincut";
	explain(p, plan, (uint32_t)here, local_s, remote_s, plan->reason, sizeof(plan->reason));
	return 0;
}
