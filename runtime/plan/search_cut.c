/* SPDX-License-Identifier: MIT */
/*
 * Candidates by minimum cut (cut_net.h) between home's first engine, "here", and another, of its
 * node or of another one ("there", also if it is not far).
 *
 * Costs that come once a crossing, not once a value (a link's latency, a job's overhead), do not
 * fit the sum. So three cuts are solved, and priced as they would run:
 *   - values may only go there (one crossing out, the outputs back): fixed costs are the same
 *     for every such cut, so the result is the best of all of its kind;
 *   - values may only come back (one crossing): the same;
 *   - both ways, each value paying the latency: finds stays away in the middle of the graph. Not
 *     exact: a value made away, read here and read away again by a later step travels
 *     twice, which the sum does not know but the price does.
 */
#include "plan/cut_net.h"
#include "plan/search_priv.h"

#include <math.h>
#include <stdlib.h>

struct cut {
	struct kerf_search_run *r;
	uint32_t here, there; /* engines */
	enum kerf_cut_way way;
	struct kerf_cut_net *net;
	double *here_c, *there_c, *up_c, *down_c;
	bool *away;
};

static double op_cost(const struct cut *c, uint32_t o, uint32_t e)
{
	const struct kerf_search *x = c->r->x;

	if (!kerf_search_may(x, o, e))
		return INFINITY;
	return x->runs[o] ? x->p->op_s[(size_t)o * x->n_engine + e] * kerf_search_rate(c->r, e) : 0;
}

static double move_cost(const struct cut *c, bool back, uint32_t v)
{
	const struct kerf_search *x = c->r->x;
	const struct kerf_problem *p = x->p;
	uint32_t home = p->home, away = p->engine[c->there].node;
	uint32_t from = back ? away : home, to = back ? home : away;
	double bytes = p->outline->value_bytes[v], s, j;

	/* Within a node nothing is sent; what is paid for going to and fro is the job. */
	if (home == away)
		return c->way == KERF_CUT_BOTH_WAYS
			       ? p->engine[c->there].job_s * kerf_search_rate(c->r, c->there)
			       : 0;
	if (p->link[from * p->n_node + to].rate_bytes_s <= 0 ||
	    (!back && p->graph->value[v].bounded))
		return INFINITY;
	s = c->way == KERF_CUT_BOTH_WAYS
		    ? kerf_search_move_s(x, c->r->codecs, from, to, bytes)
		    : bytes / p->link[from * p->n_node + to].rate_bytes_s;
	j = p->node ? bytes * (p->node[from].send_j_byte + p->node[to].receive_j_byte) : 0;
	return s * (c->r->weights.time + c->r->weights.link) + j * c->r->weights.energy;
}

static int solve(struct cut *c)
{
	struct kerf_search *x = c->r->x;
	struct kerf_cut_costs costs = {c->here_c, c->there_c, c->up_c, c->down_c};
	uint32_t i;
	int r;

	for (i = 0; i < x->n_op; i++) {
		c->here_c[i] = op_cost(c, i, c->here);
		c->there_c[i] = op_cost(c, i, c->there);
	}
	for (i = 0; i < x->p->graph->n_value; i++) {
		c->up_c[i] = move_cost(c, false, i);
		c->down_c[i] = move_cost(c, true, i);
	}
	r = kerf_cut_net_solve(c->net, &costs, c->way, 0, x->n_op, c->away, NULL);
	if (r)
		return r == -E2BIG ? 0 : r;
	for (i = 0; i < x->n_op; i++)
		x->trial[i] = !x->runs[i] ? KERF_PLAN_HOME : c->away[i] ? c->there : c->here;
	for (i = 0; i < x->n_op; i++)
		if (x->runs[i] && !kerf_search_may(x, i, x->trial[i]))
			return 0;
	kerf_search_try(c->r, x->trial);
	return 0;
}

int kerf_search_cuts(struct kerf_search_run *run)
{
	struct kerf_search *x = run->x;
	const struct kerf_graph *g = x->p->graph;
	struct cut c = {.r = run};
	int r = -ENOMEM;
	uint32_t e;

	for (e = 0; e < x->n_engine && !(x->home_engines >> e & 1); e++)
		;
	if (e == x->n_engine)
		return 0;
	c.here = e;
	c.here_c = malloc(2 * ((size_t)g->n_op + g->n_value + 1) * sizeof(*c.here_c));
	c.away = malloc((g->n_op + 1) * sizeof(*c.away));
	if (c.here_c && c.away)
		r = kerf_cut_net_make(g, x->p->outline, &c.net);
	if (!r) {
		c.there_c = c.here_c + g->n_op;
		c.up_c = c.there_c + g->n_op;
		c.down_c = c.up_c + g->n_value;
	}
	for (e = 0; e < x->n_engine && !r; e++)
		for (c.there = e, c.way = KERF_CUT_THERE_ONLY;
		     e != c.here && c.way <= KERF_CUT_BOTH_WAYS && !r; c.way++)
			r = solve(&c);
	kerf_cut_net_free(c.net);
	free(c.here_c);
	free(c.away);
	return r;
}
