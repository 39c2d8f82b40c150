/* SPDX-License-Identifier: MIT */
/*
 * JointDNN: Eshratifar, Abrishami, Pedram, "JointDNN: an efficient training and inference engine
 * for intelligent mobile cloud computing services", IEEE Transactions on Mobile Computing 20(2),
 * 2021 (online 2019).
 *
 * Modelled. A chain of layers may change sides as often as it likes. A layered graph has a vertex
 * for each layer on each side; edges cost what the layer takes there and, between sides, what
 * moving its input takes; the shortest path is the plan of least latency or energy.
 *
 * How it is mapped. Sides are all engines, not just two: the paper's graph with more rows. Layers
 * are positions in the topological order; a change of engine moves all values that live there. That
 * is exact for chains (latency). In a DAG a value may go from its maker to its reader past an
 * engine between them, so the path is an upper bound, and the price says what it really costs.
 * Energy of nodes that wait is counted for home alone. A deadline beside energy, which the paper's
 * integer program has, is met by weighing latency more until the path keeps it (Lagrange; not exact
 * where the best plan is on no convex hull). Other goals take the path of least latency.
 *
 * Not modelled: training, the paper's compression of what goes up, its limits on the battery and
 * on the cloud's load (goals and constraints of kerf's problem stand for them).
 */
#include "plan/policy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHINGS 24

struct path {
	const struct kerf_problem *p;
	uint32_t n;
	double second, joule; /* what one of each costs */
	double *apart;	      /* [(n + 1) * n_engine]: leaving or entering there */
	uint32_t *n_bounded;  /* [n + 1]: values live there whose dims are bounds */
	double *cost;	      /* [n_engine * 2]: of the last layer and of this one */
	uint8_t *from;	      /* [n * n_engine]: the engine before */
	uint32_t *assign;
};

static void finish(struct path *x)
{
	free(x->apart);
	free(x->n_bounded);
	free(x->cost);
	free(x->from);
	free(x->assign);
}

static int make(struct path *x, const struct kerf_problem *p)
{
	const struct kerf_graph *g = p->graph;
	const struct kerf_outline *o = p->outline;
	size_t cells = ((size_t)g->n_op + 2) * p->n_engine;
	uint32_t v, e, k;

	*x = (struct path){.p = p, .n = g->n_op};
	x->apart = calloc(cells, sizeof(*x->apart));
	x->n_bounded = calloc((size_t)g->n_op + 2, sizeof(*x->n_bounded));
	x->cost = malloc(2 * p->n_engine * sizeof(*x->cost));
	x->from = malloc(cells);
	x->assign = malloc(((size_t)g->n_op + 1) * sizeof(*x->assign));
	if (!x->apart || !x->n_bounded || !x->cost || !x->from || !x->assign)
		return -ENOMEM;
	for (v = 0; v < g->n_value; v++) {
		uint32_t from = (uint32_t)(g->value[v].producer + 1), to;

		if (kerf_value_is_const(&g->value[v]) || o->first[v] == o->first[v + 1])
			continue;
		to = o->reader[o->first[v + 1] - 1] + 1;
		x->n_bounded[from] += g->value[v].bounded;
		x->n_bounded[to] -= g->value[v].bounded;
		for (e = 0; p->apart_s && g->value[v].producer >= 0 && e < p->n_engine; e++) {
			double s = p->apart_s[(size_t)v * p->n_engine + e];

			x->apart[(size_t)from * p->n_engine + e] += s;
			x->apart[(size_t)to * p->n_engine + e] -= s;
		}
	}
	for (k = 1; k <= g->n_op; k++) {
		x->n_bounded[k] += x->n_bounded[k - 1];
		for (e = 0; e < p->n_engine; e++)
			x->apart[(size_t)k * p->n_engine + e] +=
				x->apart[(size_t)(k - 1) * p->n_engine + e];
	}
	return 0;
}

/* bytes from node to node: the wait and the radio. */
static double send_cost(const struct path *x, uint32_t from, uint32_t to, double bytes)
{
	const struct kerf_problem *p = x->p;
	double s = kerf_problem_transfer_s(p, from, to, bytes);

	if (from == to)
		return 0;
	if (!isfinite(s))
		return INFINITY;
	return s * x->second +
	       (p->node ? bytes * x->joule *
				  (p->node[from].send_j_byte + p->node[to].receive_j_byte)
			: 0);
}

/* What lives at position k goes from node to node, by way of home where there is no link. */
static double move_cost(const struct path *x, uint32_t k, uint32_t from, uint32_t to)
{
	const struct kerf_problem *p = x->p;
	double bytes = p->outline->live_bytes[k];

	if (from == to || !p->outline->n_live[k])
		return 0;
	if (to != p->home && x->n_bounded[k])
		return INFINITY;
	if (from == p->home || to == p->home || p->link[from * p->n_node + to].rate_bytes_s > 0)
		return send_cost(x, from, to, bytes);
	return send_cost(x, from, p->home, bytes) + send_cost(x, p->home, to, bytes);
}

/* A second of work on engine e. */
static double work_cost(const struct path *x, uint32_t e)
{
	return x->second + x->joule * x->p->engine[e].active_w;
}

