/* SPDX-License-Identifier: MIT */
/*
 * The optimal two-way cut of a DAG as a minimum s-t cut (the construction is DADS's:
 * Hu, Bao, Wang, Liu, "Dynamic adaptive DNN surgery for inference acceleration on the
 * edge", INFOCOM 2019, with the return path and values read several times added).
 *
 * s stands for home's first engine, t for another, of its node or of another one ("away",
 * "there", also if it is not far). Operator o costs its time there on edge
 * s -> o (cut when o is away) and its time here on o -> t. A value made here and read
 * there crosses once however many read it: producer -> u costs the transfer, u ->
 * reader is free to cut never. A value made there and read here: d -> producer costs
 * the transfer back, reader -> d is never cut. Inputs are made, outputs read, at home.
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
#include "plan/policy.h"
#include "util/mincut.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum direction { THERE_ONLY, BACK_ONLY, BOTH_WAYS };

struct cut {
	const struct kerf_problem *p;
	uint32_t here, there; /* engines */
	enum direction dir;
	const uint32_t *first, *reader; /* kerf_graph_consumers */
};

/* Vertices: s and t, operators, then a u and a d for each value. */
static uint32_t vertex_op(uint32_t o)
{
	return 2 + o;
}

static uint32_t vertex_u(const struct kerf_graph *g, uint32_t v)
{
	return 2 + g->n_op + 2 * v;
}

static uint32_t vertex_d(const struct kerf_graph *g, uint32_t v)
{
	return vertex_u(g, v) + 1;
}

/* Seconds as a cost: picoseconds; what takes more than ten days counts as ten days. */
static int64_t cost_of(double s)
{
	return isfinite(s) ? (int64_t)(fmin(s, 864000) * 1e12) : KERF_CUT_INF;
}

static int64_t move_cost(const struct cut *c, bool back, uint32_t v)
{
	uint32_t home = c->p->home, away = c->p->engine[c->there].node;
	uint32_t from = back ? away : home, to = back ? home : away;
	const struct kerf_link_model *l = &c->p->link[from * c->p->n_node + to];
	double bytes = (double)kerf_tensor_bytes(&c->p->graph->value[v].t);

	/* Within a node nothing is sent; what is paid for going to and fro is the job. */
	if (home == away)
		return cost_of(c->dir == BOTH_WAYS ? c->p->engine[c->there].job_s : 0);
	if (l->rate_bytes_s <= 0 || (!back && c->p->graph->value[v].bounded))
		return KERF_CUT_INF;
	return cost_of(c->dir == BOTH_WAYS ? kerf_problem_transfer_s(c->p, from, to, bytes)
					   : bytes / l->rate_bytes_s);
}

static int add_value(const struct cut *c, struct kerf_cut *net, uint32_t v)
{
	const struct kerf_graph *g = c->p->graph;
	bool input = g->value[v].producer < 0;
	uint32_t made = input ? KERF_CUT_SOURCE : vertex_op((uint32_t)g->value[v].producer), i;
	uint32_t u = vertex_u(g, v), d = vertex_d(g, v);
	int r = kerf_cut_edge(net, made, u, c->dir == BACK_ONLY && !input ? KERF_CUT_INF
									 : move_cost(c, false, v));

	for (i = c->first[v]; !r && i < c->first[v + 1]; i++)
		r = kerf_cut_edge(net, u, vertex_op(c->reader[i]), KERF_CUT_INF);
	if (r || input)
		return r;
	r = kerf_cut_edge(net, d, made, move_cost(c, true, v));
	for (i = c->first[v]; !r && i < c->first[v + 1]; i++)
		r = kerf_cut_edge(net, vertex_op(c->reader[i]), c->dir == THERE_ONLY ? made : d,
				  KERF_CUT_INF);
	return r;
}

static int build(const struct cut *c, struct kerf_cut *net)
{
	const struct kerf_graph *g = c->p->graph;
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < g->n_op; i++) {
		const double *op_s = &c->p->op_s[(size_t)i * c->p->n_engine];

		r = kerf_cut_edge(net, KERF_CUT_SOURCE, vertex_op(i), cost_of(op_s[c->there]));
		if (!r)
			r = kerf_cut_edge(net, vertex_op(i), KERF_CUT_SINK,
					  cost_of(op_s[c->here]));
	}
	for (i = 0; !r && i < g->n_value; i++)
		if (!kerf_value_is_const(&g->value[i]))
			r = add_value(c, net, i);
	for (i = 0; !r && i < g->n_out; i++)
		r = kerf_cut_edge(net, KERF_CUT_SOURCE, vertex_d(g, (uint32_t)g->out[i]),
				  KERF_CUT_INF);
	return r;
}

static int solve(const struct cut *c, struct kerf_plan *plan)
{
	const struct kerf_graph *g = c->p->graph;
	struct kerf_cut net = {.n_node = 2 + g->n_op + 2 * g->n_value};
	bool *home_side = malloc(net.n_node * sizeof(*home_side));
	uint32_t *assign = malloc((g->n_op + 1) * sizeof(*assign));
	int r = -ENOMEM;
	uint32_t i;

	if (!home_side || !assign)
		goto out;
	r = build(c, &net);
	if (!r)
		r = kerf_cut_solve(&net, home_side);
	if (r)
		goto out;
	for (i = 0; i < g->n_op; i++)
		assign[i] = home_side[vertex_op(i)] ? c->here : c->there;
	r = kerf_plan_from_assignment(c->p, assign, NULL, plan, NULL);
out:
	kerf_cut_finish(&net);
	free(home_side);
	free(assign);
	return r;
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
	uint32_t *first = NULL, *reader, e;
	struct kerf_plan cand;
	bool have = false;
	int here = kerf_problem_home_engine(p, err), r;

	if (here < 0)
		return here;
	r = kerf_graph_consumers(p->graph, &first, &reader);
	if (r)
		return r;
	for (e = 0; e < p->n_engine; e++) {
		bool other = e != (uint32_t)here;
		struct cut c = {p, (uint32_t)here, e, THERE_ONLY, first, reader};

		r = kerf_plan_whole(p, e, &cand, NULL);
		if (!r && other)
			remote_s = fmin(remote_s, cand.total_s);
		else if (!r)
			local_s = cand.total_s;
		kerf_plan_keep(plan, &have, &cand, r);
		for (; other && c.dir <= BOTH_WAYS; c.dir++) {
			r = solve(&c, &cand);
			if (r == -ENOMEM)
				goto out;
			kerf_plan_keep(plan, &have, &cand, r);
		}
	}
	r = have ? 0 : kerf_fail(err, -ENODEV, "no engine, nor any two, can run the whole model");
out:
	free(first);
	if (r) {
		if (have)
			kerf_plan_finish(plan);
		return r;
	}
	plan->policy = "mincut";
	explain(p, plan, (uint32_t)here, local_s, remote_s, plan->reason, sizeof(plan->reason));
	return 0;
}
