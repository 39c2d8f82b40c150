/* SPDX-License-Identifier: MIT */
#include "plan/cut_net.h"
#include "util/mincut.h"

#include <math.h>
#include <stdlib.h>

#define NO_VERTEX 0 /* the source: never a value's vertex */

struct kerf_cut_net {
	const struct kerf_graph *g;
	const struct kerf_outline *x;
	struct kerf_cut cut;
	uint32_t *vertex;  /* per value: its u, d is the next; NO_VERTEX while it is not in */
	uint32_t *touched; /* values that are in */
	uint32_t n_touched;
	bool *side; /* per vertex */
};

int kerf_cut_net_make(const struct kerf_graph *g, const struct kerf_outline *x,
		      struct kerf_cut_net **out)
{
	struct kerf_cut_net *net = calloc(1, sizeof(*net));

	*out = NULL;
	if (!net)
		return -ENOMEM;
	net->g = g;
	net->x = x;
	net->vertex = calloc(g->n_value + 1, sizeof(*net->vertex));
	net->touched = malloc((g->n_value + 1) * sizeof(*net->touched));
	net->side = malloc((2 + g->n_op + 2 * (size_t)g->n_value) * sizeof(*net->side));
	if (!net->vertex || !net->touched || !net->side) {
		kerf_cut_net_free(net);
		return -ENOMEM;
	}
	*out = net;
	return 0;
}

void kerf_cut_net_free(struct kerf_cut_net *net)
{
	if (!net)
		return;
	kerf_cut_finish(&net->cut);
	free(net->vertex);
	free(net->touched);
	free(net->side);
	free(net);
}

/* Seconds as picoseconds; what takes more than ten days counts as ten days. */
static int64_t cost_of(double s)
{
	return isfinite(s) ? (int64_t)(fmin(s, 864000) * 1e12) : KERF_CUT_INF;
}

struct build {
	struct kerf_cut_net *net;
	const struct kerf_cut_costs *c;
	enum kerf_cut_way way;
	uint32_t begin, end;
};

static uint32_t vertex_op(const struct build *b, uint32_t o)
{
	return 2 + o - b->begin;
}

/*
 * The one operator that reads v, for a value that needs no vertices of its own: it goes one way,
 * and its transfer may as well stand on the edge from who makes it to who reads it.
 */
static uint32_t only_reader(const struct build *b, uint32_t v)
{
	const struct kerf_outline *x = b->net->x;
	uint32_t i = x->first[v], o = i < x->first[v + 1] ? x->reader[i] : UINT32_MAX;

	if (b->way != KERF_CUT_THERE_ONLY || o < b->begin || o >= b->end ||
	    x->reader[x->first[v + 1] - 1] != o)
		return UINT32_MAX;
	return o;
}

static void touch(const struct build *b, int32_t v)
{
	struct kerf_cut_net *net = b->net;

	if (v < 0 || net->vertex[v] != NO_VERTEX || kerf_value_is_const(&net->g->value[v]))
		return;
	net->vertex[v] = net->cut.n_node;
	net->cut.n_node += 2;
	net->touched[net->n_touched++] = (uint32_t)v;
}

