/* SPDX-License-Identifier: MIT */
#include "plan/search_priv.h"

#include <math.h>
#include <string.h>

#define ROUNDS 12	     /* of weights for a period */
#define PRICES_AN_ENGINE 50  /* of local search */
#define PRICES_AGAIN 40	     /* of all of it, from a hint */
#define WORK_ANYWAY 10000 /* operators priced */
#define CUT_CELLS 300	     /* operators * engines for which minimum cuts are tried */
#define LIST_CELLS 2048	     /* and list scheduling again, from a hint */
#define EXACT_OPS 14
#define EXACT_NODES 200000
#define LIMIT_MISSED 1e100

double kerf_search_score(const struct kerf_search_price *price)
{
	if (!(price->cost < INFINITY))
		return INFINITY;
	return price->over > 0 ? LIMIT_MISSED * (1 + price->over) : price->cost;
}

static double hop_s(const struct kerf_problem *p, uint32_t codecs, uint32_t from, uint32_t to,
		    double bytes, enum kerf_codec *codec)
{
	double best = kerf_problem_transfer_s(p, from, to, bytes);
	uint32_t c;

	*codec = KERF_CODEC_NONE;
	for (c = KERF_CODEC_NONE + 1; c < KERF_N_CODECS && p->node; c++) {
		double s;

		if (!(codecs >> c & 1))
			continue;
		s = kerf_problem_transfer_s(p, from, to, bytes / (c == KERF_CODEC_F16 ? 2 : 4)) +
		    bytes * (p->node[from].codec_byte_s[c] + p->node[to].codec_byte_s[c]);
		if (s < best) {
			best = s;
			*codec = (enum kerf_codec)c;
		}
	}
	return best;
}

double kerf_search_move_s(const struct kerf_search *x, uint32_t codecs, uint32_t from, uint32_t to,
			  double bytes)
{
	const struct kerf_problem *p = x->p;
	enum kerf_codec codec;

	if (from == to)
		return 0;
	if (from != p->home && to != p->home &&
	    p->link[(size_t)from * x->n_node + to].rate_bytes_s <= 0)
		return hop_s(p, codecs, from, p->home, bytes, &codec) +
		       hop_s(p, codecs, p->home, to, bytes, &codec);
	return hop_s(p, codecs, from, to, bytes, &codec);
}

/* --- one at a time --- */

/* For each value that is sent, the codec that is quickest on its first way. */
static void choose_codecs(struct kerf_search_run *r, const uint32_t *assign, uint8_t *codec)
{
	struct kerf_search *x = r->x;
	const struct kerf_problem *p = x->p;
	uint32_t v, i;

	for (v = 0; v < x->n_value; v++) {
		uint32_t m = x->maker[v], at = p->home, to = p->home;
		enum kerf_codec c = KERF_CODEC_NONE;

		codec[x->id[v]] = KERF_CODEC_NONE;
		if (p->graph->value[x->id[v]].t.dtype != KERF_F32)
			continue;
		if (m != KERF_SEARCH_GIVEN && assign[m] == KERF_PLAN_HOME)
			continue;
		if (m != KERF_SEARCH_GIVEN)
			at = p->engine[assign[m]].node;
		for (i = x->read_first[v]; i < x->read_first[v + 1] && to == at; i++)
			if (assign[x->reader[i]] != KERF_PLAN_HOME)
				to = p->engine[assign[x->reader[i]]].node;
		if (to == at && x->is_out[v])
			to = p->home;
		if (to == at)
			continue;
		hop_s(p, r->codecs, at, to, x->bytes[v], &c);
		codec[x->id[v]] = (uint8_t)c;
	}
}

bool kerf_search_try(struct kerf_search_run *r, const uint32_t *assign)
{
	struct kerf_search *x = r->x;
	const uint8_t *codec = NULL;
	struct kerf_search_price price;

	if (r->codecs >> 1) {
		choose_codecs(r, assign, x->trial_codec);
		codec = x->trial_codec;
	}
	kerf_search_price(x, assign, codec, r->exit, x->n_op, &price);
	if (kerf_search_score(&price) >= kerf_search_score(&x->best_price))
		return false;
	x->best_price = price;
	memcpy(x->best, assign, x->n_op * sizeof(*assign));
	if (codec)
		memcpy(x->best_codec, codec, x->p->graph->n_value);
	return true;
}

