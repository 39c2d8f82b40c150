/* SPDX-License-Identifier: MIT */
#include "plan/plan.h"
#include "util/link_time.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double kerf_problem_transfer_s(const struct kerf_problem *p, uint32_t from, uint32_t to,
			       double bytes)
{
	const struct kerf_link_model *l = &p->link[from * p->n_node + to];

	if (from == to)
		return 0;
	if (l->rate_bytes_s <= 0)
		return INFINITY;
	return kerf_link_time_s(bytes, l->latency_s, 1 / l->rate_bytes_s, l->window_bytes, l->round_s);
}

/*
 * level[o]: how often the engine changes on the way to o, at most. Operators of one
 * engine and one level form a step: a path that leaves it comes back at a higher
 * level, so it is convex, and every dependence between steps goes to a higher level.
 * Home's first engine starts at level 0, others at 1, so that with two engines equal
 * levels never meet and runs are as long as they can be.
 */
static void find_levels(const struct kerf_problem *p, const uint32_t *assign, uint32_t *level)
{
	const struct kerf_graph *g = p->graph;
	uint32_t o;
	int k;

	for (o = 0; o < g->n_op; o++) {
		const struct kerf_op *op = &g->op[o];

		level[o] = p->engine[assign[o]].node == p->home ? 0 : 1;
		for (k = 0; k < op->n_in; k++) {
			int32_t from = op->in[k] < 0 ? -1 : g->value[op->in[k]].producer;

			if (from >= 0)
				level[o] = KERF_MAX(level[o],
						    level[from] + (assign[from] != assign[o]));
		}
	}
}

/* step_of[o] for every operator; steps sorted by (level, engine). Returns their number. */
static int number_steps(const struct kerf_problem *p, const uint32_t *assign,
			const uint32_t *level, uint32_t *step_of)
{
	const struct kerf_graph *g = p->graph;
	uint32_t most = 0, n = 0, o, i, *map;
	size_t cells;

	for (o = 0; o < g->n_op; o++)
		most = KERF_MAX(most, level[o]);
	cells = ((size_t)most + 1) * p->n_engine;
	map = calloc(cells, sizeof(*map));
	if (!map)
		return -ENOMEM;
	for (o = 0; o < g->n_op; o++)
		map[(size_t)level[o] * p->n_engine + assign[o]] = 1;
	for (i = 0; i < cells; i++)
		if (map[i])
			map[i] = n++;
	for (o = 0; o < g->n_op; o++)
		step_of[o] = map[(size_t)level[o] * p->n_engine + assign[o]];
	free(map);
	return (int)n;
}

static int collect_steps(const struct kerf_problem *p, const uint32_t *assign,
			 const uint32_t *step_of, struct kerf_plan *plan)
{
	uint32_t o, i;

	for (o = 0; o < p->graph->n_op; o++) {
		plan->step[step_of[o]].engine = assign[o];
		plan->step[step_of[o]].n_op++;
	}
	for (i = 0; i < plan->n_step; i++) {
		plan->step[i].op = malloc(plan->step[i].n_op * sizeof(uint32_t));
		if (!plan->step[i].op)
			return -ENOMEM;
		plan->step[i].n_op = 0;
	}
	for (o = 0; o < p->graph->n_op; o++) {
		struct kerf_plan_step *s = &plan->step[step_of[o]];

		s->op[s->n_op++] = o;
		s->compute_s += p->op_s[(size_t)o * p->n_engine + assign[o]];
	}
	return 0;
}

/*
 * Bytes over each step's border, and when each step can start. ready[v]: time at
 * which value v is at home. last_step[v] stops a value from being counted twice.
 */
