/* SPDX-License-Identifier: MIT */
#include "plan/plan.h"

#include "plan/goal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- building --- */

/* Room for one more, in powers of two: n is what there is. */
static int grow(void **list, uint32_t n, size_t size)
{
	void *more;

	if (n & (n - 1) || (n && n < 8))
		return 0;
	more = realloc(*list, (n ? (size_t)n * 2 : 8) * size);
	if (!more)
		return -ENOMEM;
	*list = more;
	return 0;
}

struct kerf_plan_step *kerf_plan_add_step(struct kerf_plan *plan)
{
	struct kerf_plan_step *s;

	if (grow((void **)&plan->step, plan->n_step, sizeof(*s)))
		return NULL;
	s = &plan->step[plan->n_step++];
	memset(s, 0, sizeof(*s));
	return s;
}

struct kerf_plan_edge *kerf_plan_add_edge(struct kerf_plan *plan)
{
	struct kerf_plan_edge *e;

	if (grow((void **)&plan->edge, plan->n_edge, sizeof(*e)))
		return NULL;
	e = &plan->edge[plan->n_edge++];
	memset(e, 0, sizeof(*e));
	return e;
}

int kerf_plan_edge_order(const struct kerf_plan_edge *x, const struct kerf_plan_edge *y)
{
	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	if (x->rows.begin != y->rows.begin)
		return x->rows.begin < y->rows.begin ? -1 : 1;
	return (x->channels.begin > y->channels.begin) - (x->channels.begin < y->channels.begin);
}

static int by_place(const void *a, const void *b)
{
	return kerf_plan_edge_order(a, b);
}

void kerf_plan_sort(struct kerf_plan *plan)
{
	if (plan->n_edge)
		qsort(plan->edge, plan->n_edge, sizeof(*plan->edge), by_place);
}

void kerf_plan_finish(struct kerf_plan *plan)
{
	uint32_t i;

	for (i = 0; i < plan->n_step; i++) {
		free(plan->step[i].op);
		free(plan->step[i].share);
	}
	free(plan->step);
	free(plan->edge);
	memset(plan, 0, sizeof(*plan));
}

double kerf_plan_piece_bytes(const struct kerf_graph *g, const struct kerf_plan_edge *e)
{
	const struct kerf_tensor *t = &g->value[e->value].t;
	double bytes = (double)kerf_tensor_bytes(t);

	if (e->rows.end && t->rank > 1 && t->dims[1] > 0)
		bytes *= (double)(e->rows.end - e->rows.begin) / (double)t->dims[1];
	if (e->channels.end && t->rank > 1 && t->dims[t->rank - 1] > 0)
		bytes *= (double)(e->channels.end - e->channels.begin) /
			 (double)t->dims[t->rank - 1];
	return bytes;
}

/* --- from an assignment --- */

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

		level[o] =
			assign[o] == KERF_PLAN_HOME || p->engine[assign[o]].node == p->home ? 0 : 1;
		for (k = 0; k < op->n_in; k++) {
			int32_t from = op->in[k] < 0 ? -1 : g->value[op->in[k]].producer;

			if (from >= 0)
				level[o] = KERF_MAX(level[o],
						    level[from] + (assign[from] != assign[o]));
		}
	}
}

/* step_of[o] for every operator that runs; steps sorted by (level, engine). Their number. */
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
		if (assign[o] != KERF_PLAN_HOME)
			map[(size_t)level[o] * p->n_engine + assign[o]] = 1;
	for (i = 0; i < cells; i++)
		if (map[i])
			map[i] = n++;
	for (o = 0; o < g->n_op; o++)
		step_of[o] = assign[o] == KERF_PLAN_HOME
				     ? KERF_PLAN_HOME
				     : map[(size_t)level[o] * p->n_engine + assign[o]];
	free(map);
	return (int)n;
}

static int collect_steps(const struct kerf_problem *p, const uint32_t *assign,
			 const uint32_t *step_of, uint32_t n, struct kerf_plan *plan)
{
	uint32_t o, i;

	for (i = 0; i < n; i++)
		if (!kerf_plan_add_step(plan))
			return -ENOMEM;
	for (o = 0; o < p->graph->n_op; o++) {
		if (step_of[o] == KERF_PLAN_HOME)
			continue;
		plan->step[step_of[o]].engine = assign[o];
		plan->step[step_of[o]].n_op++;
	}
	for (i = 0; i < n; i++) {
		plan->step[i].op = malloc((plan->step[i].n_op + 1) * sizeof(uint32_t));
		if (!plan->step[i].op)
			return -ENOMEM;
		plan->step[i].n_op = 0;
	}
	for (o = 0; o < p->graph->n_op; o++)
		if (step_of[o] != KERF_PLAN_HOME)
			plan->step[step_of[o]].op[plan->step[step_of[o]].n_op++] = o;
	return 0;
}