/* --- candidates --- */

static void try_path(struct kerf_search_run *r, const struct kerf_search_weights *w, uint32_t only)
{
	if (kerf_search_path(r->x, w, only, r->x->trial))
		kerf_search_try(r, r->x->trial);
}

static void try_whole(struct kerf_search_run *r, uint32_t e)
{
	struct kerf_search *x = r->x;
	uint32_t o;

	for (o = 0; o < x->n_op; o++) {
		if (x->runs[o] && !kerf_search_may(x, o, e))
			return;
		x->trial[o] = x->runs[o] ? e : KERF_PLAN_HOME;
	}
	kerf_search_try(r, x->trial);
}

/*
 * The least of the largest load: a sum whose weights grow where the load is (multiplicative
 * weights: Arora, Hazan, Kale, 2012). Each round's best by the sum is a candidate.
 */
static void try_loads(struct kerf_search_run *r)
{
	struct kerf_search *x = r->x;
	struct kerf_search_weights w = r->weights;
	uint32_t round, e, i;

	w.time = 0;
	w.link = 1;
	for (e = 0; e < x->n_engine; e++)
		w.engine[e] = 1;
	for (round = 0; round < ROUNDS; round++) {
		double most = 0, link = 0;

		if (!kerf_search_path(x, &w, UINT32_MAX, x->trial))
			return;
		kerf_search_try(r, x->trial);
		for (e = 0; e < x->n_engine; e++)
			most = fmax(most, x->engine_busy[e]);
		for (i = 0; i < x->n_node * x->n_node; i++)
			link = fmax(link, x->link_busy[i]);
		most = fmax(most, link);
		if (!(most > 0))
			return;
		for (e = 0; e < x->n_engine; e++)
			w.engine[e] *= 1 + x->engine_busy[e] / most;
		w.link *= 1 + link / most;
	}
}

static void set_weights(struct kerf_search_run *r)
{
	const struct kerf_problem *p = r->x->p;
	const struct kerf_goal *g = &p->goal;
	struct kerf_search_weights *w = &r->weights;
	double idle = p->node ? p->node[p->home].idle_w : 0;

	memset(w, 0, sizeof(*w));
	w->codecs = r->codecs;
	switch (g->objective) {
	case KERF_FOR_ENERGY:
		w->energy = 1;
		w->time = idle;
		break;
	case KERF_FOR_WEIGHTED:
		w->energy = g->energy_weight;
		w->time = g->latency_weight + g->energy_weight * idle + g->period_weight;
		break;
	case KERF_FOR_MEMORY: w->memory = 1; break;
	default: w->time = 1;
	}
}

static bool limits_memory(const struct kerf_problem *p)
{
	uint32_t i;

	for (i = 0; p->node && i < p->n_node; i++)
		if (p->node[i].memory_bytes > 0)
			return true;
	return false;
}

static int try_candidates(struct kerf_search_run *r, bool again)
{
	struct kerf_search *x = r->x;
	const struct kerf_problem *p = x->p;
	struct kerf_search_weights w = r->weights;
	uint64_t cells = (uint64_t)x->n_op * x->n_engine;
	uint32_t e, o, i, home = 0;

	for (e = 0; e < x->n_engine; e++) {
		home |= (uint32_t)(p->engine[e].node == p->home) << e;
		try_whole(r, e);
	}
	try_path(r, &w, UINT32_MAX);
	for (e = 0; e < x->n_engine && x->n_engine > 2 && !again; e++)
		try_path(r, &w, home | 1u << e);
	if (!again || cells <= LIST_CELLS) {
		kerf_search_tails(x, r->codecs);
		if (kerf_search_list(x, r->codecs, x->trial))
			kerf_search_try(r, x->trial);
	}
	if (!again && cells <= CUT_CELLS && kerf_search_cuts(r))
		return -ENOMEM;
	if (p->goal.objective == KERF_FOR_PERIOD || p->goal.period_weight > 0)
		try_loads(r);
	if (p->goal.deadline_s > 0 || !(w.time > 0)) {
		double scale = fmax(w.energy, w.time);

		for (i = 0; i < 8; i++) {
			w.time += scale * ldexp(1, (int)i * 2 - 6);
			try_path(r, &w, UINT32_MAX);
		}
	}
	if (limits_memory(p)) {
		double bytes = 0;

		for (o = 0; o < x->n_op; o++)
			bytes += p->outline->weight_bytes[o];
		w = r->weights;
		for (i = 0; i < 8 && bytes > 0 && x->best_price.total_s > 0; i++) {
			w.memory = x->best_price.total_s / bytes * ldexp(1, (int)i * 2 - 8);
			try_path(r, &w, UINT32_MAX);
		}
	}
	return 0;
}

