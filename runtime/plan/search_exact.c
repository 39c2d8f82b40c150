/* SPDX-License-Identifier: MIT */
/*
 * Branch and bound over assignments (Land and Doig, 1960), operator by operator in graph order.
 *
 * The price of the operators placed so far is a bound by itself (search.h). What is added to it:
 * from each value that is made and still has readers, the quickest way through them to an answer
 * at home (kerf_search_tails()): each way alone with an idle machine, so the longest of them is a
 * lower bound. And all engines together have to do the work that is left: no plan is faster
 * than that divided by their number.
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
				total = fmax(total,
					     x->step[x->bucket[m]].made_s +
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

	kerf_search_tails(r->x, r->codecs);
	visit(&t, 0);
	return t.left > 0;
}
