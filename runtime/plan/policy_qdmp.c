/* SPDX-License-Identifier: MIT */
/*
 * QDMP: Zhang, Li, Liu, Guo, Wang, Wang, Ding, Wu, "Towards real-time cooperative deep inference
 * over the cloud and edge end devices", Proceedings of the ACM on Interactive, Mobile, Wearable
 * and Ubiquitous Technologies (IMWUT) 4(2), 2020.
 *
 * Modelled. The problem and its optimum are DADS's under light load (policy_dads.c); what differs
 * is the work. Where one value alone is live (a cut vertex), every path leads through it. Values go
 * one way, so once that value has crossed nothing before it is there and nothing behind it is here:
 * the best partition lies at a cut vertex or between two adjacent ones. Cuts at cut vertices cost
 * O(1) each by running sums, and only blocks between two that could hold something better need
 * a minimum cut, of a network as small as the block.
 *
 * Which blocks: one whose operators all run on their faster side, and whose cheapest value crosses,
 * costs no less than any cut within it. Blocks are taken by that bound until it reaches the best
 * cost known, so the result is exact whatever the costs are. The paper names one pair of adjacent
 * cut vertices and solves the one block between them; how many blocks this bound leaves in the
 * models that kerf generates is in docs/benchmarks.md.
 *
 * Not modelled: the paper's second finding, that a series of layers takes less than the sum of its
 * layers, is kerf's profiles' business (they measure fused groups), and what running operators
 * apart costs is in the price. Pairs of engines, goals and fixed costs: as dads, but that for
 * throughput the sum of the stages is minimised and not their longest: the paper has no heavy load.
 */
#include "plan/policy.h"
#include "plan/two_tier.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
	uint32_t begin, end;
	double bound;
};

static int by_bound(const void *a, const void *b)
{
	const struct block *x = a, *y = b;

	if (x->bound != y->bound)
		return x->bound < y->bound ? -1 : 1;
	return (x->begin > y->begin) - (x->begin < y->begin);
}

/* before[k]: operators before k here; after[k]: from k on there, their outputs back. */
static void run_sums(const struct kerf_two_tier *t, double *before, double *after)
{
	const struct kerf_graph *g = t->p->graph;
	uint32_t o;
	int k;

	before[0] = after[g->n_op] = 0;
	for (o = 0; o < g->n_op; o++)
		before[o + 1] = before[o] + t->costs.here[o];
	for (o = g->n_op; o-- > 0;) {
		after[o] = after[o + 1] + t->costs.there[o];
		for (k = 0; k < g->op[o].n_out; k++)
			if (g->op[o].out[k] >= 0 && t->p->outline->is_out[g->op[o].out[k]])
				after[o] += t->costs.down[g->op[o].out[k]];
	}
}

/*
 * Positions of cut vertices, and both ends: their number. Where one value is live every path
 * leads through it only if each path gets there: none may have ended before (an operator whose
 * outputs nobody reads, as a detector's heads are), none may begin behind (one that reads nothing).
 */
static uint32_t find_vertices(const struct kerf_two_tier *t, uint32_t *at)
{
	const struct kerf_graph *g = t->p->graph;
	const struct kerf_outline *x = t->p->outline;
	uint32_t begin = 0, end = g->n_op, n = 0, i, o;
	int k;

	for (o = 0; o < g->n_op; o++) {
		bool reads = false, is_read = false;

		for (k = 0; k < g->op[o].n_in; k++)
			reads |= g->op[o].in[k] >= 0 &&
				 !kerf_value_is_const(&g->value[g->op[o].in[k]]);
		for (k = 0; k < g->op[o].n_out; k++) {
			int32_t v = g->op[o].out[k];

			is_read |= v >= 0 && x->first[v] < x->first[v + 1];
		}
		if (!reads)
			begin = o + 1;
		if (!is_read && o < end)
			end = o;
	}
	for (i = 0; i < x->n_narrow; i++)
		if (!x->narrow[i] || x->narrow[i] == g->n_op ||
		    (x->narrow[i] >= begin && x->narrow[i] <= end))
			at[n++] = x->narrow[i];
	return n;
}

/* up[i]: what crosses at cut vertex i costs: the one value live there, or all that is given. */
static void find_crossing(const struct kerf_two_tier *t, const uint32_t *vertex, uint32_t n,
			  double *up)
{
	const struct kerf_graph *g = t->p->graph;
	const struct kerf_outline *x = t->p->outline;
	uint32_t v, i;

	for (i = 0; i < n; i++)
		up[i] = 0;
	for (v = 0; v < g->n_value; v++) {
		uint32_t from = (uint32_t)(g->value[v].producer + 1), to, low = 0, high = n;

		if (kerf_value_is_const(&g->value[v]) || x->first[v] == x->first[v + 1])
			continue;
		to = x->reader[x->first[v + 1] - 1] + 1;
		while (low < high) {
			uint32_t middle = (low + high) / 2;

			if (vertex[middle] < from)
				low = middle + 1;
			else
				high = middle;
		}
		for (i = low; i < n && vertex[i] < to; i++)
			up[i] += t->costs.up[v];
	}
}

/*
 * No cut within the block costs less, beside what is outside it. An operator that reads nothing
 * can be there without anything crossing; if each reads something, the first that is there reads
 * what is here.
 */