/* --- local search --- */

static bool spent(const struct kerf_search_run *r)
{
	return r->x->work >= r->limit;
}

/* Engines of what operator o reads from and gives to, as bits. */
static uint32_t engines_around(const struct kerf_search *x, uint32_t o)
{
	uint32_t bits = 0, i, k;

	for (i = x->in_first[o]; i < x->in_first[o + 1]; i++) {
		uint32_t m = x->maker[x->in[i]];

		bits |= m == KERF_SEARCH_GIVEN ? x->home_engines : 1u << x->best[m];
	}
	for (i = x->made_first[o]; i < x->made_first[o + 1]; i++) {
		uint32_t v = x->made[i];

		if (x->is_out[v])
			bits |= x->home_engines;
		for (k = x->read_first[v]; k < x->read_first[v + 1]; k++)
			if (x->runs[x->reader[k]])
				bits |= 1u << x->best[x->reader[k]];
	}
	return bits & ~(1u << x->best[o]);
}

/*
 * Operators of one step to another engine: one that steps beside it are on, which joins them, or
 * one that is faster. x->at has steps as they were when the round began.
 */
static bool move_step(struct kerf_search_run *r, uint32_t first, uint32_t bucket)
{
	struct kerf_search *x = r->x;
	double s[KERF_MAX_ENGINES] = {0};
	uint32_t bits = 0, now = x->best[first], o, e;
	bool better = false;

	for (o = first; o < x->n_op; o++) {
		if (x->at[o] != bucket)
			continue;
		bits |= engines_around(x, o);
		for (e = 0; e < x->n_engine; e++)
			s[e] += kerf_search_may(x, o, e) ? x->p->op_s[(size_t)o * x->n_engine + e]
							 : INFINITY;
	}
	for (e = 0; e < x->n_engine && !spent(r); e++) {
		if (e == now || !(s[e] < INFINITY) || (!(bits >> e & 1) && s[e] >= s[now]))
			continue;
		memcpy(x->trial, x->best, x->n_op * sizeof(*x->trial));
		for (o = first; o < x->n_op; o++)
			if (x->at[o] == bucket)
				x->trial[o] = e;
		better |= kerf_search_try(r, x->trial);
	}
	return better;
}

static bool move_steps(struct kerf_search_run *r)
{
	struct kerf_search *x = r->x;
	struct kerf_search_price price;
	bool better = false;
	uint32_t o;

	kerf_search_price(x, x->best, NULL, r->exit, x->n_op, &price);
	memcpy(x->at, x->bucket, x->n_op * sizeof(*x->at));
	x->stamp++;
	for (o = 0; o < x->n_op && !spent(r); o++) {
		if (!x->runs[o] || x->met[x->at[o]] == x->stamp)
			continue;
		x->met[x->at[o]] = x->stamp;
		better |= move_step(r, o, x->at[o]);
	}
	return better;
}

/* Single operators to an engine next to them. */
static bool move_ops(struct kerf_search_run *r)
{
	struct kerf_search *x = r->x;
	bool better = false;
	uint32_t o, e;

	for (o = 0; o < x->n_op && !spent(r); o++) {
		uint32_t bits = x->runs[o] ? engines_around(x, o) : 0;

		for (e = 0; bits >> e && !spent(r); e++) {
			if (!(bits >> e & 1) || !kerf_search_may(x, o, e))
				continue;
			memcpy(x->trial, x->best, x->n_op * sizeof(*x->trial));
			x->trial[o] = e;
			if (kerf_search_try(r, x->trial)) {
				better = true;
				break;
			}
		}
	}
	return better;
}

