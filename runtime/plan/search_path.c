/* SPDX-License-Identifier: MIT */
#include "plan/search_priv.h"

#include <math.h>

#define FREE UINT8_MAX /* as a way back: the request itself */

struct path {
	struct kerf_search *x;
	const struct kerf_problem *p;
	const struct kerf_search_weights *w;
	uint32_t n_near;		/* nodes that have engines, home first */
	uint32_t near[KERF_MAX_ENGINES + 1];
	uint32_t at[KERF_MAX_ENGINES];	/* per engine: its node's place in near */
	double rate[KERF_MAX_ENGINES];	/* per engine: cost of a second of work */
};

static void find_near(struct path *s)
{
	uint32_t e, i;

	s->near[s->n_near++] = s->p->home;
	for (e = 0; e < s->p->n_engine; e++) {
		const struct kerf_plan_engine *engine = &s->p->engine[e];

		for (i = 0; i < s->n_near && s->near[i] != engine->node; i++)
			;
		if (i == s->n_near)
			s->near[s->n_near++] = engine->node;
		s->at[e] = i;
		s->rate[e] = s->w->time + s->w->engine[e] + s->w->energy * engine->active_w;
	}
}

/* Of bytes, over one link, by the cheapest codec allowed. */
static double hop_cost(const struct path *s, uint32_t from, uint32_t to, double bytes)
{
	const struct kerf_plan_node *node = s->p->node;
	double per_s = s->w->time + s->w->link, best = INFINITY;
	uint32_t c;

	for (c = 0; c < KERF_N_CODECS; c++) {
		double wire = c == KERF_CODEC_F16    ? bytes / 2
			      : c == KERF_CODEC_INT8 ? bytes / 4
						     : bytes;
		double sum;

		if (c && (!node || !(s->w->codecs >> c & 1)))
			continue;
		sum = kerf_problem_transfer_s(s->p, from, to, wire) * per_s;
		if (node)
			sum += wire * s->w->energy *
			       (node[from].send_j_byte + node[to].receive_j_byte);
		if (c)
			sum += bytes * s->w->time *
			       (node[from].codec_byte_s[c] + node[to].codec_byte_s[c]);
		best = fmin(best, sum);
	}
	return best;
}

static double move_cost(const struct path *s, uint32_t from, uint32_t to, double bytes)
{
	uint32_t home = s->p->home;

	if (from == to || bytes <= 0)
		return 0;
	if (from != home && to != home &&
	    s->p->link[(size_t)from * s->p->n_node + to].rate_bytes_s <= 0)
		return hop_cost(s, from, home, bytes) + hop_cost(s, home, to, bytes);
	return hop_cost(s, from, to, bytes);
}

static double op_cost(const struct path *s, uint32_t o, uint32_t e, bool last)
{
	const struct kerf_problem *p = s->p;
	uint32_t node = p->engine[e].node;
	double c = p->op_s[(size_t)o * p->n_engine + e] * s->rate[e], out = s->x->out_bytes[o];

	if (s->w->memory > 0 && p->node && p->node[node].memory_bytes > 0)
		c += s->w->memory * p->outline->weight_bytes[o];
	/* Outputs that are ready early come back while others are made. */
	if (out > 0 && node != p->home)
		c += last ? move_cost(s, node, p->home, out)
			  : out * (s->w->link / p->link[(size_t)node * p->n_node + p->home]
							.rate_bytes_s +
				   s->w->energy * (p->node ? p->node[node].send_j_byte : 0));
	return c;
}

/*
 * After operator o: cost[e], the least if o ran on e. What it costs to have all that lives before
 * o on node b, coming from an engine of another node, is the least over nodes a of the best
 * engine there and a transfer from a to b; then a job starts. To go on where one is costs nothing.
 */
static void extend(struct path *s, uint32_t o, bool first, bool last, uint32_t only,
		   double cost[KERF_MAX_ENGINES])
{
	const struct kerf_problem *p = s->p;
	double bytes = p->outline->live_bytes[o], best[KERF_MAX_ENGINES + 1],
	       there[KERF_MAX_ENGINES + 1], next[KERF_MAX_ENGINES];
	uint8_t *back = s->x->back + (size_t)o * p->n_engine, from[KERF_MAX_ENGINES + 1],
		by[KERF_MAX_ENGINES + 1];
	uint32_t a, b, e;

	for (a = 0; a < s->n_near; a++) {
		best[a] = first && !a ? 0 : INFINITY;
		by[a] = FREE;
	}
	for (e = 0; e < p->n_engine && !first; e++)
		if (cost[e] < best[s->at[e]]) {
			best[s->at[e]] = cost[e];
			by[s->at[e]] = (uint8_t)e;
		}
	for (b = 0; b < s->n_near; b++) {
		there[b] = best[b];
		from[b] = by[b];
		for (a = 0; a < s->n_near; a++) {
			double c = best[a];

			if (a == b || !(c < there[b]))
				continue;
			c += move_cost(s, s->near[a], s->near[b], bytes);
			if (c < there[b]) {
				there[b] = c;
				from[b] = by[a];
			}
		}
	}
	for (e = 0; e < p->n_engine; e++) {
		double move = there[s->at[e]] + p->engine[e].job_s * s->rate[e];

		next[e] = INFINITY;
		if (!(only >> e & 1) || !kerf_search_may(s->x, o, e))
			continue;
		back[e] = from[s->at[e]];
		if (!first && cost[e] <= move) {
			move = cost[e];
			back[e] = (uint8_t)e;
		}
		next[e] = move + op_cost(s, o, e, last);
	}
	for (e = 0; e < p->n_engine; e++)
		cost[e] = next[e];
}

bool kerf_search_path(struct kerf_search *x, const struct kerf_search_weights *w, uint32_t only,
		      uint32_t *assign)
{
	struct path s = {.x = x, .p = x->p, .w = w};
	double cost[KERF_MAX_ENGINES] = {0};
	uint32_t o, first = x->n_op, last = 0, e, best = 0;

	find_near(&s);
	for (o = 0; o < x->n_op; o++)
		if (x->runs[o]) {
			first = KERF_MIN(first, o);
			last = o;
		}
	for (o = first; o <= last && first < x->n_op; o++)
		if (x->runs[o])
			extend(&s, o, o == first, o == last, only, cost);
	x->work += 2 * (uint64_t)x->n_op * s.n_near;
	for (e = 1; e < x->n_engine; e++)
		if (cost[e] < cost[best])
			best = e;
	if (!(cost[best] < INFINITY))
		return false;
	for (o = x->n_op, e = best; o-- > 0;) {
		assign[o] = x->runs[o] ? e : KERF_PLAN_HOME;
		if (x->runs[o] && o > first)
			e = x->back[(size_t)o * x->n_engine + e];
	}
	return true;
}
