/* SPDX-License-Identifier: MIT */
/*
 * CRIME: Jahier Pagliari, Chiaro, Macii, Poncino, "CRIME: input-dependent collaborative inference
 * for recurrent neural networks", IEEE Transactions on Computers 70(10), 2021.
 *
 * Modelled. Devices in any topology decide for themselves: whoever has an input either runs the
 * whole inference or hands it to one of the devices it is connected to, whichever it expects to be
 * faster (or to take less energy). For that it knows its own time, its links, and what its direct
 * neighbours say of their time under their load; nothing of what lies behind them. Who gets an
 * input decides anew, by its own neighbours. No device gets it twice.
 *
 * How it is mapped. A device is a node, its time that of its best engine (op_s has the load in it),
 * a neighbour a node with links both ways. The walk begins at home, and the plan is the whole model
 * on the best engine where it ends. A plan's inputs leave from home, so the price is that of home's
 * own link to that node; a walk does not go on to nodes that home has no link to. If that plan
 * misses the goal, home's and its neighbours' own are offered.
 *
 * Not modelled: the paper's networks are recurrent, and its point is that time depends on the
 * length of the input, by a line fitted for each device; here shapes are the problem's, and one
 * call is one length. The paper's text was not at hand beyond its abstract: the rule for handing on
 * is ours, made to fit what the abstract promises.
 */
#include "plan/policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct view {
	const struct kerf_problem *p;
	double second, joule; /* what one of each costs */
	double in_bytes, out_bytes;
	double cost[KERF_MAX_NODES];	 /* of the whole inference on a node */
	uint32_t engine[KERF_MAX_NODES]; /* on its best engine */
};

static void look(struct view *x, const struct kerf_problem *p)
{
	const struct kerf_graph *g = p->graph;
	uint32_t e, o, i;

	*x = (struct view){.p = p, .second = 1};
	if (p->goal.objective == KERF_FOR_ENERGY) {
		x->second = 0;
		x->joule = 1;
	} else if (p->goal.objective == KERF_FOR_WEIGHTED) {
		x->second = p->goal.latency_weight;
		x->joule = p->goal.energy_weight;
	}
	for (i = 0; i < g->n_in; i++)
		x->in_bytes += p->outline->value_bytes[g->in[i]];
	for (i = 0; i < g->n_out; i++)
		x->out_bytes += p->outline->value_bytes[g->out[i]];
	for (i = 0; i < p->n_node; i++)
		x->cost[i] = INFINITY;
	for (e = 0; e < p->n_engine; e++) {
		const struct kerf_plan_engine *engine = &p->engine[e];
		double s = engine->job_s, cost;

		for (o = 0; o < g->n_op; o++)
			s += p->op_s[(size_t)o * p->n_engine + e];
		cost = isfinite(s) ? s * (x->second + x->joule * engine->active_w) : INFINITY;
		if (cost < x->cost[engine->node]) {
			x->cost[engine->node] = cost;
			x->engine[engine->node] = e;
		}
	}
}

/* Handing the input on from a to b, and the answer back. */
static double hand_on(const struct view *x, uint32_t a, uint32_t b)
{
	const struct kerf_problem *p = x->p;
	double up = kerf_problem_transfer_s(p, a, b, x->in_bytes);
	double down = kerf_problem_transfer_s(p, b, a, x->out_bytes);
	double cost = (up + down) * x->second;

	if (!isfinite(up + down))
		return INFINITY;
	if (p->node)
		cost += x->joule *
			(x->in_bytes * (p->node[a].send_j_byte + p->node[b].receive_j_byte) +
			 x->out_bytes * (p->node[b].send_j_byte + p->node[a].receive_j_byte));
	return cost;
}

/* Where the input ends up; hops: how often it was handed on. */
static uint32_t walk(const struct view *x, uint32_t *hops)
{
	const struct kerf_problem *p = x->p;
	bool visited[KERF_MAX_NODES] = {false};
	uint32_t at = p->home, next, i;

	for (*hops = 0;; (*hops)++, at = next) {
		double least = x->cost[at];

		visited[at] = true;
		next = at;
		for (i = 0; i < p->n_node && !p->goal.keep; i++) {
			double cost = visited[i] ? INFINITY : hand_on(x, at, i) + x->cost[i];

			if (cost < least && isfinite(hand_on(x, p->home, i))) {
				least = cost;
				next = i;
			}
		}
		if (next == at)
			return at;
	}
}

int kerf_policy_crime(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice choice = {0};
	uint32_t node, hops, i;
	struct view x;
	size_t at;
	int r;

	look(&x, p);
	node = walk(&x, &hops);
	if (isfinite(x.cost[node]))
		kerf_choice_whole(p, x.engine[node], &choice);
	for (i = 0; !choice.have && i < p->n_node; i++)
		if (isfinite(x.cost[i]) && (i == p->home || isfinite(hand_on(&x, p->home, i))))
			kerf_choice_whole(p, x.engine[i], &choice);
	r = kerf_choice_end(p, &choice, plan, err);
	if (r)
		return r;
	plan->policy = "crime";
	at = strlen(plan->reason);
	snprintf(plan->reason + at, sizeof(plan->reason) - at, "; handed on %u time%s", hops,
		 hops == 1 ? "" : "s");
	return 0;
}
