/* SPDX-License-Identifier: MIT */
#include "plan/two_tier.h"

#include "plan/policy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int kerf_two_tier_make(struct kerf_two_tier *t, const struct kerf_problem *p)
{
	size_t n_op = p->graph->n_op, n_value = p->graph->n_value;
	double *at;

	*t = (struct kerf_two_tier){.p = p};
	t->room = malloc((2 * (n_op + n_value) + 1) * sizeof(*t->room));
	t->away = calloc(n_op + 1, sizeof(*t->away));
	t->seen = calloc(n_value + 1, sizeof(*t->seen));
	if (!t->room || !t->away || !t->seen || kerf_cut_net_make(p->graph, p->outline, &t->net)) {
		kerf_two_tier_finish(t);
		return -ENOMEM;
	}
	at = t->room;
	t->costs.here = at;
	t->costs.there = at + n_op;
	t->costs.up = at + 2 * n_op;
	t->costs.down = at + 2 * n_op + n_value;
	return 0;
}

void kerf_two_tier_finish(struct kerf_two_tier *t)
{
	kerf_cut_net_free(t->net);
	free(t->room);
	free(t->away);
	free(t->seen);
	*t = (struct kerf_two_tier){0};
}

/* What a second of a request costs, and what a joule. */
static void units(const struct kerf_goal *g, enum kerf_objective objective, double *second,
		  double *joule)
{
	*second = 1;
	*joule = 0;
	if (objective == KERF_FOR_ENERGY) {
		*second = 0;
		*joule = 1;
	} else if (objective == KERF_FOR_WEIGHTED) {
		*second = g->latency_weight;
		*joule = g->energy_weight;
	}
}

bool kerf_two_tier_hurried(const struct kerf_problem *p)
{
	return p->goal.deadline_s > 0 &&
	       (p->goal.objective == KERF_FOR_ENERGY || p->goal.objective == KERF_FOR_WEIGHTED);
}

void kerf_two_tier_weigh(struct kerf_two_tier *t, uint32_t here, uint32_t there,
			 enum kerf_objective objective, const double weight[KERF_N_STAGES])
{
	static const double ones[KERF_N_STAGES] = {1, 1, 1, 1};
	const struct kerf_problem *p = t->p;
	uint32_t home = p->home, away = p->engine[there].node, n_op = p->graph->n_op, i;
	const struct kerf_link_model *up = &p->link[home * p->n_node + away];
	const struct kerf_link_model *down = &p->link[away * p->n_node + home];
	double second, joule, up_byte = 0, down_byte = 0;
	double *room = t->room;

	if (!weight)
		weight = ones;
	t->here = here;
	t->there = there;
	units(&p->goal, objective, &second, &joule);
	/* Both nodes wait while the request is under way. */
	if (p->node)
		second +=
			joule * (p->node[home].idle_w + (home != away ? p->node[away].idle_w : 0));
	if (home != away) {
		up_byte = up->rate_bytes_s > 0 ? second / up->rate_bytes_s : INFINITY;
		down_byte = down->rate_bytes_s > 0 ? second / down->rate_bytes_s : INFINITY;
		if (p->node) {
			up_byte +=
				joule * (p->node[home].send_j_byte + p->node[away].receive_j_byte);
			down_byte +=
				joule * (p->node[away].send_j_byte + p->node[home].receive_j_byte);
		}
	}
	for (i = 0; i < n_op; i++) {
		const double *op_s = &p->op_s[(size_t)i * p->n_engine];
		bool stays = i < p->goal.keep && home != away;

		room[i] = isfinite(op_s[here]) ? weight[KERF_STAGE_HERE] * op_s[here] *
							 (second + joule * p->engine[here].active_w)
					       : INFINITY;
		room[n_op + i] = isfinite(op_s[there]) && !stays
					 ? weight[KERF_STAGE_THERE] * op_s[there] *
						   (second + joule * p->engine[there].active_w)
					 : INFINITY;
	}
	room += 2 * n_op;
	for (i = 0; i < p->graph->n_value; i++) {
		const struct kerf_value *v = &p->graph->value[i];
		double bytes = p->outline->value_bytes[i];

		room[i] = home != away && (v->bounded || !isfinite(up_byte))
				  ? INFINITY
				  : weight[KERF_STAGE_UP] * bytes * up_byte;
		room[p->graph->n_value + i] = isfinite(down_byte)
						      ? weight[KERF_STAGE_DOWN] * bytes * down_byte
						      : INFINITY;
	}
}