static int add_value(const struct build *b, uint32_t v)
{
	const struct kerf_graph *g = b->net->g;
	const struct kerf_outline *x = b->net->x;
	struct kerf_cut *cut = &b->net->cut;
	uint32_t u = b->net->vertex[v], d = u + 1, i;
	int32_t producer = g->value[v].producer;
	/* What the operators before made is as good as given. */
	bool given = producer < (int32_t)b->begin;
	uint32_t made = given ? KERF_CUT_SOURCE : vertex_op(b, (uint32_t)producer);
	int64_t up = b->way == KERF_CUT_BACK_ONLY && !given ? KERF_CUT_INF : cost_of(b->c->up[v]);
	uint32_t only = only_reader(b, v);
	int r;

	if (only != UINT32_MAX) {
		r = kerf_cut_edge(cut, made, vertex_op(b, only), up);
		return r || given ? r : kerf_cut_edge(cut, vertex_op(b, only), made, KERF_CUT_INF);
	}
	r = kerf_cut_edge(cut, made, u, up);
	if (!r && !given && b->way != KERF_CUT_THERE_ONLY)
		r = kerf_cut_edge(cut, d, made, cost_of(b->c->down[v]));
	for (i = x->first[v]; !r && i < x->first[v + 1]; i++) {
		uint32_t o = x->reader[i];

		if (o >= b->end)
			return kerf_cut_edge(cut, u, KERF_CUT_SINK, KERF_CUT_INF);
		if (o < b->begin)
			continue;
		r = kerf_cut_edge(cut, u, vertex_op(b, o), KERF_CUT_INF);
		if (!r && !given)
			r = kerf_cut_edge(cut, vertex_op(b, o),
					  b->way == KERF_CUT_THERE_ONLY ? made : d, KERF_CUT_INF);
	}
	return r;
}

/* An output that is made there comes back. */
static int add_output(const struct build *b, uint32_t v)
{
	uint32_t made = (uint32_t)b->net->g->value[v].producer;
	struct kerf_cut *cut = &b->net->cut;

	if (b->way == KERF_CUT_THERE_ONLY)
		return kerf_cut_edge(cut, KERF_CUT_SOURCE, vertex_op(b, made),
				     cost_of(b->c->down[v]));
	return kerf_cut_edge(cut, KERF_CUT_SOURCE, b->net->vertex[v] + 1, KERF_CUT_INF);
}

/*
 * What an operator costs on the side where it costs less is paid wherever it is: only the rest
 * is for the cut to decide.
 */
static int add_op(const struct build *b, uint32_t o)
{
	int64_t here = cost_of(b->c->here[o]), there = cost_of(b->c->there[o]);
	int64_t least = KERF_MIN(here, there);
	int r;

	if (least == KERF_CUT_INF)
		least = 0;
	r = kerf_cut_edge(&b->net->cut, KERF_CUT_SOURCE, vertex_op(b, o),
			  there == KERF_CUT_INF ? there : there - least);
	return r ? r
		 : kerf_cut_edge(&b->net->cut, vertex_op(b, o), KERF_CUT_SINK,
				 here == KERF_CUT_INF ? here : here - least);
}

static int build(const struct build *b)
{
	const struct kerf_graph *g = b->net->g;
	uint32_t o, i;
	int r = 0, k;

	for (o = b->begin; o < b->end && !r; o++) {
		const struct kerf_op *op = &g->op[o];

		r = add_op(b, o);
		for (k = 0; k < op->n_in; k++)
			touch(b, op->in[k]);
		for (k = 0; k < op->n_out; k++)
			touch(b, op->out[k]);
	}
	for (i = 0; i < b->net->n_touched && !r; i++) {
		uint32_t v = b->net->touched[i];

		r = add_value(b, v);
		if (!r && b->net->x->is_out[v] && g->value[v].producer >= (int32_t)b->begin)
			r = add_output(b, v);
	}
	return r;
}

int kerf_cut_net_solve(struct kerf_cut_net *net, const struct kerf_cut_costs *c,
		       enum kerf_cut_way way, uint32_t begin, uint32_t end, bool *away,
		       struct kerf_cut_work *work)
{
	struct build b = {net, c, way, begin, end};
	uint32_t o;
	int r;

	net->cut.n_node = 2 + end - begin;
	net->cut.n_edge = 0;
	r = build(&b);
	if (!r)
		r = kerf_cut_solve(&net->cut, net->side);
	for (o = begin; o < end && !r; o++)
		away[o] = !net->side[vertex_op(&b, o)];
	if (work) {
		work->solved++;
		work->vertices += net->cut.n_node;
		work->edges += net->cut.n_edge / 2;
	}
	while (net->n_touched)
		net->vertex[net->touched[--net->n_touched]] = NO_VERTEX;
	return r;
}
