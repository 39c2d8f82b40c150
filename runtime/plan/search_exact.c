/* SPDX-License-Identifier: MIT */
/*
 * Branch and bound over assignments (Land and Doig, 1960), operator by operator in graph order.
 *
 * The price of the operators placed so far is a bound by itself (search.h). What is added to it:
 * from each value that is made and still has readers, the quickest way through them to an answer
 * at home, each way alone with an idle machine:
 *
 *	reach(v, r, e): from v on engine e, through its reader r:
 *		min over e' of (0 if e' = e, else move(v, e, e') + job(e')) + op(r, e') + tail(r, e')
 *	tail(o, e): max over what o makes of its way home and of reach through its readers
 *
 * Moves are monotone in bytes and share of nothing, jobs are paid at least once a step, so each
 * such way is a lower bound, and so is the longest of them. And all engines together have to do
 * the work that is left: no plan is faster than that divided by their number.
 */
#include "plan/search_priv.h"

#include <math.h>

/* Prices are sums in different orders: what is better by less than that is not better. */
#define ROUNDING 1e-12

struct tree {
	struct kerf_search_run *r;
	struct kerf_search *x;
	uint64_t left;
};

static void find_reach(struct tree *t, uint32_t v, uint32_t slot)
{
	struct kerf_search *x = t->x;
	const struct kerf_problem *p = x->p;
	uint32_t o = x->reader[slot], from, to;

	for (from = 0; from < x->n_engine; from++) {
		double best = INFINITY;

		for (to = 0; to < x->n_engine; to++) {
			size_t at = (size_t)o * x->n_engine + to;
			double s = p->op_s[at] + x->tail[at];

			if (!kerf_search_may(x, o, to))
				continue;
			if (from != to)
				s += p->engine[to].job_s +
				     kerf_search_move_s(x, t->r->codecs, p->engine[from].node,
							p->engine[to].node, x->bytes[v]);
			best = fmin(best, s);
		}
		x->reach[(size_t)slot * x->n_engine + from] = best;
	}
}

static void find_tails(struct tree *t)
{
	struct kerf_search *x = t->x;
	const struct kerf_problem *p = x->p;
	uint32_t v, o, i, e;

	for (i = 0; i < x->n_op * x->n_engine; i++)
		x->tail[i] = 0;
	/* A value's readers come after its maker, so from the last value to the first all is known
	 * if makers do not stand behind: values are taken by maker, from the last operator on. */
	for (o = x->n_op + 1; o-- > 0;) {
		for (v = 0; v < x->n_value; v++) {
			uint32_t m = x->maker[v] == KERF_SEARCH_GIVEN ? 0 : x->maker[v] + 1;

			if (m != o || (m && !x->runs[m - 1]))
				continue;
			for (i = x->read_first[v]; i < x->read_first[v + 1]; i++)
				if (x->runs[x->reader[i]])
					find_reach(t, v, i);
			for (e = 0; e < x->n_engine && m; e++) {
				double *tail = &x->tail[(size_t)(m - 1) * x->n_engine + e];

				if (x->is_out[v])
					*tail = fmax(*tail, kerf_search_move_s(x, t->r->codecs,
									       p->engine[e].node, p->home,
									       x->bytes[v]));
				for (i = x->read_first[v]; i < x->read_first[v + 1]; i++)
					if (x->runs[x->reader[i]])
						*tail = fmax(*tail,
							     x->reach[(size_t)i * x->n_engine + e]);
			}
		}
	}
	x->rest_s[x->n_op] = x->rest_j[x->n_op] = 0;
	for (o = x->n_op; o-- > 0;) {
		double s = INFINITY, j = INFINITY;

		for (e = 0; e < x->n_engine; e++)
			if (kerf_search_may(x, o, e)) {
				double op_s = p->op_s[(size_t)o * x->n_engine + e];

				s = fmin(s, op_s);
				j = fmin(j, op_s * p->engine[e].active_w);
			}
		x->rest_s[o] = x->rest_s[o + 1] + (x->runs[o] ? s : 0);
		x->rest_j[o] = x->rest_j[o + 1] + (x->runs[o] ? j : 0);
	}
}

/* Raises a price of the first n operators to what the others will add at least. */
static void raise(struct tree *t, const uint32_t *assign, uint32_t n,
		  struct kerf_search_price *price)
{
	struct kerf_search *x = t->x;
	const struct kerf_problem *p = x->p;
	double busy = x->rest_s[n], total = price->total_s;
	uint32_t v, i, e;

	for (v = 0; v < x->n_value; v++) {
		uint32_t m = x->maker[v];

		if (m != KERF_SEARCH_GIVEN && (m >= n || assign[m] == KERF_PLAN_HOME))
			continue;
		for (i = x->read_first[v + 1]; i-- > x->read_first[v] && x->reader[i] >= n;) {
			if (!x->runs[x->reader[i]])
				continue;
			if (m != KERF_SEARCH_GIVEN)
				total = fmax(total, x->step[x->bucket[m]].made_s +
							    x->reach[(size_t)i * x->n_engine + assign[m]]);
		}
	}
	for (e = 0; e < x->n_engine; e++)
		busy += x->engine_busy[e];
	total = fmax(total, busy / x->n_engine);
	price->period_s = fmax(price->period_s, busy / x->n_engine);
	price->energy_j += x->rest_j[n];
	if (p->node)
		price->energy_j += p->node[p->home].idle_w * (total - price->total_s);
	price->total_s = total;
	kerf_search_judge(p, price);
}

static void visit(struct tree *t, uint32_t o)
{
	struct kerf_search *x = t->x;
	double score[KERF_MAX_ENGINES];
	uint32_t order[KERF_MAX_ENGINES], n = 0, e, i;

	while (o < x->n_op && !x->runs[o])
		x->trial[o++] = KERF_PLAN_HOME;
	if (o == x->n_op) {
		kerf_search_try(t->r, x->trial);
		return;
	}
	for (e = 0; e < x->n_engine; e++) {
		struct kerf_search_price price;
		double s;

		if (!kerf_search_may(x, o, e) || !t->left)
			continue;
		t->left--;
		x->trial[o] = e;
		kerf_search_price(x, x->trial, NULL, t->r->exit, o + 1, &price);
		if (!(price.cost < INFINITY))
			continue;
		raise(t, x->trial, o + 1, &price);
		s = kerf_search_score(&price);
		for (i = n++; i && score[i - 1] > s; i--) {
			score[i] = score[i - 1];
			order[i] = order[i - 1];
		}
		score[i] = s;
		order[i] = e;
	}
	for (i = 0; i < n; i++) {
		if (score[i] >= kerf_search_score(&x->best_price) * (1 - ROUNDING))
			break;
		x->trial[o] = order[i];
		visit(t, o + 1);
	}
}

bool kerf_search_exact(struct kerf_search_run *r, uint64_t nodes)
{
	struct tree t = {.r = r, .x = r->x, .left = nodes};

	find_tails(&t);
	visit(&t, 0);
	return t.left > 0;
}