/* Operator o on engine e, its outputs that are the model's sent home. */
static double run_cost(const struct path *x, uint32_t o, uint32_t e)
{
	const struct kerf_problem *p = x->p;
	const struct kerf_op *op = &p->graph->op[o];
	double s = p->op_s[(size_t)o * p->n_engine + e], sum;
	int k;

	if (!isfinite(s) || (o < p->goal.keep && p->engine[e].node != p->home))
		return INFINITY;
	sum = s * work_cost(x, e);
	for (k = 0; k < op->n_out; k++)
		if (op->out[k] >= 0 && p->outline->is_out[op->out[k]])
			sum += send_cost(x, p->engine[e].node, p->home,
					 p->outline->value_bytes[op->out[k]]);
	return sum;
}

/* Changing from engine a to b at position k. */
static double change_cost(const struct path *x, uint32_t k, uint32_t a, uint32_t b)
{
	const struct kerf_problem *p = x->p;
	const double *apart = &x->apart[(size_t)k * p->n_engine];

	return move_cost(x, k, p->engine[a].node, p->engine[b].node) + apart[a] * work_cost(x, a) +
	       (p->engine[b].job_s + apart[b]) * work_cost(x, b);
}

/* The shortest path into x->assign; false if there is none. */
static bool shortest(struct path *x)
{
	const struct kerf_problem *p = x->p;
	uint32_t n_engine = p->n_engine, k, a, b, best = 0;
	double *last = x->cost, *now = x->cost + n_engine, *swap;

	for (k = 0; k < x->n; k++) {
		for (b = 0; b < n_engine; b++) {
			double run = run_cost(x, k, b), least = INFINITY;
			uint32_t from = b;

			if (!k && isfinite(run))
				least = move_cost(x, 0, p->home, p->engine[b].node) +
					p->engine[b].job_s * work_cost(x, b);
			for (a = 0; k && isfinite(run) && a < n_engine; a++) {
				double c = last[a];

				if (isfinite(c) && a != b)
					c += change_cost(x, k, a, b);
				if (c < least) {
					least = c;
					from = a;
				}
			}
			now[b] = least + run;
			x->from[(size_t)k * n_engine + b] = (uint8_t)from;
		}
		swap = last;
		last = now;
		now = swap;
	}
	for (b = 1; b < n_engine; b++)
		best = last[b] < last[best] ? b : best;
	if (!x->n || !isfinite(last[best]))
		return !x->n;
	for (k = x->n; k-- > 0;) {
		x->assign[k] = best;
		best = x->from[(size_t)k * n_engine + best];
	}
	return true;
}

/* Offers the path under these weights; its latency, INFINITY if there is none. */
static double try(struct path *x, double latency, double energy, struct kerf_choice *choice)
{
	const struct kerf_problem *p = x->p;
	struct kerf_plan plan;
	uint32_t changes = 0, k;
	double total_s;
	int r;

	x->joule = energy;
	x->second = latency + energy * (p->node ? p->node[p->home].idle_w : 0);
	if (!shortest(x))
		return INFINITY;
	r = kerf_plan_from_assignment(p, x->assign, NULL, &plan, NULL);
	total_s = r ? INFINITY : plan.total_s;
	for (k = 1; k < x->n; k++)
		changes += x->assign[k] != x->assign[k - 1];
	if (!r)
		snprintf(plan.reason, sizeof(plan.reason),
			 "shortest path over %u layers of %u engines changes the engine %u time%s: "
			 "%.2f ms, %.0f KB on links",
			 x->n, p->n_engine, changes, changes == 1 ? "" : "s", plan.total_s * 1e3,
			 plan.wire_bytes / 1e3);
	kerf_choice_offer(p, choice, &plan, r);
	return total_s;
}

/* Least energy within the deadline: latency weighs as little as keeps it. */
static void weigh(struct path *x, double latency, double energy, struct kerf_choice *choice)
{
	double deadline_s = x->p->goal.deadline_s, low = 0, high = 1;
	uint32_t i;

	if (try(x, latency, energy, choice) <= deadline_s || deadline_s <= 0 || energy <= 0)
		return;
	if (try(x, 1, 0, choice) > deadline_s)
		return;
	/* Shares of latency in the sum, of watts that a request draws: any unit does. */
	for (i = 0; i < WEIGHINGS; i++) {
		double share = (low + high) / 2;

		if (try(x, latency + share / (1 - share), energy, choice) <= deadline_s)
			high = share;
		else
			low = share;
	}
}

int kerf_policy_jointdnn(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	const struct kerf_goal *g = &p->goal;
	struct kerf_choice choice = {0};
	struct path x;
	uint32_t e;
	int r = make(&x, p);

	if (r) {
		finish(&x);
		return r;
	}
	if (g->objective == KERF_FOR_ENERGY)
		weigh(&x, 0, 1, &choice);
	else if (g->objective == KERF_FOR_WEIGHTED && g->latency_weight + g->energy_weight > 0)
		weigh(&x, g->latency_weight, g->energy_weight, &choice);
	else
		try(&x, 1, 0, &choice);
	finish(&x);
	for (e = 0; e < p->n_engine; e++)
		kerf_choice_whole(p, e, &choice);
	r = kerf_choice_end(p, &choice, plan, err);
	if (!r)
		plan->policy = "jointdnn";
	return r;
}