/*
 * Branches of a block beside each other, on engines beside each other. One that takes longer
 * elsewhere, with its way there and back, than the whole block takes now cannot help.
 */
static bool move_branches(struct kerf_search_run *r)
{
	struct kerf_search *x = r->x;
	const struct kerf_problem *p = x->p;
	bool better = false, latency = p->goal.objective == KERF_FOR_LATENCY;
	uint32_t b, e, k;

	for (b = 0; b < x->n_branch && !spent(r); b++) {
		const struct kerf_search_branch *br = &x->branch[b];
		uint32_t now = x->best[br->first];
		double block_s = 0;

		/* An exit leaves operators out, perhaps in the middle of a block. */
		for (k = br->begin; k < br->end && (x->runs[k] || x->branch_of[k] != b); k++)
			if (x->runs[k])
				block_s += p->op_s[(size_t)k * x->n_engine + x->best[k]];
		if (k < br->end)
			continue;
		for (e = 0; e < x->n_engine && !spent(r); e++) {
			double s = p->engine[e].job_s;

			if (e == now)
				continue;
			memcpy(x->trial, x->best, x->n_op * sizeof(*x->trial));
			for (k = br->first; k < br->end; k++) {
				if (x->branch_of[k] != b)
					continue;
				if (!kerf_search_may(x, k, e))
					break;
				s += p->op_s[(size_t)k * x->n_engine + e];
				x->trial[k] = e;
			}
			if (k < br->end)
				continue;
			s += kerf_search_move_s(x, r->codecs, p->engine[now].node,
						p->engine[e].node, br->in_bytes) +
			     kerf_search_move_s(x, r->codecs, p->engine[e].node,
						p->engine[now].node, br->out_bytes);
			if (!latency || s < block_s)
				better |= kerf_search_try(r, x->trial);
		}
	}
	return better;
}

static void improve(struct kerf_search_run *r)
{
	bool better;

	do {
		better = move_branches(r);
		better |= move_steps(r);
		better |= move_ops(r);
	} while (better && !spent(r));
}

/* --- all of it --- */

/* What runs: what the exit's output needs. */
static uint32_t mark_running(struct kerf_search *x, int32_t exit)
{
	const struct kerf_graph *g = x->p->graph;
	uint32_t o, n = 0;
	int32_t last;
	int k;

	memset(x->runs, exit < 0, x->n_op * sizeof(*x->runs));
	if (exit >= 0) {
		last = g->value[g->out[g->exit[exit].output]].producer;
		if (last >= 0)
			x->runs[last] = true;
		for (o = x->n_op; o-- > 0;)
			for (k = 0; x->runs[o] && k < g->op[o].n_in; k++) {
				int32_t m =
					g->op[o].in[k] < 0 ? -1 : g->value[g->op[o].in[k]].producer;

				if (m >= 0)
					x->runs[m] = true;
			}
	}
	for (o = 0; o < x->n_op; o++)
		n += x->runs[o];
	return n;
}

int kerf_search_run(struct kerf_search *x, int32_t exit, uint32_t codecs, const uint32_t *hint,
		    struct kerf_search_found *found)
{
	struct kerf_search_run r = {.x = x, .exit = exit, .codecs = codecs};
	uint32_t n = mark_running(x, exit), e;

	x->best_price = (struct kerf_search_price){.cost = INFINITY};
	x->home_engines = 0;
	for (e = 0; e < x->n_engine; e++)
		x->home_engines |= (uint32_t)(x->p->engine[e].node == x->p->home) << e;
	memset(x->best_codec, 0, x->p->graph->n_value);
	set_weights(&r);
	if (hint)
		kerf_search_try(&r, hint);
	if (try_candidates(&r, hint))
		return -ENOMEM;
	r.limit = x->work + WORK_ANYWAY +
		  (uint64_t)x->n_op * (hint ? PRICES_AGAIN : x->n_engine * PRICES_AN_ENGINE);
	if (x->best_price.cost < INFINITY)
		improve(&r);
	found->optimal = n <= EXACT_OPS && !(codecs >> 1) && kerf_search_exact(&r, EXACT_NODES);
	found->assign = x->best;
	found->codec = codecs >> 1 ? x->best_codec : NULL;
	found->price = x->best_price;
	return x->best_price.cost < INFINITY ? 0 : -ENODEV;
}