/* Only float32 of known size travels by a codec. */
static int add_edge(const struct kerf_graph *g, struct kerf_plan *plan, uint32_t v, uint32_t from,
		    uint32_t to, const uint8_t *codec)
{
	bool plain = g->value[v].bounded || g->value[v].t.dtype != KERF_F32;
	struct kerf_plan_edge *e = kerf_plan_add_edge(plan);

	if (!e)
		return -ENOMEM;
	e->value = (int32_t)v;
	e->from = from;
	e->to = to;
	e->codec = codec && !plain ? (enum kerf_codec)codec[v] : KERF_CODEC_NONE;
	return 0;
}

/* Each value once to each other step that reads it, and to home if it is an output. */
static int join_steps(const struct kerf_problem *p, const uint32_t *step_of, const uint8_t *codec,
		      struct kerf_plan *plan)
{
	const struct kerf_graph *g = p->graph;
	const struct kerf_outline *x = p->outline;
	uint32_t *seen = calloc(plan->n_step + 1, sizeof(*seen)), v, i;
	int r = seen ? 0 : -ENOMEM;

	for (v = 0; v < g->n_value && !r; v++) {
		int32_t maker = g->value[v].producer;
		uint32_t from = maker < 0 ? KERF_PLAN_HOME : step_of[maker];

		if (kerf_value_is_const(&g->value[v]) || (maker >= 0 && from == KERF_PLAN_HOME))
			continue;
		for (i = x->first[v]; i < x->first[v + 1] && !r; i++) {
			uint32_t to = step_of[x->reader[i]];

			if (to == from || to == KERF_PLAN_HOME || seen[to] == v + 1)
				continue;
			seen[to] = v + 1;
			r = add_edge(g, plan, v, from, to, codec);
		}
		if (!r && x->is_out[v] && maker >= 0)
			r = add_edge(g, plan, v, from, KERF_PLAN_HOME, codec);
	}
	free(seen);
	if (!r)
		kerf_plan_sort(plan);
	return r;
}

/* What kerf_plan_price() found that cannot be. */
static int say_why(const struct kerf_problem *p, const struct kerf_plan *plan, struct kerf_err *err)
{
	uint32_t i, k;

	for (i = 0; i < plan->n_step; i++) {
		const struct kerf_plan_step *s = &plan->step[i];

		for (k = 0; k < s->n_op; k++)
			if (!isfinite(p->op_s[(size_t)s->op[k] * p->n_engine + s->engine]))
				return kerf_fail(err, -EINVAL, "%s cannot run operator %u ('%s')",
						 p->engine[s->engine].name, s->op[k],
						 p->graph->op[s->op[k]].name);
	}
	for (i = 0; i < plan->n_edge; i++) {
		const struct kerf_plan_edge *e = &plan->edge[i];
		uint32_t from = e->from == KERF_PLAN_HOME
					? p->home
					: p->engine[plan->step[e->from].engine].node;
		uint32_t to = e->to == KERF_PLAN_HOME ? p->home
						      : p->engine[plan->step[e->to].engine].node;

		if (from != to && to != p->home && p->graph->value[e->value].bounded)
			return kerf_fail(
				err, -EINVAL,
				"'%s' cannot be sent to %s: its dims are known only at run time",
				p->graph->value[e->value].name, kerf_problem_node_name(p, to));
		if (from != to && !isfinite(kerf_problem_transfer_s(p, from, to, 1)) &&
		    (from == p->home || to == p->home ||
		     !isfinite(kerf_problem_transfer_s(p, from, p->home, 1) +
			       kerf_problem_transfer_s(p, p->home, to, 1))))
			return kerf_fail(err, -EINVAL, "'%s' cannot be sent: no path from %s to %s",
					 p->graph->value[e->value].name,
					 kerf_problem_node_name(p, from),
					 kerf_problem_node_name(p, to));
	}
	return kerf_fail(err, -EINVAL, "a plan whose time is not a number");
}

int kerf_plan_from_assignment(const struct kerf_problem *p, const uint32_t *assign,
			      const uint8_t *codec, struct kerf_plan *plan, struct kerf_err *err)
{
	uint32_t n = p->graph->n_op + 1;
	uint32_t *level = malloc(n * sizeof(*level)), *step_of = malloc(n * sizeof(*step_of));
	int r = -ENOMEM;

	memset(plan, 0, sizeof(*plan));
	plan->exit = -1;
	if (!level || !step_of)
		goto out;
	find_levels(p, assign, level);
	r = number_steps(p, assign, level, step_of);
	if (r >= 0)
		r = collect_steps(p, assign, step_of, (uint32_t)r, plan);
	if (!r)
		r = join_steps(p, step_of, codec, plan);
	if (!r)
		r = kerf_plan_price(p, plan);
out:
	if (r) {
		if (r == -EINVAL)
			say_why(p, plan, err);
		else
			kerf_fail(err, r, "%s", strerror(-r));
		kerf_plan_finish(plan);
	}
	free(level);
	free(step_of);
	return r;
}