/* v, which is here, is read there; a value counts once. */
static void cross(struct kerf_two_tier *t, uint32_t v, uint32_t mark, double *up)
{
	if (t->seen[v] == mark)
		return;
	t->seen[v] = mark;
	*up += t->costs.up[v];
}

void kerf_two_tier_stages(struct kerf_two_tier *t, uint32_t begin, uint32_t end,
			  double sum[KERF_N_STAGES])
{
	const struct kerf_graph *g = t->p->graph;
	const struct kerf_outline *x = t->p->outline;
	uint32_t o, mark = begin + 1, v, s;
	int k;

	for (s = 0; s < KERF_N_STAGES; s++)
		sum[s] = 0;
	for (o = begin; o < end; o++) {
		const struct kerf_op *op = &g->op[o];

		sum[t->away[o] ? KERF_STAGE_THERE : KERF_STAGE_HERE] +=
			t->away[o] ? t->costs.there[o] : t->costs.here[o];
		for (k = 0; k < op->n_in; k++) {
			int32_t made = op->in[k] < 0 ? -1 : g->value[op->in[k]].producer;

			if (op->in[k] < 0 || kerf_value_is_const(&g->value[op->in[k]]))
				continue;
			v = (uint32_t)op->in[k];
			if (made >= (int32_t)begin && t->away[made])
				continue;
			if (t->away[o] || x->reader[x->first[v + 1] - 1] >= end)
				cross(t, v, mark, &sum[KERF_STAGE_UP]);
		}
		for (k = 0; k < op->n_out; k++) {
			if (op->out[k] < 0)
				continue;
			v = (uint32_t)op->out[k];
			if (t->away[o] && x->is_out[v])
				sum[KERF_STAGE_DOWN] += t->costs.down[v];
			else if (!t->away[o] && x->first[v] < x->first[v + 1] &&
				 x->reader[x->first[v + 1] - 1] >= end)
				cross(t, v, mark, &sum[KERF_STAGE_UP]);
		}
	}
	/* Marks of one call must not be those of another. */
	for (o = begin; o < end; o++) {
		for (k = 0; k < g->op[o].n_in; k++)
			if (g->op[o].in[k] >= 0)
				t->seen[g->op[o].in[k]] = 0;
		for (k = 0; k < g->op[o].n_out; k++)
			if (g->op[o].out[k] >= 0)
				t->seen[g->op[o].out[k]] = 0;
	}
}

void kerf_two_tier_offer(struct kerf_two_tier *t, struct kerf_choice *choice, const char *reason)
{
	uint32_t n_op = t->p->graph->n_op, o, away = 0;
	uint32_t *assign = malloc(((size_t)n_op + 1) * sizeof(*assign));
	struct kerf_plan plan;
	int r = assign ? 0 : -ENOMEM;

	for (o = 0; !r && o < n_op; o++) {
		assign[o] = t->away[o] ? t->there : t->here;
		away += t->away[o];
	}
	if (!r)
		r = kerf_plan_from_assignment(t->p, assign, NULL, &plan, NULL);
	if (!r)
		snprintf(plan.reason, sizeof(plan.reason),
			 "%u of %u operators on %s, the rest on %s: %.2f ms, %.0f KB on the link; "
			 "%s",
			 away, n_op, t->p->engine[t->there].name, t->p->engine[t->here].name,
			 plan.total_s * 1e3, plan.wire_bytes / 1e3, reason);
	kerf_choice_offer(t->p, choice, &plan, r);
	free(assign);
}

int kerf_two_tier_plan(const struct kerf_problem *p, const char *policy, kerf_two_tier_pair_fn pair,
		       struct kerf_plan *plan, struct kerf_err *err)
{
	struct kerf_choice choice = {0};
	struct kerf_two_tier t;
	uint32_t here, there;
	int r = kerf_problem_home_engine(p, err);

	if (r >= 0)
		r = kerf_two_tier_make(&t, p);
	if (r)
		return r;
	for (here = 0; here < p->n_engine && !r; here++) {
		if (p->engine[here].node != p->home)
			continue;
		kerf_choice_whole(p, here, &choice);
		for (there = 0; there < p->n_engine && !r; there++) {
			if (there == here)
				continue;
			kerf_choice_whole(p, there, &choice);
			r = pair(&t, here, there, &choice);
		}
	}
	kerf_two_tier_finish(&t);
	if (r) {
		kerf_choice_drop(&choice);
		return r;
	}
	r = kerf_choice_end(p, &choice, plan, err);
	if (!r)
		plan->policy = policy;
	return r;
}