static int price(const struct kerf_problem *p, const uint32_t *step_of, struct kerf_plan *plan)
{
	const struct kerf_graph *g = p->graph;
	double *ready = calloc(g->n_value + 1, sizeof(*ready)), engine_free[KERF_MAX_ENGINES] = {0};
	uint32_t *last_step = malloc((g->n_value + 1) * sizeof(*last_step));
	bool *leaves = calloc(g->n_value + 1, sizeof(*leaves));
	uint32_t o, i, j;
	int k, r = -ENOMEM;

	if (!ready || !last_step || !leaves)
		goto out;
	memset(last_step, 0xff, (g->n_value + 1) * sizeof(*last_step));
	for (i = 0; i < g->n_out; i++)
		leaves[g->out[i]] = true;
	for (o = 0; o < g->n_op; o++)
		for (k = 0; k < g->op[o].n_in; k++) {
			int32_t v = g->op[o].in[k];

			if (v >= 0 && g->value[v].producer >= 0 &&
			    step_of[g->value[v].producer] != step_of[o])
				leaves[v] = true;
		}
	for (i = 0; i < plan->n_step; i++) {
		struct kerf_plan_step *s = &plan->step[i];
		const struct kerf_plan_engine *e = &p->engine[s->engine];
		bool away = e->node != p->home;
		double start = engine_free[s->engine];

		for (j = 0; j < s->n_op; j++) {
			const struct kerf_op *op = &g->op[s->op[j]];

			for (k = 0; k < op->n_in; k++) {
				int32_t v = op->in[k];

				if (v < 0 || kerf_value_is_const(&g->value[v]) || last_step[v] == i ||
				    (g->value[v].producer >= 0 &&
				     step_of[g->value[v].producer] == i))
					continue;
				/* Requests to another node have fixed shapes. */
				if (away && g->value[v].bounded) {
					r = -EINVAL;
					goto out;
				}
				last_step[v] = i;
				start = fmax(start, ready[v]);
				if (away)
					s->send_bytes += (double)kerf_tensor_bytes(&g->value[v].t);
			}
			for (k = 0; k < op->n_out; k++)
				if (away && op->out[k] >= 0 && leaves[op->out[k]])
					s->return_bytes +=
						(double)kerf_tensor_bytes(&g->value[op->out[k]].t);
		}
		s->send_s = kerf_problem_transfer_s(p, p->home, e->node, s->send_bytes);
		s->return_s = kerf_problem_transfer_s(p, e->node, p->home, s->return_bytes);
		s->compute_s += e->job_s;
		s->start_s = start;
		s->end_s = start + s->send_s + s->compute_s + s->return_s;
		if (!isfinite(s->end_s)) {
			r = -EINVAL;
			goto out;
		}
		engine_free[s->engine] = s->end_s;
		for (j = 0; j < s->n_op; j++)
			for (k = 0; k < g->op[s->op[j]].n_out; k++)
				if (g->op[s->op[j]].out[k] >= 0)
					ready[g->op[s->op[j]].out[k]] = s->end_s;
		plan->total_s = fmax(plan->total_s, s->end_s);
	}
	r = 0;
out:
	free(ready);
	free(last_step);
	free(leaves);
	return r;
}

int kerf_plan_from_assignment(const struct kerf_problem *p, const uint32_t *assign,
			      struct kerf_plan *plan, struct kerf_err *err)
{
	uint32_t n = p->graph->n_op + 1;
	uint32_t *level = malloc(n * sizeof(*level)), *step_of = malloc(n * sizeof(*step_of));
	int r = -ENOMEM;

	memset(plan, 0, sizeof(*plan));
	if (!level || !step_of)
		goto out;
	find_levels(p, assign, level);
	r = number_steps(p, assign, level, step_of);
	if (r < 0)
		goto out;
	plan->step = calloc((size_t)r + 1, sizeof(*plan->step));
	plan->n_step = plan->step ? (uint32_t)r : 0;
	r = plan->step ? collect_steps(p, assign, step_of, plan) : -ENOMEM;
	if (!r)
		r = price(p, step_of, plan);
out:
	if (r) {
		kerf_fail(err, r, "%s",
			  r == -EINVAL ? "an engine cannot run an operator given to it, or cannot "
					 "be sent what it reads"
				       : strerror(-r));
		kerf_plan_finish(plan);
	}
	free(level);
	free(step_of);
	return r;
}

void kerf_plan_finish(struct kerf_plan *plan)
{
	uint32_t i;

	for (i = 0; i < plan->n_step; i++)
		free(plan->step[i].op);
	free(plan->step);
	memset(plan, 0, sizeof(*plan));
}