static double inner_bound(const struct kerf_two_tier *t, uint32_t begin, uint32_t end)
{
	const struct kerf_graph *g = t->p->graph;
	double sum = 0, least = INFINITY;
	uint32_t o;
	int k;

	for (o = begin; o < end; o++) {
		const struct kerf_op *op = &g->op[o];
		double there = t->costs.there[o];
		bool reads = false;

		for (k = 0; k < op->n_in; k++) {
			if (op->in[k] < 0 || kerf_value_is_const(&g->value[op->in[k]]))
				continue;
			least = fmin(least, t->costs.up[op->in[k]]);
			reads = true;
		}
		if (!reads)
			least = 0;
		for (k = 0; k < op->n_out; k++)
			if (op->out[k] >= 0 && t->p->outline->is_out[op->out[k]])
				there += t->costs.down[op->out[k]];
		sum += fmin(t->costs.here[o], there);
	}
	return sum + least;
}

static void cut_at(struct kerf_two_tier *t, uint32_t k)
{
	uint32_t o;

	for (o = 0; o < t->p->graph->n_op; o++)
		t->away[o] = o >= k;
}

static int solve_block(struct kerf_two_tier *t, const struct block *b, const double *before,
		       const double *after, double *best, bool *best_away)
{
	double sum[KERF_N_STAGES], cost = before[b->begin] + after[b->end];
	uint32_t i, n_op = t->p->graph->n_op;
	int r;

	cut_at(t, b->end);
	r = kerf_cut_net_solve(t->net, &t->costs, KERF_CUT_THERE_ONLY, b->begin, b->end, t->away,
			       &t->work);
	if (r)
		return r;
	kerf_two_tier_stages(t, b->begin, b->end, sum);
	for (i = 0; i < KERF_N_STAGES; i++)
		cost += sum[i];
	if (cost < *best) {
		*best = cost;
		memcpy(best_away, t->away, n_op * sizeof(*best_away));
	}
	return 0;
}

struct room {
	double *before, *after, *up;
	uint32_t *vertex;
	struct block *block;
	bool *away; /* of the best partition */
};

static void finish(struct room *m)
{
	free(m->before);
	free(m->vertex);
	free(m->block);
	free(m->away);
}

static int make(struct room *m, size_t n_op, size_t n_narrow)
{
	m->before = malloc((2 * (n_op + 1) + n_narrow) * sizeof(*m->before));
	m->vertex = malloc(n_narrow * sizeof(*m->vertex));
	m->block = malloc(n_narrow * sizeof(*m->block));
	m->away = malloc(n_op + 1);
	if (!m->before || !m->vertex || !m->block || !m->away)
		return -ENOMEM;
	m->after = m->before + n_op + 1;
	m->up = m->after + n_op + 1;
	return 0;
}

/* Blocks that a bound does not rule out, the most promising first. */
static uint32_t find_blocks(const struct kerf_two_tier *t, const struct room *m, uint32_t n_vertex,
			    double best)
{
	uint32_t i, n = 0;

	for (i = 0; i + 1 < n_vertex; i++) {
		struct block b = {m->vertex[i], m->vertex[i + 1], 0};

		if (b.end - b.begin < 2)
			continue;
		b.bound = m->before[b.begin] + inner_bound(t, b.begin, b.end) + m->after[b.end];
		if (b.bound < best)
			m->block[n++] = b;
	}
	qsort(m->block, n, sizeof(*m->block), by_bound);
	return n;
}

int kerf_qdmp_solve(struct kerf_two_tier *t)
{
	uint32_t n_op = t->p->graph->n_op, at = n_op, n_vertex, n, i;
	struct room m = {0};
	double best = INFINITY;
	int r = make(&m, n_op, t->p->outline->n_narrow);

	if (r)
		goto out;
	run_sums(t, m.before, m.after);
	n_vertex = find_vertices(t, m.vertex);
	find_crossing(t, m.vertex, n_vertex, m.up);
	for (i = 0; i < n_vertex; i++) {
		double cost = m.before[m.vertex[i]] + m.up[i] + m.after[m.vertex[i]];

		if (cost < best) {
			best = cost;
			at = m.vertex[i];
		}
	}
	cut_at(t, at);
	memcpy(m.away, t->away, n_op * sizeof(*m.away));
	n = find_blocks(t, &m, n_vertex, best);
	for (i = 0; i < n && !r && m.block[i].bound < best; i++)
		r = solve_block(t, &m.block[i], m.before, m.after, &best, m.away);
	memcpy(t->away, m.away, n_op * sizeof(*m.away));
out:
	finish(&m);
	return r;
}

static int try_pair(struct kerf_two_tier *t, uint32_t here, uint32_t there,
		    enum kerf_objective objective, struct kerf_choice *choice)
{
	uint32_t before = t->work.solved, n;
	char reason[96];
	int r;

	kerf_two_tier_weigh(t, here, there, objective, NULL);
	r = kerf_qdmp_solve(t);
	if (r && r != -E2BIG)
		return r;
	n = t->work.solved - before;
	snprintf(reason, sizeof(reason), "cut vertices left %u block%s to solve", n,
		 n == 1 ? "" : "s");
	kerf_two_tier_offer(t, choice, reason);
	return 0;
}

static int pair(struct kerf_two_tier *t, uint32_t here, uint32_t there, struct kerf_choice *choice)
{
	int r = try_pair(t, here, there, t->p->goal.objective, choice);

	if (!r && kerf_two_tier_hurried(t->p))
		r = try_pair(t, here, there, KERF_FOR_LATENCY, choice);
	return r;
}

int kerf_policy_qdmp(const struct kerf_problem *p, struct kerf_plan *plan, struct kerf_err *err)
{
	return kerf_two_tier_plan(p, "qdmp", pair, plan, err);
}
